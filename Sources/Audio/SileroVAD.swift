import Glibc

/// One call's state of the Silero v6 voice activity network (16 kHz): 256 floats of LSTM state and 64 samples of
/// context.
public struct SileroVAD: Sendable {
  /// LSTM output (128), LSTM cell (128), the previous frame's last samples (64).
  private var state = InlineArray<320, Float>(repeating: 0)

  public init() {}

  /// See ``VoiceDetector/probability(_:)``.
  public mutating func probability(_ frame: UnsafeBufferPointer<Int16>, model: SileroModel) -> Float {
    // On the stack: a frame allocates nothing.
    var scratch = InlineArray<3568, Float>(repeating: 0)
    return withUnsafeMutableBytes(of: &scratch) { scratch in
      withUnsafeMutableBytes(of: &state) { state in
        // Both are never empty and hold floats only.
        guard let scratch = scratch.baseAddress?.assumingMemoryBound(to: Float.self),
          let state = state.baseAddress?.assumingMemoryBound(to: Float.self)
        else { return 0 }
        return SileroVAD.forward(frame, state, scratch, model.weights)
      }
    }
  }

  /// 64 samples of context, 512 of the frame and 64 of reflection -> four columns of spectrum -> four convolutions ->
  /// LSTM -> one number.
  private static func forward(
    _ frame: UnsafeBufferPointer<Int16>, _ state: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>,
    _ weights: UnsafeMutablePointer<Float>
  ) -> Float {
    typealias Place = SileroModel
    let x = scratch
    let spectrum = x + 640
    let magnitude = spectrum + 4 * Place.spectrumWidth
    let e0 = magnitude + 4 * Place.magnitudeWidth
    let e1 = e0 + 512
    let e2 = e1 + 128
    let e3 = e2 + 64
    let gates = e3 + 128
    let hidden = state
    let cell = state + 128
    let context = state + 256

    for i in 0..<64 { x[i] = context[i] }
    for i in 0..<min(512, frame.count) { x[64 + i] = Float(frame[i]) * (1 / 32768) }
    for i in 0..<64 { x[576 + i] = x[574 - i] }
    for i in 0..<64 { context[i] = x[512 + i] }

    for i in 0..<256 {
      add4(
        spectrum, Place.spectrumWidth, weights + Place.spectrum + i * Place.spectrumWidth, x[i], x[128 + i], x[256 + i],
        x[384 + i])
    }
    for t in 0..<4 {
      let real = spectrum + t * Place.spectrumWidth
      let imaginary = real + Place.bins
      let out = magnitude + t * Place.magnitudeWidth
      for i in 0..<Place.bins { out[i] = (real[i] * real[i] + imaginary[i] * imaginary[i]).squareRoot() }
    }

    for t in 0..<4 { copy(weights + Place.encoder0Bias, e0 + 128 * t, 128) }
    let m1 = magnitude + Place.magnitudeWidth
    let m2 = m1 + Place.magnitudeWidth
    let m3 = m2 + Place.magnitudeWidth
    for i in 0..<Place.bins {
      let kernel = weights + Place.encoder0 + i * 128
      add4(e0, 128, kernel, 0, magnitude[i], m1[i], m2[i])
      add4(e0, 128, kernel + Place.bins * 128, magnitude[i], m1[i], m2[i], m3[i])
      add4(e0, 128, kernel + 2 * Place.bins * 128, m1[i], m2[i], m3[i], 0)
    }
    rectify(e0, 512)

    for t in 0..<2 { copy(weights + Place.encoder1Bias, e1 + 64 * t, 64) }
    let kernel1 = weights + Place.encoder1
    multiply(e1 + 64, 64, kernel1, e0 + 128, 128)
    multiply(e1, 64, kernel1 + 128 * 64, e0, 128)
    multiply(e1 + 64, 64, kernel1 + 128 * 64, e0 + 256, 128)
    multiply(e1, 64, kernel1 + 2 * 128 * 64, e0 + 128, 128)
    multiply(e1 + 64, 64, kernel1 + 2 * 128 * 64, e0 + 384, 128)
    rectify(e1, 128)

    copy(weights + Place.encoder2Bias, e2, 64)
    multiply(e2, 64, weights + Place.encoder2, e1, 128)
    rectify(e2, 64)

    copy(weights + Place.encoder3Bias, e3, 128)
    multiply(e3, 128, weights + Place.encoder3, e2, 64)
    rectify(e3, 128)

    copy(weights + Place.recurrentBias, gates, 512)
    multiply(gates, 512, weights + Place.recurrent, e3, 128)
    multiply(gates, 512, weights + Place.recurrent + 128 * 512, hidden, 128)
    var sum = weights[Place.decoderBias]
    for i in 0..<128 {
      let c = sigmoid(gates[128 + i]) * cell[i] + sigmoid(gates[i]) * tanhf(gates[256 + i])
      let h = sigmoid(gates[384 + i]) * tanhf(c)
      cell[i] = c
      hidden[i] = h
      sum += max(0, h) * weights[Place.decoder + i]
    }
    return sigmoid(sum)
  }

  private static func sigmoid(_ x: Float) -> Float { 1 / (1 + expf(-x)) }

  // The loops below are written as plain `s += a * b` over neighbouring memory so that the compiler makes vector code
  // of them; `SIMD.addingProduct` would call a software fma on processors older than the compiler's idea of FMA.

  /// Four outputs rows, `stride` apart, += one row of weights times one factor each.
  @inline(__always)
  private static func add4(
    _ y: UnsafeMutablePointer<Float>, _ stride: Int, _ w: UnsafeMutablePointer<Float>, _ a: Float, _ b: Float,
    _ c: Float, _ d: Float
  ) {
    let y1 = y + stride
    let y2 = y1 + stride
    let y3 = y2 + stride
    for j in 0..<stride {
      let v = w[j]
      y[j] += v * a
      y1[j] += v * b
      y2[j] += v * c
      y3[j] += v * d
    }
  }

  /// y[n] += transpose(w[m x n]) * x[m]; m is a multiple of four.
  @inline(__always)
  private static func multiply(
    _ y: UnsafeMutablePointer<Float>, _ n: Int, _ w: UnsafeMutablePointer<Float>, _ x: UnsafeMutablePointer<Float>,
    _ m: Int
  ) {
    for i in stride(from: 0, to: m, by: 4) {
      let w0 = w + i * n
      let w1 = w0 + n
      let w2 = w1 + n
      let w3 = w2 + n
      let a = x[i]
      let b = x[i + 1]
      let c = x[i + 2]
      let d = x[i + 3]
      for j in 0..<n { y[j] += (w0[j] * a + w1[j] * b) + (w2[j] * c + w3[j] * d) }
    }
  }

  @inline(__always)
  private static func copy(_ from: UnsafeMutablePointer<Float>, _ to: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n { to[i] = from[i] }
  }

  @inline(__always)
  private static func rectify(_ y: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n { y[i] = max(0, y[i]) }
  }
}
