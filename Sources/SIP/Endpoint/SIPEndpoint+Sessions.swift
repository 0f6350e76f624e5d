import Base

/// Established calls: requests within the dialog, re-INVITE both ways (RFC 3261 14), BYE both ways (15).
extension SIPEndpoint {
  // MARK: Their requests

  mutating func handleWithin(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, from peer: SIPPeer, at now: Instant
  ) {
    let remoteTag = request.from.tag ?? ""
    switch calls[id]?.phase {
    case .offered(var offered):
      guard offered.dialog.remoteTag == remoteTag else {
        respond(server, status: 481, at: now)
        return
      }
      guard inOrder(server, request, &offered.dialog, at: now) else { return }
      calls[id]?.phase = .offered(offered)
      switch request.method {
      case .bye:
        respond(server, status: 200, at: now)
        respond(offered.server, status: 487, at: now)
        end(id, SIPEnd(.remoteHangup, reason: request[.reason] ?? "", message: request))
      case .invite: respond(server, status: 491, at: now)
      default: handleInformation(server, request, at: now)
      }
    case .calling(let calling):
      // A callee may send a BYE only when it has answered: its 2xx is still on the way, or lost.
      guard calling.forks[remoteTag] != nil, request.method == .bye else {
        respond(server, status: calling.forks[remoteTag] == nil ? 481 : request.method == .invite ? 491 : 405, at: now)
        return
      }
      respond(server, status: 200, at: now)
      withdraw(id, cause: .remoteHangup, at: now)
    case .established(var call):
      guard call.dialog.remoteTag == remoteTag else {
        respond(server, status: 481, at: now)
        return
      }
      guard inOrder(server, request, &call.dialog, at: now) else { return }
      if peer.transport == call.dialog.peer.transport, peer.transport.isReliable { call.dialog.peer = peer }
      calls[id]?.phase = .established(call)
      switch request.method {
      case .bye: remoteBye(id, server, request, call, at: now)
      case .invite: remoteChange(id, server, request, call, at: now)
      default: handleInformation(server, request, at: now)
      }
    case .ending(let dialog, let cause):
      guard request.method == .bye, dialog.remoteTag == remoteTag else {
        respond(server, status: 481, at: now)
        return
      }
      // BYEs that cross are both right. One that our re-INVITE overtook says why its answer was 481.
      respond(server, status: 200, at: now)
      if cause == .dialogLost { calls[id]?.phase = .ending(dialog, .remoteHangup) }
    case nil: respond(server, status: 481, at: now)
    }
  }

  /// 12.2.2: a request with an old sequence number is refused.
  private mutating func inOrder(
    _ server: UInt64, _ request: SIPMessage, _ dialog: inout SIPDialog, at now: Instant
  ) -> Bool {
    if let last = dialog.remoteSequence, request.cseq.number <= last {
      respond(server, status: 500, reason: "CSeq Out Of Order", at: now)
      return false
    }
    dialog.remoteSequence = request.cseq.number
    return true
  }

  /// What is neither INVITE nor BYE.
  private mutating func handleInformation(_ server: UInt64, _ request: SIPMessage, at now: Instant) {
    switch request.method {
    case .options: respond(server, status: 200, headers: capabilities, body: configuration.optionsBody, at: now)
    case .info where request.bodyBytes.isEmpty: respond(server, status: 200, at: now)
    // RFC 6086 4.2.2: without a package that we know, a body cannot be understood.
    case .info: respond(server, status: 415, headers: [SIPHeaderField("Accept", "application/sdp")], at: now)
    default: respond(server, status: 405, headers: [allow], at: now)
    }
  }

  private mutating func remoteBye(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ call: SIPCall.Established, at now: Instant
  ) {
    respond(server, status: 200, at: now)
    // 15.1.2: what is pending is still answered.
    if let change = call.remoteChange { respond(change.server, status: 487, at: now) }
    if let change = call.localChange { abandon(client: change.client, at: now) }
    end(id, SIPEnd(.remoteHangup, reason: request[.reason] ?? "", message: request))
  }

  private mutating func remoteChange(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ call: SIPCall.Established, at now: Instant
  ) {
    guard acceptableBody(server, request, at: now) else { return }
    if call.remoteChange != nil {
      let seconds = String(random.next() % 11)
      respond(server, status: 500, headers: [SIPHeaderField("Retry-After", seconds)], at: now)
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
      server: server, hasOffer: offer != nil, until: now + configuration.timers.transaction)
    calls[id]?.phase = .established(call)
    servers[server]?.call = id
    rearm(.call(id))
    respond(server, status: 100, at: now)
    emit(.reinvite(SIPCallHandle(value: id), offer: offer))
  }

  // MARK: Our answers

  /// Accepts the other side's re-INVITE.
  public mutating func answerReinvite(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] {
    guard case .established(var established) = calls[call.value]?.phase, let change = established.remoteChange,
      let request = servers[change.server]?.request,
      let unacknowledged = accept(
        change.server, hasOffer: !change.hasOffer && body != nil, body: body, headers: [], at: now)
    else { return ignored() }
    established.remoteChange = nil
    established.unacknowledged = unacknowledged
    established.dialog.refreshTarget(request)
    calls[call.value]?.phase = .established(established)
    rearm(.call(call.value))
    tellDialog(call.value)
    return flush()
  }

  /// Refuses the other side's re-INVITE (488): the session stays as it was.
  public mutating func rejectReinvite(
    _ call: SIPCallHandle, status: Int = 488, reason: String? = nil, at now: Instant
  ) -> [SIPAction] {
    guard case .established(var established) = calls[call.value]?.phase, let change = established.remoteChange,
      (300...699).contains(status)
    else { return ignored() }
    respond(change.server, status: status, reason: reason, at: now)
    established.remoteChange = nil
    calls[call.value]?.phase = .established(established)
    rearm(.call(call.value))
    tellDialog(call.value)
    return flush()
  }

  // MARK: Our requests

  /// Changes the session: `body` is the offer, nil asks for one. Waits its turn behind other changes and glare; a second one
  /// that waits replaces the first.
  public mutating func reinvite(_ call: SIPCallHandle, body: SIPBody?, at now: Instant) -> [SIPAction] {
    guard case .established(var established) = calls[call.value]?.phase, established.hangup == nil else {
      return ignored()
    }
    established.queued = .init(body: body, attempts: 0, at: now)
    calls[call.value]?.phase = .established(established)
    startChange(call.value, at: now)
    rearm(.call(call.value))
    return flush()
  }

  /// Sends the queued re-INVITE where its time has come.
  private mutating func startChange(_ id: UInt64, at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, let queued = call.queued, call.isStable, queued.at <= now
    else { return }
    call.queued = nil
    call.dialog.localSequence += 1
    let (bytes, template) = makeInvite(within: call.dialog, body: queued.body)
    let client = makeClient(
      .invite, template.branch, bytes, to: call.dialog.peer, user: .change(id), template: template, at: now)
    call.localChange = .init(
      client: client, body: queued.body, attempts: queued.attempts, until: now + configuration.timers.ringLimit)
    calls[id]?.phase = .established(call)
  }

  /// A response to our re-INVITE. `message` is nil where none came.
  mutating func changeAnswered(
    _ id: UInt64, client: UInt64, status: Int, _ message: SIPMessage?, from peer: SIPPeer?, at now: Instant
  ) {
    guard status >= 200, case .established(var call) = calls[id]?.phase, let change = call.localChange,
      change.client == client
    else { return }
    call.localChange = nil
    if (200..<300).contains(status), let message {
      call.dialog.refreshTarget(message)
      let needsAnswer = change.body == nil && message.body != nil
      if needsAnswer {
        call.owed = .init(
          client: client, sequence: message.cseq.number, until: now + configuration.timers.transaction)
      } else {
        sendAck(call.dialog, sequence: message.cseq.number, client: client, body: nil)
      }
      calls[id]?.phase = .established(call)
      rearm(.call(id))
      tellDialog(id)
      emit(.reinviteAnswered(SIPCallHandle(value: id), body: message.body, needsAnswer: needsAnswer))
      return
    }
    // 14.1: glare waits between 2.1 and 4 s where the Call-ID is ours, else up to 2 s, in steps of 10 ms.
    if status == 491, change.attempts < glareLimit(id), call.queued == nil {
      let steps = calls[id]?.isOurs == true ? 210 + random.next() % 191 : random.next() % 201
      call.queued = .init(
        body: change.body, attempts: change.attempts + 1, at: now + .milliseconds(10 * Int64(steps)))
      calls[id]?.phase = .established(call)
      rearm(.call(id))
      return
    }
    calls[id]?.phase = .established(call)
    rearm(.call(id))
    if status == 481 || status == 408 {
      // 12.2.1.2: the other side has lost the dialog; a BYE tells it, in case it has not.
      sayBye(id, cause: .dialogLost, headers: [], at: now)
    } else {
      tellDialog(id)
      emit(
        .reinviteFailed(
          SIPCallHandle(value: id), status: status, reason: message?.reason ?? defaultReason(status)))
    }
  }

  /// How often glare is tried again. In a call of another process the peer's own INVITE may wait for that one until its
  /// transaction ends, 64*T1 from now; attempts are a second apart on average.
  private func glareLimit(_ id: UInt64) -> Int { calls[id]?.isAdopted == true ? 32 : 5 }

  /// Ends the call in whatever state it is: BYE, CANCEL, or a refusal (480). `ended` follows when the other side knows.
  public mutating func hangup(
    _ call: SIPCallHandle, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] {
    switch calls[call.value]?.phase {
    case .offered: return reject(call, status: 480, headers: headers, at: now)
    case .calling: return cancel(call, at: now)
    case .established(var established):
      guard established.hangup == nil else { return ignored() }
      if established.unacknowledged != nil {
        established.hangup = headers
        established.queued = nil
        calls[call.value]?.phase = .established(established)
      } else {
        sayBye(call.value, cause: .localHangup, headers: headers, at: now)
      }
      return flush()
    case .ending, nil: return ignored()
    }
  }

  /// Sends BYE and waits for its answer.
  mutating func sayBye(_ id: UInt64, cause: SIPEnd.Cause, headers: [SIPHeaderField], at now: Instant) {
    guard case .established(var call) = calls[id]?.phase else { return }
    if let change = call.remoteChange { respond(change.server, status: 487, at: now) }
    if let change = call.localChange { abandon(client: change.client, at: now) }
    if let owed = call.owed {
      // Whoever waits for our ACK must not repeat its 2xx into a call that has ended.
      sendAck(call.dialog, sequence: owed.sequence, client: owed.client, body: nil)
    }
    call.dialog.localSequence += 1
    let (bytes, branch) = makeRequest(.bye, within: call.dialog, headers: headers)
    calls[id]?.phase = .ending(call.dialog, cause)
    _ = makeClient(.bye, branch, bytes, to: call.dialog.peer, user: .bye(id), template: nil, at: now)
  }

  mutating func establishedTimedOut(_ id: UInt64, _ call: SIPCall.Established, at now: Instant) {
    var call = call
    if var unacknowledged = call.unacknowledged {
      if now >= unacknowledged.until {
        // 13.3.1.4: no ACK for 64*T1 ends the session.
        call.unacknowledged = nil
        calls[id]?.phase = .established(call)
        sayBye(id, cause: .acknowledgementMissing, headers: [], at: now)
        return
      }
      if now >= unacknowledged.resendAt {
        counters.retransmissionsSent += 1
        send(unacknowledged.response, to: unacknowledged.peer)
        unacknowledged.interval = min(unacknowledged.interval * 2, configuration.timers.t2)
        unacknowledged.resendAt = now + unacknowledged.interval
        call.unacknowledged = unacknowledged
        calls[id]?.phase = .established(call)
      }
    }
    if let owed = call.owed, now >= owed.until {
      // The owner never gave its answer: without one there is no session.
      sayBye(id, cause: .localHangup, headers: [], at: now)
      return
    }
    if let change = call.remoteChange, now >= change.until {
      respond(change.server, status: 500, at: now)
      call.remoteChange = nil
      calls[id]?.phase = .established(call)
    }
    if let change = call.localChange, now >= change.until {
      sendCancel(client: change.client, at: now)
      abandon(client: change.client, at: now)
      changeAnswered(id, client: change.client, status: 408, nil, from: nil, at: now)
      return
    }
    startChange(id, at: now)
  }
}
