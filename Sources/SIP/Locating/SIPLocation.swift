import Base

/// Finds out where one URI is reached (RFC 3263 section 4): says what to ask the domain name system, and in the end gives the
/// peers in the order in which they are tried.
public struct SIPLocation: Sendable {
  public enum Step: Hashable, Sendable {
    /// Ask all of these, in any order, and hand the answers to ``SIPLocation/receive(_:for:)``.
    case ask([SIPDNSQuery])
    case found([SIPPeer])
    case failed(Failure)
  }

  public enum Failure: String, Error, Hashable, Sendable, CaseIterable {
    /// No URI that names a host.
    case unroutable
    /// A transport that is not spoken here, or not a secure one for `sips`.
    case transport
    /// The domain says that it has no SIP.
    case unavailable
    /// There is no address.
    case unknownHost = "unknown_host"
  }

  /// Records of one answer that are looked at, hosts that are asked for, and peers that are given: a domain may not make us ask
  /// the world.
  private static let recordLimit = 64
  private static let hostLimit = 12
  private static let peerLimit = 32

  /// A service to ask for, in the order of preference.
  private struct Service: Sendable {
    var transport: SIPTransport
    var name: String
    var records: [SIPSRVRecord]?
  }

  private struct Hop: Sendable {
    var transport: SIPTransport
    var host: String
    var port: Int
  }

  private enum Phase: Sendable {
    case naptr
    case services([Service])
    case addresses([Hop])
    case done
  }

  /// The host that the URI names: what a certificate has to be for (RFC 5922 4).
  public let domain: String
  /// What is to be done next.
  public private(set) var step: Step
  private let options: SIPLocator.Options
  private let isSecure: Bool
  private var phase = Phase.done
  private var open: Set<SIPDNSQuery> = []
  private var addresses: [SIPDNSQuery: [String]] = [:]
  private var random: SeededRandom

  init(_ uri: SIPURI, options: SIPLocator.Options, random: SeededRandom) {
    self.options = options
    self.random = random
    isSecure = uri.scheme == .sips
    let target = uri.parameters.first(named: "maddr")?.value ?? uri.host
    domain = target.asciiLowercased
    step = .failed(.unroutable)
    guard uri.scheme == .sip || uri.scheme == .sips, Self.isHost(domain) else { return }
    let named = uri.transportName
    var transport: SIPTransport?
    if let named {
      // `sips` over `tcp` means TLS; over a datagram there is none.
      transport = isSecure ? (named == "tcp" || named == "tls" ? Self.secure : nil) : SIPTransport(rawValue: named)
      guard let transport, options.transports.contains(transport) else {
        step = .failed(.transport)
        return
      }
    }
    let usual = isSecure ? Self.secure : .udp
    let isAddress = SIPIPAddress(domain) != nil
    if isAddress || uri.port != nil {
      guard let chosen = transport ?? usual, options.transports.contains(chosen) else {
        step = .failed(.transport)
        return
      }
      let hop = Hop(transport: chosen, host: domain, port: uri.port ?? Self.port(chosen))
      isAddress ? finish([SIPPeer(chosen, host: domain, port: hop.port)]) : resolve([hop])
    } else if let transport {
      ask(services: [transport])
    } else {
      phase = .naptr
      ask([.naptr(domain)])
    }
  }

  /// One answer. What was not asked for is ignored.
  public mutating func receive(_ answer: SIPDNSAnswer, for query: SIPDNSQuery) -> Step {
    guard open.remove(query) != nil else { return step }
    switch (phase, query, answer) {
    case (.naptr, _, .naptr(let records)): takePointers(records)
    case (.naptr, _, _): takePointers([])
    case (.services(var services), .srv(let name), _):
      let records: [SIPSRVRecord] = if case .srv(let records) = answer { records } else { [] }
      for i in services.indices where services[i].name == name {
        services[i].records = Array(records.prefix(Self.recordLimit))
      }
      phase = .services(services)
      if open.isEmpty { takeServices(services) }
    case (.addresses(let hops), _, _):
      if case .addresses(let found) = answer { addresses[query] = found }
      if open.isEmpty { takeAddresses(hops) }
    default: break
    }
    return step
  }

  private mutating func ask(_ queries: [SIPDNSQuery]) {
    open = Set(queries)
    step = .ask(queries)
  }

  private mutating func finish(_ peers: [SIPPeer]) {
    phase = .done
    step = peers.isEmpty ? .failed(.unknownHost) : .found(peers)
  }

  // MARK: Transports

  private static let secure = SIPTransport(rawValue: "tls")

  private static func port(_ transport: SIPTransport) -> Int { transport == secure ? 5061 : 5060 }

  /// The transports that may be used where the URI names none.
  private var usable: [SIPTransport] {
    options.transports.filter { isSecure ? $0 == Self.secure : ["udp", "tcp", "tls"].contains($0.rawValue) }
  }

  private func service(_ transport: SIPTransport) -> String {
    switch transport.rawValue {
    case "tls": "_sips._tcp.\(domain)"
    case let name: "_sip._\(name).\(domain)"
    }
  }

  /// RFC 3263 4.1: the services of NAPTR, in the domain's order.
  private mutating func takePointers(_ records: [SIPNAPTRRecord]) {
    let known = records.prefix(Self.recordLimit).compactMap { record -> (SIPNAPTRRecord, SIPTransport)? in
      let name: String
      switch record.service.asciiLowercased {
      case "sip+d2u": name = "udp"
      case "sip+d2t": name = "tcp"
      case "sips+d2t": name = "tls"
      default: return nil
      }
      guard let transport = SIPTransport(rawValue: name), usable.contains(transport), record.regexp.isEmpty,
        equalsIgnoringCase(record.flags, "s"), Self.isHost(Self.plain(record.replacement))
      else { return nil }
      return (record, transport)
    }
    let ordered = known.sorted { ($0.0.order, $0.0.preference) < ($1.0.order, $1.0.preference) }
    guard !ordered.isEmpty else {
      ask(services: usable)
      return
    }
    var services: [Service] = []
    for (record, transport) in ordered where services.count < usable.count {
      services.append(Service(transport: transport, name: Self.plain(record.replacement), records: nil))
    }
    phase = .services(services)
    ask(Self.unique(services.map { .srv($0.name) }))
  }

  private mutating func ask(services transports: [SIPTransport]) {
    let services = transports.map { Service(transport: $0, name: service($0), records: nil) }
    guard !services.isEmpty else {
      step = .failed(.transport)
      return
    }
    phase = .services(services)
    ask(services.map { .srv($0.name) })
  }

  // MARK: Hosts

  /// RFC 3263 4.2: the hosts of SRV, or the domain itself.
  private mutating func takeServices(_ services: [Service]) {
    var hops: [Hop] = []
    var isDenied = false
    for service in services {
      let records = service.records ?? []
      if records.count == 1, records[0].target == "." {
        isDenied = true
        continue
      }
      let usable = records.filter { record in
        (1...65_535).contains(record.port) && Self.isHost(Self.plain(record.target))
      }
      for record in SIPSRVRecord.ordered(usable, random: &random) {
        hops.append(Hop(transport: service.transport, host: Self.plain(record.target), port: record.port))
      }
    }
    if hops.isEmpty {
      guard !isDenied, let transport = services.count == 1 ? services[0].transport : fallback else {
        phase = .done
        step = .failed(isDenied ? .unavailable : .transport)
        return
      }
      hops = [Hop(transport: transport, host: domain, port: Self.port(transport))]
    }
    resolve(hops)
  }

  /// 4.1: UDP where nothing is known of a domain, TLS for `sips`.
  private var fallback: SIPTransport? {
    let usual = isSecure ? Self.secure : .udp
    return usable.first { $0 == usual } ?? usable.first
  }

  private mutating func resolve(_ hops: [Hop]) {
    var hosts: [String] = []
    var kept: [Hop] = []
    for hop in hops {
      if !hosts.contains(hop.host) {
        guard hosts.count < Self.hostLimit else { break }
        hosts.append(hop.host)
      }
      kept.append(hop)
    }
    phase = .addresses(kept)
    let names = hosts.filter { SIPIPAddress($0) == nil }
    guard !names.isEmpty else {
      takeAddresses(kept)
      return
    }
    ask(names.flatMap { name in options.families.map { $0.query(name) } })
  }

  private mutating func takeAddresses(_ hops: [Hop]) {
    var peers: [SIPPeer] = []
    for hop in hops {
      let hosts =
        SIPIPAddress(hop.host) != nil
        ? [hop.host]
        : options.families.flatMap { family in
          (addresses[family.query(hop.host)] ?? []).prefix(Self.recordLimit).filter { family.has($0) }
        }
      for host in hosts where peers.count < Self.peerLimit {
        let peer = SIPPeer(hop.transport, host: host, port: hop.port)
        if !peers.contains(peer) { peers.append(peer) }
      }
    }
    finish(peers)
  }

  // MARK: Names

  /// Without the dot at the end, in lower case.
  private static func plain(_ name: String) -> String {
    let text = name.asciiLowercased
    return text.last == "." ? String(text.dropLast()) : text
  }

  private static func unique(_ queries: [SIPDNSQuery]) -> [SIPDNSQuery] {
    var seen: Set<SIPDNSQuery> = []
    return queries.filter { seen.insert($0).inserted }
  }

  /// An address, or a name that a query can carry (RFC 1035 2.3.4; underscores are those of SRV).
  private static func isHost(_ text: String) -> Bool {
    if SIPIPAddress(text) != nil { return true }
    guard (1...253).contains(text.utf8.count) else { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count)
        && label.utf8.allSatisfy {
          (0x30...0x39).contains($0) || (0x61...0x7A).contains(asciiLowercase($0)) || $0 == 0x2D || $0 == 0x5F
        }
    }
  }
}
