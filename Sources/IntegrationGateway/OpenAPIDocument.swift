import Base
import HTTPTypes

extension CallAPI {
  /// OpenAPI 3.1, made of the routes that serve.
  var openAPI: Value {
    var paths: [String: [String: Value]] = [:]
    for route in routeTable.routes {
      paths[route.path, default: [:]][route.method.rawValue.lowercased()] = Self.operation(route)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Parley", "version": "1", "description": "Calls, their events and their record.",
        "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
      ],
      "security": [["bearer": []]],
      "paths": .map(paths.mapValues { .map($0) }),
      "components": [
        "securitySchemes": ["bearer": ["type": "http", "scheme": "bearer"]],
        "schemas": [
          "Problem": [
            "type": "object", "description": "RFC 9457",
            "required": ["type", "title", "status", "detail"],
            "properties": [
              "type": ["type": "string"], "title": ["type": "string"], "status": ["type": "integer"],
              "detail": ["type": "string"],
            ],
          ]
        ],
      ],
    ]
  }

  private static func operation(_ route: APIRoute) -> Value {
    var parameters: [Value] = route.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { segment in
      [
        "name": .string(String(segment.dropFirst().dropLast())), "in": "path", "required": true,
        "schema": ["type": "string"],
      ]
    }
    for field in route.query {
      parameters.append([
        "name": .string(field.name), "in": "query", "required": .bool(field.isRequired),
        "description": .string(field.explanation), "schema": schema(field),
      ])
    }
    if route.isStream {
      parameters.append([
        "name": "Last-Event-ID", "in": "header", "required": false,
        "description": "The id of the last event that was seen", "schema": ["type": "string"],
      ])
    }
    if route.method == .put {
      parameters += ["If-Match", "If-None-Match"].map { name in
        [
          "name": .string(name), "in": "header", "required": false,
          "description": "Entity tags of the newest source (RFC 9110)", "schema": ["type": "string"],
        ]
      }
    }
    if route.method == .post {
      parameters.append([
        "name": "Idempotency-Key", "in": "header", "required": false,
        "description": "A request that comes again with its key is answered again and not acted on again",
        "schema": ["type": "string", "maxLength": 255],
      ])
    }
    let types = route.isStream ? ["text/event-stream"] : route.answerTypes
    let problem: Value = [
      "description": "What is wrong",
      "content": ["application/problem+json": ["schema": ["$ref": "#/components/schemas/Problem"]]],
    ]
    var operation: [String: Value] = [
      "summary": .string(route.summary), "operationId": .string(identifier(route)), "parameters": .list(parameters),
      "responses": [
        "200": [
          "description": .string(route.answer),
          "content": .map(Dictionary(uniqueKeysWithValues: types.map { ($0, answer($0)) })),
        ],
        "default": problem,
      ],
    ]
    if route.isOpen { operation["security"] = [] }
    if let content = content(of: route) {
      operation["requestBody"] = [
        "required": .bool(route.body.contains { $0.isRequired } || route.takesFile), "content": .map(content),
      ]
    }
    return .map(operation)
  }

  private static func answer(_ type: String) -> Value {
    if type == "application/json" { return ["schema": ["type": "object"]] }
    // Bytes are described by their media type alone (OpenAPI 3.1).
    return type.hasPrefix("text/") ? ["schema": ["type": "string"]] : [:]
  }

  /// What a request may carry, by media type; nil: nothing.
  private static func content(of route: APIRoute) -> [String: Value]? {
    var fields = Dictionary(uniqueKeysWithValues: route.body.map { ($0.name, schema($0, explained: true)) })
    var required = route.body.filter(\.isRequired).map { Value.string($0.name) }
    if case .file(let part, let types, _) = route.payload {
      fields[part] = ["type": "string", "format": "binary"]
      required.append(.string(part))
      var content: [String: Value] = ["multipart/form-data": ["schema": object(fields, required)]]
      for type in types { content[type] = [:] }
      return content
    }
    if route.body.isEmpty { return nil }
    var content: [String: Value] = ["application/json": ["schema": object(fields, required)]]
    if route.takesYAML {
      content["application/yaml"] = ["schema": ["type": "string", "description": "The field `source` alone"]]
    }
    return content
  }

  private static func object(_ fields: [String: Value], _ required: [Value]) -> Value {
    ["type": "object", "additionalProperties": false, "required": .list(required), "properties": .map(fields)]
  }

  private static func schema(_ field: APIRoute.Field, explained: Bool = false) -> Value {
    var schema: [String: Value] = [:]
    let choices = Value.list(field.choices.map { .string($0) })
    switch field.kind {
    case .string: schema["type"] = "string"
    case .integer: schema["type"] = "integer"
    case .number: schema["type"] = "number"
    case .boolean: schema["type"] = "boolean"
    case .object: schema["type"] = "object"
    case .any: break
    case .strings:
      schema["type"] = "array"
      schema["items"] = field.choices.isEmpty ? ["type": "string"] : ["type": "string", "enum": choices]
    }
    if field.kind == .string, !field.choices.isEmpty { schema["enum"] = choices }
    if let range = field.range {
      schema["minimum"] = .double(range.lowerBound)
      schema["maximum"] = .double(range.upperBound)
    }
    if let fallback = field.fallback { schema["default"] = fallback }
    if explained { schema["description"] = .string(field.explanation) }
    return .map(schema)
  }

  /// `get_v1_calls_id_events`.
  private static func identifier(_ route: APIRoute) -> String {
    let path = route.path.split { !$0.isLetter && !$0.isNumber }.joined(separator: "_")
    return route.method.rawValue.lowercased() + "_" + path
  }
}
