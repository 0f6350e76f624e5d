import Base
import Dialogs
import Settings
import Testing

@Suite struct ReplayTests {
  static let secret = """
    name: secret
    variables: { pin: { value: "", mask: true }, tries: 0, card: { value: {}, mask: true } }
    settings: { timeout: 6s }
    states:
      start:
        on_enter:
          - { action: play_tts, text: "Your PIN, please." }
          - { action: collect_digits, max: 6, min: 2, terminator: "#", into: pin }
          - { action: set_variable, tries: "tries + 1" }
        transitions:
          - { event: dtmf, when: "pin == '1234'", target: inside }
          - { event: dtmf, when: "int(pin) > 5000", do: [{ action: play_tts, text: "{{ pin }} is too large." }], target: start }
          - { event: dtmf, target: start }
      inside:
        on_enter:
          - { action: call_hook, service: bank, filler_text: "One moment.", payload: { pin: "{{ pin }}" }, result_into: card }
          - { action: play_tts, text: "You have {{ card.balance }} dollars." }
          - { action: emit, name: told, data: { balance: "{{ card.balance }}", tries: "{{ tries }}" } }
        listen: { hints: [more] }
        transitions:
          - { event: speech, when: "card.balance > 100", target: rich }
          - { event: speech, target: start }
          - { event: hook_error, target: start }
      rich: { on_enter: [{ action: play_tts, text: "Rich." }], terminal: true }
    """

  /// A recorded call of that dialog.
  private func call(_ yaml: String, script: CallScript = CallScript(), _ caller: (inout VirtualCall) -> Void) throws
    -> (dialog: Dialog, lines: [RecordedLine])
  {
    let loaded = try dialog(yaml)
    let start = SessionStart(
      call: CallFacts(session: SessionID("S"), callerID: "alice", headers: [("X-A", "1")]), dialogName: loaded.name,
      startedAtMs: 1_770_000_000_000)
    let session = DialogSession(dialog: loaded, variables: [:], call: start.call, limits: start.limits)
    var call = VirtualCall(session: session, script: script, startMs: start.startedAtMs, record: start)
    call.answer()
    caller(&call)
    return (loaded, call.recordedLines)
  }

  private func replay(_ lines: some Sequence<RecordedLine>, _ dialog: Dialog) throws -> SessionReplay.Outcome {
    // Through JSON, as a stored record comes.
    let text = SessionExport(session: SessionID("S"), lines: Array(lines)).text()
    return try SessionReplay.run(SessionExport(text).lines, session: SessionID("S"), dialog: dialog)
  }

  private static let bank = CallScript(hooks: [
    "bank": [CallScript.HookAnswer(.answer(["data": ["balance": 250]]), delay: .milliseconds(800))]
  ])

  private func secretCall(_ caller: (inout VirtualCall) -> Void = { _ in }) throws -> (
    dialog: Dialog, lines: [RecordedLine]
  ) {
    try call(Self.secret, script: Self.bank) { call in
      call.settle()
      for key in "9999#" { call.press(key) }
      call.settle()
      for key in "1234#" { call.press(key) }
      call.settle()
      call.say(HeardSpeech(transcript: "more"))
      call.settle()
    }
  }

  @Test func aRecordWithSecretsReplaysWithoutThem() throws {
    let (dialog, lines) = try secretCall()
    let text = SessionExport(session: SessionID("S"), lines: lines).text()
    for secret in ["1234", "9999", "250"] { #expect(!text.contains(secret), "\(secret) in \(text)") }
    let outcome = try replay(lines, dialog)
    #expect(outcome.difference == nil, "\(outcome.difference?.lines ?? [])")
    #expect(outcome.isComplete && outcome.inputs > 15 && outcome.compared > 15)
    #expect(lines.contains { $0.entry.fields["to_state"] == "rich" })
  }

  @Test func aChangedDialogIsFoundAtItsFirstDifference() throws {
    let (_, lines) = try secretCall()
    let changed = try dialog(Self.secret.replacing("Your PIN, please.", with: "Your PIN."))
    let outcome = try replay(lines, changed)
    let difference = try #require(outcome.difference)
    #expect(difference.recorded?.fields["detail"]?["text"] == "Your PIN, please.")
    #expect(difference.replayed?.fields["detail"]?["text"] == "Your PIN.")
    #expect(difference.state == "start" && difference.atMs == 0)
    #expect(difference.lines.joined().contains("first difference at line \(difference.sequence)"))
  }

  @Test func whatIsMissingOrAddedIsADifference() throws {
    let (dialog, lines) = try secretCall()
    func renumbered(_ lines: [RecordedLine]) -> [RecordedLine] {
      lines.enumerated().map { RecordedLine(sequence: Int64($0 + 1), entry: $1.entry) }
    }
    let place = try #require(lines.firstIndex { $0.entry.fields["to_state"] == "inside" })
    var less = lines
    less.remove(at: place)
    #expect(try replay(renumbered(less), dialog).difference?.recorded?.type != nil)
    var more = lines
    more.insert(lines[place], at: place)
    #expect(try replay(renumbered(more), dialog).difference?.sequence == Int64(place + 2))
    var late = lines
    for i in place..<late.count { late[i].entry.atMs += 1 }
    #expect(try replay(late, dialog).difference != nil)
    // A record that a crash cut off is identical as far as it goes.
    for count in [1, 2, 5, place] {
      let outcome = try replay(Array(lines.prefix(count)), dialog)
      #expect(outcome.difference == nil && !outcome.isComplete)
    }
    #expect(try replay(lines.dropLast(), dialog).difference?.recorded == nil)
  }

  @Test func timersFireAtTheirInstantsInTheReplay() throws {
    let (dialog, lines) = try call(TestFileTests.menu) { call in
      call.wait(.seconds(13))
      call.say(nil)
      call.wait(.milliseconds(1_717))
      call.say(HeardSpeech(transcript: "anna", confidence: 0.9))
      call.settle()
    }
    #expect(lines.contains { $0.entry.fields["action"] == "reprompt" })
    let outcome = try replay(lines, dialog)
    #expect(outcome.difference == nil && outcome.isComplete, "\(outcome.difference?.lines ?? [])")
  }

  @Test func brokenRecordsAreRefused() throws {
    let (dialog, lines) = try secretCall()
    func refused(_ lines: [RecordedLine], _ word: String) {
      do {
        let outcome = try SessionReplay.run(lines, session: SessionID("S"), dialog: dialog)
        Issue.record("\(outcome)")
      } catch { #expect(error.description.contains(word), "\(error)") }
    }
    refused([], "empty")
    refused(Array(lines.dropFirst()), "call_started")
    var gap = lines
    gap.remove(at: 5)
    refused(gap, "gap")
    var back = lines
    back[9].entry.atMs = 0
    refused(back, "earlier")
    for text in ["", "{}", "nonsense", "{\"parley_session\": 2}", "{\"type\":\"x\",\"sequence\":1}", "[1]"] {
      #expect(throws: JournalProblem.self) { try SessionExport(text) }
    }
  }

  @Test func anExportReadsBackAndSoDoTheEventsOfTheAPI() throws {
    let (_, lines) = try secretCall()
    let source = SessionExport.Source(name: "secret", digest: "d", file: "secret.yaml", text: Self.secret)
    let export = SessionExport(session: SessionID("S"), dialogs: [source], lines: lines)
    #expect(try SessionExport(export.text()) == export)
    let events = lines.map { line in
      Value.map(
        line.entry.fields.merging([
          "event_id": "E", "type": .string(line.entry.type), "sequence": .int(line.sequence), "session_id": "S",
          "timestamp": "2026-01-01T00:00:00.000Z", "tenant": "default", "at_ms": .int(line.entry.atMs),
        ]) { a, _ in a })
    }
    let page = try SessionExport(JSON.encode(["items": .list(events), "next_cursor": .null]))
    #expect(page.session == SessionID("S") && page.lines == lines && page.dialogs == [])
    #expect(try SessionExport(events.map { JSON.encode($0) }.joined(separator: "\n")) == page)
  }

  // MARK: Sessions as tests

  /// The test that a session becomes must pass on the same dialog.
  private func becomesATest(_ yaml: String, _ lines: [RecordedLine], _ words: String...) throws {
    let loaded = try dialog(yaml)
    let text = try SessionAsTest.yaml(lines, session: SessionID("S"), dialog: loaded, name: "session S")
    for word in words { #expect(text.contains(word), "\(word) is not in \(text)") }
    let outcome = DialogTestLoader.load(try YAML.read(text, file: "s.test.yaml"), file: "s.test.yaml")
    let file = try #require(outcome.tests, "\(outcome.diagnostics) in \(text)")
    var coverage = DialogCoverage(loaded)
    for result in DialogTestRunner(file, dialog: loaded).run(coverage: &coverage) {
      #expect(result.hasPassed, "\(DialogTestReport.tap(result, number: 1))\n\(text)")
    }
  }

  @Test func sessionsBecomeTestsThatPass() throws {
    let script = CallScript(hooks: ["desk": [CallScript.HookAnswer(.answer(["data": "4711"]), delay: .seconds(1))]])
    let spoken = try call(TestFileTests.menu) { call in
      call.wait(.seconds(13))
      call.say(nil)
      call.settle()
      call.receive(.custom(name: "poke", data: ["who": "it"]))
      call.settle()
      call.say(HeardSpeech(transcript: "anna", confidence: 0.9))
      call.settle()
    }
    try becomesATest(TestFileTests.menu, spoken.lines, "silence", "mumble", "text: anna", "ended: normal", "greeted")
    let keyed = try call(TestFileTests.menu, script: script) { call in
      call.wait(.seconds(1))
      call.press("1")
      call.settle()
      call.wait(.seconds(2))
      call.receive(.hangup(by: "caller", reason: "caller"))
    }
    try becomesATest(
      TestFileTests.menu, keyed.lines, "desk/open", "delay: 1000ms", "at: 1000ms", "hangup: caller", "4711")
    let broken = try call(TestFileTests.menu) { call in
      call.settle()
      call.press("2")
      call.settle()
    }
    try becomesATest(TestFileTests.menu, broken.lines, "error: expression", "ended: busy")
  }
}
