import Base
import Dialogs
import Testing

@Suite struct CallControlTests {
  static let handover = """
    variables: { status_was: "" }
    settings: { timeout: 5s }
    states:
      start:
        on_enter:
          - { action: transfer, target: "sip:agent@example.org", mode: warm, timeout: 20s, brief: "A caller." }
          - { action: play_tts, text: "Nobody is there." }
        transitions:
          - { event: transfer_result, when: "status == 'busy'", target: busy }
      busy: { on_enter: [{ action: play_tts, text: "Busy." }], terminal: true }
    """

  private func transfers(_ call: Call) -> [DialogTransfer] {
    call.actions.compactMap { if case .transfer(let transfer) = $0 { transfer } else { nil } }
  }

  @Test func theListWaitsForTheTransfer() throws {
    var call = try Call(Self.handover)
    let transfer = try #require(transfers(call).first)
    #expect(transfer.target == "sip:agent@example.org" && transfer.mode == .warm && transfer.brief == "A caller.")
    #expect(call.said == [])
    call.wait(.seconds(30))
    #expect(call.said == [], "patience does not run while the other party rings")
    call.give(.transferResult(status: "no_answer"))
    #expect(call.said == ["Nobody is there."])
  }

  @Test func aTransitionDecidesWhatComesOfIt() throws {
    var call = try Call(Self.handover)
    call.give(.transferResult(status: "busy"))
    #expect(call.states == ["start", "busy"])
  }

  @Test func whoIsConnectedHearsNoMoreOfTheDialog() throws {
    var call = try Call(Self.handover)
    call.give(.transferResult(status: "connected"))
    call.wait(.seconds(600))
    call.give(.speechStarted)
    call.give(.speech(HeardSpeech(transcript: "hello agent")))
    call.give(.digit("1"))
    #expect(call.said == [] && call.hangups == [] && call.failures == [])
    call.give(.hangup(by: "caller", reason: "caller"))
    #expect(call.session.isEnded)
  }

  @Test func aTerminalStateLeavesTheTwoAlone() throws {
    var call = try Call(
      """
      states:
        start: { on_enter: [{ action: transfer, target: "100" }], transitions: [{ event: transfer_result, target: done }] }
        done: { terminal: true }
      """)
    call.give(.transferResult(status: "connected"))
    call.wait(.seconds(600))
    #expect(call.states == ["start", "done"] && call.hangups == [])
    var failed = try Call(
      """
      states:
        start: { on_enter: [{ action: transfer, target: "100" }], transitions: [{ event: transfer_result, target: done }] }
        done: { terminal: true }
      """)
    failed.give(.transferResult(status: "refused"))
    #expect(failed.hangups == ["normal"])
  }

  @Test func anOutcomeThatNeverComesCountsAsFailed() throws {
    var call = try Call(Self.handover)
    call.wait(.seconds(20) + DialogSession.transferGrace)
    #expect(call.said == ["Nobody is there."])
  }

  @Test func holdPausesPatience() throws {
    var call = try Call(
      """
      variables: { n: 0 }
      settings: { timeout: 5s }
      states:
        start:
          on_enter: [{ action: hold }, { action: unhold }]
          transitions:
            - { event: call_held, do: [{ action: set_variable, n: n + 1 }] }
            - { event: call_resumed, do: [{ action: set_variable, n: n + 10 }] }
            - { event: no_input, target: end }
        end: { terminal: true }
      """)
    #expect(call.actions.contains(.hold) && call.actions.contains(.unhold))
    call.give(.callHeld)
    call.wait(.seconds(60))
    #expect(call.states == ["start"])
    call.give(.callResumed)
    call.wait(.seconds(5))
    #expect(call.states == ["start", "end"])
    #expect(call.variable("n") == 11)
  }

  @Test func keysAreSentWhenTheyAreKeys() throws {
    let call = try Call(
      """
      variables: { code: "12#", bad: "12x", pin: { value: "4711", mask: true } }
      states:
        start:
          on_enter:
            - { action: send_dtmf, digits: "{{ code }}" }
            - { action: send_dtmf, digits: "{{ bad }}" }
            - { action: send_dtmf, digits: "{{ pin }}" }
          terminal: true
      """)
    let sent = call.actions.compactMap { if case .sendDigits(let digits, _) = $0 { digits } else { nil } }
    #expect(sent == ["12#", "4711"])
    #expect(call.failures == ["send_dtmf"])
    let traces = call.actions.compactMap { if case .trace(let trace) = $0 { "\(trace)" } else { nil } }
    #expect(!traces.contains { $0.contains("4711") })
  }

  @Test func recordingsAndAnsweringMachinesRaiseEvents() throws {
    var call = try Call(
      """
      settings: { record: stereo }
      variables: { who_is_it: "" }
      states:
        start:
          on_enter: [{ action: record, operation: stop }]
          transitions:
            - { event: recording_complete, do: [{ action: play_tts, text: "Kept." }] }
            - { event: amd_result, do: [{ action: set_variable, who_is_it: status }] }
            - { event: no_input, target: start }
      """)
    let steps = call.actions.compactMap { if case .record(let step) = $0 { step } else { nil } }
    #expect(steps.map(\.operation) == [.start, .stop])
    #expect(steps.first?.channels == .stereo)
    call.give(.recordingComplete)
    call.give(.answeredBy("machine"))
    #expect(call.said == ["Kept."])
    #expect(call.variable("who_is_it") == "machine")
  }

  @Test func valuesInMarkupCannotBecomeTags() throws {
    let call = try Call(
      """
      variables: { name: "<break time='9s'/> & Co" }
      states:
        start:
          on_enter: [{ action: play_tts, text: "<speak>Hello {{ name }}</speak>", ssml: true }]
          terminal: true
      """)
    let sources = call.actions.compactMap { if case .say(let prompt) = $0 { prompt.source } else { nil } }
    #expect(sources == [.markup("<speak>Hello &lt;break time=&apos;9s&apos;/&gt; &amp; Co</speak>")])
  }

  // MARK: Outcome

  private func outcomes(_ call: Call) -> [DialogOutcome] {
    call.actions.compactMap { if case .outcome(let outcome) = $0 { outcome } else { nil } }
  }

  @Test func theOutcomeIsKeptOnceAfterTheLastActions() throws {
    var call = try Call(
      """
      variables: { topic: "", pin: { value: "4711", mask: true } }
      outcome:
        disposition: "{{ topic | default('none') }}"
        summary: "About {{ topic }}, {{ pin }}, {{ 1 / no_input_count }}"
        tags: ["{{ topic }}", "{{ '' }}", phone]
        variables: [topic, pin]
      on: [{ event: hangup, do: [{ action: set_variable, topic: billing }] }]
      states:
        start: { transitions: [{ event: no_input, target: start }] }
      """)
    call.give(.hangup(by: "caller", reason: "caller"))
    let outcome = try #require(outcomes(call).first)
    #expect(outcomes(call).count == 1)
    #expect(outcome.disposition == "billing" && outcome.tags == ["billing", "phone"])
    #expect(outcome.variables == ["topic": "billing", "pin": "***"])
    #expect(!outcome.summary.contains("4711"))
  }

  @Test func withoutSettingsTheOutcomeIsEmpty() throws {
    var call = try Call("states: { start: { transitions: [{ event: no_input, target: start }] } }")
    call.give(.hangup(by: "caller", reason: "caller"))
    #expect(outcomes(call).map(\.disposition) == [""])
  }
}
