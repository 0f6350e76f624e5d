import Base

/// `Session-Expires` (RFC 4028 4): how long a session lasts without a refresh, and who refreshes it.
struct SIPSessionExpires: Hashable, Sendable {
  /// As seen from the request that the header belongs to: its sender or its receiver.
  enum Refresher: String, Sendable { case uac, uas }

  var seconds: Int
  var refresher: Refresher?

  /// nil where the value is none.
  init?(_ text: String) {
    var scanner = SIPScanner(text)
    scanner.skipSpace()
    guard let number = scanner.number(upTo: 0x7FFF_FFFF), let parameters = scanner.parameters(), scanner.isAtEnd else {
      return nil
    }
    seconds = Int(number)
    refresher = parameters.first(named: "refresher")?.value.flatMap { Refresher(rawValue: $0.asciiLowercased) }
  }
}

/// The timer of one session (RFC 4028 10): whoever refreshes does so at half the interval; both sides hang up shortly before
/// the interval is over.
struct SIPSessionTimer: Hashable, Sendable {
  /// What RFC 4028 4 allows at least, in seconds, and what holds without Min-SE.
  static let leastSeconds = 90

  let seconds: Int
  /// Whether this side refreshes.
  let isOurs: Bool
  let expiresAt: Instant
  var refreshAt: Instant
  /// Refreshes that have failed since the last good one.
  var attempts = 0

  init(seconds: Int, isOurs: Bool, at now: Instant) {
    self.seconds = seconds
    self.isOurs = isOurs
    expiresAt = now + .seconds(Int64(seconds))
    refreshAt = now + .milliseconds(Int64(seconds) * 500)
  }

  /// When the session counts as dead: min(32 s, a third of the interval) before it expires.
  var byeAt: Instant { expiresAt - min(.seconds(32), .milliseconds(Int64(seconds) * 1_000 / 3)) }

  /// A refresh was refused: the next try comes soon, and sooner the less time there is.
  mutating func postpone(at now: Instant) {
    attempts += 1
    refreshAt = now + max(.seconds(2), .nanoseconds((byeAt - now).nanoseconds / 4))
  }
}

extension SIPMessage {
  /// Whether Supported or Require name this option.
  func supports(_ option: String) -> Bool {
    values(.supported).contains { equalsIgnoringCase($0, option) } || requires(option)
  }

  func requires(_ option: String) -> Bool { values(.require).contains { equalsIgnoringCase($0, option) } }

  /// Whether Allow names this method; nil where there is no Allow.
  func allows(_ method: SIPMethod) -> Bool? {
    guard self[.allow] != nil else { return nil }
    return values(.allow).contains(method.name)
  }

  var sessionExpires: SIPSessionExpires? { self[.sessionExpires].flatMap { SIPSessionExpires($0) } }

  /// Min-SE in seconds; nil where there is none.
  var minSE: Int? { self[.minSE].flatMap { SIPSessionExpires($0)?.seconds } }
}
