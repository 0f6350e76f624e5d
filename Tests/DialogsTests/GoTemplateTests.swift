import Base
import Dialogs
import Testing

/// Templates as voicetyped writes them, in conditions and in texts.
@Suite struct GoTemplateTests {
  private static let variables = """
    variables: { name: "Ada", empty: "", tries: 3, vip: true, flag_text: "true", list: [a, b], map: { k: v }, any: null }
    """

  /// What a prompt says; `? code message` where the dialog is refused.
  private func said(_ text: String) throws -> String {
    let yaml = """
      \(Self.variables)
      states:
        start:
          on_enter: [{ action: play_tts, text: \(JSON.encode(.string(text))) }]
          terminal: true
      """
    let outcome = try load(yaml)
    guard let dialog = outcome.dialog else {
      let first = outcome.diagnostics.first { $0.severity == .error }
      return "? " + (first.map { "\($0.code) \($0.position?.column ?? 0) \($0.message)" } ?? "")
    }
    var session = DialogSession(dialog: dialog, call: CallFacts(callerID: "+4930123"))
    for action in session.receive(.callAnswered, at: .zero, wallMs: 0) {
      if case .say(let prompt) = action, case .text(let text) = prompt.source { return text }
      if case .trace(.failure(_, _, let message)) = action { return "! " + message }
    }
    return ""
  }

  @Test(arguments: [
    ("Hello {{ .Variables.name }}, welcome", "Hello Ada, welcome"), ("{{.Variables.name}}", "Ada"),
    ("{{ .CallerID }}", "+4930123"), ("{{ .State }}", "start"), ("{{ .Session.CurrentState }}", "start"),
    ("{{ .Session.Variables.name }}", "Ada"), ("{{ .Variables.map.k }}", "v"),
    ("{{ index .Variables.list 1 }}", "b"), ("{{ index .Variables.map \"k\" }}", "v"),
    ("{{ len .Variables.name }}", "3"),
    ("{{ eq .Variables.name \"Ada\" }}", "true"), ("{{ eq .Variables.name \"x\" \"Ada\" }}", "true"),
    ("{{ ne .Variables.name \"Ada\" }}", "false"), ("{{ gt .Variables.tries 2 }}", "true"),
    ("{{ le .Variables.tries \"2\" }}", "false"), ("{{ eq .Variables.tries \"3\" }}", "true"),
    ("{{ eq .Variables.vip \"true\" }}", "true"), ("{{ eq .Variables.tries \"x\" }}", "false"),
    ("{{ and (eq .Variables.name \"Ada\") (lt .Variables.tries 4) }}", "true"),
    ("{{ or .Variables.empty \"caller\" }}", "caller"), ("{{ and .Variables.name .Variables.empty }}", ""),
    ("{{ not .Variables.empty }}", "true"), ("{{ not (eq .Variables.tries 3) }}", "false"),
    ("{{ printf \"%s has %d of %v\" .Variables.name .Variables.tries .Variables.vip }}", "Ada has 3 of true"),
    ("{{ printf \"%q 100%%\" .Variables.name }}", "\"Ada\" 100%"), ("{{ print .Variables.name \"!\" }}", "Ada!"),
    ("{{ .Variables.name | printf \"%s!\" | len }}", "4"), ("{{ .Variables.name | eq \"Ada\" }}", "true"),
    ("{{ .Variables.name | lower | toUpper }}", "ADA"), ("{{ contains .Variables.name \"d\" }}", "true"),
    ("{{ .Variables.name | contains \"x\" }}", "false"), ("{{ hasPrefix .Variables.name \"A\" }}", "true"),
    ("{{ .Variables.empty | default \"caller\" }}", "caller"), ("{{ `raw \\n` }}{{ .Variables.empty }}", "raw \\n"),
    ("{{ if .Variables.vip }}gold{{ else }}tin{{ end }}", "gold"),
    ("{{ if .Variables.empty }}a{{ else if gt .Variables.tries 2 }}b{{ else }}c{{ end }}!", "b!"),
    ("{{ if .Variables.any }}a{{ end }}-", "-"),
    (
      "{{ if and .Variables.name (not .Variables.empty) }}{{ .Variables.name }} {{ .Variables.tries }}{{ end }}",
      "Ada 3"
    ),
    ("{{ if .Variables.vip }}{{ if .Variables.empty }}x{{ else }}y{{ end }}{{ end }}", "y"),
    ("a  {{- .Variables.name -}}  b", "aAdab"), ("a {{- /* no */ -}} b{{ .Variables.empty }}", "ab"),
    ("{{ if .Variables.vip -}}  yes  {{- end }}", "yes"),
    // Our own language is not taken for Go's.
    ("{{ name }} {{ tries + 1 }} {{ map.k }} {{ -tries }} {{ not vip }}", "Ada 4 v -3 false"),
    ("{{ '{{ .Variables.x }}' }}", "{{ .Variables.x }}"), ("{{ name | default('.x') }}", "Ada"),
  ])
  func texts(_ text: String, _ expected: String) throws {
    #expect(try said(text) == expected, "\(text)")
  }

  @Test(arguments: [
    ("{{ .Variables.nmae }}", "? D010", 46), ("{{ .Variabels.x }}", "? D010", 46), ("{{ .Variables }}", "? D011", 46),
    ("{{ . }}{{ .Transcript }}", "? D018", 46), ("{{ range .Result }}x{{ end }}", "? D018", 46),
    ("{{ with .Result }}x{{ end }}", "? D018", 46), ("{{ define \"x\" }}{{ end }}", "? D018", 46),
    ("{{ $x := .Result }}", "? D018", 46), ("{{ if .Variables.vip }}x", "? D011", 43),
    ("x{{ .Transcript }}{{ end }}", "? D011", 64), ("{{ if .Variables.vip }}{{ else }}", "? D011", 43),
    ("{{ eq .Variables.name }}", "? D011", 46), ("{{ printf .Variables.name }}", "? D011", 46),
    ("{{ printf \"%x\" .Variables.name }}", "? D018", 46), ("{{ printf \"%s\" }}", "? D011", 46),
    ("{{ eq .Variables.name 'Ada' }}", "? D011", 65), ("{{ eq (index .Result \"a\" \"b\" }}", "? D011", 73),
    ("{{ .Variables.name \"x\" }}", "? D011", 62), ("{{ eq .Variables.name \"Ada }}", "? D011", 67),
    ("{{ upcase .Variables.name }}", "? D008", 46), ("{{ .Variables.name", "? D011", 61),
  ])
  func mistakes(_ text: String, _ code: String, _ column: Int) throws {
    let found = try said(text)
    #expect(found.hasPrefix(code + " "), "\(text): \(found)")
    // Escapes of the YAML text move what stands behind them.
    if !text.contains("\"") { #expect(found.hasPrefix("\(code) \(column) "), "\(text): \(found)") }
  }

  /// Which way a dialog of three transitions goes.
  private func way(_ event: String, _ condition: String, _ input: (inout Call) -> Void) throws -> Bool {
    var call = try Call(
      """
      \(Self.variables)
      states:
        start:
          on_enter: [{ action: call_hook, service: s, async: true }]
          transitions:
            - event: \(event)
              condition: '\(condition)'
              target: taken
            - { event: "*", target: other }
        taken: { terminal: true }
        other: { terminal: true }
      """)
    input(&call)
    #expect(call.failures == [])
    return call.states.last == "taken"
  }

  @Test func conditionsOnKeys() throws {
    let condition = #"{{ eq (printf "%c" .Event) "1" }}"#
    #expect(try way("dtmf", condition) { $0.press("1") })
    #expect(try !way("dtmf", condition) { $0.press("2") })
    #expect(try way("dtmf", #"{{ eq .Event "1" }}"#) { $0.press("1") })
    #expect(try way("dtmf", "{{ eq .Event `1` }}") { $0.press("1") })
    #expect(try way("\"*\"", #"{{ eq .Event "1" }}"#) { $0.press("1") })
  }

  @Test func conditionsOnSpeech() throws {
    #expect(try way("speech", #"{{ eq .Event "Yes" }}"#) { $0.say("yes") })
    #expect(try way("speech", #"{{ eq .Transcript "yes" "sure" }}"#) { $0.say("sure") })
    #expect(try !way("speech", #"{{ eq .Transcript "yes" "sure" }}"#) { $0.say("no") })
    #expect(try way("speech", #"{{ and (contains .Transcript "agent") (gt .Confidence 0.5) }}"#) { $0.say("an agent") })
    #expect(try way("speech", #"{{ .Variables.flag_text }}"#) { $0.say("x") })
    #expect(try !way("speech", #"{{ .Variables.name }}"#) { $0.say("x") })
    #expect(try way("speech", #" {{ if eq .Event "go" }}true{{ else }}false{{ end }} "#) { $0.say("go") })
  }

  @Test func conditionsOnResults() throws {
    let condition = #"{{ eq (index .Result "intent") "sales" }}"#
    #expect(try way("hook_result", condition) { $0.answerHook(["data": ["intent": "sales"]]) })
    #expect(try !way("hook_result", condition) { $0.answerHook(["data": ["intent": "support"]]) })
    #expect(try !way("hook_result", condition) { $0.answerHook(["data": [:]]) })
    #expect(try way("hook_result", "{{ .Result.ok }}") { $0.answerHook(["data": ["ok": true]]) })
  }

  @Test func whatTheCallerSaysIsNoTemplate() throws {
    var call = try Call(
      """
      variables: { heard_text: "" }
      states:
        start:
          transitions:
            - event: speech
              do:
                - { action: set_variable, heard_text: transcript }
                - { action: play_tts, text: "{{ .Variables.heard_text }}" }
      """)
    call.say("{{ .CallerID }} {{ 1 + 1 }}")
    #expect(call.said == ["{{ .CallerID }} {{ 1 + 1 }}"])
  }

  @Test func phrasesOfGoConditionsAreRecognised() throws {
    let dialog = try dialog(
      """
      states:
        start:
          transitions:
            - { event: speech, when: '{{ eq .Transcript "reset my password" }}', target: start }
      """)
    #expect(dialog.listenPhrases(for: dialog.states[0]) == ["reset my password"])
  }

  @Test func deepNestingIsRefused() throws {
    let open = String(repeating: "(", count: 200), close = String(repeating: ")", count: 200)
    #expect(try said("{{ not \(open).Transcript\(close) }}").hasPrefix("? D011"))
    let ifs = String(repeating: "{{ if .Variables.vip }}", count: 100) + String(repeating: "{{ end }}", count: 100)
    #expect(try said(ifs).hasPrefix("? D011"))
    let chain =
      "{{ if .Variables.empty }}" + String(repeating: "{{ else if .Variables.empty }}", count: 100) + "{{ end }}"
    #expect(try said(chain).hasPrefix("? D011"))
  }

  @Test func nothingGrowsWithoutBound() throws {
    for word in ["or", "and", "eq"] {
      var text = ".Variables.name"
      for _ in 0..<30 { text = "\(word) (\(text)) .Variables.empty .Variables.any .Variables.name" }
      let result = try said("{{ \(text) }}")
      #expect(result.hasPrefix("? D01") || ["Ada", "", "true", "false"].contains(result), "\(word): \(result)")
    }
    #expect(try said("{{ eq .Variables.name \"x\" .Variables.empty \"Ada\" }}") == "true")
    #expect(try said("{{ or .Variables.empty (printf \"%s\" .Variables.empty) \"b\" }}") == "b")
  }

  /// The example of voicetyped's own documentation, in its own spelling.
  @Test func aDialogOfTheCodeDialectRuns() throws {
    var call = try Call(
      """
      name: example
      version: "1.0"
      variables: { caller_name: "John", intent: "" }
      initial_state: greeting
      states:
        greeting:
          on_enter:
            - type: play_tts
              params: { text: "Hello {{ .Variables.caller_name }}, how can I help?" }
          transitions:
            - event: dtmf
              condition: '{{ eq (printf "%c" .Event) "1" }}'
              target: ask
              actions:
                - type: set_variable
                  params: { intent: sales }
          timeout: "15s"
          timeout_next: goodbye
        ask:
          on_enter:
            - type: call_hook
              params: { url: "https://example.com/intent" }
          transitions:
            - event: hook_result
              condition: '{{ eq (index .Result "intent") "support" }}'
              target: goodbye
        goodbye:
          on_enter:
            - type: play_tts
              params: { text: "{{ .Variables.intent }}" }
            - type: hangup
          terminal: true
      """)
    #expect(call.said == ["Hello John, how can I help?"])
    call.press("1")
    call.answerHook(["data": ["intent": "support"]])
    #expect(call.said.last == "sales")
  }
}
