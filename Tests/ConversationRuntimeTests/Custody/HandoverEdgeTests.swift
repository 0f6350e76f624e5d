import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// States that are no good, dialogs that are gone, and calls that are hardly there or hardly over.
@Suite(.timeLimit(.minutes(1))) struct HandoverEdgeTests {
  private static let crm = CallMomentService(name: "crm", timeout: .seconds(3))
  private static let erp = CallMomentService(name: "erp", timeout: .seconds(3))

  /// In the middle of everything that a state can hold.
  private func stage() async throws -> KeptStage {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    await stage.hearOut(try #require(stage.prompts.first))
    await stage.say("the printer")
    return stage
  }

  private func problem(_ stage: KeptStage, _ change: ([UInt8]) -> [UInt8]) async -> String {
    do {
      try await stage.resume(change: change)
      return "none"
    } catch {
      return "\(error)"
    }
  }

  private func problem(_ stage: KeptStage, _ key: String, _ value: Value?) async throws -> String {
    let kept = try #require(stage.lastSafe)
    guard case .map(var members) = try JSON.decode(kept) else { return "no map" }
    members[key] = value
    return await problem(stage) { _ in Array(JSON.encode(.map(members)).utf8) }
  }

  @Test func whatIsNoStateIsRefused() async throws {
    let stage = try await stage()
    stage.kill()
    #expect(await problem(stage) { _ in [] }.contains("damaged"))
    #expect(await problem(stage) { _ in Array("null".utf8) }.contains("map"))
    #expect(await problem(stage) { Array($0.dropLast(9)) }.contains("damaged"))
    #expect(await problem(stage) { $0 + [UInt8](repeating: 32, count: CallState.byteLimit) }.contains("too large"))
    #expect(try await problem(stage, "v", 2).contains("version 2 is not 1"))
    #expect(try await problem(stage, "v", "x").contains("`v`"))
    #expect(try await problem(stage, "session", "S2").contains("another call's"))
    #expect(try await problem(stage, "now", -1).contains("`now`"))
    #expect(try await problem(stage, "now", .int(.max)).contains("`now`"))
    #expect(try await problem(stage, "handled", -5).contains("`handled`"))
    #expect(try await problem(stage, "events", [1]).contains("events"))
    #expect(try await problem(stage, "hooks", [["at": 1]]).contains("ask"))
    #expect(try await problem(stage, "prompts", 7).contains("prompts"))
    #expect(try await problem(stage, "machine", ["v": 77]).contains("version 77"))
    #expect(try await problem(stage, "machine", ["v": 1, "dialog": "other"]).contains("another dialog"))
    #expect(stage.process.counted.with { $0.last } == "failed")
    // The real one is as good as before.
    try await stage.resume()
    await stage.rest()
    #expect(stage.process.counted.with { $0 } == ["active 1", "resumed"])
    await stage.process.backend.answer(
      service: "ticketing", .result(["data": ["ticket_id": "1"]], status: 200, durationMs: 1, attempts: 1))
    await stage.end()
  }

  /// Whatever the bytes say, the process lives, and so do its other calls.
  @Test func noStateBringsTheProcessDown() async throws {
    let stage = try await stage()
    stage.kill()
    let kept = try #require(stage.lastSafe)
    let whole = try JSON.decode(kept)
    var random = SeededRandom(seed: 5)
    var opened = 0
    for _ in 0..<600 {
      let changed = Self.mutate(whole, &random, depth: 0)
      let custodian = FakeCustodian { _ in }
      do {
        let side = try stage.process.service.open(
          stage.info, speech: custodian,
          state: CallState(custodian: custodian, kept: Array(JSON.encode(changed).utf8)))
        custodian.goDirect()
        side.send(Numbered(1 << 40, .digit("1", durationMs: 90, atMs: 1)))
        side.send(Numbered((1 << 40) + 1, .speechStarted(atMs: 1)))
        side.send(Numbered((1 << 40) + 2, KeptStage.speech("password")))
        stage.clock.advance(by: .seconds(11))
        side.send(Numbered((1 << 40) + 3, .ended(.caller)))
        await stage.process.service.settle(stage.session)
        side.abandon()
        opened += 1
      } catch {}
    }
    stage.process.backend.drop()
    #expect(opened > 50)
    #expect(await stage.process.service.waitUntilIdle(limit: .seconds(10)))
  }

  private static func mutate(_ value: Value, _ random: inout SeededRandom, depth: Int) -> Value {
    let odd: [Value] = [
      .null, true, -1, 0, .int(.max), .int(.min), .int(1 << 61), 1.5, "", "x", [], [:], ["v": 1], [[1, 2], 3],
    ]
    if depth > 0, random.next() % 8 == 0 { return odd[Int(random.next() % UInt64(odd.count))] }
    switch value {
    case .map(var members):
      guard let key = members.keys.sorted().dropFirst(Int(random.next() % UInt64(max(1, members.count)))).first else {
        return value
      }
      members[key] = mutate(members[key] ?? .null, &random, depth: depth + 1)
      return .map(members)
    case .list(var items):
      guard !items.isEmpty else { return [1] }
      let place = Int(random.next() % UInt64(items.count))
      items[place] = mutate(items[place], &random, depth: depth + 1)
      return .list(items)
    default: return odd[Int(random.next() % UInt64(odd.count))]
    }
  }

  // MARK: Versions of the dialog

  private func renamed(_ prompt: String) -> String {
    helpdesk.replacing("Type your PIN.", with: prompt)
  }

  @Test func theCallGoesOnWithTheVersionThatItBeganWith() async throws {
    let old = helpdesk, new = renamed("Enter your secret number.")
    let stage = try KeptStage([try dialog(old)])
    stage.catalog = DialogCatalog(
      [try dialog(old)], identities: ["helpdesk": DialogIdentity(number: 3, digest: SHA256.hex(old))])
    stage.restart()
    try await stage.open()
    await stage.answer()
    stage.kill()
    stage.catalog = DialogCatalog(
      [try dialog(new)], identities: ["helpdesk": DialogIdentity(number: 4, digest: SHA256.hex(new))])
    stage.versions.texts[SHA256.hex(old)] = old
    stage.send(.digit("1", durationMs: 90, atMs: 900))
    try await stage.resume()
    await stage.rest()
    #expect(stage.said.last == "Type your PIN.")
    await stage.end()
    let summary = try #require(try await stage.summary())
    #expect(summary.dialogNumber == 3 && summary.dialogDigest == SHA256.hex(old))
    #expect(stage.process.counted.with { $0 } == ["active 1", "resumed", "ended completed", "active 0"])
  }

  @Test func aCallWhoseDialogIsGoneIsEndedPolitely() async throws {
    let old = helpdesk
    let stage = try KeptStage([try dialog(old)])
    stage.catalog = DialogCatalog(
      [try dialog(old)], identities: ["helpdesk": DialogIdentity(number: 3, digest: SHA256.hex(old))])
    stage.restart()
    try await stage.open()
    await stage.answer()
    stage.kill()
    stage.catalog = DialogCatalog([try dialog(old)])
    try await stage.resume()
    await stage.rest()
    #expect(stage.said.last == DialogSession.apology)
    guard case .hangup(.error, afterPlayback: true)? = stage.messages.last else {
      Issue.record("the call should be hung up: \(stage.messages)")
      return
    }
    // One who takes over from there says it no second time.
    let said = stage.messages.count
    stage.kill()
    try await stage.resume()
    await stage.rest()
    #expect(stage.messages.count == said)
    await stage.end(.error)
    let events = try await stage.events()
    #expect(events.map(\.sequence) == Array(1...Int64(events.count)))
    #expect(events.contains { $0.type == "error" && $0.text("code") == "session_lost" })
    #expect(events.last?.type == "call_terminated" && events.last?.text("disposition") == "failed")
    #expect(try await stage.summary()?.currentState == "start")
  }

  @Test func theRecordOfACallThatNobodyCanGoOnWithIsEnded() async throws {
    let stage = try await stage()
    await stage.rest()
    stage.kill()
    #expect(await problem(stage) { _ in [] }.contains("damaged"))
    let before = try await stage.events().count
    let news = stage.store.subscribe(bufferLimit: 100)
    stage.process.service.giveUp(stage.info, reason: "the state is damaged")
    for await event in news where event.type == "call_terminated" { break }
    let events = try await stage.events()
    #expect(events.map(\.sequence) == Array(1...Int64(before + 2)))
    #expect(events[before].text("code") == "session_lost" && events[before].text("message") == "the state is damaged")
    #expect(events.last?.text("reason") == "error" && events.last?.text("disposition") == "failed")
    let summary = try #require(try await stage.summary())
    #expect(summary.state == .ended && summary.endReason == "error")
    #expect(stage.process.counted.with { $0 } == ["failed", "ended failed"])
  }

  // MARK: Before and after the conversation

  @Test func servicesThatAreWaitedForAreToldAgain() async throws {
    let stage = try KeptStage([try dialog(helpdesk)], told: [.start: [Self.crm, Self.erp]])
    try await stage.open()
    await stage.process.backend.answer(
      service: "crm", .result(["variables": ["issue": "door"]], status: 200, durationMs: 1, attempts: 1))
    await stage.process.custodian.untilUnsafe(2)
    stage.kill()
    try await stage.resume()
    await stage.process.backend.answer(
      service: "erp", .result([:], status: 200, durationMs: 1, attempts: 1))
    await stage.process.custodian.untilUnsafe(2)
    await stage.answer()
    #expect(stage.messages.count { if case .answer = $0 { true } else { false } } == 1)
    await stage.end()
    let results = try await stage.events().filter { $0.type == "hook_result" }
    #expect(results.map { $0.text("service") } == ["crm", "erp"])
    #expect(try await stage.summary()?.variables["issue"] == "door")
  }

  @Test func theEndIsToldByWhoeverIsThere() async throws {
    let stage = try KeptStage([try dialog(helpdesk)], told: [.end: [Self.crm]])
    try await stage.open()
    await stage.answer()
    stage.send(.ended(.caller))
    await stage.settle()
    await stage.process.backend.open.until { !$0.isEmpty }
    stage.kill()
    #expect(try await stage.summary()?.state == .ended)
    try await stage.resume()
    let asked = await stage.process.backend.answer(
      service: "crm", .result([:], status: 204, durationMs: 1, attempts: 1))
    #expect(stage.process.service.activeCalls == 0, "the call is over for everybody else")
    #expect(asked?.path == "/on-call-end" && asked?.body["payload"]?["reason"] == "caller")
    await stage.finish()
    let events = try await stage.events()
    #expect(events.count { $0.type == "call_terminated" } == 1)
    #expect(events.last?.type == "hook_result" && events.last?.text("moment") == "call_end")
    #expect(events.map(\.sequence) == Array(1...Int64(events.count)))
    // Nothing is left to do: whoever comes now only says so.
    stage.kill()
    try await stage.resume()
    await stage.finish()
    #expect(try await stage.events().count == events.count)
    #expect(stage.process.counted.with { $0 } == ["active 1", "resumed", "active 0"])
  }

  @Test func aRefusalLeavesLikeEverythingElse() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    stage.process.service.drain()
    try await stage.open()
    #expect(stage.messages.isEmpty)
    stage.process.custodian.makeSafe()
    guard case .reject(.unavailable)? = stage.messages.last else {
      Issue.record("not refused: \(stage.messages)")
      return
    }
    #expect(stage.process.custodian.isFinished.with { $0 })
  }

  /// A process that stops new calls still takes those that have nobody else.
  @Test func aDrainingProcessTakesLiveCalls() async throws {
    let stage = try KeptStage([try dialog(helpdesk)])
    try await stage.open()
    await stage.answer()
    stage.kill()
    stage.restart { $0.drain() }
    try await stage.resume(here: true)
    await stage.end()
    #expect(try await stage.events().last?.text("reason") == "caller")
  }

  @Test func aStateThatIsTooLargeDoesNotEndTheCall() async throws {
    let stage = try KeptStage([
      try dialog(
        """
        name: hoarder
        variables: { hoard: "" }
        states:
          start:
            transitions:
              - { event: more, do: [{ action: set_variable, hoard: data.text }] }
              - { event: dtmf, target: bye }
          bye: { on_enter: [{ action: play_tts, text: "Bye." }], terminal: true }
        """)
    ])
    try await stage.open()
    await stage.answer()
    let bus = stage.bus, session = stage.session
    let text = String(repeating: "x", count: 300_000)
    let command = CallCommand.event(name: "more", data: ["text": .string(text)])
    async let outcome = bus.send(command, to: session, tenant: Tenant.standard)
    await stage.process.custodian.untilUnsafe(1)
    await stage.rest()
    _ = await outcome
    stage.send(.digit("1", durationMs: 90, atMs: 5))
    await stage.rest()
    #expect(stage.said == ["Bye."])
    #expect(stage.process.custodian.sizes.allSatisfy { $0 <= CallState.byteLimit })
    await stage.end()
  }
}
