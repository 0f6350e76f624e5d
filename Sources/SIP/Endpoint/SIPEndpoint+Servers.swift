import Base

/// Requests that come in: matching, the checks of RFC 3261 8.2, and responses.
extension SIPEndpoint {
  mutating func handleRequest(_ request: SIPMessage, from peer: SIPPeer, at now: Instant) {
    guard let via = request.topVia else { return }
    let key = SIPServerKey(request, via: via)
    if let id = serverIDs[key] {
      handleKnown(id, request, at: now)
      return
    }
    switch request.method {
    case .ack: acknowledged(request, at: now)
    case .cancel: handleCancel(request, key, via, from: peer, at: now)
    default: handleNew(request, key, from: peer, at: now)
    }
  }

  /// A request of a transaction that exists.
  private mutating func handleKnown(_ id: UInt64, _ request: SIPMessage, at now: Instant) {
    if request.method == .ack {
      guard let effects = servers[id]?.receiveAck(at: now) else { return }
      rearm(.server(id))
      if effects.contains(.deliver) { acknowledged(request, at: now) }
      if effects.contains(.terminated) { removeServer(id) }
      return
    }
    counters.retransmissionsReceived += 1
    guard let effects = servers[id]?.receiveRetransmission(), effects.contains(.send), let server = servers[id] else {
      return
    }
    counters.retransmissionsSent += 1
    send(server.lastResponse, to: server.replyPeer)
  }

  private mutating func handleNew(_ request: SIPMessage, _ key: SIPServerKey, from peer: SIPPeer, at now: Instant) {
    let mergeKey =
      request.to.tag == nil
      ? "\(request.from.tag ?? "")\n\(request.callID)\n\(request.cseq.number)\n\(request.method)" : nil
    let isMerged = mergeKey.map { merges[$0] != nil } ?? false
    var user: String?
    if !isMerged {
      // The copy that came first has used the credentials up.
      guard case .admitted(let name) = admit(request, from: peer, at: now) else { return }
      user = name
    }
    guard servers.count + clients.count < configuration.limits.transactions else {
      counters.overloaded += 1
      respondStateless(to: request, from: peer, status: 503, headers: [retryAfter])
      return
    }
    let id = makeServer(request, key, mergeKey: isMerged ? nil : mergeKey, from: peer)
    servers[id]?.user = user
    if isMerged {
      counters.merged += 1
      respond(id, status: 482, at: now)
      return
    }
    guard acceptable(id, request, at: now) else { return }
    guard let tag = request.to.tag else {
      handleOutside(id, request, from: peer, at: now)
      return
    }
    let key = SIPDialogKey(callID: request.callID, localTag: tag)
    if let call = dialogs[key] {
      handleWithin(call, id, request, from: peer, at: now)
    } else if let dialog = detached[key] {
      handleDetached(key, id, request, dialog, at: now)
    } else {
      handleUnknownDialog(id, request, key, at: now)
    }
  }

  /// 8.2.1 to 8.2.3: what would stop any request.
  private mutating func acceptable(_ id: UInt64, _ request: SIPMessage, at now: Instant) -> Bool {
    guard SIPMethod.known.contains(request.method) else {
      respond(id, status: 501, at: now)
      return false
    }
    switch request.requestURI?.scheme {
    case .sip, .sips, .tel: break
    case .other, nil:
      respond(id, status: 416, at: now)
      return false
    }
    // What the owner serves, it checks itself.
    if request.to.tag == nil, configuration.servedMethods.contains(request.method) { return true }
    let required = request.values(.require).filter { option in
      !options.contains { equalsIgnoringCase($0, option) }
    }
    guard required.isEmpty else {
      respond(id, status: 420, headers: [SIPHeaderField("Unsupported", required.joined(separator: ", "))], at: now)
      return false
    }
    guard SIPMethod.allowed.contains(request.method) else {
      respond(id, status: 405, headers: [allow], at: now)
      return false
    }
    guard request.method != .invite || acceptsDescriptions(request) else {
      let why = SIPHeaderField("Warning", "399 parley \"an answer would be application/sdp\"")
      respond(id, status: 406, headers: [why], at: now)
      return false
    }
    return true
  }

  /// Whether Accept, where there is one, lets an answer through (20.1): an empty one does not.
  private func acceptsDescriptions(_ request: SIPMessage) -> Bool {
    guard request[.accept] != nil else { return true }
    return request.values(.accept).contains { value in
      var scanner = SIPScanner(value)
      let range = String(decoding: scanner.run { $0 != UInt8(ascii: ";") && !isSpace($0) }, as: UTF8.self)
      return ["application/sdp", "application/*", "*/*"].contains { equalsIgnoringCase($0, range) }
    }
  }

  private mutating func handleOutside(_ id: UInt64, _ request: SIPMessage, from peer: SIPPeer, at now: Instant) {
    guard arrives(id, request, at: now) else { return }
    switch request.method {
    case .invite: offered(id, request, from: peer, at: now)
    case let method where configuration.servedMethods.contains(method): serve(id, request, from: peer, at: now)
    case .options:
      if isDraining {
        counters.overloaded += 1
        respond(id, status: 503, headers: [retryAfter], at: now)
      } else {
        // All of it only for who asks as 11.1 wants it: a forged sender shall not get much more than it was made to ask for.
        let isAsked = request[.accept] != nil
        respond(
          id, status: 200, headers: isAsked ? capabilities : [allow],
          body: isAsked && acceptsDescriptions(request) ? configuration.optionsBody : nil, at: now)
      }
    case .bye, .info, .prack, .update, .notify: respond(id, status: 481, at: now)
    // Whoever may transfer calls does so within one.
    case .refer: respond(id, status: 403, at: now)
    default: respond(id, status: 405, headers: [allow], at: now)
    }
  }

  private mutating func handleCancel(
    _ request: SIPMessage, _ key: SIPServerKey, _ via: SIPVia, from peer: SIPPeer, at now: Instant
  ) {
    let invite = serverIDs[SIPServerKey(request, via: via, method: .invite)]
    guard let invite, let tag = servers[invite]?.toTag else {
      guard !isUnwelcome(request, from: peer) else {
        counters.unwanted += 1
        return
      }
      respondStateless(to: request, from: peer, status: 481)
      return
    }
    let id = makeServer(request, key, mergeKey: nil, toTag: tag, from: peer)
    respond(id, status: 200, at: now)
    guard servers[invite]?.isPendingInvite == true, let call = servers[invite]?.call else { return }
    cancelled(call, invite: invite, request, at: now)
  }

  // MARK: Transactions

  private mutating func makeServer(
    _ request: SIPMessage, _ key: SIPServerKey, mergeKey: String?, toTag: String? = nil, from peer: SIPPeer
  ) -> UInt64 {
    let id = makeID()
    let isReliable = peer.transport.isReliable
    servers[id] = SIPServerTransaction(
      machine: request.method == .invite
        ? .invite(SIPInviteServerMachine(timers: configuration.timers, isReliable: isReliable))
        : .request(SIPRequestServerMachine(timers: configuration.timers, isReliable: isReliable)),
      key: key, request: request, source: peer, replyPeer: replyPeer(request, from: peer),
      toTag: toTag ?? request.to.tag ?? random.token(10), mergeKey: mergeKey,
      viaPort: request.topVia?.port ?? peer.transport.defaultPort)
    serverIDs[key] = id
    if let mergeKey { merges[mergeKey] = id }
    return id
  }

  mutating func removeServer(_ id: UInt64) {
    guard let server = servers.removeValue(forKey: id) else { return }
    serverIDs[server.key] = nil
    if let mergeKey = server.mergeKey, merges[mergeKey] == id { merges[mergeKey] = nil }
  }

  mutating func wakeServer(_ id: UInt64, at now: Instant) {
    if let answerBy = servers[id]?.answerBy, now >= answerBy {
      servers[id]?.answerBy = nil
      respond(id, status: 500, at: now)
      return
    }
    guard let effects = servers[id]?.timeout(at: now), let server = servers[id] else { return }
    if effects.contains(.send) {
      counters.retransmissionsSent += 1
      send(server.lastResponse, to: server.replyPeer)
    }
    if effects.contains(.terminated) { removeServer(id) }
  }

  /// 18.2.2 and RFC 3581: over a stream back on the connection; over UDP to where it came from, and to the port that it
  /// came from where the sender asked for that.
  private func replyPeer(_ request: SIPMessage, from peer: SIPPeer) -> SIPPeer {
    guard !peer.transport.isReliable, let via = request.topVia, via.parameters.first(named: "rport") == nil else {
      return peer
    }
    return SIPPeer(peer.transport, host: peer.host, port: via.port ?? peer.transport.defaultPort)
  }

  // MARK: Responses

  /// Responds within a transaction; returns the bytes that were sent, nil where its state forbids them.
  @discardableResult
  mutating func respond(
    _ id: UInt64, status: Int, reason: String? = nil, headers: [SIPHeaderField] = [], body: SIPBody? = nil,
    at now: Instant
  ) -> [UInt8]? {
    guard let effects = servers[id]?.respond(status: status, at: now), effects.contains(.send),
      let server = servers[id], let request = server.request
    else { return nil }
    let bytes = response(
      to: request, from: server.source, status: status, reason: reason, toTag: server.toTag, headers: headers,
      body: body)
    if status >= 200 {
      counters.served[.init(method: request.method.label, status: status), default: 0] += 1
      servers[id]?.request = nil
    }
    servers[id]?.lastResponse = bytes
    send(bytes, to: server.replyPeer)
    rearm(.server(id))
    if effects.contains(.terminated) { removeServer(id) }
    return bytes
  }

  /// Responds and forgets (8.2.7): for requests that are not worth a transaction.
  mutating func respondStateless(
    to request: SIPMessage, from peer: SIPPeer, status: Int, headers: [SIPHeaderField] = []
  ) {
    var hash = tagSecret ^ 0xCBF2_9CE4_8422_2325
    for byte in "\(request.callID)\n\(request.topVia?.branch ?? "")".utf8 {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    counters.served[.init(method: request.method.label, status: status), default: 0] += 1
    let bytes = response(
      to: request, from: peer, status: status, toTag: request.to.tag ?? String(hash, radix: 36), headers: headers)
    send(bytes, to: replyPeer(request, from: peer))
  }

  private func response(
    to request: SIPMessage, from peer: SIPPeer, status: Int, reason: String? = nil, toTag: String,
    headers: [SIPHeaderField] = [], body: SIPBody? = nil
  ) -> [UInt8] {
    var writer = SIPMessageWriter(response: status, reason: reason ?? defaultReason(status))
    for (i, value) in request.values(.via).enumerated() {
      guard i == 0, var via = request.topVia else {
        if SIPVia(value) != nil { writer.add(.via, value) }
        continue
      }
      let wantsPort = via.parameters.first(named: "rport") != nil
      via.parameters.removeAll { equalsIgnoringCase($0.name, "received") || equalsIgnoringCase($0.name, "rport") }
      if wantsPort || !equalsIgnoringCase(via.host, peer.host) {
        via.parameters.append(SIPParameter("received", peer.host))
      }
      if wantsPort { via.parameters.append(SIPParameter("rport", String(peer.port))) }
      writer.add(.via, via.description)
    }
    writer.add(.from, request[.from] ?? request.from.description)
    var to = request[.to] ?? request.to.description
    if request.to.tag == nil, status > 100 { to += ";tag=\(toTag)" }
    writer.add(.to, to)
    writer.add(.callID, request.callID)
    writer.add(.cseq, request[.cseq] ?? request.cseq.description)
    if request.method == .invite || request.method == .update, (101..<300).contains(status) {
      for value in request.lines(.recordRoute) { writer.add(.recordRoute, value) }
      writer.add(.contact, contact(towards: peer, isSecure: request.requestURI?.scheme == .sips))
      writer.add(allow)
      writer.add(.supported, supported)
    }
    if status == 100, let timestamp = request[.timestamp] { writer.add(.timestamp, timestamp) }
    if !configuration.product.isEmpty { writer.add(.server, configuration.product) }
    for header in headers { writer.add(header) }
    return writer.finish(body)
  }

  var allow: SIPHeaderField {
    let served = configuration.servedMethods.subtracting(SIPMethod.allowed).map(\.name).sorted()
    return SIPHeaderField("Allow", (SIPMethod.allowed.map(\.name) + served).joined(separator: ", "))
  }

  var accept: SIPHeaderField { SIPHeaderField("Accept", configuration.acceptedBodies.joined(separator: ", ")) }

  var retryAfter: SIPHeaderField { SIPHeaderField("Retry-After", String(configuration.retryAfterSeconds)) }

  var capabilities: [SIPHeaderField] {
    [
      allow, accept, SIPHeaderField("Accept-Encoding", "identity"), SIPHeaderField("Supported", supported),
    ]
  }

  /// What Via and Contact call us when they go to `peer`.
  func local(towards peer: SIPPeer) -> SIPHostPort {
    var local =
      configuration.localAddresses[peer.transport] ?? SIPHostPort(host: "0.0.0.0", port: peer.transport.defaultPort)
    if let host = configuration.localHost?(peer) { local.host = host }
    return local
  }

  /// - Parameter isSecure: the other side asked with a `sips` URI, so it must get one (RFC 3261 12.1.1).
  func contact(towards peer: SIPPeer, isSecure: Bool = false) -> String {
    let transport = peer.transport.parameter.map { ";transport=\($0)" } ?? ""
    let scheme = isSecure && peer.transport.isSecure ? "sips" : "sip"
    return "<\(scheme):\(configuration.contactUser)@\(local(towards: peer))\(transport)>"
  }
}
