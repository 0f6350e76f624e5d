import Base
import SDP
import Testing

@Suite struct ParserTests {
  @Test(arguments: [Offers.asterisk, Offers.cisco, Offers.polycom, Offers.baresip, Offers.linphone])
  func whatTheFieldWritesSurvivesTheRoundTrip(text: String) throws {
    let description = try SessionDescription(parsing: text)
    let written = description.serialized()
    #expect(try SessionDescription(parsing: written) == description)
    #expect(Set(written.split(separator: "\r\n")) == Set(text.split(separator: "\r\n")))
  }

  @Test func theModelHoldsWhatTheTextSays() throws {
    let description = try SessionDescription(parsing: Offers.polycom)
    #expect(description.origin.sessionID == "1397495024")
    #expect(description.name == "Polycom IP Phone")
    #expect(description.otherLines == [Line(type: "b", value: "AS:2048")])
    #expect(description.media.map(\.kind) == ["audio", "video"])
    #expect(description.media[0].codecs.map(\.name) == ["G722", "G7221", "PCMU", "PCMA", "G729", "telephone-event"])
    #expect(description.media[0].codecs[4].parameters == "annexb=no")
    #expect(description.media[0].attribute("ptime") == "30")
    #expect(description.media[1].codecs[0].clockRate == 90_000)
  }

  @Test func sloppyTextIsUnderstood() throws {
    let description = try SessionDescription(parsing: Offers.sloppy)
    #expect(description.name == "-")
    #expect(description.times == ["0 0"])
    let audio = description.media[0]
    #expect(audio.kind == "audio" && audio.port == 5004 && audio.portCount == 2)
    #expect(audio.connection == Connection(type: .ip4, address: "10.0.0.1"))
    #expect(audio.codecs.map(\.name) == ["PCMU", "Telephone-Event"])
    #expect(audio.otherLines == [Line(type: "y", value: "whatever this is")])
  }

  @Test func anOriginWithABlankInItsNameIsUnderstood() throws {
    let description = try SessionDescription(parsing: Offers.linphone)
    #expect(description.origin.username == "some user")
    #expect(description.origin.version == 2143)
    #expect(description.connection == Connection(type: .ip6, address: "2001:db8::25"))
  }

  @Test(arguments: [
    ("", SDPError(.empty, line: 1)),
    ("\r\n\r\n", SDPError(.empty, line: 1)),
    ("hello", SDPError(.badLine, line: 1)),
    ("o=- 1 1 IN IP4 1.2.3.4", SDPError(.badVersion, line: 1)),
    ("v=1", SDPError(.badVersion, line: 1)),
    ("v=0\r\ns=-", SDPError(.missingOrigin, line: 2)),
    ("v=0\r\no=- 1 1 IN IP4", SDPError(.badOrigin, line: 2, column: 3)),
    ("v=0\r\no=- x 1 IN IP4 1.2.3.4", SDPError(.badOrigin, line: 2, column: 5)),
    ("v=0\r\no=- 1 -1 IN IP4 1.2.3.4", SDPError(.badOrigin, line: 2, column: 7)),
    ("v=0\r\no=- 1 1 IN IP5 1.2.3.4", SDPError(.badOrigin, line: 2, column: 12)),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4", SDPError(.badConnection, line: 3, column: 6)),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 <script>", SDPError(.badConnection, line: 3, column: 10)),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 70000 RTP/AVP 0", SDPError(.badMedia, line: 3, column: 9)),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 1/0 RTP/AVP 0", SDPError(.badMedia, line: 3, column: 9)),
    ("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio", SDPError(.badMedia, line: 3, column: 3)),
    ("v=0\r\nno equals sign", SDPError(.badLine, line: 2)),
    ("v=0\r\n=x", SDPError(.badLine, line: 2)),
    ("v=0\r\ns=a\u{0}b", SDPError(.badText, line: 2, column: 4)),
  ]) func mistakesAreNamedWithTheirPlace(text: String, expected: SDPError) {
    #expect(throws: expected) { try SessionDescription(parsing: text) }
  }

  @Test func textThatIsNotUTF8IsRefused() {
    #expect(throws: SDPError(.badText, line: 2, column: 3)) {
      try SessionDescription(parsing: Array("v=0\ns=".utf8) + [0xFF, 0xFE])
    }
  }

  @Test func limitsHold() {
    let start = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n"
    func code(_ text: String) -> SDPError.Code? {
      do throws(SDPError) {
        _ = try SessionDescription(parsing: text)
        return nil
      } catch { return error.code }
    }
    let line = "a=x\r\n"
    #expect(code(start + String(repeating: line, count: SDPLimits.maxLines - 2)) == nil)
    #expect(code(start + String(repeating: line, count: SDPLimits.maxLines)) == .tooManyLines)
    #expect(code(start + "a=" + String(repeating: "x", count: SDPLimits.maxLineOctets)) == .lineTooLong)
    #expect(
      code(start + String(repeating: "a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", count: 1999)) == .tooLarge)
    #expect(code(start + String(repeating: "m=audio 1 RTP/AVP 0\r\n", count: SDPLimits.maxMedia)) == nil)
    #expect(code(start + String(repeating: "m=audio 1 RTP/AVP 0\r\n", count: SDPLimits.maxMedia + 1)) == .tooManyMedia)
    #expect(code(start + "m=audio 1 RTP/AVP" + String(repeating: " 0", count: 129)) == .tooManyFormats)
  }

  @Test func lineBreaksInValuesCannotAddLines() throws {
    var description = try SessionDescription(parsing: Offers.asterisk)
    description.name = "x\r\na=evil"
    description.media[0].attributes.append(Attribute("note", "y\nc=IN IP4 6.6.6.6"))
    let read = try SessionDescription(parsing: description.serialized())
    #expect(read.name == "xa=evil")
    #expect(read.media[0].connection == nil)
  }

  @Test(arguments: 1...8) func mutatedTextNeverEscapes(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let offers = [Offers.asterisk, Offers.cisco, Offers.polycom, Offers.baresip, Offers.linphone].map { Array($0.utf8) }
    var understood = 0
    for _ in 0..<400 {
      var bytes = offers[Int.random(in: 0..<offers.count, using: &random)]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...9, using: &random)))
        case 2: bytes.insert(contentsOf: bytes[0..<min(bytes.count, 30)], at: place)
        default: bytes[place] = [10, 13, 32, 58, 61, 47][Int.random(in: 0..<6, using: &random)]
        }
        if bytes.isEmpty { break }
      }
      guard let description = try? SessionDescription(parsing: bytes) else { continue }
      understood += 1
      // What was understood can be written and means the same.
      #expect((try? SessionDescription(parsing: description.serialized())) == description)
      var side = OfferAnswer(sessionID: 1)
      _ = try? side.answer(description, with: AudioCapabilities(address: "192.0.2.1", port: 4000))
    }
    #expect(understood > 50)
  }
}

@Suite struct IPv6DescriptionTests {
  /// RFC 5118 4.6, 4.8 and 4.9.
  @Test func readsAddressesOfBothKinds() throws {
    func read(_ lines: String) throws -> SessionDescription {
      try SessionDescription(parsing: lines.replacing("\n", with: "\r\n") + "\r\n")
    }
    let six = try read(
      """
      v=0
      o=assistant 971731711378798081 0 IN IP6 2001:db8::20
      s=Live video feed for today's meeting
      c=IN IP6 2001:db8::20
      t=3338481189 3370017201
      m=audio 6000 RTP/AVP 2
      a=rtpmap:2 G726-32/8000
      m=video 6024 RTP/AVP 107
      a=rtpmap:107 H263-1998/90000
      """)
    #expect(six.connection?.address == "2001:db8::20")
    let mixed = try read(
      """
      v=0
      o=bob 280744730 28977631 IN IP4 host.example.com
      s=
      t=0 0
      m=audio 22334 RTP/AVP 0
      c=IN IP4 192.0.2.1
      m=video 6024 RTP/AVP 107
      c=IN IP6 2001:db8::1
      a=rtpmap:107 H263-1998/90000
      """)
    #expect(mixed.media.map { $0.connection?.address } == ["192.0.2.1", "2001:db8::1"])
    let mapped = try read(
      """
      v=0
      o=bob 280744730 28977631 IN IP6 ::ffff:192.0.2.2
      s=-
      t=0 0
      m=audio 22334 RTP/AVP 0
      c=IN IP6 ::ffff:192.0.2.2
      """)
    #expect(mapped.media.first?.connection?.address == "::ffff:192.0.2.2")
  }
}
