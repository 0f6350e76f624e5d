import Base
import RTP
import Testing

@Suite struct SequenceTests {
  @Test func wrapsAreCounted() {
    var tracker = SequenceTracker(minSequential: 1)
    var last: Int64 = 0
    for i in 0..<200_000 {
      let outcome = tracker.receive(UInt16(truncatingIfNeeded: 65_000 + i))
      switch outcome {
      case .restarted(let extended) where i == 0: last = extended
      case .accepted(let extended) where i > 0:
        #expect(extended == last + 1)
        last = extended
      default: Issue.record("\(outcome) at \(i)")
      }
    }
    #expect(tracker.expected == 200_000)
    #expect(tracker.lost == 0)
    // The longest gap that is still loss.
    let gap = SequenceTracker.maxDropout - 1
    #expect(tracker.receive(UInt16(truncatingIfNeeded: last) &+ gap) == .accepted(last + Int64(gap)))
    #expect(tracker.lost == Int64(gap) - 1)
  }

  @Test func aNewSourceMustSendInSequence() {
    var tracker = SequenceTracker(minSequential: 2)
    #expect(tracker.receive(10) == .probation)
    #expect(tracker.receive(500) == .probation)
    #expect(tracker.receive(501) == .restarted(0x1_0000 + 501))
  }

  @Test func aJumpIsRefusedAndItsSuccessorRestarts() {
    var tracker = SequenceTracker(minSequential: 1)
    for i in 0..<10 { _ = tracker.receive(UInt16(i)) }
    #expect(tracker.receive(30_000) == .jump)
    #expect(tracker.receive(10) == .accepted(0x1_0000 + 10))
    #expect(tracker.receive(30_000) == .jump)
    #expect(tracker.receive(30_001) == .restarted(0x1_0000 + 30_001))
    #expect(tracker.received == 1)
  }

  @Test func reorderingAcrossTheWrapKeepsItsPlace() {
    var tracker = SequenceTracker(minSequential: 1)
    _ = tracker.receive(65_534)
    #expect(tracker.receive(1) == .accepted(0x1_0000 + 65_537))
    #expect(tracker.receive(65_535) == .accepted(0x1_0000 + 65_535))
    #expect(tracker.receive(0) == .accepted(0x1_0000 + 65_536))
    #expect(tracker.lost == 0)
  }

  @Test func aPacketOvertakenAtTheVeryStartBelongsToTheStream() {
    var tracker = SequenceTracker(minSequential: 1)
    _ = tracker.receive(0)
    #expect(tracker.receive(65_535) == .accepted(0xFFFF))
    #expect(tracker.receive(1) == .accepted(0x1_0001))
  }

  @Test func lossIsCountedAsTheRFCDoes() {
    var tracker = SequenceTracker(minSequential: 1)
    for i in 0..<100 where i % 4 != 3 { _ = tracker.receive(UInt16(i)) }
    _ = tracker.receive(100)
    #expect(tracker.expected == 101)
    #expect(tracker.lost == 25)
    #expect(tracker.fractionLost() == UInt8(25 * 256 / 101))
    _ = tracker.receive(101)
    #expect(tracker.fractionLost() == 0)
  }

  @Test func steadyPacketsHaveNoJitterAndShakenOnesDo() {
    var steady = InterarrivalJitter()
    var shaken = InterarrivalJitter()
    for i in 0..<500 {
      steady.receive(timestamp: UInt32(i * 160), clockRate: 8000, at: at(Double(i) * 20))
      shaken.receive(timestamp: UInt32(i * 160), clockRate: 8000, at: at(Double(i) * 20 + (i % 2 == 0 ? 0 : 10)))
    }
    #expect(steady.milliseconds(clockRate: 8000) == 0)
    #expect(abs(shaken.milliseconds(clockRate: 8000) - 10) < 0.5)
  }
}

@Suite struct SourceLockTests {
  @Test func theAddressOfSDPIsBelievedAtOnceAndNobodyElseAfterwards() {
    var lock = SourceLock(mode: .symmetric, expected: caller)
    #expect(lock.check(caller, ssrc: SSRC(1), sequence: 1, at: at(0)) == .learned)
    for i in 0..<50 {
      #expect(lock.check(stranger, ssrc: SSRC(2), sequence: UInt16(i), at: at(Double(i) * 20)) == .foreign)
      #expect(lock.check(caller, ssrc: SSRC(1), sequence: UInt16(2 + i), at: at(Double(i) * 20)) == .accepted)
    }
    #expect(lock.remote == caller)
    #expect(lock.foreignPackets == 50)
  }

  @Test func behindNATTheRealAddressIsLearnedFromPacketsInSequence() {
    let nat = RTPPeer(ipv4: 0xC633_6401, port: 61_000)
    var lock = SourceLock(mode: .symmetric, expected: caller)
    #expect(lock.check(nat, ssrc: SSRC(1), sequence: 7, at: at(0)) == .unproven)
    #expect(lock.remote == caller)
    #expect(lock.check(nat, ssrc: SSRC(1), sequence: 8, at: at(20)) == .learned)
    #expect(lock.remote == nat)
    #expect(lock.check(caller, ssrc: SSRC(1), sequence: 9, at: at(40)) == .foreign)
  }

  @Test func scatteredPacketsTeachNothing() {
    var lock = SourceLock(mode: .symmetric, expected: nil)
    for i in 0..<100 {
      let peer = RTPPeer(ipv4: 0x0A00_0000 + UInt32(i % 7), port: 4000)
      #expect(lock.check(peer, ssrc: SSRC(UInt32(i)), sequence: UInt16(i * 100), at: at(Double(i))) == .unproven)
    }
    #expect(lock.remote == nil)
  }

  @Test func strictModeTakesOnlyTheNamedAddress() {
    var lock = SourceLock(mode: .strict, expected: caller)
    for i in 0..<10 {
      #expect(lock.check(stranger, ssrc: SSRC(1), sequence: UInt16(i), at: at(Double(i) * 20)) == .foreign)
    }
    #expect(lock.check(caller, ssrc: SSRC(1), sequence: 1, at: at(300)) == .learned)
  }

  @Test func anotherMayTakeOverOnlyAfterSilence() {
    var lock = SourceLock(mode: .symmetric, expected: caller)
    _ = lock.check(caller, ssrc: SSRC(1), sequence: 1, at: at(0))
    #expect(lock.check(stranger, ssrc: SSRC(1), sequence: 2, at: at(2900)) == .foreign)
    #expect(lock.check(stranger, ssrc: SSRC(1), sequence: 3, at: at(3100)) == .unproven)
    #expect(lock.check(stranger, ssrc: SSRC(1), sequence: 4, at: at(3120)) == .learned)
    let third = RTPPeer(ipv4: 0x0A00_0033, port: 4000)
    #expect(lock.check(third, ssrc: SSRC(1), sequence: 5, at: at(3140)) == .foreign)
  }

  @Test func whoComesBackFromHoldTakesItsPlaceFromAnIntruder() {
    var lock = SourceLock(mode: .symmetric, expected: nil)
    _ = lock.check(caller, ssrc: SSRC(1), sequence: 1, at: at(0))
    _ = lock.check(caller, ssrc: SSRC(1), sequence: 2, at: at(20))
    _ = lock.check(stranger, ssrc: SSRC(2), sequence: 1, at: at(5000))
    #expect(lock.check(stranger, ssrc: SSRC(2), sequence: 2, at: at(5020)) == .learned)
    #expect(lock.check(caller, ssrc: SSRC(1), sequence: 3, at: at(5030)) == .learned)
    #expect(lock.check(stranger, ssrc: SSRC(2), sequence: 3, at: at(5040)) == .foreign)
    #expect(lock.remote == caller)
  }

  @Test func aReInviteMovesTheLockOnlyWhenTheAddressChanges() {
    var lock = SourceLock(mode: .symmetric, expected: caller)
    _ = lock.check(caller, ssrc: SSRC(1), sequence: 1, at: at(0))
    lock.renegotiated(expected: caller)
    #expect(lock.check(stranger, ssrc: SSRC(1), sequence: 2, at: at(20)) == .foreign)
    // Held with c=0.0.0.0: nobody may slip in.
    for nowhere in [nil, RTPPeer(ipv4: 0, port: 4000)] {
      lock.renegotiated(expected: nowhere)
      #expect(lock.remote == caller)
      #expect(lock.check(stranger, ssrc: SSRC(1), sequence: 3, at: at(30)) == .foreign)
    }
    lock.renegotiated(expected: stranger)
    #expect(lock.remote == stranger)
    #expect(lock.check(stranger, ssrc: SSRC(1), sequence: 2, at: at(40)) == .learned)
    #expect(lock.check(caller, ssrc: SSRC(1), sequence: 2, at: at(60)) == .foreign)
  }

  @Test func controlComesFromThePeersHostOnAnyPort() {
    let lock = SourceLock(mode: .symmetric, expected: caller)
    #expect(lock.admitsControl(from: RTPPeer(ipv4: 0x0A00_0001, port: 4001)))
    #expect(!lock.admitsControl(from: stranger))
  }

  @Test func foreignPacketsAreCountedByTheReceiver() {
    var target = receiver()
    #expect(target.receive(packet(1, 160), at: at(0)) == .audio)
    #expect(target.receive(packet(2, 320), from: stranger, at: at(20)) == .rejected(.foreignSource))
    #expect(target.statistics.rejected == 1)
    #expect(target.statistics.received == 1)
  }
}
