/// JSON (RFC 8259) for ``Value``, without Foundation, so that pure rooms can read and write it.
public enum JSON {
  /// Why a text is no JSON.
  public struct ParseError: Error, Equatable, CustomStringConvertible {
    /// Byte offset of the first byte that does not fit.
    public var offset: Int
    public var reason: String
    public var description: String { "invalid JSON at byte \(offset): \(reason)" }
  }

  /// Deeper nesting is refused: a hostile document must not exhaust the stack.
  public static let depthLimit = 64

  // MARK: Writing

  /// Compact JSON with keys in sorted order, so that equal values give equal bytes. Doubles that JSON cannot say are null.
  public static func encode(_ value: Value) -> String {
    var out: [UInt8] = []
    write(value, to: &out)
    return String(decoding: out, as: UTF8.self)
  }

  /// Appends the JSON of `value` to `out`; see ``encode(_:)``.
  public static func write(_ value: Value, to out: inout [UInt8]) {
    switch value {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let b): out.append(contentsOf: (b ? "true" : "false").utf8)
    case .int(let i): out.append(contentsOf: String(i).utf8)
    case .double(let d): out.append(contentsOf: (d.isFinite ? "\(d)" : "null").utf8)
    case .string(let s): write(s, to: &out)
    case .list(let items):
      out.append(UInt8(ascii: "["))
      for (i, item) in items.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        write(item, to: &out)
      }
      out.append(UInt8(ascii: "]"))
    case .map(let map):
      out.append(UInt8(ascii: "{"))
      for (i, (key, item)) in map.sorted(by: { $0.key < $1.key }).enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        write(key, to: &out)
        out.append(UInt8(ascii: ":"))
        write(item, to: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  private static func write(_ string: String, to out: inout [UInt8]) {
    out.append(UInt8(ascii: "\""))
    var string = string
    string.withUTF8 { bytes in
      // Most texts need no escape: what lies between two is copied in one go.
      var copied = 0
      for (place, byte) in bytes.enumerated()
      where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
        out.append(contentsOf: bytes[copied..<place])
        copied = place + 1
        escape(byte, to: &out)
      }
      out.append(contentsOf: bytes[copied...])
    }
    out.append(UInt8(ascii: "\""))
  }

  private static func escape(_ byte: UInt8, to out: inout [UInt8]) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
    case 0x0A: out += "\\n".utf8
    case 0x0D: out += "\\r".utf8
    case 0x09: out += "\\t".utf8
    default: out += "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8
    }
  }

  // MARK: Reading

  /// Reads one JSON document. Integers that fit 64 bits are `int`, other numbers `double`; the last of equal keys wins.
  public static func decode(_ text: String) throws(ParseError) -> Value { try decode(Array(text.utf8)) }

  /// Reads one JSON document from UTF-8 bytes; see ``decode(_:)-(String)``.
  /// - Parameter refusingDuplicates: an object with two equal keys is an error: two readers might disagree about it.
  public static func decode(_ bytes: [UInt8], refusingDuplicates: Bool = false) throws(ParseError) -> Value {
    var reader = Reader(bytes: bytes, refusesDuplicates: refusingDuplicates)
    reader.skipSpace()
    let value = try reader.value(depth: 0)
    reader.skipSpace()
    guard reader.at == bytes.count else { throw reader.error("unexpected text after the value") }
    return value
  }

  private struct Reader {
    let bytes: [UInt8]
    let refusesDuplicates: Bool
    var at = 0

    func error(_ reason: String) -> ParseError { ParseError(offset: at, reason: reason) }
    var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func skipSpace() {
      while let b = peek, b == 0x20 || b == 0x0A || b == 0x0D || b == 0x09 { at += 1 }
    }

    mutating func take(_ literal: StaticString, _ value: Value) throws(ParseError) -> Value {
      for i in 0..<literal.utf8CodeUnitCount {
        guard peek == literal.utf8Start[i] else { throw error("expected \(literal)") }
        at += 1
      }
      return value
    }

    mutating func value(depth: Int) throws(ParseError) -> Value {
      guard depth < JSON.depthLimit else { throw error("nested deeper than \(JSON.depthLimit)") }
      switch peek {
      case UInt8(ascii: "n"): return try take("null", .null)
      case UInt8(ascii: "t"): return try take("true", .bool(true))
      case UInt8(ascii: "f"): return try take("false", .bool(false))
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "["):
        at += 1
        var items: [Value] = []
        skipSpace()
        if peek == UInt8(ascii: "]") { at += 1; return .list([]) }
        while true {
          skipSpace()
          items.append(try value(depth: depth + 1))
          skipSpace()
          switch peek {
          case UInt8(ascii: ","): at += 1
          case UInt8(ascii: "]"): at += 1; return .list(items)
          default: throw error("expected , or ]")
          }
        }
      case UInt8(ascii: "{"):
        at += 1
        var map: [String: Value] = [:]
        skipSpace()
        if peek == UInt8(ascii: "}") { at += 1; return .map([:]) }
        while true {
          skipSpace()
          guard peek == UInt8(ascii: "\"") else { throw error("expected a key") }
          let key = try string()
          skipSpace()
          guard peek == UInt8(ascii: ":") else { throw error("expected :") }
          at += 1
          skipSpace()
          if refusesDuplicates, map[key] != nil { throw error("the key \"\(key.prefix(64))\" stands twice") }
          map[key] = try value(depth: depth + 1)
          skipSpace()
          switch peek {
          case UInt8(ascii: ","): at += 1
          case UInt8(ascii: "}"): at += 1; return .map(map)
          default: throw error("expected , or }")
          }
        }
      case .some(let b) where b == UInt8(ascii: "-") || (0x30...0x39).contains(b): return try number()
      default: throw error(at < bytes.count ? "unexpected character" : "unexpected end")
      }
    }

    mutating func number() throws(ParseError) -> Value {
      let start = at
      if peek == UInt8(ascii: "-") { at += 1 }
      guard let first = peek, (0x30...0x39).contains(first) else { throw error("expected a digit") }
      skipDigits()
      if first == 0x30, at - start > (bytes[start] == UInt8(ascii: "-") ? 2 : 1) {
        throw error("a number has a leading zero")
      }
      var isInteger = true
      if peek == UInt8(ascii: ".") {
        isInteger = false
        at += 1
        guard skipDigits() else { throw error("expected a digit") }
      }
      if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
        isInteger = false
        at += 1
        if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { at += 1 }
        guard skipDigits() else { throw error("expected a digit") }
      }
      let text = String(decoding: bytes[start..<at], as: UTF8.self)
      if isInteger, let int = Int64(text) { return .int(int) }
      guard let double = Double(text), double.isFinite else { throw error("a number is out of range") }
      return .double(double)
    }

    @discardableResult
    mutating func skipDigits() -> Bool {
      let start = at
      while let b = peek, (0x30...0x39).contains(b) { at += 1 }
      return at > start
    }

    mutating func string() throws(ParseError) -> String {
      at += 1
      var out: [UInt8] = []
      while let b = peek {
        at += 1
        switch b {
        case UInt8(ascii: "\""):
          guard let text = String(validating: out, as: UTF8.self) else { throw error("a string is not UTF-8") }
          return text
        case UInt8(ascii: "\\"): try escape(into: &out)
        case 0..<0x20: throw error("a control character in a string")
        default: out.append(b)
        }
      }
      throw error("a string is not closed")
    }

    mutating func escape(into out: inout [UInt8]) throws(ParseError) {
      guard let b = peek else { throw error("unexpected end") }
      at += 1
      switch b {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(b)
      case UInt8(ascii: "n"): out.append(0x0A)
      case UInt8(ascii: "r"): out.append(0x0D)
      case UInt8(ascii: "t"): out.append(0x09)
      case UInt8(ascii: "b"): out.append(0x08)
      case UInt8(ascii: "f"): out.append(0x0C)
      case UInt8(ascii: "u"):
        var code = try hex4()
        if (0xD800..<0xDC00).contains(code), peek == UInt8(ascii: "\\"), at + 1 < bytes.count,
          bytes[at + 1] == UInt8(ascii: "u")
        {
          at += 2
          let low = try hex4()
          guard (0xDC00..<0xE000).contains(low) else { throw error("a surrogate without its pair") }
          code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error("a surrogate without its pair") }
        out.append(contentsOf: String(Character(scalar)).utf8)
      default: throw error("unknown escape")
      }
    }

    mutating func hex4() throws(ParseError) -> UInt32 {
      var code: UInt32 = 0
      for _ in 0..<4 {
        guard let b = peek, let digit = Character(Unicode.Scalar(b)).hexDigitValue else {
          throw error("expected four hex digits")
        }
        code = code << 4 | UInt32(digit)
        at += 1
      }
      return code
    }
  }
}
