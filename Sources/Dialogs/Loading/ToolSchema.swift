import Base

/// Reads what a model has to hand over: names and types in the short form, or a JSON Schema of an object.
///
/// The short form `{ plan: string, months: { type: integer, optional: true } }` says the same as a schema with these
/// properties, all of them required but those that are optional, and no others.
struct ToolSchema {
  struct Problem {
    var position: SourcePosition
    var message: String
    var hint: String
  }
  private(set) var problems: [Problem] = []

  /// What takes nothing.
  static let empty: Value = ["type": "object", "properties": [:], "additionalProperties": false]
  /// Models are bad at more, and a schema is sent with every question.
  static let depthLimit = 8
  static let propertyLimit = 64

  static let types = ["string", "number", "integer", "boolean", "array", "object", "null"]
  /// What the validator of answers knows; a keyword that it would not enforce is refused.
  private static let keywords: Set<String> = [
    "type", "title", "description", "default", "examples", "enum", "const", "properties", "required",
    "additionalProperties", "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format", "minimum",
    "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
  ]

  /// The schema of an object, whatever the form.
  mutating func read(_ node: SourceNode) -> Value {
    guard case .mapping(let pairs) = node.content else {
      fail(node, "must be a mapping of names to types", "write `plan: string`")
      return Self.empty
    }
    if Self.isSchema(node) { return schema(node, depth: 0) }
    var properties: [String: Value] = [:]
    var required: [Value] = []
    for pair in pairs.prefix(Self.propertyLimit) {
      let name = pair.key.text ?? ""
      guard check(name: pair.key) else { continue }
      var isOptional = false
      switch pair.value.content {
      case .scalar(let type, _):
        if checked(type: pair.value) != nil { properties[name] = ["type": .string(type)] }
      case .mapping(let members):
        if let optional = pair.value["optional"] {
          if case .bool(let value) = optional.value {
            isOptional = value
          } else {
            fail(optional, "`optional` must be true or false", "")
          }
        }
        let rest = SourceNode(.mapping(members.filter { $0.key.text != "optional" }), at: pair.value.position)
        properties[name] = schema(rest, depth: 1)
      case .sequence: fail(pair.value, "`\(name)` must be a type or a mapping", "write `\(name): string`")
      }
      if !isOptional { required.append(.string(name)) }
    }
    if pairs.count > Self.propertyLimit { fail(node, "has more than \(Self.propertyLimit) names", "") }
    var result: [String: Value] = [
      "type": "object", "properties": .map(properties), "additionalProperties": false,
    ]
    if !required.isEmpty { result["required"] = .list(required) }
    return .map(result)
  }

  private static func isSchema(_ node: SourceNode) -> Bool {
    if case .mapping? = node["properties"]?.content { return true }
    return node["type"]?.text == "object"
  }

  private mutating func schema(_ node: SourceNode, depth: Int) -> Value {
    guard case .mapping(let pairs) = node.content else {
      fail(node, "a schema must be a mapping", "write `{ type: string }`")
      return [:]
    }
    guard depth < Self.depthLimit else {
      fail(node, "is nested deeper than \(Self.depthLimit)", "")
      return [:]
    }
    var result: [String: Value] = [:]
    for pair in pairs {
      let keyword = pair.key.text ?? ""
      let value = pair.value
      guard Self.keywords.contains(keyword) else {
        let close = nearest(to: keyword, in: Self.keywords.sorted())
        fail(
          pair.key, "`\(keyword.prefix(80))` is no keyword that is understood here",
          close.map { "did you mean `\($0)`?" } ?? "known: \(Self.keywords.sorted().joined(separator: ", "))")
        continue
      }
      result[keyword] = value.value
      switch keyword {
      case "type":
        if case .sequence(let types) = value.content {
          for type in types { _ = checked(type: type) }
        } else {
          _ = checked(type: value)
        }
      case "properties":
        guard case .mapping(let properties) = value.content else {
          fail(value, "`properties` must be a mapping", "")
          continue
        }
        if properties.count > Self.propertyLimit { fail(value, "has more than \(Self.propertyLimit) names", "") }
        var schemas: [String: Value] = [:]
        for property in properties.prefix(Self.propertyLimit) where check(name: property.key) {
          if case .scalar(let type, _) = property.value.content {
            if checked(type: property.value) != nil { schemas[property.key.text ?? ""] = ["type": .string(type)] }
          } else {
            schemas[property.key.text ?? ""] = schema(property.value, depth: depth + 1)
          }
        }
        result[keyword] = .map(schemas)
      case "items": result[keyword] = schema(value, depth: depth + 1)
      case "required":
        guard case .sequence(let names) = value.content, names.allSatisfy({ $0.text != nil }) else {
          fail(value, "`required` must be a list of names", "")
          continue
        }
        for name in names where node["properties"]?[name.text ?? ""] == nil {
          fail(name, "`required` names `\(name.text ?? "")`, which is not among the properties", "")
        }
      case "enum":
        if case .sequence(let values) = value.content, !values.isEmpty { continue }
        fail(value, "`enum` must be a list of values", "")
      case "additionalProperties":
        if case .bool = value.value { continue }
        fail(value, "`additionalProperties` must be true or false", "")
      case "minItems", "maxItems", "minLength", "maxLength":
        if case .int(let count) = value.value, count >= 0 { continue }
        fail(value, "`\(keyword)` must be a whole number that is not negative", "")
      case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
        if value.value.doubleValue == nil { fail(value, "`\(keyword)` must be a number", "") }
      case "pattern":
        do {
          _ = try RegexPattern(value.text ?? "")
        } catch {
          fail(value, "`pattern` is not valid: \(error.message)", "")
        }
      case "title", "description", "format":
        if value.text == nil { fail(value, "`\(keyword)` must be text", "") }
      default: continue
      }
    }
    if depth == 0 {
      if result["type"] == nil { result["type"] = "object" }
      if result["properties"] == nil { result["properties"] = [:] }
    }
    return .map(result)
  }

  private mutating func check(name node: SourceNode) -> Bool {
    guard KeyKind.NameKind.parameter.allows(node.text ?? "") else {
      fail(node, "`\((node.text ?? "").prefix(80))` cannot be the name of a parameter", KeyKind.NameKind.parameter.rule)
      return false
    }
    return true
  }

  private mutating func checked(type node: SourceNode) -> String? {
    let type = node.text ?? ""
    if Self.types.contains(type) { return type }
    let close = nearest(to: type, in: Self.types)
    fail(
      node, "there is no type `\(type.prefix(80))`",
      close.map { "did you mean `\($0)`?" } ?? "known: \(Self.types.joined(separator: ", "))")
    return nil
  }

  private mutating func fail(_ node: SourceNode, _ message: String, _ hint: String) {
    problems.append(Problem(position: node.position, message: message, hint: hint))
  }

  // MARK: What it is about

  /// The properties and their schemas, in the order of the file, without looking whether they are valid.
  static func names(in node: SourceNode?) -> [(key: SourceNode, value: SourceNode)] {
    guard let node, case .mapping(let pairs) = node.content else { return [] }
    guard isSchema(node) else { return pairs }
    if case .mapping(let properties)? = node["properties"]?.content { return properties }
    return []
  }

  /// What a variable holds that takes a value of this schema.
  static func type(of schema: SourceNode) -> StaticType {
    switch schema["type"]?.text ?? schema.text {
    case "string": .string
    case "number", "integer": .number
    case "boolean": .bool
    case "array": .list
    case "object": .map
    default: .any
    }
  }
}
