import Base

/// Changes of an established session, both ways: re-INVITE (RFC 3261 14) and UPDATE (RFC 3311).
extension SIPEndpoint {
  // MARK: Theirs

  mutating func remoteChange(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ call: SIPCall.Established, at now: Instant
  ) {
    guard acceptableBody(server, request, at: now), acceptableInterval(server, request, at: now) else { return }
    if call.remoteChange != nil {
      respond(server, status: 500, headers: [soon()], at: now)
      return
    }
    // Glare (14.2); an ACK that is still missing on either side is the same thing.
    guard call.localChange == nil, call.unacknowledged == nil, call.owed == nil, call.hangup == nil else {
      respond(server, status: 491, at: now)
      return
    }
    var call = call
    let offer = request.body
    call.remoteChange = .init(
      server: server, method: .invite, body: offer, until: now + configuration.timers.transaction)
    calls[id]?.phase = .established(call)
    servers[server]?.call = id
    rearm(.call(id))
    respond(server, status: 100, at: now)
    emit(.reinvite(SIPCallHandle(value: id), offer: offer))
  }

  /// An UPDATE in an established call. Without an offer it refreshes target and session, and nobody needs to be asked.
  mutating func remoteUpdate(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ call: SIPCall.Established, at now: Instant
  ) {
    guard acceptableBody(server, request, at: now), acceptableInterval(server, request, at: now) else { return }
    var call = call
    guard let offer = request.body else {
      let (headers, timer) = agreeTimer(request, current: call.timer, at: now)
      call.dialog.refreshTarget(request)
      call.timer = timer
      calls[id]?.phase = .established(call)
      respond(server, status: 200, headers: headers, at: now)
      rearm(.call(id))
      tellDialog(id)
      return
    }
    // RFC 3311 5.2: their earlier offer waits for its answer, or ours does.
    guard call.remoteChange == nil, call.owed == nil else {
      respond(server, status: 500, headers: [soon()], at: now)
      return
    }
    guard call.localChange == nil, call.unacknowledged?.hasOffer != true, call.hangup == nil else {
      respond(server, status: 491, at: now)
      return
    }
    call.remoteChange = .init(
      server: server, method: .update, body: offer, until: now + configuration.timers.transaction / 2)
    calls[id]?.phase = .established(call)
    servers[server]?.call = id
    rearm(.call(id))
    emit(.reinvite(SIPCallHandle(value: id), offer: offer))
  }

  /// Retry-After of up to ten seconds (14.2, RFC 3311 5.2).
  mutating func soon() -> SIPHeaderField { SIPHeaderField("Retry-After", String(random.next() % 11)) }

  // MARK: Our answers

  /// Accepts the other side's change: its re-INVITE, UPDATE, or the offer in its PRACK.
  public mutating func answerReinvite(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] {
    guard case .established(var established) = calls[call.value]?.phase else {
      return answerEarly(call.value, body: body, at: now)
    }
    guard let change = established.remoteChange, let request = servers[change.server]?.request else { return ignored() }
    let (headers, timer) = agreeTimer(request, current: established.timer, at: now)
    if change.method == .invite {
      guard
        let unacknowledged = accept(
          change.server, hasOffer: change.body == nil && body != nil, body: body, headers: headers, at: now)
      else { return ignored() }
      established.unacknowledged = unacknowledged
    } else {
      respond(change.server, status: 200, headers: headers, body: body, at: now)
    }
    established.remoteChange = nil
    established.timer = timer
    established.dialog.refreshTarget(request)
    if let body { established.localBody = body }
    calls[call.value]?.phase = .established(established)
    rearm(.call(call.value))
    tellDialog(call.value)
    return flush()
  }

  /// Refuses the other side's change (488): the session stays as it was.
  public mutating func rejectReinvite(
    _ call: SIPCallHandle, status: Int = 488, reason: String? = nil, at now: Instant
  ) -> [SIPAction] {
    guard (300...699).contains(status) else { return ignored() }
    guard case .established(var established) = calls[call.value]?.phase else {
      return rejectEarly(call.value, status: status, reason: reason, at: now)
    }
    guard let change = established.remoteChange else { return ignored() }
    respond(change.server, status: status, reason: reason, at: now)
    established.remoteChange = nil
    calls[call.value]?.phase = .established(established)
    rearm(.call(call.value))
    tellDialog(call.value)
    return flush()
  }

  // MARK: Ours

  /// Changes the session: `body` is the offer, nil asks for one. Waits its turn behind other changes and glare; a second one
  /// that waits replaces the first.
  public mutating func reinvite(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] {
    change(call, method: .invite, body: body, at: now)
  }

  /// Changes the session with UPDATE, which needs no ACK and also works before the call is answered, once offer and answer
  /// have been exchanged reliably. In an answered call it falls back to re-INVITE where the other side does not take UPDATE.
  /// What comes of it is told as of a re-INVITE.
  public mutating func update(_ call: SIPCallHandle, body: SIPBody, at now: Instant) -> [SIPAction] {
    guard case .established(let established) = calls[call.value]?.phase else {
      return updateEarly(call.value, body: body, at: now)
    }
    return change(call, method: established.dialog.allowsUpdate ? .update : .invite, body: body, at: now)
  }

  private mutating func change(
    _ call: SIPCallHandle, method: SIPMethod, body: SIPBody?, at now: Instant
  ) -> [SIPAction] {
    guard case .established(var established) = calls[call.value]?.phase, established.hangup == nil else {
      return ignored()
    }
    established.queued = .init(method: method, body: body, attempts: 0, at: now)
    calls[call.value]?.phase = .established(established)
    startChange(call.value, at: now)
    rearm(.call(call.value))
    return flush()
  }

  /// Sends the queued change where its time has come.
  mutating func startChange(_ id: UInt64, at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, let queued = call.queued, call.isStable, call.hangup == nil,
      queued.at <= now
    else { return }
    call.queued = nil
    let kept = call.keptTimer
    call.keptTimer = nil
    if let kept, call.timer == nil {
      call.timer = SIPSessionTimer(seconds: max(kept.seconds, configuration.minSE, 1), isOurs: kept.isOurs, at: now)
    }
    call.dialog.localSequence += 1
    let client: UInt64
    if queued.method == .invite {
      let (bytes, template) = makeInvite(
        within: call.dialog, headers: timerHeaders(call.timer, minSE: call.minSE), body: queued.body)
      client = makeClient(
        .invite, template.branch, bytes, to: call.dialog.peer, user: .change(id), template: template, at: now)
    } else {
      let (bytes, branch) = makeUpdate(
        within: call.dialog, timer: call.timer, minSE: call.minSE, body: queued.body)
      client = makeClient(.update, branch, bytes, to: call.dialog.peer, user: .change(id), template: nil, at: now)
    }
    call.localChange = .init(
      client: client, method: queued.method, body: queued.body, attempts: queued.attempts,
      until: now + configuration.timers.ringLimit, isRefresh: queued.isRefresh)
    calls[id]?.phase = .established(call)
    rearm(.call(id))
  }

  mutating func makeUpdate(
    within dialog: SIPDialog, timer: SIPSessionTimer?, minSE: Int?, body: SIPBody?
  ) -> (bytes: [UInt8], branch: String) {
    var headers = [SIPHeaderField("Contact", contact(towards: dialog.peer)), allow]
    headers.append(SIPHeaderField("Supported", supported))
    if let minSE { headers += timerHeaders(timer, minSE: minSE) }
    return makeRequest(.update, within: dialog, headers: headers, body: body)
  }

  /// A response to our re-INVITE or UPDATE. `message` is nil where none came.
  mutating func changeAnswered(
    _ id: UInt64, client: UInt64, status: Int, _ message: SIPMessage?, from peer: SIPPeer?, at now: Instant
  ) {
    guard status >= 200 else { return }
    guard case .established(var call) = calls[id]?.phase else {
      earlyUpdateAnswered(id, client: client, status: status, message, at: now)
      return
    }
    guard let change = call.localChange, change.client == client else { return }
    call.localChange = nil
    if (200..<300).contains(status), let message {
      changeAccepted(id, call, change, message, at: now)
      return
    }
    if call.queued == nil,
      let again = retry(&call, change, status, message, isOurs: calls[id]?.isOurs == true, at: now),
      change.attempts < glareLimit(id)
    {
      call.queued = again
      calls[id]?.phase = .established(call)
      // Glare waits for its timer, however short that is.
      if status != 491 { startChange(id, at: now) }
      rearm(.call(id))
      return
    }
    if change.isRefresh { refreshRefused(&call, status, message, at: now) }
    calls[id]?.phase = .established(call)
    rearm(.call(id))
    if status == 481 || status == 408 {
      // 12.2.1.2: the other side has lost the dialog; a BYE tells it, in case it has not.
      sayBye(id, cause: .dialogLost, headers: [], at: now)
    } else if !change.isRefresh {
      tellDialog(id)
      emit(
        .reinviteFailed(
          SIPCallHandle(value: id), status: status, reason: message?.reason ?? defaultReason(status)))
    }
  }

  private mutating func changeAccepted(
    _ id: UInt64, _ call: SIPCall.Established, _ change: SIPCall.LocalChange, _ message: SIPMessage, at now: Instant
  ) {
    var call = call
    call.dialog.refreshTarget(message)
    call.timer = timer(from: message, at: now)
    if let body = change.body { call.localBody = body }
    let needsAnswer = change.method == .invite && change.body == nil && message.body != nil
    if needsAnswer {
      call.owed = .init(
        client: change.client, sequence: message.cseq.number, until: now + configuration.timers.transaction)
    } else if change.method == .invite {
      sendAck(call.dialog, sequence: message.cseq.number, client: change.client, body: nil)
    }
    calls[id]?.phase = .established(call)
    rearm(.call(id))
    tellDialog(id)
    if !change.isRefresh {
      emit(.reinviteAnswered(SIPCallHandle(value: id), body: message.body, needsAnswer: needsAnswer))
    }
  }

  /// How a refused change is tried again; nil where it is not.
  private mutating func retry(
    _ call: inout SIPCall.Established, _ change: SIPCall.LocalChange, _ status: Int, _ message: SIPMessage?,
    isOurs: Bool, at now: Instant
  ) -> SIPCall.Queued? {
    var again = SIPCall.Queued(
      method: change.method, body: change.body, attempts: change.attempts + 1, at: now, isRefresh: change.isRefresh)
    switch status {
    case 491: again.at = now + glareWait(isOurs: isOurs)
    case 500:
      // 14.2: theirs was under way. A server that is overloaded asks for more patience than a call has.
      guard let seconds = message?.retryAfterSeconds, seconds <= 10 else { return nil }
      again.at = now + .seconds(Int64(seconds))
    case 422:
      guard let minSE = message?.minSE, minSE > call.minSE else { return nil }
      call.minSE = minSE
    case 405, 501:
      guard change.method == .update else { return nil }
      call.dialog.allowsUpdate = false
      again.method = .invite
    default: return nil
    }
    return again
  }

  /// 14.1: between 2.1 and 4 s where the Call-ID is ours, else up to 2 s, in steps of 10 ms.
  mutating func glareWait(isOurs: Bool) -> Duration {
    .milliseconds(10 * Int64(isOurs ? 210 + random.next() % 191 : random.next() % 201))
  }

  /// How often glare is tried again. In a call of another process the peer's own INVITE may wait for that one until its
  /// transaction ends, 64*T1 from now; attempts are a second apart on average.
  private func glareLimit(_ id: UInt64) -> Int { calls[id]?.isAdopted == true ? 32 : 5 }
}
