import Base
import Settings
import Testing

/// What people write, and where the complaint points.
@Suite struct YAMLTests {
  @Test func everyNodeKnowsItsPlace() throws {
    let node = try YAML.read("a: 1\nb:\n  - x\n  - \"y\"\nc: { d: e }\n", file: "f.yaml")
    #expect(node["a"]?.position == SourcePosition(line: 1, column: 4))
    guard case .sequence(let items)? = node["b"]?.content else { return #expect(Bool(false), "b is no list") }
    #expect(items.map(\.position) == [SourcePosition(line: 3, column: 5), SourcePosition(line: 4, column: 5)])
    #expect(node["c"]?["d"]?.position == SourcePosition(line: 5, column: 9))
    #expect(node.value == ["a": 1, "b": ["x", "y"], "c": ["d": "e"]])
  }

  @Test func quotedNumbersStayTexts() throws {
    let node = try YAML.read("a: '1'\nb: 1\nc: |\n  2\n", file: "f")
    #expect(node.value == ["a": "1", "b": 1, "c": "2\n"])
  }

  @Test func columnsCountCharactersNotBytes() throws {
    #expect(problem("ä: { ü: ö, ü: 2 }").position == SourcePosition(line: 1, column: 12))
  }

  @Test func anEmptyDocumentIsNothing() throws {
    for text in ["", "\n", "# only a comment\n", "---\n"] {
      #expect(try YAML.read(text, file: "f").value == .null)
    }
  }

  @Test func aByteOrderMarkIsIgnored() throws {
    #expect(try YAML.read("\u{FEFF}a: 1", file: "f").value == ["a": 1])
  }

  @Test(arguments: [
    ("a: 1\nb: 2\na: 3\n", "C002", 3, 1),
    ("x:\n  one: 1\n  two: 2\n  one: 3\ny: 1\n", "C002", 4, 3),
    ("\"a\": 1\na: 2\n", "C002", 2, 1),
    ("a: [1, 2\nb: 3\n", "C001", 2, 2),
    ("a: 'open\n", "C001", 2, 1),
    ("a: b: c\n", "C001", 1, 5),
    ("\ta: 1\n", "C001", 1, 1),
    ("a: *nobody\n", "C001", 1, 4),
    ("a: 1\n---\nb: 2\n", "C001", 2, 1),
    ("[1, 2]: x\n", "C004", 1, 1),
    ("a: &x [1]\n? *x\n: 2\n", "C009", 2, 3),
    ("a: &x [1]\n*x : 2\n", "C009", 2, 1),
    ("a: &x [1]\nb: { [*x]: 2 }\n", "C004", 2, 6),
    ("a: &x [*x]\n", "C001", 1, 8),
    ("a:\n\tb: 1\n", "C001", 2, 1),
    ("a: \u{1}\n", "C001", 1, 4),
    ("%TAG !e! tag:example.com,2000:\n---\na: 1\n", "C001", 1, 1),
    ("a: { <<: 5 }\n", "C004", 1, 10),
  ])
  func mistakesAreNamedWithTheirPlace(text: String, code: String, line: Int, column: Int) {
    let problem = problem(text)
    #expect(problem.code == code, "\(problem)")
    #expect(problem.position == SourcePosition(line: line, column: column), "\(problem)")
    #expect(problem.file == "test.yaml")
  }

  @Test func aKeyThatStandsTwiceNamesBothPlaces() {
    let text = problem("a: 1\nb: 2\na: 3\n").description
    #expect(text == "test.yaml:3:1: error: C002 the key `a` stands twice (it stands first at 1:1)")
  }

  @Test func aliasesAndMergesAreExpanded() throws {
    let node = try YAML.read("base: &b { x: 1, y: 2 }\none:\n  <<: *b\n  y: 3\ntwo: *b\n", file: "f")
    #expect(node["one"]?.value == ["x": 1, "y": 3])
    #expect(node["two"]?.value == ["x": 1, "y": 2])
  }

  @Test func nestedAliasesCannotFillTheMemory() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in 1...9 {
      text += "a\(i): &a\(i) [" + [String](repeating: "*a\(i - 1)", count: 10).joined(separator: ", ") + "]\n"
    }
    #expect(problem(text).code == "C009")
  }

  @Test func everyKeyThatStandsTwiceIsNamed() {
    do {
      _ = try YAML.read("a: 1\na: 2\nb: { c: 1, c: 2 }\na: 3\n", file: "f")
      Issue.record("it was read")
    } catch {
      #expect(error.all.map { $0.position?.line } == [2, 3, 4])
    }
  }

  @Test func mergedMappingsCannotFillTheMemory() {
    let base = "a: &a { " + (0..<300).map { "k\($0): 1" }.joined(separator: ", ") + " }\n"
    #expect(problem(base + "b:\n" + String(repeating: "  - <<: *a\n", count: 5_000)).code == "C009")
    let many = [String](repeating: "*a", count: 5_000).joined(separator: ", ")
    #expect(problem(base + "b: { <<: [\(many)] }\n").code == "C009")
  }

  @Test func aliasesCannotNestDeeperThanTheText() {
    var text = "a0: &a0 [x]\n"
    for i in 1...70 { text += "a\(i): &a\(i) [*a\(i - 1)]\n" }
    let found = problem(text)
    #expect(found.code == "C009" && found.message.contains("deeper"))
  }

  @Test func deepNestingIsFoundWhereverItStands() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
      let text = String(repeating: open, count: 200) + "x" + String(repeating: close, count: 200)
      #expect(problem(text).code == "C009", "\(open)")
    }
  }

  @Test func depthAndSizeAreBounded() {
    #expect(problem(String(repeating: "[", count: 100) + String(repeating: "]", count: 100)).code == "C009")
    #expect(problem(String(repeating: "[", count: 100_000)).code != "")
    #expect(problem(String(repeating: "a", count: YAML.sizeLimit + 1)).code == "C009")
  }

  @Test func noTextCrashesTheReader() {
    // Every prefix and some damage of a text that uses most of the grammar.
    let text = "a: &x [1, {b: 'c'}]\n? q\n: |\n  t\nd: *x\n<<: {e: !!str 5}\n\"f\\u00e4\": >-\n  g\n...\n"
    var random = SeededRandom(seed: 1)
    let bytes = Array(text.utf8)
    for count in 0...bytes.count { _ = try? YAML.read(String(decoding: bytes.prefix(count), as: UTF8.self), file: "f") }
    for _ in 0..<2000 {
      var damaged = bytes
      for _ in 0..<3 { damaged[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next()) }
      _ = try? YAML.read(String(decoding: damaged, as: UTF8.self), file: "f")
    }
  }

  @Test func aFileThatCannotBeReadIsNamed() {
    do {
      _ = try YAML.load(path: "/nowhere/there.yaml")
      Issue.record("it was read")
    } catch {
      #expect(error.description == "/nowhere/there.yaml: error: C008 cannot be read: No such file or directory")
    }
  }

  private func problem(_ text: String) -> Diagnostic {
    do {
      let node = try YAML.read(text, file: "test.yaml")
      Issue.record("this was read without complaint: \(node.value)")
    } catch {
      if let first = error.all.first { return first }
      Issue.record("no diagnostic")
    }
    return Diagnostic(code: "", severity: .error, file: "", position: nil, message: "")
  }
}
