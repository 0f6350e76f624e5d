import Base

/// Reliable provisional responses (RFC 3262), both sides.
extension SIPEndpoint {
  // MARK: Ours

  mutating func sendProvisional(
    _ offered: inout SIPCall.Offered, status: Int, body: SIPBody?, headers: [SIPHeaderField], at now: Instant
  ) {
    var body = body
    if offered.takesReliable, offered.early.exchange == .done || offered.early.exchange == .ourOffer {
      // The caller has our description for certain: a second one would be another offer or answer.
      body = nil
    }
    let isReliable =
      offered.takesReliable && (body != nil || offered.wantsReliable || configuration.reliability == .always)
    guard isReliable else {
      respond(offered.server, status: status, headers: headers, body: body, at: now)
      return
    }
    guard offered.reliable == nil else {
      // One at a time, so that they cannot overtake each other; only the newest is worth the wait.
      offered.queued = (status, body ?? offered.queued?.body, headers)
      return
    }
    offered.rseq += 1
    let reliability = [SIPHeaderField("Require", "100rel"), SIPHeaderField("RSeq", String(offered.rseq))]
    guard let sequence = servers[offered.server]?.request?.cseq.number,
      let bytes = respond(offered.server, status: status, headers: reliability + headers, body: body, at: now)
    else { return }
    let timers = configuration.timers
    offered.reliable = SIPReliable(
      rseq: offered.rseq, sequence: sequence, response: bytes, body: body, resendAt: now + timers.t1,
      interval: timers.t1, until: now + timers.transaction)
    guard body != nil else { return }
    offered.early.localBody = body
    offered.early.exchange = offered.early.exchange == .theirOffer ? .done : .ourOffer
  }

  /// RFC 3262 3: over every transport, at intervals that double without a bound.
  mutating func repeatProvisional(_ offered: inout SIPCall.Offered, _ reliable: SIPReliable, at now: Instant) {
    guard let peer = servers[offered.server]?.replyPeer else { return }
    counters.retransmissionsSent += 1
    send(reliable.response, to: peer)
    var next = reliable
    next.interval = next.interval * 2
    next.resendAt = now + next.interval
    offered.reliable = next
  }

  /// A PRACK for a call that has not been answered.
  mutating func acknowledgedProvisional(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ offered: SIPCall.Offered, at now: Instant
  ) {
    guard let ack = request[.rack].flatMap({ SIPReliableAck($0) }) else {
      respond(server, status: 400, reason: "Missing or unusable RAck", at: now)
      return
    }
    guard let reliable = offered.reliable, ack.rseq == reliable.rseq, ack.sequence.number == reliable.sequence,
      ack.sequence.method == .invite
    else {
      respond(server, status: 481, at: now)
      return
    }
    guard acceptableBody(server, request, at: now) else { return }
    var offered = offered
    offered.reliable = nil
    var answer: SIPBody?
    if let body = request.body {
      switch offered.early.exchange {
      case .ourOffer:
        answer = body
        offered.early.exchange = .done
        offered.early.remoteBody = body
      case .done where offered.early.remoteChange == nil && offered.early.localChange == nil:
        offered.early.remoteChange = .init(
          server: server, method: .prack, body: body, until: now + configuration.timers.transaction / 2)
        servers[server]?.call = id
      case .done, .nothing, .theirOffer:
        // An offer while another waits for its answer: the response has been acknowledged all the same.
        calls[id]?.phase = .offered(offered)
        respond(server, status: 491, at: now)
        provisionalDone(id, at: now)
        return
      }
    }
    calls[id]?.phase = .offered(offered)
    if let change = offered.early.remoteChange, change.server == server {
      emit(.provisionalAcknowledged(SIPCallHandle(value: id), body: nil))
      emit(.reinvite(SIPCallHandle(value: id), offer: change.body))
    } else {
      respond(server, status: 200, at: now)
      emit(.provisionalAcknowledged(SIPCallHandle(value: id), body: answer))
    }
    provisionalDone(id, at: now)
  }

  /// What had to wait for the PRACK has its turn.
  private mutating func provisionalDone(_ id: UInt64, at now: Instant) {
    guard case .offered(var offered) = calls[id]?.phase else { return }
    if offered.answer == nil, let next = offered.queued {
      offered.queued = nil
      sendProvisional(&offered, status: next.status, body: next.body, headers: next.headers, at: now)
      calls[id]?.phase = .offered(offered)
    }
    sendAnswer(id, at: now)
    rearm(.call(id))
  }

  // MARK: Theirs

  /// A provisional response to our INVITE.
  mutating func progressed(
    _ id: UInt64, _ template: SIPInviteTemplate, _ response: SIPMessage, from peer: SIPPeer, at now: Instant
  ) {
    guard case .calling(var calling) = calls[id]?.phase else { return }
    let tag = response.to.tag ?? ""
    var early = calling.forks[tag]
    if !tag.isEmpty, early != nil || calling.forks.count < configuration.limits.forks,
      var dialog = SIPDialog(outgoing: template, response: response, from: peer)
    {
      if let early { dialog.resume(early.dialog, response) }
      if early == nil {
        early = SIPEarly(dialog: dialog, exchange: template.hasOffer ? .ourOffer : .nothing)
      } else {
        early?.dialog = dialog
      }
    }
    let rseq = response.reliableSequence
    var needsAnswer = false
    if let rseq {
      // RFC 3262 4: neither what came before nor what is out of order is acknowledged or looked at.
      guard early != nil, early?.lastRSeq.map({ rseq == $0 &+ 1 }) ?? true else {
        counters.retransmissionsReceived += 1
        return
      }
      early?.lastRSeq = rseq
      if let body = response.body {
        switch early?.exchange {
        case .ourOffer:
          early?.exchange = .done
          early?.localBody = calling.invite.body
          early?.remoteBody = body
        case .nothing where calling.withdrawn == nil:
          early?.exchange = .theirOffer
          early?.remoteBody = body
          early?.owedRSeq = rseq
          needsAnswer = true
        case .nothing, .theirOffer, .done, nil: break
        }
      }
    }
    calling.forks[tag] = early
    calls[id]?.phase = .calling(calling)
    if let rseq, !needsAnswer { sendPrack(id, tag, template, rseq: rseq, body: nil, at: now) }
    guard response.status > 100, calling.withdrawn == nil else { return }
    emit(
      .progress(
        SIPCallHandle(value: id),
        SIPProgress(
          status: response.status, reason: response.reason, fork: tag, body: response.body, isReliable: rseq != nil,
          needsAnswer: needsAnswer, message: response)))
  }

  private mutating func sendPrack(
    _ id: UInt64, _ tag: String, _ template: SIPInviteTemplate, rseq: UInt32, body: SIPBody?, at now: Instant
  ) {
    guard case .calling(var calling) = calls[id]?.phase, var early = calling.forks[tag] else { return }
    early.dialog.localSequence += 1
    let ack = SIPHeaderField("RAck", "\(rseq) \(template.sequence) INVITE")
    let (bytes, branch) = makeRequest(.prack, within: early.dialog, headers: [ack], body: body)
    early.pracking = makeClient(
      .prack, branch, bytes, to: early.dialog.peer, user: .prack(id), template: nil, at: now)
    clients[calling.client]?.sequences[tag] = early.dialog.localSequence
    calling.forks[tag] = early
    calls[id]?.phase = .calling(calling)
  }

  /// The owner's answer to the offer of a reliable provisional response.
  mutating func acknowledgeEarly(
    _ id: UInt64, _ calling: SIPCall.Calling, _ body: SIPBody?, at now: Instant
  ) -> [SIPAction] {
    var calling = calling
    guard let template = clients[calling.client]?.template,
      let (tag, fork) = calling.forks.filter({ $0.value.owedRSeq != nil }).min(by: { $0.key < $1.key }),
      let rseq = fork.owedRSeq
    else { return ignored() }
    calling.forks[tag]?.owedRSeq = nil
    calling.forks[tag]?.localBody = body
    calling.forks[tag]?.exchange = .done
    calls[id]?.phase = .calling(calling)
    sendPrack(id, tag, template, rseq: rseq, body: body, at: now)
    return flush()
  }

  /// A PRACK of ours was answered, or nobody answered it. If it was refused, its response will be repeated or the call will.
  mutating func pracked(_ id: UInt64, client: UInt64, at now: Instant) {
    guard case .calling(var calling) = calls[id]?.phase,
      let tag = calling.forks.first(where: { $0.value.pracking == client })?.key
    else { return }
    calling.forks[tag]?.pracking = nil
    calls[id]?.phase = .calling(calling)
    startQueuedUpdates(id, at: now)
    rearm(.call(id))
  }
}
