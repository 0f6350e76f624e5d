import Base

/// A kind of caller that conversations are made up for.
public enum Persona: String, CaseIterable, Sendable {
  /// Says and keys what the dialog expects.
  case cooperative
  /// Talks over prompts, and presses 0.
  case impatient
  /// Cannot be understood half of the time.
  case mumbling
  /// Talks about something else, and sends events of its own.
  case digressing
  case silent
  case hangUpEarly = "hang_up_early"
  /// Hits keys at random.
  case keyMasher = "key_masher"

  public var summary: String {
    switch self {
    case .cooperative: "says and keys what the dialog expects"
    case .impatient: "talks over prompts, and presses 0"
    case .mumbling: "cannot be understood half of the time"
    case .digressing: "talks about something else, and sends unexpected events"
    case .silent: "says nothing most of the time"
    case .hangUpEarly: "hangs up in the middle"
    case .keyMasher: "hits keys at random"
    }
  }
}

/// One made-up caller in one call.
struct PersonaCaller {
  let persona: Persona
  var random: SeededRandom
  /// Custom events that the dialog knows.
  let customEvents: [String]

  private static let digressions = [
    "what is the weather like", "my dog ate it", "can you hear me", "hold on a second",
    "i want to speak to the manager",
    "how much is the fish", "no wait yes no", "twenty two or maybe twenty three", "{{ caller_id }}", "' or true or '",
    "uh", "the quick brown fox jumps over the lazy dog and then some more of the same without end",
  ]

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  /// One turn. false: the dialog waits for ever and the caller does, too.
  mutating func act(in call: inout VirtualCall) -> Bool {
    switch persona {
    case .cooperative: answer(in: &call)
    case .impatient:
      if chance(70) { interrupt(&call) }
      if chance(25) { press("0", in: &call) } else { answer(in: &call) }
    case .mumbling:
      call.settle()
      switch Int.random(in: 0..<3, using: &random) {
      case 0: call.say(nil)
      case 1:
        call.say(
          HeardSpeech(transcript: phrase(in: call) ?? "mm", confidence: Double.random(in: 0...0.4, using: &random)))
      default: answer(in: &call)
      }
    case .digressing:
      if chance(30) { interrupt(&call) } else { call.settle() }
      switch Int.random(in: 0..<5, using: &random) {
      case 0, 1:
        call.say(HeardSpeech(transcript: Self.digressions.randomElement(using: &random) ?? "uh", confidence: 0.6))
      case 2:
        let name = customEvents.randomElement(using: &random) ?? "digression"
        call.receive(
          .custom(name: name, data: ["text": "something", "n": .int(Int64.random(in: 0...9, using: &random))]))
      default: answer(in: &call)
      }
    case .silent: if chance(85) { return call.silence() || call.isEnded } else { answer(in: &call) }
    case .hangUpEarly:
      if chance(25) {
        interrupt(&call)
        if !call.isEnded { call.receive(.hangup(by: "caller", reason: "caller")) }
      } else {
        answer(in: &call)
      }
    case .keyMasher:
      if chance(50) { interrupt(&call) } else { call.settle() }
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        press(String("0123456789*#".randomElement(using: &random) ?? "0"), in: &call)
        if chance(20) { call.wait(.milliseconds(Int64.random(in: 0...4_000, using: &random))) }
      }
    }
    return true
  }

  /// Somewhere in the prompt that is heard now.
  private mutating func interrupt(_ call: inout VirtualCall) {
    guard let audible = call.audible, let length = SpeakingTime.milliseconds(of: audible.prompt) else { return }
    call.wait(.milliseconds(Int64.random(in: 0...max(1, length), using: &random)))
  }

  private func press(_ keys: String, in call: inout VirtualCall) {
    for key in keys where !call.isEnded { call.press(key) }
  }

  /// What the dialog expects, as far as it says so.
  private mutating func answer(in call: inout VirtualCall) {
    if persona != .impatient { call.settle() }
    guard !call.isEnded else { return }
    if let keys = keys(in: call.session), phrase(in: call) == nil || chance(50) { return press(keys, in: &call) }
    guard let phrase = phrase(in: call), call.listening?.speech == true else {
      // Nothing to say here: the caller waits for what comes.
      if !call.silence(), !call.isEnded { call.say(HeardSpeech(transcript: "hello")) }
      return
    }
    call.say(HeardSpeech(transcript: phrase, confidence: Double.random(in: 0.55...1, using: &random)))
  }

  private mutating func phrase(in call: VirtualCall) -> String? {
    guard let listening = call.listening, listening.speech else { return nil }
    var phrases = listening.phrases
    if !listening.grammar.isEmpty, let grammar = try? SpeechGrammar(listening.grammar) {
      phrases.append(grammar.sample(using: &random))
    }
    if phrases.isEmpty { phrases = ["yes", "no", "seven", "john smith"] }
    return phrases.randomElement(using: &random)
  }

  private mutating func keys(in session: DialogSession) -> String? {
    if let run = session.frame.runs.last, case .digits(let step) = run.wait {
      let count = Int.random(in: max(1, step.min)...max(1, step.min, min(step.max, 16)), using: &random)
      let digits = (0..<count).map { _ in String(Int.random(in: 0...9, using: &random)) }.joined()
      return count < step.max ? digits + step.terminator : digits
    }
    guard let index = session.stateIndex else { return nil }
    let state = session.frame.dialog.plan.states[index]
    if let pattern = state.digitPatterns.randomElement(using: &random) {
      let keys = pattern.sample(using: &random)
      return keys.isEmpty ? nil : keys
    }
    return state.takesAnyKeys ? String(Int.random(in: 0...9, using: &random)) : nil
  }
}
