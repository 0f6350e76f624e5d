import Base
import Dialogs

/// A caller, a backend and a model without sense or manners: random inputs, mostly about what is really going on.
struct Chaos {
  var random: SeededRandom
  var playing: [PlaybackID] = []
  var hooks: [DialogHook] = []
  var model: ModelRequest?

  mutating func see(_ actions: [DialogAction]) {
    for action in actions {
      switch action {
      case .say(let prompt): playing.append(prompt.id)
      case .stop(let id): playing.removeAll { $0 == id }
      case .callHook(let hook): hooks.append(hook)
      case .cancelHook(let token): hooks.removeAll { $0.token == token }
      case .askModel(let request): model = request
      default: break
      }
    }
  }

  mutating func pick<T>(_ items: [T]) -> T { items[Int(random.next() % UInt64(items.count))] }

  private mutating func toolCall() -> ModelToolCall {
    let tool = model.flatMap { $0.tools.isEmpty ? nil : pick($0.tools) }
    let arguments = pick([
      "{}", #"{"plan": "xl"}"#, #"{"name": "x"}"#, "nonsense", #"{"query": "price"}"#, #"{"plan": "a", "months": 3}"#,
    ])
    return ModelToolCall(id: "c\(random.next() % 100)", name: tool?.name ?? "none", arguments: arguments)
  }

  mutating func next() -> DialogInput {
    let words = ["yes", "no", "help", "password", "monday", "printer", "blue", "goodbye", "at noon", "xyz"]
    switch random.next() % 32 {
    case 0...2: return .speechStarted
    case 3: return .speechPartial(transcript: pick(words))
    case 4...8:
      return .speech(
        HeardSpeech(
          transcript: pick(words), confidence: Double(random.next() % 11) / 10, slots: ["n": .double(1.5)]))
    case 9: return .noMatch
    case 10...13: return .digit(pick(Array("0123456789*#")))
    case 14...18: return .playbackFinished(playing.isEmpty ? PlaybackID(1) : playing.removeFirst())
    case 19:
      let id = playing.isEmpty ? PlaybackID(1) : playing.removeFirst()
      return .playbackInterrupted(id, heard: "so", byCaller: random.next() % 3 > 0)
    case 20...21:
      let token = hooks.isEmpty ? HookToken(9) : hooks.removeFirst().token
      let answers: [Value] = [
        [:], ["data": ["ok": true, "id": 4711, "ratio": 0.5]], ["variables": ["n": 3]],
        ["actions": [["action": "play_tts", "text": "From outside."], ["action": "silence", "duration": "1s"]]],
        ["passages": [["document": "d", "text": "A passage."]]], ["text": "An answer."],
        ["tools": [["name": "calendar", "description": "Days"]]],
      ]
      return .hookResult(token, pick(answers))
    case 22:
      let token = hooks.isEmpty ? HookToken(9) : hooks.removeFirst().token
      return .hookError(token, error: "status", status: 500, message: "no")
    case 23...25:
      return .modelSentence(model?.token ?? ModelToken(1), pick(["Well.", "It costs {{ nine }}.", "Yes?"]))
    case 26: return .modelToolCall(model?.token ?? ModelToken(1), toolCall())
    case 27...28: return .modelFinished(model?.token ?? ModelToken(1), reason: "stop", tokens: 3)
    case 29:
      return random.next() % 4 == 0
        ? .modelFailed(model?.token ?? ModelToken(1), error: "timeout", message: "late") : .callHeld
    case 30: return pick([.transferResult(status: "busy"), .callResumed, .recordingComplete, .answeredBy("human")])
    default: return .custom(name: pick(["poke", "other"]), data: ["a": [1, 2.5, "x", .null]])
    }
  }
}
