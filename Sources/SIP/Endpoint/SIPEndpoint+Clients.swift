import Base

/// Requests that go out, and the responses to them (RFC 3261 8.1.3, 17.1, 18.1).
extension SIPEndpoint {
  mutating func handleResponse(_ response: SIPMessage, from peer: SIPPeer, at now: Instant) {
    guard let branch = response.topVia?.branch, response.values(.via).count == 1,
      let id = clientIDs[SIPClientKey(branch: branch, method: response.cseq.method)],
      let key = clients[id]?.key, let hadFinal = clients[id]?.hasFinal
    else {
      // 8.1.3.3: not ours, or it was not meant for us.
      counters.dropped += 1
      return
    }
    guard let effects = clients[id]?.receive(status: response.status, at: now) else { return }
    clients[id]?.hasResponse = true
    if peer.transport.isReliable { clients[id]?.peer = peer }
    if response.status >= 200 {
      if hadFinal {
        counters.retransmissionsReceived += 1
      } else {
        clients[id]?.hasFinal = true
        counters.sent[.init(method: key.method.label, status: response.status), default: 0] += 1
      }
    }
    rearm(.client(id))
    guard let client = clients[id] else { return }
    if effects.contains(.acknowledge), let template = client.template {
      let ack = client.refusalAck ?? template.hop(.ack, to: response[.to] ?? template.to)
      clients[id]?.refusalAck = ack
      send(ack, to: client.peer)
    }
    if effects.contains(.terminated) { removeClient(id) }
    if effects.contains(.deliver), !answerChallenge(response, client, id: id, at: now) {
      deliver(response, client, id: id, from: peer, at: now)
    }
  }

  private mutating func deliver(
    _ response: SIPMessage, _ client: SIPClientTransaction, id: UInt64, from peer: SIPPeer, at now: Instant
  ) {
    if (200..<300).contains(response.status), client.template != nil, let ack = client.acks[response.to.tag ?? ""] {
      // 13.2.2.4: every repetition of a 2xx gets its ACK again.
      counters.retransmissionsSent += 1
      send(ack.bytes, to: ack.peer)
      return
    }
    switch client.user {
    case .call(let call): inviteAnswered(call, client, id: id, response, from: peer, at: now)
    case .change(let call):
      let isExpected = expects(call, change: id)
      changeAnswered(call, client: id, status: response.status, response, from: peer, at: now)
      if !isExpected, (200..<300).contains(response.status) { acknowledgeStray(client, id: id, response, from: peer) }
    case .bye(let call):
      guard response.status >= 200, case .ending(_, let cause) = calls[call]?.phase else { return }
      end(call, SIPEnd(cause, status: cause == .localHangup ? response.status : 0), at: now)
    case .refresh, .info, .prack, .refer, .notify:
      guard response.status >= 200 else { return }
      answeredWithin(client.user, client: id, status: response.status, response, at: now)
    case .request(let handle):
      guard response.status >= 200 else { return }
      emit(.response(handle, .init(status: response.status, reason: response.reason, message: response)))
    case .nobody: break
    }
  }

  private func expects(_ call: UInt64, change client: UInt64) -> Bool {
    guard case .established(let call) = calls[call]?.phase else { return false }
    return call.localChange?.client == client || call.owed?.client == client
  }

  /// A 2xx to a re-INVITE that nobody waits for any more is acknowledged and no more.
  private mutating func acknowledgeStray(
    _ client: SIPClientTransaction, id: UInt64, _ response: SIPMessage, from peer: SIPPeer
  ) {
    guard let template = client.template, let dialog = SIPDialog(outgoing: template, response: response, from: peer)
    else { return }
    sendAck(dialog, sequence: template.sequence, client: id, body: nil)
  }

  /// No response came: `status` is 408 or 503, as 8.1.3.1 wants it.
  mutating func noResponse(_ client: SIPClientTransaction, id: UInt64, status: Int, at now: Instant) {
    switch client.user {
    case .call(let call): inviteUnanswered(call, client: id, status: status, at: now)
    case .change(let call): changeAnswered(call, client: id, status: status, nil, from: nil, at: now)
    case .bye(let call):
      guard case .ending(_, let cause) = calls[call]?.phase else { return }
      end(call, SIPEnd(cause), at: now)
    case .refresh, .info, .prack, .refer, .notify: answeredWithin(client.user, client: id, status: status, nil, at: now)
    case .request(let handle):
      emit(.response(handle, .init(status: status, reason: defaultReason(status), message: nil)))
    case .nobody: break
    }
  }

  /// Nobody waits for this INVITE any more: what still comes is acknowledged for a while, then it is forgotten.
  mutating func abandon(client id: UInt64, at now: Instant) {
    guard clients[id]?.hasFinal == false else { return }
    clients[id]?.abandonAt = now + configuration.timers.transaction
    rearm(.client(id))
  }

  mutating func wakeClient(_ id: UInt64, at now: Instant) {
    if let abandonAt = clients[id]?.abandonAt, now >= abandonAt, clients[id]?.hasFinal == false {
      removeClient(id)
      return
    }
    guard let effects = clients[id]?.timeout(at: now), let client = clients[id] else { return }
    if effects.contains(.send) {
      counters.retransmissionsSent += 1
      send(client.request, to: client.peer)
    }
    if effects.contains(.terminated) { removeClient(id) }
    if effects.contains(.timedOut) {
      counters.sent[.init(method: client.key.method.label, status: 408), default: 0] += 1
      noResponse(client, id: id, status: 408, at: now)
    }
  }

  // MARK: Transactions

  /// Sends a request and watches over it.
  /// - Parameter credentials: what challenges are answered with; nil: those of the call.
  mutating func makeClient(
    _ method: SIPMethod, _ branch: String, _ bytes: [UInt8], to peer: SIPPeer, user: SIPClientTransaction.User,
    template: SIPInviteTemplate?, credentials: [SIPCredentials]? = nil, at now: Instant
  ) -> UInt64 {
    let id = makeID()
    let credentials = credentials ?? call(of: user).flatMap { calls[$0]?.credentials } ?? []
    guard !credentials.isEmpty, configuration.digest != nil else {
      startClient(id, method, branch, bytes, to: peer, user: user, template: template, attempt: nil, at: now)
      return id
    }
    var bytes = bytes
    var template = template
    let headers = authorize(&bytes, method, to: peer, credentials)
    template?.authorization = headers
    startClient(
      id, method, branch, bytes, to: peer, user: user, template: template, attempt: .init(credentials), at: now)
    return id
  }

  mutating func startClient(
    _ id: UInt64, _ method: SIPMethod, _ branch: String, _ bytes: [UInt8], to peer: SIPPeer,
    user: SIPClientTransaction.User, template: SIPInviteTemplate?, attempt: SIPClientAuthentication.Attempt?,
    at now: Instant
  ) {
    let key = SIPClientKey(branch: branch, method: method)
    let stream = overStream(bytes, to: peer, branch: branch, at: now)
    var client = SIPClientTransaction(
      machine: clientMachine(method, isReliable: stream != nil || peer.transport.isReliable, at: now),
      key: key, request: stream?.bytes ?? bytes, peer: stream?.peer ?? peer, user: user, template: template,
      attempt: attempt)
    if let stream {
      client.datagram = Datagram(bytes: bytes, peer: peer, via: via(peer, branch))
      client.template?.via = stream.via
    }
    clients[id] = client
    clientIDs[key] = id
    send(client.request, to: client.peer)
    rearm(.client(id))
  }

  func clientMachine(_ method: SIPMethod, isReliable: Bool, at now: Instant) -> SIPClientTransaction.Machine {
    method == .invite
      ? .invite(SIPInviteClientMachine(timers: configuration.timers, isReliable: isReliable, at: now))
      : .request(SIPRequestClientMachine(timers: configuration.timers, isReliable: isReliable, at: now))
  }

  @discardableResult
  mutating func removeClient(_ id: UInt64) -> SIPClientTransaction? {
    guard let client = clients.removeValue(forKey: id) else { return nil }
    clientIDs[client.key] = nil
    return client
  }

  /// Withdraws an INVITE that has had a provisional response (9.1).
  mutating func sendCancel(client id: UInt64, at now: Instant) {
    guard let client = clients[id], let template = client.template, !client.hasFinal else { return }
    let bytes = template.hop(.cancel, to: template.to)
    _ = makeClient(.cancel, template.branch, bytes, to: client.peer, user: .nobody, template: nil, at: now)
  }

  /// Sends the ACK of a 2xx (13.2.2.4) and keeps it for repetitions.
  mutating func sendAck(_ dialog: SIPDialog, sequence: UInt32, client: UInt64, body: SIPBody?) {
    // 13.2.2.4: with the credentials of the INVITE.
    let headers = clients[client]?.template?.authorization ?? []
    let (bytes, _) = makeRequest(.ack, within: dialog, sequence: sequence, headers: headers, body: body)
    clients[client]?.acks[dialog.remoteTag] = (bytes, dialog.peer)
    send(bytes, to: dialog.peer)
  }

  // MARK: Messages

  mutating func makeBranch() -> String { SIPVia.cookie + random.token(16) }

  func via(_ peer: SIPPeer, _ branch: String) -> String {
    "SIP/2.0/\(peer.transport.viaName) \(local(towards: peer));branch=\(branch);rport"
  }

  /// A request within a dialog (12.2.1.1). `sequence` is the dialog's own unless an ACK repeats its INVITE's.
  mutating func makeRequest(
    _ method: SIPMethod, within dialog: SIPDialog, sequence: UInt32? = nil, headers: [SIPHeaderField] = [],
    body: SIPBody? = nil
  ) -> (bytes: [UInt8], branch: String) {
    let branch = makeBranch()
    let (uri, routes) = dialog.route
    var writer = SIPMessageWriter(request: method, uri: uri)
    writer.add(.via, via(dialog.peer, branch))
    writer.add(.maxForwards, "70")
    for route in routes { writer.add(.route, route) }
    writer.add(.from, dialog.localAddress)
    writer.add(.to, dialog.remoteAddress)
    writer.add(.callID, dialog.callID)
    writer.add(.cseq, "\(sequence ?? dialog.localSequence) \(method)")
    if !configuration.product.isEmpty { writer.add(.userAgent, configuration.product) }
    for header in headers { writer.add(header) }
    return (writer.finish(body), branch)
  }

  /// A re-INVITE.
  mutating func makeInvite(
    within dialog: SIPDialog, headers: [SIPHeaderField], body: SIPBody?
  ) -> ([UInt8], SIPInviteTemplate) {
    let (uri, routes) = dialog.route
    return makeInvite(
      uri: uri, target: dialog.remoteTarget, from: dialog.localAddress, fromTag: dialog.localTag,
      to: dialog.remoteAddress, callID: dialog.callID, sequence: dialog.localSequence, routes: routes,
      peer: dialog.peer, headers: headers, body: body)
  }

  mutating func makeInvite(
    uri: String, target: SIPURI, from: String, fromTag: String, to: String, callID: String, sequence: UInt32,
    routes: [String], peer: SIPPeer, headers: [SIPHeaderField], body: SIPBody?
  ) -> ([UInt8], SIPInviteTemplate) {
    let branch = makeBranch()
    let template = SIPInviteTemplate(
      uri: uri, target: target, via: via(peer, branch), branch: branch, from: from, fromTag: fromTag, to: to,
      callID: callID, sequence: sequence, routes: routes, hasOffer: body != nil)
    var writer = SIPMessageWriter(request: .invite, uri: uri)
    writer.add(.via, template.via)
    writer.add(.maxForwards, "70")
    for route in routes { writer.add(.route, route) }
    writer.add(.from, from)
    writer.add(.to, to)
    writer.add(.callID, callID)
    writer.add(.cseq, "\(sequence) INVITE")
    writer.add(.contact, contact(towards: peer, isSecure: target.scheme == .sips))
    writer.add(allow)
    writer.add(accept)
    writer.add(.supported, supported)
    if !configuration.product.isEmpty { writer.add(.userAgent, configuration.product) }
    for header in headers { writer.add(header) }
    return (writer.finish(body), template)
  }

  // MARK: Outside of calls

  /// Sends a request outside a dialog; `response` follows, exactly once.
  public mutating func request(_ request: SIPRequest, at now: Instant) -> (SIPRequestHandle, [SIPAction]) {
    let handle = SIPRequestHandle(value: makeID())
    let dialogMethods: Set<SIPMethod> = [.invite, .ack, .cancel, .bye]
    guard !dialogMethods.contains(request.method), configuration.localAddresses[request.peer.transport] != nil else {
      emit(.response(handle, .init(status: 503, reason: "No local address for this transport", message: nil)))
      return (handle, flush())
    }
    let branch = makeBranch()
    var from = request.from
    from.tag = request.fromTag ?? random.token(10)
    let callID = request.callID ?? random.token(24)
    var writer = SIPMessageWriter(request: request.method, uri: request.target.description)
    writer.add(.via, via(request.peer, branch))
    writer.add(.maxForwards, "70")
    for route in request.routes { writer.add(.route, route) }
    writer.add(.from, from.description)
    writer.add(.to, (request.to ?? SIPNameAddress(uri: request.target)).description)
    writer.add(.callID, callID)
    writer.add(.cseq, "\(request.cseq ?? 1) \(request.method)")
    let own = contact(towards: request.peer, isSecure: request.target.scheme == .sips)
    for contact in request.contacts ?? [own] { writer.add(.contact, contact) }
    writer.add(accept)
    if !configuration.product.isEmpty { writer.add(.userAgent, configuration.product) }
    for header in request.headers { writer.add(header) }
    _ = makeClient(
      request.method, branch, writer.finish(request.body), to: request.peer, user: .request(handle), template: nil,
      credentials: request.credentials, at: now)
    return (handle, flush())
  }
}
