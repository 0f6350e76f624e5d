import Base
import Dialogs
import Foundation
import Testing

/// The JSON Schema of dialogs, put to a validator that is not ours (Debian: python3-jsonschema, python3-yaml).
@Suite struct SchemaTests {
  /// Reads YAML 1.2 (where `on` is a word and 1:30 no number) and says for each document what the schema holds against it.
  private static let script = """
    import json, re, sys, yaml, jsonschema
    class Loader(yaml.SafeLoader): pass
    Loader.yaml_implicit_resolvers = {}
    core = 'tag:yaml.org,2002:'
    Loader.add_implicit_resolver(core + 'merge', re.compile('^<<$'), ['<'])
    Loader.add_implicit_resolver(core + 'null', re.compile('^(~|null|Null|NULL|)$'), ['~', 'n', 'N', ''])
    Loader.add_implicit_resolver(core + 'bool', re.compile('^(true|True|TRUE|false|False|FALSE)$'), list('tTfF'))
    Loader.add_implicit_resolver(core + 'int', re.compile('^[-+]?[0-9]+$'), list('-+0123456789'))
    Loader.add_implicit_resolver(
        core + 'float', re.compile('^[-+]?([.][0-9]+|[0-9]+([.][0-9]*)?)([eE][-+]?[0-9]+)?$'), list('-+.0123456789'))
    # A leading zero makes no octal number there.
    Loader.add_constructor(core + 'int', lambda loader, node: int(node.value, 10))
    def worded(value):
        if isinstance(value, dict): return {k if isinstance(k, str) else json.dumps(k): worded(v) for k, v in value.items()}
        if isinstance(value, list): return [worded(v) for v in value]
        return value
    job = json.load(open(sys.argv[1]))
    schema = json.load(open(job['schema']))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    answers = []
    for text in job['documents']:
        errors = validator.iter_errors(worded(yaml.load(text, Loader)))
        answers.append([e.message[:200] + ' at ' + '/'.join(map(str, e.absolute_path)) for e in errors])
    print(json.dumps(answers))
    """

  private static func run(_ arguments: [String]) throws -> (status: Int32, output: Data) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3"] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }

  private static let hasValidator = (try? run(["-c", "import jsonschema, yaml"]).status) == 0

  /// What the schema holds against each document.
  private func complaints(_ documents: [String]) throws -> [[String]] {
    let folder = URL(filePath: NSTemporaryDirectory()).appending(path: "schema-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let job = Value.map([
      "schema": .string("\(root)/docs/dialog.schema.json"), "documents": .list(documents.map { .string($0) }),
    ])
    try JSON.encode(job).write(to: folder.appending(path: "job.json"), atomically: true, encoding: .utf8)
    try Self.script.write(to: folder.appending(path: "check.py"), atomically: true, encoding: .utf8)
    let (status, output) = try Self.run([
      folder.appending(path: "check.py").path, folder.appending(path: "job.json").path,
    ])
    #expect(status == 0)
    guard case .list(let answers) = try JSON.decode(String(decoding: output, as: UTF8.self)) else { return [] }
    return answers.map { answer in
      guard case .list(let lines) = answer else { return [] }
      return lines.compactMap(\.stringValue)
    }
  }

  @Test(.enabled(if: hasValidator, "python3-jsonschema and python3-yaml are not installed"))
  func theExamplesSatisfyIt() throws {
    let folder = "\(root)/examples/dialogs"
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
      $0.hasSuffix(".yaml") && !$0.hasSuffix(".test.yaml")
    }.sorted()
    #expect(names.count >= 3)
    let answers = try complaints(try names.map { try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8) })
    for (name, answer) in zip(names, answers) { #expect(answer == [], "\(name)") }
  }

  /// It must never underline what the loader takes.
  @Test(.enabled(if: hasValidator, "python3-jsonschema and python3-yaml are not installed"))
  func whatLoadsSatisfiesIt() throws {
    let mended = DialogCode.allCases.flatMap { $0.example.right + $0.example.wrong }.map(\.yaml)
    let documents = try (mended + CheckerTests.mistakes.map(\.yaml) + Self.spellings).filter { yaml in
      try load(yaml).diagnostics.allSatisfy { $0.severity == .warning }
    }
    #expect(documents.count > 80)
    for (yaml, answer) in zip(documents, try complaints(documents)) { #expect(answer == [], "\(yaml)") }
  }

  /// Mistakes of these kinds show without reading expressions or looking names up, so an editor underlines them.
  private static let visible: Set<String> = [
    "D001", "D002", "D003", "D004", "D005", "D007", "D016", "D018", "D019", "D021",
  ]
  /// Except these, which take more than the shape of a file.
  private static let hidden = [
    "nothing to search", "neither an address", "no key", "Via", "host:", "is longer", "at least", "at most", "a day",
    "Go templates", "cannot be set", "belongs to", "needs `name`",
  ]

  @Test(.enabled(if: hasValidator, "python3-jsonschema and python3-yaml are not installed"))
  func whatItCanSeeItRefuses() throws {
    let mistakes = CheckerTests.mistakes.filter { mistake in
      Self.visible.contains(mistake.code) && !Self.hidden.contains { mistake.says.contains($0) }
    }
    #expect(mistakes.count >= 30)
    for (mistake, answer) in zip(mistakes, try complaints(mistakes.map(\.yaml))) {
      #expect(answer != [], "\(mistake.code) \(mistake.says)\n\(mistake.yaml)")
    }
  }

  /// Ways of writing that are easily forgotten.
  private static let spellings = [
    """
    name: 101
    version: 1.0
    description:
    on:
    variables: { größe: 1, x: [1], y: { mask: true, value: 1, more: 2 } }
    outcome: { variables: [größe, x, y], tags: one }
    states:
      start:
        listen: { hints: one thing, dtmf: { terminator: "", max_digits: 3 } }
        transitions:
          - { event: my.own-event, condition: true, actions: [], target: 2 }
          - { event: dtmf, digits: 1, target: 2 }
          - { event: "*", do: [{ action: goto, state: 2 }] }
        timeout: 1m30s
        timeout_next: 2
      2:
        on_enter:
          - { type: play_tts, params: { text: 42 } }
          - { action: play_tts, params: { text: hi, speed: 1 } }
          - { type: play_audio, object: a.wav }
          - { type: record, params: { action: stop } }
          - { type: set_variable, params: { x: [2] } }
          - { type: hangup, params: }
          - { type: hangup }
        terminal: true
    """
  ]
}
