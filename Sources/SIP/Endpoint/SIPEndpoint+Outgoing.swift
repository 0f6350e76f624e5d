import Base

/// Our calls: the INVITE client side of RFC 3261 13.2 with forked answers, and CANCEL.
extension SIPEndpoint {
  /// Places a call.
  public mutating func invite(_ invite: SIPInvite, at now: Instant) -> (SIPCallHandle, [SIPAction]) {
    let id = makeID()
    let handle = SIPCallHandle(value: id)
    guard configuration.localAddresses[invite.peer.transport] != nil else {
      emit(.ended(handle, SIPEnd(.transportFailed, reason: "No local address for \(invite.peer.transport.rawValue)")))
      return (handle, flush())
    }
    guard invite.target.scheme != .sips || invite.peer.transport.isSecure else {
      emit(.ended(handle, SIPEnd(.transportFailed, reason: "A sips target needs TLS")))
      return (handle, flush())
    }
    guard calls.count < configuration.limits.calls, transactionCount < configuration.limits.transactions else {
      counters.overloaded += 1
      emit(.ended(handle, SIPEnd(.refused, status: 503, reason: "Too many calls")))
      return (handle, flush())
    }
    let tag = invite.fromTag ?? random.token(10)
    var from = invite.from
    from.tag = tag
    let callID = invite.callID ?? random.token(24)
    let to = invite.to ?? SIPNameAddress(uri: invite.target)
    let headers = timerHeaders(nil, minSE: configuration.minSE) + replacing(invite)
    let (bytes, template) = makeInvite(
      uri: invite.target.description, target: invite.target, from: from.description, fromTag: tag,
      to: to.description, callID: callID, sequence: invite.cseq ?? 1, routes: invite.routes,
      peer: invite.peer, headers: headers + invite.headers, body: invite.body)
    let client = makeClient(
      .invite, template.branch, bytes, to: invite.peer, user: .call(id), template: template,
      credentials: invite.credentials, at: now)
    calls[id] = SIPCall(
      id: id, callID: callID, localTag: tag, isOurs: true,
      phase: .calling(
        .init(
          client: client, limitAt: now + configuration.timers.ringLimit, invite: invite, minSE: configuration.minSE)))
    calls[id]?.credentials = invite.credentials
    dialogs[SIPDialogKey(callID: callID, localTag: tag)] = id
    rearm(.call(id))
    return (handle, flush())
  }

  /// Whoever cannot replace a call is not to ring beside it.
  private func replacing(_ invite: SIPInvite) -> [SIPHeaderField] {
    invite.replaces.map { [SIPHeaderField("Replaces", $0.description), SIPHeaderField("Require", "replaces")] } ?? []
  }

  /// Withdraws our call. Where the other side's 200 is faster, the call is acknowledged and hung up at once.
  public mutating func cancel(_ call: SIPCallHandle, at now: Instant) -> [SIPAction] {
    guard case .calling(let calling) = calls[call.value]?.phase, calling.withdrawn == nil else { return ignored() }
    withdraw(call.value, cause: .localCancel, at: now)
    return flush()
  }

  /// Does not want the call any more. CANCEL waits for a provisional response (9.1).
  mutating func withdraw(_ id: UInt64, cause: SIPEnd.Cause, at now: Instant) {
    guard case .calling(var calling) = calls[id]?.phase, calling.withdrawn == nil else { return }
    calling.withdrawn = cause
    // A peer that answers neither the CANCEL nor the INVITE is given up after 64*T1.
    calling.limitAt = now + configuration.timers.transaction
    if case .invite(let machine) = clients[calling.client]?.machine, case .proceeding = machine.state {
      calling.isCancelSent = true
      sendCancel(client: calling.client, at: now)
    }
    calls[id]?.phase = .calling(calling)
    rearm(.call(id))
  }

  mutating func callingTimedOut(_ id: UInt64, _ calling: SIPCall.Calling, at now: Instant) {
    var calling = calling
    for (tag, fork) in calling.forks {
      guard let change = fork.remoteChange, now >= change.until else { continue }
      respond(change.server, status: 504, at: now)
      calling.forks[tag]?.remoteChange = nil
    }
    calls[id]?.phase = .calling(calling)
    startQueuedUpdates(id, at: now)
    guard now >= calling.limitAt else { return }
    guard let cause = calling.withdrawn else {
      withdraw(id, cause: .timeout, at: now)
      return
    }
    // In Proceeding the transaction has no timer of its own; without any answer by now there is none to come.
    removeClient(calling.client)
    end(id, SIPEnd(cause, status: cause == .timeout ? 408 : 0), at: now)
  }

  /// A response to the first INVITE of a call.
  mutating func inviteAnswered(
    _ id: UInt64, _ client: SIPClientTransaction, id clientID: UInt64, _ response: SIPMessage, from peer: SIPPeer,
    at now: Instant
  ) {
    guard let template = client.template else { return }
    guard case .calling(var calling) = calls[id]?.phase, calling.client == clientID else {
      answeredAgain(id, template, client: clientID, response, from: peer, at: now)
      return
    }
    switch response.status {
    case ..<200:
      if calling.withdrawn != nil, !calling.isCancelSent {
        calling.isCancelSent = true
        sendCancel(client: clientID, at: now)
      }
      calls[id]?.phase = .calling(calling)
      progressed(id, template, response, from: peer, at: now)
    case ..<300: accepted(id, calling, template, client: clientID, response, from: peer, at: now)
    default: refused(id, calling, template, response, at: now)
    }
  }

  private mutating func accepted(
    _ id: UInt64, _ calling: SIPCall.Calling, _ template: SIPInviteTemplate, client: UInt64, _ response: SIPMessage,
    from peer: SIPPeer, at now: Instant
  ) {
    guard var dialog = SIPDialog(outgoing: template, response: response, from: peer) else {
      // Without tag or Contact there is nobody to acknowledge to.
      end(
        id, SIPEnd(.refused, status: response.status, reason: "2xx without To tag or Contact", message: response),
        at: now)
      return
    }
    let early = calling.forks[dialog.remoteTag]
    if let early { dialog.resume(early.dialog, response) }
    // 13.2.1: what came reliably is the answer; any description after it is ignored.
    let isEarly = early?.exchange == .done
    let offer = template.hasOffer || isEarly ? nil : response.body
    var established = SIPCall.Established(dialog: dialog, minSE: calling.minSE)
    established.localBody = isEarly ? early?.localBody : calling.invite.body
    established.remoteChange = early?.remoteChange
    established.localChange = early?.localChange
    established.queued = early?.queued.map {
      .init(method: .update, body: $0.body, attempts: $0.attempts, at: $0.at)
    }
    established.timer = timer(from: response, at: now)
    if calling.withdrawn == nil, offer != nil {
      established.owed = .init(
        client: client, sequence: template.sequence, until: now + configuration.timers.transaction)
    } else {
      sendAck(dialog, sequence: template.sequence, client: client, body: nil)
    }
    for (tag, fork) in calling.forks where tag != dialog.remoteTag {
      if let change = fork.remoteChange { respond(change.server, status: 487, at: now) }
    }
    calls[id]?.phase = .established(established)
    rearm(.call(id))
    if let cause = calling.withdrawn {
      sayBye(id, cause: cause, headers: [], at: now)
      return
    }
    tellDialog(id)
    emit(
      .answered(
        SIPCallHandle(value: id),
        SIPAnswer(
          status: response.status, body: isEarly ? early?.remoteBody : response.body, needsAnswer: offer != nil,
          isEarly: isEarly, fork: dialog.remoteTag, message: response)))
  }

  private mutating func refused(
    _ id: UInt64, _ calling: SIPCall.Calling, _ template: SIPInviteTemplate, _ response: SIPMessage, at now: Instant
  ) {
    if response.status == 422, calling.withdrawn == nil, calling.attempts < Self.intervalAttempts,
      let minSE = response.minSE, minSE > calling.minSE
    {
      var again = calling
      again.attempts += 1
      again.minSE = minSE
      inviteAgain(id, again, template, headers: timerHeaders(nil, minSE: minSE) + replacing(calling.invite), at: now)
      return
    }
    let cause: SIPEnd.Cause =
      switch response.status {
      case _ where calling.withdrawn != nil: calling.withdrawn ?? .localCancel
      case ..<400: .redirected
      case 401, 407: .challenged
      case 408: .timeout
      default: .refused
      }
    end(id, SIPEnd(cause, status: response.status, reason: response.reason, message: response), at: now)
  }

  /// How often an INVITE is tried again because its session interval was too small (RFC 4028 7.3): every proxy on the way may
  /// raise it once.
  private static let intervalAttempts = 5

  /// The same call once more with other headers: same Call-ID and From tag, the next CSeq (8.1.3.5).
  private mutating func inviteAgain(
    _ id: UInt64, _ calling: SIPCall.Calling, _ template: SIPInviteTemplate, headers: [SIPHeaderField], at now: Instant
  ) {
    var calling = calling
    let invite = calling.invite
    let (bytes, template) = makeInvite(
      uri: template.uri, target: template.target, from: template.from, fromTag: template.fromTag, to: template.to,
      callID: template.callID, sequence: template.sequence + 1, routes: template.routes, peer: invite.peer,
      headers: headers + invite.headers, body: invite.body)
    calling.client = makeClient(
      .invite, template.branch, bytes, to: invite.peer, user: .call(id), template: template, at: now)
    for change in calling.forks.values.compactMap(\.remoteChange) { respond(change.server, status: 487, at: now) }
    calling.forks = [:]
    calls[id]?.phase = .calling(calling)
    rearm(.call(id))
  }

  /// A 2xx that comes when the call has been answered already, or is gone: another fork, or one that was too late. It is
  /// acknowledged, and hung up unless it is the call's own.
  private mutating func answeredAgain(
    _ id: UInt64, _ template: SIPInviteTemplate, client: UInt64, _ response: SIPMessage, from peer: SIPPeer,
    at now: Instant
  ) {
    guard (200..<300).contains(response.status),
      var dialog = SIPDialog(outgoing: template, response: response, from: peer)
    else { return }
    // The owner has not given its answer yet.
    if case .established(let call) = calls[id]?.phase, call.dialog.remoteTag == dialog.remoteTag { return }
    sendAck(dialog, sequence: template.sequence, client: client, body: nil)
    dialog.localSequence = max(dialog.localSequence, clients[client]?.sequences[dialog.remoteTag] ?? 0) + 1
    let (bytes, branch) = makeRequest(.bye, within: dialog)
    _ = makeClient(
      .bye, branch, bytes, to: dialog.peer, user: .nobody, template: nil,
      credentials: clients[client]?.attempt?.credentials, at: now)
  }

  /// Nothing came for our first INVITE: 408, or 503 where it could not be sent.
  mutating func inviteUnanswered(_ id: UInt64, client: UInt64, status: Int, at now: Instant) {
    guard case .calling(let calling) = calls[id]?.phase, calling.client == client else { return }
    let cause = calling.withdrawn ?? (status == 503 ? .transportFailed : .timeout)
    end(id, SIPEnd(cause, status: status, reason: defaultReason(status)), at: now)
  }

  /// Sends our answer to an offer that came in a 2xx or a reliable provisional response (`needsAnswer`): in the ACK, or in
  /// the PRACK.
  public mutating func acknowledge(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] {
    if case .calling(let calling) = calls[call.value]?.phase {
      return acknowledgeEarly(call.value, calling, body, at: now)
    }
    guard case .established(var established) = calls[call.value]?.phase, let owed = established.owed else {
      return ignored()
    }
    established.owed = nil
    if let body { established.localBody = body }
    calls[call.value]?.phase = .established(established)
    sendAck(established.dialog, sequence: owed.sequence, client: owed.client, body: body)
    rearm(.call(call.value))
    return flush()
  }
}
