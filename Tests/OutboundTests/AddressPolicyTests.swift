import Outbound
import Settings
import Testing

/// The policy against the IANA special-purpose registries, row by row.
@Suite struct AddressPolicyTests {
  private static func rules(_ texts: [String]) -> [OutboundRule] { texts.compactMap { OutboundRule($0) } }

  private static func policy(allow: [String] = [], deny: [String] = []) -> AddressPolicy {
    AddressPolicy(OutboundSettings(allowPrivate: rules(allow), deny: rules(deny)))
  }

  private static func verdict(
    _ address: String, host: String = "crm.example", allow: [String] = [], deny: [String] = []
  ) throws -> AddressPolicy.Verdict {
    policy(allow: allow, deny: deny).verdict(host: host, address: try #require(IPAddress(address)))
  }

  private static func isAllowed(
    _ address: String, host: String = "crm.example", allow: [String] = [], deny: [String] = []
  ) throws -> Bool {
    try verdict(address, host: host, allow: allow, deny: deny) == .allowed
  }

  /// The first and the last address of every block that is none of the open Internet's.
  static let special: [(String, String)] = [
    ("0.0.0.0", "unspecified"), ("0.255.255.255", "unspecified"), ("10.0.0.0", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.0", "carrier"), ("100.127.255.255", "carrier"), ("127.0.0.1", "loopback"),
    ("127.255.255.255", "loopback"),
    ("169.254.0.0", "link-local"), ("169.254.255.255", "link-local"), ("172.16.0.0", "private"),
    ("172.31.255.255", "private"), ("192.0.0.0", "protocol"), ("192.0.0.255", "protocol"),
    ("192.0.2.0", "documentation"), ("192.0.2.255", "documentation"), ("192.31.196.1", "protocol"),
    ("192.52.193.1", "protocol"), ("192.88.99.1", "protocol"), ("192.168.0.0", "private"),
    ("192.168.255.255", "private"), ("192.175.48.1", "protocol"), ("198.18.0.0", "benchmarks"),
    ("198.19.255.255", "benchmarks"), ("198.51.100.7", "documentation"), ("203.0.113.7", "documentation"),
    ("224.0.0.0", "multicast"), ("239.255.255.255", "multicast"), ("240.0.0.0", "reserved"),
    ("255.255.255.254", "reserved"), ("255.255.255.255", "broadcast"),
    ("169.254.169.254", "metadata"), ("169.254.170.2", "metadata"), ("169.254.170.23", "metadata"),
    ("168.63.129.16", "metadata"), ("100.100.100.200", "metadata"), ("192.0.0.192", "metadata"),
    ("fd00:ec2::254", "metadata"), ("fd00:ec2::23", "metadata"), ("fd20:ce::254", "metadata"),
    ("fd00:42::42", "metadata"), ("169.254.42.42", "metadata"),
    ("::", "unspecified"), ("::1", "loopback"), ("100::", "reserved"), ("100::ffff:ffff:ffff:ffff", "reserved"),
    ("100:0:0:1::1", "reserved"), ("2001::1", "protocol"), ("2001:1::1", "protocol"), ("2001:2::1", "benchmarks"),
    ("2001:20::1", "protocol"), ("2001:1ff:ffff::1", "protocol"), ("2001:db8::1", "documentation"),
    ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"), ("2620:4f:8000::1", "protocol"),
    ("3fff::1", "documentation"), ("3fff:fff:ffff::1", "documentation"), ("5f00::1", "protocol"),
    ("fc00::", "private"), ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"), ("fe80::1", "link-local"),
    ("febf::1", "link-local"), ("fec0::1", "private"), ("feff::1", "private"), ("ff00::1", "multicast"),
    ("ff02::1", "multicast"), ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast"), ("4000::1", "reserved"),
    ("1::1", "reserved"), ("fe00::1", "reserved"), ("64:ff9b:2::1", "reserved"),
    // IPv4 in IPv6.
    ("::ffff:127.0.0.1", "loopback"), ("::ffff:169.254.169.254", "metadata"), ("::ffff:0.0.0.0", "unspecified"),
    ("::127.0.0.1", "reserved"), ("::8.8.8.8", "reserved"), ("::2", "reserved"), ("64:ff9b::10.0.0.1", "private"),
    ("64:ff9b::169.254.169.254", "metadata"), ("64:ff9b::127.0.0.1", "loopback"), ("64:ff9b:1::8.8.8.8", "private"),
    ("64:ff9b:1::169.254.169.254", "metadata"), ("2002:7f00:1::", "loopback"), ("2002:a9fe:a9fe::1", "metadata"),
    ("2002:c0a8:101::", "private"),
    // Teredo: a private server; then an open one with the client 10.0.0.1, its bits turned over.
    ("2001:0:a00:1::", "private"), ("2001:0:808:808:0:0:f5ff:fffe", "private"),
  ]

  @Test(arguments: special)
  func whatIsSpecialIsRefused(address: String, word: String) throws {
    guard case .refused(let why) = try Self.verdict(address) else {
      // 2001::1 is Teredo with the server 0.0.0.0 and the client 255.255.255.254.
      Issue.record("\(address) is allowed")
      return
    }
    if address.hasPrefix("2001::") { return }
    #expect(why.contains(word), "\(address): \(why)")
    #expect(why.contains("integration.outbound.allow_private"))
  }

  /// The neighbours of the blocks, and some that are known.
  @Test(arguments: [
    "1.0.0.0", "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
    "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0",
    "203.0.112.255", "203.0.114.0", "223.255.255.255", "168.63.129.17", "2000::1", "2001:200::1", "2606:4700::1111",
    "2620:4f:8001::1", "2a00:1450::1", "3ffe::1", "2001:db7::1", "2001:db9::1", "64:ff9b::8.8.8.8", "2002:808:808::1",
    "::ffff:8.8.8.8",
  ])
  func whatIsOrdinaryIsAllowed(address: String) throws { #expect(try Self.isAllowed(address)) }

  @Test func whatIsNamedIsAllowed() throws {
    #expect(try Self.isAllowed("10.1.2.3", allow: ["10.0.0.0/8"]))
    #expect(try !Self.isAllowed("11.0.0.1", deny: ["11.0.0.0/8"]))
    #expect(try !Self.isAllowed("192.168.1.1", allow: ["10.0.0.0/8"]))
    #expect(try Self.isAllowed("10.1.2.3", allow: ["10.1.2.3"]))
    #expect(try !Self.isAllowed("10.1.2.4", allow: ["10.1.2.3"]))
    #expect(try Self.isAllowed("fd12::7", allow: ["fd12::/16"]))
    #expect(try Self.isAllowed("169.254.169.254", allow: ["169.254.169.254"]))
    // What IPv6 carries of an allowed block is allowed with it; the reverse is not.
    #expect(try Self.isAllowed("::ffff:10.1.2.3", allow: ["10.0.0.0/8"]))
    #expect(try Self.isAllowed("64:ff9b::10.1.2.3", allow: ["10.0.0.0/8"]))
    #expect(try !Self.isAllowed("64:ff9b::192.168.1.1", allow: ["10.0.0.0/8"]))
  }

  @Test func namesOpenTheirOwnServersOnly() throws {
    #expect(try Self.isAllowed("10.1.2.3", host: "crm.internal", allow: ["crm.internal"]))
    #expect(try Self.isAllowed("10.1.2.3", host: "crm.internal", allow: ["CRM.Internal."]))
    #expect(try !Self.isAllowed("10.1.2.3", host: "erp.internal", allow: ["crm.internal"]))
    #expect(try Self.isAllowed("10.1.2.3", host: "a.b.internal", allow: ["*.internal"]))
    #expect(try !Self.isAllowed("10.1.2.3", host: "internal", allow: ["*.internal"]))
    #expect(try !Self.isAllowed("10.1.2.3", host: "evilinternal", allow: ["*.internal"]))
    // Whoever owns the name must not get at credentials, nor at everybody.
    for address in ["169.254.169.254", "fd00:ec2::254", "0.0.0.0", "224.0.0.1", "255.255.255.255"] {
      #expect(try !Self.isAllowed(address, host: "crm.internal", allow: ["crm.internal"]), "\(address)")
    }
  }

  @Test func denyIsStrongerThanEverything() throws {
    #expect(try !Self.isAllowed("10.1.2.3", allow: ["10.0.0.0/8"], deny: ["10.1.0.0/16"]))
    #expect(try !Self.isAllowed("8.8.8.8", deny: ["8.8.8.0/24"]))
    #expect(try !Self.isAllowed("64:ff9b::8.8.8.8", deny: ["8.8.8.0/24"]))
    #expect(try !Self.isAllowed("::ffff:8.8.8.8", deny: ["8.8.8.0/24"]))
    #expect(try !Self.isAllowed("1.1.1.1", host: "x.evil.example", deny: ["*.evil.example"]))
    #expect(try Self.isAllowed("1.1.1.1", host: "evil.example", deny: ["*.evil.example"]))
    #expect(
      try Self.verdict("1.1.1.1", host: "evil.example", deny: ["evil.example"])
        == .refused("is refused by integration.outbound.deny"))
  }

  @Test func theSentenceSaysWhatToDo() throws {
    #expect(
      try Self.verdict("10.1.2.3", host: "10.1.2.3")
        == .refused("is a private address; name it in integration.outbound.allow_private to allow it"))
    #expect(
      try Self.verdict("10.1.2.3", host: "crm.internal")
        == .refused("leads to a private address; name it in integration.outbound.allow_private to allow it"))
    #expect(
      try Self.verdict("169.254.169.254", host: "crm.internal", allow: ["crm.internal"])
        == .refused(
          "leads to the metadata service of a cloud; name the address itself in integration.outbound.allow_private to allow it"
        ))
  }

  @Test(arguments: [
    "", "10.0.0.0/33", "300.1.1.1", "1.2.3", "a b", "a..b", "http://x", "*", "*.*.x", "ex*mple", "::/129",
  ])
  func whatIsNoRuleIsRefused(text: String) { #expect(OutboundRule(text) == nil) }
}
