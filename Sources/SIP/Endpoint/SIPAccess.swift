import Base

/// What a request outside of a dialog may do, by where it comes from and what it asks (``SIPConfiguration/access``).
public enum SIPAccess: Hashable, Sendable {
  /// It is handled as it is: an address that was matched, or nobody is asked.
  case trusted
  /// Its user must show a password of this realm (401).
  case challenge(realm: String)
  /// 403.
  case refuse
  /// Nothing is answered, as if nobody were here.
  case drop
}

/// Somebody showed a wrong password, or one too often: for the log.
public struct SIPAuthenticationFailure: Sendable {
  public let peer: SIPPeer
  public let method: SIPMethod
  public let realm: String
  /// As claimed, control characters made spaces.
  public let user: String
  /// Until when nothing from there is checked any more, where that begins with this one.
  public let blockedUntil: Instant?
}

/// Names a request outside a dialog that the owner serves. Opaque; never reused.
public struct SIPServedHandle: Hashable, Sendable, CustomStringConvertible {
  let value: UInt64
  public var description: String { "served#\(value)" }
}

/// A request outside a dialog for the owner (``SIPConfiguration/servedMethods``).
public struct SIPServedRequest: Sendable {
  public let request: SIPMessage
  /// Where it came from.
  public let peer: SIPPeer
  /// Whose password it showed; nil where none was asked for.
  public let user: String?
}

/// Who may ask for what: every request outside of a dialog passes here, before anything is kept for it.
extension SIPEndpoint {
  enum Admission {
    case admitted(user: String?)
    /// It has been answered, or will not be.
    case done
  }

  mutating func admit(_ request: SIPMessage, from peer: SIPPeer, at now: Instant) -> Admission {
    guard let access = configuration.access, !isWithinDialog(request) else { return .admitted(user: nil) }
    switch access(request, peer) {
    case .trusted: return .admitted(user: nil)
    case .drop:
      counters.unwanted += 1
      return .done
    case .refuse:
      counters.unwanted += 1
      respondStateless(to: request, from: peer, status: 403)
      return .done
    case .challenge(let realm):
      // What claims to be in a dialog that does not exist gets 481, whoever sends it.
      guard request.to.tag == nil else { return .admitted(user: nil) }
      return authenticate(request, realm, from: peer, at: now)
    }
  }

  /// Whether a message that cannot be handled gets no answer either.
  func isUnwelcome(_ request: SIPMessage, from peer: SIPPeer) -> Bool {
    guard let access = configuration.access, !isWithinDialog(request) else { return false }
    return access(request, peer) == .drop
  }

  private func isWithinDialog(_ request: SIPMessage) -> Bool {
    guard let tag = request.to.tag else { return false }
    let key = SIPDialogKey(callID: request.callID, localTag: tag)
    return dialogs[key] != nil || departed[key] != nil
  }

  private mutating func authenticate(
    _ request: SIPMessage, _ realm: String, from peer: SIPPeer, at now: Instant
  ) -> Admission {
    // Without anything to check with nobody gets in.
    guard let verdict = authenticator?.check(request, realm: realm, from: peer, at: now) else {
      respondStateless(to: request, from: peer, status: 403)
      return .done
    }
    switch verdict {
    case .accepted(let user):
      counters.authenticated += 1
      return .admitted(user: user)
    case .missing: challenge(request, realm, isStale: false, from: peer, at: now)
    case .stale: challenge(request, realm, isStale: true, from: peer, at: now)
    case .wrong(let user, let until):
      counters.wrongPasswords += 1
      emit(.authenticationFailed(failure(request, realm, user, until, from: peer)))
      challenge(request, realm, isStale: false, from: peer, at: now)
    case .mismatch(let user):
      counters.wrongPasswords += 1
      emit(.authenticationFailed(failure(request, realm, user, nil, from: peer)))
      respondStateless(to: request, from: peer, status: 400)
    case .blocked:
      counters.unwanted += 1
      respondStateless(to: request, from: peer, status: 403)
    }
    return .done
  }

  /// Nothing is kept for a challenge: the same request may come again without credentials and is challenged again.
  private mutating func challenge(
    _ request: SIPMessage, _ realm: String, isStale: Bool, from peer: SIPPeer, at now: Instant
  ) {
    let headers = authenticator?.challenges(realm: realm, for: peer, isStale: isStale, at: now) ?? []
    respondStateless(to: request, from: peer, status: 401, headers: headers)
  }

  private func failure(
    _ request: SIPMessage, _ realm: String, _ user: String, _ until: Instant?, from peer: SIPPeer
  ) -> SIPAuthenticationFailure {
    let shown = user.utf8.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
    return SIPAuthenticationFailure(
      peer: peer, method: request.method, realm: realm, user: String(decoding: shown, as: UTF8.self),
      blockedUntil: until)
  }

  // MARK: Requests for the owner

  /// Hands a request outside a dialog to the owner, and sees that it is answered.
  mutating func serve(_ id: UInt64, _ request: SIPMessage, from peer: SIPPeer, at now: Instant) {
    servers[id]?.answerBy = now + configuration.timers.transaction / 2
    rearm(.server(id))
    emit(
      .request(
        SIPServedHandle(value: id), SIPServedRequest(request: request, peer: peer, user: servers[id]?.user)))
  }

  /// Answers a request that ``SIPEvent/request(_:_:)`` has brought. One that stays without an answer gets 500 after 32*T1.
  public mutating func respond(
    to served: SIPServedHandle, status: Int, reason: String? = nil, headers: [SIPHeaderField] = [],
    body: SIPBody? = nil, at now: Instant
  ) -> [SIPAction] {
    guard servers[served.value]?.answerBy != nil, (200...699).contains(status) else { return ignored() }
    servers[served.value]?.answerBy = nil
    respond(served.value, status: status, reason: reason, headers: headers, body: body, at: now)
    return flush()
  }
}
