import Base

/// Chooses among the processes of a role, as a name server lists them: of two that are drawn by lot, the one with less
/// to do. Avoids the draining, the full, and those that have just failed. Pure; the lot is drawn from a seed.
public struct PeerChoice: Sendable {
  public enum Choice: Sendable, Hashable {
    case peer(String)
    /// Nobody now; the time at which somebody may be tried again, where one is known.
    case nobody(until: Instant?)
  }

  /// More than a service has pods; what a name server lists beyond is not looked at.
  public static let addressLimit = 1_024
  /// A report that is older says nothing.
  public static let reportLasts: Duration = .seconds(10)
  /// After one failure, doubling to ``pauseAtMost``, each drawn between half of it and all of it.
  public static let pause: Duration = .milliseconds(200)
  public static let pauseAtMost: Duration = .seconds(10)

  private struct Peer: Sendable {
    /// The share of its capacity that is taken: 0 to 1, or more.
    var load = 0.0
    var reportedAt: Instant?
    /// Calls given to it since the report.
    var given = 0
    var isDraining = false
    var failures = 0
    var restsUntil: Instant?
  }

  private var peers: [String: Peer] = [:]
  private var random: SeededRandom
  /// What one call takes of a peer's capacity, before it says so itself.
  private let share: Double

  /// - Parameter callsPerPeer: about how many calls one process serves; a call given weighs its share.
  public init(callsPerPeer: Int = 100, random: SeededRandom) {
    share = 1 / Double(max(1, callsPerPeer))
    self.random = random
  }

  /// In no order that means anything.
  public var addresses: [String] { peers.keys.sorted() }

  /// The addresses that the service has now. What is known of those that stay is kept.
  public mutating func replace(_ addresses: some Sequence<String>) {
    var next: [String: Peer] = [:]
    for address in addresses where next.count < Self.addressLimit { next[address] = peers[address] ?? Peer() }
    peers = next
  }

  /// What a peer says of itself.
  public mutating func report(_ address: String, load: Double, isDraining: Bool, at now: Instant) {
    guard var peer = peers[address] else { return }
    peer.load = load.isFinite ? max(0, load) : 1
    peer.isDraining = isDraining
    peer.reportedAt = now
    peer.given = 0
    peers[address] = peer
  }

  public mutating func succeeded(_ address: String) {
    peers[address]?.failures = 0
    peers[address]?.restsUntil = nil
  }

  public mutating func failed(_ address: String, at now: Instant) {
    guard var peer = peers[address] else { return }
    let doubled = min(Self.pause * (1 << min(peer.failures, 16)), Self.pauseAtMost)
    // Whoever saw it fail must not come back all at once.
    let rest = doubled.nanoseconds / 2 + Int64(random.next() % UInt64(doubled.nanoseconds / 2 + 1))
    peer.failures += 1
    peer.restsUntil = now + .nanoseconds(rest)
    peers[address] = peer
  }

  /// Chooses a peer for one call, and counts it as given.
  public mutating func choose(avoiding avoided: Set<String> = [], at now: Instant) -> Choice {
    let awake = peers.filter { !$1.isDraining && !avoided.contains($0) && $1.restsUntil ?? now <= now }
    // A full peer is asked where there is no other: it may have room by now.
    let free = awake.filter { load($1, at: now) < 1 }
    let usable = (free.isEmpty ? awake : free).keys.sorted()
    guard let first = draw(usable) else {
      let others = peers.filter { !$1.isDraining && !avoided.contains($0) }
      return .nobody(until: others.values.compactMap(\.restsUntil).min())
    }
    let second = draw(usable.filter { $0 != first }) ?? first
    let chosen = load(peers[second], at: now) < load(peers[first], at: now) ? second : first
    peers[chosen]?.given += 1
    return .peer(chosen)
  }

  private mutating func draw(_ addresses: [String]) -> String? {
    addresses.isEmpty ? nil : addresses[Int(random.next() % UInt64(addresses.count))]
  }

  private func load(_ peer: Peer?, at now: Instant) -> Double {
    guard let peer else { return 1 }
    let isFresh = peer.reportedAt.map { now - $0 <= Self.reportLasts } ?? false
    return (isFresh ? peer.load : 0) + Double(peer.given) * share
  }
}
