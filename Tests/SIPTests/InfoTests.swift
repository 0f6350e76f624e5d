import Base
import SIP
import Testing

/// INFO within calls: keypad digits, both ways (RFC 6086, legacy use).
@Suite struct InfoTests {
  @Test(
    arguments: [
      ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", SIPDigit("5", durationMs: 160)),
      ("application/dtmf-relay", "Signal= #\r\nDuration= 250", SIPDigit("#", durationMs: 250)),
      ("Application/DTMF-Relay; x=y", "duration=80\nSIGNAL=d\n", SIPDigit("D", durationMs: 80)),
      ("application/dtmf-relay", "Signal=10", SIPDigit("*")), ("application/dtmf-relay", "Signal=11", SIPDigit("#")),
      ("application/dtmf-relay", "Signal=1\nDuration=0", SIPDigit("1")),
      ("application/dtmf-relay", "Signal=1\nDuration=99999999999999999999", SIPDigit("1")),
      ("application/dtmf", "7", SIPDigit("7")), ("application/dtmf", " *\r\n", SIPDigit("*")),
      ("application/dtmf", "Signal=3\nDuration=100", SIPDigit("3", durationMs: 100)),
      ("application/dtmf-relay", "5", nil), ("application/dtmf-relay", "Signal=", nil),
      ("application/dtmf-relay", "Signal=16", nil), ("application/dtmf-relay", "Signal=-1", nil),
      ("application/dtmf-relay", "Signal=é", nil), ("application/dtmf", "", nil), ("application/dtmf", "77", nil),
      ("text/plain", "Signal=5", nil),
    ] as [(String, String, SIPDigit?)])
  func digitsAreRead(_ type: String, _ body: String, _ digit: SIPDigit?) {
    #expect(SIPDigit(SIPBody(contentType: type, bytes: Array(body.utf8))) == digit)
  }

  @Test func digitsAreWrittenAsTheyAreRead() {
    for digit in "0123456789*#ABCD" {
      let written = SIPDigit(digit, durationMs: 120)
      #expect(SIPDigit(written.body) == written)
    }
    let huge = SIPBody(contentType: SIPDigit.plainType, bytes: Array(repeating: 0x35, count: 60_000))
    #expect(SIPDigit(huge) == nil)
  }

  @Test func noBytesHarmTheReader() {
    var random = SeededRandom(seed: 5)
    let whole = Array("Signal=5\r\nDuration=160\r\n".utf8)
    for _ in 0..<5_000 {
      var bytes = whole
      for _ in 0...random.next() % 4 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() % 256) }
      if let digit = SIPDigit(SIPBody(contentType: SIPDigit.relayType, bytes: bytes)) {
        #expect("0123456789*#ABCD".contains(digit.digit))
        #expect(digit.durationMs.map { (1...10_000).contains($0) } ?? true)
      }
    }
  }

  @Test func theirDigitsAreAnsweredAndTold() throws {
    var call = try CallFixture.incoming()
    let digit = call.next("INFO") {
      $0.body = "Signal=5\r\nDuration=160\r\n"; $0.contentType = "application/dtmf-relay"
    }
    let heard = call.receive(digit, 10)
    #expect(heard.statuses == [200])
    guard case .info(call.call, let body) = heard.events.first else {
      Issue.record("\(heard.names)")
      return
    }
    #expect(SIPDigit(body) == SIPDigit("5", durationMs: 160))
    let copy = call.receive(digit, 20)
    #expect(copy.statuses == [200])
    #expect(copy.events.isEmpty, "one key, one digit")
    let other = call.receive(
      call.next("INFO") {
        $0.body = "<xml/>"; $0.contentType = "application/media_control+xml"
      }, 30)
    #expect(other.statuses == [415])
    #expect(other.sent.first?.values(.accept).contains("application/dtmf-relay") == true)
    let package = call.receive(
      call.next("INFO") {
        $0.body = "Signal=5"; $0.contentType = "application/dtmf-relay"; $0.extra = "Info-Package: dtmf\n"
      }, 40)
    #expect(package.statuses == [469])
    #expect(other.events.isEmpty && package.events.isEmpty)
  }

  @Test func ourDigitsKeepTheirOrder() throws {
    var call = try CallFixture.outgoing()
    var sent: [SIPMessage] = []
    for digit in "123" { sent += call.endpoint.inform(call.call, body: SIPDigit(digit).body, at: ms(10)).sent }
    for (i, digit) in "123".enumerated() {
      #expect(sent.count == i + 1, "one at a time")
      let info = try #require(sent.last)
      #expect(info.method == .info)
      #expect(info.body.flatMap { SIPDigit($0)?.digit } == digit)
      let answered = call.receive(reply(info, i == 1 ? 415 : 200, contact: nil), 20 + Int64(i))
      #expect(answered.names == ["info answered \(i == 1 ? 415 : 200)"])
      sent += answered.sent
    }
    #expect(Set(sent.map(\.cseq.number)).count == 3)
    let last = try #require(call.endpoint.inform(call.call, body: SIPDigit("4").body, at: ms(50)).sent.first)
    let gone = call.receive(reply(last, 481, contact: nil), 60)
    #expect(gone.methods == ["BYE"], "the dialog is lost")
  }

  @Test func howManyWaitIsBounded() throws {
    var call = try CallFixture.outgoing(makeEndpoint("192.0.2.10") { $0.limits.informations = 3 })
    for _ in 0..<10 { _ = call.endpoint.inform(call.call, body: SIPDigit("1").body, at: ms(10)) }
    #expect(call.endpoint.counters.commandsIgnored == 6)
    let end = call.run(until: 32_010)
    #expect(end.names.first == "info answered 408")
  }
}
