import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// Calls whose runtime is killed again and again are the calls that they would have been.
@Suite(.timeLimit(.minutes(5))) struct HandoverPropertyTests {
  private static let main = """
    name: main
    variables: { issue: printer, ticket: {}, got: "" }
    settings: { timeout: 5s, max_depth: 30 }
    states:
      start:
        on_enter:
          - { action: play_tts, text: "Before." }
          - { action: run_dialog, name: ask, variables: { topic: issue }, into: ticket }
          - { action: play_tts, text: "After {{ got }}." }
        transitions:
          - { event: dtmf, digits: "1", target: end }
          - { event: speech, target: start }
      end: { on_enter: [{ action: play_tts, text: "End." }], terminal: true }
    """
  private static let ask = """
    name: ask
    variables: { topic: "", answer: "" }
    states:
      start:
        on_enter: [{ action: play_tts, text: "{{ dialog_name }} about {{ topic }}?" }]
        listen: { hints: [blue, red] }
        transitions:
          - { event: speech, do: [{ action: set_variable, answer: transcript }], target: over }
          - { event: dtmf, digits: "9", do: [{ action: hangup }] }
      over: { on_enter: [{ action: play_tts, text: "Thanks." }], terminal: true }
    """
  private static let everything = """
    name: everything
    variables: { n: 0, pin: { value: "", mask: true }, plan: "", data_of: {} }
    settings: { timeout: 3s, max_depth: 40, no_input_retries: 5 }
    outcome: { summarize: true, variables: [n, pin] }
    on:
      - { event: poke, do: [{ action: play_tts, text: "Ouch.", wait: false }, { action: emit, name: poked, data: { n: n } }] }
      - { event: other, target: start }
      - { event: hangup, do: [{ action: call_hook, service: late, payload: { n: n } }] }
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
            - { mcp: office }
          exits:
            - { name: done, description: Over, extract: { plan: string }, target: hand }
          filler: ["Hm.", "One moment."]
          timeout: 3s
          fallback: start
        transitions: [{ event: dtmf, digits: "0", target: start }]
      hand:
        on_enter: [{ action: transfer, target: "sip:a@b", timeout: 5s }, { action: set_variable, n: n + 1 }, { action: goto, target: start }]
    """

  /// What anybody can know of a call when it is over.
  private struct Seen: Equatable {
    var events: [SessionEvent]
    var summary: SessionSummary?
    var messages: [String]
    var numbers: [UInt64]
    /// What was done, and what lay open before it.
    var steps: [String]
  }

  /// The example dialogs that answer from no documents, and three that use what these do not.
  private func dialogs() throws -> [[Dialog]] {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
    let folder = "\(root)/examples/dialogs"
    let catalog = try DialogCatalog.load(path: folder)
    let examples = catalog.dialogs.filter { $0.name != "adviser" }
    #expect(examples.count >= 10)
    let ask = try dialog(Self.ask)
    return [[try dialog(helpdesk)], [try dialog(Self.main), ask], [try dialog(Self.everything), ask]]
      + examples.map { first in [first] + examples.filter { $0.name != first.name } }
  }

  /// - Parameter deaths: decides when the process is killed; nil: never.
  private func run(_ dialogs: [Dialog], seed: UInt64, deaths: SeededRandom?) async throws -> (Seen, deaths: Int) {
    let stage = try KeptStage(dialogs)
    var call = RandomCall(seed: seed)
    var deaths = deaths
    try await stage.open()
    try await maybeKill(stage, &deaths, nil)
    var steps: [String] = []
    for count in 0... {
      let open = Self.open(stage.state)
      if call.isEnded, stage.state["over"]?.boolValue == true { break }
      let step = call.next(stage.messages, hooks: open.hooks, models: open.models, isLast: count >= 60)
      steps.append("\(stage.messages.count) messages, \(open.hooks) \(open.models): \(step.text)")
      await perform(step, stage)
      try await maybeKill(stage, &deaths, step)
      #expect(count < 100, "seed \(seed): the call does not end")
      if count >= 100 { break }
    }
    await stage.finish()
    let seen = Seen(
      events: try await stage.events().map(\.nameless), summary: try await stage.summary(),
      messages: stage.messages.map { "\($0)" }, numbers: stage.heard.with { $0.map(\.sequence) },
      steps: steps)
    return (seen, stage.deaths)
  }

  private static func open(_ state: Value) -> (hooks: [String], models: [ModelToken]) {
    (KeptStage.hooks(in: state), KeptStage.models(in: state, called: true))
  }

  private func perform(_ step: RandomCall.Step, _ stage: KeptStage) async {
    let kept = stage.process.custodian.sizes.count
    switch step {
    case .input(let messages):
      for message in messages {
        stage.send(message)
        await stage.settle()
      }
    case .pass(let duration): stage.clock.advance(by: duration)
    // Mail that comes from elsewhere has no place in the queue that could be waited behind; each leads to a state.
    case .hook(let key, let outcome):
      await stage.process.backend.answer(key, outcome)
      await stage.process.custodian.untilKept(kept + 1)
    case .model(let token, let event):
      // A successor does not ask again a model that has asked for a tool.
      if stage.process.model.tell(token, event) { await stage.process.custodian.untilKept(kept + 1) }
    case .command(let command):
      let bus = stage.bus, session = stage.session
      // Its answer waits for a safe state.
      Task { await bus.send(command, to: session, tenant: Tenant.standard) }
      await stage.process.custodian.untilKept(kept + 1)
    }
    await stage.settle()
  }

  /// Everything becomes safe; or the process is killed where only some of what the step led to was.
  private func maybeKill(_ stage: KeptStage, _ deaths: inout SeededRandom?, _ step: RandomCall.Step?) async throws {
    guard deaths != nil, let roll = deaths?.next(), roll % 5 == 0 else { return await stage.rest() }
    let count = stage.process.custodian.unsafeCount
    let safe = Int((roll >> 8) % UInt64(count + 1))
    if (roll >> 16) % 2 == 0 { stage.process.store.slowDown() }
    stage.kill(safe: safe, written: Int((roll >> 24) % 4))
    try await stage.resume()
    if let step, safe == 0, !step.isRepeated { await perform(step, stage) }
    await stage.rest()
  }

  @Test func aKilledRuntimeChangesNothing() async throws {
    let dialogs = try dialogs()
    var deaths = 0
    var types: Set<String> = []
    for seed in 1...400 as ClosedRange<UInt64> {
      let chosen = dialogs[Int(seed) % dialogs.count]
      let (alone, _) = try await run(chosen, seed: seed, deaths: nil)
      let (killed, count) = try await run(chosen, seed: seed, deaths: SeededRandom(seed: seed &* 7919))
      deaths += count
      types.formUnion(alone.events.map(\.type))
      guard alone != killed else { continue }
      Issue.record("seed \(seed), \(chosen[0].name): \(Self.difference(alone, killed))")
      return
    }
    #expect(deaths > 1_000)
    for type in [
      "call_started", "call_answered", "state_transition", "speech_final", "dtmf_received", "tts_started",
      "tts_completed", "tts_interrupted", "hook_result", "hook_error", "model_sentence", "model_tool_call",
      "model_finished", "tool_called", "custom_event", "call_outcome", "call_review", "turn_latency", "quality",
      "transfer_failed", "call_terminated",
    ] { #expect(types.contains(type), "no call had a \(type)") }
  }

  private static func difference(_ a: Seen, _ b: Seen) -> String {
    for (number, (left, right)) in zip(a.steps, b.steps).enumerated() where left != right {
      return "step \(number + 1) is\n\(right)\nand not\n\(left)\nafter\n\(number > 0 ? a.steps[number - 1] : "")"
    }
    for (number, (left, right)) in zip(a.events, b.events).enumerated() where left != right {
      return "event \(number + 1) is\n\(right)\nand not\n\(left)"
    }
    if a.events.count != b.events.count {
      let rest = a.events.count > b.events.count ? a.events : b.events
      return "\(b.events.count) events, not \(a.events.count): \(rest[min(a.events.count, b.events.count)])"
    }
    for (number, (left, right)) in zip(a.messages, b.messages).enumerated() where left != right {
      return "message \(number + 1) is\n\(right)\nand not\n\(left)"
    }
    if a.messages.count != b.messages.count { return "\(b.messages.count) messages, not \(a.messages.count)" }
    if a.numbers != b.numbers { return "numbers \(b.numbers), not \(a.numbers)" }
    return "\(String(describing: b.summary))\nand not\n\(String(describing: a.summary))"
  }
}
