import Base

/// Calls that go from process to process: their dialogs are told, given up without a word, and gone on with.
extension SIPEndpoint {
  /// The dialog of an answered call; nil for every other.
  public func dialog(of call: SIPCallHandle) -> SIPDialogState? {
    guard let known = calls[call.value], case .established(let established) = known.phase else { return nil }
    var state = SIPDialogState(established.dialog, isOurs: known.isOurs)
    state.sessionTimer =
      established.timer.map { .init(seconds: $0.seconds, isOurs: $0.isOurs, minSE: established.minSE) }
      ?? established.keptTimer
    return state
  }

  /// Goes on with an answered call of a process that is gone. Until a ``reinvite(_:body:at:)`` has been answered, the peer
  /// still sends to where that process was.
  /// - Returns: nil where the dialog lives here already, the transport is not listened on, or there are too many calls.
  public mutating func adopt(_ state: SIPDialogState) -> SIPCallHandle? {
    let key = SIPDialogKey(callID: state.callID, localTag: state.localTag)
    guard configuration.localAddresses[state.peer.transport] != nil, dialogs[key] == nil,
      calls.count < configuration.limits.calls
    else { return nil }
    let id = makeID()
    let minSE = max(state.sessionTimer?.minSE ?? 0, configuration.minSE)
    var established = SIPCall.Established(dialog: SIPDialog(restoring: state), minSE: minSE)
    established.keptTimer = state.sessionTimer
    var call = SIPCall(
      id: id, callID: state.callID, localTag: state.localTag, isOurs: state.isOurs, phase: .established(established))
    call.isAdopted = true
    calls[id] = call
    dialogs[key] = id
    departed[key] = nil
    return call.handle
  }

  /// Forgets a call that another process has: nothing is sent for it any more, not even what is under way. There is no
  /// `ended` for its handle.
  public mutating func abandon(_ call: SIPCallHandle, at now: Instant) -> [SIPAction] {
    guard let known = calls.removeValue(forKey: call.value) else { return ignored() }
    let key = SIPDialogKey(callID: known.callID, localTag: known.localTag)
    dialogs[key] = nil
    // What has a final response stays: it only repeats what the peer has been told.
    let beside = Set(referralIDs[key, default: []])
    let sent = clients.filter { client in
      guard !client.value.hasFinal else { return false }
      return client.value.user.call == call.value || client.value.user.referral.map(beside.contains) == true
    }
    for id in sent.keys { removeClient(id) }
    let received = servers.filter { $0.value.call == call.value && $0.value.request != nil }
    for id in received.keys { removeServer(id) }
    for referral in beside { removeReferral(referral) }
    if case .established = known.phase { depart(key, at: now) }
    return flush()
  }

  /// The peer learns only from the successor's re-INVITE where the dialog is now. What it still sends here until then must
  /// not end the call: a 481 would.
  private mutating func depart(_ key: SIPDialogKey, at now: Instant) {
    if departed.count >= configuration.limits.calls { departed = departed.filter { $0.value > now } }
    guard departed.count < configuration.limits.calls else { return }
    departed[key] = now + configuration.timers.transaction
  }

  /// A request within a dialog that is not here.
  mutating func handleUnknownDialog(_ server: UInt64, _ request: SIPMessage, _ key: SIPDialogKey, at now: Instant) {
    guard let until = departed[key], now < until else {
      departed[key] = nil
      respond(server, status: 481, at: now)
      return
    }
    switch request.method {
    // The re-INVITE that is on its way to the peer is what this one has met (14.2).
    case .invite: respond(server, status: 491, at: now)
    // The successor hears of it when its re-INVITE is answered with 481.
    case .bye: respond(server, status: 200, at: now)
    default: respond(server, status: 500, headers: [SIPHeaderField("Retry-After", "1")], at: now)
    }
  }

  /// Tells the owner of a call's dialog where it wants to know.
  mutating func tellDialog(_ id: UInt64) {
    guard configuration.tellsDialogs, let state = dialog(of: SIPCallHandle(value: id)) else { return }
    emit(.dialogChanged(SIPCallHandle(value: id), state))
  }
}

extension SIPClientTransaction.User {
  var call: UInt64? {
    switch self {
    case .call(let id), .change(let id), .bye(let id), .refresh(let id), .info(let id), .prack(let id): id
    case .refer, .notify, .request, .nobody: nil
    }
  }

  var referral: UInt64? {
    switch self {
    case .refer(let id), .notify(let id): id
    case .call, .change, .bye, .refresh, .info, .prack, .request, .nobody: nil
    }
  }
}
