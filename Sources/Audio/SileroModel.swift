/// The weights of the Silero v6 voice activity network (16 kHz), loaded once and shared by all calls. Immutable.
public final class SileroModel: Sendable {
  /// The file the weights came from.
  public let path: String

  // Written in `init` only and freed in `deinit`, so that sharing it between threads is safe: that is the whole proof
  // for `nonisolated(unsafe)`.
  nonisolated(unsafe) let weights: UnsafeMutablePointer<Float>

  /// The known files have 1.3 MB.
  public static let maximumBytes = 16 << 20

  // Where each matrix lies in `weights`. All are stored input by input, the outputs of one input side by side, so that
  // the inner loops run over neighbouring memory. Outputs of the spectrum are padded to a multiple of eight.
  static let bins = 129
  static let spectrumWidth = 264
  static let magnitudeWidth = 132
  static let spectrum = 0
  static let encoder0 = spectrum + 256 * spectrumWidth
  static let encoder0Bias = encoder0 + 3 * bins * 128
  static let encoder1 = encoder0Bias + 128
  static let encoder1Bias = encoder1 + 3 * 128 * 64
  static let encoder2 = encoder1Bias + 64
  static let encoder2Bias = encoder2 + 2 * 64 * 64
  static let encoder3 = encoder2Bias + 64
  static let encoder3Bias = encoder3 + 64 * 128
  static let recurrent = encoder3Bias + 128
  static let recurrentBias = recurrent + 256 * 512
  static let decoder = recurrentBias + 512
  static let decoderBias = decoder + 128
  static let total = decoderBias + 1

  private init(path: String, weights: UnsafeMutablePointer<Float>) {
    self.path = path
    self.weights = weights
  }

  deinit { weights.deallocate() }

  /// Reads `silero_vad_16k_op15.onnx` or `silero_vad_16k.safetensors` of the PyPI package `silero-vad` 6.
  public static func load(path: String) throws(AudioError) -> SileroModel {
    let file = try TensorFile(path: path, bytes: try readFile(path, limit: maximumBytes))
    let names = file.tensors["stft_conv.weight"] == nil ? Names.onnx : Names.safetensors

    let spectrum = try file.floats(names.spectrum, shape: [258, 1, 256])
    let encoder0 = try file.floats(names.encoder[0] + ".weight", shape: [128, bins, 3])
    let encoder1 = try file.floats(names.encoder[1] + ".weight", shape: [64, 128, 3])
    let encoder2 = try file.floats(names.encoder[2] + ".weight", shape: [64, 64, 3])
    let encoder3 = try file.floats(names.encoder[3] + ".weight", shape: [128, 64, 3])
    let bias0 = try file.floats(names.encoder[0] + ".bias", shape: [128])
    let bias1 = try file.floats(names.encoder[1] + ".bias", shape: [64])
    let bias2 = try file.floats(names.encoder[2] + ".bias", shape: [64])
    let bias3 = try file.floats(names.encoder[3] + ".bias", shape: [128])
    let fromInput = try file.floats(names.recurrent + ".weight_ih", shape: [512, 128])
    let fromState = try file.floats(names.recurrent + ".weight_hh", shape: [512, 128])
    let inputBias = try file.floats(names.recurrent + ".bias_ih", shape: [512])
    let stateBias = try file.floats(names.recurrent + ".bias_hh", shape: [512])
    let decoder = try file.floats(names.decoder + ".weight", shape: [1, 128, 1])
    let decoderBias = try file.floats(names.decoder + ".bias", shape: [1])

    let weights = UnsafeMutablePointer<Float>.allocate(capacity: total)
    weights.initialize(repeating: 0, count: total)
    for output in 0..<258 {
      for input in 0..<256 {
        weights[SileroModel.spectrum + input * spectrumWidth + output] = spectrum[output * 256 + input]
      }
    }
    // A frame gives four columns of spectrum, then four, two, one and one; what a kernel's taps would see beyond the
    // edges is zero. So the third layer never uses its first tap and the fourth only its middle one.
    func place(_ kernel: [Float], inputs: Int, outputs: Int, taps: ClosedRange<Int>, at start: Int) {
      for tap in taps {
        for input in 0..<inputs {
          for output in 0..<outputs {
            weights[start + ((tap - taps.lowerBound) * inputs + input) * outputs + output] =
              kernel[(output * inputs + input) * 3 + tap]
          }
        }
      }
    }
    place(encoder0, inputs: bins, outputs: 128, taps: 0...2, at: SileroModel.encoder0)
    place(encoder1, inputs: 128, outputs: 64, taps: 0...2, at: SileroModel.encoder1)
    place(encoder2, inputs: 64, outputs: 64, taps: 1...2, at: SileroModel.encoder2)
    place(encoder3, inputs: 64, outputs: 128, taps: 1...1, at: SileroModel.encoder3)
    for output in 0..<512 {
      for input in 0..<128 {
        weights[recurrent + input * 512 + output] = fromInput[output * 128 + input]
        weights[recurrent + (128 + input) * 512 + output] = fromState[output * 128 + input]
      }
      weights[recurrentBias + output] = inputBias[output] + stateBias[output]
    }
    for (values, start) in [
      (bias0, encoder0Bias), (bias1, encoder1Bias), (bias2, encoder2Bias), (bias3, encoder3Bias),
      (decoder, SileroModel.decoder), (decoderBias, SileroModel.decoderBias),
    ] {
      for (i, value) in values.enumerated() { weights[start + i] = value }
    }
    return SileroModel(path: path, weights: weights)
  }

  /// What the tensors are called in the two files.
  private struct Names {
    var spectrum: String
    var encoder: [String]
    var recurrent: String
    var decoder: String

    static let onnx = Names(
      spectrum: "model.stft.forward_basis_buffer", encoder: (0..<4).map { "model.encoder.\($0).reparam_conv" },
      recurrent: "model.decoder.rnn", decoder: "model.decoder.decoder.2")
    static let safetensors = Names(
      spectrum: "stft_conv.weight", encoder: (1...4).map { "conv\($0)" }, recurrent: "lstm_cell",
      decoder: "final_conv")
  }

  /// What ``find(in:)`` came to.
  public struct Search: Sendable {
    /// The first candidate that could be loaded.
    public var model: SileroModel?
    /// Why candidates that exist could not be used; files that do not exist are no problem.
    public var problems: [AudioError]
  }

  /// Loads the first candidate path that exists and is usable.
  public static func find(in candidates: [String]) -> Search {
    var search = Search(model: nil, problems: [])
    for path in candidates where fileExists(path) {
      do {
        search.model = try load(path: path)
        break
      } catch {
        search.problems.append(error)
      }
    }
    return search
  }
}
