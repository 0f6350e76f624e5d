import Base
import CSpeexDSP

/// Converts mono PCM from one sample rate to another with SpeexDSP's windowed-sinc resampler, as a stream: what one
/// call leaves unfinished continues with the next. Confined to its owner; allocates nothing after `init`.
public final class Resampler {
  /// Hz that can be asked for: from half of telephony to four times studio.
  public static let rates = 4_000...192_000

  public let inputRate: Int
  public let outputRate: Int
  private let state: OpaquePointer

  /// - Parameters:
  ///   - inputRate: Hz, within ``rates``.
  ///   - outputRate: Hz, within ``rates``.
  ///   - quality: 0 (fast) to 10 (best); 3 is SpeexDSP's choice for voice over IP: at 8 -> 16 kHz it adds 3 ms.
  public init(from inputRate: Int, to outputRate: Int, quality: Int = 3) throws(AudioError) {
    guard Resampler.rates.contains(inputRate), Resampler.rates.contains(outputRate), (0...10).contains(quality) else {
      throw AudioError(
        .parameter,
        "Cannot resample from \(inputRate) to \(outputRate) Hz at quality \(quality): rates must be 4000 to"
          + " 192000 Hz and the quality 0 to 10.")
    }
    var status: Int32 = 0
    guard let state = speex_resampler_init(1, UInt32(inputRate), UInt32(outputRate), Int32(quality), &status),
      Int(status) == RESAMPLER_ERR_SUCCESS
    else {
      throw AudioError(.parameter, "The resampler from \(inputRate) to \(outputRate) Hz could not be made (\(status)).")
    }
    self.state = state
    self.inputRate = inputRate
    self.outputRate = outputRate
  }

  deinit { speex_resampler_destroy(state) }

  /// Samples of output that `inputCount` samples of input can give at most.
  public func outputCapacity(for inputCount: Int) -> Int {
    (inputCount * outputRate + inputRate - 1) / inputRate + 1
  }

  /// Delay that the filter adds, in input samples.
  public var latencySamples: Int { Int(speex_resampler_get_input_latency(state)) }

  /// Consumes input and produces output until one of the two buffers is used up.
  /// Give ``outputCapacity(for:)`` samples of room and all input is consumed.
  @discardableResult
  public func process(
    _ input: UnsafeBufferPointer<Int16>, into output: UnsafeMutableBufferPointer<Int16>
  ) -> (consumed: Int, produced: Int) {
    guard let source = input.baseAddress, let target = output.baseAddress else { return (0, 0) }
    var consumed = UInt32(clamping: input.count)
    var produced = UInt32(clamping: output.count)
    _ = speex_resampler_process_int(state, 0, source, &consumed, target, &produced)
    return (Int(consumed), Int(produced))
  }

  /// Forgets the past, for an unrelated stream.
  public func reset() { speex_resampler_reset_mem(state) }

  /// Converts a whole clip: the filter's delay is removed, and the result has exactly the clip's duration.
  public static func convert(
    _ samples: [Int16], from inputRate: Int, to outputRate: Int, quality: Int = 5
  ) throws(AudioError) -> [Int16] {
    if inputRate == outputRate { return samples }
    let resampler = try Resampler(from: inputRate, to: outputRate, quality: quality)
    speex_resampler_skip_zeros(resampler.state)
    let wanted = Int((Double(samples.count) * Double(outputRate) / Double(inputRate)).rounded())
    let padded = samples + [Int16](repeating: 0, count: 2 * resampler.latencySamples + 8)
    return [Int16](unsafeUninitializedCapacity: wanted) { buffer, filled in
      padded.withUnsafeBufferPointer { source in
        filled = resampler.process(source, into: buffer).produced
      }
      while filled < wanted {
        buffer[filled] = 0
        filled += 1
      }
    }
  }
}
