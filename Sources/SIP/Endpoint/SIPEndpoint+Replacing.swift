import Base

/// Calls that take the place of others (RFC 3891).
extension SIPEndpoint {
  enum Replacement {
    case none
    case call(UInt64)
    case refused
  }

  /// What the other side of an answered call has to be told to be replaced: for the Refer-To of an attended transfer.
  public func replaces(for call: SIPCallHandle) -> SIPReplaces? {
    guard case .established(let established) = calls[call.value]?.phase else { return nil }
    let dialog = established.dialog
    return SIPReplaces(callID: dialog.callID, toTag: dialog.remoteTag, fromTag: dialog.localTag)
  }

  /// Where the other side of an answered call is reached: its Contact.
  public func remoteTarget(of call: SIPCallHandle) -> SIPURI? {
    guard case .established(let established) = calls[call.value]?.phase else { return nil }
    return established.dialog.remoteTarget
  }

  /// The call that an INVITE asks to replace (section 3). Refuses the INVITE where that cannot be.
  mutating func replacement(_ server: UInt64, _ request: SIPMessage, at now: Instant) -> Replacement {
    let values = request.lines(.replaces)
    guard !values.isEmpty else { return .none }
    guard values.count == 1, let replaces = SIPReplaces(values[0]) else {
      respond(server, status: 400, reason: "Unusable Replaces", at: now)
      return .refused
    }
    let status: Int
    let id = dialogs[SIPDialogKey(callID: replaces.callID, localTag: replaces.toTag)]
    switch id.flatMap({ calls[$0]?.phase }) {
    case .established(let call) where matches(call.dialog, replaces):
      if replaces.isEarlyOnly { status = 486 } else { status = call.hangup == nil ? 200 : 603 }
    case .ending(let dialog, _) where matches(dialog, replaces): status = 603
    case .calling(let calling) where calling.forks[replaces.fromTag] != nil:
      status = calling.withdrawn == nil ? 200 : 603
    // An early dialog that this side has not begun cannot be taken.
    case .established, .ending, .calling, .offered, nil: status = 481
    }
    guard status == 200, let id else {
      respond(server, status: status, at: now)
      return .refused
    }
    return .call(id)
  }

  /// Section 3: a tag of 0 also stands for none, as peers of RFC 2543 have it.
  private func matches(_ dialog: SIPDialog, _ replaces: SIPReplaces) -> Bool {
    dialog.remoteTag == replaces.fromTag || (dialog.remoteTag.isEmpty && replaces.fromTag == "0")
  }

  /// The new call has been answered: the old one ends.
  mutating func endReplaced(_ id: UInt64, at now: Instant) {
    switch calls[id]?.phase {
    case .established: hangUp(id, cause: .replaced, headers: [], at: now)
    case .calling: withdraw(id, cause: .replaced, at: now)
    case .offered, .ending, nil: break
    }
  }
}
