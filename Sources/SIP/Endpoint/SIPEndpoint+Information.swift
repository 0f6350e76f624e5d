import Base

/// Requests within a call that change nothing in it.
extension SIPEndpoint {
  /// What is neither INVITE nor BYE.
  mutating func handleInformation(_ id: UInt64, _ server: UInt64, _ request: SIPMessage, at now: Instant) {
    switch request.method {
    case .options: respond(server, status: 200, headers: capabilities, body: configuration.optionsBody, at: now)
    case .info where request.bodyBytes.isEmpty: respond(server, status: 200, at: now)
    // RFC 6086 4.2.2: without a package that we know, a body cannot be understood.
    case .info: respond(server, status: 415, headers: [SIPHeaderField("Accept", "application/sdp")], at: now)
    default: respond(server, status: 405, headers: [allow], at: now)
    }
  }

  /// The final answer to a request of ours within a call; `message` is nil where none came.
  mutating func answeredWithin(
    _ user: SIPClientTransaction.User, client: UInt64, status: Int, _ message: SIPMessage?, at now: Instant
  ) {
    switch user {
    case .refresh(let id): refreshed(id, client: client, status: status, message, at: now)
    case .prack(let id): pracked(id, client: client, at: now)
    case .info, .refer, .notify, .call, .change, .bye, .request, .nobody: break
    }
  }
}
