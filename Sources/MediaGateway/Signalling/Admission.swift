import Base
import MediaIO

/// Decides who may call and how often. A value; the time comes from its owner.
package struct Admission: Sendable {
  package enum Verdict: Equatable { case admitted, tooManyCalls, tooFast }

  private let allow: [AddressBlock]
  private let deny: [AddressBlock]
  private let maxCalls: Int
  private let callsPerSecond: Int
  // A token bucket in thousandths of a call: one second's worth at most, so a quiet hour saves up no burst.
  private var milliTokens: Int64
  private var refilled: Instant?

  package init(_ access: MediaGatewayConfiguration.Access, maxCalls: Int) throws(MediaGatewayError) {
    allow = try Self.blocks(access.allow, key: "allow")
    deny = try Self.blocks(access.deny, key: "deny")
    self.maxCalls = maxCalls
    callsPerSecond = max(0, access.maxCallsPerSecond)
    milliTokens = Int64(callsPerSecond) * 1000
  }

  private static func blocks(_ texts: [String], key: String) throws(MediaGatewayError) -> [AddressBlock] {
    var out: [AddressBlock] = []
    for text in texts {
      guard let block = AddressBlock(text) else {
        throw MediaGatewayError(
          code: .badConfiguration,
          description:
            "media.access.\(key) holds \"\(text)\", which is neither an IP address nor a block like 10.0.0.0/8")
      }
      out.append(block)
    }
    return out
  }

  /// Whether messages from there are looked at.
  package func admits(_ peer: PeerAddress) -> Bool {
    if deny.contains(where: { $0.contains(peer) }) { return false }
    return allow.isEmpty || allow.contains { $0.contains(peer) }
  }

  /// Whether one more call may begin.
  package mutating func admitCall(live: Int, at now: Instant) -> Verdict {
    guard live < maxCalls else { return .tooManyCalls }
    guard callsPerSecond > 0 else { return .admitted }
    if let refilled {
      // At least once per second is enough to be exact: the bucket holds no more.
      let microseconds = min(1_000_000, max(0, (now - refilled).nanoseconds / 1000))
      milliTokens = min(Int64(callsPerSecond) * 1000, milliTokens + microseconds * Int64(callsPerSecond) / 1000)
    }
    refilled = now
    guard milliTokens >= 1000 else { return .tooFast }
    milliTokens -= 1000
    return .admitted
  }
}
