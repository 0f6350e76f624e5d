import Base

/// What a dialog does with the call itself: connect it with somebody else, send keys.
extension DialogSession {
  mutating func transfer(_ step: TransferStep) {
    guard let target = render(step.target), let holdAudio = render(step.holdAudio), let brief = render(step.brief)
    else { return }
    guard transferDeadline == nil else { return fail("transfer", "the call is already being transferred") }
    guard decided(readsSecret(in: step.target), { _ in target.contains { !$0.isWhitespace } }) else {
      return fail("transfer", "the target of the transfer is empty")
    }
    var headers: [String: String] = [:]
    for header in step.headers {
      guard let value = render(header.value) else { return }
      headers[header.name] = value
    }
    out.append(
      .transfer(
        DialogTransfer(
          target: target, mode: step.mode, timeout: step.timeout, headers: headers, holdAudio: holdAudio, brief: brief))
    )
    executed(
      "transfer",
      ["target": .string(renderHidden(step.target, as: target)), "mode": .string(step.mode.rawValue)])
    transferDeadline = now + step.timeout + Self.transferGrace
    if let last = frame.runs.indices.last { frame.runs[last].wait = .transfer }
  }

  /// The transfer has come out in some way, or was given up.
  mutating func transferred(_ status: String) {
    transferDeadline = nil
    isConnected = status == "connected"
    for i in frame.runs.indices {
      if case .transfer = frame.runs[i].wait { frame.runs[i].wait = .none }
    }
    if !isLeaving { events.append(Event(.transferResult, .status(status))) }
  }

  /// The default: after a failure the list goes on; a caller who has somebody else to talk to hears no more of the dialog.
  mutating func transferWasNotTaken() {
    if isConnected { frame.runs = [] }
  }

  mutating func sendDigits(_ digits: Template, durationMs: Int) {
    guard let keys = render(digits) else { return }
    let areKeys = decided(readsSecret(in: digits)) { _ in
      !keys.isEmpty && keys.count <= DigitPattern.lengthLimit && keys.allSatisfy { DigitPattern.keys.contains($0) }
    }
    let shown = renderHidden(digits, as: keys)
    guard areKeys else {
      return fail("send_dtmf", "`\(shown.prefix(40))` is not 1 to \(DigitPattern.lengthLimit) keys")
    }
    out.append(.sendDigits(keys, durationMs: durationMs))
    executed("send_dtmf", ["digits": .string(shown)])
  }
}
