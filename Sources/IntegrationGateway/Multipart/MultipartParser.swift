import NIOCore

/// Takes a form with files apart as it comes (RFC 7578, RFC 2046 section 5.1). A value machine: bytes in, parts out.
///
/// Strict where leniency would be a hole: a part has one `Content-Disposition: form-data` with a `name`, lines end with CR LF,
/// and a form ends with its closing boundary. What stands before the first boundary and after the last is passed over.
struct MultipartParser: Sendable {
  /// What a form may be.
  struct Limits: Sendable {
    /// Parts of a form: each phrase that is expected may be one, and there are at most 200.
    var parts = 256
    /// Bytes of a part's headers.
    var headerBytes = 4 * 1024
    /// Bytes of the whole form.
    var bytes: Int
  }

  enum Event: Sendable, Equatable {
    /// A part begins.
    case part(name: String, filename: String?, contentType: String?)
    /// More of the part's content.
    case content(ByteBuffer)
    /// The part is complete.
    case partEnd
  }

  struct Malformed: Error, Sendable, Equatable, CustomStringConvertible {
    enum Code: Sendable { case malformed, tooLarge }
    var code = Code.malformed
    var description: String
    init(_ description: String, code: Code = .malformed) {
      self.description = description
      self.code = code
    }
  }

  private enum Phase: Sendable {
    /// Before the first boundary.
    case preamble
    case headers
    case content
    /// After the closing boundary.
    case epilogue
  }

  private let limits: Limits
  /// `--boundary`, and the same with the line break that comes before it.
  private let opening: [UInt8]
  private let delimiter: [UInt8]
  private var phase = Phase.preamble
  private var waiting = ByteBuffer()
  private var parts = 0
  private var received = 0

  /// - Parameter contentType: the header's value, with its boundary.
  /// - Throws: where it is no form, or names no usable boundary (RFC 2046 section 5.1.1: 1 to 70 characters).
  init(contentType: String, limits: Limits) throws(Malformed) {
    guard let header = HeaderValue(contentType), header.value.lowercased() == "multipart/form-data" else {
      throw Malformed("the content type is not multipart/form-data")
    }
    guard let boundary = header.parameters["boundary"], (1...70).contains(boundary.utf8.count), boundary.last != " ",
      boundary.utf8.allSatisfy({ (0x20..<0x7F).contains($0) })
    else {
      throw Malformed("the content type names no boundary of 1 to 70 characters")
    }
    self.limits = limits
    opening = Array("--\(boundary)".utf8)
    delimiter = Array("\r\n--\(boundary)".utf8)
  }

  /// Takes the next bytes of the body.
  mutating func receive(_ bytes: ByteBuffer) throws(Malformed) -> [Event] {
    received += bytes.readableBytes
    guard received <= limits.bytes else {
      throw Malformed("a form has at most \(limits.bytes) bytes here", code: .tooLarge)
    }
    // What is handed out shares its memory with `waiting`, which must not be written to then; what is left is short.
    var joined = ByteBuffer()
    joined.reserveCapacity(waiting.readableBytes + bytes.readableBytes)
    joined.writeImmutableBuffer(waiting)
    joined.writeImmutableBuffer(bytes)
    waiting = joined
    var events: [Event] = []
    while try advance(&events) {}
    waiting = ByteBuffer(bytes: waiting.readableBytesView)
    return events
  }

  /// The body has ended.
  /// - Throws: where the closing boundary is missing.
  func finish() throws(Malformed) {
    guard case .epilogue = phase else {
      throw Malformed(
        parts == 0 && received == 0 ? "the form is empty" : "the form ends before its closing boundary")
    }
  }

  /// Goes one phase on; false: more bytes are needed.
  private mutating func advance(_ events: inout [Event]) throws(Malformed) -> Bool {
    switch phase {
    case .preamble:
      // The first boundary stands at the very beginning or after a line break.
      if starts(with: opening) {
        guard try takeBoundary(opening) else { return false }
      } else if let at = find(delimiter) {
        waiting.moveReaderIndex(forwardBy: at)
        guard try takeBoundary(delimiter) else { return false }
      } else {
        // Nobody sends a preamble; whoever sends a long one sends no form.
        guard waiting.readableBytes <= limits.headerBytes else {
          throw Malformed("the body does not begin with the form's boundary")
        }
        return false
      }
      return true
    case .headers: return try takeHeaders(&events)
    case .content:
      if let at = find(delimiter) {
        if at > 0, let piece = waiting.readSlice(length: at) { events.append(.content(piece)) }
        guard try takeBoundary(delimiter, ending: &events) else { return false }
        return true
      }
      // What may be the beginning of a delimiter waits.
      let safe = waiting.readableBytes - delimiter.count
      if safe > 0, let piece = waiting.readSlice(length: safe) { events.append(.content(piece)) }
      return false
    case .epilogue:
      waiting.moveReaderIndex(forwardBy: waiting.readableBytes)
      return false
    }
  }

  private mutating func takeBoundary(_ mark: [UInt8]) throws(Malformed) -> Bool {
    var none: [Event] = []
    return try takeBoundary(mark, ending: &none)
  }

  /// Takes a boundary and the rest of its line; the part before it ends with that. False: the line is not complete.
  private mutating func takeBoundary(_ mark: [UInt8], ending events: inout [Event]) throws(Malformed) -> Bool {
    let view = waiting.readableBytesView
    var at = view.startIndex + mark.count
    guard at + 2 <= view.endIndex else { return false }
    let isLast = view[at] == 0x2D && view[at + 1] == 0x2D
    if !isLast {
      // Spaces may pad the line (RFC 2046).
      while at < view.endIndex, view[at] == 0x20 || view[at] == 0x09 { at += 1 }
      guard at - view.startIndex <= mark.count + 64 else { throw Malformed("a boundary's line does not end") }
      guard at + 2 <= view.endIndex else { return false }
      guard view[at] == 0x0D, view[at + 1] == 0x0A else { throw Malformed("a boundary's line has something after it") }
    }
    waiting.moveReaderIndex(forwardBy: at + 2 - view.startIndex)
    if case .content = phase { events.append(.partEnd) }
    phase = isLast ? .epilogue : .headers
    return true
  }

  private mutating func takeHeaders(_ events: inout [Event]) throws(Malformed) -> Bool {
    // A part without headers would begin with the empty line alone.
    let end: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
    if starts(with: [0x0D, 0x0A]) { throw Malformed("a part has no Content-Disposition") }
    guard let length = find(end) else {
      guard waiting.readableBytes <= limits.headerBytes else {
        throw Malformed("a part's headers have more than \(limits.headerBytes) bytes", code: .tooLarge)
      }
      return false
    }
    guard length <= limits.headerBytes else {
      throw Malformed("a part's headers have more than \(limits.headerBytes) bytes", code: .tooLarge)
    }
    parts += 1
    guard parts <= limits.parts else { throw Malformed("a form has at most \(limits.parts) parts", code: .tooLarge) }
    let bytes = waiting.readableBytesView.prefix(length)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Malformed("a part's headers are not UTF-8") }
    waiting.moveReaderIndex(forwardBy: length + end.count)
    events.append(try Self.part(text))
    phase = .content
    return true
  }

  private static func part(_ headers: String) throws(Malformed) -> Event {
    var disposition: HeaderValue?
    var type: String?
    for line in headers.split(separator: "\r\n", omittingEmptySubsequences: false) {
      guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else {
        throw Malformed("a part has a header line without a name")
      }
      // A bare line break or a control character would hide a header in another.
      guard line.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
        throw Malformed("a part's headers hold control characters")
      }
      let value = String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
      switch line[..<colon].lowercased() {
      case "content-disposition":
        guard disposition == nil, let read = HeaderValue(value), read.value.lowercased() == "form-data" else {
          throw Malformed("a part's Content-Disposition is not one `form-data`")
        }
        disposition = read
      case "content-type": type = value
      case "content-transfer-encoding":
        // RFC 7578 section 4.7: deprecated; what is not the identity would have to be undone.
        guard ["binary", "8bit", "7bit"].contains(value.lowercased()) else {
          throw Malformed("a part comes in the transfer encoding `\(value)`; send it as it is")
        }
      default: break
      }
    }
    guard let disposition, let name = disposition.parameters["name"], !name.isEmpty else {
      throw Malformed("a part has no name")
    }
    return .part(name: name, filename: disposition.parameters["filename"], contentType: type)
  }

  // MARK: Searching

  private func starts(with mark: [UInt8]) -> Bool { waiting.readableBytesView.starts(with: mark) }

  /// The first place of `mark`, from the reader index.
  private func find(_ mark: [UInt8]) -> Int? {
    waiting.withUnsafeReadableBytes { bytes in
      guard bytes.count >= mark.count, let first = mark.first else { return nil }
      var at = 0
      let last = bytes.count - mark.count
      while at <= last {
        guard bytes[at] == first else {
          at += 1
          continue
        }
        var same = 1
        while same < mark.count, bytes[at + same] == mark[same] { same += 1 }
        if same == mark.count { return at }
        at += 1
      }
      return nil
    }
  }
}

/// A header's value with parameters (RFC 9110 section 5.6.6): `form-data; name="file"`.
struct HeaderValue: Sendable, Equatable {
  var value: String
  /// By lower-case name. A parameter that stands twice is none of ours: the whole value is refused.
  var parameters: [String: String] = [:]

  /// nil where it is malformed.
  init?(_ text: String) {
    var rest = Substring(text)
    value = Self.trimmed(Self.token(&rest, until: ";"))
    guard !value.isEmpty else { return nil }
    while rest.first == ";" {
      rest = rest.dropFirst()
      let name = Self.trimmed(Self.token(&rest, until: "=", ";"))
      guard rest.first == "=" else {
        if name.isEmpty { continue }
        return nil
      }
      rest = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
      let read: String
      if rest.first == "\"" {
        guard let quoted = Self.quoted(&rest) else { return nil }
        read = quoted
        guard Self.trimmed(Self.token(&rest, until: ";")).isEmpty else { return nil }
      } else {
        read = Self.trimmed(Self.token(&rest, until: ";"))
      }
      guard !name.isEmpty, parameters.updateValue(read, forKey: name.lowercased()) == nil else { return nil }
    }
  }

  private static func token(_ rest: inout Substring, until stops: Character...) -> Substring {
    let end = rest.firstIndex { stops.contains($0) } ?? rest.endIndex
    defer { rest = rest[end...] }
    return rest[..<end]
  }

  private static func quoted(_ rest: inout Substring) -> String? {
    var out = ""
    rest = rest.dropFirst()
    while let next = rest.first {
      rest = rest.dropFirst()
      switch next {
      case "\"": return out
      case "\\":
        // A backslash escapes a quote or itself; elsewhere it belongs to a path of Windows.
        if let escaped = rest.first, escaped == "\"" || escaped == "\\" {
          out.append(escaped)
          rest = rest.dropFirst()
        } else {
          out.append(next)
        }
      default: out.append(next)
      }
    }
    return nil
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text.drop { $0 == " " || $0 == "\t" }
    while text.last == " " || text.last == "\t" { text = text.dropLast() }
    return String(text)
  }
}
