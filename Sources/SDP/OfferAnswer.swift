// Offer and answer (RFC 3264): what we can do, met with what the peer describes, comes to what the call's audio will be.

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
  /// The longest packets that we would send because the peer asks for them.
  public var maxPtimeMs: Int
  /// Whether control packets may share the media port (RFC 5761).
  public var rtcpMux: Bool
  /// Whose order decides between several common codecs.
  public var preference: Preference

  public enum Preference: Sendable, Hashable {
    /// As RFC 3264 section 6.1 recommends.
    case offerer
    case ours
  }

  public init(
    codecs: [AudioCodec] = [.pcmu, .pcma, .telephoneEvent], address: String, port: UInt16,
    direction: MediaDirection = .sendrecv, ptimeMs: Int = 20, maxPtimeMs: Int = 60, rtcpMux: Bool = false,
    preference: Preference = .offerer
  ) {
    self.codecs = codecs
    self.address = address
    self.port = port
    self.direction = direction
    self.ptimeMs = ptimeMs
    self.maxPtimeMs = maxPtimeMs
    self.rtcpMux = rtcpMux
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
  /// Of the packets that we send: the multiple of our own packet time nearest below what the peer asked for, within our
  /// bounds.
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
/// description changes, and remembers what holds while an exchange is open or has failed. A value: an early dialog of a
/// forked call is a copy.
public struct OfferAnswer: Sendable {
  /// Our last description, as sent.
  public private(set) var local: SessionDescription?
  /// The agreement that holds; nil before the first.
  public internal(set) var negotiated: NegotiatedAudio?
  /// Whether an offer of ours waits for its answer.
  public private(set) var isOfferOpen = false
  /// Whether we have put the peer on hold; see ``hold(_:)``.
  public internal(set) var isHolding = false

  let sessionID: UInt64
  var version: UInt64
  // RFC 3264 section 8: `o=` stays what it was but for the version, also where a successor has another address.
  var originAddress: Connection?
  // `t=` as the peer's first offer had it.
  var times = ["0 0"]
  private var offered: (capabilities: AudioCapabilities, codecs: [AudioCodec], mediaIndex: Int, holds: Bool)?
  // Payload type numbers keep their meaning for the session's life (RFC 3264 section 8.3.2).
  var numbers: [AudioCodec] = []
  // What the sections of the session are, so that a later offer repeats them all (section 8).
  var sections: [MediaDescription] = []

  /// The transports of RFC 3551 and 4585. The secure ones come with SRTP.
  private static let transports: Set<String> = ["RTP/AVP", "RTP/AVPF"]

  /// - Parameter sessionID: of `o=`; RFC 8866 wants it unique, an NTP time or random number. Only 62 bits of it count: the
  ///   version begins with it, and has to stay below 2^63 for as long as it counts up.
  public init(sessionID: UInt64) {
    self.sessionID = sessionID & (UInt64.max >> 2)
    version = self.sessionID
  }

  /// Answers the peer's offer. On an error nothing has changed.
  public mutating func answer(
    _ offer: SessionDescription, with capabilities: AudioCapabilities
  ) throws(NegotiationError) -> (answer: SessionDescription, audio: NegotiatedAudio) {
    guard !isOfferOpen else { throw .wrongState }
    let capabilities = isHolding ? capabilities.holding : capabilities
    let (index, audio) = try Self.choose(offer, capabilities)
    let media = offer.media.enumerated().map { position, section in
      position == index
        ? Self.section(
          audio.allCodecs.map(\.asReceived), transport: section.transport, direction: audio.direction, capabilities,
          rtcpMux: audio.rtcpMux)
        : Self.declined(section)
    }
    let answer = publish(media, times: offer.times, capabilities)
    remember(audio.allCodecs.map(\.asReceived))
    negotiated = audio
    return (answer, audio)
  }

  /// Makes an offer; a later one keeps the sections and payload types of the session (RFC 3264 section 8).
  public mutating func offer(_ capabilities: AudioCapabilities) throws(NegotiationError) -> SessionDescription {
    try offer(isHolding ? capabilities.holding : capabilities, holds: isHolding)
  }

  /// - Parameter holds: what ``isHolding`` is once the peer has agreed.
  mutating func offer(
    _ capabilities: AudioCapabilities, holds: Bool
  ) throws(NegotiationError) -> SessionDescription {
    guard !isOfferOpen else { throw .wrongState }
    let codecs = numbered(capabilities.codecs)
    guard codecs.contains(where: { !$0.isAuxiliary }) else { throw .noCommonCodec }
    let audio = Self.section(
      codecs, transport: "RTP/AVP", direction: capabilities.direction, capabilities, rtcpMux: capabilities.rtcpMux)
    let index = negotiated?.mediaIndex ?? 0
    var media = sections.map(Self.declined)
    if index < media.count { media[index] = audio } else { media.append(audio) }
    offered = (capabilities, codecs, index, holds)
    isOfferOpen = true
    return publish(media, times: times, capabilities)
  }

  /// Applies the peer's answer to our open offer. On an error the agreement before the offer holds.
  public mutating func apply(answer: SessionDescription) throws(NegotiationError) -> NegotiatedAudio {
    guard isOfferOpen, let local, let (capabilities, codecs, index, holds) = offered else { throw .wrongState }
    defer { offerRefused() }
    guard answer.media.count == local.media.count else {
      throw .answerMismatch("\(answer.media.count) media sections for an offer of \(local.media.count)")
    }
    for (ours, theirs) in zip(local.media, answer.media) where ours.kind != theirs.kind {
      throw .answerMismatch("a section \(theirs.kind) for an offered \(ours.kind)")
    }
    for (ours, theirs) in zip(local.media, answer.media) where ours.port == 0 && theirs.port != 0 {
      throw .answerMismatch("an accepted section \(theirs.kind) that was not offered")
    }
    let section = answer.media[index]
    guard section.port != 0 else { throw .noAudio }
    guard section.transport.uppercased() == local.media[index].transport else {
      throw .answerMismatch("transport \(section.transport) for an offered \(local.media[index].transport)")
    }
    let described = section.codecs
    let common = section.formats.compactMap { format -> NegotiatedCodec? in
      guard let number = UInt8(format) else { return nil }
      // A number without rtpmap means what our offer said it means.
      guard
        let theirs = described.first(where: { $0.payloadType == number })
          ?? codecs.first(where: { $0.payloadType == number }),
        let ours = codecs.first(where: { $0.matches(theirs) })
      else { return nil }
      return NegotiatedCodec(codec: theirs, sendPayloadType: number, receivePayloadType: ours.payloadType)
    }
    let audio = try Self.agree(
      on: common.filter { !$0.codec.isAuxiliary }, auxiliary: common.filter(\.codec.isAuxiliary), section, index,
      answer,
      capabilities)
    remember(codecs)
    negotiated = audio
    isHolding = holds
    return audio
  }

  /// The offer was refused (488, 491 ...) or withdrawn: what held before holds.
  public mutating func offerRefused() {
    isOfferOpen = false
    offered = nil
  }

  // MARK: choosing

  /// The first audio section that can be used, and what it comes to.
  private static func choose(
    _ offer: SessionDescription, _ capabilities: AudioCapabilities
  ) throws(NegotiationError) -> (Int, NegotiatedAudio) {
    var failure = NegotiationError.noAudio
    for (index, section) in offer.media.enumerated() {
      guard section.kind == "audio", section.port != 0, transports.contains(section.transport.uppercased()) else {
        continue
      }
      let theirs = section.codecs
      let common = common(theirs, capabilities)
      // One audio codec: peers that switch in the middle of a call are not to be tempted.
      guard let codec = common.first(where: { !$0.isAuxiliary }) else {
        if failure == .noAudio { failure = .noCommonCodec }
        continue
      }
      let same = { (codec: AudioCodec) in
        NegotiatedCodec(codec: codec, sendPayloadType: codec.payloadType, receivePayloadType: codec.payloadType)
      }
      do {
        return (
          index,
          try agree(
            on: [same(codec)], auxiliary: common.filter(\.isAuxiliary).map(same), section, index, offer, capabilities)
        )
      } catch { failure = error }
    }
    throw failure
  }

  /// Their codecs that are ours too, in the order that decides.
  private static func common(_ theirs: [AudioCodec], _ capabilities: AudioCapabilities) -> [AudioCodec] {
    switch capabilities.preference {
    case .offerer: theirs.filter { codec in capabilities.codecs.contains { $0.matches(codec) } }
    case .ours: capabilities.codecs.compactMap { codec in theirs.first { $0.matches(codec) } }
    }
  }

  private static func agree(
    on codecs: [NegotiatedCodec], auxiliary: [NegotiatedCodec], _ section: MediaDescription, _ index: Int,
    _ remote: SessionDescription, _ capabilities: AudioCapabilities
  ) throws(NegotiationError) -> NegotiatedAudio {
    guard let codec = codecs.first else { throw .noCommonCodec }
    guard let connection = remote.connection(for: section) else { throw .noConnection }
    let named = { (name: String) -> NegotiatedCodec? in
      let candidates = auxiliary.filter { $0.codec.name.lowercased() == name }
      return candidates.first { $0.codec.clockRate == codec.codec.clockRate } ?? candidates.first
    }
    let theirs = remote.direction(for: section)
    // `c=0.0.0.0` is the old way to say "do not send to me" (RFC 3264 section 8.4).
    let theyReceive = theirs.receives && !connection.isUnspecified
    let mux = capabilities.rtcpMux && section.attribute("rtcp-mux") != nil
    let (controlPort, controlAddress) = control(section)
    return NegotiatedAudio(
      codec: codec, codecs: codecs, telephoneEvent: named("telephone-event"), comfortNoise: named("cn"),
      remoteAddress: connection.address, remotePort: section.port,
      remoteRTCPAddress: mux ? connection.address : controlAddress ?? connection.address,
      remoteRTCPPort: mux ? section.port : controlPort ?? (section.port == .max ? 0 : section.port + 1), rtcpMux: mux,
      direction: MediaDirection(
        sends: capabilities.direction.sends && theyReceive, receives: capabilities.direction.receives && theirs.sends),
      ptimeMs: ptime(section, capabilities), mediaIndex: index)
  }

  /// `a=rtcp:port [IN IP4 address]` (RFC 3605).
  private static func control(_ section: MediaDescription) -> (UInt16?, String?) {
    let words = (section.attribute("rtcp") ?? "").split(separator: " ")
    guard let first = words.first, let port = UInt16(first) else { return (nil, nil) }
    return (port, words.count >= 4 ? String(words[3]) : nil)
  }

  private static func ptime(_ section: MediaDescription, _ capabilities: AudioCapabilities) -> Int {
    let ours = max(1, capabilities.ptimeMs)
    let number = { (name: String) in
      section.attribute(name).flatMap { Int($0.prefix { $0.isASCII && $0.isNumber }) }
    }
    let bound = min(number("maxptime") ?? .max, max(ours, capabilities.maxPtimeMs))
    return max(ours, min(number("ptime") ?? ours, bound) / ours * ours)
  }

  // MARK: writing

  private static func section(
    _ codecs: [AudioCodec], transport: String, direction: MediaDirection, _ capabilities: AudioCapabilities,
    rtcpMux: Bool
  ) -> MediaDescription {
    var attributes: [Attribute] = []
    for codec in codecs {
      let channels = codec.channels > 1 ? "/\(codec.channels)" : ""
      attributes.append(Attribute("rtpmap", "\(codec.payloadType) \(codec.name)/\(codec.clockRate)\(channels)"))
      if let parameters = codec.parameters {
        attributes.append(Attribute("fmtp", "\(codec.payloadType) \(parameters)"))
      }
    }
    attributes.append(Attribute("ptime", "\(capabilities.ptimeMs)"))
    attributes.append(Attribute("maxptime", "\(capabilities.maxPtimeMs)"))
    attributes.append(Attribute(direction.rawValue))
    if rtcpMux { attributes.append(Attribute("rtcp-mux")) }
    return MediaDescription(
      kind: "audio", port: capabilities.port, transport: transport, formats: codecs.map { "\($0.payloadType)" },
      attributes: attributes)
  }

  /// Port 0, and the formats as they were, for there must be one (RFC 3264 section 6).
  private static func declined(_ section: MediaDescription) -> MediaDescription {
    MediaDescription(kind: section.kind, port: 0, transport: section.transport, formats: section.formats)
  }

  private mutating func publish(
    _ media: [MediaDescription], times: [String], _ capabilities: AudioCapabilities
  ) -> SessionDescription {
    let connection = Connection(capabilities.address)
    let origin = originAddress ?? connection
    var description = SessionDescription(
      origin: Origin(username: "parley", sessionID: "\(sessionID)", version: version, address: origin),
      name: "parley", connection: connection, times: times, media: media)
    if let local, local != description {
      version += 1
      description.origin.version = version
    }
    local = description
    originAddress = origin
    self.times = times
    sections = media
    return description
  }

  private mutating func remember(_ codecs: [AudioCodec]) {
    for codec in codecs where !numbers.contains(where: { $0.payloadType == codec.payloadType }) {
      numbers.append(codec)
    }
  }

  /// Our codecs with the numbers that the session already gave them, and no number that it gave to another.
  private func numbered(_ codecs: [AudioCodec]) -> [AudioCodec] {
    var used = Set(numbers.map(\.payloadType))
    var out: [AudioCodec] = []
    for codec in codecs {
      var codec = codec
      if let known = numbers.first(where: { $0.matches(codec) }) {
        codec.payloadType = known.payloadType
      } else if used.contains(codec.payloadType) {
        guard let free = (UInt8(96)...127).first(where: { !used.contains($0) }) else { continue }
        codec.payloadType = free
      }
      used.insert(codec.payloadType)
      out.append(codec)
    }
    return out
  }
}

extension NegotiatedCodec {
  /// The codec under the number that we receive it with, with our own parameters where we have any.
  fileprivate var asReceived: AudioCodec {
    var codec = codec
    codec.payloadType = receivePayloadType
    if codec.name.lowercased() == "telephone-event" { codec.parameters = AudioCodec.telephoneEvent.parameters }
    return codec
  }
}

extension NegotiatedAudio {
  fileprivate var allCodecs: [NegotiatedCodec] { codecs + [telephoneEvent, comfortNoise].compactMap(\.self) }
}
