/// A keypad digit in the body of an INFO: what phones and gateways sent before RFC 4733, and still do (RFC 6086 2 calls it
/// legacy use).
public struct SIPDigit: Hashable, Sendable {
  /// `0` to `9`, `*`, `#`, `A` to `D`.
  public var digit: Character
  /// How long the key was held, in milliseconds, 1 to 10,000; nil where the body does not say.
  public var durationMs: Int?

  public init(_ digit: Character, durationMs: Int? = nil) {
    self.digit = digit
    self.durationMs = durationMs
  }

  /// `Signal=5` and `Duration=160`, one to a line.
  public static let relayType = "application/dtmf-relay"
  /// The digit alone.
  public static let plainType = "application/dtmf"

  /// A body is some 25 bytes.
  private static let bytesLimit = 1_024
  private static let digits: [Character] = Array("0123456789*#ABCD")

  /// Reads a body of either type; nil where it is none or holds no digit.
  public init?(_ body: SIPBody) {
    guard body.bytes.count <= Self.bytesLimit else { return nil }
    var signal: String?
    var duration: Int?
    let isPlain: Bool
    switch mediaType(body.contentType) {
    case Self.relayType: isPlain = false
    case Self.plainType: isPlain = true
    default: return nil
    }
    for line in body.bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) {
      let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let value = String(decoding: SIPScanner.trimmed(parts[parts.count - 1]), as: UTF8.self)
      if parts.count == 1 {
        if isPlain, signal == nil { signal = value }
        continue
      }
      switch String(decoding: SIPScanner.trimmed(parts[0]).map(asciiLowercase), as: UTF8.self) {
      case "signal": if signal == nil { signal = value }
      case "duration":
        var scanner = SIPScanner(value)
        duration = scanner.number(upTo: 10_000).map { Int($0) }
      default: break
      }
    }
    guard let signal, let digit = Self.digit(signal) else { return nil }
    self.init(digit, durationMs: duration.flatMap { $0 > 0 ? $0 : nil })
  }

  /// The digit itself, or its number as an event of RFC 4733: some gateways write `10` for `*`.
  private static func digit(_ signal: String) -> Character? {
    if signal.utf8.count == 1, let byte = signal.utf8.first {
      let upper = (0x61...0x64).contains(byte) ? byte & 0xDF : byte
      let digit = Character(UnicodeScalar(upper))
      return digits.contains(digit) ? digit : nil
    }
    guard signal.utf8.count == 2, let number = Int(signal), (10..<digits.count).contains(number) else { return nil }
    return digits[number]
  }

  /// The `application/dtmf-relay` body of this digit.
  public var body: SIPBody {
    let text = "Signal=\(digit)\r\nDuration=\(durationMs ?? 100)\r\n"
    return SIPBody(contentType: Self.relayType, bytes: Array(text.utf8))
  }
}

/// A Content-Type without its parameters, in lower case.
func mediaType(_ contentType: String) -> String {
  let type = contentType.utf8.split(separator: UInt8(ascii: ";"), maxSplits: 1).first ?? contentType.utf8[...]
  return String(decoding: SIPScanner.trimmed(Array(type)[...]).map(asciiLowercase), as: UTF8.self)
}
