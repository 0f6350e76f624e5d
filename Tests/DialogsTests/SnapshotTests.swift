import Base
import Dialogs
import Foundation
import Settings
import Testing

/// Sessions written down and taken up again.
@Suite struct SnapshotTests {
  /// A caller, a backend and a model without sense or manners: random inputs, mostly about what is really going on.
  private struct Chaos {
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

    private mutating func pick<T>(_ items: [T]) -> T { items[Int(random.next() % UInt64(items.count))] }

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

  private func taken(up session: DialogSession, _ dialog: Dialog, _ library: [String: Dialog]) throws -> DialogSession {
    let text = JSON.encode(session.snapshot())
    let again = try DialogSession(
      restoring: try JSON.decode(text), dialog: dialog, library: library, call: CallFacts(callerID: "alice"))
    #expect(JSON.encode(again.snapshot()) == text)
    return again
  }

  /// Takes the session up again after every input, and compares it with one that was left alone.
  private func play(_ dialog: Dialog, _ library: [String: Dialog], seed: UInt64, count: Int) throws {
    var chaos = Chaos(random: SeededRandom(seed: seed))
    var left = DialogSession(dialog: dialog, call: CallFacts(callerID: "alice"), library: library)
    var taken = try self.taken(up: left, dialog, library)
    var now = Instant(nanoseconds: 5_000)
    func compare(_ a: [DialogAction], _ b: [DialogAction]) throws {
      #expect(a == b, "\(dialog.name), seed \(seed)")
      #expect(left.deadline == taken.deadline, "\(dialog.name), seed \(seed)")
      chaos.see(a)
      taken = try self.taken(up: taken, dialog, library)
    }
    try compare(
      left.receive(.callAnswered, at: now, wallMs: 0), taken.receive(.callAnswered, at: now, wallMs: 0))
    for _ in 0..<count {
      now += .milliseconds(Int64(chaos.random.next() % 1_200))
      while let deadline = left.deadline, deadline <= now {
        try compare(left.timeout(at: deadline, wallMs: 7), taken.timeout(at: deadline, wallMs: 7))
      }
      let input = chaos.next()
      try compare(left.receive(input, at: now, wallMs: 8), taken.receive(input, at: now, wallMs: 8))
      if left.isEnded { return }
    }
    let hangup = DialogInput.hangup(by: "caller", reason: "caller")
    try compare(left.receive(hangup, at: now, wallMs: 9), taken.receive(hangup, at: now, wallMs: 9))
  }

  private func dialogs() throws -> [Dialog] {
    let folder = "\(root)/examples/dialogs"
    var dialogs = [
      try dialog(AgentStateTests.advisor), try dialog(SubDialogTests.main), try dialog(SubDialogTests.ask),
      try dialog(HookTests.ticket), try dialog(DigitTests.pin), try dialog(CallControlTests.handover),
      try dialog(Self.everything),
    ]
    for file in try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    where file.hasSuffix(".yaml") && !file.hasSuffix(".test.yaml") {
      let path = "\(folder)/\(file)"
      dialogs.append(try #require(DialogLoader.load(try YAML.load(path: path), file: path).dialog))
    }
    return dialogs
  }

  static let everything = """
    name: everything
    variables: { n: 0, pin: { value: "", mask: true }, plan: "", data_of: {} }
    settings: { timeout: 3s, max_depth: 40, no_input_retries: 5 }
    on:
      - { event: poke, do: [{ action: play_tts, text: "Ouch.", wait: false }] }
      - { event: other, target: start }
    states:
      start:
        on_enter:
          - { action: play_audio, url: "music.wav", loop: true }
          - { action: collect_digits, max: 4, min: 2, into: pin, timeout: 6s }
          - { action: call_hook, service: a, filler_text: "Wait {{ n }}.", result_into: data_of, payload: { p: "{{ pin }}" } }
          - { action: call_hook, service: b, async: true }
          - { action: run_dialog, name: ask, variables: { topic: plan }, into: data_of }
          - { action: listen, hints: [red, blue], timeout: 2s }
        transitions:
          - { event: speech, when: "transcript contains 'help' or pin == '12'", do: [{ action: play_tts, text: "Going." }], target: talk }
          - { event: no_input, target: talk }
          - { event: hook_error, target: talk }
      talk:
        agent:
          prompt: "Help {{ n }}."
          tools:
            - { name: look, description: Look, parameters: { name: string }, hook: { service: plans, timeout: 2s } }
            - { name: keys, builtin: collect_digits, max: 3 }
            - { builtin: search_knowledge }
            - { mcp: office }
          exits:
            - { name: done, description: Over, extract: { plan: string }, target: hand }
          knowledge: [tariffs]
          filler: ["Hm.", "One moment."]
          timeout: 3s
          fallback: start
        transitions: [{ event: dtmf, digits: "0", target: start }]
      hand:
        on_enter: [{ action: transfer, target: "sip:a@b", timeout: 5s }, { action: set_variable, n: n + 1 }, { action: goto, target: start }]
    """

  @Test func everyStepCanBeTakenUpAgain() throws {
    let dialogs = try dialogs()
    let library = Dictionary(dialogs.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    for dialog in dialogs {
      for seed in 1...10 as ClosedRange<UInt64> { try play(dialog, library, seed: seed, count: 100) }
    }
  }

  @Test func timesAreLeftOnAnotherClock() throws {
    var call = try Call(SessionTests.menu)
    call.promptsEnd()
    call.wait(.seconds(2))
    call.give(.custom(name: "x", data: .null))
    let other = Instant(nanoseconds: 900_000_000_000)
    let taken = try DialogSession(
      restoring: call.session.snapshot(), dialog: try dialog(SessionTests.menu), call: CallFacts(), at: other)
    let left = try #require(call.session.deadline) - call.now
    #expect(taken.deadline == other + left)
  }

  @Test func whatDoesNotFitIsNamed() throws {
    var call = try Call(SessionTests.menu)
    call.promptsEnd()
    let snapshot = call.session.snapshot()
    guard case .map(let members) = snapshot else {
      Issue.record("no map")
      return
    }
    let menu = try dialog(SessionTests.menu)
    func problem(_ change: (inout [String: Value]) -> Void) -> String {
      var changed = members
      change(&changed)
      do {
        _ = try DialogSession(restoring: .map(changed), dialog: menu, call: CallFacts())
        return "none"
      } catch {
        return error.description
      }
    }
    #expect(problem { _ in } == "none")
    #expect(problem { $0["v"] = 9 } == "`v`: version 9 is not 1")
    #expect(problem { $0["dialog"] = "x" }.contains("another dialog"))
    #expect(problem { $0["phase"] = "dreaming" }.contains("phase"))
    #expect(problem { $0["frames"] = [] }.contains("frames"))
    #expect(problem { $0["keyed"] = 5 } == "`keyed`: text is expected")
    #expect(problem { $0["last_hook"] = -1 }.contains("last_hook"))
    func frame(_ change: (inout [String: Value]) -> Void) -> String {
      problem { members in
        guard case .list(let frames)? = members["frames"], case .map(var first)? = frames.first else { return }
        change(&first)
        members["frames"] = [.map(first)]
      }
    }
    #expect(frame { $0["state"] = "nowhere" } == "`frames[0].state`: the dialog has no state `nowhere`")
    #expect(frame { $0["shape"] = [1, 2] }.contains("has changed since"))
    #expect(frame { $0["values"] = ["x": 1] }.contains("no variable `x`"))
    #expect(frame { $0["runs"] = [["way": 99]] }.hasPrefix("`frames[0].runs[0].way`: 99 is not within 0 and"))
    #expect(frame { $0["agent"] = [:] }.contains("no agent state"))
    do {
      _ = try DialogSession(restoring: "text", dialog: menu, call: CallFacts())
      Issue.record("text was taken")
    } catch {
      #expect(error.message == "a map is expected")
    }
  }

  @Test func brokenSnapshotsNeverCrash() throws {
    let everything = try dialog(Self.everything)
    let ask = try dialog(SubDialogTests.ask)
    var chaos = Chaos(random: SeededRandom(seed: 77))
    var session = DialogSession(dialog: everything, call: CallFacts(), library: ["ask": ask])
    chaos.see(session.receive(.callAnswered, at: .zero, wallMs: 0))
    var now = Instant.zero
    for _ in 0..<150 {
      now += .milliseconds(700)
      chaos.see(session.timeout(at: now, wallMs: 0))
      chaos.see(session.receive(chaos.next(), at: now, wallMs: 0))
      var text = Array(JSON.encode(session.snapshot()).utf8)
      for _ in 0..<3 {
        let at = Int(chaos.random.next() % UInt64(text.count))
        text[at] = Array("0123456789{}[]\",:abx-".utf8)[Int(chaos.random.next() % 21)]
      }
      guard let value = try? JSON.decode(text),
        var broken = try? DialogSession(
          restoring: value, dialog: everything, library: ["ask": ask], call: CallFacts())
      else { continue }
      for _ in 0..<5 { _ = broken.receive(chaos.next(), at: now, wallMs: 0) }
      _ = broken.timeout(at: now + .seconds(60), wallMs: 0)
      _ = broken.receive(.hangup(by: "x", reason: "y"), at: now + .seconds(61), wallMs: 0)
      #expect(broken.isEnded)
    }
  }

  @Test func aSnapshotIsSmall() throws {
    var call = try Call(SessionTests.menu)
    call.promptsEnd()
    #expect(JSON.encode(call.session.snapshot()).utf8.count < 600)
  }
}
