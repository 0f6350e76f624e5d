/// A place in a text file. Lines and columns count from 1; columns count Unicode scalars.
public struct SourcePosition: Hashable, Sendable, CustomStringConvertible {
  public var line: Int
  public var column: Int
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
  public var description: String { "\(line):\(column)" }
}

/// Something wrong in a file that a person wrote, with all they need to mend it.
public struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
  public enum Severity: String, Sendable { case error, warning }

  /// Stable, searchable, documented: `D012` for dialogs, `C003` for configuration.
  public var code: String
  public var severity: Severity
  public var file: String
  public var position: SourcePosition?
  /// One sentence that says what is wrong.
  public var message: String
  /// What to do about it; empty where nothing better than the message can be said.
  public var hint: String

  public init(
    code: String, severity: Severity, file: String, position: SourcePosition?, message: String, hint: String = ""
  ) {
    self.code = code
    self.severity = severity
    self.file = file
    self.position = position
    self.message = message
    self.hint = hint
  }

  /// `file:line:column: error: D012 message (hint)`, the form editors and CI systems link.
  public var description: String {
    let place = position.map { "\(file):\($0)" } ?? file
    return "\(place): \(severity.rawValue): \(code) \(message)" + (hint.isEmpty ? "" : " (\(hint))")
  }
}

/// The known word closest to a mistyped one, or nil when none is close enough to be meant.
public func nearest(to word: String, in known: some Sequence<String>) -> String? {
  var best: (word: String, distance: Int)?
  for candidate in known {
    let distance = editDistance(word, candidate)
    if distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  guard let best, best.distance <= max(2, word.utf8.count / 3) else { return nil }
  return best.word
}

private func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a.utf8.prefix(64)), b = Array(b.utf8.prefix(64))
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (a[i] == b[j] ? 0 : 1))
      diagonal = row[j + 1]
      row[j + 1] = next
    }
  }
  return row[b.count]
}
