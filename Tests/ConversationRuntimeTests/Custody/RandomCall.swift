import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage

/// A caller, a backend and a model without sense or manners. What they do next depends on the seed and on what they have
/// seen, so that two runs with one seed are the same call, whatever happens to the processes meanwhile.
struct RandomCall {
  enum Step: Sendable {
    case input([SpeechToRuntime])
    case pass(Duration)
    case hook(key: String, HookOutcome)
    case model(ModelToken, ModelEvent)
    case command(CallCommand)

    /// The same for the same step: members of maps have no order of their own.
    var text: String {
      if case .hook(let key, .result(let answer, _, _, _)) = self { return "hook \(key) \(JSON.encode(answer))" }
      if case .command(.event(let name, _)) = self { return "event \(name)" }
      return "\(self)"
    }

    /// Whether it comes again by itself when the process dies before it has kept it.
    var isRepeated: Bool {
      switch self {
      case .input, .pass: true
      case .hook, .model, .command: false
      }
    }
  }

  var random: SeededRandom
  private var seen = 0
  private var isOffered = false
  private var isAnswered = false
  private var hangup: HangupReason?
  private(set) var isEnded = false
  private var playing: [(id: PlaybackID, isStarted: Bool)] = []
  private var listen: ListenSpec?
  private var forced: [Step] = []

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  /// Looks at what has come out since the last time.
  private mutating func look(_ messages: [RuntimeToSpeech]) {
    for message in messages[seen...] {
      switch message {
      case .answer: isOffered = true
      case .reject: hangup = .rejected
      case .say(let prompt): playing.append((prompt.id, false))
      case .stop(let id):
        for stopped in playing.filter({ id == nil || $0.id == id }) {
          forced.append(
            .input([.playbackInterrupted(stopped.id, heard: "so", playedMs: 10, by: .command)]))
        }
        playing.removeAll { id == nil || $0.id == id }
      case .listen(let spec): listen = spec
      case .hangup(let reason, _): hangup = reason
      case .ringing, .sendDigits: break
      }
    }
    seen = messages.count
  }

  private mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
  private mutating func pick<T>(_ items: [T]) -> T { items[Int(random.next() % UInt64(items.count))] }

  /// - Parameters:
  ///   - hooks: what lies open at the backend.
  ///   - models: what the model is asked.
  mutating func next(_ messages: [RuntimeToSpeech], hooks: [String], models: [ModelToken], isLast: Bool) -> Step {
    look(messages)
    if isEnded { return hooks.first.map { .hook(key: $0, outcome()) } ?? .pass(.seconds(31)) }
    if !forced.isEmpty {
      let step = forced.removeFirst()
      // A successor may have said it already.
      if case .model(let token, _) = step, !models.contains(token) { return .input([]) }
      return step
    }
    if !isAnswered {
      if isOffered, !chance(3) {
        isAnswered = true
        return .input([.answered])
      }
      return end(.cancelled)
    }
    if isLast { return end(hangup ?? .caller) }
    if let hangup, chance(50) { return end(hangup) }
    switch random.next() % 24 {
    case 0...3: return .pass(.milliseconds(Int64(1 + random.next() % 3_000)))
    case 4...8:
      guard let first = playing.first else { return .pass(.milliseconds(Int64(1 + random.next() % 900))) }
      if !first.isStarted {
        playing[0].isStarted = true
        return .input([.playbackStarted(first.id, atMs: 5)])
      }
      playing.removeFirst()
      if chance(15) {
        return .input([
          .speechStarted(atMs: 9), .playbackInterrupted(first.id, heard: "so", playedMs: 40, by: .speech),
          speech(),
        ])
      }
      return .input([chance(8) ? .playbackFailed(first.id, message: "broken") : .playbackFinished(first.id)])
    case 9...12: return .input([.speechStarted(atMs: 3), speech()])
    case 13: return .input([KeptStage.speech("")])
    case 14: return .input([digit(), digit()])
    case 15: return .input([digit()])
    case 16...17: return hooks.isEmpty ? .input([digit()]) : .hook(key: hooks[0], outcome())
    case 18...20: return models.isEmpty ? .input([.speechStarted(atMs: 3), speech()]) : model(models[0])
    case 21:
      return .command(
        pick([
          .say(text: "A word from the API.", voice: "", speed: 1, bargeIn: true),
          .event(name: pick(["poke", "other"]), data: ["a": 1]), .digits("12", durationMs: 100),
        ]))
    case 22:
      return .input([
        chance(50)
          ? .held
          : .quality(
            MediaQuality(packetsReceived: 100, packetsLost: 1, jitterMs: 2, packetsRejected: 0, underruns: 0))
      ])
    default: return chance(15) ? end(.caller) : .pass(.milliseconds(Int64(1 + random.next() % 9_000)))
    }
  }

  private mutating func end(_ reason: HangupReason) -> Step {
    isEnded = true
    return .input([.ended(reason)])
  }

  private mutating func digit() -> SpeechToRuntime { .digit(pick(Array("0123456789*#")), durationMs: 90, atMs: 7) }

  private mutating func speech() -> SpeechToRuntime {
    let words = ["yes", "no", "help", "my password", "monday", "the printer", "blue", "goodbye", "at noon", "xyz"]
    let expected = listen?.phrases ?? []
    return KeptStage.speech(
      expected.isEmpty || chance(30) ? pick(words) : pick(expected), confidence: Double(1 + random.next() % 10) / 10)
  }

  private mutating func outcome() -> HookOutcome {
    let answers: [Value] = [
      [:], ["data": ["ok": true, "id": 4711, "ratio": 0.5]], ["variables": ["n": 3]], ["data": ["ticket_id": "T1"]],
      ["actions": [["action": "play_tts", "text": "From outside."], ["action": "silence", "duration": "1s"]]],
      ["text": "An answer."], ["tools": [["name": "calendar", "description": "Days"]]],
      ["data": ["state": "shipped", "verified": true, "name": "Ann"]],
    ]
    return chance(20)
      ? .failure(error: "status", status: 500, message: "no", durationMs: 7, attempts: 2)
      : .result(pick(answers), status: 200, durationMs: 7, attempts: 1)
  }

  private mutating func model(_ token: ModelToken) -> Step {
    switch random.next() % 10 {
    case 0...4: return .model(token, .sentence(pick(["Well.", "It costs nine.", "Yes?"])))
    case 5...6:
      let call = ModelToolCall(
        id: "c\(random.next() % 100)", name: pick(["look", "keys", "done", "none"]),
        arguments: pick(["{}", #"{"plan": "xl"}"#, #"{"name": "x"}"#, "nonsense"]))
      // A model that has asked for a tool says nothing more: what a successor takes for granted.
      forced.append(.model(token, .finished(reason: "tool_calls", tokens: 0)))
      return .model(token, .toolCall(call))
    case 7: return .model(token, .failed(error: "timeout", message: "late"))
    default: return .model(token, .finished(reason: "stop", tokens: 3))
    }
  }
}
