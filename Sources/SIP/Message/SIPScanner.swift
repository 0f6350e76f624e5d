/// Walks over the bytes of one header value. Every reader returns nil and says no more where the grammar does not hold.
struct SIPScanner {
  let bytes: ArraySlice<UInt8>
  var at: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    at = bytes.startIndex
  }

  init(_ text: String) { self.init(Array(text.utf8)[...]) }

  var isAtEnd: Bool { at >= bytes.endIndex }
  var peek: UInt8? { at < bytes.endIndex ? bytes[at] : nil }

  /// Skips spaces, tabs and folded lines.
  mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { at += 1 }
  }

  mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    at += 1
    return true
  }

  mutating func take(_ character: Unicode.Scalar) -> Bool { take(UInt8(ascii: character)) }

  mutating func run(while condition: (UInt8) -> Bool) -> ArraySlice<UInt8> {
    let start = at
    while let byte = peek, condition(byte) { at += 1 }
    return bytes[start..<at]
  }

  mutating func token() -> String? {
    let run = run(while: isToken)
    return run.isEmpty ? nil : String(decoding: run, as: UTF8.self)
  }

  /// Decimal digits without sign; nil where there are none or the number exceeds `limit`.
  mutating func number(upTo limit: UInt64) -> UInt64? {
    let digits = run { (0x30...0x39).contains($0) }
    guard !digits.isEmpty, digits.count <= 20 else { return nil }
    var value: UInt64 = 0
    for digit in digits {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit & 15))
      guard !overflow, !carry, sum <= limit else { return nil }
      value = sum
    }
    return value
  }

  /// A quoted string with its escapes undone (RFC 3261 25.1 `quoted-string`).
  mutating func quoted() -> String? {
    guard take("\"") else { return nil }
    var out: [UInt8] = []
    while let byte = peek {
      at += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
      case UInt8(ascii: "\\"):
        guard let escaped = peek else { return nil }
        at += 1
        out.append(escaped)
      default: out.append(byte)
      }
    }
    return nil
  }

  /// A host: a name, an IPv4 address, or an IPv6 address in brackets, which are taken off.
  mutating func host() -> String? {
    if take("[") {
      let address = run { isHexDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
      guard !address.isEmpty, address.contains(UInt8(ascii: ":")), take("]") else { return nil }
      return String(decoding: address, as: UTF8.self)
    }
    let name = run {
      (0x30...0x39).contains($0) || (0x61...0x7A).contains(asciiLowercase($0)) || $0 == UInt8(ascii: "-")
        || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
    }
    return name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
  }

  /// `:port` where there is one. nil only where the port is malformed.
  mutating func optionalPort() -> Int?? {
    let before = at
    skipSpace()
    guard take(":") else {
      at = before
      return .some(nil)
    }
    skipSpace()
    guard let port = number(upTo: 65_535), port > 0 else { return nil }
    return .some(Int(port))
  }

  /// `;name=value` pairs up to whatever does not continue them.
  mutating func parameters() -> [SIPParameter]? {
    var list: [SIPParameter] = []
    while true {
      skipSpace()
      guard take(";") else { return list }
      skipSpace()
      guard let name = token() else { return nil }
      skipSpace()
      guard take("=") else {
        list.append(SIPParameter(name, nil))
        continue
      }
      skipSpace()
      if peek == UInt8(ascii: "\"") {
        guard let value = quoted() else { return nil }
        list.append(SIPParameter(name, value, isQuoted: true))
      } else {
        // Wider than the grammar: branches and tags in the field hold whatever does not end a parameter.
        let value = run {
          $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"")
            && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">")
        }
        guard !value.isEmpty else { return nil }
        list.append(SIPParameter(name, String(decoding: value, as: UTF8.self)))
      }
    }
  }

  /// The parts of a comma-separated list, commas within quotes and angle brackets left alone, spaces trimmed. Empty parts
  /// are left out.
  static func list(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
    var parts: [ArraySlice<UInt8>] = []
    var start = bytes.startIndex
    var inQuotes = false
    var inAngle = false
    var i = bytes.startIndex
    while i < bytes.endIndex {
      let byte = bytes[i]
      if inQuotes {
        if byte == UInt8(ascii: "\\") { i += 1 } else if byte == UInt8(ascii: "\"") { inQuotes = false }
      } else if byte == UInt8(ascii: "\"") {
        inQuotes = true
      } else if byte == UInt8(ascii: "<") {
        inAngle = true
      } else if byte == UInt8(ascii: ">") {
        inAngle = false
      } else if byte == UInt8(ascii: ","), !inAngle {
        parts.append(trimmed(bytes[start..<i]))
        start = i + 1
      }
      i += 1
    }
    parts.append(trimmed(bytes[min(start, bytes.endIndex)...]))
    return parts.filter { !$0.isEmpty }
  }

  static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var slice = bytes
    while let first = slice.first, isSpace(first) { slice = slice.dropFirst() }
    while let last = slice.last, isSpace(last) { slice = slice.dropLast() }
    return slice
  }
}

func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }

func isHexDigit(_ byte: UInt8) -> Bool {
  (0x30...0x39).contains(byte) || (0x61...0x66).contains(asciiLowercase(byte))
}

/// One `;name=value` of a header or URI; names compare without case.
public struct SIPParameter: Hashable, Sendable {
  public var name: String
  /// nil for a flag such as `lr`.
  public var value: String?
  var isQuoted: Bool

  public init(_ name: String, _ value: String?) { self.init(name, value, isQuoted: false) }

  init(_ name: String, _ value: String?, isQuoted: Bool) {
    self.name = name
    self.value = value
    self.isQuoted = isQuoted
  }

  var text: String {
    guard let value else { return ";\(name)" }
    return isQuoted ? ";\(name)=\(quote(value))" : ";\(name)=\(value)"
  }
}

extension [SIPParameter] {
  /// The first parameter of this name, in any case.
  public func first(named name: String) -> SIPParameter? { first { equalsIgnoringCase($0.name, name) } }
}

/// `text` as a quoted-string.
func quote(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    if scalar == "\"" || scalar == "\\" { out.unicodeScalars.append("\\") }
    out.unicodeScalars.append(scalar)
  }
  return out + "\""
}
