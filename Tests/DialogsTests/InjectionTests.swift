import Base
import Dialogs
import Settings
import Testing

/// What callers, headers, backends and models say is data: never an expression, a template, markup or a grammar.
@Suite struct InjectionTests {
  /// Texts that would mean something to somebody who took them for more than text. Each would show: 6 * 7 is 42, and the
  /// secret is known.
  static let hostile = [
    "{{ 6 * 7 }}", "{{ secret }}", "{{ '{{' }} secret }}", "}}{{ secret }}{{", "{{ secret", "{{ {{ secret }} }}",
    "{{ .Variables.secret }}", "{{ printf \"%v\" .Variables.secret }}", "{{ eq .Event \"1\" }}", "{{- secret -}}",
    "' + secret + '", "\" + secret + \"", "' or true or '", "') or (1 == 1", "\\' + secret + \\'",
    "' | json }}{{ secret }}{{ '",
    "- action: hangup", "\n  - { action: hangup }\n", "secret: *secret", "&a [*a]", "!!str secret", "? {{ secret }}",
    "# {{ secret }}",
    "<speak>{{ secret }}</speak>", "</speak><audio src=\"file:///etc/passwd\"/>", "<break time=\"60s\"/>",
    "&lt;speak&gt;",
    ".*", "(a+)+$", "^$", "[", "(?:){100}", "\\", "/[0-9]+/", "X.", "public <x> = secret;", "; <NULL>", "${SECRET}",
    "${file:/etc/passwd}",
    "%s%n", "\u{0}", "\u{202E}terces", "*", "**", "***",
  ]

  /// Says, logs and emits whatever it hears, in every place where text can stand.
  private static let parrot = """
    name: parrot
    variables: { kept: "", secret: { value: "hunter2", mask: true }, data_kept: null }
    states:
      start:
        transitions:
          - event: speech
            when: "transcript == 'never' or slots.word == 'never' or transcript in ['never']"
            target: trap
          - event: speech
            do:
              - { action: set_variable, kept: "transcript" }
              - { action: set_variable, kept: "{{ kept }}" }
              - { action: play_tts, text: "Heard {{ transcript }} and {{ kept }} and {{ slots.word }}", wait: false }
              - { action: play_tts, text: "<speak>Heard {{ transcript }}</speak>", ssml: true, wait: false }
              - { action: log, message: "Heard {{ transcript }}" }
              - { action: emit, name: heard, data: { words: "{{ transcript }}", list: ["{{ kept }}"] } }
              - { action: call_hook, service: a, path: "/on-intent", payload: { words: "{{ kept }}" }, async: true }
            target: again
          - event: poke
            do:
              - { action: set_variable, data_kept: "data" }
              - { action: play_tts, text: "Data {{ data.text }} {{ data_kept.text }}", wait: false }
          - event: speech_partial
            do: [{ action: log, message: "Partly {{ transcript }}" }]
          - event: tts_interrupted
            do: [{ action: log, message: "Cut at {{ heard }}" }]
          - event: hook_result
            do:
              - { action: set_variable, kept: "string(result.text)" }
              - { action: play_tts, text: "Result {{ result.text }} {{ kept }}", wait: false }
          - event: hook_error
            do: [{ action: log, message: "Failed {{ error }} {{ error_message }}" }]
      again:
        on_enter:
          - { action: play_tts, text: "{{ kept }} from {{ caller_id }} by {{ sip_headers['X-Text'] }}" }
          - { action: goto, target: start }
      trap:
        on_enter: [{ action: play_tts, text: "trapped {{ secret }}" }]
    """

  /// Everything that the session did, with `text` replaced by a mark: what is left does not depend on it.
  private func shape(_ text: String) throws -> [String] {
    let facts = CallFacts(
      session: SessionID("1"), callerID: text, calledNumber: "100", fromURI: "sip:\(text)@example.org",
      headers: [("X-Text", text), ("Subject", text)])
    var call = try Call(Self.parrot, facts: facts)
    call.give(.speechPartial(transcript: text))
    call.give(.speech(HeardSpeech(transcript: text, confidence: 0.9, slots: ["word": .string(text)])))
    call.promptsEnd()
    call.give(.custom(name: "poke", data: ["text": .string(text), text: 1]))
    for prompt in call.playing.prefix(1) {
      call.give(.playbackInterrupted(prompt.id, heard: text, byCaller: false))
    }
    call.answerHook(["data": ["text": .string(text)], "variables": ["kept": .string(text)]])
    call.promptsEnd()
    call.give(.speech(HeardSpeech(transcript: text)))
    call.failHook(text)
    call.give(.hangup(by: text, reason: text))
    #expect(call.session.isEnded)
    #expect(!call.states.contains("trap"))
    let mark = "\u{E000}"
    // As it stands in a description, in JSON, and as a text that SSML protects.
    let forms = [text, Self.escaped(text)].sorted { $0.utf8.count > $1.utf8.count }
    return call.actions.map { action in
      switch action {
      case .say(let prompt):
        if case .markup(let said) = prompt.source { return "markup " + Self.replacing(forms, in: said, by: mark) }
        if case .text(let said) = prompt.source { return "say " + Self.replacing(forms, in: said, by: mark) }
        return "say something else"
      case .log(_, let message): return "log " + Self.replacing(forms, in: message, by: mark)
      case .emit(let name, let data): return "emit \(name) " + Self.shown(data, forms, mark)
      case .callHook(let hook): return "hook \(hook.path) " + Self.shown(hook.body, forms, mark)
      case .listen(let listen): return "listen \(listen)"
      case .trace(.failure(let state, let code, _)): return "failure \(state) \(code)"
      case .trace(.variableChanged(let name, let value)): return "set \(name) " + Self.shown(value, forms, mark)
      case .trace: return "trace"
      default: return "\(action)"
      }
    }
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&apos;"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  private static func replacing(_ forms: [String], in text: String, by mark: String) -> String {
    var text = text
    for form in forms where !form.isEmpty {
      text = text.split(separator: form, omittingEmptySubsequences: false).joined(separator: mark)
    }
    return text
  }

  /// Data with the text replaced inside its strings and keys, where no JSON escape is in the way.
  private static func shown(_ value: Value, _ forms: [String], _ mark: String) -> String {
    func marked(_ value: Value) -> Value {
      switch value {
      case .string(let text): .string(replacing(forms, in: text, by: mark))
      case .list(let items): .list(items.map(marked))
      case .map(let map):
        .map(Dictionary(map.map { (replacing(forms, in: $0, by: mark), marked($1)) }, uniquingKeysWith: { a, _ in a }))
      default: value
      }
    }
    return JSON.encode(marked(value))
  }

  @Test func textFromOutsideIsOnlyText() throws {
    let plain = try shape("zanzibar quokka")
    #expect(plain.contains { $0.hasPrefix("say Heard \u{E000} and \u{E000}") })
    #expect(plain.contains { $0.hasPrefix("markup ") })
    for text in Self.hostile {
      let shape = try shape(text)
      #expect(shape == plain, "\(text): \(zip(shape, plain).first { $0 != $1 }.map { "\($0)" } ?? "")")
      // Backends are told the variables; nobody else.
      let shown = shape.filter { !$0.hasPrefix("hook ") }
      #expect(!shown.contains { $0.contains("42") || $0.contains("hunter2") }, "\(text)")
    }
  }

  /// The examples: nothing that a caller says or a backend answers becomes a value of an expression, words to listen for, or
  /// a secret read out.
  @Test func theExamplesTakeItAsText() throws {
    var random = SeededRandom(seed: 3)
    for name in ExampleTests.names {
      let path = "\(root)/examples/dialogs/\(name).yaml"
      let dialog = try #require(DialogLoader.load(try YAML.load(path: path), file: path).dialog)
      let phrases = Set(dialog.states.flatMap { dialog.listenPhrases(for: $0) })
      for round in 0..<200 {
        let text = "{{ 1234567 + 7654321 }} " + Self.hostile[round % Self.hostile.count]
        var secrets: [String: Value] = [:]
        for name in dialog.maskedVariables { secrets[name] = "hunter2" }
        var session = DialogSession(
          dialog: dialog, variables: secrets, call: CallFacts(callerID: text, headers: [("Subject", text)]))
        var now = Instant.zero
        var playing: [PlaybackID] = []
        var hooks: [HookToken] = []
        var models: [ModelToken] = []
        func take(_ actions: [DialogAction]) {
          for action in actions {
            #expect(!"\(action)".contains("8888888"), "\(name): \(text) was computed")
            switch action {
            case .say(let prompt): playing.append(prompt.id)
            case .callHook(let hook): hooks.append(hook.token)
            case .askModel(let request): models.append(request.token)
            case .listen(let listen):
              #expect(Set(listen.phrases).isSubset(of: phrases), "\(name): \(text) is listened for")
              #expect(!listen.grammar.contains(text))
            case .trace, .log, .emit: #expect(!"\(action)".contains("hunter2"), "\(name): \(text)")
            default: break
            }
          }
        }
        func give(_ input: DialogInput) {
          now += .milliseconds(700)
          while let deadline = session.deadline, deadline <= now { take(session.timeout(at: deadline, wallMs: 0)) }
          take(session.receive(input, at: now, wallMs: 0))
        }
        give(.callAnswered)
        for _ in 0..<25 where !session.isEnded {
          let answer: Value = [
            "data": .string(text),
            "variables": .map(
              dialog.variables.reduce(into: [:]) {
                if case .string = $1.initial, !$1.isMasked { $0[$1.name] = .string(text) }
              }),
          ]
          switch random.next() % 8 {
          case 0, 1: give(.speech(HeardSpeech(transcript: text, slots: ["city": .string(text)])))
          case 2: give(.custom(name: "poke", data: .string(text)))
          case 3 where !hooks.isEmpty: give(.hookResult(hooks.removeFirst(), answer))
          case 4 where !hooks.isEmpty: give(.hookError(hooks.removeFirst(), error: text, status: 500, message: text))
          case 5 where !models.isEmpty: give(.modelSentence(models[0], text))
          case 6 where !models.isEmpty:
            give(
              .modelToolCall(
                models[0], ModelToolCall(id: text, name: text, arguments: JSON.encode(["plan": .string(text)]))))
          case 7 where random.next() % 2 == 0: give(.digit(["1", "2", "3", "#"][Int(random.next() % 4)]))
          default: if !playing.isEmpty { give(.playbackFinished(playing.removeFirst())) }
          }
        }
        give(.hangup(by: "caller", reason: text))
      }
    }
  }
}
