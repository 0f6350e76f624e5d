import Base
import CallLink
import ConversationRuntime
import Storage
import Testing

@Suite(.timeLimit(.minutes(1))) struct CommandTests {
  @Test func theAPICanEndACall() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    await call.pass(.milliseconds(1_500))
    let outcome = await bench.bus.send(.hangup(reason: "normal"), to: call.session, tenant: Tenant.standard)
    #expect(outcome == .done(fields: ["call_duration_seconds": .double(1.5)]))
    let asked = try await call.speech.until { if case .hangup = $0 { true } else { false } }
    guard case .hangup(.api, false) = asked.last else {
      Issue.record("expected an immediate hang-up, got \(asked)")
      return
    }
    await call.end(.api)
    let last = try #require(try await bench.events().last)
    #expect(last.text("reason") == "api")
    #expect(last.text("disposition") == "completed")
  }

  @Test func anUnknownReasonIsRefusedWithTheKnownOnes() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    guard
      case .refused(let sentence) = await bench.bus.send(
        .hangup(reason: "bored"), to: call.session, tenant: Tenant.standard)
    else {
      Issue.record("expected a refusal")
      return
    }
    #expect(sentence.contains("normal"))
    await call.end()
  }

  @Test func theAPICanSaySomethingWithoutDisturbingTheDialog() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    let welcome = try await call.speech.nextSay()
    let outcome = await bench.bus.send(
      .say(text: "Your call is important.", voice: "", speed: 1, bargeIn: false), to: call.session,
      tenant: Tenant.standard)
    guard case .done(let fields) = outcome else {
      Issue.record("expected done, got \(outcome)")
      return
    }
    let said = try await call.speech.nextSay()
    #expect(said.text == "Your call is important.")
    #expect(!said.bargeIn)
    #expect(said.id != welcome.id)
    #expect(fields["playback_id"]?.stringValue == "\(said.id)")
    #expect((fields["estimated_duration_ms"]?.intValue ?? 0) > 500)
    call.send(.playbackFinished(welcome.id))
    await call.hearOut(said)
    call.say("password")
    #expect(try await call.speech.nextSay().text == "Type your PIN.")
    await call.end()
    #expect(try await bench.events().contains { $0.type == "tts_started" && $0.text("by") == "api" })
  }

  @Test func theAPICanPlayASoundAndKeyDigits() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    let outcome = await bench.bus.send(
      .play(object: "jingles/hold.wav", bargeIn: false), to: call.session, tenant: Tenant.standard)
    let sound = try await call.speech.nextSay()
    #expect(sound.source == .audio(url: "jingles/hold.wav"))
    #expect(outcome == .done(fields: ["playback_id": .string("\(sound.id)")]))
    #expect(
      await bench.bus.send(.digits("12#", durationMs: 80), to: call.session, tenant: Tenant.standard)
        == .done(fields: ["accepted": true]))
    _ = try await call.speech.until {
      if case .sendDigits("12#", durationMs: 80) = $0 { true } else { false }
    }
    await call.end()
    // What was keyed may be a secret.
    let keyed = try await bench.events().first { $0.fields["action"] == "send_dtmf" }
    #expect(keyed?.fields["detail"] == ["count": 3])
  }

  @Test func aSessionThatIsOverTakesNoCommands() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    await call.end()
    #expect(
      await bench.bus.send(.hangup(reason: "normal"), to: call.session, tenant: Tenant.standard) == .noSuchSession)
    #expect(
      await bench.bus.send(.hangup(reason: "normal"), to: SessionID("nobody"), tenant: Tenant.standard)
        == .noSuchSession)
  }

  @Test func aCallWhoseEndIsNeverConfirmedEndsAnyway() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial()
    try await call.answer()
    _ = try await call.speech.nextSay()
    _ = await bench.bus.send(.hangup(reason: "normal"), to: call.session, tenant: Tenant.standard)
    await call.pass(.seconds(11))
    await call.over()
    let events = try await bench.events()
    #expect(events.contains { $0.text("code") == "hangup_not_confirmed" })
  }
}
