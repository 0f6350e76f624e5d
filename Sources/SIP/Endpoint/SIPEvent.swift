/// What the owner of a ``SIPEndpoint`` must do, in order.
public enum SIPAction: Sendable {
  /// Send one whole message. A failure is reported with ``SIPEndpoint/sendFailed(to:at:)``.
  case send([UInt8], to: SIPPeer)
  /// Close the stream connection after what was sent before has been written.
  case close(connection: UInt64)
  case event(SIPEvent)
}

/// Names one call of a ``SIPEndpoint``. Opaque; never reused.
public struct SIPCallHandle: Hashable, Sendable, CustomStringConvertible {
  let value: UInt64
  public var description: String { "call#\(value)" }
}

/// Names one request outside a dialog that the owner sent with ``SIPEndpoint/request(_:at:)``. Opaque; never reused.
public struct SIPRequestHandle: Hashable, Sendable, CustomStringConvertible {
  let value: UInt64
  public var description: String { "request#\(value)" }
}

/// What happened. Every handle gets exactly one `ended`, and nothing after it; one that is given up with
/// ``SIPEndpoint/abandon(_:at:)`` gets none.
public enum SIPEvent: Sendable {
  /// A new call is offered; 100 has been sent. Answer with ``SIPEndpoint/ring(_:status:body:headers:at:)``,
  /// ``SIPEndpoint/answer(_:body:headers:at:)`` or ``SIPEndpoint/reject(_:status:reason:headers:at:)``.
  case incoming(SIPCallHandle, SIPIncomingCall)
  /// Our invite is on its way: a provisional response above 100.
  case progress(SIPCallHandle, SIPProgress)
  /// Our invite was accepted. The ACK has been sent, except where `needsAnswer` is set.
  case answered(SIPCallHandle, SIPAnswer)
  /// The other side acknowledged our 2xx. `body` is its answer where the offer was in our 2xx.
  case acknowledged(SIPCallHandle, body: SIPBody?)
  /// The other side acknowledged a reliable provisional response (PRACK). `body` is its answer where the offer was in ours.
  case provisionalAcknowledged(SIPCallHandle, body: SIPBody?)
  /// The other side wants to change the session, by re-INVITE, UPDATE or PRACK, the latter two also before the call is
  /// answered. nil: it wants our offer (re-INVITE only). Answer with
  /// ``SIPEndpoint/answerReinvite(_:body:at:)`` or ``SIPEndpoint/rejectReinvite(_:status:reason:at:)``.
  case reinvite(SIPCallHandle, offer: SIPBody?)
  /// The other side withdrew its re-INVITE before it was answered: the session stays as it was.
  case reinviteCancelled(SIPCallHandle)
  /// Our re-INVITE or UPDATE was accepted. `needsAnswer`: we sent no offer, so `body` is one; see
  /// ``SIPEndpoint/acknowledge(_:body:at:)``.
  case reinviteAnswered(SIPCallHandle, body: SIPBody?, needsAnswer: Bool)
  /// Our re-INVITE or UPDATE was refused: the session stays as it was. Glare (491) is retried first, as RFC 3261 14.1 says.
  case reinviteFailed(SIPCallHandle, status: Int, reason: String)
  /// An INFO with keypad digits came and was answered; see ``SIPDigit``.
  case info(SIPCallHandle, SIPBody)
  /// Our INFO was answered; 408 where no answer came.
  case infoAnswered(SIPCallHandle, status: Int)
  /// The other side asks us to call somebody else. Answer with ``SIPEndpoint/acceptRefer(_:at:)`` or
  /// ``SIPEndpoint/rejectRefer(_:status:reason:at:)`` within 64*T1 / 2; after that it is refused (603).
  case referred(SIPCallHandle, SIPReferral)
  /// What became of a REFER of either side. It may come after the call has ended.
  case referral(SIPReferralHandle, SIPReferralNews)
  /// What a successor would have to know of an answered call: at its answer and after every INVITE and UPDATE in it. Told
  /// only where ``SIPConfiguration/tellsDialogs`` is set. Other requests change no more than the peer's sequence number; a successor
  /// that does not know it can at worst answer an OPTIONS or INFO twice.
  case dialogChanged(SIPCallHandle, SIPDialogState)
  /// The call is over and its handle unknown from now on.
  case ended(SIPCallHandle, SIPEnd)
  /// The final response to a request outside a dialog.
  case response(SIPRequestHandle, SIPResponseOutcome)
  /// A request outside of a dialog that the owner serves. Answer at once with
  /// ``SIPEndpoint/respond(to:status:reason:headers:body:at:)``.
  case request(SIPServedHandle, SIPServedRequest)
  /// Somebody showed a wrong password.
  case authenticationFailed(SIPAuthenticationFailure)
}

/// A call that somebody offers us.
public struct SIPIncomingCall: Sendable {
  /// The INVITE as received.
  public let request: SIPMessage
  /// Where it came from.
  public let peer: SIPPeer
  public let requestURI: SIPURI
  public let from: SIPNameAddress
  public let to: SIPNameAddress
  /// The offer; nil where the caller wants ours in the answer.
  public let offer: SIPBody?
  /// The call whose place it takes (RFC 3891). The endpoint hangs that one up when this one is answered.
  public let replaces: SIPCallHandle?
  /// Whose password it showed; nil where none was asked for.
  public var user: String?
}

/// A provisional response to our invite.
public struct SIPProgress: Sendable {
  /// 101 to 199.
  public let status: Int
  public let reason: String
  /// The To tag: one per fork. Empty where the response had none.
  public let fork: String
  /// An early answer (early media), where there is one; the other side's offer where `needsAnswer`.
  public let body: SIPBody?
  /// It came reliably, and its PRACK has been sent, except where `needsAnswer` is set.
  public let isReliable: Bool
  /// Our invite had no offer: call ``SIPEndpoint/acknowledge(_:body:at:)`` with the answer, which the PRACK carries.
  public let needsAnswer: Bool
  public let message: SIPMessage
}

/// The acceptance of our invite.
public struct SIPAnswer: Sendable {
  /// 200 to 299.
  public let status: Int
  /// The answer to our offer, or the other side's offer where `needsAnswer`.
  public let body: SIPBody?
  /// Our invite had no offer: call ``SIPEndpoint/acknowledge(_:body:at:)`` with the answer within 64*T1.
  public let needsAnswer: Bool
  /// `body` came before, in a reliable provisional response or in what followed it, and is repeated here.
  public let isEarly: Bool
  /// The To tag of the fork that won. Later acceptances of other forks are acknowledged and hung up by the endpoint.
  public let fork: String
  public let message: SIPMessage
}

/// What came of a request outside a dialog.
public struct SIPResponseOutcome: Sendable {
  /// The final status; 408 where no answer came, 503 where it could not be sent.
  public let status: Int
  public let reason: String
  /// nil where nothing was received.
  public let message: SIPMessage?

  public init(status: Int, reason: String, message: SIPMessage?) {
    self.status = status
    self.reason = reason
    self.message = message
  }
}

/// A message body and its type.
public struct SIPBody: Hashable, Sendable {
  /// Content-Type, such as `application/sdp`.
  public var contentType: String
  public var bytes: [UInt8]

  public init(contentType: String, bytes: [UInt8]) {
    self.contentType = contentType
    self.bytes = bytes
  }

  /// A session description.
  public static func sdp(_ bytes: [UInt8]) -> SIPBody { SIPBody(contentType: "application/sdp", bytes: bytes) }
  /// A session description.
  public static func sdp(_ text: String) -> SIPBody { .sdp(Array(text.utf8)) }

  /// The bytes as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// A header of our own for an outgoing message. Line breaks and other control characters in it become spaces, so that no
/// value can smuggle in a second header.
public struct SIPHeaderField: Hashable, Sendable {
  public var name: String
  public var value: String

  public init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// A call to place.
public struct SIPInvite: Sendable {
  /// The Request-URI and To.
  public var target: SIPURI
  public var from: SIPNameAddress
  /// To, where it is not the target.
  public var to: SIPNameAddress?
  /// Where to send it. The owner has resolved names; over TCP the connection may be left open (nil).
  public var peer: SIPPeer
  /// The offer; nil asks the other side for one.
  public var body: SIPBody?
  public var headers: [SIPHeaderField]
  /// The pre-loaded route set (an outbound proxy), as Route values; empty for none.
  public var routes: [String]
  /// Set to continue an earlier attempt (after a challenge, RFC 3261 22.2): its Call-ID, our tag and the next CSeq.
  public var callID: String?
  public var fromTag: String?
  public var cseq: UInt32?
  /// The dialog at the other side that this call takes the place of (RFC 3891); where it cannot, the call is refused.
  public var replaces: SIPReplaces?
  /// What challenges are answered with, for the whole call; empty: they end it with `challenged`.
  public var credentials: [SIPCredentials]

  public init(
    target: SIPURI, from: SIPNameAddress, to: SIPNameAddress? = nil, peer: SIPPeer, body: SIPBody?,
    headers: [SIPHeaderField] = [], routes: [String] = [], callID: String? = nil, fromTag: String? = nil,
    cseq: UInt32? = nil, replaces: SIPReplaces? = nil, credentials: [SIPCredentials] = []
  ) {
    self.target = target
    self.from = from
    self.to = to
    self.peer = peer
    self.body = body
    self.headers = headers
    self.routes = routes
    self.callID = callID
    self.fromTag = fromTag
    self.cseq = cseq
    self.replaces = replaces
    self.credentials = credentials
  }
}

/// A request outside a dialog: OPTIONS of a trunk, REGISTER.
public struct SIPRequest: Sendable {
  /// Anything but INVITE, ACK, CANCEL and BYE.
  public var method: SIPMethod
  public var target: SIPURI
  public var from: SIPNameAddress
  public var to: SIPNameAddress?
  public var peer: SIPPeer
  public var headers: [SIPHeaderField]
  public var body: SIPBody?
  /// Set to continue an earlier attempt or a registration (RFC 3261 10.2): its Call-ID, our tag and the next CSeq.
  public var callID: String?
  public var fromTag: String?
  public var cseq: UInt32?
  /// The pre-loaded route set (an outbound proxy, Service-Route), as Route values; empty for none.
  public var routes: [String]
  /// The values of Contact in place of our own: those of a REGISTER; empty for none.
  public var contacts: [String]?
  /// What challenges are answered with; empty: they are the response.
  public var credentials: [SIPCredentials]

  public init(
    method: SIPMethod, target: SIPURI, from: SIPNameAddress, to: SIPNameAddress? = nil, peer: SIPPeer,
    headers: [SIPHeaderField] = [], body: SIPBody? = nil, callID: String? = nil, fromTag: String? = nil,
    cseq: UInt32? = nil, routes: [String] = [], contacts: [String]? = nil, credentials: [SIPCredentials] = []
  ) {
    self.method = method
    self.target = target
    self.from = from
    self.to = to
    self.peer = peer
    self.headers = headers
    self.body = body
    self.callID = callID
    self.fromTag = fromTag
    self.cseq = cseq
    self.routes = routes
    self.contacts = contacts
    self.credentials = credentials
  }
}
