/// One request or response: a single array of bytes and the ranges that matter in it. Header values are decoded when they
/// are asked for. A message that exists has passed ``parse(_:framing:limits:)``, so its five identifying headers are sound.
public struct SIPMessage: Sendable {
  struct ByteRange: Hashable, Sendable {
    var lower: UInt32
    var upper: UInt32
    init(_ range: Range<Int>) {
      lower = UInt32(truncatingIfNeeded: range.lowerBound)
      upper = UInt32(truncatingIfNeeded: range.upperBound)
    }
    var range: Range<Int> { Int(lower)..<Int(upper) }
  }

  struct Field: Sendable {
    var id: SIPHeaderName
    var isFolded: Bool
    var name: ByteRange
    var value: ByteRange
  }

  enum StartLine: Sendable {
    case request(SIPMethod, uri: ByteRange)
    case response(Int, reason: ByteRange)
  }

  let storage: [UInt8]
  let start: StartLine
  let fields: [Field]
  let bodyRange: ByteRange

  // Read once by the parser, because every message needs them.
  /// Call-ID.
  public let callID: String
  /// CSeq. Its method is the request's own.
  public let cseq: SIPSequence
  public let from: SIPNameAddress
  public let to: SIPNameAddress
  /// The first Via. nil only for a response that has none.
  public let topVia: SIPVia?

  init(
    storage: [UInt8], start: StartLine, fields: [Field], body: Range<Int>, callID: String, cseq: SIPSequence,
    from: SIPNameAddress, to: SIPNameAddress, topVia: SIPVia?
  ) {
    self.storage = storage
    self.start = start
    self.fields = fields
    bodyRange = ByteRange(body)
    self.callID = callID
    self.cseq = cseq
    self.from = from
    self.to = to
    self.topVia = topVia
  }

  public var isRequest: Bool { if case .request = start { true } else { false } }

  /// The request's method, or that of the request that this response answers.
  public var method: SIPMethod { if case .request(let method, _) = start { method } else { cseq.method } }

  /// The response's status, 100 to 699; 0 for a request.
  public var status: Int { if case .response(let status, _) = start { status } else { 0 } }

  /// The response's reason phrase; empty for a request.
  public var reason: String { if case .response(_, let reason) = start { text(reason.range) } else { "" } }

  /// The Request-URI as written; empty for a response.
  public var requestURIText: String { if case .request(_, let uri) = start { text(uri.range) } else { "" } }

  /// The Request-URI; nil for a response.
  public var requestURI: SIPURI? { if case .request(_, let uri) = start { SIPURI(storage[uri.range]) } else { nil } }

  /// The body's bytes, without a copy.
  public var bodyBytes: ArraySlice<UInt8> { storage[bodyRange.range] }

  /// The body with its type; nil where there is none.
  public var body: SIPBody? {
    guard bodyRange.lower < bodyRange.upper else { return nil }
    return SIPBody(contentType: self[.contentType] ?? "", bytes: Array(bodyBytes))
  }

  /// The first value line of a header, unfolded; nil where the header is absent.
  public subscript(name: SIPHeaderName) -> String? { fields.first { $0.id == name }.map(value) }

  /// All value lines of a header, in order, unfolded, commas not taken apart.
  public func lines(_ name: SIPHeaderName) -> [String] { fields.filter { $0.id == name }.map(value) }

  /// The values of a header whose lines are comma-separated lists (Via, Route, Supported ...), in order.
  public func values(_ name: SIPHeaderName) -> [String] {
    var out: [String] = []
    for field in fields where field.id == name {
      for part in SIPScanner.list(Array(value(field).utf8)[...]) { out.append(String(decoding: part, as: UTF8.self)) }
    }
    return out
  }

  /// The first value line of any header, by name in any case, long or compact.
  public func first(_ name: String) -> String? {
    let id = SIPHeaderName(name)
    if id != .other { return self[id] }
    return fields.first { $0.id == .other && equalsIgnoringCase(text($0.name.range), name) }.map(value)
  }

  /// Every header in order: its canonical name where it is known, else as written, and its unfolded value.
  public var headers: [SIPHeaderField] {
    fields.map { SIPHeaderField($0.id == .other ? text($0.name.range) : $0.id.text, value($0)) }
  }

  /// The first Contact; nil where there is none, where it is `*`, or where it cannot be read.
  public var contact: SIPNameAddress? {
    guard let line = self[.contact], let first = SIPScanner.list(Array(line.utf8)[...]).first else { return nil }
    return SIPNameAddress(first)
  }

  /// Every readable Contact: the choices of a redirection.
  public var contacts: [SIPNameAddress] { values(.contact).compactMap { SIPNameAddress($0) } }

  /// Retry-After in seconds; nil where there is none.
  public var retryAfterSeconds: Int? {
    guard let line = self[.retryAfter] else { return nil }
    var scanner = SIPScanner(line)
    return scanner.number(upTo: 0x7FFF_FFFF).map { Int($0) }
  }

  /// Writes the message out again: long header names, one line each, a fresh Content-Length.
  public func serialized() -> [UInt8] {
    var writer: SIPMessageWriter
    switch start {
    case .request(let method, let uri): writer = SIPMessageWriter(request: method, uri: text(uri.range))
    case .response(let status, let reason): writer = SIPMessageWriter(response: status, reason: text(reason.range))
    }
    for field in fields where field.id != .contentLength {
      writer.add(raw: field.id == .other ? storage[field.name.range] : Array(field.id.text.utf8)[...], bytes(field))
    }
    return writer.finish(storage[bodyRange.range])
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: storage[range], as: UTF8.self) }

  func bytes(_ field: Field) -> ArraySlice<UInt8> { SIPMessage.unfolded(storage, field) }

  /// The value's bytes with line folds (RFC 3261 7.3.1) made single spaces; a copy only where there are some.
  static func unfolded(_ storage: [UInt8], _ field: Field) -> ArraySlice<UInt8> {
    let raw = storage[field.value.range]
    guard field.isFolded else { return raw }
    var out: [UInt8] = []
    out.reserveCapacity(raw.count)
    var i = raw.startIndex
    while i < raw.endIndex {
      if raw[i] == 0x0D || raw[i] == 0x0A {
        while i < raw.endIndex, isSpace(raw[i]) { i += 1 }
        while let last = out.last, last == 0x20 || last == 0x09 { out.removeLast() }
        out.append(0x20)
      } else {
        out.append(raw[i])
        i += 1
      }
    }
    return out[...]
  }

  func value(_ field: Field) -> String { String(decoding: bytes(field), as: UTF8.self) }
}
