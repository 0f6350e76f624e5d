import Base
import Dialogs
import Settings

/// What a target finds wrong, short of a crash: a sentence.
struct Finding: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Everything that people, backends and callers hand to the dialog machine, as functions of bytes. `Fuzz/` calls them under
/// libFuzzer, and the tests with what it found.
enum FuzzTarget: String, CaseIterable {
  /// YAML of a dialog: read, decode, check, and run for a while.
  case dialog
  /// YAML of a test file, run against a dialog.
  case tests
  /// An expression, a template and a condition.
  case expression
  /// Regular expressions, digit patterns and grammars.
  case pattern
  /// A hook's answer to a waiting session.
  case answer
  /// JSON.
  case json
  /// A session's record, line by line, as a replay reads it.
  case record

  func run(_ bytes: [UInt8]) throws {
    switch self {
    case .dialog: try Self.dialog(bytes)
    case .expression: try Self.expression(bytes)
    case .pattern: try Self.pattern(bytes)
    case .answer: try Self.answer(bytes)
    case .json: try Self.json(bytes)
    case .tests: try Self.tests(bytes)
    case .record: try Self.record(bytes)
    }
  }

  static func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

  static func require(_ holds: Bool, _ what: @autoclosure () -> String) throws {
    if !holds { throw Finding(what()) }
  }

  // MARK: Dialogs

  private static func dialog(_ bytes: [UInt8]) throws {
    guard let outcome = try load(text(bytes)), let dialog = outcome.dialog else { return }
    for state in dialog.states.prefix(20) {
      let phrases = dialog.listenPhrases(for: state)
      try require(phrases.count <= 10_000, "a state expects \(phrases.count) phrases")
    }
    try call(dialog, bytes)
  }

  /// Reads and checks a dialog; nil where the text is no YAML.
  static func load(_ text: String) throws -> DialogLoader.Outcome? {
    let document: SourceNode
    do {
      document = try YAML.read(text, file: "fuzz.yaml")
    } catch {
      try require(!error.all.isEmpty, "refused without a reason")
      try check(error.all)
      return nil
    }
    let outcome = DialogLoader.load(document, file: "fuzz.yaml")
    try check(outcome.diagnostics)
    let hasErrors = outcome.diagnostics.contains { $0.severity == .error }
    try require((outcome.dialog == nil) == hasErrors, "a dialog with errors was let through, or one without was not")
    return outcome
  }

  private static func check(_ diagnostics: [Diagnostic]) throws {
    try require(diagnostics.count <= 1_000, "\(diagnostics.count) diagnostics")
    for diagnostic in diagnostics {
      // The longest text that a message may quote is a kibibyte or so.
      try require(
        diagnostic.description.utf8.count <= 16_384, "a message of \(diagnostic.description.utf8.count) bytes")
      if let position = diagnostic.position {
        try require(position.line >= 1 && position.column >= 1, "a complaint about \(position)")
      }
    }
    _ = JSON.encode(DialogLoader.report(diagnostics))
  }

  /// A short call whose caller does what the bytes say.
  private static func call(_ dialog: Dialog, _ bytes: [UInt8]) throws {
    let seed = bytes.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    var caller = RandomCaller(dialog: dialog, random: SeededRandom(seed: seed))
    try caller.call(inputs: 24)
  }

  // MARK: Expressions

  static let variables: [String: Value] = [
    "transcript": "yes please", "confidence": 0.5, "name": "Ada", "n": 3, "x": nil, "flag": true,
    "items": ["red", 3, [1, 2]], "result": ["intent": "sales", "score": 0.5], "slots": ["city": "Rome"],
    "digits": "4711",
    "a": 1, "b": 2.5, "text": "It's {{ 1 }} \"quoted\"\n",
  ]

  private static func expression(_ bytes: [UInt8]) throws {
    let text = text(bytes)
    if let value = try? Expression(text).value(variables, wallMs: 1_700_000_000_000) { try check(value) }
    if let said = try? Template(text).text(variables) {
      try require(said.utf8.count <= 64 * 1_024, "a text of \(said.utf8.count) bytes")
    }
    // As a condition, a prompt and a value of a dialog, where Go's templates are known as well.
    func node(_ text: String, isQuoted: Bool = true) -> SourceNode {
      SourceNode(.scalar(text, isQuoted: isQuoted), at: SourcePosition(line: 1, column: 1))
    }
    func map(_ pairs: [(String, SourceNode)]) -> SourceNode {
      SourceNode(.mapping(pairs.map { (node($0.0), $0.1) }), at: SourcePosition(line: 1, column: 1))
    }
    func list(_ items: [SourceNode]) -> SourceNode {
      SourceNode(.sequence(items), at: SourcePosition(line: 1, column: 1))
    }
    let document = map([
      (
        "variables",
        map([("n", node("3", isQuoted: false)), ("name", node("Ada")), ("x", node("null", isQuoted: false))])
      ),
      (
        "states",
        map([
          (
            "start",
            map([
              (
                "on_enter",
                list([
                  map([("action", node("set_variable")), ("x", node(text, isQuoted: false))]),
                  map([("action", node("play_tts")), ("text", node(text))]),
                ])
              ),
              (
                "transitions",
                list([map([("event", node("speech")), ("condition", node(text)), ("target", node("start"))])])
              ),
            ])
          )
        ])
      ),
    ])
    let outcome = DialogLoader.load(document, file: "fuzz.yaml")
    try check(outcome.diagnostics)
    if let dialog = outcome.dialog { try call(dialog, bytes) }
  }

  private static func check(_ value: Value) throws {
    let json = JSON.encode(value)
    try require(json.utf8.count <= 2_000_000, "a value of \(json.utf8.count) bytes")
    try require((try? JSON.decode(json)) != nil, "a value whose JSON cannot be read back")
  }

  // MARK: Patterns

  private static func pattern(_ bytes: [UInt8]) throws {
    // The first line is the pattern, the rest what it is matched with.
    let parts = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
    let source = text(parts[0]), subject = text(parts.count > 1 ? parts[1] : [])
    let variables: [String: Value] = ["source": .string(source), "subject": .string(subject)]
    for expression in ["subject matches source", "regex_extract(subject, source)", "split(subject, source)"] {
      if let value = try? Expression(expression).value(variables) { try check(value) }
    }
    _ = try? DigitPattern(source)
    // As the grammar of a state; YAML takes no control characters.
    _ = try load("states: { start: { listen: { grammar: \(JSON.encode(.string(source))) }, terminal: true } }")
  }

  // MARK: Hooks

  private static let asking: Dialog? = {
    let yaml = """
      name: asking
      variables: { n: 0, text: "", list: [], map: {}, any: null, secret: { value: "", mask: true } }
      states:
        start:
          on_enter:
            - { action: call_hook, service: backend, result_into: any }
            - { action: play_tts, text: "{{ any }} {{ n }} {{ text }} {{ json(map) }}" }
          transitions:
            - { event: hook_result, when: "result.go", target: two }
            - { event: error, do: [{ action: log, message: "{{ error_message }}" }] }
        two:
          on_enter: [{ action: play_tts, text: "{{ result }}" }]
          transitions: [{ event: speech, target: start }]
      """
    guard let document = try? YAML.read(yaml, file: "asking.yaml") else { return nil }
    return DialogLoader.load(document, file: "asking.yaml").dialog
  }()

  private static func answer(_ bytes: [UInt8]) throws {
    guard let answer = try? JSON.decode(bytes), let dialog = asking else { return }
    var caller = RandomCaller(dialog: dialog, random: SeededRandom(seed: 1))
    caller.answers = [answer]
    try caller.call(inputs: 12)
  }

  // MARK: Test files and records

  private static func tests(_ bytes: [UInt8]) throws {
    let document: SourceNode
    do {
      document = try YAML.read(text(bytes), file: "fuzz.test.yaml")
    } catch {
      return
    }
    let outcome = DialogTestLoader.load(document, file: "fuzz.test.yaml")
    try check(outcome.diagnostics)
    guard let tests = outcome.tests, let dialog = asking else { return }
    try check(DialogTestLoader.check(tests, against: dialog))
    let runner = DialogTestRunner(tests, dialog: dialog)
    var coverage = DialogCoverage(dialog)
    for test in tests.cases.prefix(3) {
      let result = runner.run(test, coverage: &coverage)
      _ = JSON.encode(DialogTestReport.json(result))
      _ = DialogTestReport.tap(result, number: 1)
    }
  }

  /// Lines of `{"type", "at_ms", ...}`.
  private static func record(_ bytes: [UInt8]) throws {
    guard let dialog = asking else { return }
    let start = SessionStart(call: CallFacts(session: SessionID("1")), dialogName: dialog.name)
    var lines = [RecordedLine(sequence: 1, entry: start.entry(masked: dialog.maskedVariables))]
    for line in bytes.split(separator: 0x0A).prefix(200) {
      guard case .map(var fields)? = try? JSON.decode(Array(line)) else { continue }
      let type = fields.removeValue(forKey: "type")?.stringValue ?? ""
      let atMs = fields.removeValue(forKey: "at_ms")?.intValue ?? 0
      let entry = JournalEntry(type: type, atMs: atMs, fields: fields)
      if type == "call_started" { _ = try? SessionStart(entry, session: SessionID("1")) }
      lines.append(RecordedLine(sequence: Int64(lines.count + 1), entry: entry))
    }
    guard let outcome = try? SessionReplay.run(lines, session: SessionID("1"), dialog: dialog) else { return }
    if let difference = outcome.difference { _ = difference.lines + [JSON.encode(difference.json)] }
  }

  // MARK: JSON

  private static func json(_ bytes: [UInt8]) throws {
    guard let value = try? JSON.decode(bytes) else { return }
    let text = JSON.encode(value)
    guard let again = try? JSON.decode(text) else { throw Finding("JSON that was written cannot be read") }
    try require(again == value && JSON.encode(again) == text, "JSON does not come back as it was")
    var document: [UInt8] = []
    JSON.write(value, to: &document)
    try require(document == Array(text.utf8), "two ways of writing differ")
  }
}
