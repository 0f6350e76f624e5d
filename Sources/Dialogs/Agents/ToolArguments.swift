import Base

/// Checks what a model hands over against a JSON Schema: the keywords that ``ToolSchema`` lets through. Others, which an
/// MCP server may use, are not looked at.
enum ToolArguments {
  /// Bytes of the arguments of one call.
  static let lengthLimit = 32 * 1_024
  private static let depthLimit = 16
  /// Work for one pattern.
  private static let patternSteps = 100_000

  /// What is wrong, for the model to read; nil: it fits.
  /// - Parameter trusted: stands for a value that is not known here and fits everything.
  static func problem(_ value: Value, _ schema: Value, trusted: Value? = nil) -> String? {
    problem(value, schema, at: "", depth: 0, trusted)
  }

  private static func problem(
    _ value: Value, _ schema: Value, at path: String, depth: Int, _ trusted: Value?
  ) -> String? {
    if value == trusted { return nil }
    let what = path.isEmpty ? "The value" : "`\(path)`"
    guard depth < depthLimit else { return "\(what) is nested too deeply." }
    if let types = types(schema["type"]), !types.contains(where: { fits(value, $0) }) {
      return "\(what) must be \(types.joined(separator: " or "))."
    }
    if case .list(let choices)? = schema["enum"], !choices.contains(where: { Evaluation.areEqual($0, value) }) {
      return "\(what) must be one of \(JSON.encode(.list(choices)).prefix(400))."
    }
    if let wanted = schema["const"], !Evaluation.areEqual(wanted, value) {
      return "\(what) must be \(JSON.encode(wanted).prefix(100))."
    }
    switch value {
    case .int, .double: return numberProblem(value.doubleValue ?? 0, schema, what)
    case .string(let text): return textProblem(text, schema, what)
    case .list(let items):
      if let least = schema["minItems"]?.intValue, items.count < least { return "\(what) needs \(least) items." }
      if let most = schema["maxItems"]?.intValue, items.count > most { return "\(what) has more than \(most) items." }
      guard let inner = schema["items"] else { return nil }
      for (i, item) in items.enumerated() {
        if let problem = problem(item, inner, at: "\(path)[\(i)]", depth: depth + 1, trusted) { return problem }
      }
      return nil
    case .map(let members): return memberProblem(members, schema, path, depth, trusted)
    case .null, .bool: return nil
    }
  }

  private static func memberProblem(
    _ members: [String: Value], _ schema: Value, _ path: String, _ depth: Int, _ trusted: Value?
  ) -> String? {
    func place(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
    if case .list(let required)? = schema["required"] {
      for case .string(let name) in required where members[name] == nil { return "`\(place(name))` is missing." }
    }
    let properties = schema["properties"]
    for name in members.keys.sorted() {
      if let inner = properties?[name], let value = members[name] {
        if let problem = problem(value, inner, at: place(name), depth: depth + 1, trusted) { return problem }
      } else if schema["additionalProperties"] == false {
        return "`\(place(String(name.prefix(64))))` is not known."
      }
    }
    return nil
  }

  private static func numberProblem(_ number: Double, _ schema: Value, _ what: String) -> String? {
    if let least = schema["minimum"]?.doubleValue, number < least { return "\(what) must be at least \(shown(least))." }
    if let most = schema["maximum"]?.doubleValue, number > most { return "\(what) must be at most \(shown(most))." }
    if let least = schema["exclusiveMinimum"]?.doubleValue, number <= least {
      return "\(what) must be more than \(shown(least))."
    }
    if let most = schema["exclusiveMaximum"]?.doubleValue, number >= most {
      return "\(what) must be less than \(shown(most))."
    }
    if let step = schema["multipleOf"]?.doubleValue, step > 0 {
      let times = number / step
      guard abs(times - times.rounded()) < 1e-9 else { return "\(what) must be a multiple of \(shown(step))." }
    }
    return nil
  }

  private static func textProblem(_ text: String, _ schema: Value, _ what: String) -> String? {
    if let least = schema["minLength"]?.intValue, text.count < least {
      return "\(what) needs at least \(least) characters."
    }
    if let most = schema["maxLength"]?.intValue, text.count > most {
      return "\(what) has more than \(most) characters."
    }
    guard case .string(let source)? = schema["pattern"], let pattern = try? RegexPattern(source) else { return nil }
    var steps = patternSteps
    guard pattern.occurs(in: text, steps: &steps) == true else { return "\(what) must fit the pattern \(source)." }
    return nil
  }

  private static func shown(_ number: Double) -> String { Evaluation.text(.double(number)) }

  private static func types(_ value: Value?) -> [String]? {
    switch value {
    case .string(let type): [type]
    case .list(let types): types.compactMap(\.stringValue)
    default: nil
    }
  }

  private static func fits(_ value: Value, _ type: String) -> Bool {
    switch (type, value) {
    case ("string", .string), ("boolean", .bool), ("array", .list), ("object", .map), ("null", .null): true
    case ("number", .int), ("number", .double): true
    case ("integer", _): value.intValue != nil
    case ("string", _), ("boolean", _), ("array", _), ("object", _), ("null", _), ("number", _): false
    // A type of another kind of schema: not for us to judge.
    default: true
    }
  }
}
