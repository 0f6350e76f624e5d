import Base

/// Calls of others: the INVITE server side of RFC 3261 13.3, up to the ACK.
extension SIPEndpoint {
  mutating func offered(_ server: UInt64, _ request: SIPMessage, from peer: SIPPeer, at now: Instant) {
    if isDraining || calls.count >= configuration.limits.calls {
      counters.overloaded += 1
      respond(server, status: 503, headers: [retryAfter], at: now)
      return
    }
    guard acceptableBody(server, request, at: now), acceptableInterval(server, request, at: now) else { return }
    guard let toTag = servers[server]?.toTag, let uri = request.requestURI,
      let dialog = SIPDialog(incoming: request, localTag: toTag, from: peer)
    else {
      respond(server, status: 400, reason: "Missing or unusable Contact", at: now)
      return
    }
    var replaced: UInt64?
    switch replacement(server, request, at: now) {
    case .none: break
    case .call(let id): replaced = id
    case .refused: return
    }
    let timers = configuration.timers
    var limitAt = now + timers.answerLimit
    var limitStatus = 480
    if let line = request[.expires] {
      var scanner = SIPScanner(line)
      if let seconds = scanner.number(upTo: 0x7FFF_FFFF), now + .seconds(Int64(seconds)) < limitAt {
        limitAt = now + .seconds(Int64(seconds))
        limitStatus = 487
      }
    }
    let offer = request.body
    let id = makeID()
    calls[id] = SIPCall(
      id: id, callID: request.callID, localTag: toTag, isOurs: false,
      phase: .offered(
        .init(
          server: server, early: SIPEarly(dialog: dialog, exchange: offer == nil ? .nothing : .theirOffer),
          refreshAt: now + timers.provisionalRefresh, limitAt: limitAt, limitStatus: limitStatus,
          takesReliable: configuration.reliability != .never && request.supports("100rel"),
          wantsReliable: request.requires("100rel"), rseq: UInt32(random.next() % 0x3FFF_FFFF), replaced: replaced)))
    dialogs[SIPDialogKey(callID: request.callID, localTag: toTag)] = id
    servers[server]?.call = id
    rearm(.call(id))
    respond(server, status: 100, at: now)
    emit(
      .incoming(
        SIPCallHandle(value: id),
        SIPIncomingCall(
          request: request, peer: peer, requestURI: uri, from: request.from, to: request.to, offer: offer,
          replaces: replaced.map { SIPCallHandle(value: $0) }, user: servers[server]?.user)))
  }

  /// 8.2.3: a session body must be one that we can read.
  mutating func acceptableBody(_ server: UInt64, _ request: SIPMessage, at now: Instant) -> Bool {
    if let encoding = request[.contentEncoding], !equalsIgnoringCase(encoding, "identity") {
      respond(server, status: 415, headers: [SIPHeaderField("Accept-Encoding", "identity")], at: now)
      return false
    }
    guard !request.bodyBytes.isEmpty else { return true }
    let type = (request[.contentType] ?? "").split(separator: ";", maxSplits: 1).first.map { String($0) } ?? ""
    let trimmed = String(decoding: SIPScanner.trimmed(Array(type.utf8)[...]), as: UTF8.self)
    guard configuration.acceptedBodies.contains(where: { equalsIgnoringCase($0, trimmed) }) else {
      respond(server, status: 415, headers: [accept], at: now)
      return false
    }
    return true
  }

  /// Sends a provisional response, 180 or 183 with early media. May be repeated. It goes out reliably where
  /// ``SIPConfiguration/reliability`` and the caller want that; then a second one waits for the PRACK of the first.
  public mutating func ring(
    _ call: SIPCallHandle, status: Int = 180, body: SIPBody? = nil, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] {
    guard case .offered(var offered) = calls[call.value]?.phase, offered.answer == nil, (101...199).contains(status)
    else { return ignored() }
    sendProvisional(&offered, status: status, body: body, headers: headers, at: now)
    offered.refresh = (status, body)
    offered.refreshAt = now + configuration.timers.provisionalRefresh
    calls[call.value]?.phase = .offered(offered)
    rearm(.call(call.value))
    return flush()
  }

  /// Accepts the call with 200. `body` is the answer, or our offer where the INVITE had none. Waits for the PRACK of a
  /// reliable provisional response; where that has carried the session description, the 200 does not repeat it.
  public mutating func answer(
    _ call: SIPCallHandle, body: SIPBody?, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] {
    guard case .offered(var offered) = calls[call.value]?.phase, offered.answer == nil else { return ignored() }
    offered.answer = (body, headers)
    calls[call.value]?.phase = .offered(offered)
    sendAnswer(call.value, at: now)
    return flush()
  }

  /// Sends the owner's 200 where nothing stands in its way any more.
  mutating func sendAnswer(_ id: UInt64, at now: Instant) {
    guard case .offered(let offered) = calls[id]?.phase, let answer = offered.answer, offered.reliable == nil,
      offered.early.remoteChange == nil, offered.early.localChange == nil,
      let request = servers[offered.server]?.request
    else { return }
    let isExchanged = offered.early.exchange == .done
    let body = isExchanged ? nil : answer.body
    let (timerHeaders, timer) = agreeTimer(request, current: nil, at: now)
    guard
      let unacknowledged = accept(
        offered.server, hasOffer: offered.early.exchange != .theirOffer && body != nil, body: body,
        headers: timerHeaders + answer.headers, at: now)
    else { return }
    var established = SIPCall.Established(dialog: offered.dialog, minSE: configuration.minSE)
    established.unacknowledged = unacknowledged
    established.localBody = isExchanged ? offered.early.localBody : body
    established.timer = timer
    established.queued = offered.early.queued.map {
      .init(method: .update, body: $0.body, attempts: $0.attempts, at: $0.at)
    }
    calls[id]?.phase = .established(established)
    rearm(.call(id))
    tellDialog(id)
    if let replaced = offered.replaced { endReplaced(replaced, at: now) }
  }

  /// Sends the 2xx of an INVITE and remembers it until it is acknowledged (13.3.1.4).
  mutating func accept(
    _ server: UInt64, hasOffer: Bool, body: SIPBody?, headers: [SIPHeaderField], at now: Instant
  ) -> SIPCall.Unacknowledged? {
    guard let sequence = servers[server]?.request?.cseq.number,
      let bytes = respond(server, status: 200, headers: headers, body: body, at: now),
      let peer = servers[server]?.replyPeer
    else { return nil }
    let timers = configuration.timers
    return .init(
      server: server, sequence: sequence, response: bytes, peer: peer,
      hasOffer: hasOffer, resendAt: now + timers.t1, interval: timers.t1, until: now + timers.transaction)
  }

  /// Refuses the call with 300 to 699.
  public mutating func reject(
    _ call: SIPCallHandle, status: Int, reason: String? = nil, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] {
    guard case .offered(let offered) = calls[call.value]?.phase, (300...699).contains(status) else { return ignored() }
    respond(offered.server, status: status, reason: reason, headers: headers, at: now)
    end(call.value, SIPEnd(.rejected, status: status, reason: reason ?? defaultReason(status)), at: now)
    return flush()
  }

  /// A CANCEL for an INVITE without a final response (9.2).
  mutating func cancelled(_ id: UInt64, invite: UInt64, _ request: SIPMessage, at now: Instant) {
    switch calls[id]?.phase {
    case .offered:
      respond(invite, status: 487, at: now)
      end(id, SIPEnd(.remoteCancel, status: 487, reason: request[.reason] ?? "", message: request), at: now)
    case .established(var call):
      guard call.remoteChange?.server == invite else { return }
      respond(invite, status: 487, at: now)
      call.remoteChange = nil
      calls[id]?.phase = .established(call)
      rearm(.call(id))
      emit(.reinviteCancelled(SIPCallHandle(value: id)))
    case .calling, .ending, nil: return
    }
  }

  /// An ACK that belongs to a 2xx of ours, or to nothing.
  mutating func acknowledged(_ request: SIPMessage, at now: Instant) {
    guard let tag = request.to.tag, let id = dialogs[SIPDialogKey(callID: request.callID, localTag: tag)],
      case .established(var call) = calls[id]?.phase, let unacknowledged = call.unacknowledged,
      unacknowledged.sequence == request.cseq.number, call.dialog.remoteTag == request.from.tag ?? ""
    else {
      // A repeated ACK, or a stranger's.
      counters.dropped += 1
      return
    }
    call.unacknowledged = nil
    let hangup = call.hangup
    calls[id]?.phase = .established(call)
    rearm(.call(id))
    if let hangup {
      sayBye(id, cause: hangup.cause, headers: hangup.headers, at: now)
    } else {
      emit(.acknowledged(SIPCallHandle(value: id), body: unacknowledged.hasOffer ? request.body : nil))
    }
  }

  mutating func wakeCall(_ id: UInt64, at now: Instant) {
    switch calls[id]?.phase {
    case .offered(let offered): offeredTimedOut(id, offered, at: now)
    case .calling(let calling): callingTimedOut(id, calling, at: now)
    case .established(let call): establishedTimedOut(id, call, at: now)
    case .ending, nil: break
    }
  }

  private mutating func offeredTimedOut(_ id: UInt64, _ offered: SIPCall.Offered, at now: Instant) {
    var offered = offered
    if now >= offered.limitAt {
      respond(offered.server, status: offered.limitStatus, at: now)
      end(id, SIPEnd(.timeout, status: offered.limitStatus, reason: defaultReason(offered.limitStatus)), at: now)
      return
    }
    if let reliable = offered.reliable {
      if now >= reliable.until {
        // RFC 3262 3: no PRACK for 64*T1 refuses the INVITE.
        respond(offered.server, status: 504, at: now)
        end(id, SIPEnd(.acknowledgementMissing, status: 504, reason: defaultReason(504)), at: now)
        return
      }
      if now >= reliable.resendAt { repeatProvisional(&offered, reliable, at: now) }
    }
    if let change = offered.early.remoteChange, now >= change.until {
      respond(change.server, status: 504, at: now)
      offered.early.remoteChange = nil
    }
    if let refresh = offered.refresh, now >= offered.refreshAt {
      sendProvisional(&offered, status: refresh.status, body: refresh.body, headers: [], at: now)
      offered.refreshAt = now + configuration.timers.provisionalRefresh
    }
    calls[id]?.phase = .offered(offered)
    startQueuedUpdates(id, at: now)
    sendAnswer(id, at: now)
  }

  /// The call is over: `ended`, and its handle is forgotten.
  mutating func end(_ id: UInt64, _ end: SIPEnd, at now: Instant) {
    guard let call = calls.removeValue(forKey: id) else { return }
    dialogs[SIPDialogKey(callID: call.callID, localTag: call.localTag)] = nil
    // 15.1.2: what is pending is still answered.
    switch call.phase {
    case .offered(let offered):
      if let change = offered.early.remoteChange { respond(change.server, status: 487, at: now) }
    case .calling(let calling):
      for change in calling.forks.values.compactMap(\.remoteChange).sorted(by: { $0.server < $1.server }) {
        respond(change.server, status: 487, at: now)
      }
    case .established, .ending: break
    }
    detachReferrals(of: call, at: now)
    emit(.ended(SIPCallHandle(value: id), end))
  }

  mutating func ignored() -> [SIPAction] {
    counters.commandsIgnored += 1
    return flush()
  }
}
