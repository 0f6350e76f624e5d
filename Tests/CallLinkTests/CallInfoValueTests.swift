import Base
import CallLink
import Testing

@Suite struct CallInfoValueTests {
  private let call = CallInfo(
    session: SessionID("01JD0000000000000000000000"), direction: .outbound, callerID: "4930123",
    calledNumber: "helpdesk", fromURI: "sip:4930123@example.org", toURI: "sip:helpdesk@192.0.2.1", trunk: "carrier",
    headers: [("X-Account", "77"), ("Diversion", "<sip:a@b>"), ("X-Account", "\"quoted\"\t\u{1}")],
    source: "192.0.2.9:5060")

  @Test func whatIsWrittenIsReadAgain() throws {
    let read = try CallInfo(try JSON.decode(JSON.encode(call.value)))
    #expect(read.session == call.session)
    #expect(read.direction == .outbound)
    #expect(
      [read.callerID, read.calledNumber, read.fromURI, read.toURI, read.source] == [
        call.callerID, call.calledNumber, call.fromURI, call.toURI, call.source,
      ])
    #expect(read.trunk == "carrier")
    #expect(read.headers.map(\.name) == call.headers.map(\.name))
    #expect(read.headers.map(\.value) == call.headers.map(\.value))
    var without = call
    without.trunk = nil
    #expect(try CallInfo(without.value).trunk == nil)
  }

  @Test func whatIsDamagedIsRefused() throws {
    guard case .map(let whole) = call.value else {
      Issue.record("no map")
      return
    }
    let long = Value.string(String(repeating: "x", count: 9_000))
    let wrong: [String: [Value]] = [
      "v": [2, "1", .null], "session": ["", 5, long], "direction": ["sideways", .null], "caller": [1, long],
      "called": [.null], "from": [[]], "to": [[:]], "trunk": [5, long],
      "headers": [
        .null, [["a"]], [["a", 1]], ["x"], .list(Array(repeating: ["a", "b"], count: 200)), [["a", long]],
      ],
      "source": [.null],
    ]
    #expect(Set(wrong.keys) == Set(whole.keys))
    for (key, values) in wrong {
      for value in values {
        var map = whole
        map[key] = value
        #expect(throws: CallStateError.self, "\(key)") { try CallInfo(.map(map)) }
      }
    }
    let error = #expect(throws: CallStateError.self) { try CallInfo(["v": 7]) }
    #expect(error?.description.contains("version") == true)
  }
}
