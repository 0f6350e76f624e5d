import Base
import NIOConcurrencyHelpers

/// Keeps the addresses of names for a few seconds, and lets all who ask for one name wait for one lookup.
final class NameCache: Sendable {
  /// Short, because a name's owner may move it; long enough that a busy call does not look it up for every sentence.
  static let lifetime: Duration = .seconds(5)
  /// A name server that is silent for longer is not waited for.
  static let patience: Duration = .seconds(5)
  /// Names kept at once; more push out the oldest.
  static let limit = 1_024

  private struct Entry {
    var lookup: Task<[IPAddress], any Error>
    var begun: Instant
  }

  private let resolver: any AddressResolver
  private let clock: @Sendable () -> Instant
  private let entries = NIOLockedValueBox<[String: Entry]>([:])
  /// The address that answered last, so that connections are used again where a name has many.
  private let proven = NIOLockedValueBox<[String: IPAddress]>([:])

  init(_ resolver: any AddressResolver, clock: @escaping @Sendable () -> Instant) {
    self.resolver = resolver
    self.clock = clock
  }

  /// The addresses of `name`, the one that answered last first.
  func addresses(of name: String, timeout: Duration) async throws(OutboundError) -> [IPAddress] {
    let lookup = begin(name)
    let addresses: [IPAddress]
    do {
      addresses = try await firstOf(
        lookup, limit: min(timeout, Self.patience),
        late: OutboundError(.timeout, "\(name) was not found in time: the name server is silent"),
        left: OutboundError(.cancelled, "\(name) was not waited for"))
    } catch {
      entries.withLockedValue { if $0[name]?.lookup == lookup { $0[name] = nil } }
      throw error as? OutboundError ?? OutboundError(.unresolved, "\(name) has no address")
    }
    guard let best = proven.withLockedValue({ $0[name] }), let place = addresses.firstIndex(of: best), place > 0 else {
      return addresses
    }
    return [best] + addresses.filter { $0 != best }
  }

  func prove(_ address: IPAddress, for name: String) {
    proven.withLockedValue { proven in
      if proven[name] == address { return }
      if proven.count >= Self.limit { proven.removeAll() }
      proven[name] = address
    }
  }

  private func begin(_ name: String) -> Task<[IPAddress], any Error> {
    let now = clock()
    return entries.withLockedValue { entries in
      if let entry = entries[name], now - entry.begun < Self.lifetime { return entry.lookup }
      if entries.count >= Self.limit {
        entries = entries.filter { now - $0.value.begun < Self.lifetime }
        if entries.count >= Self.limit, let oldest = entries.min(by: { $0.value.begun < $1.value.begun }) {
          entries[oldest.key] = nil
        }
      }
      // A task of its own: the one who asked first may give up, the others still wait.
      let lookup = Task { [resolver] in try await resolver.addresses(of: name) }
      entries[name] = Entry(lookup: lookup, begun: now)
      return lookup
    }
  }
}
