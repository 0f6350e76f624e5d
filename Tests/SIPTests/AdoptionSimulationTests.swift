import Base
import SIP
import Testing

/// A caller, a server that dies without a word at some moment of the call, and one that goes on with what the first kept last,
/// over a network that loses, repeats and reorders.
@Suite struct AdoptionSimulationTests {
  struct World {
    enum Step { case packet(to: SIPPeer, from: SIPPeer, [UInt8]), die, hold, hangup(byCaller: Bool) }
    static let caller = SIPPeer(.udp, host: "192.0.2.1", port: 5060)
    static let servers = [
      SIPPeer(.udp, host: "192.0.2.20", port: 5060), SIPPeer(.udp, host: "192.0.2.30", port: 5060),
    ]

    var random: SeededRandom
    let loss: UInt64
    var now = Instant.zero
    var queue: [(at: Instant, order: Int, step: Step)] = []
    var order = 0
    var phone: SIPEndpoint
    var gateways: [SIPEndpoint]
    var living = 0
    var phoneCall: SIPCallHandle?
    var call: SIPCallHandle?
    var kept: SIPDialogState?
    var followed = false
    var phoneEnds: [SIPEnd.Cause] = []
    var ends: [SIPEnd.Cause] = []
    var sequences: [UInt32] = []
    var problems: [String] = []

    init(seed: UInt64, loss: UInt64) {
      random = SeededRandom(seed: seed)
      self.loss = loss
      // Sessions that would expire before the call is over, where the successor did not know of it.
      phone = makeEndpoint("192.0.2.1", seed: seed &* 3) {
        $0.sessionExpires = 40
        $0.minSE = 20
      }
      gateways = Self.servers.map { peer in
        makeEndpoint(peer.host, seed: seed &* 7 &+ 1) {
          $0.tellsDialogs = true
          $0.sessionExpires = 40
          $0.minSE = 20
        }
      }
    }

    mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }

    mutating func schedule(_ step: Step, after delay: Int64) {
      order += 1
      queue.append((now + .milliseconds(delay), order, step))
    }

    mutating func run() throws {
      let target = try #require(SIPURI("sip:help@192.0.2.20"))
      let (call, actions) = phone.invite(
        SIPInvite(target: target, from: SIPNameAddress(uri: target), peer: Self.servers[0], body: .sdp("offer")),
        at: now)
      phoneCall = call
      perform(actions, of: Self.caller)
      for _ in 0..<20_000 {
        let next = queue.indices.min { (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order) }
        let deadlines = [phone.deadline, gateways[living].deadline].compactMap(\.self)
        guard let at = (deadlines + [next.map { queue[$0].at }].compactMap(\.self)).min() else { return }
        now = max(now, at)
        if let next, queue[next].at <= now {
          take(queue.remove(at: next).step)
        } else if let deadline = phone.deadline, deadline <= now {
          perform(phone.timeout(at: now), of: Self.caller)
        } else {
          perform(gateways[living].timeout(at: now), of: Self.servers[living])
        }
      }
      problems.append("the simulation does not end")
    }

    mutating func take(_ step: Step) {
      switch step {
      case .packet(Self.caller, let from, let bytes):
        perform(phone.receive(datagram: bytes, from: from, at: now), of: Self.caller)
      case .packet(let to, let from, let bytes):
        // What is sent to the dead is lost.
        guard to == Self.servers[living] else { return }
        perform(gateways[living].receive(datagram: bytes, from: from, at: now), of: to)
      case .die:
        guard let kept, ends.isEmpty else { return }
        living = 1
        guard let state = try? SIPDialogState(kept.value), let adopted = gateways[1].adopt(state) else {
          return problems.append("not adopted")
        }
        call = adopted
        perform(gateways[1].reinvite(adopted, body: .sdp("here"), at: now), of: Self.servers[1])
      case .hold:
        guard let phoneCall else { return }
        perform(phone.reinvite(phoneCall, body: .sdp("hold"), at: now), of: Self.caller)
      case .hangup(let byCaller):
        if byCaller, let phoneCall { perform(phone.hangup(phoneCall, at: now), of: Self.caller) }
        if !byCaller, let call { perform(gateways[living].hangup(call, at: now), of: Self.servers[living]) }
      }
    }

    mutating func perform(_ actions: [SIPAction], of owner: SIPPeer) {
      for action in actions {
        switch action {
        case .send(let bytes, let peer):
          if owner != Self.caller, let message = try? SIPMessage.parse(bytes), message.isRequest,
            message.method != .ack, message.method != .cancel, sequences.last != message.cseq.number
          {
            sequences.append(message.cseq.number)
          }
          if chance(loss) { continue }
          for _ in 0...(chance(10) ? 1 : 0) {
            schedule(.packet(to: peer, from: owner, bytes), after: 10 + Int64(random.next() % 60))
          }
        case .close: problems.append("closed a connection")
        case .event(let event): owner == Self.caller ? callerHears(event) : gatewayHears(event, owner)
        }
      }
    }

    mutating func callerHears(_ event: SIPEvent) {
      switch event {
      case .reinvite(let call, _): perform(phone.answerReinvite(call, body: .sdp("there"), at: now), of: Self.caller)
      case .ended(_, let end): phoneEnds.append(end.cause)
      default: break
      }
    }

    mutating func gatewayHears(_ event: SIPEvent, _ owner: SIPPeer) {
      switch event {
      case .incoming(let call, _):
        self.call = call
        perform(gateways[0].answer(call, body: .sdp("answer"), at: now), of: owner)
        schedule(.die, after: Int64(random.next() % 8_000))
        if chance(50) { schedule(.hold, after: Int64(random.next() % 8_000)) }
        schedule(.hangup(byCaller: chance(50)), after: 45_000 + Int64(random.next() % 5_000))
      case .dialogChanged(_, let state): kept = state
      case .reinvite(let call, _): perform(gateways[living].answerReinvite(call, body: .sdp("yes"), at: now), of: owner)
      case .reinviteAnswered:
        if living == 1 { followed = true }
      case .ended(_, let end): ends.append(end.cause)
      default: break
      }
    }
  }

  @Test(arguments: [0, 10, 25] as [UInt64])
  func thePeerFollowsAndBothSidesAgreeOnTheEnd(_ loss: UInt64) throws {
    var followed = 0
    for seed in 1...150 as ClosedRange<UInt64> {
      var world = World(seed: seed, loss: loss)
      try world.run()
      let context = "seed \(seed), loss \(loss)"
      #expect(world.problems.isEmpty, "\(context)")
      #expect(world.phone.isIdle && world.gateways[world.living].isIdle, "\(context): something is left")
      #expect(world.phoneEnds.count == 1 && world.ends.count <= 1, "\(context)")
      #expect(Set(world.sequences).count == world.sequences.count, "\(context): a CSeq twice")
      #expect(world.sequences == world.sequences.sorted(), "\(context): CSeq goes back")
      if world.followed { followed += 1 }
      if world.followed, loss == 0 {
        let pair = Set(world.phoneEnds + world.ends)
        #expect(pair == [.localHangup, .remoteHangup], "\(context): \(world.phoneEnds) \(world.ends)")
      }
    }
    // Without loss only calls that died with their 200 on the way, or in the middle of the caller's own change, are lost.
    #expect(followed >= (loss == 0 ? 140 : loss == 10 ? 120 : 75), "\(followed) of 150 with \(loss) % loss")
  }
}
