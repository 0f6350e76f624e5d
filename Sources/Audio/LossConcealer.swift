import CSpanDSP

/// Replaces lost audio by repeating the last pitch period, fading to silence within 50 ms (SpanDSP's `plc`, in the
/// manner of ITU-T G.711 appendix I). For mono PCM at 8 kHz. Confined to its owner; allocates nothing after `init`.
public final class LossConcealer {
  private let state: UnsafeMutablePointer<plc_state_t>
  /// Samples made up since `init`.
  public private(set) var concealedSamples = 0

  public init() {
    state = .allocate(capacity: 1)
    state.initialize(to: plc_state_t())
    plc_init(state)
  }

  deinit {
    plc_release(state)
    state.deallocate()
  }

  /// Notes audio that arrived. After a concealed stretch its first samples are cross-faded with what was made up, in
  /// place.
  public func received(_ samples: UnsafeMutableBufferPointer<Int16>) {
    guard let base = samples.baseAddress, !samples.isEmpty else { return }
    plc_rx(state, base, Int32(clamping: samples.count))
  }

  /// Fills `samples` with a continuation of what came before.
  public func conceal(into samples: UnsafeMutableBufferPointer<Int16>) {
    guard let base = samples.baseAddress, !samples.isEmpty else { return }
    straightenHistory()
    plc_fillin(state, base, Int32(clamping: samples.count))
    concealedSamples += samples.count
  }

  /// Turns the ring of past samples so that it begins at index 0. `plc_fillin` would do that itself, but SpanDSP 0.0.6
  /// does it with `memcpy` over overlapping memory, which is undefined; a straight ring it leaves alone.
  private func straightenHistory() {
    let start = Int(state.pointee.buf_ptr)
    let isStraight = withUnsafeMutableBytes(of: &state.pointee.history) { bytes in
      let history = bytes.assumingMemoryBound(to: Int16.self)
      guard start > 0, start < history.count, history.count <= 280 else { return false }
      var straight = InlineArray<280, Int16>(repeating: 0)
      for i in 0..<history.count { straight[i] = history[(start + i) % history.count] }
      for i in 0..<history.count { history[i] = straight[i] }
      return true
    }
    if isStraight { state.pointee.buf_ptr = 0 }
  }
}

/// Joins two stretches of audio without a click.
public enum CrossFade {
  /// Blends `tail`, which would have continued, into the first samples of `head` in place, linearly over the shorter of
  /// both.
  public static func join(_ tail: UnsafeBufferPointer<Int16>, into head: UnsafeMutableBufferPointer<Int16>) {
    let count = min(tail.count, head.count)
    for i in 0..<count {
      let mixed = (Int(tail[i]) * (count - i) + Int(head[i]) * i) / count
      head[i] = Int16(truncatingIfNeeded: mixed)
    }
  }

  /// Fades the first `count` samples in from silence, in place.
  public static func fadeIn(_ samples: UnsafeMutableBufferPointer<Int16>, count: Int) {
    let count = min(count, samples.count)
    for i in 0..<max(0, count) { samples[i] = Int16(Int(samples[i]) * i / count) }
  }

  /// Fades the last `count` samples out to silence, in place.
  public static func fadeOut(_ samples: UnsafeMutableBufferPointer<Int16>, count: Int) {
    let count = min(count, samples.count)
    let start = samples.count - max(0, count)
    for i in 0..<max(0, count) { samples[start + i] = Int16(Int(samples[start + i]) * (count - 1 - i) / count) }
  }
}

/// Quiet white noise, so that a pause on the line does not sound like a dead line. A value; allocates nothing.
public struct ComfortNoise: Sendable {
  private var state: UInt32
  private let amplitude: Int32

  /// - Parameter levelDBFS: RMS level below full scale, -90 (inaudible) to -30; -65 is a quiet line.
  public init(levelDBFS: Double = -65, seed: UInt32 = 1) {
    // Uniform noise of peak A has an RMS of A / sqrt 3.
    let rms = 32768 * Level.gain(decibels: min(-30, max(-90, levelDBFS)))
    amplitude = max(1, Int32((rms * 3.0.squareRoot()).rounded()))
    state = seed | 1
  }

  public mutating func fill(_ samples: UnsafeMutableBufferPointer<Int16>) {
    for i in samples.indices {
      state = state &* 1_664_525 &+ 1_013_904_223
      samples[i] = Int16(truncatingIfNeeded: (Int32(state >> 16) - 32768) * amplitude / 32768)
    }
  }
}
