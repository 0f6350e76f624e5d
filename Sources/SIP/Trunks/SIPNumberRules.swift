/// How a number is rewritten for a trunk: the rule with the longest prefix that fits is applied, once.
public struct SIPNumberRule: Hashable, Sendable {
  /// What the number begins with; empty for any.
  public var prefix: String
  /// Characters that are taken off its front.
  public var strip: Int
  /// What is put before the rest.
  public var add: String
  /// Lengths of the number that the rule is for.
  public var lengths: ClosedRange<Int>

  public init(prefix: String, strip: Int = 0, add: String = "", lengths: ClosedRange<Int> = 0...64) {
    self.prefix = prefix
    self.strip = strip
    self.add = add
    self.lengths = lengths
  }
}

/// A number to call, without what people write between its digits.
public struct SIPNumber: Hashable, Sendable {
  /// E.164 has 15 digits; with prefixes, and names of a PBX, there is more.
  public static let limit = 64

  public let text: String

  /// nil for what is neither a number nor the plain name of an extension: what could mean something else behind the rules that
  /// allowed it (escapes, parameters, another host) is no number.
  public init?(_ text: String) {
    guard text.utf8.count <= Self.limit else { return nil }
    let visual = Set(" -.()/".utf8)
    let isNumber = text.utf8.allSatisfy { Self.isDigit($0) || visual.contains($0) }
    let kept = isNumber ? text.utf8.filter { !visual.contains($0) } : Array(text.utf8)
    let isPlain = kept.allSatisfy {
      Self.isDigit($0) || (0x61...0x7A).contains(asciiLowercase($0)) || [0x2D, 0x2E, 0x5F].contains($0)
    }
    // A plus stands at the front or nowhere.
    guard !kept.isEmpty, isPlain, kept.lastIndex(of: 0x2B) ?? 0 == 0, kept != [0x2B] else { return nil }
    self.text = String(decoding: kept, as: UTF8.self)
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "*") || byte == UInt8(ascii: "#")
  }

  /// What the rules make of it; nil where nothing is left.
  public func rewritten(by rules: [SIPNumberRule]) -> SIPNumber? {
    let fitting = rules.filter { text.hasPrefix($0.prefix) && $0.lengths.contains(text.utf8.count) }
    // Of equals the first.
    guard let rule = fitting.reversed().max(by: { $0.prefix.utf8.count < $1.prefix.utf8.count }) else { return self }
    return SIPNumber(rule.add + text.dropFirst(max(rule.strip, 0)))
  }
}

/// Which numbers may be called: an allow list, with exceptions. Toll fraud calls what nobody has thought of, so what is not
/// allowed is forbidden.
public struct SIPDestinations: Hashable, Sendable {
  /// Prefixes; an empty one allows everything.
  public var allowed: [String]
  public var denied: [String]

  public init(allowed: [String], denied: [String] = []) {
    self.allowed = allowed
    self.denied = denied
  }

  /// The longest prefix decides; of equals the denial.
  public func allows(_ number: SIPNumber) -> Bool {
    func longest(_ prefixes: [String]) -> Int {
      prefixes.filter { number.text.hasPrefix($0) }.map(\.utf8.count).max() ?? -1
    }
    return longest(allowed) > longest(denied)
  }
}
