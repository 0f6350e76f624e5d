import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

@Suite(.timeLimit(.minutes(1))) struct RecordTests {
  /// A call with speech, a barge-in, a hook and prompts; its complete record.
  private func recordedCall(_ bench: Bench) async throws -> [SessionEvent] {
    let call = bench.dial(headers: [(name: "X-Queue", value: "it")])
    try await call.answer()
    let welcome = try await call.speech.nextSay()
    call.send(.playbackStarted(welcome.id, atMs: 10))
    await call.pass(.milliseconds(1_234))
    call.send(.playbackInterrupted(welcome.id, heard: "Welcome", playedMs: 1_200, by: .speech))
    await call.pass(.milliseconds(900))
    call.say("my printer is broken")
    await call.pass(.milliseconds(250))
    _ = try await bench.backend.answer(
      .result(["data": ["ticket_id": "4711"]], status: 200, durationMs: 12, attempts: 1))
    let ticket = try await call.speech.nextSay()
    await call.pass(.milliseconds(30))
    await call.hearOut(ticket, for: .milliseconds(1_750))
    let bye = try await call.speech.nextSay()
    await call.hearOut(bye, for: .milliseconds(600))
    call.send(
      .quality(MediaQuality(packetsReceived: 98, packetsLost: 2, jitterMs: 1.5, packetsRejected: 0, underruns: 0)))
    await call.end(.normal)
    return try await bench.events()
  }

  @Test func everyLineIsNumberedNamedAndInOrder() async throws {
    let events = try await recordedCall(Bench([try dialog(helpdesk)]))
    #expect(events.map(\.sequence) == Array(1...Int64(events.count)))
    #expect(Set(events.map(\.eventID)).count == events.count)
    #expect(events.allSatisfy { $0.eventID.utf8.count == 26 })
    #expect(events.allSatisfy { $0.dialogName == "helpdesk" })
    let times = events.compactMap { $0.number("at_ms") }
    #expect(times.count == events.count && times == times.sorted())
    for event in events { #expect(event.timestampMs - events[0].timestampMs == event.number("at_ms")) }

    #expect(events.first?.type == "call_started")
    #expect(events.first?.fields["sip_headers"]?["X-Queue"] == "it")
    #expect(events.dropFirst().first?.type == "call_answered")
    #expect(events.last?.type == "call_terminated")
    let types = Set(events.map(\.type))
    for type in [
      "state_transition", "action_executed", "tts_started", "tts_completed", "tts_interrupted", "speech_started",
      "speech_final", "hook_result", "turn_latency", "quality",
    ] {
      #expect(types.contains(type), "no \(type)")
    }
  }

  @Test func theTranscriptCanBeReadOffTheRecord() async throws {
    let events = try await recordedCall(Bench([try dialog(helpdesk)]))
    let lines = events.compactMap { event -> String? in
      switch event.type {
      case "tts_started": "gateway: \(event.text("text"))"
      case "speech_final": "caller: \(event.text("transcript"))"
      default: nil
      }
    }
    #expect(
      lines == [
        "gateway: Welcome to IT support. Say what is wrong.", "caller: my printer is broken",
        "gateway: Your ticket is 4711.", "gateway: Goodbye.",
      ])
  }

  @Test func aTurnIsMeasuredByStage() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let events = try await recordedCall(bench)
    let turn = try #require(events.first { $0.type == "turn_latency" })
    #expect(turn.number("endpoint_ms") == 300)
    #expect(turn.number("recognize_ms") == 40)
    #expect(turn.number("think_ms") == 250)
    #expect(turn.number("synthesize_ms") == 30)
    #expect(turn.number("total_ms") == 620)
    #expect(bench.counted.with { $0 }.contains("turn total 0.62"))
  }

  @Test func qualityIsScored() async throws {
    let events = try await recordedCall(Bench([try dialog(helpdesk)]))
    let quality = try #require(events.first { $0.type == "quality" })
    #expect(quality.fields["loss"] == .double(0.02))
    let mos = try #require(quality.fields["mos"]?.doubleValue)
    #expect(mos > 3.5 && mos < 4.4)
  }

  /// The record alone makes the same call again: the same states, at the same instants, with the same prompts.
  @Test func theRecordIsEnoughToReplayTheCall() async throws {
    let machine = try dialog(helpdesk)
    let bench = Bench([machine])
    let silent = bench.dial()
    try await silent.answer()
    let welcome = try await silent.speech.nextSay()
    await silent.hearOut(welcome, for: .milliseconds(1_750))
    // Nobody says anything; time passes in odd steps, so that wake-ups come late.
    for _ in 0..<12 { await silent.pass(.milliseconds(777)) }
    let bye = try await silent.speech.nextSay()
    await silent.hearOut(bye, for: .milliseconds(333))
    await silent.end(.normal)
    let events = try await bench.events()
    #expect(events.contains { $0.text("to_state") == "bye" })
    #expect(try replay(events, machine) == nil)

    let second = Bench([machine])
    let spoken = try await recordedCall(second)
    #expect(try replay(spoken, machine) == nil)
    #expect(spoken.count { $0.type == "state_transition" } >= 3)

    // And a record that somebody changed does not pass.
    var forged = spoken
    let place = try #require(forged.firstIndex { $0.text("to_state") == "ticket" })
    forged[place].fields["to_state"] = "reset"
    #expect(try replay(forged, machine)?.sequence == forged[place].sequence)
  }

  /// Where the replay of a record parts from it.
  private func replay(_ events: [SessionEvent], _ dialog: Dialog) throws -> SessionReplay.Difference? {
    let outcome = try SessionReplay.run(
      events.map(RecordedLine.init), session: try #require(events.first).session, dialog: dialog)
    #expect(outcome.difference != nil || outcome.isComplete && outcome.inputs > 3)
    return outcome.difference
  }

  @Test func maskedDigitsStayOutOfTheRecord() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    call.send(.digit("1", durationMs: 100, atMs: 500))
    let ask = try await call.speech.nextSay()
    await call.hearOut(ask)
    for digit in "9876" { call.send(.digit(digit, durationMs: 100, atMs: 3_000)) }
    let bye = try await call.speech.nextSay()
    #expect(bye.text == "Goodbye.")
    await call.end()

    let events = try await bench.events()
    let digits = events.filter { $0.type == "dtmf_received" }
    #expect(digits.map { $0.text("digit") } == ["1", "", "", "", ""])
    #expect(digits.map { $0.fields["masked"] } == [false, true, true, true, true])
    for event in events {
      #expect(!JSON.encode(.map(event.fields)).contains("9876"), "\(event.type) shows the PIN")
    }
    #expect(try replay(events, try dialog(helpdesk)) == nil, "what is masked does not have to be known to a replay")
    let summary = try #require(try await bench.summary(call.session))
    #expect(!JSON.encode(.map(summary.variables)).contains("9876"))
  }
}
