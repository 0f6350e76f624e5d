import Base
import Dialogs
import FoundationEssentials
import Settings
import Testing

@Suite struct TestFileTests {
  static let menu = """
    name: menu
    variables: { name: "", ticket: "", size: 0 }
    settings: { timeout: 8s, no_input_retries: 1 }
    on:
      - { event: poke, do: [{ action: play_tts, text: "Poked by {{ data.who }}.", wait: false }] }
    states:
      start:
        on_enter:
          - { action: play_tts, text: "Welcome to the test desk. Say your name, or press one for a ticket." }
        listen: { hints: [anna, bert] }
        transitions:
          - { event: dtmf, digits: "1", target: ticket }
          - { event: dtmf, digits: "2", target: broken }
          - event: speech
            when: "confidence > 0.5"
            do:
              - { action: set_variable, name: "transcript" }
            target: greet
      greet:
        on_enter:
          - { action: play_tts, text: "Hello {{ name }}." }
          - { action: emit, name: greeted, data: { name: "{{ name }}" } }
          - { action: hangup }
      ticket:
        on_enter:
          - { action: call_hook, service: desk, path: /open, payload: { who: "{{ caller_id }}" }, filler_text: "One moment.", result_into: ticket }
          - { action: play_tts, text: "Your ticket is {{ ticket }}.", barge_in: false }
        transitions:
          - { event: hook_error, target: sorry }
        listen: { hints: [anna] }
        timeout: 3s
        timeout_next: sorry
      broken:
        on_enter:
          - { action: set_variable, size: "1 / len(name)" }
          - { action: hangup, reason: busy }
      sorry:
        on_enter:
          - { action: play_tts, text: "Sorry, {{ error }}." }
        terminal: true
    """

  static func results(_ tests: String, dialog yaml: String = menu) throws -> [DialogTestResult] {
    let loaded = try dialog(yaml)
    let outcome = DialogTestLoader.load(try YAML.read(tests, file: "menu.test.yaml"), file: "menu.test.yaml")
    let file = try #require(outcome.tests, "\(outcome.diagnostics.map(\.description))")
    #expect(DialogTestLoader.check(file, against: loaded).map(\.description) == [])
    var coverage = DialogCoverage(loaded)
    return DialogTestRunner(file, dialog: loaded).run(coverage: &coverage)
  }

  /// The only case must pass.
  private func passes(_ steps: String, _ rest: String = "") throws {
    let result = try #require(try Self.results("\(rest)\ncases:\n- name: a\n  steps:\n\(steps)").first)
    #expect(result.hasPassed, "\(DialogTestReport.tap(result, number: 1))")
  }

  /// The only case must fail with these words.
  private func fails(_ steps: String, _ rest: String = "", _ words: String...) throws {
    let result = try #require(try Self.results("\(rest)\ncases:\n- name: a\n  steps:\n\(steps)").first)
    let failure = try #require(result.failure, "it passed")
    let report = DialogTestReport.tap(result, number: 1)
    for word in words { #expect(report.contains(word), "\(word) is not in \(report)") }
    #expect(!failure.message.isEmpty)
  }

  @Test func aCallByVoice() throws {
    try passes(
      """
        - heard: /Welcome/
        - say: "Anna"
        - heard: ["hello  ANNA"]
        - variable: { name: anna }
        - emitted: { name: greeted, data: { name: anna } }
        - ended: normal
      """)
  }

  @Test func expectationsThatAreNotMetFailWithTheDifference() throws {
    try fails(
      "    - heard: /Goodbye/", "", "not heard: /Goodbye/", "+ heard: Welcome to the test desk", "menu.test.yaml:5:7")
    try fails("    - state: ticket", "", "the state is `start`")
    try fails("    - { say: anna }\n    - { variable: { name: bert } }", "", "`name` is \\\"anna\\\"")
    try fails("    - not_heard: welcome", "", "heard, but should not be")
    try fails("    - hook: desk", "", "the hook was not called so", "+ called: nothing")
    try fails("    - emitted: x", "", "nothing like that was emitted")
    try fails("    - ended: normal", "", "the call goes on in the state `start`")
    try fails("    - hangup\n    - { ended: normal }", "", "the call ended with `caller`, not with `normal`")
    try fails("    - transfer: 'sip:x'", "", "no transfer to")
    try fails("    - hangup\n    - { say: anna }", "", "the call is over")
    try fails("    - { say: anna }\n    - { say: bert }", "", "the call is over", ">> anna")
    try fails("    - { error: max_depth }", "", "the error `max_depth` did not happen")
  }

  @Test func keysHooksAndTheirFailures() throws {
    try passes(
      """
          - press: "1"
          - hook: { service: desk/open, payload: { who: anonymous } }
          - heard: "Your ticket is 4711"
          - not_heard: One moment
          - variable: { ticket: "4711" }
          - state: ticket
          - silence
          - state: sorry
          - ended: normal
      """, "hooks: { desk: { data: \"4711\" } }")
    try passes(
      "    - press: \"1\"\n    - heard: One moment\n    - heard: ticket is 5",
      "hooks: { desk/open: { data: \"5\", delay: 900ms } }")
    try passes("    - press: \"1\"\n    - heard: Sorry, timeout", "hooks: { desk: { data: 1, delay: 20s } }")
    try passes(
      "    - press: \"1\"\n    - heard: Sorry, status", "hooks: { \"*\": { error: status, status: 503, message: no } }")
    try passes("    - press: \"1\"\n    - heard: Sorry, unreachable")
  }

  @Test func answersComeInTurn() throws {
    let dialog = """
      variables: { got: [] }
      states:
        start:
          on_enter:
            - { action: call_hook, service: a, result_into: got }
            - { action: play_tts, text: "Got {{ got }}." }
          transitions:
            - { event: dtmf, target: start }
            - { event: hook_error, do: [{ action: play_tts, text: "Failed." }] }
      """
    let tests = """
      hooks: { a: [{ data: [1] }, { error: unreachable }, { data: [3] }] }
      cases:
        - name: in turn
          steps: [{ heard: "Got [1]" }, { press: "1" }, { heard: Failed }, { press: "1" }, { heard: "Got [3]" }, { press: "1" }, { heard: "Got [3]" }]
      """
    for result in try Self.results(tests, dialog: dialog) {
      #expect(result.hasPassed, "\(DialogTestReport.tap(result, number: 1))")
    }
  }

  @Test func theCallerInterruptsInTheMiddleOfAPrompt() throws {
    try passes(
      """
          - say: { text: anna, at: 1.2s }
          - heard: Hello anna
          - ended: normal
      """)
    // What may not be interrupted goes on, and nobody listens.
    try passes(
      """
          - press: "1"
          - heard: Your ticket
          - say: { text: anna, at: 200ms }
          - state: ticket
          - silence
          - state: sorry
      """, "hooks: { desk: { data: x } }")
    try fails("    - { say: { text: anna, at: 20s } }", "", "was over before 20000 ms")
    try fails("    - { wait: 1m }\n    - { say: { text: anna, at: 1s } }", "", "the call is over")
    try fails(
      "    - { heard: Welcome }\n    - { wait: 6s }\n    - { press: { keys: \"1\", at: 1s } }", "",
      "no prompt is playing")
    try fails(
      "    - { wait: 2s }\n    - { press: { keys: \"1\", at: 1s } }", "", "has been playing for 2000 ms already")
  }

  @Test func silenceAndMumblingFollowTheDialogsPatience() throws {
    try passes(
      """
          - mumble
          - heard: Welcome
          - silence
          - heard: Welcome
          - wait: 7s
          - not_heard: Welcome
          - wait: 8s
          - ended: normal
      """)
  }

  @Test func eventsAndLowConfidence() throws {
    try passes(
      """
          - event: { name: poke, data: { who: the test } }
          - heard: Poked by the test.
          - say: { text: bert, confidence: 0.2 }
          - heard: Welcome
          - say: { text: bert, confidence: 0.8 }
          - heard: Hello bert
      """)
  }

  @Test func mistakesOfTheDialogFailTheCaseUnlessExpected() throws {
    try fails("    - { press: \"2\" }", "", "an error in the state `broken`: expression", "error: expression")
    try passes("    - { press: \"2\" }\n    - { error: expression }\n    - { ended: busy }")
  }

  @Test func factsVariablesAndTimeOfTheCall() throws {
    let dialog = """
      variables: { n: 1 }
      states:
        start:
          on_enter:
            - { action: play_tts, text: "{{ caller_id }} {{ sip_headers['X-A'] }} {{ n }} {{ format_time(now(), '%Y-%m-%d %H:%M') }} {{ trunk }}" }
      """
    let tests = """
      call: { caller_id: alice, sip_headers: { X-A: q }, trunk: main }
      variables: { n: 7 }
      now: "2026-03-01 09:30"
      cases:
        - { name: shared, steps: [{ heard: "alice q 7 2026-03-01 09:30 main" }] }
        - { name: own, call: { caller_id: bob }, variables: { n: 8 }, now: "2024-02-29T23:59:58Z", steps: [{ heard: "bob q 8 2024-02-29 23:59" }] }
      """
    for result in try Self.results(tests, dialog: dialog) {
      #expect(result.hasPassed, "\(DialogTestReport.tap(result, number: 1))")
    }
  }

  @Test func instantPromptsTakeNoTime() throws {
    let results = try Self.results("prompts: instant\ncases: [{ name: a, steps: [{ say: anna }, { ended: normal }] }]")
    #expect(results.map(\.hasPassed) == [true] && results.map(\.durationMs) == [0])
    let spoken = try Self.results("cases: [{ name: a, steps: [{ say: anna }, { ended: normal }] }]")
    #expect(spoken.first.map { $0.durationMs > 4_000 } == true)
  }

  @Test(arguments: [
    ("cases: 5", "T004", "1:8"), ("[]", "T001", "1:1"), ("cases: []", "T003", ""),
    ("case: []", "T002", "did you mean `cases`?"),
    ("cases: [{ name: a }]", "T003", "steps"), ("cases: [{ steps: [{ sai: x }] }]", "T002", "did you mean `say`?"),
    ("cases: [{ steps: [{ say: x, heard: y }] }]", "T020", ""),
    ("cases: [{ steps: [{ heard: \"/(/\" }] }]", "T017", ""),
    ("cases: [{ steps: [{ wait: soon }] }]", "T016", ""), ("cases: [{ steps: [{ press: 12x }] }]", "T005", "keys"),
    ("cases: [{ steps: [{ say: { text: a, confidence: 2 } }] }]", "T005", ""),
    ("cases: [{ name: a, steps: [] }, { name: a, steps: [] }]", "T014", ""),
    ("prompts: instant\ncases: [{ steps: [{ say: { text: a, at: 1s } }] }]", "T020", "instant"),
    ("now: tomorrow\ncases: [{ steps: [] }]", "T005", "now"),
    ("hooks: { a: { error: nope } }\ncases: [{ steps: [] }]", "T005", "timeout"),
    ("hooks: { a: { error: timeout, data: 1 } }\ncases: [{ steps: [] }]", "T002", "data"),
    ("cases: [{ steps: [nonsense] }]", "T004", ""), ("model: [{ fail: maybe }]\ncases: [{ steps: [] }]", "T005", ""),
  ])
  func mistakesInFilesHaveCodesAndPlaces(_ text: String, _ code: String, _ word: String) throws {
    let outcome = DialogTestLoader.load(try YAML.read(text, file: "x.test.yaml"), file: "x.test.yaml")
    #expect(outcome.tests == nil)
    let found = outcome.diagnostics.map(\.description)
    #expect(
      found.contains { $0.contains(" \(code) ") && $0.contains(word) && $0.hasPrefix("x.test.yaml:") }, "\(found)")
  }

  @Test func namesThatTheDialogDoesNotHaveAreFound() throws {
    let tests = "cases: [{ name: a, variables: { nmae: 1 }, steps: [{ state: gret }, { variable: { tiket: 1 } }] }]"
    let outcome = DialogTestLoader.load(try YAML.read(tests, file: "x.test.yaml"), file: "x.test.yaml")
    let found = DialogTestLoader.check(try #require(outcome.tests), against: try dialog(Self.menu)).map(\.description)
    #expect(found.count == 3)
    #expect(found.contains { $0.contains("T009") && $0.contains("did you mean `greet`?") }, "\(found)")
    #expect(found.contains { $0.contains("T010") && $0.contains("did you mean `name`?") }, "\(found)")
    #expect(found.contains { $0.contains("T010") && $0.contains("did you mean `ticket`?") }, "\(found)")
  }

  @Test func coverageNamesWhatNoCallWentThrough() throws {
    let loaded = try dialog(Self.menu)
    let tests = "cases: [{ name: a, steps: [{ say: anna }, { ended: normal }] }]"
    let file = try #require(DialogTestLoader.load(try YAML.read(tests, file: "x.test.yaml"), file: "x.test.yaml").tests)
    var coverage = DialogCoverage(loaded)
    _ = DialogTestRunner(file, dialog: loaded).run(coverage: &coverage)
    #expect(coverage.share(of: .state) == (2, 5))
    #expect(coverage.share(of: .transition) == (1, 6))
    let lines = coverage.lines
    #expect(lines.contains("test.yaml:12:9: never taken: start -[dtmf]-> ticket"), "\(lines)")
    #expect(lines.contains { $0.contains("never taken: ticket -[timeout]-> sorry") })
    #expect(lines.contains { $0.contains("never taken: every state -[poke]-> (stays)") })
    #expect(!lines.contains { $0.contains("greet") })
  }

  @Test func reportsEscapeWhatTheyHold() throws {
    let tests = "cases: [{ name: \"a < b & 'c' # \\\"d\\\"\", steps: [{ heard: \"<&>\" }] }, { name: ok, steps: [] }]"
    let results = try Self.results(tests)
    let xml = DialogTestReport.junit(results)
    #expect(xml.contains("tests=\"2\" failures=\"1\" errors=\"0\""))
    #expect(xml.contains("name=\"a &lt; b &amp; &apos;c&apos; # &quot;d&quot;\""), "\(xml)")
    #expect(xml.contains("message=\"not heard: &quot;&lt;&amp;&gt;&quot;\""), "\(xml)")
    #expect(xml.contains("<testcase name=\"ok\"") && xml.hasSuffix("</testsuites>\n"))
    let tap = DialogTestReport.tap(results[0], number: 1)
    #expect(tap.hasPrefix("not ok 1 - a < b & 'c' \\# \"d\"\n  ---\n") && tap.hasSuffix("  ...\n"), "\(tap)")
    #expect(DialogTestReport.tap(results[1], number: 2) == "ok 2 - ok\n")
    let json = DialogTestReport.json(results[0])
    #expect(json["passed"] == false && json["failure"]?["expected"] == "\"<&>\"")
  }

  @Test func theGuideNamesEveryStepAndItsTestFilePasses() throws {
    let guide = try String(contentsOfFile: "\(root)/docs/dialogs/testing.md", encoding: .utf8)
    for step in DialogTestLoader.stepNames { #expect(guide.contains("`\(step)"), "\(step)") }
    let block = try #require(
      guide.split(separator: "```", omittingEmptySubsequences: false).first { $0.hasPrefix("yaml\n") }
    ).dropFirst(5)
    let path = "\(root)/examples/dialogs/helpdesk.yaml"
    let helpdesk = try #require(DialogLoader.load(try YAML.load(path: path), file: path).dialog)
    let outcome = DialogTestLoader.load(
      try YAML.read(String(block), file: "helpdesk.test.yaml"), file: "helpdesk.test.yaml")
    let file = try #require(outcome.tests, "\(outcome.diagnostics)")
    var coverage = DialogCoverage(helpdesk)
    for result in DialogTestRunner(file, dialog: helpdesk).run(coverage: &coverage) {
      #expect(result.hasPassed, "\(DialogTestReport.tap(result, number: 1))")
    }
  }

  // MARK: With a voice

  private struct Deaf: DialogTestVoice {
    var prompts: [String] = []
    var understood: [String: HeardSpeech] = [:]
    mutating func hear(_ utterance: String, listening: DialogListen) async throws -> HeardSpeech? {
      #expect(listening.phrases.contains("anna"))
      return understood[utterance]
    }
    mutating func check(_ prompt: DialogPrompt) async throws -> String? {
      prompts.append(prompt.spokenText)
      return prompt.spokenText.contains("bert") ? "not understood" : nil
    }
  }

  @Test func aVoiceHearsForTheDialogAndListensToThePrompts() async throws {
    let tests = "cases: [{ name: a, steps: [{ say: anna }, { heard: Hello }] }, { name: b, steps: [{ say: bert }] }]"
    let loaded = try dialog(Self.menu)
    let file = try #require(DialogTestLoader.load(try YAML.read(tests, file: "x.test.yaml"), file: "x.test.yaml").tests)
    var coverage = DialogCoverage(loaded)
    var voice = Deaf(understood: [
      "anna": HeardSpeech(transcript: "hannah", confidence: 0.7), "bert": HeardSpeech(transcript: "bert"),
    ])
    let runner = DialogTestRunner(file, dialog: loaded)
    #expect(await runner.run(file.cases[0], voice: &voice, coverage: &coverage).hasPassed)
    #expect(voice.prompts.last == "Hello hannah." && voice.prompts.first?.hasPrefix("Welcome") == true)
    let failed = await runner.run(file.cases[1], voice: &voice, coverage: &coverage)
    #expect(failed.failure?.message.contains("not understood") == true)
    voice.understood = [:]
    let mumbled = await runner.run(file.cases[0], voice: &voice, coverage: &coverage)
    #expect(mumbled.failure?.message.contains("not heard") == true)
  }
}
