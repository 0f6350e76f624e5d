import Base

/// How late packets come, relative to the quickest lately: a forgetting histogram, asked for its percentile.
struct DelayHistogram: Sendable {
  static let bucketMs = 5
  /// 300 ms: above any delay that the buffer may add, and above what a call can bear.
  private static let buckets = 60
  /// The share of packets that shall be in time.
  private static let quantile: Float = 0.995
  /// Each packet weighs this much more than the one before: half is forgotten after nine seconds of 20 ms packets.
  private static let growth: Float = 1.0015
  /// Until so many packets were seen, the target is not below ``startMs``.
  private static let startPackets = 100
  private static let startMs = 20

  private var weights = [Float](repeating: 0, count: buckets)
  private var total: Float = 0
  private var weight: Float = 1
  private var packets = 0

  mutating func add(delayMs: Int) {
    weights[max(0, min(delayMs / Self.bucketMs, Self.buckets - 1))] += weight
    total += weight
    weight *= Self.growth
    packets += 1
    if weight > 1e6 {
      for i in weights.indices { weights[i] /= weight }
      total /= weight
      weight = 1
    }
  }

  /// The delay that the wanted share of packets does not exceed.
  var targetMs: Int {
    var sum: Float = 0
    var index = 0
    while index < Self.buckets - 1 {
      sum += weights[index]
      if sum >= total * Self.quantile { break }
      index += 1
    }
    let measured = total > 0 ? (index + 1) * Self.bucketMs : 0
    return packets < Self.startPackets ? max(measured, Self.startMs) : measured
  }
}

/// The least transit time of the last 2.5 to 5 seconds, in timestamp units: follows clock drift and route changes.
struct TransitFloor: Sendable {
  private static let window = Duration.milliseconds(2500)
  private var current: Int64 = .max
  private var previous: Int64 = .max
  private var windowBegan = Instant.zero

  var isKnown: Bool { current != .max }
  var value: Int64 { min(current, previous) }

  mutating func add(_ transit: Int64, at now: Instant) {
    if isKnown, now - windowBegan < Self.window {
      current = min(current, transit)
    } else {
      previous = current
      current = transit
      windowBegan = now
    }
  }
}
