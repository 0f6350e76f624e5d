import Base
import CallLink

/// Which way a peer's keys come: telephone events (RFC 4733), INFO (RFC 6086), or both for every key, which some phones do. Then
/// each counts once.
struct KeyWay {
  /// The same key within this time, by the other way, is the same press: an event ends when the key is let go.
  private static let overlap: Duration = .seconds(2)
  /// Keys that are remembered; nobody types faster.
  private static let limit = 16

  private var hasEvents = false
  /// Keys by INFO whose events may still come.
  private var informed: [(key: Character, at: Instant)] = []

  /// Whether a key by INFO counts.
  mutating func takesInformation(_ key: Character, at now: Instant) -> Bool {
    guard !hasEvents else { return false }
    informed.removeAll { $0.at + Self.overlap < now }
    if informed.count >= Self.limit { informed.removeFirst() }
    informed.append((key, now))
    return true
  }

  /// Whether a key by a telephone event counts.
  mutating func takesEvent(_ key: Character, at now: Instant) -> Bool {
    hasEvents = true
    informed.removeAll { $0.at + Self.overlap < now }
    guard let known = informed.firstIndex(where: { $0.key == key }) else { return true }
    informed.remove(at: known)
    return false
  }
}
