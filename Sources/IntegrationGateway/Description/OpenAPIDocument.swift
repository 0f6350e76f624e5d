import Base
import HTTPTypes

/// OpenAPI 3.1, made of the routes that serve.
enum OpenAPIDocument {
  static func make(_ routes: [APIRoute]) -> Value {
    var paths: [String: [String: Value]] = [:]
    var schemas: [String: Value] = [:]
    var groups: [String] = []
    add(APIProblem.shape, to: &schemas)
    for route in routes {
      if !groups.contains(route.group) { groups.append(route.group) }
      paths[route.path, default: [:]][route.method.rawValue.lowercased()] = operation(route, &schemas)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Parley", "version": "1", "description": "Calls, their events and their record.",
        "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
      ],
      "servers": [["url": "/"]],
      "tags": .list(groups.map { ["name": .string($0)] }),
      "security": [["bearer": []]],
      "paths": .map(paths.mapValues { .map($0) }),
      "components": [
        "securitySchemes": ["bearer": ["type": "http", "scheme": "bearer"]], "schemas": .map(schemas),
      ],
    ]
  }

  // MARK: Operations

  private static func operation(_ route: APIRoute, _ schemas: inout [String: Value]) -> Value {
    var parameters: [Value] = route.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { segment in
      [
        "name": .string(String(segment.dropFirst().dropLast())), "in": "path", "required": true,
        "schema": ["type": "string", "minLength": 1],
      ]
    }
    for field in route.query {
      var parameter: [String: Value] = [
        "name": .string(field.name), "in": "query", "required": .bool(field.isRequired),
        "description": .string(field.explanation), "schema": schema(field, &schemas),
      ]
      // With commas, as the route reads it.
      if case .strings = field.kind {
        parameter["style"] = "form"
        parameter["explode"] = false
      }
      parameters.append(.map(parameter))
    }
    let key: Value = ["type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"]
    for (name, explanation) in headers(of: route) {
      parameters.append([
        "name": .string(name), "in": "header", "required": false, "description": .string(explanation),
        "schema": name == "Idempotency-Key" ? key : ["type": "string"],
      ])
    }
    var operation: [String: Value] = [
      "summary": .string(route.summary), "operationId": .string(identifier(route)), "tags": [.string(route.group)],
      "parameters": .list(parameters), "responses": .map(responses(route, &schemas)),
    ]
    if route.isOpen {
      operation["security"] = []
    } else {
      let roles = ["admin"] + route.roles.map(\.rawValue).sorted()
      operation["x-roles"] = .list(roles.map { .string($0) })
      operation["description"] = .string("Roles: \(roles.joined(separator: ", ")).")
    }
    let messages = route.messages
    if !messages.ofClient.isEmpty || !messages.ofServer.isEmpty {
      operation["x-websocket"] = [
        "client": .list(messages.ofClient.map { reference($0, &schemas) }),
        "server": .list(messages.ofServer.map { reference($0, &schemas) }),
      ]
    }
    if let content = content(of: route, &schemas) {
      operation["requestBody"] = [
        "required": .bool(route.body.contains { $0.isRequired } || route.takesFile), "content": .map(content),
      ]
    }
    return .map(operation)
  }

  private static func headers(of route: APIRoute) -> [(String, String)] {
    var headers: [(String, String)] = []
    if route.isStream { headers.append(("Last-Event-ID", "The id of the last event that was seen")) }
    if route.hasTag || route.isConditional {
      headers.append(("If-None-Match", "Entity tags (RFC 9110)"))
    }
    if route.isConditional { headers.append(("If-Match", "Entity tags (RFC 9110)")) }
    if route.takesKey {
      headers.append(
        ("Idempotency-Key", "A request that comes again with its key is answered again and not acted on again"))
    }
    return headers
  }

  private static func responses(_ route: APIRoute, _ schemas: inout [String: Value]) -> [String: Value] {
    let problem: [String: Value] = ["application/problem+json": ["schema": ["$ref": "#/components/schemas/Problem"]]]
    var responses: [String: Value] = [:]
    for status in route.statuses {
      var response: [String: Value] = ["description": .string(route.answer)]
      if status != .noContent, status != .switchingProtocols {
        let types = route.isStream ? ["text/event-stream"] : route.answerTypes
        response["content"] = .map(
          Dictionary(uniqueKeysWithValues: types.map { ($0, answer($0, route.result, &schemas)) }))
      }
      var headers: [String: Value] = [
        "X-Request-Id": ["description": "Finds the request in the log", "schema": ["type": "string"]]
      ]
      if route.hasTag { headers["ETag"] = ["description": "The entity tag", "schema": ["type": "string"]] }
      response["headers"] = .map(headers)
      responses[String(status.code)] = .map(response)
    }
    if route.hasTag { responses["304"] = ["description": "What the client has is still true"] }
    for (status, words) in problems(of: route) {
      responses[String(status)] = ["description": .string(words), "content": .map(problem)]
    }
    responses["default"] = ["description": "What is wrong", "content": .map(problem)]
    return responses
  }

  private static func problems(of route: APIRoute) -> [(Int, String)] {
    var problems: [(Int, String)] = [
      (400, "The request is wrong"), (406, "The client takes no such answer"),
      (503, "The gateway stops, is busy, or its database is gone"),
    ]
    if !route.isOpen {
      problems += [
        (401, "No token, or an unknown one"), (403, "The token's roles do not suffice"),
        (429, "Too many requests; `Retry-After` says when to come again"),
      ]
    }
    if route.statuses == [.switchingProtocols] { problems.append((426, "It is a WebSocket and nothing else")) }
    if route.path.contains("{") { problems.append((404, "There is no such thing, or it is another tenant's")) }
    if route.method == .post || route.method == .put || route.method == .delete {
      problems += [(409, "It cannot be done now"), (412, "A condition does not hold")]
    }
    if !route.body.isEmpty || route.takesFile {
      problems += [
        (408, "The body did not come in time"), (413, "The body is too large"), (415, "The body is of another type"),
        (422, "What the request asks for cannot be"),
      ]
    }
    return problems
  }

  private static func answer(
    _ type: String, _ result: APIRoute.Shape?, _ schemas: inout [String: Value]
  ) -> Value {
    if type == "application/json" {
      guard let result else { return ["schema": ["type": "object"]] }
      return ["schema": reference(result, &schemas)]
    }
    // Bytes are described by their media type alone (OpenAPI 3.1).
    return type.hasPrefix("text/") ? ["schema": ["type": "string"]] : [:]
  }

  /// What a request may carry, by media type; nil: nothing.
  private static func content(of route: APIRoute, _ schemas: inout [String: Value]) -> [String: Value]? {
    var fields: [String: Value] = [:]
    for field in route.body { fields[field.name] = schema(field, &schemas, explained: true) }
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
      content["application/yaml"] = ["schema": ["description": "The field `source` alone"]]
    }
    return content
  }

  // MARK: Schemas

  private static func object(_ fields: [String: Value], _ required: [Value], isOpen: Bool = false) -> Value {
    ["type": "object", "additionalProperties": .bool(isOpen), "required": .list(required), "properties": .map(fields)]
  }

  private static func reference(_ shape: APIRoute.Shape, _ schemas: inout [String: Value]) -> Value {
    add(shape, to: &schemas)
    return ["$ref": .string("#/components/schemas/\(shape.name)")]
  }

  private static func add(_ shape: APIRoute.Shape, to schemas: inout [String: Value]) {
    guard schemas[shape.name] == nil else { return }
    // Holds the place against shapes that name each other.
    schemas[shape.name] = .null
    var fields: [String: Value] = [:]
    for field in shape.fields { fields[field.name] = schema(field, &schemas, explained: true, isBounded: false) }
    var made = object(fields, shape.fields.filter(\.isRequired).map { .string($0.name) }, isOpen: shape.isOpen)
    if !shape.explanation.isEmpty, case .map(var members) = made {
      members["description"] = .string(shape.explanation)
      made = .map(members)
    }
    schemas[shape.name] = made
  }

  private static func schema(
    _ field: APIRoute.Field, _ schemas: inout [String: Value], explained: Bool = false, isBounded: Bool = true
  ) -> Value {
    var schema: [String: Value] = [:]
    switch field.kind {
    case .string: schema = text(field, isBounded)
    case .integer, .number:
      schema["type"] = field.kind.isInteger ? "integer" : "number"
      if let range = field.range {
        schema["minimum"] = number(range.lowerBound)
        schema["maximum"] = number(range.upperBound)
      }
    case .boolean: schema["type"] = "boolean"
    case .object: schema["type"] = "object"
    case .any: break
    case .strings: schema = ["type": "array", "items": .map(text(field, isBounded))]
    case .record(let shape): schema["$ref"] = reference(shape, &schemas)["$ref"]
    case .records(let shape): schema = ["type": "array", "items": reference(shape, &schemas)]
    }
    switch field.kind {
    case .strings, .records:
      if field.count.lowerBound > 0 { schema["minItems"] = .int(Int64(field.count.lowerBound)) }
      if isBounded { schema["maxItems"] = .int(Int64(field.count.upperBound)) }
    default: break
    }
    if field.isNullable {
      if let type = schema["type"] {
        schema["type"] = [type, "null"]
      } else if let reference = schema.removeValue(forKey: "$ref") {
        schema["anyOf"] = [["$ref": reference], ["type": "null"]]
      }
    }
    if let fallback = field.fallback { schema["default"] = fallback }
    if let example = field.example { schema["examples"] = [example] }
    if explained { schema["description"] = .string(field.explanation) }
    return .map(schema)
  }

  /// - Parameter isBounded: every text that comes in has a greatest length.
  private static func text(_ field: APIRoute.Field, _ isBounded: Bool) -> [String: Value] {
    var schema: [String: Value] = ["type": "string"]
    if !field.choices.isEmpty {
      schema["enum"] = .list(field.choices.map { .string($0) })
      return schema
    }
    if isBounded || field.length != nil {
      let length = field.length ?? 0...APILimits.text
      if length.lowerBound > 0 { schema["minLength"] = .int(Int64(length.lowerBound)) }
      schema["maxLength"] = .int(Int64(length.upperBound))
    }
    if let pattern = field.syntax?.pattern { schema["pattern"] = .string(pattern) }
    if let format = field.syntax?.format { schema["format"] = .string(format) }
    return schema
  }

  private static func number(_ number: Double) -> Value { Int64(exactly: number).map { .int($0) } ?? .double(number) }

  /// `get_v1_calls_id_events`.
  private static func identifier(_ route: APIRoute) -> String {
    let path = route.path.split { !$0.isLetter && !$0.isNumber }.joined(separator: "_")
    return route.method.rawValue.lowercased() + "_" + path
  }
}

extension APIRoute.Kind {
  fileprivate var isInteger: Bool { if case .integer = self { true } else { false } }
}
