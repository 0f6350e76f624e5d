/// Why a text is not the markup it claims to be: one sentence with the place.
public struct SpeechMarkupError: Error, Sendable, Hashable, CustomStringConvertible {
  public var message: String
  /// Line and column of the source, from 1; columns count bytes.
  public var line: Int
  public var column: Int

  public var description: String { "line \(line), column \(column): \(message)" }
}

/// Takes XML apart into tags and text, as far as speech markup needs it. Refuses what could grow (declared entities) and
/// everything that is not well-formed; tags are not yet matched with each other here.
struct MarkupScanner {
  enum Token: Equatable {
    /// `isEmpty`: `<break/>`, which no closing tag follows.
    case open(name: String, attributes: [String: String], isEmpty: Bool)
    case close(name: String)
    /// With its entities resolved.
    case text(String)
  }

  /// Attributes of one element; SSML knows ten at most.
  static let maxAttributes = 32

  private let bytes: [UInt8]
  private var at = 0

  init(_ source: String) { bytes = Array(source.utf8) }

  /// Bytes of the whole source.
  var count: Int { bytes.count }

  /// nil at the end.
  mutating func next() throws(SpeechMarkupError) -> Token? {
    while at < bytes.count {
      guard bytes[at] == UInt8(ascii: "<") else { return .text(try text()) }
      if has("<!--") {
        try skip(past: "-->", of: "a comment", from: 4)
      } else if has("<![CDATA[") {
        let start = at + 9
        try skip(past: "]]>", of: "a CDATA section", from: 9)
        return .text(String(decoding: bytes[start..<at - 3], as: UTF8.self))
      } else if has("<?") {
        try skip(past: "?>", of: "a processing instruction", from: 2)
      } else if has("<!") {
        try documentType()
      } else if has("</") {
        at += 2
        let name = try name("a closing tag")
        skipSpace()
        try expect(">", "to end </\(name)")
        return .close(name: name)
      } else {
        return try openingTag()
      }
    }
    return nil
  }

  /// An error at what comes next.
  func error(_ message: String) -> SpeechMarkupError {
    let before = bytes[..<min(at, bytes.count)]
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    return SpeechMarkupError(
      message: message, line: 1 + before.count { $0 == 0x0A }, column: 1 + before.count - lineStart)
  }

  // MARK: Tags

  private mutating func openingTag() throws(SpeechMarkupError) -> Token {
    at += 1
    let name = try name("a tag (write &lt; for the character)")
    var attributes: [String: String] = [:]
    while true {
      let hadSpace = skipSpace()
      guard at < bytes.count else { throw error("<\(name) does not end") }
      if bytes[at] == UInt8(ascii: ">") {
        at += 1
        return .open(name: name, attributes: attributes, isEmpty: false)
      }
      if has("/>") {
        at += 2
        return .open(name: name, attributes: attributes, isEmpty: true)
      }
      guard hadSpace else { throw error("<\(name) goes on with something that is no attribute") }
      let key = try self.name("an attribute of <\(name)>")
      skipSpace()
      try expect("=", "after the attribute \(key)")
      skipSpace()
      guard attributes.count < Self.maxAttributes else {
        throw error("<\(name)> has more than \(Self.maxAttributes) attributes")
      }
      guard attributes.updateValue(try quoted(key), forKey: key) == nil else {
        throw error("<\(name)> has the attribute \(key) twice")
      }
    }
  }

  private mutating func quoted(_ key: String) throws(SpeechMarkupError) -> String {
    guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "'") else {
      throw error("the value of \(key) must stand in quotes")
    }
    let quote = bytes[at]
    at += 1
    var value: [UInt8] = []
    while at < bytes.count, bytes[at] != quote {
      if bytes[at] == UInt8(ascii: "<") { throw error("the value of \(key) holds a <: write &lt;") }
      try take(into: &value)
    }
    guard at < bytes.count else { throw error("the value of \(key) does not end") }
    at += 1
    return String(decoding: value, as: UTF8.self)
  }

  /// A name without its namespace's prefix.
  private mutating func name(_ what: String) throws(SpeechMarkupError) -> String {
    let start = at
    while at < bytes.count, Self.isNameByte(bytes[at]) { at += 1 }
    guard at > start, !(0x30...0x39).contains(bytes[start]), bytes[start] != UInt8(ascii: "-"),
      bytes[start] != UInt8(ascii: ".")
    else {
      at = start
      throw error("\(what) needs a name here")
    }
    let name = String(decoding: bytes[start..<at], as: UTF8.self)
    guard let colon = name.lastIndex(of: ":") else { return name }
    return String(name[name.index(after: colon)...])
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 0x30...0x39, 0x80...,
      UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"):
      true
    default: false
    }
  }

  /// `<!DOCTYPE ...>` is passed over; one with declarations of its own is refused, for they can grow without bound.
  private mutating func documentType() throws(SpeechMarkupError) {
    guard has("<!DOCTYPE") else { throw error("there is no such thing as <! in speech markup") }
    while at < bytes.count, bytes[at] != UInt8(ascii: ">") {
      if bytes[at] == UInt8(ascii: "[") { throw error("a document type must not declare anything") }
      at += 1
    }
    try expect(">", "to end the document type")
  }

  // MARK: Text

  private mutating func text() throws(SpeechMarkupError) -> String {
    var value: [UInt8] = []
    while at < bytes.count, bytes[at] != UInt8(ascii: "<") { try take(into: &value) }
    return String(decoding: value, as: UTF8.self)
  }

  /// Takes one byte, or one entity.
  private mutating func take(into value: inout [UInt8]) throws(SpeechMarkupError) {
    guard bytes[at] == UInt8(ascii: "&") else {
      value.append(bytes[at])
      at += 1
      return
    }
    // `&#x10FFFF;` is the longest there can be.
    guard let end = bytes[at...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
      throw error("an & begins no entity here: write &amp;")
    }
    let entity = String(decoding: bytes[at + 1..<end], as: UTF8.self)
    guard let scalar = Self.scalar(entity) else { throw error("there is no entity &\(entity);") }
    value.append(contentsOf: String(Character(scalar)).utf8)
    at = end + 1
  }

  private static func scalar(_ entity: String) -> Unicode.Scalar? {
    switch entity {
    case "amp": return "&"
    case "lt": return "<"
    case "gt": return ">"
    case "quot": return "\""
    case "apos": return "'"
    case _ where entity.hasPrefix("#x"): return UInt32(entity.dropFirst(2), radix: 16).flatMap(visible)
    case _ where entity.hasPrefix("#"): return UInt32(entity.dropFirst()).flatMap(visible)
    default: return nil
    }
  }

  /// XML has no control characters but white space.
  private static func visible(_ code: UInt32) -> Unicode.Scalar? {
    code >= 0x20 || code == 0x09 || code == 0x0A || code == 0x0D ? Unicode.Scalar(code) : nil
  }

  // MARK: Bytes

  private func has(_ text: StaticString) -> Bool {
    guard at + text.utf8CodeUnitCount <= bytes.count else { return false }
    return text.withUTF8Buffer { bytes[at..<at + $0.count].elementsEqual($0) }
  }

  @discardableResult
  private mutating func skipSpace() -> Bool {
    let start = at
    while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
    return at > start
  }

  private mutating func expect(_ text: StaticString, _ why: String) throws(SpeechMarkupError) {
    guard has(text) else { throw error("a \(text) is missing \(why)") }
    at += text.utf8CodeUnitCount
  }

  private mutating func skip(past end: StaticString, of what: String, from: Int) throws(SpeechMarkupError) {
    let start = at
    at += from
    while at < bytes.count {
      if has(end) {
        at += end.utf8CodeUnitCount
        return
      }
      at += 1
    }
    at = start
    throw error("\(what) does not end")
  }
}
