import Base

/// Texts of a workflow, whose `{{name}}` and `{{name | fallback:text}}` become templates of the language.
extension WorkflowConversion {
  /// Members of `{{...}}` that only exist after a call; nothing here knows them.
  private static let afterTheCall: Set<String> = [
    "recording_url", "transcript_url", "cost_info", "annotations", "call_tags", "public_access_token",
  ]

  /// A template that writes two braces.
  private static let braces = "{{ '{{' }}"

  /// Words that Go templates begin with; no variable is named like them.
  static let goWords: Set<String> = [
    "if", "else", "end", "range", "with", "define", "block", "template", "break", "continue", "eq", "ne", "lt", "gt",
    "le",
    "ge", "index", "len", "print", "printf", "println", "html", "js", "urlquery", "call", "slice",
  ]

  /// - Parameter limit: the language's limit for this text, in bytes.
  mutating func text(_ source: String, _ place: String, _ key: String, limit: Int = Template.lengthLimit) -> String {
    var out = ""
    var rest = source[...]
    while let open = rest.firstRange(of: "{{") {
      out += rest[..<open.lowerBound]
      rest = rest[open.upperBound...]
      guard let close = rest.firstRange(of: "}}") else {
        note(.changed, place, key, "`{{` without `}}` is kept as text")
        out += Self.braces
        break
      }
      out += placeholder(String(rest[..<close.lowerBound]), place, key)
      rest = rest[close.upperBound...]
    }
    out += rest
    return cut(out, place, key, limit: limit)
  }

  /// A text that is no template; braces in it mean nothing.
  mutating func plain(_ source: String, _ place: String, _ key: String, limit: Int = 1_024) -> String {
    if source.contains("{{") { note(.changed, place, key, "`{{ }}` in it is not replaced any more") }
    return cut(source, place, key, limit: limit)
  }

  private mutating func cut(_ text: String, _ place: String, _ key: String, limit: Int) -> String {
    guard text.utf8.count > limit else { return text }
    note(.lost, place, key, "it is longer than \(limit) bytes; the rest is cut off")
    var out = ""
    var size = 0
    for character in text {
      size += character.utf8.count
      if size > limit { break }
      out.append(character)
    }
    // A template that was cut in the middle would not parse.
    if let open = out.ranges(of: "{{").last, out[open.upperBound...].firstRange(of: "}}") == nil {
      out = String(out[..<open.lowerBound])
    }
    return out
  }

  /// What stands for `{{inside}}`.
  private mutating func placeholder(_ inside: String, _ place: String, _ key: String) -> String {
    let parts = inside.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
    let path = Evaluation.trimmed(String(parts.first ?? ""))
    guard let expression = expression(ofPath: path, place, key) else {
      // What looks like a Go template would be taken for one.
      let isGo = path.hasPrefix(".") || path.contains(" .") || Self.goWords.contains(String(path.prefix { $0 != " " }))
      note(
        isGo ? .lost : .changed, place, key,
        "`{{\(inside.prefix(60))}}` is no name; it is \(isGo ? "left out" : "kept as text")")
      return isGo ? "" : Self.braces + inside.replacing("{{", with: Self.braces) + "}}"
    }
    guard parts.count == 2 else { return "{{ \(expression) }}" }
    var filter = Evaluation.trimmed(String(parts[1]))
    if let colon = filter.firstIndex(of: ":") {
      let name = Evaluation.trimmed(String(filter[..<colon]))
      if name != "fallback", name != "default" {
        note(.changed, place, key, "the filter `\(name)` is taken for a fallback")
      }
      filter = Evaluation.trimmed(String(filter[filter.index(after: colon)...]))
    }
    // Backslashes and quotes would end the text early.
    let fallback = filter.filter { $0 != "'" && $0 != "\\" && $0 != "{" && $0 != "}" }
    if fallback != filter { note(.changed, place, key, "quotes, backslashes and braces are left out of a fallback") }
    return "{{ \(expression) | default('\(fallback)') }}"
  }

  /// `initial_context.user.name` and its like as an expression; nil where it is none.
  private mutating func expression(ofPath path: String, _ place: String, _ key: String) -> String? {
    var segments = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    if segments.count > 1, segments[0] == "initial_context" || segments[0] == "gathered_context" {
      segments.removeFirst()
    }
    guard let first = segments.first, !segments.contains(""), segments.count <= 16, path.utf8.count <= 200,
      !path.unicodeScalars.contains(where: { "\n '\"\\{}".unicodeScalars.contains($0) })
    else { return nil }
    if segments.count == 1, let builtin = builtin(first, place, key) { return builtin }
    if Self.afterTheCall.contains(first) {
      note(.lost, place, key, "`\(path)` is not known during the call; it is empty here")
      return "''"
    }
    var out = variable(first, asMap: segments.count > 1, place, key)
    for segment in segments.dropFirst() {
      if DialogDecoder.isIdentifier(segment) {
        out += ".\(segment)"
      } else if let index = Int(segment) {
        out += "[\(index)]"
      } else {
        out += "['\(segment)']"
      }
    }
    return out
  }

  private mutating func builtin(_ name: String, _ place: String, _ key: String) -> String? {
    switch name {
    case "workflow_run_id", "call_id": return "session_id"
    case "workflow_name": return "dialog_name"
    case "caller_number": return "caller_id"
    case "called_number": return "called_number"
    default: break
    }
    for (prefix, format) in [("current_time", "%Y-%m-%d %H:%M"), ("current_weekday", "%A")] {
      guard name == prefix || name.hasPrefix(prefix + "_") else { continue }
      if name != prefix {
        note(
          .changed, place, key,
          "`\(name)` is the time in UTC here; add the minutes from UTC as the third argument of format_time")
      }
      return "format_time(now(), '\(format)')"
    }
    return nil
  }

  /// The dialog's name of a variable, declared from now on.
  mutating func variable(_ key: String, asMap: Bool, _ place: String, _ dataKey: String) -> String {
    let name = variables.use(key, asMap: asMap)
    if name != key, renamed.insert(key).inserted {
      note(.changed, place, dataKey, "the variable `\(key)` is named `\(name)` here")
    }
    return name
  }

  /// Data with texts in it: the payload of a webhook.
  mutating func data(_ value: Value, _ place: String, _ key: String, depth: Int = 0) -> YAMLNode? {
    guard depth < 30 else {
      note(.lost, place, key, "data is nested deeper than 30")
      return nil
    }
    switch value {
    case .string(let source): return .text(text(source, place, key))
    case .list(let items): return .list(items.compactMap { data($0, place, key, depth: depth + 1) })
    case .map(let map):
      var pairs: [(key: String, value: YAMLNode)] = []
      for name in map.keys.sorted() where isKey(name, place, key) {
        if let node = data(map[name] ?? .null, place, key, depth: depth + 1) { pairs.append((key: name, value: node)) }
      }
      return .map(pairs)
    default: return .value(value)
    }
  }

  /// Data without texts to be replaced: the first value of a variable.
  mutating func constant(_ value: Value, _ place: String, _ key: String, depth: Int = 0) -> Value {
    guard depth < 30 else {
      note(.lost, place, key, "data is nested deeper than 30")
      return .null
    }
    switch value {
    case .list(let items): return .list(items.map { constant($0, place, key, depth: depth + 1) })
    case .map(let map):
      var out: [String: Value] = [:]
      for name in map.keys.sorted() where isKey(name, place, key) {
        out[name] = constant(map[name] ?? .null, place, key, depth: depth + 1)
      }
      return .map(out)
    default: return value
    }
  }

  /// Whether a reader of YAML takes the key as it is.
  private mutating func isKey(_ name: String, _ place: String, _ key: String) -> Bool {
    if name.utf8.count <= 256, !name.unicodeScalars.contains(where: { $0 == "\0" || $0 == "\u{FEFF}" }) { return true }
    note(.lost, place, key, "a key of its data is longer than 256 bytes or has invisible characters")
    return false
  }
}
