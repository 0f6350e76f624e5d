/// What a body may hold. A call's description is under 2 KiB; these bounds stop a hostile one early.
public enum SDPLimits {
  /// A UDP datagram's worth.
  public static let maxOctets = 65_535
  /// WebRTC offers reach 300 lines.
  public static let maxLines = 2_000
  public static let maxLineOctets = 4_096
  /// An answer repeats every section, so an offer must not make us write thousands.
  public static let maxMedia = 32
  /// There are 128 payload types.
  public static let maxFormats = 128
}

/// Why a body is no session description, and where.
public struct SDPError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable, Hashable, CaseIterable {
    case empty
    case tooLarge = "too_large"
    case tooManyLines = "too_many_lines"
    case lineTooLong = "line_too_long"
    case tooManyMedia = "too_many_media"
    case tooManyFormats = "too_many_formats"
    /// Not `x=value`.
    case badLine = "bad_line"
    /// `v=` missing at the start, or not 0.
    case badVersion = "bad_version"
    case badOrigin = "bad_origin"
    case badConnection = "bad_connection"
    case badMedia = "bad_media"
    /// Not UTF-8, or a NUL.
    case badText = "bad_text"
    case missingOrigin = "missing_origin"
  }
  public var code: Code
  /// Both count from 1.
  public var line: Int
  public var column: Int

  public init(_ code: Code, line: Int, column: Int = 1) {
    self.code = code
    self.line = line
    self.column = column
  }
  public var description: String { "SDP \(code.rawValue) at \(line):\(column)" }
}

extension SessionDescription {
  /// Reads a body. Tolerant where the meaning is clear: bare LF or CR, a missing last newline, lines out of order, missing
  /// `s=` and `t=`, unknown lines and attributes, blanks at either end, empty lines. The first error ends it.
  public init(parsing bytes: some Sequence<UInt8>) throws(SDPError) {
    let result = bytes.withContiguousStorageIfAvailable { buffer in
      Result { () throws(SDPError) in try SDPParser.parse(buffer) }
    }
    if let result {
      self = try result.get()
    } else {
      let copy = Array(bytes)
      self = try copy.withUnsafeBufferPointer { buffer in
        Result { () throws(SDPError) in try SDPParser.parse(buffer) }
      }.get()
    }
  }

  /// As above, from text.
  public init(parsing text: String) throws(SDPError) { try self.init(parsing: text.utf8) }

  /// The text form, lines ended by CRLF, ready to be a body.
  public func serialized() -> String {
    var out = "v=0\r\n"
    func line(_ type: Character, _ value: String) {
      // A line break inside a value would let its author write lines of his own.
      let safe = value.utf8.contains { $0 == 10 || $0 == 13 } ? String(value.filter { !$0.isNewline }) : value
      out += "\(type)=\(safe)\r\n"
    }
    func attributes(_ list: [Attribute]) {
      for attribute in list { line("a", attribute.value.map { "\(attribute.name):\($0)" } ?? attribute.name) }
    }
    func others(_ list: [Line], _ types: Set<Character>, invert: Bool = false) {
      for other in list where types.contains(other.type) != invert { line(other.type, other.value) }
    }
    let username = origin.username.isEmpty ? "-" : origin.username
    line("o", "\(username) \(origin.sessionID) \(origin.version) \(origin.address.text)")
    line("s", name.isEmpty ? "-" : name)
    let beforeConnection: Set<Character> = ["i", "u", "e", "p"]
    others(otherLines, beforeConnection)
    if let connection { line("c", connection.text) }
    others(otherLines, ["b"])
    for time in times { line("t", time) }
    others(otherLines, beforeConnection.union(["b"]), invert: true)
    attributes(self.attributes)
    for section in media {
      let port = section.portCount == 1 ? "\(section.port)" : "\(section.port)/\(section.portCount)"
      line("m", ([section.kind, port, section.transport] + section.formats).joined(separator: " "))
      others(section.otherLines, ["i"])
      if let connection = section.connection { line("c", connection.text) }
      others(section.otherLines, ["i"], invert: true)
      attributes(section.attributes)
    }
    return out
  }
}

extension Connection {
  var text: String { "IN \(type.rawValue) \(address)" }
}

/// Reads line by line; what stands before the first `m=` is the session's.
private struct SDPParser {
  private var lineNumber = 0
  private var origin: Origin?
  private var session = SessionDescription(
    origin: Origin(sessionID: "0", version: 0, address: Connection("0.0.0.0")), times: [])
  private var sawVersion = false

  static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(SDPError) -> SessionDescription {
    var parser = SDPParser()
    var begin = 0
    for (index, byte) in bytes.enumerated() {
      guard index < SDPLimits.maxOctets else { throw SDPError(.tooLarge, line: parser.lineNumber + 1) }
      switch byte {
      case 10 where index > 0 && bytes[index - 1] == 13: begin = index + 1
      case 10, 13:
        try parser.take(bytes[begin..<index])
        begin = index + 1
      case 0: throw SDPError(.badText, line: parser.lineNumber + 1, column: index - begin + 1)
      default:
        guard index - begin < SDPLimits.maxLineOctets else {
          throw SDPError(.lineTooLong, line: parser.lineNumber + 1, column: index - begin + 1)
        }
      }
    }
    if begin < bytes.count { try parser.take(bytes[begin...]) }
    return try parser.finish()
  }

  private mutating func take(_ line: Slice<UnsafeBufferPointer<UInt8>>) throws(SDPError) {
    let bytes = UnsafeBufferPointer(rebasing: line)
    lineNumber += 1
    guard lineNumber <= SDPLimits.maxLines else { throw error(.tooManyLines) }
    var end = bytes.count
    while end > 0, bytes[end - 1] == 32 || bytes[end - 1] == 9 { end -= 1 }
    var start = 0
    while start < end, bytes[start] == 32 || bytes[start] == 9 { start += 1 }
    if start == end { return }
    guard end - start >= 2, bytes[start + 1] == UInt8(ascii: "="), (97...122).contains(bytes[start] | 0x20) else {
      throw error(.badLine, start)
    }
    let type = Character(UnicodeScalar(bytes[start] | 0x20))
    guard let value = String(validating: bytes[(start + 2)..<end], as: UTF8.self) else {
      throw error(.badText, start + 2)
    }
    if !sawVersion {
      guard type == "v", value == "0" else { throw error(.badVersion, start) }
      sawVersion = true
      return
    }
    try take(type, value, start + 2)
  }

  private mutating func finish() throws(SDPError) -> SessionDescription {
    guard sawVersion else { throw SDPError(.empty, line: 1) }
    guard let origin else { throw error(.missingOrigin) }
    session.origin = origin
    if session.times.isEmpty { session.times = ["0 0"] }
    return session
  }

  private mutating func take(_ type: Character, _ value: String, _ column: Int) throws(SDPError) {
    switch type {
    case "v": break
    case "o": if origin == nil { origin = try parseOrigin(value, column) }
    case "s": if session.media.isEmpty { session.name = value }
    case "t": session.times.append(value)
    case "c":
      let connection = try parseConnection(words(value, column), .badConnection)
      if session.media.isEmpty {
        session.connection = connection
      } else if session.media[session.media.count - 1].connection == nil {
        session.media[session.media.count - 1].connection = connection
      }
    case "m":
      guard session.media.count < SDPLimits.maxMedia else { throw error(.tooManyMedia, column) }
      session.media.append(try parseMedia(value, column))
    case "a":
      let attribute = parseAttribute(value)
      if session.media.isEmpty {
        session.attributes.append(attribute)
      } else {
        session.media[session.media.count - 1].attributes.append(attribute)
      }
    default:
      if session.media.isEmpty {
        session.otherLines.append(Line(type: type, value: value))
      } else {
        session.media[session.media.count - 1].otherLines.append(Line(type: type, value: value))
      }
    }
  }

  private func parseOrigin(_ value: String, _ column: Int) throws(SDPError) -> Origin {
    var parts = words(value, column)
    guard parts.count >= 5 else { throw error(.badOrigin, column) }
    // Some senders put a user name with blanks here; the last five words are the ones that count.
    let username = parts.dropLast(5).map(\.text).joined(separator: " ")
    parts.removeFirst(parts.count - 5)
    let id = parts[0]
    guard !id.text.isEmpty, id.text.utf8.count <= 64, id.text.utf8.allSatisfy({ (48...57).contains($0) }) else {
      throw error(.badOrigin, id.column)
    }
    let version = parts[1]
    guard !version.text.isEmpty, version.text.utf8.count <= 64,
      version.text.utf8.allSatisfy({ (48...57).contains($0) })
    else { throw error(.badOrigin, version.column) }
    // Beyond 64 bits only "has it changed" matters; its last digits tell.
    let number = UInt64(version.text) ?? UInt64(version.text.suffix(18)) ?? 0
    let address = try parseConnection(Array(parts[2...]), .badOrigin)
    return Origin(username: username.isEmpty ? "-" : username, sessionID: id.text, version: number, address: address)
  }

  private func parseConnection(
    _ parts: [(text: String, column: Int)], _ code: SDPError.Code
  ) throws(SDPError) -> Connection {
    guard parts.count >= 3 else { throw error(code, parts.last?.column ?? 2) }
    guard parts[0].text.uppercased() == "IN" else { throw error(code, parts[0].column) }
    guard let type = Connection.AddressType(rawValue: parts[1].text.uppercased()) else {
      throw error(code, parts[1].column)
    }
    let address = String(parts[2].text.prefix { $0 != "/" })
    guard !address.isEmpty, address.utf8.count <= 255,
      address.utf8.allSatisfy({ byte in
        byte | 0x20 >= 97 && byte | 0x20 <= 122 || (45...58).contains(byte) || byte == 95 || byte == 37
      })
    else { throw error(code, parts[2].column) }
    return Connection(type: type, address: address)
  }

  private func parseMedia(_ value: String, _ column: Int) throws(SDPError) -> MediaDescription {
    let parts = words(value, column)
    guard parts.count >= 3 else { throw error(.badMedia, column) }
    let ports = parts[1].text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let port = UInt16(ports[0]), ports[0].first != "+" else { throw error(.badMedia, parts[1].column) }
    var count = 1
    if ports.count == 2 {
      guard let number = UInt16(ports[1]), number > 0 else { throw error(.badMedia, parts[1].column) }
      count = Int(number)
    }
    let formats = parts[3...].map(\.text)
    guard formats.count <= SDPLimits.maxFormats else { throw error(.tooManyFormats, parts[3].column) }
    return MediaDescription(
      kind: parts[0].text.lowercased(), port: port, portCount: count, transport: parts[2].text, formats: formats)
  }

  private func parseAttribute(_ value: String) -> Attribute {
    guard let colon = value.firstIndex(of: ":") else { return Attribute(value) }
    return Attribute(String(value[..<colon]), String(value[value.index(after: colon)...].drop { $0 == " " }))
  }

  /// Words and the columns they begin at.
  private func words(_ value: String, _ column: Int) -> [(text: String, column: Int)] {
    value.split(whereSeparator: { $0 == " " || $0 == "\t" }).map { word in
      (String(word), column + value.utf8.distance(from: value.startIndex, to: word.startIndex))
    }
  }

  private func error(_ code: SDPError.Code, _ offset: Int = 0) -> SDPError {
    SDPError(code, line: lineNumber, column: offset + 1)
  }
}
