import Base
import Testing

/// Holds every answer of every test against what `GET /openapi.json` promises.
struct Contract {
  private let document: Value

  init(_ document: Value) { self.document = document }

  /// What is wrong with an answer; empty: nothing.
  func violations(method: String, path: String, status: Int, type: String, text: String) -> [String] {
    // What a path takes is said by its operations.
    if method == "OPTIONS" { return [] }
    guard let operation = operation(method, path) else {
      return status < 400 ? ["\(method) \(path) is not described"] : []
    }
    guard
      let response = operation["responses"]?[String(status)]
        ?? (status >= 400 ? operation["responses"]?["default"] : nil)
    else { return ["\(method) \(path) does not answer \(status)"] }
    guard !text.isEmpty else { return [] }
    let bare = String(type.split(separator: ";").first ?? "")
    guard let content = response["content"]?[bare] else { return ["\(method) \(path): \(status) is no \(bare)"] }
    guard bare.hasSuffix("json"), let schema = content["schema"] else { return [] }
    guard let value = try? JSON.decode(text) else { return ["\(method) \(path): the answer is no JSON"] }
    return check(value, schema, "\(method) \(path) \(status): ")
  }

  /// What is wrong with a text that a WebSocket has sent.
  func violations(message: Value, of path: String) -> [String] {
    guard case .list(let shapes)? = operation("GET", path)?["x-websocket"]?["server"] else {
      return ["\(path) describes no messages"]
    }
    let outcomes = shapes.map { check(message, $0, "\(path): ") }
    return outcomes.contains { $0.isEmpty } ? [] : ["\(JSON.encode(message)) is none of what \(path) describes"]
  }

  private func operation(_ method: String, _ path: String) -> Value? {
    guard case .map(let paths)? = document["paths"] else { return nil }
    let segments = path.prefix { $0 != "?" }.split(separator: "/")
    let fitting = paths.keys.filter { template in
      let pattern = template.split(separator: "/")
      return pattern.count == segments.count && zip(pattern, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
    }
    let best = fitting.min { $0.count { $0 == "{" } < $1.count { $0 == "{" } }
    let name = method == "HEAD" ? "get" : method.lowercased()
    return best.flatMap { paths[$0]?[name] }
  }

  private func check(_ value: Value, _ schema: Value, _ place: String) -> [String] {
    if let reference = schema["$ref"]?.stringValue {
      let name = String(reference.split(separator: "/").last ?? "")
      guard let target = document["components"]?["schemas"]?[name] else { return ["\(place): \(reference) is missing"] }
      return check(value, target, place)
    }
    if case .list(let choices)? = schema["anyOf"] {
      let outcomes = choices.map { check(value, $0, place) }
      return outcomes.contains { $0.isEmpty } ? [] : outcomes.first ?? []
    }
    var types: [String] = []
    if case .list(let names)? = schema["type"] { types = names.compactMap(\.stringValue) }
    if let name = schema["type"]?.stringValue { types = [name] }
    if !types.isEmpty, !types.contains(where: { Self.fits(value, $0) }) { return ["\(place) is no \(types)"] }
    if case .list(let choices)? = schema["enum"], value != .null, !choices.contains(value) {
      return ["\(place) is none of \(choices)"]
    }
    var wrong: [String] = []
    if case .list(let items) = value, let schema = schema["items"] {
      for (i, item) in items.enumerated() { wrong += check(item, schema, "\(place)[\(i)]") }
    }
    guard case .map(let members) = value, case .map(let known)? = schema["properties"] else { return wrong }
    if case .list(let required)? = schema["required"] {
      for name in required.compactMap(\.stringValue) where members[name] == nil {
        wrong.append("\(place).\(name) is missing")
      }
    }
    for (name, member) in members {
      if let schema = known[name] {
        wrong += check(member, schema, "\(place).\(name)")
      } else if schema["additionalProperties"] == false {
        wrong.append("\(place).\(name) is not described")
      }
    }
    return wrong
  }

  private static func fits(_ value: Value, _ type: String) -> Bool {
    switch (type, value) {
    case ("string", .string), ("integer", .int), ("number", .int), ("number", .double), ("boolean", .bool),
      ("null", .null),
      ("array", .list), ("object", .map):
      true
    default: false
    }
  }
}
