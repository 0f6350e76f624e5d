import Base

/// What came of one case.
public struct DialogTestResult: Sendable {
  public var file: String
  public var name: String
  public var position: SourcePosition
  /// nil: the case passed.
  public var failure: DialogTestFailure?
  /// How long the call took, in its own time.
  public var durationMs: Int64
  /// The whole call, where the case failed; empty otherwise.
  public var transcript: [String]

  public var hasPassed: Bool { failure == nil }
}

/// Why a case failed.
public struct DialogTestFailure: Sendable, Hashable {
  public var step: String
  public var position: SourcePosition
  public var message: String
  public var expected: String?
  public var actual: [String]
  /// What `actual` is called in reports: heard, called, emitted ...
  public var actualWord: String

  /// What was expected, and what came instead.
  public var diff: [String] {
    guard let expected else { return [] }
    return ["- expected: \(expected)"]
      + (actual.isEmpty ? ["+ \(actualWord): nothing"] : actual.map { "+ \(actualWord): \($0)" })
  }
}

/// Results in the forms that people and CI systems read.
public enum DialogTestReport {
  /// The Test Anything Protocol, version 14: a line for each case, what is wrong below it.
  public static func tap(_ result: DialogTestResult, number: Int) -> String {
    guard let failure = result.failure else { return "ok \(number) - \(tapText(result.name))\n" }
    var lines = [
      "not ok \(number) - \(tapText(result.name))", "  ---", "  at: \(result.file):\(failure.position)",
      "  step: \(yamlText(failure.step))", "  message: \(yamlText(failure.message))",
    ]
    if !failure.diff.isEmpty { lines += ["  diff: |"] + failure.diff.map { "    \(oneLine($0))" } }
    if !result.transcript.isEmpty { lines += ["  call: |"] + result.transcript.map { "    \(oneLine($0))" } }
    return (lines + ["  ..."]).joined(separator: "\n") + "\n"
  }

  public static func tapPlan(_ count: Int) -> String { "1..\(count)\n" }

  /// `#` begins a directive in TAP.
  private static func tapText(_ text: String) -> String {
    oneLine(text).replacing("\\", with: "\\\\").replacing("#", with: "\\#")
  }

  private static func yamlText(_ text: String) -> String { JSON.encode(.string(oneLine(text))) }

  private static func oneLine(_ text: String) -> String {
    text.contains(where: \.isNewline) ? String(text.map { $0.isNewline ? " " : $0 }) : text
  }

  /// JUnit's XML as CI systems read it: a suite for each file, in the order of the results.
  public static func junit(_ results: [DialogTestResult]) -> String {
    var files: [String] = []
    var byFile: [String: [DialogTestResult]] = [:]
    for result in results {
      if byFile[result.file] == nil { files.append(result.file) }
      byFile[result.file, default: []].append(result)
    }
    func seconds(_ ms: Int64) -> String { "\(Double(ms) / 1_000)" }
    func sums(_ results: [DialogTestResult]) -> String {
      let failures = results.count { !$0.hasPassed }
      return "tests=\"\(results.count)\" failures=\"\(failures)\" errors=\"0\" "
        + "time=\"\(seconds(results.reduce(0) { $0 + $1.durationMs }))\""
    }
    var xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites \(sums(results))>\n"
    for file in files {
      let own = byFile[file] ?? []
      xml += "  <testsuite name=\"\(escaped(file))\" \(sums(own))>\n"
      for result in own {
        xml += "    <testcase name=\"\(escaped(result.name))\" classname=\"\(escaped(file))\" "
        xml += "file=\"\(escaped(file))\" line=\"\(result.position.line)\" time=\"\(seconds(result.durationMs))\""
        guard let failure = result.failure else {
          xml += "/>\n"
          continue
        }
        let lines = ["\(result.file):\(failure.position): \(failure.step)"] + failure.diff + [""] + result.transcript
        xml += ">\n      <failure message=\"\(escaped(failure.message))\" type=\"expectation\">"
        xml += escaped(lines.joined(separator: "\n"), isAttribute: false) + "</failure>\n    </testcase>\n"
      }
      xml += "  </testsuite>\n"
    }
    return xml + "</testsuites>\n"
  }

  /// XML 1.0: the five signs, and no characters that it cannot hold.
  private static func escaped(_ text: String, isAttribute: Bool = true) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&apos;"
      case "\n", "\t": out += isAttribute ? "&#\(scalar.value);" : String(Character(scalar))
      case "\r": out += "&#13;"
      case "\u{0}"..<" ", "\u{FFFE}", "\u{FFFF}": out += "\u{FFFD}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  public static func json(_ result: DialogTestResult) -> Value {
    var members: [String: Value] = [
      "file": .string(result.file), "name": .string(result.name), "passed": .bool(result.hasPassed),
      "line": .int(Int64(result.position.line)), "duration_ms": .int(result.durationMs),
    ]
    if let failure = result.failure {
      members["failure"] = [
        "step": .string(failure.step), "line": .int(Int64(failure.position.line)),
        "column": .int(Int64(failure.position.column)), "message": .string(failure.message),
        "expected": failure.expected.map { .string($0) } ?? .null, "actual": .list(failure.actual.map { .string($0) }),
      ]
      members["call"] = .list(result.transcript.map { .string($0) })
    }
    return .map(members)
  }
}
