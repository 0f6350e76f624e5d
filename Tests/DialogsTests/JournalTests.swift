import Base
import Dialogs
import Testing

@Suite struct JournalTests {
  private static let call = ModelToolCall(id: "c1", name: "look_up", arguments: #"{"plan": "gold"}"#)

  @Test func everyInputComesBackFromItsLine() throws {
    let session = DialogSession(dialog: try dialog("states: { start: { terminal: true } }"), call: CallFacts())
    let inputs: [DialogInput] = [
      .callAnswered, .speechStarted, .speechPartial(transcript: "hel"),
      .speech(HeardSpeech(transcript: "hello", confidence: 0.731, language: "en", slots: ["day": "monday"])),
      .noMatch, .digit("#"), .playbackFinished(PlaybackID(7)),
      .playbackInterrupted(PlaybackID(8), heard: "Welco", byCaller: true),
      .playbackInterrupted(PlaybackID(9), heard: "", byCaller: false),
      .playbackFailed(PlaybackID(10), message: "no such file"), .hookResult(HookToken(3), ["data": ["id": 5]]),
      .hookError(HookToken(4), error: "status", status: 503, message: "busy"), .modelSentence(ModelToken(1), "Hi."),
      .modelToolCall(ModelToken(1), Self.call), .modelFinished(ModelToken(1), reason: "stop", tokens: 12),
      .modelFailed(ModelToken(2), error: "timeout", message: "too slow"), .transferResult(status: "connected"),
      .transferResult(status: "busy"), .callHeld, .callResumed, .recordingComplete, .answeredBy("machine"),
      .custom(name: "poke", data: [1, 2.5]), .hangup(by: "api", reason: "api"),
    ]
    for input in inputs {
      let entry = SessionJournal.entry(for: input, at: Instant(nanoseconds: 1_234_000_000), in: session)
      #expect(entry.atMs == 1_234)
      #expect(!SessionJournal.isProduced(entry), "\(entry)")
      // The record is JSON on its way.
      let stored = JournalEntry(
        type: entry.type, atMs: entry.atMs, fields: members(try JSON.decode(JSON.encode(.map(entry.fields)))))
      #expect(try SessionJournal.input(from: stored) == input)
    }
  }

  private func members(_ value: Value) -> [String: Value] {
    guard case .map(let members) = value else { return [:] }
    return members
  }

  @Test func aStartComesBackFromItsLine() throws {
    let start = SessionStart(
      call: CallFacts(
        session: SessionID("S1"), callerID: "alice", calledNumber: "100", fromURI: "sip:alice@a", toURI: "sip:100@b",
        trunk: "main", headers: [("X-A", "1"), ("X-B", "2"), ("X-A", "3")]),
      dialogName: "menu", dialogVersion: "2", dialogDigest: "abc", subDialogs: ["pay": "def"],
      variables: ["n": 3, "pin": "1234"], limits: DialogLimits(timeout: .seconds(7), maxDepth: 9, bargeIn: false),
      startedAtMs: 1_700_000_000_123)
    let entry = start.entry(masked: ["pin"])
    #expect(entry.fields["sip_headers"] == ["X-A": "1, 3", "X-B": "2"])
    let again = try SessionStart(entry, session: SessionID("S1"))
    #expect(again.variables == ["n": 3, "pin": "***"])
    #expect(again.limits == start.limits && again.startedAtMs == start.startedAtMs)
    #expect(again.call.headerValues == start.call.headerValues && again.call.trunk == "main")
    #expect(again.dialogDigest == "abc" && again.subDialogs == ["pay": "def"] && again.dialogName == "menu")
    #expect(again.entry(masked: []) == entry)
  }

  @Test func secretsStayOutOfTheLines() throws {
    var call = try Call(
      """
      variables: { pin: { value: "", mask: true }, answer: { value: {}, mask: true } }
      states:
        start:
          on_enter:
            - { action: collect_digits, max: 4, into: pin, terminator: "#" }
            - { action: call_hook, service: bank, result_into: answer }
      """)
    func line(_ input: DialogInput) -> JournalEntry {
      SessionJournal.entry(for: input, at: call.now, in: call.session)
    }
    #expect(line(.digit("7")).fields == ["digit": "", "masked": true])
    #expect(line(.digit("#")).fields == ["digit": "#", "masked": true])
    #expect(try SessionJournal.input(from: line(.digit("7"))) == .digit("0"))
    call.press("12#")
    #expect(line(.digit("7")).fields == ["digit": "7", "masked": false])
    let token = try #require(call.pendingHooks.first?.token)
    #expect(line(.hookResult(token, ["balance": 5])).fields["result"] == ["data": "***"])
    #expect(
      line(.hookResult(token, ["data": 5, "variables": ["pin": "99", "n": 1]])).fields["result"]
        == ["data": "***", "variables": ["pin": "***", "n": 1]])
    #expect(line(.custom(name: "x", data: ["pin": "9"])).fields["data"] == ["pin": "***"])
  }

  @Test func brokenLinesAreRefusedWithASentence() {
    func refused(_ type: String, _ fields: [String: Value], _ word: String) {
      do {
        let input = try SessionJournal.input(from: JournalEntry(type: type, atMs: 5, fields: fields))
        Issue.record("\(type) was read as \(String(describing: input))")
      } catch {
        #expect(error.description.contains(word), "\(error)")
      }
    }
    refused("dtmf_received", ["digit": "", "masked": false], "key")
    refused("dtmf_received", ["digit": "12", "masked": false], "key")
    refused("tts_completed", ["playback_id": "x7"], "playback_id")
    refused("hook_result", ["hook": "h1"], "result")
    refused("speech_final", ["confidence": 1], "transcript")
    refused("model_sentence", ["request": 1, "text": ""], "request")
  }

  @Test func linesOfTheOwnerAreNeitherInputNorProduced() throws {
    let lines: [JournalEntry] = [
      JournalEntry(type: "quality", atMs: 1), JournalEntry(type: "tts_started", atMs: 1),
      JournalEntry(type: "action_executed", atMs: 1, fields: ["by": "api", "action": "hangup"]),
      JournalEntry(type: "tts_completed", atMs: 1, fields: ["by": "api", "playback_id": "p2147483648"]),
      JournalEntry(type: "error", atMs: 1, fields: ["code": "hop_gap", "message": "x"]),
      JournalEntry(type: "call_terminated", atMs: 1),
    ]
    for line in lines {
      #expect(try SessionJournal.input(from: line) == nil && !SessionJournal.isProduced(line))
    }
  }
}
