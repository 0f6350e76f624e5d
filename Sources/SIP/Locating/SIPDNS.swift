import Base

/// A question to the domain name system. The owner's resolver follows aliases and keeps what it has learnt.
public enum SIPDNSQuery: Hashable, Sendable, CustomStringConvertible {
  case naptr(String)
  case srv(String)
  case ipv4(String)
  case ipv6(String)

  public var description: String {
    switch self {
    case .naptr(let name): "NAPTR \(name)"
    case .srv(let name): "SRV \(name)"
    case .ipv4(let name): "A \(name)"
    case .ipv6(let name): "AAAA \(name)"
    }
  }
}

/// What came of it.
public enum SIPDNSAnswer: Hashable, Sendable {
  case naptr([SIPNAPTRRecord])
  case srv([SIPSRVRecord])
  /// In text form.
  case addresses([String])
  /// There is no such record, or no server answered in time.
  case none
}

/// RFC 3403 4.1.
public struct SIPNAPTRRecord: Hashable, Sendable {
  public var order: Int
  public var preference: Int
  public var flags: String
  public var service: String
  public var regexp: String
  public var replacement: String

  public init(
    order: Int, preference: Int, flags: String, service: String, regexp: String = "", replacement: String
  ) {
    self.order = order
    self.preference = preference
    self.flags = flags
    self.service = service
    self.regexp = regexp
    self.replacement = replacement
  }
}

/// RFC 2782.
public struct SIPSRVRecord: Hashable, Sendable {
  public var priority: Int
  public var weight: Int
  public var port: Int
  /// `.` for a service that is decidedly not there.
  public var target: String

  public init(priority: Int, weight: Int, port: Int, target: String) {
    self.priority = priority
    self.weight = weight
    self.port = port
    self.target = target
  }

  /// The weight, whatever a resolver hands in.
  private var share: UInt64 { UInt64(min(max(weight, 0), 65_535)) }

  /// The order in which to try them: by priority, among equals at random by weight.
  static func ordered(_ records: [SIPSRVRecord], random: inout SeededRandom) -> [SIPSRVRecord] {
    var out: [SIPSRVRecord] = []
    // Those of weight 0 first, so that they have a small chance of being drawn.
    var left = records.sorted { ($0.priority, $0.weight, $0.target) < ($1.priority, $1.weight, $1.target) }[...]
    while let first = left.first {
      var group = Array(left.prefix { $0.priority == first.priority })
      left = left.dropFirst(group.count)
      while !group.isEmpty {
        let total = group.reduce(UInt64(0)) { $0 + $1.share }
        let drawn = random.next() % (total + 1)
        var sum: UInt64 = 0
        let index = group.firstIndex { record in
          sum += record.share
          return sum >= drawn
        }
        out.append(group.remove(at: index ?? 0))
      }
    }
    return out
  }
}
