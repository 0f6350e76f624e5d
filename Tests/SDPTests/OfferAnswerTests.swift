import SDP
import Testing

@Suite struct OfferAnswerTests {
  private let ours = AudioCapabilities(address: "192.0.2.99", port: 12_000)

  private func answer(
    _ offer: String, _ capabilities: AudioCapabilities? = nil
  ) throws -> (answer: SessionDescription, audio: NegotiatedAudio) {
    var side = OfferAnswer(sessionID: 42)
    return try side.answer(try SessionDescription(parsing: offer), with: capabilities ?? ours)
  }

  private struct Expected: Sendable {
    var codec: String
    var keys: UInt8?
    var address: String
    var port: UInt16
    var control: UInt16
    var ptime = 20
  }
  private static let field: [(String, Expected)] = [
    (Offers.asterisk, Expected(codec: "PCMA", keys: 101, address: "192.0.2.10", port: 18532, control: 18533)),
    (Offers.cisco, Expected(codec: "PCMU", keys: 101, address: "198.51.100.8", port: 16950, control: 16951)),
    (Offers.polycom, Expected(codec: "PCMU", keys: 127, address: "203.0.113.20", port: 2252, control: 2253)),
    (Offers.baresip, Expected(codec: "PCMA", keys: 101, address: "127.0.0.1", port: 40122, control: 40123)),
    (Offers.linphone, Expected(codec: "PCMU", keys: nil, address: "2001:db8::25", port: 7078, control: 7079)),
    (Offers.sloppy, Expected(codec: "PCMU", keys: 101, address: "10.0.0.1", port: 5004, control: 5005)),
  ]

  @Test(arguments: 0..<6) func offersOfTheFieldAreAnswered(index: Int) throws {
    let (text, expected) = Self.field[index]
    let offer = try SessionDescription(parsing: text)
    let (answer, audio) = try answer(text)
    #expect(audio.codec.codec.name == expected.codec)
    #expect(audio.telephoneEvent?.sendPayloadType == expected.keys)
    #expect(audio.remoteAddress == expected.address)
    #expect(audio.remotePort == expected.port)
    #expect(audio.remoteRTCPPort == expected.control)
    #expect(audio.ptimeMs == expected.ptime)
    #expect(audio.direction == .sendrecv)
    // The answer's form (RFC 3264 section 6).
    #expect(answer.media.count == offer.media.count)
    #expect(zip(answer.media, offer.media).allSatisfy { $0.kind == $1.kind && $0.transport == $1.transport })
    #expect(answer.times == offer.times)
    #expect(answer.media[0].port == 12_000)
    #expect(answer.media.dropFirst().allSatisfy { $0.port == 0 && !$0.formats.isEmpty })
    #expect(Set(answer.media[0].formats).isSubset(of: offer.media[0].formats))
    #expect(
      answer.media[0].formats == [audio.codec.receivePayloadType, expected.keys].compactMap { $0.map(String.init) })
    // And it is understood by our own offerer's parser.
    #expect(try SessionDescription(parsing: answer.serialized()) == answer)
  }

  @Test func ourOrderDecidesWhereWeSaySo() throws {
    var capabilities = ours
    capabilities.preference = .ours
    #expect(try answer(Offers.asterisk, capabilities).audio.codec.codec.name == "PCMU")
  }

  @Test(arguments: [
    ("a=sendrecv", MediaDirection.sendrecv, "sendrecv"), ("a=sendonly", .recvonly, "recvonly"),
    ("a=recvonly", .sendonly, "sendonly"), ("a=inactive", .inactive, "inactive"), ("", .sendrecv, "sendrecv"),
  ]) func holdIsAnsweredInKind(line: String, direction: MediaDirection, written: String) throws {
    let (answer, audio) = try answer(line.isEmpty ? Offers.audio() : Offers.audio(line))
    #expect(audio.direction == direction)
    #expect(answer.media[0].attributes.contains(Attribute(written)))
    #expect(audio.isHeldByPeer == (line == "a=sendonly" || line == "a=inactive"))
  }

  @Test func theOldHoldMeansDoNotSend() throws {
    let (answer, audio) = try answer(Offers.audio(address: "0.0.0.0"))
    #expect(audio.isHeldByPeer)
    #expect(audio.direction == .recvonly)
    #expect(answer.media[0].port != 0)
  }

  @Test func ourOwnHoldIsRespected() throws {
    var capabilities = ours
    capabilities.direction = .sendonly
    #expect(try answer(Offers.audio("a=sendrecv"), capabilities).audio.direction == .sendonly)
    #expect(try answer(Offers.audio("a=sendonly"), capabilities).audio.direction == .inactive)
  }

  @Test(arguments: [
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n", NegotiationError.noAudio),
    (Offers.audio(port: 0), .noAudio),
    (Offers.audio(formats: "18 3 4"), .noCommonCodec),
    (Offers.audio("a=rtpmap:101 telephone-event/8000", formats: "101"), .noCommonCodec),
    (Offers.audio("a=rtpmap:96 opus/48000/2", formats: "96"), .noCommonCodec),
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n", .noConnection),
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n", .noAudio),
    ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=image 4000 udptl t38\r\n", .noAudio),
  ]) func offersWithoutAgreementAreRefused(offer: String, expected: NegotiationError) {
    #expect(throws: expected) { try answer(offer) }
    #expect(expected.status == 488)
  }

  @Test func theFirstUsableAudioSectionIsTaken() throws {
    let text =
      "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
      + "m=audio 5000 RTP/SAVP 0\r\nm=audio 5002 RTP/AVP 18\r\nm=audio 5004 RTP/AVP 8\r\nm=audio 5006 RTP/AVP 0\r\n"
    let (answer, audio) = try answer(text)
    #expect(audio.mediaIndex == 3)
    #expect(answer.media.map(\.port) == [0, 0, 0, 12_000, 0])
  }

  @Test func controlAndPacketTimeAreReadFromAttributes() throws {
    let lines = ["a=rtcp:6001 IN IP4 192.0.2.77", "a=ptime:60", "a=rtcp-mux"]
    let plain = try answer(Offers.audio(lines[0], lines[1], lines[2])).audio
    #expect(plain.remoteRTCPPort == 6001 && plain.remoteRTCPAddress == "192.0.2.77" && plain.ptimeMs == 60)
    var capabilities = ours
    capabilities.rtcpMux = true
    let (answer, shared) = try answer(Offers.audio(lines[0], lines[2]), capabilities)
    #expect(shared.rtcpMux && shared.remoteRTCPPort == 4000)
    #expect(answer.media[0].attribute("rtcp-mux") != nil)
    for (line, expected) in [("a=ptime:10", 20), ("a=ptime:30", 20), ("a=ptime:500", 60), ("a=ptime:x", 20)] {
      #expect(try self.answer(Offers.audio(line)).audio.ptimeMs == expected)
    }
    #expect(try self.answer(Offers.audio("a=ptime:60", "a=maxptime:40")).audio.ptimeMs == 40)
  }

  @Test func theVersionCountsChangesOfOurSideOnly() throws {
    var side = OfferAnswer(sessionID: 42)
    let first = try side.answer(try SessionDescription(parsing: Offers.audio()), with: ours).answer
    let again = try side.answer(try SessionDescription(parsing: Offers.audio()), with: ours).answer
    #expect(again == first)
    let held = try side.answer(try SessionDescription(parsing: Offers.audio("a=sendonly")), with: ours).answer
    #expect(held.origin.version == first.origin.version + 1)
    #expect(held.origin.sessionID == first.origin.sessionID)
    #expect(throws: NegotiationError.noCommonCodec) {
      try side.answer(try SessionDescription(parsing: Offers.audio(formats: "18")), with: ours)
    }
    #expect(side.local == held)
    #expect(side.negotiated?.isHeldByPeer == true)
  }

  @Test func twoOfOurSidesAgree() throws {
    for (a, b) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
      var caller = OfferAnswer(sessionID: 1)
      var callee = OfferAnswer(sessionID: 2)
      let offer = try caller.offer(AudioCapabilities(address: a, port: 4000))
      #expect(caller.isOfferOpen)
      let sent = try SessionDescription(parsing: offer.serialized())
      let (answer, theirs) = try callee.answer(
        sent, with: AudioCapabilities(codecs: [.pcma, .telephoneEvent], address: b, port: 5000))
      let mine = try caller.apply(answer: try SessionDescription(parsing: answer.serialized()))
      #expect(mine.codec.codec.name == "PCMA" && theirs.codec.codec.name == "PCMA")
      #expect(mine.remoteAddress == b && mine.remotePort == 5000)
      #expect(theirs.remoteAddress == a && theirs.remotePort == 4000)
      #expect(mine.telephoneEvent?.sendPayloadType == theirs.telephoneEvent?.receivePayloadType)
      #expect(!caller.isOfferOpen)
    }
  }

  @Test func holdAndResumeByReOffer() throws {
    var caller = OfferAnswer(sessionID: 1)
    var callee = OfferAnswer(sessionID: 2)
    var capabilities = AudioCapabilities(address: "192.0.2.1", port: 4000)
    for (direction, sends) in [
      (MediaDirection.sendrecv, true), (.sendonly, false), (.inactive, false), (.sendrecv, true),
    ] {
      capabilities.direction = direction
      let (answer, theirs) = try callee.answer(try caller.offer(capabilities), with: ours)
      let mine = try caller.apply(answer: answer)
      #expect(theirs.direction.sends == sends)
      #expect(mine.direction == theirs.direction.reversed)
    }
    #expect(caller.local?.origin.version == 4)
  }

  @Test func aLaterOfferKeepsNumbersAndSections() throws {
    var side = OfferAnswer(sessionID: 1)
    _ = try side.answer(try SessionDescription(parsing: Offers.polycom), with: ours)
    let offer = try side.offer(ours)
    #expect(offer.media.map(\.kind) == ["audio", "video"])
    #expect(offer.media[1].port == 0)
    #expect(offer.media[0].formats == ["0", "8", "127"])
  }

  @Test func aNumberInUseIsNotGivenToAnotherCodec() throws {
    var side = OfferAnswer(sessionID: 1)
    let text = Offers.audio("a=rtpmap:101 PCMA/8000", formats: "101")
    _ = try side.answer(try SessionDescription(parsing: text), with: ours)
    let codecs = try side.offer(ours).media[0].codecs
    #expect(codecs.map(\.name) == ["PCMU", "PCMA", "telephone-event"])
    #expect(codecs[1].payloadType == 101)
    #expect(codecs[2].payloadType == 96)
  }

  @Test func anAnswerMayUseItsOwnNumbersAndLeaveOutMappings() throws {
    var side = OfferAnswer(sessionID: 1)
    _ = try side.offer(ours)
    let other = try side.apply(
      answer: try SessionDescription(parsing: Offers.audio("a=rtpmap:99 telephone-event/8000", formats: "8 99")))
    #expect(other.telephoneEvent?.sendPayloadType == 99)
    #expect(other.telephoneEvent?.receivePayloadType == 101)
    _ = try side.offer(ours)
    let bare = try side.apply(answer: try SessionDescription(parsing: Offers.audio(formats: "0 8 101")))
    #expect(bare.codecs.map(\.codec.name) == ["PCMU", "PCMA"])
    #expect(bare.telephoneEvent?.sendPayloadType == 101)
  }

  @Test func answersThatBreakTheRulesAreRefusedAndTheOldAgreementHolds() throws {
    var side = OfferAnswer(sessionID: 1)
    _ = try side.offer(ours)
    let agreed = try side.apply(answer: try SessionDescription(parsing: Offers.audio()))
    let bad = [
      Offers.audio(port: 0), Offers.audio(formats: "18"), Offers.audio("m=video 1 RTP/AVP 34"),
      Offers.audio().replacing("RTP/AVP", with: "RTP/SAVP"), Offers.audio().replacing("m=audio", with: "m=video"),
      Offers.audio().replacing("c=IN IP4 192.0.2.1\r\n", with: ""),
    ]
    for text in bad {
      _ = try side.offer(ours)
      #expect(throws: NegotiationError.self) { try side.apply(answer: try SessionDescription(parsing: text)) }
      #expect(side.negotiated == agreed)
      #expect(!side.isOfferOpen)
    }
    #expect(throws: NegotiationError.wrongState) { try side.apply(answer: try SessionDescription(parsing: bad[0])) }
  }

  @Test func offersThatCrossAreRefused() throws {
    var side = OfferAnswer(sessionID: 1)
    _ = try side.offer(ours)
    #expect(throws: NegotiationError.wrongState) { try side.offer(ours) }
    #expect(throws: NegotiationError.wrongState) {
      try side.answer(try SessionDescription(parsing: Offers.audio()), with: ours)
    }
    side.offerRefused()
    #expect(try side.answer(try SessionDescription(parsing: Offers.audio()), with: ours).audio.remotePort == 4000)
  }
}
