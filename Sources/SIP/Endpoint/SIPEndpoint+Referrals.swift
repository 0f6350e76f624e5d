import Base

/// REFER within calls and the progress of what came of it (RFC 3515, 4488, 3892), both sides.
extension SIPEndpoint {
  // MARK: Theirs

  /// A REFER in an answered call.
  mutating func referred(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ call: SIPCall.Established, at now: Instant
  ) {
    let values = request.values(.referTo)
    guard values.count == 1, let referTo = values.first.flatMap({ SIPNameAddress($0) }) else {
      respond(server, status: 400, reason: "Refer-To must be there once", at: now)
      return
    }
    let key = SIPDialogKey(call.dialog)
    guard call.hangup == nil, referralIDs[key, default: []].count < configuration.limits.referrals else {
      respond(server, status: 500, headers: [soon()], at: now)
      return
    }
    let replaces = referTo.uri.header(named: "Replaces")
    guard replaces == nil || replaces.flatMap({ SIPReplaces($0) }) != nil else {
      respond(server, status: 400, reason: "Unusable Replaces in Refer-To", at: now)
      return
    }
    var target = referTo
    target.uri.headers = nil
    let method = target.uri.parameters.first(named: "method")?.value
    target.uri.parameters.removeAll { equalsIgnoringCase($0.name, "method") }
    let wantsProgress = request.first("Refer-Sub").map { !equalsIgnoringCase(mediaType($0), "false") } ?? true
    let referral = SIPReferralState(
      id: makeID(), isOurs: false, key: key, call: id, sequence: request.cseq.number, server: server,
      wantsProgress: wantsProgress, until: now + configuration.timers.transaction / 2)
    addReferral(referral)
    servers[server]?.call = id
    rearm(.referral(referral.id))
    emit(
      .referred(
        SIPCallHandle(value: id),
        SIPReferral(
          handle: referral.handle, target: target, method: method.map { SIPMethod($0) } ?? .invite,
          replaces: replaces.flatMap { SIPReplaces($0) },
          referredBy: request[.referredBy].flatMap { SIPNameAddress($0) }, wantsProgress: wantsProgress,
          request: request)))
  }

  /// Accepts a REFER with 202. Where progress is wanted, 100 is told at once; the rest is told with
  /// ``notify(_:status:reason:at:)``.
  public mutating func acceptRefer(_ referral: SIPReferralHandle, at now: Instant) -> [SIPAction] {
    guard var state = referrals[referral.value], !state.isOurs, let server = state.server else { return ignored() }
    state.server = nil
    state.isAccepted = true
    state.until = now + configuration.timers.referLimit
    state.isTold = false
    referrals[state.id] = state
    let quiet = state.wantsProgress ? [] : [SIPHeaderField("Refer-Sub", "false")]
    respond(server, status: 202, headers: quiet, at: now)
    if state.wantsProgress {
      tellProgress(state.id, at: now)
      rearm(.referral(state.id))
    } else {
      endReferral(state.id, isComplete: false)
    }
    return flush()
  }

  /// Refuses a REFER. Nothing more is told of it.
  public mutating func rejectRefer(
    _ referral: SIPReferralHandle, status: Int = 603, reason: String? = nil, at now: Instant
  ) -> [SIPAction] {
    guard let state = referrals[referral.value], !state.isOurs, let server = state.server,
      (300...699).contains(status)
    else { return ignored() }
    respond(server, status: status, reason: reason, at: now)
    removeReferral(state.id)
    return flush()
  }

  /// Tells the other side how the call that it asked for goes: the status of the last response to it. A final one ends the
  /// matter. Where several come quickly, the last is told.
  public mutating func notify(
    _ referral: SIPReferralHandle, status: Int, reason: String? = nil, at now: Instant
  ) -> [SIPAction] {
    guard var state = referrals[referral.value], !state.isOurs, state.isAccepted, !state.isEnding, !state.isExpired,
      !state.isFinal, (100...699).contains(status)
    else { return ignored() }
    state.progress = (status, reason ?? defaultReason(status))
    state.isTold = false
    referrals[state.id] = state
    tellProgress(state.id, at: now)
    return flush()
  }

  /// Sends the next NOTIFY; one at a time, so that none overtakes another.
  private mutating func tellProgress(_ id: UInt64, at now: Instant) {
    guard var state = referrals[id], state.notifying == nil, !state.isTold else { return }
    state.isEnding = state.isFinal || state.isExpired
    let left = max(0, (state.until - now).milliseconds / 1_000)
    let subscription =
      state.isFinal
      ? "terminated;reason=noresource" : state.isExpired ? "terminated;reason=timeout" : "active;expires=\(left)"
    let headers = [
      SIPHeaderField("Event", "refer;id=\(state.sequence)"), SIPHeaderField("Subscription-State", subscription),
    ]
    let body = SIPBody(
      contentType: "message/sipfrag;version=2.0",
      bytes: Array("SIP/2.0 \(state.progress.status) \(state.progress.reason)\r\n".utf8.filter { $0 != 0 }))
    guard let client = sendBeside(state, .notify, headers: headers, body: body, user: .notify(id), at: now) else {
      endReferral(id, isComplete: false)
      return
    }
    state.notifying = client
    state.isTold = true
    referrals[id] = state
  }

  mutating func notifyAnswered(_ id: UInt64, client: UInt64, status: Int, at now: Instant) {
    guard var state = referrals[id], state.notifying == client else { return }
    state.notifying = nil
    referrals[id] = state
    if state.isEnding || status >= 300 {
      // RFC 6665 4.2.2: whoever refuses a NOTIFY wants no more of them.
      endReferral(id, isComplete: state.isEnding && state.isFinal && status < 300)
    } else {
      tellProgress(id, at: now)
    }
  }

  // MARK: Ours

  /// Asks the other side of an answered call to call somebody else (blind transfer), or, with `replacing`, to take the place
  /// of a dialog there (attended transfer; see ``replaces(for:)``). What comes of it is told by `referral` events.
  public mutating func refer(
    _ call: SIPCallHandle, to target: SIPNameAddress, replacing: SIPReplaces? = nil,
    referredBy: SIPNameAddress? = nil, headers: [SIPHeaderField] = [], at now: Instant
  ) -> (SIPReferralHandle, [SIPAction]) {
    let id = makeID()
    let handle = SIPReferralHandle(value: id)
    guard case .established(var established) = calls[call.value]?.phase, established.hangup == nil,
      referralIDs[SIPDialogKey(established.dialog), default: []].count < configuration.limits.referrals
    else {
      emit(.referral(handle, .refused(status: 481, reason: "No answered call to refer, or too much at once")))
      return (handle, flush())
    }
    var target = target
    target.parameters = []
    if let replacing {
      target.uri.headers = (target.uri.headers.map { $0 + "&" } ?? "") + replacing.escaped
    }
    var fields = [SIPHeaderField("Refer-To", target.description)]
    if let referredBy { fields.append(SIPHeaderField("Referred-By", referredBy.description)) }
    fields.append(SIPHeaderField("Contact", contact(towards: established.dialog.peer)))
    fields.append(SIPHeaderField("Supported", supported))
    established.dialog.localSequence += 1
    let (bytes, branch) = makeRequest(.refer, within: established.dialog, headers: fields + headers)
    calls[call.value]?.phase = .established(established)
    addReferral(
      SIPReferralState(
        id: id, isOurs: true, key: SIPDialogKey(established.dialog), call: call.value,
        sequence: established.dialog.localSequence, wantsProgress: true,
        until: now + configuration.timers.referLimit))
    _ = makeClient(.refer, branch, bytes, to: established.dialog.peer, user: .refer(id), template: nil, at: now)
    rearm(.referral(id))
    return (handle, flush())
  }

  mutating func referAnswered(_ id: UInt64, status: Int, _ message: SIPMessage?, at now: Instant) {
    guard var state = referrals[id], state.isOurs else { return }
    guard (200..<300).contains(status) else {
      if state.isAccepted { return endReferral(id, isComplete: false) }
      removeReferral(id)
      emit(.referral(state.handle, .refused(status: status, reason: message?.reason ?? defaultReason(status))))
      return
    }
    // RFC 4488 4: then there is no subscription.
    let isQuiet = message?.first("Refer-Sub").map { equalsIgnoringCase(mediaType($0), "false") } ?? false
    if !state.isAccepted { emit(.referral(state.handle, .accepted(hasProgress: !isQuiet))) }
    if isQuiet { return endReferral(id, isComplete: false) }
    state.isAccepted = true
    referrals[id] = state
  }

  /// A NOTIFY in a dialog of ours, whether its call still lives or not.
  mutating func notified(_ key: SIPDialogKey, _ server: UInt64, _ request: SIPMessage, at now: Instant) {
    guard let event = request.eventPackage, event.name == "refer" else {
      respond(server, status: 489, headers: [SIPHeaderField("Allow-Events", "refer")], at: now)
      return
    }
    // Without an id it is about the first REFER.
    let candidates = referralIDs[key, default: []].compactMap { referrals[$0] }
    let found = candidates.first { $0.isOurs && (event.id == nil || event.id == String($0.sequence)) }
    guard var state = found else {
      respond(server, status: 481, at: now)
      return
    }
    respond(server, status: 200, at: now)
    if !state.isAccepted {
      // It was faster than the 202.
      state.isAccepted = true
      emit(.referral(state.handle, .accepted(hasProgress: true)))
    }
    if let told = request.fragmentStatus {
      state.progress = told
      emit(.referral(state.handle, .progress(status: told.status, reason: told.reason)))
    }
    referrals[state.id] = state
    if request.endsSubscription {
      endReferral(state.id, isComplete: state.isFinal)
    } else if state.isFinal {
      // The end of the subscription should have come with it.
      referrals[state.id]?.until = min(state.until, now + configuration.timers.transaction)
      rearm(.referral(state.id))
    }
  }

  // MARK: Both

  mutating func wakeReferral(_ id: UInt64, at now: Instant) {
    guard var state = referrals[id], !state.isEnding, !state.isExpired, now >= state.until else { return }
    if let server = state.server {
      // The owner has not said what it wants.
      respond(server, status: 603, at: now)
      endReferral(id, isComplete: false)
    } else if state.isOurs {
      endReferral(id, isComplete: state.isFinal)
    } else {
      state.isExpired = true
      state.isTold = false
      referrals[id] = state
      tellProgress(id, at: now)
    }
  }

  private mutating func endReferral(_ id: UInt64, isComplete: Bool) {
    guard let state = referrals[id] else { return }
    removeReferral(id)
    emit(.referral(state.handle, .ended(isComplete: isComplete)))
  }

  mutating func removeReferral(_ id: UInt64) {
    guard let state = referrals.removeValue(forKey: id) else { return }
    referralIDs[state.key]?.removeAll { $0 == id }
    if referralIDs[state.key]?.isEmpty == true {
      referralIDs[state.key] = nil
      detached[state.key] = nil
    }
  }

  private mutating func addReferral(_ state: SIPReferralState) {
    referrals[state.id] = state
    referralIDs[state.key, default: []].append(state.id)
  }

  /// A call is over. What it was asked to tell, or asked to be told, goes on in its dialog (RFC 5057 4.2).
  mutating func detachReferrals(of call: SIPCall, at now: Instant) {
    guard let ids = referralIDs[SIPDialogKey(callID: call.callID, localTag: call.localTag)] else { return }
    let dialog: SIPDialog
    switch call.phase {
    case .established(let established): dialog = established.dialog
    case .ending(let ending, _): dialog = ending
    case .offered, .calling: return
    }
    for state in ids.compactMap({ referrals[$0] }) where state.call == call.id {
      if let server = state.server {
        respond(server, status: 487, at: now)
        endReferral(state.id, isComplete: false)
      } else {
        referrals[state.id]?.call = nil
        detached[state.key] = dialog
      }
    }
  }

  /// A request in a dialog whose call is over.
  mutating func handleDetached(
    _ key: SIPDialogKey, _ server: UInt64, _ request: SIPMessage, _ dialog: SIPDialog, at now: Instant
  ) {
    var dialog = dialog
    guard dialog.remoteTag == request.from.tag ?? "", request.method == .notify else {
      respond(server, status: 481, at: now)
      return
    }
    guard inOrder(server, request, &dialog, at: now) else { return }
    detached[key] = dialog
    notified(key, server, request, at: now)
  }

  /// Sends a request in the dialog of a referral, wherever that is now; nil where it is gone.
  private mutating func sendBeside(
    _ state: SIPReferralState, _ method: SIPMethod, headers: [SIPHeaderField], body: SIPBody?,
    user: SIPClientTransaction.User, at now: Instant
  ) -> UInt64? {
    var dialog: SIPDialog
    switch state.call.flatMap({ calls[$0]?.phase }) {
    case .established(var established):
      established.dialog.localSequence += 1
      dialog = established.dialog
      calls[state.call ?? 0]?.phase = .established(established)
    case .ending(var ending, let cause):
      ending.localSequence += 1
      dialog = ending
      calls[state.call ?? 0]?.phase = .ending(ending, cause)
    case .offered, .calling, nil:
      guard let known = detached[state.key] else { return nil }
      dialog = known
      dialog.localSequence += 1
      detached[state.key] = dialog
    }
    let contact = SIPHeaderField("Contact", contact(towards: dialog.peer))
    let (bytes, branch) = makeRequest(method, within: dialog, headers: headers + [contact], body: body)
    return makeClient(method, branch, bytes, to: dialog.peer, user: user, template: nil, at: now)
  }
}
