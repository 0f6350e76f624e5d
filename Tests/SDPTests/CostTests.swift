import SDP
import Testing

@Suite struct CostTests {
  /// As many formats and attributes as the limits let through, with names that compare slowly as text. Were each format
  /// looked for in each attribute, this would take minutes.
  @Test(.timeLimit(.minutes(1))) func manyFormatsAndAttributesCostTheirLength() throws {
    let formats = (0..<128).map { String($0) }.joined(separator: " ")
    let marks = String(repeating: "\u{301}", count: 1_900)
    var text =
      "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP \(formats)\r\n"
    while text.utf8.count < 60_000 { text += "a=rtpmap:0\(marks) XX/8000\r\n" }
    let offer = try SessionDescription(parsing: text)
    for _ in 0..<100 {
      var session = OfferAnswer(sessionID: 1)
      #expect(throws: Never.self) {
        try session.answer(offer, with: AudioCapabilities(address: "192.0.2.1", port: 4_000))
      }
    }
  }
}
