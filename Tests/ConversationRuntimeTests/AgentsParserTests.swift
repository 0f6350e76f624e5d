import Base
import ConversationRuntime
import Dialogs
import Testing

/// The body of a streamed chat completion, good and bad.
@Suite struct AgentsParserTests {
  private typealias Event = ChatStreamParser.Event
  private typealias Failure = ChatStreamParser.Failure

  /// Everything that comes of a body, or why it is none.
  private static func read(_ body: String, by size: Int = .max) -> Result<[Event], Failure> {
    var parser = ChatStreamParser()
    var events: [Event] = []
    var rest = Array(body.utf8)[...]
    while !rest.isEmpty {
      events += parser.add(rest.prefix(size))
      rest = rest.dropFirst(size)
    }
    events += parser.end()
    for case .failed(let failure) in events { return .failure(failure) }
    return .success(events)
  }

  private static func delta(_ json: String) -> String { "data: {\"choices\":[{\"index\":0,\"delta\":\(json)}]}\n\n" }
  private static func finish(_ reason: String) -> String {
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"\(reason)\"}]}\n\n"
  }

  private static let good =
    delta("{\"role\":\"assistant\",\"content\":\"\"}") + ": keep-alive\n\n" + delta("{\"content\":\"Grüß \"}")
    + delta("{\"content\":\"Gott\"}") + finish("stop")
    + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":12}}\n\ndata: [DONE]\n\n"
  private static let goodEvents: [ChatStreamParser.Event] = [
    .text("Grüß "), .text("Gott"), .finished(reason: "stop"), .usage(tokens: 12), .done,
  ]

  @Test(arguments: [1, 2, 3, 7, 64, Int.max])
  func bytesMayBeCutAnywhere(size: Int) {
    #expect(Self.read(Self.good, by: size) == .success(Self.goodEvents))
  }

  @Test func allLineEndsAreUnderstood() {
    for end in ["\r\n", "\r"] {
      #expect(Self.read(Self.good.replacing("\n", with: end), by: 1) == .success(Self.goodEvents))
    }
    #expect(Self.read(Self.good.replacing("data: ", with: "data:")) == .success(Self.goodEvents))
    #expect(Self.read("event: x\nid: 4\nretry: 5\n" + Self.good) == .success(Self.goodEvents))
  }

  @Test func anEndWithoutItsMarksIsAnEnd() {
    let body = Self.delta("{\"content\":\"Hi\"}") + Self.finish("length")
    let events: [Event] = [.text("Hi"), .finished(reason: "length"), .done]
    #expect(Self.read(body) == .success(events))
    #expect(Self.read(String(body.dropLast(2))) == .success(events), "no blank line at the end")
    #expect(
      Self.read(Self.delta("{\"content\":\"Hi\"}") + "data: [DONE]\n\n")
        == .success([.text("Hi"), .finished(reason: "stop"), .done]))
  }

  @Test func toolCallsArePutTogetherByTheirIndex() {
    let body =
      Self.delta(
        "{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"look_up\",\"arguments\":\"\"}}]}")
      + Self.delta("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]}")
      + Self.delta(
        "{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"done\",\"arguments\":\"{}\"}}]}")
      + Self.delta("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}") + Self.finish("tool_calls")
    #expect(
      Self.read(body)
        == .success([
          .toolCall(ModelToolCall(id: "a", name: "look_up", arguments: "{\"x\":1}")),
          .toolCall(ModelToolCall(id: "b", name: "done", arguments: "{}")),
          .finished(reason: "tool_calls"), .done,
        ]))
  }

  @Test func wholeToolCallsWithoutIndexAreUnderstood() {
    let calls =
      "{\"tool_calls\":[{\"function\":{\"name\":\"one\",\"arguments\":{\"a\":true}}},{\"function\":{\"name\":\"two\"}}]}"
    #expect(
      Self.read(Self.delta(calls) + Self.finish("tool_calls"))
        == .success([
          .toolCall(ModelToolCall(id: "call_1", name: "one", arguments: "{\"a\":true}")),
          .toolCall(ModelToolCall(id: "call_2", name: "two", arguments: "{}")),
          .finished(reason: "tool_calls"), .done,
        ]))
  }

  @Test func aWholeAnswerIsUnderstood() {
    let body =
      "{\"choices\":[{\"message\":{\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"completion_tokens\":3}}"
    #expect(
      ChatStreamParser.readWhole(Array(body.utf8))
        == [.text("Hello."), .finished(reason: "stop"), .usage(tokens: 3), .done])
  }

  private static let bad: [(String, ChatStreamParser.Failure)] = [
    ("", .invalid("the body holds no chunk of an answer")),
    ("<html>busy</html>\n", .invalid("the body holds no chunk of an answer")),
    (delta("{\"content\":\"Half a\"}"), .invalid("the answer broke off")),
    ("data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n", .refused("overloaded")),
    ("data: {\"error\":\"overloaded\"}\n\n", .refused("overloaded")),
    ("data: {oops}\n\n", .invalid("a part of the answer is no JSON: expected a key")),
    ("data: 17\n\n", .invalid("a part of the answer is no JSON object")),
  ]

  @Test(arguments: bad)
  func whatIsNoAnswerSaysWhy(body: String, expected: ChatStreamParser.Failure) {
    #expect(Self.read(body) == .failure(expected))
  }

  @Test func whatCameWholeBeforeAFailureIsTold() {
    var parser = ChatStreamParser()
    let events = parser.add(Array((Self.delta("{\"content\":\"Hi\"}") + "data: {oops}\n\n" + Self.finish("stop")).utf8))
    #expect(
      events == [.text("Hi"), .failed(.invalid("a part of the answer is no JSON: expected a key"))])
  }

  @Test func everythingIsBounded() {
    func isTooLarge(_ body: String, _ what: Comment) {
      guard case .failure(.tooLarge) = Self.read(body) else {
        Issue.record(what)
        return
      }
    }
    let k = String(repeating: "x", count: 1_000)
    isTooLarge("data: " + String(repeating: "x", count: ChatStreamParser.Limits.eventBytes + 1), "a line")
    isTooLarge(String(repeating: "data: \(k)\n", count: 300), "an event of many lines")
    isTooLarge(String(repeating: Self.delta("{\"content\":\"\(k)\"}"), count: 70), "a text")
    isTooLarge(String(repeating: ": \(k)\n", count: 4_300), "a body of comments")
    isTooLarge(
      (0..<20).map { Self.delta("{\"tool_calls\":[{\"index\":\($0),\"function\":{\"name\":\"x\"}}]}") }.joined(),
      "calls")
    isTooLarge(
      String(
        repeating: Self.delta("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\(k)\"}}]}"), count: 70),
      "arguments")
    isTooLarge(Self.delta("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"\(k)\"}}]}"), "a name")
  }

  @Test func garbageNeverCrashes() {
    var random = SeededRandom(seed: 11)
    let source = Array(Self.good.utf8)
    for _ in 0..<2_000 {
      var bytes = source
      for _ in 0..<(1 + Int(random.next() % 6)) {
        let at = Int(random.next() % UInt64(bytes.count))
        if random.next() % 3 == 0 { bytes.remove(at: at) } else { bytes[at] = UInt8(truncatingIfNeeded: random.next()) }
      }
      var parser = ChatStreamParser()
      switch (parser.add(bytes) + parser.end()).last {
      case .done, .failed: break
      case let last: Issue.record("an end that is none: \(String(describing: last))")
      }
    }
  }
}
