import Base
import SIP
import Testing

/// Phones and a registrar, each with its endpoint, passwords, a network that loses and reorders, virtual time and one seed: who
/// wants to be registered is found nearly all the time, and whoever has left is not.
@Suite struct RegistrationSimulationTests {
  private struct World {
    var random: SeededRandom
    let lossPercent: UInt64
    var now = Instant.zero
    var packets: [(at: Instant, order: Int, to: Int, bytes: [UInt8])] = []
    var order = 0
    /// The last one is the registrar's.
    var endpoints: [SIPEndpoint]
    var phones: [SIPRegistration]
    var registrar: SIPRegistrar
    var wrong = 0

    init(seed: UInt64, phones count: Int, lossPercent: UInt64, password: String) {
      random = SeededRandom(seed: seed)
      self.lossPercent = lossPercent
      endpoints = (0..<count).map { i in
        makeEndpoint("192.0.2.\(i + 1)", seed: seed &* 31 &+ UInt64(i)) { $0.digest = plainHash }
      }
      endpoints.append(
        makeEndpoint("192.0.2.200", seed: seed) {
          $0.access = { _, _ in .challenge(realm: "e.org") }
          $0.authenticator = makeAuthenticator { $0.nonceLifetime = .seconds(60) }
          $0.servedMethods = [.register]
        })
      phones = (0..<count).map { i in
        var options = SIPRegistration.Options(
          registrar: SIPURI(host: "e.org"), address: SIPNameAddress(uri: SIPURI(user: "alice", host: "e.org")),
          contact: SIPURI(user: "alice", host: "192.0.2.\(i + 1)", port: 5060), peer: World.peer(3))
        options.credentials = [SIPCredentials(user: "alice", password: password)]
        options.expires = 600
        options.instance = "urn:uuid:\(i)"
        return SIPRegistration(options, random: SeededRandom(seed: seed &+ UInt64(i)))
      }
      registrar = SIPRegistrar(random: SeededRandom(seed: seed))
    }

    static func peer(_ i: Int) -> SIPPeer { SIPPeer(.udp, host: "192.0.2.\(i >= 3 ? 200 : i + 1)", port: 5060) }

    mutating func perform(_ actions: [SIPRegistration.Action], _ i: Int) {
      for case .send(let request) in actions {
        perform(endpoints[i].request(request, at: now).1, i)
      }
    }

    mutating func perform(_ actions: [SIPAction], _ i: Int) {
      for action in actions {
        switch action {
        case .send(let bytes, let peer):
          guard random.next() % 100 >= lossPercent else { continue }
          let to = (0..<endpoints.count).first { World.peer($0) == peer }
          for _ in 0..<(random.next() % 10 == 0 ? 2 : 1) {
            order += 1
            let delay = Duration.milliseconds(Int64(1 + random.next() % 400))
            packets.append((now + delay, order, to ?? 0, bytes))
          }
        case .event(.response(_, let outcome)): perform(phones[i].receive(outcome, at: now), i)
        case .event(.request(let handle, let served)):
          let outcome = registrar.register(served.request, user: served.user, from: served.peer, at: now)
          perform(
            endpoints[i].respond(
              to: handle, status: outcome.status, reason: outcome.reason, headers: outcome.headers, at: now), i)
        case .event(.authenticationFailed): wrong += 1
        case .event, .close: break
        }
      }
    }

    /// Lets time pass.
    mutating func run(until end: Instant) {
      for _ in 0..<100_000 {
        let next = packets.indices.min { (packets[$0].at, packets[$0].order) < (packets[$1].at, packets[$1].order) }
        let times =
          endpoints.compactMap(\.deadline) + phones.compactMap(\.deadline) + [registrar.deadline].compactMap { $0 }
          + (next.map { [packets[$0].at] } ?? [])
        guard let at = times.min(), at <= end else { break }
        now = max(now, at)
        if let next, packets[next].at <= now {
          let packet = packets.remove(at: next)
          let from = packet.to == endpoints.count - 1 ? source(packet.bytes) : endpoints.count - 1
          perform(endpoints[packet.to].receive(datagram: packet.bytes, from: World.peer(from), at: now), packet.to)
          continue
        }
        _ = registrar.timeout(at: now)
        for i in endpoints.indices { perform(endpoints[i].timeout(at: now), i) }
        for i in phones.indices { perform(phones[i].timeout(at: now), i) }
      }
      now = end
    }

    private func source(_ bytes: [UInt8]) -> Int {
      let host = (try? SIPMessage.parse(bytes))?.topVia?.host
      return (0..<phones.count).first { World.peer($0).host == host } ?? 0
    }

    var found: Int { registrar.targets(for: SIPURI(user: "alice", host: "e.org"), at: now).count }
  }

  @Test(arguments: [0, 10, 30] as [UInt64])
  func phonesStayRegistered(_ lossPercent: UInt64) {
    for seed in 1...4 as ClosedRange<UInt64> {
      var world = World(seed: seed, phones: 3, lossPercent: lossPercent, password: "secret")
      for i in world.phones.indices { world.perform(world.phones[i].start(at: world.now), i) }
      world.run(until: .zero + .seconds(200))
      var missing = 0
      for minute in 0..<120 {
        world.run(until: .zero + .seconds(200 + 60 * Int64(minute)))
        missing += 3 - world.found
      }
      #expect(missing <= (lossPercent == 30 ? 36 : 0), "seed \(seed): missing \(missing) of 360 looks")
      #expect(world.wrong == 0, "seed \(seed): nobody has a wrong password")
      for i in world.phones.indices { world.perform(world.phones[i].stop(at: world.now), i) }
      world.run(until: world.now + .seconds(100))
      let states = Set(world.phones.map(\.state))
      #expect(states == [.stopped], "seed \(seed)")
      if lossPercent == 0 { #expect(world.found == 0, "seed \(seed): left") }
      world.run(until: world.now + .seconds(700))
      #expect(world.registrar.count == 0, "seed \(seed): expired")
      let isIdle = world.endpoints.allSatisfy { $0.isIdle }
      #expect(isIdle, "seed \(seed): something is left")
    }
  }

  @Test func aWrongPasswordIsLockedOutAndGivesUpSlowly() {
    var world = World(seed: 9, phones: 3, lossPercent: 0, password: "guess")
    world.perform(world.phones[0].start(at: .zero), 0)
    world.run(until: .zero + .seconds(86_400))
    #expect(world.found == 0)
    #expect((3...100).contains(world.wrong), "\(world.wrong) wrong passwords in a day")
    if case .failed = world.phones[0].state { return }
    Issue.record("the phone is \(world.phones[0].state)")
  }
}
