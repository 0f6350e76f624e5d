import Base
import Dialogs
import Settings
import Testing

@Suite struct CheckerTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    var code: String
    var yaml: String
    /// What stands at the line and column of the complaint.
    var at: String
    /// Part of the sentence or the hint.
    var says: String
    var testDescription: String { "\(code) \(says)" }
    init(_ code: String, _ at: String, _ says: String, _ yaml: String) {
      self.code = code
      self.yaml = yaml
      self.at = at
      self.says = says
    }
  }

  /// A state's transitions or actions in a dialog that is otherwise clean.
  private static func state(_ body: String) -> String {
    """
    states:
      start:
    \(body.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n"))
      end: { terminal: true }
    on: [{ event: bye, target: end }]
    """
  }

  /// An agent's keys, beside a prompt and a fallback, in a dialog that is otherwise clean.
  private static func agent(_ body: String) -> String {
    let keys = "prompt: Help.\n" + (body.hasPrefix("fallback") ? "" : "fallback: end\n") + body
    return state(
      "agent:\n" + keys.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
  }

  static let mistakes: [Mistake] = [
    Mistake("D001", "just", "must be a mapping", "just text"),
    Mistake("D001", "", "must be a mapping", ""),
    Mistake("D002", "stats:", "did you mean `states`", "stats: {}\nstates: { start: { terminal: true } }"),
    Mistake("D002", "on_entr:", "did you mean `on_enter`", "states:\n  start:\n    on_entr: []\n    terminal: true"),
    Mistake("D002", "voise:", "did you mean `voice`", state("on_enter: [{ action: play_tts, text: hi, voise: x }]")),
    Mistake("D002", "colour:", "known keys", "settings: { colour: red }\nstates: { start: { terminal: true } }"),
    Mistake("D003", "name:", "no `states`", "name: x"),
    Mistake("D003", "{ action: play_tts", "needs `text`", state("on_enter: [{ action: play_tts }]")),
    Mistake("D003", "{ target: end }]", "no `event`", state("transitions: [{ target: end }]")),
    Mistake(
      "D003", "{ action: call_hoo", "`service` or `url`",
      state("on_enter: [{ action: call_hook }]\ntransitions: [{ event: hook_error, target: end }]")),
    Mistake("D004", "hello", "must be a list", state("on_enter: hello")),
    Mistake("D004", "maybe", "true or false", state("terminal: maybe")),
    Mistake("D004", "hangup", "an action must be a mapping", state("on_enter: [hangup]")),
    Mistake("D004", "[start", "must be a mapping", "states: [start]"),
    Mistake("D005", "9", "between 0.5 and 2.0", state("on_enter: [{ action: play_tts, text: hi, speed: 9 }]")),
    Mistake("D005", "norml", "cannot be `norml`", state("on_enter: [{ action: hangup, reason: norml }]")),
    Mistake("D005", "\"a", "cannot be the name of a dialog", "name: \"a b\"\nstates: { start: { terminal: true } }"),
    Mistake(
      "D005", "2x:", "cannot be the name of a variable", "variables: { 2x: 1 }\nstates: { start: { terminal: true } }"),
    Mistake("D006", "speach", "did you mean `speech`", state("transitions: [{ event: speach, target: end }]")),
    Mistake("D006", "\"a", "cannot be the name of an event", state("transitions: [{ event: \"a b\", target: end }]")),
    Mistake("D007", "play_tss", "did you mean `play_tts`", state("on_enter: [{ action: play_tss, text: hi }]")),
    Mistake(
      "D008", "lowr", "did you mean `lower`", state("on_enter: [{ action: play_tts, text: \"{{ lowr(reason) }}\" }]")),
    Mistake(
      "D009", "edn", "did you mean `end`",
      state("transitions: [{ event: dtmf, target: edn }, { event: no_input, target: end }]")),
    Mistake("D009", "nowhere", "does not exist", state("timeout: 5s\ntimeout_next: nowhere")),
    Mistake("D010", "visitor", "declare it", state("on_enter: [{ action: play_tts, text: \"{{ visitor }}\" }]")),
    Mistake(
      "D010", "cuont:", "did you mean `count`",
      "variables: { count: 0 }\n" + state("on_enter: [{ action: set_variable, cuont: 1 }]")),
    Mistake("D011", "\"", "too early", state("transitions: [{ event: bye, when: \"1 +\", target: end }]")),
    Mistake("D011", "there", "text needs quotes", state("on_enter: [{ action: set_variable, y: hello there }]")),
    Mistake(
      "D012", "*", "needs a number", state("transitions: [{ event: bye, when: \"transcript * 2 > 1\", target: end }]")),
    Mistake(
      "D012", "transcript", "must be true or false",
      state("transitions: [{ event: bye, when: transcript, target: end }]")),
    Mistake(
      "D012", "\"'x", "is set to text",
      "variables: { count: 0 }\n" + state("on_enter: [{ action: set_variable, count: \"'x'\" }]")),
    Mistake("D013", "{ begin: { termina", "no state `start`", "states: { begin: { terminal: true } }"),
    Mistake("D013", "begn", "did you mean `begin`", "initial_state: begn\nstates: { begin: { terminal: true } }"),
    Mistake("D015", "\"(yes", "does not compile", state("listen: { grammar: \"(yes\" }")),
    Mistake("D016", "8", "write 250ms, 8s or 5m", state("timeout: 8")),
    Mistake("D016", "1ms", "at least 100ms", state("timeout: 1ms")),
    Mistake("D016", "25h", "longer than a day", state("timeout: 25h")),
    Mistake("D016", "61s", "at most 60s", state("on_enter: [{ action: silence, duration: 61s }]")),
    Mistake(
      "D017", "q", "neither a key",
      state("transitions: [{ event: dtmf, digits: q, target: end }, { event: no_input, target: end }]")),
    Mistake(
      "D017", "matches", "is not valid",
      state("transitions: [{ event: bye, when: \"transcript matches '('\", target: end }]")),
    Mistake(
      "D018", "auth_type:", "integration.services",
      state("on_enter: [{ type: call_hook, params: { url: \"http://x\", auth_type: bearer } }]")),
    Mistake(
      "D018", "range", "`range` of Go templates",
      state("on_enter: [{ action: play_tts, text: '{{ range .Result }}x{{ end }}' }]")),
    Mistake(
      "D019", "transcript:", "belongs to the language",
      "variables: { transcript: x }\nstates: { start: { terminal: true } }"),
    Mistake("D019", "digits:", "cannot be set", state("on_enter: [{ action: set_variable, digits: 1 }]")),
    Mistake(
      "D020", "\"true", "two names of one key",
      state("transitions: [{ event: bye, when: \"true\", condition: \"true\", target: end }]")),
    Mistake(
      "D020", "1", "belongs to the event `dtmf`", state("transitions: [{ event: speech, digits: 1, target: end }]")),
    Mistake(
      "D020", "\"http:", "both `service` and `url`",
      state("on_enter: [{ action: call_hook, service: a, url: \"http://x\" }]")),
    Mistake("D020", "3", "more than `max`", state("on_enter: [{ action: collect_digits, max: 2, min: 3 }]")),
    Mistake(
      "D021", "[{ action:", "at most 100",
      state("on_enter: [" + String(repeating: "{ action: hangup }, ", count: 101) + "]")),
    Mistake(
      "D022", "{ name: a, desc", "cannot tell two",
      agent("exits: [{ name: a, description: x, target: end }, { name: a, description: y, target: end }]")),
    Mistake(
      "D022", "{ name: a, desc", "cannot tell two",
      agent(
        "tools: [{ name: a, description: x, hook: { service: s } }]\nexits: [{ name: a, description: y, target: end }]")
    ),
    Mistake(
      "D023", "strng", "did you mean `string`",
      agent("exits: [{ name: a, description: x, target: end, extract: { y: strng } }]")),
    Mistake(
      "D023", "$ref:", "no keyword",
      agent("tools: [{ name: a, description: x, hook: { service: s }, parameters: { type: object, $ref: x } }]")),
    Mistake(
      "D023", "[a]", "mapping of names", agent("exits: [{ name: a, description: x, target: end, extract: [a] }]")),
    Mistake(
      "D023", "z", "not among the properties",
      agent(
        "tools: [{ name: a, description: x, hook: { service: s }, parameters: { type: object, properties: { y: string }, required: [z] } }]"
      )),
    Mistake("D030", "lost:", "nothing leads to", "states:\n  start: { terminal: true }\n  lost: { terminal: true }"),
    Mistake("D031", "start:", "no way leads out", "states:\n  start:\n    on_enter: [{ action: play_tts, text: hi }]"),
    Mistake("D032", "start:", "silent", state("transitions: [{ event: dtmf, target: end }]")),
    Mistake(
      "D033", "start:", "something else",
      state(
        "transitions:\n  - { event: speech, when: \"transcript == 'yes'\", target: end }\n  - { event: no_input, target: end }"
      )),
    Mistake(
      "D034", "{ event: dtmf, dig", "the one at 4:9",
      state(
        "transitions:\n  - { event: dtmf, digits: X, target: end }\n  - { event: dtmf, digits: \"1\", target: end }\n  - { event: no_input, target: end }"
      )),
    Mistake(
      "D034", "{ event: speech, t", "never taken",
      state("transitions:\n  - { event: \"*\", target: end }\n  - { event: speech, target: end }")),
    Mistake(
      "D035", "start:", "start -> b -> start",
      "states:\n  start: { on_enter: [{ action: goto, target: b }] }\n  b: { transitions: [{ event: tts_complete, target: start }] }"
    ),
    Mistake("D036", "spare:", "neither read nor set", "variables: { spare: 1 }\nstates: { start: { terminal: true } }"),
    Mistake(
      "D037", "{ action: collect_", "mask: true",
      "variables: { pin: \"\" }\nstates:\n  start:\n    on_enter:\n      - { action: collect_digits, into: pin, max: 4 }\n    transitions: [{ event: dtmf, target: start }, { event: no_input, target: start }]"
    ),
    Mistake(
      "D038", "coumt", "`count`",
      "variables: { count: 0, y: \"\" }\n" + state("on_enter: [{ action: set_variable, y: coumt }]")),
    Mistake(
      "D039", "{ action: log, mes", "never reached",
      state("on_enter: [{ action: hangup }, { action: log, message: x }]")),
    Mistake(
      "D040", "start:", "its hook fails",
      state("on_enter: [{ action: call_hook, service: a }]\ntransitions: [{ event: hook_result, target: end }]")),
    Mistake("D041", "department:", "is not declared", state("on_enter: [{ action: set_variable, department: sales }]")),
    Mistake(
      "D042", "start:", "names no phrase",
      state("transitions: [{ event: speech, target: end }, { event: no_input, target: end }]")),
    Mistake("D003", "{ name: a", "`hook`, `builtin` or `mcp`", agent("tools: [{ name: a }]")),
    Mistake("D003", "{ descr", "needs `name`", agent("tools: [{ description: x, hook: { service: s } }]")),
    Mistake("D003", "{ builtin", "nothing to search", agent("tools: [{ builtin: search_knowledge }]")),
    Mistake(
      "D003", "{ tools: []", "needs `prompt`",
      "states: { start: { agent: { tools: [] }, transitions: [{ event: bye, target: start }] } }"),
    Mistake("D003", "{ name: a", "needs `target`", agent("exits: [{ name: a, description: x }]")),
    Mistake("D005", "a", "cannot be the name of a tool", agent("exits: [{ name: a b, description: x, target: end }]")),
    Mistake("D005", "3", "between 0.0 and 2.0", agent("temperature: 3")),
    Mistake("D005", "5000", "between 1 and 4096", agent("max_tokens: 5000")),
    Mistake("D005", "call", "cannot be `call_back`", agent("tools: [{ builtin: call_back }]")),
    Mistake("D009", "nowhere", "`fallback` names the state", agent("fallback: nowhere")),
    Mistake(
      "D009", "nowhere", "`target` names the state", agent("exits: [{ name: a, description: x, target: nowhere }]")),
    Mistake(
      "D012", "count:", "gets text",
      "variables: { count: 0 }\n"
        + agent("exits: [{ name: a, description: x, target: end, extract: { count: string } }]")),
    Mistake(
      "D019", "digits:", "cannot be set",
      agent("exits: [{ name: a, description: x, target: end, extract: { digits: string } }]")),
    Mistake(
      "D041", "plan:", "not declared",
      agent("exits: [{ name: a, description: x, target: end, extract: { plan: string } }]")),
    Mistake("D020", "m, hook", "make two tools", agent("tools: [{ name: a, mcp: m, hook: { service: s } }]")),
    Mistake(
      "D020", "[x]", "belongs to `mcp`", agent("tools: [{ name: a, description: x, allow: [x], hook: { service: s } }]")
    ),
    Mistake(
      "D020", "4", "belongs to `builtin: collect_digits`",
      agent("tools: [{ name: a, description: x, max: 4, hook: { service: s } }]")),
    Mistake("D020", "a", "the MCP server says", agent("tools: [{ name: a, mcp: m }]")),
    Mistake("D020", "{ prompt", "is terminal", "states: { start: { terminal: true, agent: { prompt: hi } } }"),
    Mistake("D005", "a b", "neither an address nor a number", state("on_enter: [{ action: transfer, target: a b }]")),
    Mistake(
      "D020", "hello", "only said in the mode `warm`",
      state("on_enter: [{ action: transfer, target: \"12\", brief: hello }]")),
    Mistake(
      "D019", "Via:", "belongs to SIP", state("on_enter: [{ action: transfer, target: \"12\", headers: { Via: x } }]")),
    Mistake(
      "D019", "host:", "belongs to HTTP", state("on_enter: [{ action: call_hook, service: s, headers: { host: x } }]")),
    Mistake("D016", "11m", "at most 10m", state("on_enter: [{ action: transfer, target: \"12\", timeout: 11m }]")),
    Mistake("D005", "\"12x", "no key", state("on_enter: [{ action: send_dtmf, digits: \"12x\" }]")),
    Mistake(
      "D020", "mono", "belongs to `operation: start`",
      state("on_enter: [{ action: record, operation: stop, channels: mono }]")),
    Mistake("D003", "{ action: record", "needs `operation`", state("on_enter: [{ action: record }]")),
    Mistake(
      "D012", "x", "gets a map",
      "variables: { x: 1 }\n" + state("on_enter: [{ action: run_dialog, name: other, into: x }]")),
    Mistake(
      "D005", "stero", "did you mean `stereo`", "settings: { record: stero }\nstates: { start: { terminal: true } }"),
    Mistake(
      "D003", "{ model", "needs `prompt`", "outcome: { review: { model: m } }\nstates: { start: { terminal: true } }"),
    Mistake(
      "D010", "nobody", "no variable `nobody`",
      "outcome: { variables: [nobody] }\nstates: { start: { terminal: true } }"),
    Mistake(
      "D020", "text", "keep one", "outcome: { summary: text, summarize: true }\nstates: { start: { terminal: true } }"),
    Mistake(
      "D020", "play_tts", "two names of one key", state("on_enter: [{ action: play_tts, type: play_tts, text: hi }]")),
    Mistake("D043", "{ name: a, tar", "no description", agent("exits: [{ name: a, target: end }]")),
    Mistake(
      "D044", "{ prompt", "no `exits`",
      "states:\n  start:\n    agent: { prompt: hi, fallback: end }\n  end: { terminal: true }"),
    Mistake(
      "D045", "{ prompt", "unreachable",
      "states:\n  start:\n    agent: { prompt: hi, exits: [{ name: a, description: x, target: end }] }\n  end: { terminal: true }"
    ),
    Mistake("D046", "{ action: trans", "busy", state("on_enter: [{ action: transfer, target: \"12\" }]")),
    Mistake("D047", "hold", "not carried out", state("on_enter: [{ action: hold }]")),
    Mistake("D047", "stereo", "not carried out", "settings: { record: stereo }\nstates: { start: { terminal: true } }"),
    Mistake("D052", "{ event: agent_exit", "no `agent`", state("transitions: [{ event: agent_exit, target: end }]")),
    Mistake("D052", "{ event: timeout", "`no_input`", state("transitions: [{ event: timeout, target: end }]")),
    Mistake("D052", "{ event: tts_comp", "says nothing", state("transitions: [{ event: tts_complete, target: end }]")),
    Mistake("D052", "{ event: hook_res", "calls no hook", state("transitions: [{ event: hook_result, target: end }]")),
    Mistake(
      "D035", "start:", "start -> b -> start",
      "states:\n  start: { agent: { prompt: hi, fallback: b } }\n  b: { on_enter: [{ action: goto, target: start }] }"),
    Mistake(
      "D039", "{ action: goto", "keep one",
      state("transitions: [{ event: bye, do: [{ action: goto, target: start }], target: end }]")),
    Mistake("D053", "{ event: hangup", "no state is entered", state("transitions: [{ event: hangup, target: end }]")),
    Mistake(
      "D053", "{ action: play", "nobody is there",
      state("transitions: [{ event: hangup, do: [{ action: play_tts, text: bye }] }]")),
    Mistake(
      "D054", "start:", "no transition for `speech`",
      state("listen: { hints: [a word] }\ntransitions: [{ event: no_input, target: end }]")),
    Mistake(
      "D054", "start:", "no transition for `dtmf`",
      state("listen: { dtmf: { max_digits: 4 } }\ntransitions: [{ event: no_input, target: end }]")),
    Mistake(
      "D055", "sales", "sip:sales@*", "routing: { match: [{ sip_to: sales }] }\nstates: { start: { terminal: true } }"),
    Mistake(
      "D055", "sip:100", "sip:100@*",
      "routing: { match: [{ sip_from: sip:100 }] }\nstates: { start: { terminal: true } }"),
    Mistake("D005", "english", "no language", "language: english\nstates: { start: { terminal: true } }"),
    Mistake("D005", "en_US", "no language", state("listen: { language: en_US }")),
    Mistake(
      "D022", "{ mcp: m, allow: [b]", "stands twice", agent("tools: [{ mcp: m, allow: [a] }, { mcp: m, allow: [b] }]")),
  ]

  @Test(arguments: mistakes) func everyMistakeIsNamed(_ mistake: Mistake) throws {
    let outcome = try load(mistake.yaml)
    let found = outcome.diagnostics.filter { $0.code == mistake.code }
    let list = outcome.diagnostics.map(\.description).joined(separator: "\n")
    let hit = try #require(
      found.first { "\($0.message) \($0.hint)".contains(mistake.says) }, "not found among:\n\(list)\n\(mistake.yaml)")
    let position = try #require(hit.position)
    let lines = mistake.yaml.split(separator: "\n", omittingEmptySubsequences: false)
    let place = lines.isEmpty ? "" : String(lines[position.line - 1].dropFirst(position.column - 1))
    #expect(place.hasPrefix(mistake.at), "\(hit)\nPLACE \(mistake.code)|\(mistake.says)|\(place.prefix(30))")
    #expect(hit.file == "test.yaml")
    #expect((outcome.dialog == nil) == outcome.diagnostics.contains { $0.severity == .error })
    #expect(hit.severity == (mistake.code < "D030" ? .error : .warning))
  }

  @Test func everyCodeHasAMistake() {
    let shown = Set(Self.mistakes.map(\.code)).union(["D014", "D048", "D049", "D050", "D051"])
    #expect(DialogCode.allCases.map(\.rawValue).filter { !shown.contains($0) } == [])
  }

  @Test func oneNameTwice() throws {
    let a = try #require(try load("name: x\nstates: { start: { terminal: true } }", file: "a.yaml").dialog)
    let b = try #require(try load("states: { start: { terminal: true } }", file: "dir/x.yaml").dialog)
    #expect(b.name == "x")
    let (kept, diagnostics) = DialogLoader.unique([a, b])
    #expect(kept.map(\.file) == ["a.yaml"])
    #expect(diagnostics.map(\.code) == ["D014"])
    #expect(diagnostics.first?.message.contains("a.yaml") == true)
  }

  @Test func allMistakesComeAtOnceAndInOrder() throws {
    let outcome = try load(
      """
      states:
        start:
          on_enter:
            - action: play_tts
              text: "{{ nobody }} {{ nothing }}"
            - action: nonsense
          transitions:
            - event: speach
              target: nowhere
          timeout: soon
      """)
    #expect(outcome.dialog == nil)
    #expect(outcome.diagnostics.map(\.code) == ["D010", "D010", "D007", "D006", "D016"])
    #expect(outcome.diagnostics.map { $0.position?.line } == [5, 5, 6, 8, 10])
    #expect(outcome.diagnostics.map { $0.position?.column }.prefix(2) == [19, 32])
  }

  @Test func anErrorBehindManyWarningsStillCounts() throws {
    var yaml = "states:\n  start: { terminal: true }\n"
    for i in 0..<300 { yaml += "  s\(i): { on_enter: [{ action: set_variable, v\(i)x\(i): 1 }], terminal: true }\n" }
    yaml += "  last: { termnal: true }\n"
    let outcome = try load(yaml)
    #expect(outcome.dialog == nil)
    #expect(outcome.diagnostics.contains { $0.code == "D002" })
    #expect(outcome.diagnostics.count <= 200)
  }

  @Test func reportsAreData() throws {
    let report = DialogLoader.report(try load("name: x").diagnostics)
    #expect(
      JSON.encode(report)
        == #"[{"code":"D003","column":1,"file":"test.yaml","hint":"add at least a state `start`","line":1,"message":"the dialog has no `states`","severity":"error"}]"#
    )
  }

  /// The spelling of the system that dialogs are brought from, without its template language.
  @Test func theOtherSpellingLoads() throws {
    let outcome = try load(
      """
      name: example-ivr
      version: "1.0"
      variables: { caller_name: "", intent: "" }
      initial_state: greeting
      states:
        greeting:
          on_enter:
            - type: play_tts
              params:
                text: "Welcome. How can I help?"
          transitions:
            - event: dtmf
              condition: "digit == '1'"
              target: sales
              actions:
                - type: log
                  params: { message: one }
          timeout: "15s"
          timeout_next: no_input
        sales:
          on_enter:
            - type: set_variable
              params:
                department: sales
                greeting: Hello there, you
            - type: play_tts
              params: { text: "{{ greeting }} from {{ department }}" }
          transitions:
            - event: tts_complete
              target: goodbye
          timeout: "30s"
          timeout_next: goodbye
        no_input:
          on_enter:
            - type: play_tts
              params: { text: "I did not hear anything." }
          transitions:
            - event: tts_complete
              target: greeting
        goodbye:
          on_enter:
            - type: play_tts
              params: { text: Bye. }
            - type: hangup
          terminal: true
      """)
    #expect(outcome.diagnostics.filter { $0.severity == .error }.map(\.description) == [])
    var simulator = DialogSimulator(dialog: try #require(outcome.dialog))
    _ = simulator.start()
    #expect(simulator.take("#1").contains("<< Hello there, you from sales"))
    #expect(simulator.isEnded)
  }

  @Test func randomDocumentsNeverCrashTheLoader() throws {
    var random = SeededRandom(seed: 42)
    let words = [
      "states", "start", "on_enter", "action", "play_tts", "text", "{{ a", "{{ transcript }}", "event", "speech",
      "target",
      "transitions", "when", "1 +", "timeout", "8s", "variables", "x", "on", "settings", "listen", "grammar", "(a",
      "do",
      "set_variable", "params", "type", "goto", "routing", "match", "sip_to", "*", "", "null", "true", "-1", "1e400",
    ]
    func node(_ depth: Int) -> SourceNode {
      let position = SourcePosition(line: Int(random.next() % 50) + 1, column: 1)
      let word = words[Int(random.next() % UInt64(words.count))]
      let count = Int(random.next() % 5)
      switch depth == 0 ? 0 : random.next() % 4 {
      case 0: return SourceNode(.scalar(word, isQuoted: random.next() % 2 == 0), at: position)
      case 1: return SourceNode(.sequence((0..<count).map { _ in node(depth - 1) }), at: position)
      default:
        return SourceNode(
          .mapping(
            (0..<count).map { _ in
              let key = words[Int(random.next() % UInt64(words.count))]
              return (SourceNode(.scalar(key, isQuoted: false), at: position), node(depth - 1))
            }), at: position)
      }
    }
    for _ in 0..<3_000 {
      let outcome = DialogLoader.load(node(7), file: "random.yaml")
      #expect(outcome.dialog != nil || outcome.diagnostics.contains { $0.severity == .error })
    }
  }
}
