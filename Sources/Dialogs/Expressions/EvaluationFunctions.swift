import Base

extension Evaluation {
  /// The functions of the language, by their arguments in order. Their number is checked when the dialog is loaded.
  mutating func call(_ function: ExpressionFunction, _ arguments: [Value]) throws(EvaluationError) -> Value {
    func text(_ i: Int) throws(EvaluationError) -> String { try string(arguments[i], of: "`\(function.rawValue)`") }
    /// An argument that may be left out; null is the same.
    func whole(_ i: Int, or otherwise: Int64) throws(EvaluationError) -> Int64 {
      guard arguments.count > i, arguments[i] != .null else { return otherwise }
      guard let number = arguments[i].intValue else {
        throw EvaluationError("`\(function.rawValue)` needs a whole number, but gets \(Self.shown(arguments[i]))")
      }
      return number
    }
    switch function {
    case .lower: return try bounded(text(0).lowercased())
    case .upper: return try bounded(text(0).uppercased())
    case .trim: return .string(Self.trimmed(try text(0)))
    case .len:
      switch arguments[0] {
      case .null: return 0
      case .string(let s): return .int(Int64(s.count))
      case .list(let items): return .int(Int64(items.count))
      case .map(let map): return .int(Int64(map.count))
      default: throw EvaluationError("`len` measures text, lists and maps")
      }
    case .int:
      // Integers beyond 2^53 must not take the way through a double.
      if case .int = arguments[0] { return arguments[0] }
      if case .string(let s) = arguments[0], let exact = Int64(Self.trimmed(s)) { return .int(exact) }
      if let int = Self.number(arguments[0]).flatMap({ Int64(exactly: $0.rounded(.towardZero)) }) { return .int(int) }
      throw EvaluationError("`int` cannot read \(Self.shown(arguments[0])) as a number")
    case .number:
      switch arguments[0] {
      case .int, .double: return arguments[0]
      case .string(let s):
        if let int = Int64(Self.trimmed(s)) { return .int(int) }
        if let number = Self.number(arguments[0]) { return .double(number) }
      case .bool(let b): return b ? 1 : 0
      default: break
      }
      throw EvaluationError("`number` cannot read \(Self.shown(arguments[0])) as a number")
    case .string: return try bounded(Self.text(arguments[0]))
    case .json: return try bounded(JSON.encode(arguments[0]))
    case .default: return Self.isMissing(arguments[0]) ? arguments[1] : arguments[0]
    case .coalesce: return arguments.first { !Self.isMissing($0) } ?? .null
    case .exists: return .bool(arguments[0] != .null)
    case .now: return .int(wallMs / 1_000)
    case .format_time:
      guard let seconds = arguments[0].doubleValue.flatMap({ Int64(exactly: $0.rounded(.down)) }) else {
        throw EvaluationError("`format_time` needs seconds since 1970")
      }
      let offset = try whole(2, or: 0)
      guard seconds.magnitude < 253_402_300_800, (-1_440...1_440).contains(offset) else {
        throw EvaluationError("`format_time` knows the years 1 to 9999 and offsets of a day")
      }
      return try bounded(CivilTime(secondsSince1970: seconds + offset * 60).formatted(text(1)))
    case .digits: return .string(Self.digits(in: Self.text(arguments[0])))
    case .spell:
      return try bounded(Self.text(arguments[0]).filter { $0 != " " }.map(String.init).joined(separator: " "))
    case .min, .max:
      var numbers = arguments
      if numbers.count == 1, case .list(let items) = numbers[0] { numbers = items }
      guard var best = numbers.first else { return .null }
      for value in numbers {
        guard let isBetter = function == .min ? Self.isLess(value, best) : Self.isLess(best, value) else {
          throw EvaluationError("`\(function.rawValue)` needs numbers, but gets \(StaticType(of: value).description)")
        }
        if isBetter { best = value }
      }
      return best
    case .round:
      guard let number = arguments[0].doubleValue else { throw EvaluationError("`round` needs a number") }
      let places = try whole(1, or: 0)
      guard (0...9).contains(places) else { throw EvaluationError("`round` knows 0 to 9 places") }
      if case .int = arguments[0] { return arguments[0] }
      var scale = 1.0
      for _ in 0..<places { scale *= 10 }
      // A number that large has no digits behind the point.
      let rounded = (number * scale).isFinite ? (number * scale).rounded() / scale : number
      if places == 0, let int = Int64(exactly: rounded) { return .int(int) }
      return .double(rounded)
    case .split:
      let separator = try text(1)
      let whole = try text(0)
      guard !whole.isEmpty else { return [] }
      let parts =
        separator.isEmpty ? whole.map(String.init) : Self.split(whole, by: separator)
      return .list(parts.map { .string($0) })
    case .join:
      let separator = try text(1)
      guard case .list(let items) = arguments[0] else {
        if arguments[0] == .null { return "" }
        throw EvaluationError("`join` needs a list")
      }
      return try bounded(items.map(Self.text).joined(separator: separator))
    case .replace:
      let old = try text(1)
      let new = try text(2)
      guard !old.isEmpty else { return .string(try text(0)) }
      let parts = Self.split(try text(0), by: old)
      guard parts.count * new.utf8.count <= Self.outputLimit else { throw EvaluationError("a text grew over 64 KiB") }
      return try bounded(parts.joined(separator: new))
    case .regex_extract:
      let pattern = try regex(text(1))
      let wanted = try whole(2, or: pattern.groupCount > 0 ? 1 : 0)
      guard wanted >= 0, wanted <= Int64(pattern.groupCount) else {
        throw EvaluationError("`regex_extract` has no group \(wanted)")
      }
      guard let groups = try firstMatch(pattern, in: text(0)) else { return .null }
      return groups[Int(wanted)].map { .string($0) } ?? .null
    case .slot: return slots["slots"].map { values[$0] }?[try text(0)] ?? .null
    case .matches: return .bool(try occurs(regex(text(1)), in: text(0)))
    // These became operators when they were parsed.
    case .contains, .startswith, .endswith, .choose: return .null
    }
  }

  private static func isMissing(_ value: Value) -> Bool { value == .null || value == .string("") }

  private static func shown(_ value: Value) -> String {
    if case .string(let text) = value { return "`\(text.prefix(40))`" }
    return StaticType(of: value).description
  }

  private static func number(_ value: Value) -> Double? {
    switch value {
    case .string(let text): decimal(trimmed(text))
    case .bool(let b): b ? 1 : 0
    default: value.doubleValue
    }
  }

  /// The standard library also reads hexadecimal numbers, infinity and the like.
  private static func decimal(_ text: String) -> Double? {
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }) else { return nil }
    return Double(text).flatMap { $0.isFinite ? $0 : nil }
  }

  static func trimmed(_ text: String) -> String {
    var rest = text[...]
    while let first = rest.first, first.isWhitespace { rest.removeFirst() }
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    return String(rest)
  }

  static func split(_ text: String, by separator: String) -> [String] {
    let text = Array(text.utf8), separator = Array(separator.utf8)
    var parts: [String] = []
    var start = 0
    var at = 0
    while at + separator.count <= text.count {
      if text[at] == separator[0], text[at..<(at + separator.count)].elementsEqual(separator) {
        parts.append(String(decoding: text[start..<at], as: UTF8.self))
        at += separator.count
        start = at
      } else {
        at += 1
      }
    }
    parts.append(String(decoding: text[start...], as: UTF8.self))
    return parts
  }

  private static let digitWords: [String: String] = [
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
  ]

  /// The digits in a text, said or written: "my number is four seven 11" gives "4711".
  static func digits(in text: String) -> String {
    var out = ""
    for word in PhraseExtraction.normalized(text).split(separator: " ") {
      if let digit = digitWords[String(word)] { out += digit } else { out += word.filter { $0.isASCII && $0.isNumber } }
    }
    return out
  }
}

/// A date and time of the Gregorian calendar, without zones and leap seconds.
struct CivilTime {
  var date: CivilDate
  var hour: Int64
  var minute: Int64
  var second: Int64
  /// 0 is Sunday.
  var weekday: Int64

  init(secondsSince1970 seconds: Int64) {
    let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
    let time = seconds - days * 86_400
    hour = time / 3_600
    minute = time % 3_600 / 60
    second = time % 60
    weekday = ((days + 4) % 7 + 7) % 7
    date = CivilDate(daysSince1970: Int(days))
  }

  private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
  ]

  /// `strftime` for `%Y %m %d %e %H %I %l %M %S %p %A %a %B %b %j %F %T %R %%`; others stay as they are.
  func formatted(_ format: String) -> String {
    var out = ""
    var characters = format.makeIterator()
    func two(_ value: some BinaryInteger) -> String { value < 10 ? "0\(value)" : "\(value)" }
    func four(_ value: Int) -> String { String(repeating: "0", count: max(0, 4 - "\(value)".count)) + "\(value)" }
    let hour12 = hour % 12 == 0 ? 12 : hour % 12
    while let c = characters.next() {
      guard c == "%", let code = characters.next() else {
        out.append(c)
        continue
      }
      switch code {
      case "Y": out += four(date.year)
      case "m": out += two(date.month)
      case "d": out += two(date.day)
      case "e": out += "\(date.day)"
      case "H": out += two(hour)
      case "I": out += two(hour12)
      case "l": out += "\(hour12)"
      case "M": out += two(minute)
      case "S": out += two(second)
      case "p": out += hour < 12 ? "AM" : "PM"
      case "A": out += Self.weekdays[Int(weekday)]
      case "a": out += String(Self.weekdays[Int(weekday)].prefix(3))
      case "B": out += Self.months[date.month - 1]
      case "b": out += String(Self.months[date.month - 1].prefix(3))
      case "j": out += (date.dayOfYear < 100 ? "0" : "") + two(date.dayOfYear)
      case "F": out += "\(four(date.year))-\(two(date.month))-\(two(date.day))"
      case "T": out += "\(two(hour)):\(two(minute)):\(two(second))"
      case "R": out += "\(two(hour)):\(two(minute))"
      case "%": out += "%"
      default: out += "%\(code)"
      }
    }
    return out
  }
}
