/// Lets so many through per second, with room for a burst: a token bucket, kept as the one instant at which it will be full
/// again (the generic cell rate algorithm of ITU-T I.371), so that it needs no timer and forgets nothing by rounding.
public struct TokenBucket: Sendable, Hashable {
  /// Nanoseconds that one token takes to come back.
  private let interval: Int64
  /// How many may come at once.
  public let burst: Int
  /// When it is full again; in the past: it is full.
  private var fullAt: Instant?

  /// - Parameters:
  ///   - perSecond: tokens that come back in a second, above 0; at most 1,000,000.
  ///   - burst: 1 to 1,000,000; what is below or above is taken for the nearest.
  public init(perSecond: Double, burst: Int) {
    interval = Int64(1_000_000_000 / min(max(perSecond, 0.000_1), 1_000_000))
    self.burst = min(max(1, burst), 1_000_000)
  }

  /// Takes a token.
  /// - Returns: nil where there was one; else how long until there is.
  public mutating func take(at now: Instant) -> Duration? {
    let full = max(fullAt ?? now, now) + .nanoseconds(interval)
    let excess = (full - now).nanoseconds - interval &* Int64(burst)
    if excess > 0 { return .nanoseconds(excess) }
    fullAt = full
    return nil
  }

  /// Tokens that are there now.
  public func remaining(at now: Instant) -> Int {
    let missing = (untilFull(at: now).nanoseconds + interval - 1) / interval
    return max(0, burst - Int(missing))
  }

  /// How long until every token is back.
  public func untilFull(at now: Instant) -> Duration { max(.zero, (fullAt ?? now) - now) }
}

/// A bucket for each of many senders, in bounded memory.
///
/// Senders are kept in two halves: when the newer half is full, the older one is forgotten, so that a sender that was quiet
/// for long begins afresh. A flood of more than `limit` senders makes each of them begin afresh sooner; it never grows.
public struct TokenBuckets<Sender: Hashable & Sendable>: Sendable {
  private let fresh: TokenBucket
  private let half: Int
  private var newer: [Sender: TokenBucket] = [:]
  private var older: [Sender: TokenBucket] = [:]

  /// - Parameter limit: senders that are remembered.
  public init(_ bucket: TokenBucket, limit: Int) {
    fresh = bucket
    half = max(1, limit / 2)
  }

  /// See ``TokenBucket/take(at:)``.
  public mutating func take(_ sender: Sender, at now: Instant) -> Duration? {
    var bucket = self[sender]
    defer { keep(sender, bucket) }
    return bucket.take(at: now)
  }

  /// The sender's bucket as it is.
  public subscript(sender: Sender) -> TokenBucket { newer[sender] ?? older[sender] ?? fresh }

  /// Senders that are remembered now.
  public var count: Int { newer.count + older.keys.count { newer[$0] == nil } }

  private mutating func keep(_ sender: Sender, _ bucket: TokenBucket) {
    if newer[sender] == nil, newer.count >= half {
      older = newer
      newer = [:]
    }
    newer[sender] = bucket
  }
}
