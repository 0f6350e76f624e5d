import Base

/// Our requests and the credentials that other sides ask for (RFC 3261 22.2 and 22.3).
extension SIPEndpoint {
  /// Lets a call answer challenges from now on: an incoming one, or one that was adopted. A call of ours has its credentials
  /// from ``SIPInvite``. They should name their realm: see ``SIPCredentials/realm``.
  public mutating func setCredentials(_ credentials: [SIPCredentials], for call: SIPCallHandle) {
    calls[call.value]?.credentials = credentials
  }

  /// Adds to a request what its server has asked for before.
  /// - Returns: the headers that were added.
  mutating func authorize(
    _ bytes: inout [UInt8], _ method: SIPMethod, to peer: SIPPeer, _ credentials: [SIPCredentials]
  ) -> [SIPHeaderField] {
    guard let hash = configuration.digest, let parts = RequestParts(bytes) else { return [] }
    let headers = authentication.headers(
      method, uri: parts.uri, body: bytes[parts.body...], to: peer, credentials, hash: hash)
    guard !headers.isEmpty else { return [] }
    var lines: [UInt8] = []
    for header in headers { lines += "\(header.name): \(header.value)\r\n".utf8.map { $0 == 0 ? 0x20 : $0 } }
    bytes.insert(contentsOf: lines, at: parts.body - 2)
    return headers
  }

  /// Sends a refused request again with credentials: a new branch and CSeq, the same Call-ID and From tag (22.2). The new
  /// transaction takes the old one's number, so whoever waits for it need not know.
  /// - Returns: false where there is nothing to answer with, or the server has refused what it was given.
  mutating func answerChallenge(
    _ response: SIPMessage, _ client: SIPClientTransaction, id: UInt64, at now: Instant
  ) -> Bool {
    guard response.status == 401 || response.status == 407, var attempt = client.attempt, client.abandonAt == nil,
      isAwaited(client.user, id: id),
      let request = try? SIPMessage.parse(client.request, limits: configuration.limits)
    else { return false }
    let call = call(of: client.user)
    let realms = call.flatMap { calls[$0]?.realms } ?? []
    let isWithinDialog = request.to.tag != nil
    let isWorthwhile = authentication.learn(
      response, from: client.peer, &attempt, isTrusted: { !isWithinDialog || realms.contains($0) }, random: &random)
    guard isWorthwhile else { return false }
    if let call, !isWithinDialog { calls[call]?.realms.formUnion(attempt.answered.map(\.realm)) }
    let branch = makeBranch()
    let via = via(client.peer, branch)
    let sequence = nextSequence(request)
    var writer = SIPMessageWriter(request: request.method, uri: request.requestURIText)
    for field in request.headers {
      switch SIPHeaderName(field.name) {
      case .via: writer.add(.via, via)
      case .cseq: writer.add(.cseq, "\(sequence) \(request.method)")
      case .authorization, .proxyAuthorization: break
      default: writer.add(field)
      }
    }
    var bytes = writer.finish(request.bodyBytes)
    let headers = authorize(&bytes, request.method, to: client.peer, attempt.credentials)
    var template = client.template
    template?.via = via
    template?.branch = branch
    template?.sequence = sequence
    template?.authorization = headers
    retire(id)
    startClient(
      id, request.method, branch, bytes, to: client.peer, user: client.user, template: template, attempt: attempt,
      at: now)
    return true
  }

  /// The call whose credentials a request has.
  func call(of user: SIPClientTransaction.User) -> UInt64? {
    user.call ?? user.referral.flatMap { referrals[$0]?.call }
  }

  /// Whether the owner still wants an answer.
  private func isAwaited(_ user: SIPClientTransaction.User, id: UInt64) -> Bool {
    switch user {
    case .call(let call):
      guard case .calling(let calling) = calls[call]?.phase else { return false }
      return calling.withdrawn == nil && calling.client == id
    case .change(let call):
      guard case .established(let established) = calls[call]?.phase else {
        return earlyDialogs(call).contains { $0.localChange?.client == id }
      }
      return established.localChange?.client == id
    default: return true
    }
  }

  /// The old transaction goes on under another number: the refusal may come again and wants its ACK again.
  private mutating func retire(_ id: UInt64) {
    guard var old = clients.removeValue(forKey: id) else { return }
    let other = makeID()
    old.user = .nobody
    old.attempt = nil
    old.armed = nil
    clients[other] = old
    clientIDs[old.key] = other
    rearm(.client(other))
  }

  /// One above the request's own, and above whatever its dialog has used since.
  private mutating func nextSequence(_ request: SIPMessage) -> UInt32 {
    let next = request.cseq.number + 1
    guard let id = dialogs[SIPDialogKey(callID: request.callID, localTag: request.from.tag ?? "")] else { return next }
    switch calls[id]?.phase {
    case .established(var call):
      call.dialog.localSequence = max(call.dialog.localSequence + 1, next)
      calls[id]?.phase = .established(call)
      return call.dialog.localSequence
    case .ending(var dialog, let cause):
      dialog.localSequence = max(dialog.localSequence + 1, next)
      calls[id]?.phase = .ending(dialog, cause)
      return dialog.localSequence
    case .calling, .offered:
      guard var early = earlyDialogs(id).first(where: { $0.dialog.remoteTag == request.to.tag }) else { return next }
      early.dialog.localSequence = max(early.dialog.localSequence + 1, next)
      setEarly(id, early)
      if case .calling(let calling) = calls[id]?.phase {
        clients[calling.client]?.sequences[early.dialog.remoteTag] = early.dialog.localSequence
      }
      return early.dialog.localSequence
    case nil: return next
    }
  }
}

/// Where the pieces of a request that we wrote are.
private struct RequestParts {
  let uri: String
  /// Behind the empty line.
  let body: Int

  init?(_ bytes: [UInt8]) {
    guard let first = bytes.firstIndex(of: 0x20), let second = bytes[(first + 1)...].firstIndex(of: 0x20) else {
      return nil
    }
    uri = String(decoding: bytes[(first + 1)..<second], as: UTF8.self)
    var at = second
    while let end = bytes[at...].firstIndex(of: 0x0A) {
      if end + 2 < bytes.count, bytes[end + 1] == 0x0D, bytes[end + 2] == 0x0A {
        body = end + 3
        return
      }
      at = end + 1
    }
    return nil
  }
}
