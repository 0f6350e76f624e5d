import CSpanDSP

/// Finds keypad tones (ITU-T Q.23/Q.24) in mono PCM at 8 kHz with SpanDSP's detector. Confined to its owner.
public final class DTMFDetector {
  /// What happened on the keypad.
  public enum Event: Hashable, Sendable {
    /// `atSample` counts samples at 8 kHz since `init`; it is right to about 13 ms.
    case pressed(Character, atSample: Int64)
    case released(Character, durationMs: Int)
  }

  /// What SpanDSP's callback writes to while ``process(_:)`` runs.
  private struct Reports {
    var events: [Event] = []
    var key: Character?
    /// Samples accounted for by the reports so far.
    var position: Int64 = 0

    mutating func report(code: Int32, samplesSinceLast: Int32) {
      position += Int64(samplesSinceLast)
      if let key { events.append(.released(key, durationMs: Int(samplesSinceLast) / 8)) }
      key = nil
      guard code > 0, let scalar = Unicode.Scalar(UInt32(code)) else { return }
      key = Character(scalar)
      // The detector reports a key after two blocks of 102 samples that agree.
      events.append(.pressed(Character(scalar), atSample: max(0, position - 204)))
    }
  }

  private let reports: UnsafeMutablePointer<Reports>
  /// nil only where SpanDSP found no memory; then nothing is detected.
  private let state: OpaquePointer?

  public init() {
    reports = .allocate(capacity: 1)
    reports.initialize(to: Reports())
    state = dtmf_rx_init(nil, nil, nil)
    if let state {
      dtmf_rx_set_realtime_callback(
        state,
        { data, code, _, samples in
          data?.assumingMemoryBound(to: Reports.self).pointee.report(code: code, samplesSinceLast: samples)
        }, reports)
    }
  }

  deinit {
    if let state { dtmf_rx_free(state) }
    reports.deinitialize(count: 1)
    reports.deallocate()
  }

  /// Looks at the next samples; the result is empty (and allocates nothing) unless a key went down or up.
  public func process(_ samples: UnsafeBufferPointer<Int16>) -> [Event] {
    guard let state, let base = samples.baseAddress else { return [] }
    dtmf_rx(state, base, Int32(clamping: samples.count))
    // SpanDSP collects digits for polling too; nobody polls, so its buffer is emptied.
    if reports.pointee.events.isEmpty { return [] }
    var unused: (CChar, CChar, CChar, CChar, CChar, CChar, CChar, CChar) = (0, 0, 0, 0, 0, 0, 0, 0)
    withUnsafeMutableBytes(of: &unused) { buffer in
      _ = dtmf_rx_get(state, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), 7)
    }
    let events = reports.pointee.events
    reports.pointee.events = []
    return events
  }
}
