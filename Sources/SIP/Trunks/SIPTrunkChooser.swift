import Base

/// What is known of a trunk when a call is to go out over one.
public struct SIPTrunk: Hashable, Sendable {
  public var name: String
  public var destinations: SIPDestinations
  public var rules: [SIPNumberRule]
  /// Calls at once; nil: any number.
  public var calls: Int?
  /// Calls begun per second, and how many may begin together; nil: any number.
  public var callsPerSecond: Double?
  public var burst: Int

  public init(
    name: String, destinations: SIPDestinations, rules: [SIPNumberRule] = [], calls: Int? = nil,
    callsPerSecond: Double? = nil, burst: Int = 1
  ) {
    self.name = name
    self.destinations = destinations
    self.rules = rules
    self.calls = calls
    self.callsPerSecond = callsPerSecond
    self.burst = burst
  }
}

/// Chooses the trunk of an outgoing call: in order, the first that may call the number, works, and has room.
public struct SIPTrunkChooser: Sendable {
  public enum Choice: Hashable, Sendable {
    /// A place is taken until ``SIPTrunkChooser/release(_:)``. `number` is what to dial there.
    case trunk(String, number: SIPNumber)
    /// No trunk is left: the reason that came nearest to a call.
    case none(Reason)
  }

  /// From far to near.
  public enum Reason: Int, Hashable, Sendable, Comparable, CaseIterable {
    /// No trunk may call it.
    case forbidden
    /// Those that may have been tried already.
    case tried
    case down
    /// As many calls as there may be, or too many in this second.
    case full

    public static func < (a: Reason, b: Reason) -> Bool { a.rawValue < b.rawValue }
  }

  private struct Seat: Sendable {
    var trunk: SIPTrunk
    var calls = 0
    var bucket: TokenBucket?
  }

  private var seats: [Seat]

  /// - Parameter trunks: in the order in which they are tried; names are unique.
  public init(_ trunks: [SIPTrunk]) { seats = trunks.map(Self.seat) }

  private static func seat(_ trunk: SIPTrunk) -> Seat {
    Seat(trunk: trunk, bucket: trunk.callsPerSecond.map { TokenBucket(perSecond: $0, burst: trunk.burst) })
  }

  /// New trunks. Calls that are up go on counting for those that stay.
  public mutating func replace(_ trunks: [SIPTrunk]) {
    let old = seats
    seats = trunks.map { trunk in
      var seat = Self.seat(trunk)
      guard let known = old.first(where: { $0.trunk.name == trunk.name }) else { return seat }
      seat.calls = known.calls
      if known.trunk.callsPerSecond == trunk.callsPerSecond, known.trunk.burst == trunk.burst {
        seat.bucket = known.bucket
      }
      return seat
    }
  }

  /// - Parameters:
  ///   - excluding: names of those that have failed for this call.
  ///   - isUsable: whether a trunk works (``SIPTrunkHealth``, ``SIPRegistration``).
  public mutating func choose(
    _ number: SIPNumber, excluding: Set<String> = [], isUsable: (String) -> Bool = { _ in true }, at now: Instant
  ) -> Choice {
    var nearest = Reason.forbidden
    for i in seats.indices {
      let trunk = seats[i].trunk
      guard trunk.destinations.allows(number), let dialled = number.rewritten(by: trunk.rules) else { continue }
      guard !excluding.contains(trunk.name) else {
        nearest = max(nearest, .tried)
        continue
      }
      guard isUsable(trunk.name) else {
        nearest = max(nearest, .down)
        continue
      }
      guard trunk.calls.map({ seats[i].calls < $0 }) ?? true, seats[i].bucket?.take(at: now) == nil else {
        nearest = max(nearest, .full)
        continue
      }
      seats[i].calls += 1
      return .trunk(trunk.name, number: dialled)
    }
    return .none(nearest)
  }

  /// A call over this trunk is over, or was not placed after all.
  public mutating func release(_ name: String) {
    guard let i = seats.firstIndex(where: { $0.trunk.name == name }), seats[i].calls > 0 else { return }
    seats[i].calls -= 1
  }

  /// Calls over a trunk now.
  public func calls(of name: String) -> Int { seats.first { $0.trunk.name == name }?.calls ?? 0 }

  /// Whether another trunk may have more luck after a refusal: what is about this trunk, and not about who was called.
  public static func failsOver(after status: Int) -> Bool {
    switch status {
    case 401, 403, 407, 408: true
    case 500...599: true
    default: false
    }
  }
}
