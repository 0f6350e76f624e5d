import Base

/// The JSON Schema (2020-12) of a dialog file, for editors: made from ``Declarations``. It never refuses what the loader
/// accepts; what only the loader can see (unknown states, expressions) it lets pass.
public enum DialogSchema {
  /// `docs/dialog.schema.json`.
  public static var text: String { PrettyJSON.write(value) + "\n" }

  static var value: Value {
    var definitions: [String: Value] = ["action": action]
    for shape in Declarations.shapes { definitions[shape.name] = mapping(shape) }
    for declaration in Declarations.actions {
      definitions["\(declaration.name).beside"] = arguments(declaration, beside: true)
      definitions["\(declaration.name).params"] = arguments(declaration, beside: false)
    }
    return [
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "$id": "urn:parley:schema:dialog",
      "title": "Parley dialog",
      "$ref": "#/$defs/dialog",
      "$defs": .map(definitions),
    ]
  }

  // MARK: Mappings

  private static func mapping(_ shape: ShapeDeclaration) -> Value {
    var schema = object(shape, aliases: [:], passing: [:])
    schema["description"] = .string(shape.summary)
    // A state may be left empty.
    schema["type"] = shape.name == "state" ? ["object", "null"] : "object"
    return .map(schema)
  }

  /// Keys, which of them must be there, and no others.
  private static func object(
    _ shape: ShapeDeclaration, aliases: [String: String], passing: [String: Value]
  ) -> [String: Value] {
    var properties = passing
    var required: [Value] = []
    var rules: [Value] = []
    for key in shape.keys {
      let spellings = [key.name] + key.aliases + aliases.filter { $0.value == key.name }.map(\.key)
      for spelling in spellings { properties[spelling] = described(key) }
      if spellings.count == 1 {
        if key.isRequired { required.append(.string(key.name)) }
        continue
      }
      let choices = spellings.map { Value.map(["required": [.string($0)]]) }
      if key.isRequired {
        rules.append(["oneOf": .list(choices)])
      } else {
        rules.append(["not": ["required": .list(spellings.map { .string($0) })]])
      }
    }
    if !shape.choice.isEmpty { rules.append(["oneOf": .list(shape.choice.map { ["required": [.string($0)]] })]) }
    var schema: [String: Value] = ["properties": .map(properties), "additionalProperties": false]
    if !required.isEmpty { schema["required"] = .list(required) }
    if !rules.isEmpty { schema["allOf"] = .list(rules) }
    return schema
  }

  // MARK: Actions

  private static var action: Value {
    let names = Value.map([
      "enum": .list(Declarations.actionNames.map { .string($0) }), "description": "What is done",
    ])
    return [
      "type": "object",
      "description": "One action. Its arguments stand beside its name, or all of them in `params`.",
      "properties": ["action": names, "type": names, "params": ["type": ["object", "null"]]],
      "oneOf": [["required": ["action"]], ["required": ["type"]]],
      "allOf": .list(
        Declarations.actions.map { declaration in
          let name = Value.string(declaration.name)
          return [
            "if": [
              "anyOf": [
                ["properties": ["action": ["const": name]], "required": ["action"]],
                ["properties": ["type": ["const": name]], "required": ["type"]],
              ]
            ],
            "then": [
              "if": ["required": ["params"], "properties": ["params": ["type": "object"]]],
              "then": [
                "properties": [
                  "action": true, "type": true, "params": ["$ref": .string("#/$defs/\(declaration.name).params")],
                ],
                "additionalProperties": false,
              ],
              "else": ["$ref": .string("#/$defs/\(declaration.name).beside")],
            ],
          ]
        }),
    ]
  }

  private static func arguments(_ declaration: ActionDeclaration, beside: Bool) -> Value {
    if declaration.isOpen {
      return [
        "type": "object", "description": .string(declaration.shape.summary), "minProperties": beside ? 2 : 1,
        "propertyNames": name(.variable),
      ]
    }
    var schema = object(
      declaration.shape, aliases: beside ? [:] : declaration.aliasesInParams,
      passing: beside ? ["action": true, "type": true, "params": ["type": "null"]] : [:])
    schema["type"] = "object"
    schema["description"] = .string(declaration.shape.summary)
    return .map(schema)
  }

  // MARK: Values

  private static func described(_ key: KeyDeclaration) -> Value {
    guard case .map(var schema) = kind(key.kind) else { return true }
    schema["description"] = .string(key.summary + (key.fallback.isEmpty ? "" : " (default: \(key.fallback))"))
    if case .map(_, .either(_, .shape(let shape)), _) = key.kind, shape.name == "variable" {
      let reserved = Vocabulary.builtins.map(\.name) + Vocabulary.expressionWords.sorted()
      schema["propertyNames"] = ["allOf": [name(.variable), ["not": ["enum": .list(reserved.map { .string($0) })]]]]
    }
    switch key.kind {
    case .bool:
      if key.fallback == "true" || key.fallback == "false" { schema["default"] = .bool(key.fallback == "true") }
    case .int, .number:
      if let int = Int64(key.fallback) { schema["default"] = .int(int) }
    case .word(let words): if words.contains(key.fallback) { schema["default"] = .string(key.fallback) }
    default: break
    }
    return .map(schema)
  }

  /// What a person may write without quotes where text is meant.
  private static let scalar: Value = ["string", "number", "boolean", "null"]

  private static func kind(_ kind: KeyKind) -> Value {
    switch kind {
    case .text(let limit), .template(let limit): return ["type": scalar, "maxLength": .int(Int64(limit))]
    case .condition: return ["type": scalar, "maxLength": .int(Int64(Expression.lengthLimit))]
    case .name(let kind): return name(kind)
    case .word(let words): return ["enum": .list(words.map { .string($0) })]
    case .language: return ["type": scalar, "pattern": "^([A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*)?$", "maxLength": 35]
    case .bool: return ["type": "boolean"]
    case .int(let range):
      return [
        "type": "integer", "minimum": .int(Int64(range.lowerBound)), "maximum": .int(Int64(range.upperBound)),
      ]
    case .number(let range):
      return ["type": "number", "minimum": .double(range.lowerBound), "maximum": .double(range.upperBound)]
    case .duration:
      return ["type": "string", "pattern": "^([0-9]*\\.?[0-9]*(ms|s|m|h))+$", "examples": ["500ms", "8s", "5m"]]
    case .digits: return ["type": ["string", "integer"], "examples": ["1", "[1-5]", "X."]]
    case .grammar: return ["type": ["string", "null"], "maxLength": .int(Int64(SpeechGrammar.lengthLimit))]
    case .terminator: return ["type": ["string", "integer", "null"], "pattern": "^[0-9*#A-D]?$", "maximum": 9]
    case .data: return [:]
    case .schema: return ["type": "object", "maxProperties": .int(Int64(ToolSchema.propertyLimit))]
    case .list(let element, let limit):
      return ["type": ["array", "null"], "items": self.kind(element), "maxItems": .int(Int64(limit))]
    case .oneOrList(let element, let limit):
      return [
        "anyOf": [
          self.kind(element),
          ["type": ["array", "null"], "items": self.kind(element), "maxItems": .int(Int64(limit))],
        ]
      ]
    case .map(let kind, let element, let limit):
      return [
        "type": ["object", "null"], "propertyNames": name(kind), "additionalProperties": self.kind(element),
        "maxProperties": .int(Int64(limit)),
      ]
    case .shape(let shape): return ["$ref": .string("#/$defs/\(shape.name)")]
    case .actions:
      return [
        "type": ["array", "null"], "items": ["$ref": "#/$defs/action"],
        "maxItems": .int(Int64(DialogDecoder.actionLimit)),
      ]
    case .either(let a, let b):
      guard case .data = a else { return ["anyOf": [self.kind(a), self.kind(b)]] }
      return [:]
    }
  }

  /// Letters of every alphabet are welcome, so the patterns name what is not.
  private static func name(_ kind: KeyKind.NameKind) -> Value {
    switch kind {
    case .dialog: return ["type": scalar, "pattern": .string(word), "maxLength": .int(Int64(kind.limit))]
    case .state: return ["type": scalar, "pattern": .string(word), "maxLength": .int(Int64(kind.limit))]
    case .event:
      return [
        "anyOf": [
          ["enum": .list(["*"] + Vocabulary.events.map { .string($0) })],
          ["type": scalar, "pattern": .string(word), "maxLength": .int(Int64(kind.limit))],
        ]
      ]
    case .variable, .parameter:
      return [
        "type": scalar, "pattern": "^[^\\s!-@\\[-^`{-~][^\\s!-/:-@\\[-^`{-~]*$", "maxLength": .int(Int64(kind.limit)),
      ]
    case .tool: return ["type": scalar, "pattern": "^[A-Za-z0-9_-]+$", "maxLength": .int(Int64(kind.limit))]
    case .header:
      return ["type": scalar, "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "maxLength": .int(Int64(kind.limit))]
    case .criterion, .document, .service:
      return ["type": scalar, "minLength": 1, "maxLength": .int(Int64(kind.limit))]
    }
  }

  private static let word = "^[^\\s!-/:-@\\[-^`{-~][^\\s!-,/:-@\\[-^`{-~]*$"
}

/// JSON for people to read: indented, keys in order.
enum PrettyJSON {
  static func write(_ value: Value, indent: String = "") -> String {
    let inner = indent + "  "
    switch value {
    case .list(let items) where !items.isEmpty:
      // Short lists of plain values stay on one line.
      let line = JSON.encode(value)
      let isPlain = items.allSatisfy { if case .map = $0 { false } else if case .list = $0 { false } else { true } }
      if isPlain, indent.utf8.count + line.utf8.count <= 100 { return line.replacing("\",\"", with: "\", \"") }
      return "[\n" + items.map { inner + write($0, indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
    case .map(let map) where !map.isEmpty:
      return "{\n"
        + map.keys.sorted().map { "\(inner)\(JSON.encode(.string($0))): \(write(map[$0] ?? .null, indent: inner))" }
        .joined(separator: ",\n") + "\n\(indent)}"
    default: return JSON.encode(value)
    }
  }
}
