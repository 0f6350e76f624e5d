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
      guard inOrder(server, request, &offered.early.dialog, at: now) else { return }
      calls[id]?.phase = .offered(offered)
      switch request.method {
      case .bye:
        respond(server, status: 200, at: now)
        respond(offered.server, status: 487, at: now)
        end(id, SIPEnd(.remoteHangup, reason: request[.reason] ?? "", message: request), at: now)
      case .invite: respond(server, status: 491, at: now)
      case .prack: acknowledgedProvisional(id, server, request, offered, at: now)
      case .update: earlyUpdate(id, server, request, offered.early, at: now)
      default: handleInformation(id, server, request, at: now)
      }
    case .calling(var calling):
      guard var early = calling.forks[remoteTag] else {
        respond(server, status: 481, at: now)
        return
      }
      guard inOrder(server, request, &early.dialog, at: now) else { return }
      calling.forks[remoteTag] = early
      calls[id]?.phase = .calling(calling)
      switch request.method {
      case .bye:
        // A callee may send a BYE only when it has answered: its 2xx is still on the way, or lost.
        respond(server, status: 200, at: now)
        withdraw(id, cause: .remoteHangup, at: now)
      case .invite: respond(server, status: 491, at: now)
      case .prack: respond(server, status: 481, at: now)
      case .update: earlyUpdate(id, server, request, early, at: now)
      default: handleInformation(id, server, request, at: now)
      }
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
      case .update: remoteUpdate(id, server, request, call, at: now)
      case .prack: respond(server, status: 481, at: now)
      case .refer: referred(id, server, request, call, at: now)
      case .notify: notified(SIPDialogKey(call.dialog), server, request, at: now)
      default: handleInformation(id, server, request, at: now)
      }
    case .ending(var dialog, let cause) where request.method == .notify && dialog.remoteTag == remoteTag:
      guard inOrder(server, request, &dialog, at: now) else { return }
      calls[id]?.phase = .ending(dialog, cause)
      notified(SIPDialogKey(dialog), server, request, at: now)
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
  mutating func inOrder(
    _ server: UInt64, _ request: SIPMessage, _ dialog: inout SIPDialog, at now: Instant
  ) -> Bool {
    if let last = dialog.remoteSequence, request.cseq.number <= last {
      respond(server, status: 500, reason: "CSeq Out Of Order", at: now)
      return false
    }
    dialog.remoteSequence = request.cseq.number
    return true
  }

  private mutating func remoteBye(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ call: SIPCall.Established, at now: Instant
  ) {
    respond(server, status: 200, at: now)
    // 15.1.2: what is pending is still answered.
    if let change = call.remoteChange { respond(change.server, status: 487, at: now) }
    if let change = call.localChange, change.method == .invite { abandon(client: change.client, at: now) }
    end(id, SIPEnd(.remoteHangup, reason: request[.reason] ?? "", message: request), at: now)
  }

  // MARK: The end

  /// Ends the call in whatever state it is: BYE, CANCEL, or a refusal (480). `ended` follows when the other side knows.
  public mutating func hangup(
    _ call: SIPCallHandle, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] {
    switch calls[call.value]?.phase {
    case .offered: return reject(call, status: 480, headers: headers, at: now)
    case .calling: return cancel(call, at: now)
    case .established(let established):
      guard established.hangup == nil else { return ignored() }
      hangUp(call.value, cause: .localHangup, headers: headers, at: now)
      return flush()
    case .ending, nil: return ignored()
    }
  }

  /// Says BYE, not before our 2xx is acknowledged.
  mutating func hangUp(_ id: UInt64, cause: SIPEnd.Cause, headers: [SIPHeaderField], at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, call.hangup == nil else { return }
    guard call.unacknowledged != nil else { return sayBye(id, cause: cause, headers: headers, at: now) }
    call.hangup = (headers, cause)
    call.queued = nil
    calls[id]?.phase = .established(call)
    rearm(.call(id))
  }

  /// Sends BYE and waits for its answer.
  mutating func sayBye(_ id: UInt64, cause: SIPEnd.Cause, headers: [SIPHeaderField], at now: Instant) {
    guard case .established(var call) = calls[id]?.phase else { return }
    if let change = call.remoteChange { respond(change.server, status: 487, at: now) }
    if let change = call.localChange, change.method == .invite { abandon(client: change.client, at: now) }
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
      respond(change.server, status: change.method == .invite ? 500 : 504, at: now)
      call.remoteChange = nil
      calls[id]?.phase = .established(call)
    }
    if let change = call.localChange, change.method == .invite, now >= change.until {
      sendCancel(client: change.client, at: now)
      abandon(client: change.client, at: now)
      changeAnswered(id, client: change.client, status: 408, nil, from: nil, at: now)
      return
    }
    startChange(id, at: now)
    watchSession(id, at: now)
  }
}
