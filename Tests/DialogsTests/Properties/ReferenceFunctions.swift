import Base

extension ReferenceEvaluator {
  func call(_ function: String, _ arguments: [Value]) throws -> Value {
    func isLeftOut(_ i: Int) -> Bool { arguments.count <= i || arguments[i] == .null }
    switch function {
    case "lower": return .string(Self.lower(try text(arguments[0])))
    case "upper":
      return .string(try text(arguments[0]).unicodeScalars.map { $0.properties.uppercaseMapping }.joined())
    case "trim": return .string(Self.trimmed(try text(arguments[0])))
    case "len":
      switch arguments[0] {
      case .null: return 0
      case .string(let text): return .int(Int64(text.count))
      case .list(let items): return .int(Int64(items.count))
      case .map(let map): return .int(Int64(map.count))
      default: throw Undefined()
      }
    case "int":
      switch try call("number", arguments) {
      case .double(let d):
        guard let whole = Int64(exactly: d.rounded(.towardZero)) else { throw Undefined() }
        return .int(whole)
      case let whole: return whole
      }
    case "number":
      switch arguments[0] {
      case .bool(let b): return b ? 1 : 0
      case .int, .double: return arguments[0]
      case .string(let text): return try Self.number(Self.trimmed(text))
      default: throw Undefined()
      }
    case "string": return .string(Self.shown(arguments[0]))
    case "json": return .string(Self.json(arguments[0]))
    case "default": return Self.isMissing(arguments[0]) ? arguments[1] : arguments[0]
    case "coalesce": return arguments.first { !Self.isMissing($0) } ?? .null
    case "exists": return .bool(arguments[0] != .null)
    case "now": return .int(wallMs / 1_000)
    case "format_time": return try formatTime(arguments)
    case "digits": return .string(Self.digits(Self.shown(arguments[0])))
    case "spell":
      return .string(Self.shown(arguments[0]).filter { $0 != " " }.map { String($0) }.joined(separator: " "))
    case "min", "max":
      var numbers = arguments
      if arguments.count == 1, case .list(let items) = arguments[0] { numbers = items }
      for number in numbers where number.doubleValue == nil { throw Undefined() }
      guard var best = numbers.first else { return .null }
      for number in numbers where order(number, best) == (function == "min" ? -1 : 1) { best = number }
      return best
    case "round":
      guard let number = arguments[0].doubleValue else { throw Undefined() }
      let places = isLeftOut(1) ? 0 : try wholeNumber(arguments[1])
      guard places >= 0, places <= 9 else { throw Undefined() }
      if case .int = arguments[0] { return arguments[0] }
      var scale = 1.0
      for _ in 0..<places { scale *= 10 }
      // What has no digits there is round already.
      let rounded = (number * scale).isFinite ? (number * scale).rounded() / scale : number
      if places == 0, let whole = Int64(exactly: rounded) { return .int(whole) }
      return .double(rounded)
    case "split":
      let whole = try text(arguments[0]), separator = try text(arguments[1])
      if whole.isEmpty { return [] }
      if separator.isEmpty { return .list(whole.map { .string(String($0)) }) }
      return .list(Self.split(whole, separator).map { .string($0) })
    case "join":
      let separator = try text(arguments[1])
      switch arguments[0] {
      case .null: return ""
      case .list(let items): return .string(items.map(Self.shown).joined(separator: separator))
      default: throw Undefined()
      }
    case "replace":
      let whole = try text(arguments[0]), old = try text(arguments[1]), new = try text(arguments[2])
      return .string(old.isEmpty ? whole : Self.split(whole, old).joined(separator: new))
    case "regex_extract":
      let whole = try text(arguments[0]), source = try text(arguments[1])
      let pattern = try pattern(source)
      let group = isLeftOut(2) ? (pattern.groupCount > 0 ? 1 : 0) : try wholeNumber(arguments[2])
      guard group >= 0, group <= pattern.groupCount else { throw Undefined() }
      guard let groups = try pattern.firstMatch(in: whole) else { return .null }
      return groups[Int(group)].map { .string($0) } ?? .null
    case "slot": return variables["slots"]?[try text(arguments[0])] ?? .null
    case "matches", "contains", "startswith", "endswith": return try binary(function, arguments[0], arguments[1])
    default: throw Undefined()
    }
  }

  private static func isMissing(_ value: Value) -> Bool { value == .null || value == "" }

  static func trimmed(_ text: String) -> String {
    var characters = Array(text)
    while characters.first?.isWhitespace == true { characters.removeFirst() }
    while characters.last?.isWhitespace == true { characters.removeLast() }
    return String(characters)
  }

  /// A sign, digits, a fraction, an exponent; nothing else is a number.
  static func number(_ text: String) throws -> Value {
    let decimal = /[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/
    guard (try? decimal.wholeMatch(in: text)) != nil else { throw Undefined() }
    if let whole = Int64(text) { return .int(whole) }
    guard let number = Double(text), number.isFinite else { throw Undefined() }
    return .double(number)
  }

  /// A value as a person reads it.
  static func shown(_ value: Value) -> String {
    switch value {
    case .null: ""
    case .string(let text): text
    case .double(let d): Int64(exactly: d).map { "\($0)" } ?? "\(d)"
    default: json(value)
    }
  }

  static func json(_ value: Value) -> String {
    switch value {
    case .null: return "null"
    case .bool(let b): return "\(b)"
    case .int(let i): return "\(i)"
    case .double(let d): return "\(d)"
    case .string(let text):
      var out = "\""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": out += "\\\""
        case "\\": out += "\\\\"
        case "\n": out += "\\n"
        case "\r": out += "\\r"
        case "\t": out += "\\t"
        default: out.unicodeScalars.append(scalar)
        }
      }
      return out + "\""
    case .list(let items): return "[" + items.map(json).joined(separator: ",") + "]"
    case .map(let map):
      return "{" + map.keys.sorted().map { json(.string($0)) + ":" + json(map[$0] ?? .null) }.joined(separator: ",")
        + "}"
    }
  }

  static func split(_ text: String, _ separator: String) -> [String] {
    var rest = scalars(text)[...]
    let separator = scalars(separator)
    var parts = [""]
    while !rest.isEmpty {
      if rest.starts(with: separator) {
        parts.append("")
        rest = rest.dropFirst(separator.count)
      } else {
        parts[parts.count - 1].unicodeScalars.append(rest.removeFirst())
      }
    }
    return parts
  }

  static func digits(_ text: String) -> String {
    let words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    var out = ""
    for word in lower(text).split(whereSeparator: { !$0.isLetter && !$0.isNumber }) {
      if let digit = words.firstIndex(of: String(word)) {
        out += "\(digit)"
      } else if word == "oh" {
        out += "0"
      } else {
        for c in word where ("0"..."9").contains(c) { out.append(c) }
      }
    }
    return out
  }

  private func formatTime(_ arguments: [Value]) throws -> Value {
    let format = try text(arguments[1])
    guard let exact = arguments[0].doubleValue, abs(exact) < 253_402_300_800 else { throw Undefined() }
    let offset = arguments.count > 2 && arguments[2] != .null ? try wholeNumber(arguments[2]) : 0
    guard offset >= -1_440, offset <= 1_440 else { throw Undefined() }
    let seconds = Int64(exact.rounded(.down)) + offset * 60
    var days = seconds / 86_400, rest = seconds % 86_400
    if rest < 0 { (days, rest) = (days - 1, rest + 86_400) }
    let weekday = ((days + 4) % 7 + 7) % 7
    func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }
    func length(_ year: Int64) -> Int64 { isLeap(year) ? 366 : 365 }
    var year: Int64 = 1970
    while days < 0 {
      year -= 1
      days += length(year)
    }
    while days >= length(year) {
      days -= length(year)
      year += 1
    }
    let dayOfYear = days + 1
    let months: [Int64] = [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    var month = 0
    while days >= months[month] {
      days -= months[month]
      month += 1
    }
    func padded(_ number: Int64, _ width: Int) -> String {
      String(repeating: "0", count: max(0, width - "\(number)".count)) + "\(number)"
    }
    let names = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    let monthNames = [
      "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
      "December",
    ]
    let hour = rest / 3_600, hour12 = (hour + 11) % 12 + 1
    let fields: [Character: String] = [
      "Y": padded(year, 4), "m": padded(Int64(month) + 1, 2), "d": padded(days + 1, 2), "e": "\(days + 1)",
      "H": padded(hour, 2), "I": padded(hour12, 2), "l": "\(hour12)", "M": padded(rest / 60 % 60, 2),
      "S": padded(rest % 60, 2), "p": hour < 12 ? "AM" : "PM", "A": names[Int(weekday)],
      "a": String(names[Int(weekday)].prefix(3)), "B": monthNames[month], "b": String(monthNames[month].prefix(3)),
      "j": padded(dayOfYear, 3), "F": "\(padded(year, 4))-\(padded(Int64(month) + 1, 2))-\(padded(days + 1, 2))",
      "%": "%",
    ]
    var out = ""
    var rest2 = format[...]
    while let c = rest2.popFirst() {
      if c == "%", let code = rest2.popFirst() { out += fields[code] ?? "%\(code)" } else { out.append(c) }
    }
    return .string(out)
  }
}
