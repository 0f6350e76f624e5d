import Base
import Testing

import SIP

/// RFC 3263 against a domain name system of a few lines.
@Suite struct LocatorTests {
  private static let options: SIPLocator.Options = {
    var options = SIPLocator.Options(transports: [.udp, .tcp])
    options.families = [.ipv6, .ipv4]
    return options
  }()

  private func resolve(
    _ uri: String, _ records: [SIPDNSQuery: SIPDNSAnswer] = [:], seed: UInt64 = 1,
    _ change: (inout SIPLocator.Options) -> Void = { _ in }
  ) throws -> (step: SIPLocation.Step, asked: [String]) {
    var options = LocatorTests.options
    change(&options)
    var locator = SIPLocator(options: options, random: SeededRandom(seed: seed))
    var location = locator.locate(try #require(SIPURI(uri)))
    var asked: [String] = []
    var rounds = 0
    while case .ask(let queries) = location.step, rounds < 5 {
      rounds += 1
      asked += queries.map(\.description)
      for query in queries.reversed() { _ = location.receive(records[query] ?? .none, for: query) }
    }
    return (location.step, asked)
  }

  private func peers(_ step: SIPLocation.Step) -> [String] {
    if case .found(let peers) = step { peers.map(\.description) } else { ["\(step)"] }
  }

  @Test(arguments: [
    ("sip:192.0.2.1", "udp:192.0.2.1:5060"), ("sip:a@192.0.2.1:5070", "udp:192.0.2.1:5070"),
    ("sip:192.0.2.1;transport=tcp", "tcp:192.0.2.1:5060"), ("sip:[2001:db8::1]:5070", "udp:[2001:db8::1]:5070"),
    ("sip:example.org;maddr=192.0.2.9", "udp:192.0.2.9:5060"),
  ])
  func addressesNeedNoQuestion(_ uri: String, _ peer: String) throws {
    let (step, asked) = try resolve(uri)
    #expect(peers(step) == [peer])
    #expect(asked.isEmpty)
  }

  @Test(arguments: [
    ("tel:+4930", SIPLocation.Failure.unroutable), ("mailto:a@b", .unroutable),
    ("sip:192.0.2.1;transport=sctp", .transport), ("sips:192.0.2.1;transport=udp", .transport),
    ("sip:192.0.2.1;transport=nonsense", .transport), ("sip:a..b", .unroutable),
    ("sip:a@nowhere.example", .unknownHost),
    ("sip:\(String(repeating: "a", count: 64)).org", .unroutable),
  ])
  func whatLeadsNowhere(_ uri: String, _ failure: SIPLocation.Failure) throws {
    #expect(try resolve(uri).step == .failed(failure))
  }

  @Test func aPortAsksForAddressesOnly() throws {
    let (step, asked) = try resolve(
      "sip:a@Example.ORG:5080;transport=tcp",
      [
        .ipv4("example.org"): .addresses(["192.0.2.1", "192.0.2.2"]), .ipv6("example.org"): .addresses(["2001:db8::1"]),
      ])
    #expect(asked == ["AAAA example.org", "A example.org"])
    #expect(peers(step) == ["tcp:[2001:db8::1]:5080", "tcp:192.0.2.1:5080", "tcp:192.0.2.2:5080"])
  }

  @Test func theDomainChoosesByNAPTR() throws {
    let (step, asked) = try resolve(
      "sip:a@example.org",
      [
        .naptr("example.org"): .naptr([
          SIPNAPTRRecord(
            order: 50, preference: 50, flags: "s", service: "SIP+D2U", replacement: "_sip._udp.example.org."),
          SIPNAPTRRecord(
            order: 10, preference: 10, flags: "s", service: "SIP+D2S", replacement: "_sip._sctp.example.org"),
          SIPNAPTRRecord(
            order: 20, preference: 10, flags: "S", service: "sip+d2t", replacement: "_sip._tcp.example.org"),
          SIPNAPTRRecord(
            order: 1, preference: 1, flags: "u", service: "E2U+sip", regexp: "!.*!sip:x!", replacement: "."),
        ]),
        .srv("_sip._tcp.example.org"): .srv([SIPSRVRecord(priority: 1, weight: 0, port: 5062, target: "t.example.org.")]
        ),
        .srv("_sip._udp.example.org"): .srv([SIPSRVRecord(priority: 1, weight: 0, port: 5063, target: "u.example.org")]
        ),
        .ipv4("t.example.org"): .addresses(["192.0.2.1"]), .ipv4("u.example.org"): .addresses(["192.0.2.2"]),
      ])
    #expect(peers(step) == ["tcp:192.0.2.1:5062", "udp:192.0.2.2:5063"])
    #expect(asked.prefix(3) == ["NAPTR example.org", "SRV _sip._tcp.example.org", "SRV _sip._udp.example.org"])
  }

  @Test func withoutNAPTRTheServicesAreTriedAndThenTheDomain() throws {
    let srv: [SIPDNSQuery: SIPDNSAnswer] = [
      .srv("_sip._tcp.example.org"): .srv([SIPSRVRecord(priority: 1, weight: 0, port: 5060, target: "192.0.2.7")])
    ]
    let (step, asked) = try resolve("sip:example.org", srv)
    #expect(asked == ["NAPTR example.org", "SRV _sip._udp.example.org", "SRV _sip._tcp.example.org"])
    #expect(peers(step) == ["tcp:192.0.2.7:5060"])
    let plain = try resolve("sip:example.org", [.ipv4("example.org"): .addresses(["192.0.2.8"])])
    #expect(peers(plain.step) == ["udp:192.0.2.8:5060"])
    let named = try resolve("sip:example.org;transport=tcp", [.ipv4("example.org"): .addresses(["192.0.2.8"])])
    #expect(named.asked.first == "SRV _sip._tcp.example.org")
    #expect(peers(named.step) == ["tcp:192.0.2.8:5060"])
  }

  @Test func aDomainWithoutSIPIsLeftAlone() throws {
    let no = SIPDNSAnswer.srv([SIPSRVRecord(priority: 0, weight: 0, port: 0, target: ".")])
    let (step, _) = try resolve(
      "sip:example.org",
      [
        .srv("_sip._udp.example.org"): no, .srv("_sip._tcp.example.org"): no,
        .ipv4("example.org"): .addresses(["192.0.2.1"]),
      ])
    #expect(step == .failed(.unavailable))
  }

  @Test func prioritiesComeInOrderAndWeightsShare() throws {
    var records = [SIPSRVRecord(priority: 20, weight: 0, port: 1, target: "192.0.2.20")]
    records.append(SIPSRVRecord(priority: 10, weight: 75, port: 1, target: "192.0.2.1"))
    records.append(SIPSRVRecord(priority: 10, weight: 25, port: 1, target: "192.0.2.2"))
    var firsts: [String: Int] = [:]
    for seed in 1...1_000 as ClosedRange<UInt64> {
      let (step, _) = try resolve("sip:e.org;transport=tcp", [.srv("_sip._tcp.e.org"): .srv(records)], seed: seed)
      let found = peers(step)
      #expect(found.count == 3 && found.last == "tcp:192.0.2.20:1")
      firsts[found[0], default: 0] += 1
    }
    #expect((700...800).contains(firsts["tcp:192.0.2.1:1"] ?? 0), "\(firsts)")
    let wild = [
      SIPSRVRecord(priority: 1, weight: .max, port: 9, target: "192.0.2.1"),
      SIPSRVRecord(priority: 1, weight: .max, port: 9, target: "192.0.2.3"),
      SIPSRVRecord(priority: 1, weight: .max, port: 9, target: "192.0.2.4"),
      SIPSRVRecord(priority: .min, weight: -5, port: 70_000, target: "192.0.2.2"),
    ]
    let (step, _) = try resolve("sip:e.org;transport=tcp", [.srv("_sip._tcp.e.org"): .srv(wild)])
    #expect(peers(step).sorted() == ["tcp:192.0.2.1:9", "tcp:192.0.2.3:9", "tcp:192.0.2.4:9"])
  }

  @Test func aDomainCannotMakeUsAskTheWorld() throws {
    let many = (0..<10_000).map { SIPSRVRecord(priority: $0, weight: 1, port: 5060, target: "h\($0).victim.example") }
    var records: [SIPDNSQuery: SIPDNSAnswer] = [.srv("_sip._udp.e.org"): .srv(many)]
    let addresses = (0..<10_000).map { "10.0.\($0 / 256).\($0 % 256)" }
    for i in 0..<100 { records[.ipv4("h\(i).victim.example")] = .addresses(addresses) }
    let (step, asked) = try resolve("sip:e.org;transport=udp", records)
    #expect(asked.count <= 25)
    #expect(peers(step).count == 32)
    // What is no address, or of the other family, is none.
    let odd: [SIPDNSQuery: SIPDNSAnswer] = [
      .ipv4("e.org"): .addresses(["evil", "2001:db8::1", "192.0.2.1"]), .ipv6("e.org"): .srv(many),
    ]
    #expect(peers(try resolve("sip:e.org:5060", odd).step) == ["udp:192.0.2.1:5060"])
  }

  @Test func answersThatNobodyAskedForAreIgnored() throws {
    var locator = SIPLocator(options: LocatorTests.options, random: SeededRandom(seed: 1))
    var location = locator.locate(try #require(SIPURI("sip:e.org:5060")))
    #expect(location.receive(.addresses(["192.0.2.66"]), for: .ipv4("other.org")) == location.step)
    _ = location.receive(.addresses(["192.0.2.1"]), for: .ipv4("e.org"))
    _ = location.receive(.addresses(["192.0.2.66"]), for: .ipv4("e.org"))
    #expect(peers(location.receive(.none, for: .ipv6("e.org"))) == ["udp:192.0.2.1:5060"])
    #expect(location.domain == "e.org")
  }

  @Test func peersThatHaveFailedComeLast() {
    var locator = SIPLocator(options: LocatorTests.options, random: SeededRandom(seed: 1))
    let list = (1...3).map { SIPPeer(.tcp, host: "192.0.2.\($0)", port: 5_060) }
    var connected = list[0]
    connected.connection = 7
    locator.fail(connected, at: .zero)
    locator.fail(list[1], for: .seconds(86_400), at: .zero)
    #expect(locator.ordered(list, at: ms(1)) == [list[2], list[0], list[1]])
    #expect(locator.ordered(list, at: ms(60_000)) == [list[0], list[2], list[1]])
    #expect(locator.ordered(list, at: ms(3_600_000)) == list, "no wait is longer than an hour")
    locator.fail(list[2], at: .zero)
    locator.succeed(list[2])
    #expect(locator.ordered(list, at: ms(1)).first == list[2])
  }
}
