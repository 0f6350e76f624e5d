/// A ULID: 48 bits of wall-clock milliseconds, then 80 random bits, in 26 characters of Crockford's base 32, so that
/// identifiers sort by the time they were made.
public enum ULID {
  private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

  /// - Parameter unixMilliseconds: wall-clock time; values outside 48 bits are truncated.
  public static func make(unixMilliseconds: Int64, using random: inout some RandomNumberGenerator) -> String {
    var bytes = [UInt8](repeating: 0, count: 26)
    var time = UInt64(truncatingIfNeeded: unixMilliseconds) & 0xFFFF_FFFF_FFFF
    for i in stride(from: 9, through: 0, by: -1) {
      bytes[i] = alphabet[Int(time & 31)]
      time >>= 5
    }
    var high = random.next()
    var low = random.next()
    for i in 10..<18 {
      bytes[i] = alphabet[Int(high & 31)]
      high >>= 5
    }
    for i in 18..<26 {
      bytes[i] = alphabet[Int(low & 31)]
      low >>= 5
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// Names one call's recorded life, from the offer to the hang-up. A ULID; the same in every role, log line and event.
public struct SessionID: Hashable, Sendable, CustomStringConvertible {
  public let value: String
  public init(_ value: String) { self.value = value }
  public var description: String { value }
}

/// Names one prompt or sound that a session plays. Unique within its session, given by whoever starts the playback.
public struct PlaybackID: Hashable, Sendable, CustomStringConvertible {
  public let value: UInt32
  public init(_ value: UInt32) { self.value = value }
  public var description: String { "p\(value)" }
}
