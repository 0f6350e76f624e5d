import Base
import Testing

import SIP

/// The registrar against REGISTERs as phones write them.
@Suite struct RegistrarTests {
  private var registrar = SIPRegistrar(random: SeededRandom(seed: 3))
  private var sequence = 0
  private let aor = "alice@example.org"

  private static func make(_ change: (inout SIPRegistrar.Options) -> Void) -> SIPRegistrar {
    var options = SIPRegistrar.Options()
    change(&options)
    return SIPRegistrar(options: options, random: SeededRandom(seed: 3))
  }

  private mutating func register(
    _ contacts: String?, extra: String = "", to: String = "<sip:alice@example.org>", callID: String = "reg-1",
    cseq: Int? = nil, vias: Int = 1, user: String? = nil, peer: SIPPeer = alicePeer, at: Int64 = 0
  ) throws -> SIPRegistrar.Outcome {
    sequence = cseq ?? sequence + 1
    var head = "REGISTER sip:example.org SIP/2.0\n"
    for i in 0..<vias { head += "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK\(sequence)x\(i)\n" }
    head += "Max-Forwards: 70\nFrom: <sip:alice@example.org>;tag=1\nTo: \(to)\nCall-ID: \(callID)\n"
    head += "CSeq: \(sequence) REGISTER\n"
    if let contacts { head += "Contact: \(contacts)\n" }
    let request = try SIPMessage.parse(bytes(head + extra + "Content-Length: 0\n\n"))
    return registrar.register(request, user: user, from: peer, at: ms(at))
  }

  private func contacts(_ outcome: SIPRegistrar.Outcome) -> [String] {
    outcome.headers.filter { $0.name == "Contact" }.map(\.value)
  }

  private func targets(_ uri: String = "sip:alice@example.org", at: Int64 = 0) throws -> [String] {
    registrar.targets(for: try #require(SIPURI(uri)), at: ms(at)).map(\.uri.description)
  }

  @Test mutating func severalPhonesRegisterAndExpire() throws {
    let first = try register("<sip:alice@192.0.2.10>;expires=100;q=0.5")
    #expect(first.status == 200)
    #expect(contacts(first) == ["<sip:alice@192.0.2.10>;expires=100;q=0.500"])
    let second = try register("<sip:alice@192.0.2.11:5070>", extra: "Expires: 200\n", callID: "reg-2", cseq: 1)
    #expect(contacts(second).count == 2)
    #expect(try register(nil, callID: "q", at: 50_000).headers.first?.value.contains("expires=50") == true)
    #expect(try targets("sip:ALICE@example.org") == [])
    #expect(try targets("sip:alice@EXAMPLE.org") == ["sip:alice@192.0.2.11:5070", "sip:alice@192.0.2.10"])
    #expect(try targets(at: 100_000) == ["sip:alice@192.0.2.11:5070"], "what has expired is not called")
    var removed = 0
    while let deadline = registrar.deadline { removed += registrar.timeout(at: deadline).count }
    #expect(removed == 2)
    #expect(registrar.count == 0)
  }

  @Test mutating func aRefreshIsNoSecondBinding() throws {
    _ = try register("<sip:alice@192.0.2.10>")
    let again = try register("\"A\" <sip:%61lice@192.0.2.10;ob>;expires=60")
    #expect(contacts(again).count == 1)
    guard case .refreshed(aor, let binding) = again.changes.first else {
      Issue.record("no refresh")
      return
    }
    #expect(binding.until == ms(60_000))
    let gone = try register("<sip:alice@192.0.2.10>;expires=0")
    #expect(contacts(gone).isEmpty)
    #expect(registrar.count == 0)
    #expect(try register("<sip:alice@192.0.2.10>;expires=0").status == 200, "twice does no harm")
  }

  @Test mutating func theOrderOfRequestsIsKept() throws {
    _ = try register("<sip:alice@192.0.2.10>", cseq: 5)
    #expect(try register("<sip:alice@192.0.2.10>;expires=0", cseq: 4).status == 500)
    #expect(try register("*", extra: "Expires: 0\n", cseq: 5).status == 500)
    #expect(try targets().count == 1)
    // All or none: the first Contact is new, the second too old.
    #expect(try register("<sip:x@192.0.2.12>, <sip:alice@192.0.2.10>", cseq: 5).status == 500)
    #expect(try targets().count == 1)
    // Another Call-ID is another device: its numbers are its own.
    #expect(try register("<sip:alice@192.0.2.10>;expires=0", callID: "other", cseq: 1).status == 200)
    #expect(registrar.count == 0)
  }

  @Test mutating func starRemovesEverything() throws {
    _ = try register("<sip:a@192.0.2.10>, <sip:b@192.0.2.10>")
    #expect(try register("*").status == 400)
    #expect(try register("*", extra: "Expires: 10\n").status == 400)
    #expect(try register("*, <sip:a@192.0.2.10>", extra: "Expires: 0\n").status == 400)
    let all = try register("*", extra: "Expires: 0\n")
    #expect(all.status == 200)
    #expect(all.changes.count == 2)
    #expect(registrar.count == 0)
  }

  @Test mutating func timesAreKeptWithinLimits() throws {
    let brief = try register("<sip:a@192.0.2.10>;expires=59")
    #expect(brief.status == 423)
    #expect(brief.headers == [SIPHeaderField("Min-Expires", "60")])
    #expect(contacts(try register("<sip:a@192.0.2.10>;expires=4294967295")) == ["<sip:a@192.0.2.10>;expires=7200"])
    #expect(contacts(try register("<sip:a@192.0.2.10>;expires=soon")) == ["<sip:a@192.0.2.10>;expires=3600"])
    #expect(contacts(try register("<sip:a@192.0.2.10>;q=7;expires=60")) == ["<sip:a@192.0.2.10>;expires=60"])
  }

  @Test mutating func onlyOnesOwnAddressInOurDomains() throws {
    registrar = RegistrarTests.make { $0.domains = ["example.org"] }
    #expect(try register("<sip:a@192.0.2.10>", user: "alice").status == 200)
    #expect(try register("<sip:a@192.0.2.10>", user: "bob").status == 403)
    #expect(try register("<sip:a@192.0.2.10>", to: "<sip:alice@example.com>", user: "alice").status == 404)
    #expect(try register("<sip:a@192.0.2.10>", to: "<tel:+15551234>").status == 404)
    #expect(try register("<sip:a@192.0.2.10>", extra: "Require: nothing\n").status == 420)
    #expect(try register("<tel:1234>").status == 400)
    #expect(try register("<sip:a@192.0.2.10").status == 400)
  }

  @Test mutating func thereIsALimitToEverything() throws {
    registrar = RegistrarTests.make {
      $0.contactsPerAddress = 3
      $0.addresses = 2
    }
    for i in 0..<20 { #expect(try register("<sip:a@192.0.2.10:\(2_000 + i)>", callID: "c\(i)").status == 200) }
    #expect(try targets() == ["sip:a@192.0.2.10:2019", "sip:a@192.0.2.10:2018", "sip:a@192.0.2.10:2017"])
    let many = (0..<5).map { "<sip:m\($0)@192.0.2.10>" }.joined(separator: ", ")
    #expect(try register(many).status == 403)
    #expect(try register("<sip:b@192.0.2.10>", to: "<sip:bob@example.org>").status == 200)
    #expect(try register("<sip:b@192.0.2.10>", to: "<sip:carol@example.org>").status == 503)
    #expect(try register(nil, to: "<sip:carol@example.org>").status == 200)
    // Coming and going leaves nothing behind.
    for i in 0..<2_000 {
      _ = try register("<sip:b@192.0.2.10>;expires=\(60 + (i * 37) % 7_000)", to: "<sip:bob@example.org>")
      _ = try register("<sip:b@192.0.2.10>;expires=0", to: "<sip:bob@example.org>")
    }
    var wakes = 0
    while let deadline = registrar.deadline {
      _ = registrar.timeout(at: deadline)
      wakes += 1
    }
    #expect(wakes < 1_000)
  }

  @Test mutating func outboundKeepsOneBindingForEachFlow() throws {
    let device = "+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\""
    let tcp = SIPPeer(.tcp, host: "203.0.113.7", port: 40_000, connection: 9)
    let supported = "Supported: path, outbound\n"
    let first = try register("<sip:a@10.0.0.1>;\(device);reg-id=1", extra: supported, peer: tcp)
    #expect(first.headers.contains(SIPHeaderField("Require", "outbound")))
    #expect(first.headers.contains(SIPHeaderField("Flow-Timer", "120")))
    var other = tcp
    other.connection = 10
    // The same flow from another port replaces the first; the second flow stands beside it.
    _ = try register("<sip:a@10.0.0.2>;\(device);reg-id=1", extra: supported, callID: "x", peer: other)
    _ = try register("<sip:a@10.0.0.2>;\(device);reg-id=2", extra: supported, callID: "y", peer: tcp)
    let found = registrar.targets(for: try #require(SIPURI("sip:alice@example.org")), at: .zero)
    #expect(found.map(\.peer.connection) == [9, 10])
    #expect(Set(found.map(\.instance)) == ["urn:uuid:00000000-0000-1000-8000-aabbccddeeff"])
    // Without outbound the same device is known by its URI.
    _ = try register("<sip:plain@10.0.0.9>", callID: "z", peer: tcp)
    let lost = registrar.connectionClosed(9)
    #expect(lost.count == 1)
    #expect(try targets() == ["sip:plain@10.0.0.9", "sip:a@10.0.0.2"])
    let two = "<sip:a@10.0.0.2>;\(device);reg-id=3, <sip:b@10.0.0.2>;\(device);reg-id=4"
    #expect(try register(two, extra: supported, callID: "w").status == 400)
  }

  @Test mutating func theFirstHopHasToKeepTheFlow() throws {
    let contact = "<sip:a@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=1"
    #expect(try register(contact, extra: "Supported: outbound\n", vias: 2).status == 439)
    let path = "Path: <sip:edge.example.org;lr;ob>\nSupported: outbound, path\n"
    let good = try register(contact, extra: path, vias: 2)
    #expect(good.status == 200)
    #expect(good.headers.contains(SIPHeaderField("Path", "<sip:edge.example.org;lr;ob>")))
    let found = registrar.targets(for: try #require(SIPURI("sip:alice@example.org")), at: .zero)
    #expect(found.first?.routes == ["<sip:edge.example.org;lr;ob>"])
  }

  @Test mutating func gruusReachOneDevice() throws {
    let extra = "Supported: gruu\n"
    let made = try register("<sip:a@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\"", extra: extra)
    _ = try register("<sip:a@10.0.0.2>;+sip.instance=\"<urn:uuid:2>\"", extra: extra, callID: "two")
    let contact = try #require(contacts(made).first.flatMap { SIPNameAddress($0) })
    #expect(contact.parameters.first(named: "pub-gruu")?.value == "sip:alice@example.org;gr=urn:uuid:1")
    let temporary = try #require(contact.parameters.first(named: "temp-gruu")?.value)
    #expect(!temporary.contains("alice"))
    #expect(try targets("sip:alice@example.org;gr=urn:uuid:1") == ["sip:a@10.0.0.1"])
    #expect(try targets("sip:alice@example.org;gr=urn:uuid:9") == [])
    #expect(try targets(temporary) == ["sip:a@10.0.0.1"])
    for _ in 0..<20 { _ = try register("<sip:a@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\"", extra: extra) }
    #expect(registrar.temporaries.count <= 2 * SIPRegistrar.temporaryLimit)
    _ = try register("*", extra: "Expires: 0\n", callID: "three")
    #expect(registrar.temporaries.isEmpty)
    #expect(try targets(temporary) == [])
    // Who does not ask gets none, nor one whose name cannot stand in a URI.
    #expect(contacts(try register("<sip:a@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\"")).first?.contains("gruu") == false)
    let odd = try register("<sip:b@10.0.0.1>;+sip.instance=\"<a;b>c>\"", extra: extra)
    #expect(!contacts(odd).contains { $0.contains("a;b") })
  }

  @Test mutating func bindingsAreWrittenAndReadBack() throws {
    _ = try register(
      "<sip:a@10.0.0.1>;+sip.instance=\"<urn:uuid:1>\";reg-id=2;expires=100;q=0.25",
      extra: "Supported: outbound\nUser-Agent: Phone/1\n")
    _ = try register("<sip:b@10.0.0.2>;expires=60", callID: "two")
    let value = registrar.value(at: ms(10_000))
    let read = try SIPRegistrar(
      random: SeededRandom(seed: 1), restoring: value, elapsed: .seconds(55), at: .zero + .seconds(1_000))
    let binding = try #require(read.bindings(of: aor).first)
    #expect(read.bindings(of: aor).count == 1, "what has expired meanwhile is gone")
    #expect(binding.until == .zero + .seconds(1_035))
    #expect(binding.flow == 2 && binding.preference == 250 && binding.userAgent == "Phone/1")
    #expect(throws: ValueFields.Fault.self) {
      try SIPRegistrar(random: SeededRandom(seed: 1), restoring: ["v": 2], elapsed: .zero, at: .zero)
    }
  }
}
