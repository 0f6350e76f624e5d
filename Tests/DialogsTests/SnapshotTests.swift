import Base
import Dialogs
import Foundation
import Settings
import Testing

/// Sessions written down and taken up again.
@Suite struct SnapshotTests {
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
