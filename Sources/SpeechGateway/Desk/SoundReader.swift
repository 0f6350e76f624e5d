import Audio
import CallLink

/// Makes the bytes of a stream into samples at 16 kHz. Belongs to the stream's one step at a time.
final class SoundReader {
  private let encoding: SpeechStreamRequest.Encoding
  /// nil: the samples come at 16 kHz.
  private let resampler: Resampler?
  /// Bytes of one second.
  let bytesPerSecond: Int

  /// - Throws: ``AudioError`` for a rate that is none of ``SpeechStreamRequest/sampleRates``.
  init(_ request: SpeechStreamRequest) throws(AudioError) {
    guard SpeechStreamRequest.sampleRates.contains(request.sampleRate) else {
      let known = SpeechStreamRequest.sampleRates.map(String.init).joined(separator: ", ")
      throw AudioError(.parameter, "a stream has one of these sample rates: \(known)")
    }
    encoding = request.encoding
    bytesPerSecond = request.sampleRate * request.encoding.bytesPerSample
    resampler =
      request.sampleRate == VoiceDetector.sampleRate
      ? nil : try Resampler(from: request.sampleRate, to: VoiceDetector.sampleRate, quality: 5)
  }

  /// Whole samples.
  func read(_ bytes: [UInt8]) -> [Int16] {
    let samples: [Int16]
    switch encoding {
    case .pcm:
      samples = (0..<bytes.count / 2).map { Int16(bitPattern: UInt16(bytes[2 * $0]) | UInt16(bytes[2 * $0 + 1]) << 8) }
    case .ulaw: samples = bytes.map { G711.decode($0, law: .ulaw) }
    }
    guard let resampler else { return samples }
    return [Int16](unsafeUninitializedCapacity: resampler.outputCapacity(for: samples.count)) { buffer, filled in
      filled = samples.withUnsafeBufferPointer { resampler.process($0, into: buffer).produced }
    }
  }
}
