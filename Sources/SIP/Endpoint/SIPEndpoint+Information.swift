import Base

/// Requests within a call that change nothing in it.
extension SIPEndpoint {
  /// Keypad digits: all that an INFO may carry.
  private static let informationTypes = [SIPDigit.relayType, SIPDigit.plainType]

  /// What is neither INVITE nor BYE.
  mutating func handleInformation(_ id: UInt64, _ server: UInt64, _ request: SIPMessage, at now: Instant) {
    switch request.method {
    case .options: respond(server, status: 200, headers: capabilities, body: configuration.optionsBody, at: now)
    case .info where request.first("Info-Package") != nil:
      // RFC 6086 4.2.2: we take no package.
      respond(server, status: 469, headers: [SIPHeaderField("Recv-Info", "")], at: now)
    case .info where request.bodyBytes.isEmpty: respond(server, status: 200, at: now)
    case .info where Self.informationTypes.contains(mediaType(request[.contentType] ?? "")):
      respond(server, status: 200, at: now)
      if let body = request.body { emit(.info(SIPCallHandle(value: id), body)) }
    case .info:
      let accept = SIPHeaderField("Accept", Self.informationTypes.joined(separator: ", "))
      respond(server, status: 415, headers: [accept], at: now)
    case .notify: respond(server, status: 481, at: now)
    // Whom should a call that is not answered yet be handed to?
    case .refer: respond(server, status: 403, at: now)
    default: respond(server, status: 405, headers: [allow], at: now)
    }
  }

  /// Whether a request outside a dialog has not come here in a circle. (Within a dialog that does no harm, and a BYE that is
  /// refused would.) Max-Forwards is for those who forward: its 0 is no reason to refuse (RFC 4475 3.3.11).
  mutating func arrives(_ server: UInt64, _ request: SIPMessage, at now: Instant) -> Bool {
    // 16.3: a branch of ours that still lives is in it, so it is our own request that has come back.
    let branches = [request.topVia?.branch] + request.values(.via).dropFirst().map { SIPVia($0)?.branch }
    let isOurs = branches.contains { branch in
      branch.map { clientIDs[SIPClientKey(branch: $0, method: request.method)] != nil } ?? false
    }
    if isOurs {
      counters.looped += 1
      respond(server, status: 482, at: now)
    }
    return !isOurs
  }

  /// Sends an INFO in an answered call; `infoAnswered` follows. One goes after the other, so that digits keep their order.
  /// Ignored where too many wait (``SIPLimits/informations``).
  public mutating func inform(
    _ call: SIPCallHandle, body: SIPBody, headers: [SIPHeaderField] = [], at now: Instant
  ) -> [SIPAction] {
    guard case .established(var established) = calls[call.value]?.phase, established.hangup == nil,
      established.informations.count < configuration.limits.informations
    else { return ignored() }
    established.informations.append((body, headers))
    calls[call.value]?.phase = .established(established)
    startInformation(call.value, at: now)
    return flush()
  }

  private mutating func startInformation(_ id: UInt64, at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, call.informing == nil, !call.informations.isEmpty else {
      return
    }
    let next = call.informations.removeFirst()
    call.dialog.localSequence += 1
    let (bytes, branch) = makeRequest(.info, within: call.dialog, headers: next.headers, body: next.body)
    call.informing = makeClient(.info, branch, bytes, to: call.dialog.peer, user: .info(id), template: nil, at: now)
    calls[id]?.phase = .established(call)
  }

  private mutating func informed(_ id: UInt64, client: UInt64, status: Int, at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, call.informing == client else { return }
    call.informing = nil
    calls[id]?.phase = .established(call)
    emit(.infoAnswered(SIPCallHandle(value: id), status: status))
    // RFC 5057 5.1: the other side does not know the dialog.
    if status == 481 { return sayBye(id, cause: .dialogLost, headers: [], at: now) }
    startInformation(id, at: now)
  }

  /// The final answer to a request of ours within a call; `message` is nil where none came.
  mutating func answeredWithin(
    _ user: SIPClientTransaction.User, client: UInt64, status: Int, _ message: SIPMessage?, at now: Instant
  ) {
    switch user {
    case .refresh(let id): refreshed(id, client: client, status: status, message, at: now)
    case .prack(let id): pracked(id, client: client, at: now)
    case .info(let id): informed(id, client: client, status: status, at: now)
    case .refer(let id): referAnswered(id, status: status, message, at: now)
    case .notify(let id): notifyAnswered(id, client: client, status: status, at: now)
    case .call, .change, .bye, .request, .nobody: break
    }
  }
}
