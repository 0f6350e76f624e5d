import Base
import RTP
import SDP
import SIP

/// Everything that the network hands to the protocol rooms, as functions of bytes. `Fuzz/` calls them under libFuzzer, and the
/// tests with what it found.
enum ProtocolTarget: String, CaseIterable {
  /// One message as a datagram, and as bytes of a stream in portions.
  case sip
  /// A whole endpoint with calls: see ``EndpointScript``.
  case endpoint
  /// A URI, an address with a name, and a Via.
  case uri
  /// A session description, answered and offered.
  case sdp
  /// Datagrams of a media port, each after its length.
  case rtp
  /// A compound of control packets.
  case rtcp

  /// What a target finds wrong, short of a crash: a sentence.
  struct Finding: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  func run(_ bytes: [UInt8]) throws {
    switch self {
    case .sip: try Self.sip(bytes)
    case .endpoint: try EndpointScript.run(bytes)
    case .uri: try Self.uri(bytes)
    case .sdp: try Self.sdp(bytes)
    case .rtp: try Self.rtp(bytes)
    case .rtcp: try Self.rtcp(bytes)
    }
  }

  static func require(_ holds: Bool, _ what: @autoclosure () -> String) throws {
    if !holds { throw Finding(what()) }
  }

  // MARK: SIP

  private static func sip(_ bytes: [UInt8]) throws {
    if let message = try? SIPMessage.parse(bytes) { try readAgain(message) }
    // The same frames come out of a stream however it is cut; the bytes say how.
    let whole = frames(bytes, portion: bytes.count)
    let portion = 1 + Int(bytes.reduce(0, &+) % 32)
    try require(frames(bytes, portion: portion) == whole, "a stream cut into portions of \(portion) has other frames")
    for case .message(let message) in whole { _ = try? SIPMessage.parse(message, framing: .stream) }
    var screen = screen
    _ = screen.judge(bytes, from: EndpointScript.peer, at: .zero)
  }

  private static let screen = SIPScreen(SIPScreenSettings())

  private static func readAgain(_ message: SIPMessage) throws {
    _ = (message.contacts, message.requestURI?.decodedUser, SIPHeaderFilter().incoming(message), message.body)
    for header in SIPHeaderFilter().incoming(message) {
      try require(header.value.utf8.count <= 3 * SIPHeaderFilter.valueBytes, "a value that was not cut")
    }
    let written = message.serialized()
    guard let again = try? SIPMessage.parse(written, framing: .stream) else {
      // Folds that are undone and compact forms that are written out can pass a limit that the message kept.
      try require(written.count > 8_000, "written, but not read again")
      return
    }
    try require(
      again.status == message.status && again.reason == message.reason && again.method == message.method
        && again.requestURIText == message.requestURIText && again.callID == message.callID
        && again.cseq == message.cseq && again.from == message.from && again.to == message.to
        && again.topVia == message.topVia && again.body?.bytes == message.body?.bytes
        && again.headers.filter { $0.name != "Content-Length" }
          == message.headers.filter { $0.name != "Content-Length" },
      "a message does not come back as it was")
  }

  private static func frames(_ bytes: [UInt8], portion: Int) -> [SIPStreamFramer.Frame] {
    var framer = SIPStreamFramer(messageBytes: 65_535)
    var frames: [SIPStreamFramer.Frame] = []
    var at = 0
    while at < bytes.count {
      let end = min(bytes.count, at + max(1, portion))
      framer.append(Array(bytes[at..<end]))
      at = end
      while let frame = framer.next() { frames.append(frame) }
    }
    return frames
  }

  private static func uri(_ bytes: [UInt8]) throws {
    let text = String(decoding: bytes, as: UTF8.self)
    if let uri = SIPURI(text) {
      try require(SIPURI(uri.description) == uri, "a URI does not come back: \(uri)")
      _ = (uri.decodedUser, uri.address, uri.isLooseRouter)
      for transport in SIPTransport.allCases { _ = uri.allows(transport) }
    }
    if let address = SIPNameAddress(text) {
      try require(SIPNameAddress(address.description) == address, "an address does not come back: \(address)")
    }
    if let via = SIPVia(text) { try require(SIPVia(via.description) == via, "a Via does not come back: \(via)") }
  }

  // MARK: SDP

  private static func sdp(_ bytes: [UInt8]) throws {
    guard let description = try? SessionDescription(parsing: bytes) else { return }
    let written = description.serialized()
    if let again = try? SessionDescription(parsing: written) {
      try require(again.serialized() == written, "a description does not come back as it was")
    }
    let capabilities = AudioCapabilities(address: "192.0.2.1", port: 40_000, rtcpMux: true)
    var answering = OfferAnswer(sessionID: 1)
    if let (answer, _) = try? answering.answer(description, with: capabilities) {
      try require(answer.media.count == description.media.count, "an answer with other sections than the offer")
      try require((try? SessionDescription(parsing: answer.serialized())) != nil, "an answer that cannot be read")
    }
    var offering = OfferAnswer(sessionID: 2)
    _ = try offering.offer(capabilities)
    _ = try? offering.apply(answer: description)
    try require(!offering.isOfferOpen, "an answer left the offer open")
  }

  // MARK: RTP

  private static func rtp(_ bytes: [UInt8]) throws {
    var receiver = RTPReceiver(.init(formats: .g711(telephoneEvent: PayloadType(101))))
    let peer = RTPPeer(ipv4: 0xC000_020A, port: 4_000)
    var now = Instant.zero
    var rest = bytes[...]
    while let length = rest.popFirst() {
      let packet = Array(rest.prefix(Int(length)))
      rest = rest.dropFirst(Int(length))
      try packet.withUnsafeBytes { raw in
        if let view = try? RTPPacketView(raw) {
          try require(view.payload.count <= raw.count - RTPPacketView.fixedHeaderSize, "a payload beyond its packet")
        }
        _ = receiver.receive(raw, from: peer, at: now)
      }
      now += .milliseconds(Int64(length % 40))
      _ = receiver.poll(at: now)
      var samples = 0
      receiver.pull(at: now) { _ in samples += 1 }
      _ = (receiver.statistics, receiver.reportBlock())
    }
  }

  private static func rtcp(_ bytes: [UInt8]) throws {
    var session = RTCPSession(ssrc: SSRC(1), cname: "a", seed: 1, at: .zero)
    try bytes.withUnsafeBytes { raw in
      _ = session.receive(raw, ntp: 1 << 40, at: .zero)
      guard let packets = try? RTCPPacket.parse(raw) else { return }
      try require(packets.count <= RTCPPacket.maxPackets, "\(packets.count) packets of one compound")
      var written: [UInt8] = []
      let known = packets.filter { if case .other = $0 { false } else { true } }
      for packet in known { packet.append(to: &written) }
      let again = try? written.withUnsafeBytes { try RTCPPacket.parse($0) }
      try require(again?.count == known.count, "a compound does not come back as it was")
    }
  }
}
