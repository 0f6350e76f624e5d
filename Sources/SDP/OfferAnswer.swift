/// What we can do on one audio stream.
public struct AudioCapabilities: Hashable, Sendable {
  /// In our order of preference; keypad events included where we take them.
  public var codecs: [AudioCodec]
  /// Where we receive: the advertised address (numeric, IPv4 or IPv6) and the leg's port.
  public var address: String
  public var port: UInt16
  /// What we want the stream to be, before the peer's wish: `sendonly` puts the peer on hold.
  public var direction: MediaDirection
  /// What we send and ask for.
  public var ptimeMs: Int
  public var maxPtimeMs: Int
  /// Whose order decides between several common codecs.
  public var preference: Preference

  public enum Preference: Sendable, Hashable {
    /// As RFC 3264 section 6.1 recommends.
    case offerer
    case ours
  }

  public init(
    codecs: [AudioCodec] = [.pcmu, .pcma, .telephoneEvent], address: String, port: UInt16,
    direction: MediaDirection = .sendrecv, ptimeMs: Int = 20, maxPtimeMs: Int = 60, preference: Preference = .offerer
  ) {
    self.codecs = codecs
    self.address = address
    self.port = port
    self.direction = direction
    self.ptimeMs = ptimeMs
    self.maxPtimeMs = maxPtimeMs
    self.preference = preference
  }
}

/// A codec both sides have, with the number each uses for it.
public struct NegotiatedCodec: Hashable, Sendable {
  public var codec: AudioCodec
  /// What we put into packets that we send: the peer's number.
  public var sendPayloadType: UInt8
  /// What the peer puts into packets for us: our number.
  public var receivePayloadType: UInt8

  public init(codec: AudioCodec, sendPayloadType: UInt8, receivePayloadType: UInt8) {
    self.codec = codec
    self.sendPayloadType = sendPayloadType
    self.receivePayloadType = receivePayloadType
  }
}

/// What an offer and its answer agreed on for the call's audio.
public struct NegotiatedAudio: Hashable, Sendable {
  /// What we send with; the first of ``codecs``.
  public var codec: NegotiatedCodec
  /// All the audio codecs that may arrive.
  public var codecs: [NegotiatedCodec]
  /// nil: the peer takes no keypad events.
  public var telephoneEvent: NegotiatedCodec?
  public var comfortNoise: NegotiatedCodec?
  /// Where to send. Unspecified (`0.0.0.0`) or port 0 while the peer holds the old way.
  public var remoteAddress: String
  public var remotePort: UInt16
  public var remoteRTCPAddress: String
  /// Port + 1 unless `a=rtcp` says otherwise; the RTP port with `a=rtcp-mux`.
  public var remoteRTCPPort: UInt16
  public var rtcpMux: Bool
  /// As seen from us: `recvonly` means that we must not send.
  public var direction: MediaDirection
  /// Of the packets that we send: what the peer asked for within our bounds, else ours.
  public var ptimeMs: Int
  /// Which media section it is, counted from 0.
  public var mediaIndex: Int

  /// The peer has put us on hold.
  public var isHeldByPeer: Bool { !direction.sends }
}

/// Why there is no agreement.
public enum NegotiationError: Error, Hashable, Sendable {
  /// No audio section that we could use (all declined, or of transports that we do not speak): SIP 488.
  case noAudio
  /// Audio, but not one common codec: SIP 488.
  case noCommonCodec
  /// An audio section without any connection line or with an unusable one: SIP 488.
  case noConnection
  /// The answer does not fit the offer (RFC 3264 section 6): end the call.
  case answerMismatch(String)
  /// An answer while no offer of ours is open, or a second offer while one is: SIP 491 or 500.
  case wrongState

  /// The SIP status that refuses the offer; for a bad answer there is none to send, only a BYE.
  public var status: Int {
    switch self {
    case .noAudio, .noCommonCodec, .noConnection: 488
    case .answerMismatch: 488
    case .wrongState: 491
    }
  }
}

/// One SIP dialog's side of offer/answer (RFC 3264): keeps the session id, counts the version up when, and only when, our
/// description changes, and remembers what holds while an exchange is open or has failed.
public struct OfferAnswer: Sendable {
  /// Our last description, as sent.
  public private(set) var local: SessionDescription?
  /// The agreement that holds; nil before the first.
  public private(set) var negotiated: NegotiatedAudio?
  /// Whether an offer of ours waits for its answer.
  public private(set) var isOfferOpen = false

  /// - Parameter sessionID: of `o=`; RFC 8866 wants it unique, an NTP time or random number below 2^63.
  public init(sessionID: UInt64) {}

  /// Answers the peer's offer. On an error nothing has changed.
  public mutating func answer(
    _ offer: SessionDescription, with capabilities: AudioCapabilities
  ) throws(NegotiationError) -> (answer: SessionDescription, audio: NegotiatedAudio) {
    throw .noAudio
  }

  /// Makes an offer; a later one keeps the sections and payload types of the session (RFC 3264 section 8).
  public mutating func offer(_ capabilities: AudioCapabilities) throws(NegotiationError) -> SessionDescription {
    throw .wrongState
  }

  /// Applies the peer's answer to our open offer. On an error the agreement before the offer holds.
  public mutating func apply(answer: SessionDescription) throws(NegotiationError) -> NegotiatedAudio {
    throw .wrongState
  }

  /// The offer was refused (488, 491 ...) or withdrawn: what held before holds.
  public mutating func offerRefused() {}
}
