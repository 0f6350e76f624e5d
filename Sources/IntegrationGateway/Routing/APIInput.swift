import Base
import HTTPTypes
import Settings

/// Checks what came in the query and the body against what a route declares.
enum APIInput {
  static func query(_ text: String?, _ fields: [APIRoute.Field]) throws(APIProblem) -> [String: Value] {
    var values: [String: Value] = [:]
    for pair in (text ?? "").split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decode(parts[0]), let value = decode(parts.count > 1 ? parts[1] : "") else {
        throw .badRequest("the query is not percent-encoded UTF-8")
      }
      let field = try field(named: name, in: fields, place: "query parameter")
      guard values[name] == nil else { throw .badRequest("the query parameter `\(name)` stands twice") }
      values[name] = try check(typed(value, field), field)
    }
    return try complete(values, fields)
  }

  /// What a text in a query or a form stands for; a text that does not fit stays one, and the check finds it.
  static func typed(_ text: String, _ field: APIRoute.Field) -> Value {
    switch field.kind {
    case .string, .object, .any, .record, .records: .string(text)
    case .strings: .list(text.split(separator: ",", omittingEmptySubsequences: false).map { .string(String($0)) })
    case .integer: Int64(text).map { .int($0) } ?? .string(text)
    case .number: Double(text).flatMap { $0.isFinite ? .double($0) : nil } ?? .string(text)
    case .boolean: text == "true" ? .bool(true) : text == "false" ? .bool(false) : .string(text)
    }
  }

  /// The body as YAML: what a dialog's author has at hand.
  static func yaml(_ bytes: [UInt8], _ fields: [APIRoute.Field]) throws(APIProblem) -> [String: Value] {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .badRequest("the body is not UTF-8") }
    return try members(["source": .string(text)], fields, within: "")
  }

  static func body(_ bytes: [UInt8], _ fields: [APIRoute.Field]) throws(APIProblem) -> [String: Value] {
    let value: Value
    if bytes.isEmpty {
      value = [:]
    } else {
      do { value = try JSON.decode(bytes, refusingDuplicates: true) } catch {
        throw .badRequest("the body is \(error)")
      }
    }
    guard case .map(let map) = value else { throw .badRequest("the body must be a JSON object") }
    return try members(map, fields, within: "")
  }

  /// - Parameter within: the path to the object: `filter.`.
  private static func members(
    _ map: [String: Value], _ fields: [APIRoute.Field], within: String
  ) throws(APIProblem) -> [String: Value] {
    var values: [String: Value] = [:]
    for name in map.keys.sorted() {
      let field = try field(named: name, in: fields, place: "key", within: within)
      values[name] = try check(map[name] ?? .null, field, within: within)
    }
    return try complete(values, fields, within: within)
  }

  static func field(
    named name: String, in fields: [APIRoute.Field], place: String, within: String = ""
  ) throws(APIProblem) -> APIRoute.Field {
    if let field = fields.first(where: { $0.name == name }) { return field }
    let near = nearest(to: name, in: fields.map(\.name))
    let known = fields.isEmpty ? "there are none here" : "known: " + fields.map(\.name).joined(separator: ", ")
    throw .badRequest(
      "unknown \(place) `\(within)\(name)`; " + (near.map { "did you mean `\(within)\($0)`?" } ?? known))
  }

  static func check(_ value: Value, _ field: APIRoute.Field, within: String = "") throws(APIProblem) -> Value {
    let name = within + field.name
    switch (field.kind, value) {
    case (.string, .string(let text)): try check(text, field, name)
    case (.strings, .list(let items)):
      try check(items.count, field, name)
      for item in items {
        guard let text = item.stringValue else { throw .badRequest("`\(name)` must be \(field.kind.words)") }
        try check(text, field, name)
      }
    case (.number, .double), (.number, .int), (.integer, .int):
      if let range = field.range, !lies(value, in: range) {
        throw .badRequest("`\(name)` must lie between \(words(range.lowerBound)) and \(words(range.upperBound))")
      }
    // 5.0 is an integer to JSON Schema.
    case (.integer, .double(let number)):
      guard let whole = Int64(exactly: number) else { throw .badRequest("`\(name)` must be a whole number") }
      return try check(.int(whole), field, within: within)
    case (.boolean, .bool), (.any, _): break
    case (.object, .map):
      guard value.fits(size: APILimits.objectSize, depth: APILimits.objectDepth) else {
        throw APIProblem(
          .unprocessableContent, "too_large",
          "`\(name)` is larger than \(APILimits.objectSize) bytes or deeper than \(APILimits.objectDepth)")
      }
    case (.record(let shape), .map(let map)): return .map(try members(map, shape.fields, within: "\(name)."))
    case (.records(let shape), .list(let items)):
      try check(items.count, field, name)
      var checked: [Value] = []
      for (i, item) in items.enumerated() {
        guard case .map(let map) = item else { throw .badRequest("`\(name)[\(i)]` must be an object") }
        checked.append(.map(try members(map, shape.fields, within: "\(name)[\(i)].")))
      }
      return .list(checked)
    case (_, .null) where field.isNullable: break
    default: throw .badRequest("`\(name)` must be \(field.kind.words)")
    }
    return value
  }

  private static func check(_ text: String, _ field: APIRoute.Field, _ name: String) throws(APIProblem) {
    if !field.choices.isEmpty {
      if field.choices.contains(text) { return }
      let near = nearest(to: text, in: field.choices).map { "did you mean `\($0)`?" }
      throw .badRequest(
        "`\(name)`: `\(text.prefix(64))` is unknown; "
          + (near ?? "it is one of \(field.choices.joined(separator: ", "))"))
    }
    let length = field.length ?? 0...APILimits.text
    // No text of fewer bytes has more characters, and counting bytes is quick.
    if text.utf8.count > length.upperBound || text.utf8.count < length.lowerBound,
      !length.contains(text.unicodeScalars.count)
    {
      let bounds = length.lowerBound == 0 ? "at most" : "\(length.lowerBound) to"
      throw .badRequest("`\(name)` has \(bounds) \(length.upperBound) characters")
    }
    // No database keeps it.
    if text.utf8.contains(0) {
      throw APIProblem(.unprocessableContent, "null_character", "`\(name)` holds a null character")
    }
    if let syntax = field.syntax, !syntax.fits(text) { throw .badRequest("`\(name)` must be \(syntax.words)") }
  }

  /// A whole number of more than 53 bits is no other one's neighbour, as it would be as a `Double`.
  private static func lies(_ value: Value, in range: ClosedRange<Double>) -> Bool {
    if case .int(let whole) = value, let lower = Int64(exactly: range.lowerBound),
      let upper = Int64(exactly: range.upperBound)
    {
      return (lower...upper).contains(whole)
    }
    return value.doubleValue.map(range.contains) ?? false
  }

  private static func check(_ count: Int, _ field: APIRoute.Field, _ name: String) throws(APIProblem) {
    guard field.count.contains(count) else {
      throw .badRequest("`\(name)` has \(field.count.lowerBound) to \(field.count.upperBound) entries")
    }
  }

  static func complete(
    _ values: [String: Value], _ fields: [APIRoute.Field], within: String = ""
  ) throws(APIProblem) -> [String: Value] {
    var values = values
    for field in fields where values[field.name] == nil {
      if field.isRequired { throw .badRequest("`\(within)\(field.name)` is missing") }
      if let fallback = field.fallback { values[field.name] = fallback }
    }
    return values
  }

  /// Percent-decoding (RFC 3986 section 2.1), with `+` for a space as forms write it; nil for what is no UTF-8.
  static func decode(_ text: Substring, plusIsSpace: Bool = true) -> String? {
    var out: [UInt8] = []
    var bytes = text.utf8.makeIterator()
    while let byte = bytes.next() {
      switch byte {
      case UInt8(ascii: "+") where plusIsSpace: out.append(0x20)
      case UInt8(ascii: "%"):
        guard let high = bytes.next().flatMap(hex), let low = bytes.next().flatMap(hex) else { return nil }
        out.append(high << 4 | low)
      default: out.append(byte)
      }
    }
    return String(validating: out, as: UTF8.self)
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
  }

  private static func words(_ number: Double) -> String { Int(exactly: number).map { String($0) } ?? "\(number)" }
}

extension APIRoute.Kind {
  var words: String {
    switch self {
    case .string: "a text"
    case .integer: "a whole number"
    case .number: "a number"
    case .boolean: "true or false"
    case .strings: "a list of texts"
    case .object, .record: "an object"
    case .records: "a list of objects"
    case .any: "a value"
    }
  }
}
