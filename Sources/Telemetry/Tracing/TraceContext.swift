/// Names one trace: 16 bytes, not all zero (W3C Trace Context section 3.2.2.3).
public struct TraceID: Hashable, Sendable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  /// nil for the all-zero name, which is nobody's.
  public init?(high: UInt64, low: UInt64) {
    guard high != 0 || low != 0 else { return nil }
    self.high = high
    self.low = low
  }

  /// 32 lower-case hexadecimal digits; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 32, let high = hexWord(text.utf8.prefix(16)), let low = hexWord(text.utf8.suffix(16))
    else { return nil }
    self.init(high: high, low: low)
  }

  public var description: String { hexText(high) + hexText(low) }
}

/// Names one span of a trace: 8 bytes, not all zero (section 3.2.2.4).
public struct SpanID: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt64

  /// nil for the all-zero name.
  public init?(_ value: UInt64) {
    guard value != 0 else { return nil }
    self.value = value
  }

  /// 16 lower-case hexadecimal digits; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 16, let value = hexWord(text.utf8) else { return nil }
    self.init(value)
  }

  public var description: String { hexText(value) }
}

/// Where in a trace something happens: what `traceparent` and `tracestate` carry (W3C Trace Context, Level 1). Pure.
public struct TraceContext: Hashable, Sendable {
  public static let parentHeader = "traceparent"
  public static let stateHeader = "tracestate"

  public var traceID: TraceID
  public var spanID: SpanID
  /// Whether whoever began the trace wants it recorded.
  public var isSampled: Bool
  public var state: TraceState

  public init(traceID: TraceID, spanID: SpanID, isSampled: Bool, state: TraceState = TraceState()) {
    self.traceID = traceID
    self.spanID = spanID
    self.isSampled = isSampled
    self.state = state
  }

  /// Reads the headers of a request. A `tracestate` that is not well formed is left out, as section 3.3.1.5 wants; a `traceparent`
  /// that is not makes nil.
  public init?(traceparent: String, tracestate: [String] = []) {
    let text = Array(traceparent.utf8)
    // 2-32-16-2 with dashes. Later versions may go on behind another dash (section 3.2.4); this one may not.
    guard text.count >= 55, text.count <= Self.lengthLimit,
      [2, 35, 52].allSatisfy({ text[$0] == UInt8(ascii: "-") }), let version = hexWord(text[0..<2]), version != 0xFF,
      version == 0 ? text.count == 55 : text.count == 55 || text[55] == UInt8(ascii: "-"),
      let high = hexWord(text[3..<19]), let low = hexWord(text[19..<35]), let trace = TraceID(high: high, low: low),
      let span = hexWord(text[36..<52]).flatMap({ SpanID($0) }), let flags = hexWord(text[53..<55])
    else { return nil }
    self.init(
      traceID: trace, spanID: span, isSampled: flags & 1 == 1, state: TraceState(parsing: tracestate) ?? TraceState())
  }

  /// A later version's header is at most this long; nothing behind the flags is read.
  static let lengthLimit = 512

  /// The header of a request that is made here: version 00, and of the flags the one that this version knows.
  public var traceparent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }
}

/// What other tracing systems let travel with a trace (section 3.3): passed on as it came.
public struct TraceState: Hashable, Sendable, CustomStringConvertible {
  /// Members of a list, and bytes that are passed on (section 3.3.1.5).
  public static let memberLimit = 32
  public static let byteLimit = 512

  /// `key=value`, in order.
  public let members: [String]

  public init() { members = [] }

  /// Reads all headers of that name as one list (RFC 9110 section 5.3); nil where any member is not well formed, a key comes
  /// twice, or there are too many.
  public init?(parsing headers: [String]) {
    var members: [String] = []
    var keys: Set<Substring> = []
    var size = 0
    for header in headers {
      size += header.utf8.count
      guard size <= 16 * Self.byteLimit else { return nil }
      for part in header.split(separator: ",", omittingEmptySubsequences: false) {
        let member = part.trimmingBlanks
        if member.isEmpty { continue }
        guard let equals = member.firstIndex(of: "="), Self.isKey(member[..<equals]),
          Self.isValue(member[member.index(after: equals)...]), keys.insert(member[..<equals]).inserted,
          members.count < Self.memberLimit
        else { return nil }
        members.append(String(member))
      }
    }
    // Long members go first, then the oldest: those at the end (section 3.3.1.5).
    func total() -> Int { members.reduce(max(0, members.count - 1)) { $0 + $1.utf8.count } }
    if total() > Self.byteLimit { members.removeAll { $0.utf8.count > 128 } }
    while total() > Self.byteLimit { members.removeLast() }
    self.members = members
  }

  /// The header; empty: none.
  public var description: String { members.joined(separator: ",") }
  public var isEmpty: Bool { members.isEmpty }

  /// `simple` or `tenant@system` (section 3.3.1.3.1).
  private static func isKey(_ key: Substring) -> Bool {
    let parts = key.split(separator: "@", omittingEmptySubsequences: false)
    func isName(_ part: Substring, longest: Int, firstMayBeDigit: Bool) -> Bool {
      guard (1...longest).contains(part.utf8.count), let first = part.utf8.first else { return false }
      guard isLower(first) || (firstMayBeDigit && isDigit(first)) else { return false }
      return part.utf8.allSatisfy { isLower($0) || isDigit($0) || "_-*/".utf8.contains($0) }
    }
    switch parts.count {
    case 1: return isName(parts[0], longest: 256, firstMayBeDigit: false)
    case 2:
      return isName(parts[0], longest: 241, firstMayBeDigit: true)
        && isName(parts[1], longest: 14, firstMayBeDigit: false)
    default: return false
    }
  }

  /// Printable, without comma and equals sign, not ending with a blank (section 3.3.1.3.2).
  private static func isValue(_ value: Substring) -> Bool {
    (1...256).contains(value.utf8.count) && value.utf8.last != 0x20
      && value.utf8.allSatisfy {
        (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "=")
      }
  }

  private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}

extension Substring {
  fileprivate var trimmingBlanks: Substring {
    var part = self
    while let first = part.utf8.first, first == 0x20 || first == 0x09 { part = part.dropFirst() }
    while let last = part.utf8.last, last == 0x20 || last == 0x09 { part = part.dropLast() }
    return part
  }
}

/// Lower-case hexadecimal digits, at most 16; nil for anything else. Upper case is not allowed in these headers.
private func hexWord(_ digits: some Sequence<UInt8>) -> UInt64? {
  var word: UInt64 = 0
  for byte in digits {
    switch byte {
    case 0x30...0x39: word = word << 4 | UInt64(byte - 0x30)
    case 0x61...0x66: word = word << 4 | UInt64(byte - 0x61 + 10)
    default: return nil
    }
  }
  return word
}

private func hexText(_ word: UInt64) -> String {
  let digits = String(word, radix: 16)
  return String(repeating: "0", count: 16 - digits.count) + digits
}
