import Base
import CallLink
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Storage
import Testing

@Suite(.timeLimit(.minutes(1))) struct RoutingTests {
  private func greeting(_ name: String, _ rule: String, _ text: String) -> String {
    """
    name: \(name)
    routing:
      match:
        - \(rule)
    states:
      start:
        on_enter:
          - action: play_tts
            text: "\(text)"
        transitions:
          - event: speech
            target: start
        timeout: 8s
        timeout_next: bye
      bye:
        on_enter:
          - action: hangup
        terminal: true
    """
  }

  @Test func theMostSpecificRuleDecides() async throws {
    let bench = Bench([
      try dialog(greeting("anyone", #"sip_to: "sip:*""#, "Anyone.")),
      try dialog(greeting("sales", #"sip_to: "sip:sales@*""#, "Sales.")),
    ])
    let sales = bench.dial("sales", session: "A"), other = bench.dial("fax", session: "B")
    try await sales.answer()
    try await other.answer()
    #expect(try await sales.speech.nextSay().text == "Sales.")
    #expect(try await other.speech.nextSay().text == "Anyone.")
    await sales.end()
    await other.end()
  }

  @Test func aCallWithoutADialogIsNotFound() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let call = bench.dial("nobody")
    guard case .reject(.notFound) = await call.speech.next() else {
      Issue.record("expected a rejection")
      return
    }
    let events = try await bench.events()
    #expect(events.map(\.type) == ["call_started", "call_terminated"])
    #expect(events.last?.text("reason") == "not_found")
    #expect(try await bench.summary(call.session)?.state == .ended)
  }

  @Test func aFullHouseIsBusyUntilSomebodyLeaves() async throws {
    var configuration = RuntimeConfiguration()
    configuration.maxConcurrentCalls = 1
    let bench = Bench([try dialog(helpdesk)], configuration: configuration)
    let first = bench.dial(session: "A")
    try await first.answer()
    let second = bench.dial(session: "B")
    guard case .reject(.busy) = await second.speech.next() else {
      Issue.record("expected busy")
      return
    }
    await first.end()
    // The place is free a moment after the last line of the record.
    await bench.service.waitUntilIdle(limit: .seconds(10))
    let third = bench.dial(session: "C")
    try await third.answer()
    await third.end()
  }

  @Test func aDrainingRuntimeRefusesNewCallsAndKeepsLiveOnes() async throws {
    let bench = Bench([try dialog(helpdesk)])
    let live = bench.dial(session: "A")
    try await live.answer()
    bench.service.drain()
    let late = bench.dial(session: "B")
    guard case .reject(.unavailable) = await late.speech.next() else {
      Issue.record("expected unavailable")
      return
    }
    #expect(try await live.speech.nextSay().text.hasPrefix("Welcome"))
    bench.service.endAll()
    let asked = try await live.speech.until { if case .hangup(.shutdown, false) = $0 { true } else { false } }
    #expect(!asked.isEmpty)
    await live.end(.shutdown)
    #expect(try await bench.events("A").last?.text("disposition") == "failed")
  }

  @Test func aLiveCallKeepsTheDialogItBeganWith() async throws {
    let bench = Bench([try dialog(greeting("menu", #"sip_to: "sip:*""#, "Old."))])
    let old = bench.dial(session: "A")
    try await old.answer()
    #expect(try await old.speech.nextSay().text == "Old.")
    bench.service.replaceCatalogs(
      TenantCatalogs(DialogCatalog([try dialog(greeting("menu", #"sip_to: "sip:*""#, "New."))])))
    let new = bench.dial(session: "B")
    try await new.answer()
    #expect(try await new.speech.nextSay().text == "New.")
    old.say("again")
    #expect(try await old.speech.nextSay().text == "Old.")
    await old.end()
    await new.end()
  }

  // MARK: Folders

  private func folder(_ files: [String: String]) throws -> String {
    let path = FileManager.default.temporaryDirectory.path + "/parley-dialogs-\(UInt64.random(in: .min ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (name, text) in files {
      #expect(FileManager.default.createFile(atPath: "\(path)/\(name)", contents: Data(text.utf8)))
    }
    return path
  }

  @Test func aDialogWithMistakesIsRefusedWhileTheOthersServe() throws {
    let path = try folder([
      "good.yaml": greeting("good", #"sip_to: "sip:good@*""#, "Good."),
      "bad.yaml": "name: bad\nstates:\n  start:\n    on_entry: []\n",
      "broken.yml": "name: [\n",
      "good.test.yaml": "dialog: good\n",
      "notes.txt": "not a dialog",
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let catalog = try DialogCatalog.load(path: path)
    #expect(catalog.dialogs.map(\.name) == ["good"])
    let bad = try #require(catalog.diagnostics.first { $0.file.hasSuffix("bad.yaml") && $0.severity == .error })
    #expect(bad.position?.line == 4)
    #expect(catalog.diagnostics.contains { $0.file.hasSuffix("broken.yml") && $0.severity == .error })
    #expect(catalog.files.count == 3)
  }

  @Test func ofTwoDialogsWithOneNameTheSecondIsAnError() throws {
    let path = try folder([
      "a.yaml": greeting("menu", #"sip_to: "sip:*""#, "A."), "b.yaml": greeting("menu", #"sip_to: "sip:*""#, "B."),
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let catalog = try DialogCatalog.load(path: path)
    #expect(catalog.dialogs.map(\.file) == ["\(path)/a.yaml"])
    #expect(catalog.diagnostics.contains { $0.severity == .error && $0.file == "\(path)/b.yaml" })
  }

  @Test func aFolderThatIsNotThereSaysSo() {
    #expect {
      try DialogCatalog.load(path: "/nonexistent/dialogs")
    } throws: { error in
      "\(error)".contains("/nonexistent/dialogs")
    }
  }
}
