import Base
import ConversationRuntime
import Dialogs
import Testing

/// Which model is asked when, and what is heard: in virtual time, without a network.
@Suite struct AgentsAnswerTests {
  private typealias Action = ModelAnswer.Action

  /// An answer under test: keeps the time and what came out.
  private struct Bench {
    var machine: ModelAnswer
    var now = Instant(nanoseconds: 1_000_000_000)
    var asked: [Int] = []
    var dropped: [Int] = []
    var heard: [ModelEvent] = []
    var outcomes: [String] = []
    var firstTokens: [Duration] = []

    init(
      endpoints: Int = 1, timeout: Duration = .seconds(10), hedgeAfter: Duration? = nil, maxRetries: Int = 0,
      spoken: Bool = true
    ) {
      machine = ModelAnswer(
        plan: .init(
          endpoints: endpoints, timeout: timeout, hedgeAfter: hedgeAfter, maxRetries: maxRetries, spoken: spoken),
        at: now)
      take(machine.start())
    }

    mutating func take(_ actions: [ModelAnswer.Action]) {
      for action in actions {
        switch action {
        case .ask(let attempt, let endpoint):
          asked.append(endpoint)
          #expect(attempt == asked.count, "attempts are counted from 1")
        case .drop(let attempt), .finish(let attempt): dropped.append(attempt)
        case .emit(let event): heard.append(event)
        case .firstToken(_, let after): firstTokens.append(after)
        case .ended(let endpoint, let outcome): outcomes.append("\(endpoint) \(outcome)")
        }
      }
    }

    mutating func receive(_ attempt: Int, _ input: ModelAnswer.Input) {
      take(machine.receive(input, of: attempt, at: now))
    }

    mutating func words(_ attempt: Int, _ text: String) {
      let chunk: Value = ["choices": [["delta": ["content": .string(text)]]]]
      receive(attempt, .bytes(Array("data: \(JSON.encode(chunk))\n\n".utf8)))
    }

    mutating func finish(_ attempt: Int, _ reason: String = "stop") {
      let chunk: Value = ["choices": [["delta": [:], "finish_reason": .string(reason)]]]
      receive(attempt, .bytes(Array("data: \(JSON.encode(chunk))\n\ndata: [DONE]\n\n".utf8)))
    }

    /// Moves time on, waking the machine at every deadline on the way.
    mutating func advance(_ duration: Duration) {
      let end = now + duration
      while let deadline = machine.deadline, deadline <= end {
        now = max(now, deadline)
        take(machine.timeout(at: now))
      }
      now = end
    }
  }

  @Test func sentencesLeaveAsTheyBecomeWhole() {
    var bench = Bench()
    bench.receive(1, .accepted(isWhole: false))
    bench.advance(.milliseconds(300))
    bench.words(1, "Hello the")
    #expect(bench.heard == [])
    bench.words(1, "re. How are")
    #expect(bench.heard == [.sentence("Hello there.")])
    bench.words(1, " you")
    bench.finish(1)
    #expect(bench.heard == [.sentence("Hello there."), .sentence("How are you"), .finished(reason: "stop", tokens: 0)])
    #expect(bench.machine.isOver && bench.machine.deadline == nil)
    #expect(bench.outcomes == ["0 ok"])
    #expect(bench.firstTokens == [.milliseconds(300)])
  }

  @Test func aModelThatHangsIsATimeout() {
    var bench = Bench(timeout: .seconds(4), maxRetries: 3)
    bench.receive(1, .accepted(isWhole: false))
    bench.advance(.milliseconds(3_999))
    #expect(bench.heard == [])
    bench.advance(.milliseconds(1))
    #expect(bench.heard == [.failed(error: "timeout", message: "the model said nothing in time")])
    #expect(bench.asked == [0] && bench.dropped == [1] && bench.machine.isOver)
  }

  @Test func thoseWhoStandInGetTheirShareOfTheTime() {
    var bench = Bench(endpoints: 3, timeout: .seconds(9))
    bench.advance(.seconds(3))
    #expect(bench.asked == [0, 1])
    bench.advance(.seconds(3))
    #expect(bench.asked == [0, 1, 2])
    bench.words(3, "Here I am. ")
    bench.finish(3)
    #expect(bench.heard == [.sentence("Here I am."), .finished(reason: "stop", tokens: 0)])
    #expect(bench.outcomes == ["0 timeout", "1 timeout", "2 ok"])
  }

  @Test func aRefusalGoesToTheNextAtOnceAndRoundAgain() {
    var bench = Bench(endpoints: 2, maxRetries: 1)
    bench.receive(1, .refused(status: 503, retryAfter: nil))
    #expect(bench.asked == [0, 1])
    bench.receive(2, .broken(wasIdle: false))
    #expect(bench.asked == [0, 1], "the second round waits a little")
    bench.advance(.milliseconds(250))
    #expect(bench.asked == [0, 1, 0])
    bench.receive(3, .refused(status: 500, retryAfter: nil))
    bench.receive(4, .refused(status: 429, retryAfter: nil))
    #expect(bench.asked == [0, 1, 0, 1])
    #expect(bench.heard == [.failed(error: "status", message: "the model answered 429")])
  }

  @Test func aWrongKeyIsNotTriedAgain() {
    var bench = Bench(endpoints: 2, maxRetries: 3)
    bench.receive(1, .refused(status: 401, retryAfter: nil))
    bench.receive(2, .refused(status: 503, retryAfter: nil))
    bench.advance(.milliseconds(250))
    #expect(bench.asked == [0, 1, 1])
    bench.receive(3, .refused(status: 400, retryAfter: nil))
    #expect(bench.heard == [.failed(error: "status", message: "the model answered 400")])
  }

  @Test func retryAfterIsHonouredWhereThereIsTime() {
    var bench = Bench(timeout: .seconds(5), maxRetries: 2)
    bench.receive(1, .refused(status: 429, retryAfter: .seconds(2)))
    bench.advance(.milliseconds(1_999))
    #expect(bench.asked == [0])
    bench.advance(.milliseconds(1))
    #expect(bench.asked == [0, 0])
    bench.receive(2, .refused(status: 429, retryAfter: .seconds(30)))
    #expect(bench.heard == [.failed(error: "status", message: "the model answered 429")])
  }

  @Test func aConnectionThatWasKeptTooLongIsReplacedAtOnce() {
    var bench = Bench(maxRetries: 1)
    bench.receive(1, .broken(wasIdle: true))
    bench.advance(.zero)
    #expect(bench.asked == [0, 0])
  }

  @Test func theFirstToSpeakIsHeard() {
    var bench = Bench(endpoints: 3, hedgeAfter: .milliseconds(800))
    bench.advance(.milliseconds(799))
    #expect(bench.asked == [0])
    bench.advance(.milliseconds(1))
    #expect(bench.asked == [0, 1])
    bench.words(2, "Second")
    #expect(bench.dropped == [1])
    bench.words(1, "First here. ")
    bench.words(2, " here. ")
    bench.finish(2)
    #expect(bench.heard == [.sentence("Second here."), .finished(reason: "stop", tokens: 0)])
    #expect(bench.outcomes == ["0 cancelled", "1 ok"])
    #expect(bench.asked == [0, 1], "nobody else is asked once somebody speaks")
  }

  @Test func aModelInTimeIsNotHedged() {
    var bench = Bench(endpoints: 2, hedgeAfter: .milliseconds(800))
    bench.words(1, "Quick. ")
    bench.advance(.seconds(5))
    bench.finish(1)
    #expect(bench.asked == [0])
    #expect(bench.outcomes == ["0 ok"])
  }

  @Test func bothFailingIsAFailure() {
    var bench = Bench(endpoints: 2, timeout: .seconds(3), hedgeAfter: .milliseconds(500))
    bench.advance(.milliseconds(600))
    bench.receive(1, .refused(status: 500, retryAfter: nil))
    #expect(bench.heard == [])
    bench.advance(.seconds(3))
    #expect(bench.heard == [.failed(error: "timeout", message: "the model said nothing in time")])
  }

  @Test func halfASentenceIsDroppedAndNothingIsSaidTwice() {
    var bench = Bench(endpoints: 2, maxRetries: 3)
    bench.words(1, "This is whole. This is ha")
    bench.receive(1, .broken(wasIdle: false))
    #expect(
      bench.heard == [
        .sentence("This is whole."), .failed(error: "unreachable", message: "the connection to the model failed"),
      ])
    #expect(bench.asked == [0], "nobody begins again")
    bench.words(1, "lf. ")
    #expect(bench.heard.count == 2)
  }

  @Test func whatWasNotSaidMayBeginAgain() {
    var bench = Bench(endpoints: 2)
    bench.words(1, "This is not who")
    bench.receive(1, .end)
    bench.words(2, "Another answer. ")
    bench.finish(2)
    #expect(bench.heard == [.sentence("Another answer."), .finished(reason: "stop", tokens: 0)])
    #expect(bench.outcomes == ["0 invalid_answer", "1 ok"])
  }

  @Test func silenceInMidAnswerIsAFailure() {
    var bench = Bench(timeout: .seconds(3))
    bench.advance(.seconds(2))
    bench.words(1, "One. Tw")
    bench.advance(.milliseconds(2_999))
    #expect(bench.heard == [.sentence("One.")])
    bench.advance(.milliseconds(1))
    #expect(
      bench.heard == [.sentence("One."), .failed(error: "timeout", message: "the model fell silent in mid-answer")])
  }

  @Test func anAnswerWithoutEndIsEnded() {
    var bench = Bench(timeout: .seconds(10))
    for _ in 0..<100 where !bench.machine.isOver {
      bench.words(1, "More and more. ")
      bench.advance(.seconds(2))
    }
    #expect(bench.now <= Instant(nanoseconds: 1_000_000_000) + ModelAnswer.wholeLimit + .seconds(2))
    guard case .failed("timeout", _) = bench.heard.last else {
      Issue.record("\(String(describing: bench.heard.last))")
      return
    }
  }

  @Test func anEmptyAnswerIsAFailure() {
    var bench = Bench(endpoints: 2)
    bench.finish(1)
    bench.words(2, " 🎉 ")
    bench.finish(2)
    #expect(bench.outcomes == ["0 empty", "1 empty"])
    #expect(bench.heard == [.failed(error: "empty", message: "the model answered nothing that can be said")])
  }

  @Test func aCutOffEndIsNotSaid() {
    var bench = Bench()
    bench.words(1, "A whole sentence. And half of the ne")
    bench.finish(1, "length")
    #expect(bench.heard == [.sentence("A whole sentence."), .finished(reason: "length", tokens: 0)])

    var short = Bench()
    short.words(1, "Only half of a sente")
    short.finish(1, "length")
    #expect(short.heard == [.sentence("Only half of a sente"), .finished(reason: "length", tokens: 0)])
  }

  @Test func toolCallsComeAfterTheirSentence() {
    var bench = Bench()
    bench.words(1, "I look it up")
    let call: Value = [
      "choices": [["delta": ["tool_calls": [["index": 0, "id": "a", "function": ["name": "x", "arguments": "{}"]]]]]]
    ]
    bench.receive(1, .bytes(Array("data: \(JSON.encode(call))\n\n".utf8)))
    #expect(bench.heard == [])
    bench.finish(1, "tool_calls")
    #expect(
      bench.heard == [
        .sentence("I look it up"), .toolCall(ModelToolCall(id: "a", name: "x", arguments: "{}")),
        .finished(reason: "tool_calls", tokens: 0),
      ])
  }

  @Test func thoughtsAreNotHeard() {
    var bench = Bench()
    for piece in ["\n<th", "ink>The caller wants", " a refund.</th", "ink>\n\nOf", " course. "] {
      bench.words(1, piece)
    }
    #expect(bench.heard == [.sentence("Of course.")])
    bench.finish(1)

    var plain = Bench()
    plain.words(1, "<thin")
    plain.words(1, " ice. Careful.")
    plain.finish(1)
    #expect(
      plain.heard == [.sentence("<thin ice."), .sentence("Careful."), .finished(reason: "stop", tokens: 0)])
  }

  @Test func aWholeTextWaitsForItsEnd() {
    var bench = Bench(maxRetries: 1, spoken: false)
    bench.words(1, "{\"score\": 7, ")
    bench.receive(1, .end)
    bench.advance(.milliseconds(250))
    bench.words(2, "{\"score\": 8,\n \"why\": \"*good*\"}")
    bench.finish(2)
    #expect(
      bench.heard == [
        .sentence("{\"score\": 8,\n \"why\": \"*good*\"}"), .finished(reason: "stop", tokens: 0),
      ], "nothing left before the end, so it could begin again; markup stays")
  }
}
