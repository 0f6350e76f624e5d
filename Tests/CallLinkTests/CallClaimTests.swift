import Base
import CallLink
import Testing

@Suite struct CallClaimTests {
  private let start = Instant(nanoseconds: 1_000_000_000)
  private let length: Duration = .seconds(9)

  private func number(_ actions: [CallClaim.Action]) -> Int? {
    actions.compactMap { if case .ask(let request) = $0 { request.number } else { nil } }.last
  }

  private func commands(_ actions: [CallClaim.Action]) -> [CallClaim.Request.Command] {
    actions.compactMap { if case .ask(let request) = $0 { request.command } else { nil } }
  }

  private func held() throws -> CallClaim {
    var lease = CallClaim(owner: "a", length: length)
    let asked = try #require(number(lease.start(at: start)))
    #expect(lease.receive(.granted(token: 7), to: asked, at: start + .milliseconds(100)) == [.held(token: 7)])
    return lease
  }

  @Test func aLeaseIsRenewedAtAThirdOfIt() throws {
    var lease = try held()
    var now = start
    for round in 1...5 {
      #expect(lease.deadline == now + .seconds(3), "round \(round)")
      now += .seconds(3)
      let actions = lease.timeout(at: now)
      #expect(commands(actions) == [.renew(token: 7, lease: length)])
      #expect(lease.receive(.renewed, to: try #require(number(actions)), at: now + .milliseconds(50)).isEmpty)
    }
    #expect(lease.token == 7)
  }

  @Test func whoeverCannotRenewStopsBeforeTheDirectoryGivesTheCallAway() throws {
    var lease = try held()
    var asked = 0
    while let deadline = lease.deadline {
      let actions = lease.timeout(at: deadline)
      if let number = number(actions) {
        asked += 1
        _ = lease.receive(.unreachable, to: number, at: deadline + .milliseconds(10))
      }
      if actions.contains(.stop(.unproven)) {
        #expect(deadline < start + length)
        #expect(deadline > start + length / 2)
      }
    }
    #expect(asked > 4)
    #expect(lease.token == nil)
  }

  @Test func aLateAnswerDoesNotMakeTheLeaseLonger() throws {
    var lease = try held()
    let first = try #require(number(lease.timeout(at: start + .seconds(3))))
    let second = try #require(number(lease.timeout(at: start + .seconds(6))))
    #expect(lease.receive(.renewed, to: first, at: start + .seconds(7)).isEmpty)
    #expect(lease.timeout(at: start + .milliseconds(8_200)) == [.stop(.unproven)])
    #expect(lease.receive(.renewed, to: second, at: start + .seconds(9)).isEmpty)
    #expect(lease.token == nil)
  }

  @Test func whoeverIsRefusedStopsAtOnce() throws {
    var lease = try held()
    let asked = try #require(number(lease.timeout(at: start + .seconds(3))))
    #expect(lease.receive(.refused, to: asked, at: start + .seconds(3)) == [.stop(.heldBy(nil))])
    #expect(lease.deadline == nil)
  }

  @Test func whatTheDirectoryHasForgottenIsClaimedAgainOnTheNeighboursWord() throws {
    var lease = try held()
    let now = start + .seconds(3)
    lease.vouch(at: now)
    let renewal = try #require(number(lease.timeout(at: now)))
    let claim = lease.receive(.refused, to: renewal, at: now)
    #expect(commands(claim) == [.claim(lease: length)])
    #expect(lease.token == 7)
    #expect(lease.receive(.granted(token: 9), to: try #require(number(claim)), at: now).isEmpty)
    #expect(lease.token == 9)
    #expect(lease.release() == HopParty(instance: "a", fence: 9))
  }

  @Test func whatAnotherHasTakenMeanwhileIsLeftToIt() throws {
    var lease = try held()
    let now = start + .seconds(3), other = HopParty(instance: "b", fence: 8)
    lease.vouch(at: now)
    let claim = lease.receive(.refused, to: try #require(number(lease.timeout(at: now))), at: now)
    #expect(lease.receive(.heldBy(other), to: try #require(number(claim)), at: now) == [.stop(.heldBy(other))])
    #expect(lease.token == nil)
  }

  @Test func aCallIsTakenOnlyFromTheOwnerThatTheNeighbourHasLeft() throws {
    let left = HopParty(instance: "b", fence: 3)
    var lease = CallClaim(owner: "a", length: length, replaces: left)
    let claim = try #require(number(lease.start(at: start)))
    let release = lease.receive(.heldBy(left), to: claim, at: start)
    #expect(commands(release) == [.release(left)])
    let again = lease.receive(.released, to: try #require(number(release)), at: start)
    #expect(commands(again) == [.claim(lease: length)])
    let other = HopParty(instance: "c", fence: 4)
    #expect(lease.receive(.heldBy(other), to: try #require(number(again)), at: start) == [.stop(.heldBy(other))])
  }

  @Test func aNeighboursWordOutlastsADirectoryThatIsAway() throws {
    var lease = try held()
    var now = start
    for _ in 0..<60 {
      now += .seconds(1)
      lease.vouch(at: now)
      if let number = number(lease.timeout(at: now)) { _ = lease.receive(.unreachable, to: number, at: now) }
    }
    #expect(lease.token == 7)
    #expect(lease.timeout(at: now + .milliseconds(8_200)).contains(.stop(.unproven)))
  }

  @Test func orphansAreTakenOnlyAfterAWholeLeaseOfAnswers() {
    var watch = OrphanWatch(length: length)
    var now = start, clock = Instant.zero + .seconds(1_000_000)
    func pass(_ seconds: Int) { now += .seconds(seconds); clock += .seconds(seconds) }
    func answer(for seconds: Int) {
      for _ in 0..<seconds { pass(1); watch.answered(askedAt: now - .milliseconds(20), at: now, clock: clock) }
    }
    answer(for: 9)
    #expect(!watch.mayClaim(at: now))
    answer(for: 1)
    #expect(watch.mayClaim(at: now))
    // The directory was away: every lease has run out, and every owner is about to renew.
    pass(60)
    answer(for: 5)
    #expect(!watch.mayClaim(at: now))
    answer(for: 5)
    #expect(watch.mayClaim(at: now))
    watch.failed()
    #expect(!watch.mayClaim(at: now))
    answer(for: 10)
    #expect(watch.mayClaim(at: now))
    // Its clock jumps: every lease has run out.
    clock += .seconds(10)
    answer(for: 1)
    #expect(!watch.mayClaim(at: now))
    answer(for: 9)
    #expect(watch.mayClaim(at: now))
  }
}
