import Base
import CallLink
import Testing

@Suite struct HopEndTests {
  private let second = HopParty(instance: "s2", fence: 2)

  @Test func messagesArriveOnceAndInOrderOverBrokenTransports() {
    var pair = HopPair()
    pair.say("before")
    pair.start()
    pair.say("a")
    pair.answer(1)
    pair.losesEverything()
    pair.say("b")
    pair.answer(2)
    pair.breakLink()
    pair.perform(pair.left.receive(.broken(HopLink(1)), at: pair.now))
    pair.say("c")
    #expect(pair.words == ["before", "a"])
    pair.connect()
    pair.say("d")
    #expect(pair.words == ["before", "a", "b", "c", "d"])
    #expect(pair.numbers == [1, 2])
    #expect(pair.leftMeetings == [.first, .resumed])
    #expect(pair.dials.last == HopDial(attempt: 0, prefer: HopParty(instance: "s1", fence: 1)))
    #expect(pair.left.unsettled == 0 && pair.right.unsettled == 0)
  }

  @Test func whatWasNotSettledComesAgainToASuccessor() {
    var pair = HopPair()
    pair.settles = false
    pair.start()
    pair.say("a")
    pair.say("b")
    pair.perform(pair.right.settle(through: 1, at: pair.now))
    pair.answer(1)
    let safe = pair.right.snapshot(handled: 1)
    pair.say("c")
    pair.breakLink()
    pair.heardRight = []
    pair.replaceRight(second, safe)
    pair.connect()
    #expect(pair.words == ["b", "c"])
    #expect(pair.leftMeetings == [.first, .replaced])
    // What the predecessor had said is known, and what is said now counts on.
    pair.answer(2)
    #expect(pair.numbers == [1, 2])
  }

  @Test func aSuccessorThatNeedsWhatIsGoneEndsTheCallPolitely() {
    var pair = HopPair()
    pair.start()
    let old = pair.right.snapshot(handled: 0)
    pair.say("a")
    pair.breakLink()
    pair.replaceRight(second, old)
    pair.connect()
    #expect(pair.leftEnding == .tooOld)
    #expect(pair.leftEnding?.mustEndCall == true)
    #expect(pair.refusals.map(\.reason) == [.tooOld])
  }

  @Test(arguments: [false, true]) func aSuccessorBehindItsPeerIsTakenOnlyWhereItRepeatsItself(replays: Bool) {
    var limits = HopLimits()
    limits.replays = replays
    var pair = HopPair(leftLimits: limits, rightLimits: limits)
    pair.start()
    let early = pair.right.snapshot(handled: 0)
    pair.answer(1)
    pair.breakLink()
    pair.replaceRight(second, early, limits: limits)
    pair.connect()
    #expect(pair.leftEnding == (replays ? nil : .diverged))
    if !replays { return }
    // The machine makes the same again: it is not heard twice.
    pair.answer(1)
    pair.answer(2)
    #expect(pair.numbers == [1, 2])
  }

  @Test func nobodyHearsAnOwnerThatHasBeenReplaced() {
    var pair = HopPair()
    pair.start()
    let old = pair.right
    pair.breakLink()
    pair.replaceRight(second, pair.right.snapshot(handled: 0))
    pair.connect()
    // The old process answers the next attempt.
    pair.breakLink()
    pair.right = old
    pair.perform(pair.right.receive(.broken(HopLink(1)), at: pair.now))
    pair.connect()
    #expect(pair.left.isAttached == false)
    #expect(pair.rightEnding == .superseded)
    #expect(pair.rightEnding?.mustEndCall == false)
  }

  @Test func aNewOwnerOfTheLeftSideTakesThePlaceOfTheOldOne() {
    var pair = HopPair()
    pair.start()
    let old = pair.left
    let snapshot = pair.left.snapshot(handled: 0)
    let oldLink = pair.link
    pair.replaceLeft(HopParty(instance: "m2", fence: 2), snapshot)
    pair.rightActions = []
    pair.connect()
    #expect(pair.left.isAttached)
    let toOld = pair.rightActions.compactMap { action -> HopClose.Reason? in
      if case .transmit(.close(let close), let link) = action, link == oldLink { close.reason } else { nil }
    }
    #expect(toOld == [.stale])
    // And does not get it back.
    var stale = old
    _ = stale.receive(.broken(HopLink(1)), at: pair.now)
    var refused: [HopClose] = []
    for case .transmit(let frame, let link) in stale.receive(.linked(HopLink(9)), at: pair.now) {
      for case .transmit(.close(let close), _) in pair.right.receive(.frame(frame, link), at: pair.now) {
        refused.append(close)
      }
    }
    #expect(refused == [HopClose(.stale, holder: HopParty(instance: "m2", fence: 2))])
    var endings: [HopEnding] = []
    for close in refused {
      for case .ended(let ending, _) in stale.receive(.frame(.close(close), HopLink(9)), at: pair.now) {
        endings.append(ending)
      }
    }
    #expect(endings == [.superseded])
  }

  @Test func aSlowReaderHoldsTheSenderBackAndLosesNothing() {
    var limits = HopLimits()
    limits.window = 4
    var pair = HopPair(rightLimits: limits)
    pair.settles = false
    pair.start()
    for number in 0..<10 { pair.say("\(number)") }
    #expect(pair.words == ["0", "1", "2", "3"])
    pair.perform(pair.right.settle(through: 2, at: pair.now))
    #expect(pair.words.count == 6)
    pair.settles = true
    pair.perform(pair.right.settle(through: 6, at: pair.now))
    #expect(pair.words == (0..<10).map { "\($0)" })
  }

  @Test func aSenderThatMindsNoWindowIsCutOff() {
    var limits = HopLimits()
    limits.window = 2
    var pair = HopPair(rightLimits: limits)
    pair.settles = false
    pair.start()
    for number in 1...3 {
      pair.perform(pair.right.receive(.frame(.message(Numbered(UInt64(number), "x")), HopLink(1)), at: pair.now))
    }
    #expect(pair.rightEnding == .violation)
    #expect(pair.words.count == 2)
  }

  @Test func moreThanCanBeKeptEndsTheHopInsteadOfLosingSomething() {
    var limits = HopLimits()
    limits.kept = 3
    var pair = HopPair(leftLimits: limits)
    for number in 0..<4 { pair.say("\(number)") }
    #expect(pair.leftEnding == .overflow)
    #expect(pair.leftEnding?.mustEndCall == true)
  }

  @Test func aTransportThatSkipsAMessageIsGivenUp() {
    var pair = HopPair()
    pair.start()
    pair.perform(pair.right.receive(.frame(.message(Numbered(2, "b")), HopLink(1)), at: pair.now))
    #expect(pair.right.counts.gaps == 1)
    #expect(pair.words == [])
    #expect(!pair.left.isAttached)
    pair.say("a")
    pair.connect()
    #expect(pair.words == ["a"])
  }

  @Test func aSilentPeerIsAskedThenLeft() {
    var pair = HopPair()
    pair.start()
    // Quiet is not dead.
    pair.wait(.seconds(20))
    #expect(pair.left.isAttached && pair.right.isAttached)
    pair.losesEverything()
    pair.leftActions = []
    pair.wait(.milliseconds(2_100))
    #expect(!pair.left.isAttached)
    #expect(pair.dials.first?.avoid == HopParty(instance: "s1", fence: 1))
  }

  @Test func withoutAPeerForTooLongTheCallIsEndedPolitely() {
    var pair = HopPair()
    pair.start()
    pair.breakLink()
    for _ in 0..<200 {
      if case .dial? = pair.leftActions.last { pair.perform(pair.left.receive(.unreachable, at: pair.now)) }
      pair.wait(.milliseconds(100))
    }
    #expect(pair.leftEnding == .outage)
    #expect(pair.rightEnding == .outage)
    #expect(pair.left.deadline == nil)
    // Often at first, then not more than once in a second.
    #expect((12...18).contains(pair.dials.count), "\(pair.dials.count)")
  }

  @Test func aPeerThatAsksToBeLeftServesUntilAnotherIsThere() {
    var pair = HopPair()
    pair.start()
    pair.perform(pair.right.leave(at: pair.now))
    #expect(pair.dials.last?.avoid == HopParty(instance: "s1", fence: 1))
    // There is no other.
    pair.perform(pair.left.receive(.unreachable, at: pair.now))
    pair.say("a")
    pair.answer(1)
    #expect(pair.words == ["a"] && pair.numbers == [1])
    pair.wait(.milliseconds(1_100))
    let snapshot = pair.right.snapshot(handled: 1)
    let old = pair.right
    var told: [HopEnding] = []
    // Now there is: the old one is told on its own transport before the new one hears anything.
    let actions = pair.left.receive(.linked(HopLink(2)), at: pair.now)
    for case .transmit(let frame, HopLink(1)) in actions {
      var leaving = old
      for case .ended(let ending, _) in leaving.receive(.frame(frame, HopLink(1)), at: pair.now) { told.append(ending) }
    }
    #expect(told == [.superseded])
    pair.replaceRight(second, snapshot)
    for case .transmit(let frame, HopLink(2)) in actions {
      for case .transmit(let answer, let link) in pair.right.receive(.frame(frame, HopLink(2)), at: pair.now) {
        _ = pair.left.receive(.frame(answer, link), at: pair.now)
      }
    }
    #expect(pair.left.isAttached)
    #expect(pair.left.peer == second)
  }

  @Test(arguments: [
    (HopVersion(major: 1, minor: 1), true), (HopVersion(major: 1, minor: 2), false),
    (HopVersion(major: 2, minor: 0), false), (HopVersion(major: 1, minor: .max), false),
  ])
  func oneMinorVersionApartIsUnderstood(version: HopVersion, isUnderstood: Bool) {
    var pair = HopPair(version: version)
    pair.start()
    #expect(pair.left.isAttached == isUnderstood)
    if isUnderstood { return }
    #expect(pair.refusals.map(\.reason) == [.version])
    #expect(pair.refusals.first?.message.contains("\(version)") == true)
    #expect(pair.leftEnding == nil, "another peer may understand")
  }

  @Test func whatTheNeighbourKeepsReachesTheSuccessor() {
    var pair = HopPair()
    pair.start()
    let kept = pair.right.keep(at: pair.now, [1, 2, 3])
    pair.perform(kept.actions)
    #expect(pair.left.latestMemory == HopMemory.ID(fence: 1, number: 1))
    // Only the owner of the left side knows when it is safe.
    #expect(!pair.rightActions.contains { if case .kept = $0 { true } else { false } })
    pair.perform(pair.left.keptMemory(HopMemory.ID(fence: 1, number: 1), at: pair.now))
    #expect(pair.rightActions.contains { if case .kept(1) = $0 { true } else { false } })
    pair.breakLink()
    let open = pair.left.receive(.linked(HopLink(7)), at: pair.now).compactMap { action -> HopOpen? in
      if case .transmit(.open(let open), _) = action { open } else { nil }
    }
    #expect(open.first?.memory?.bytes == [1, 2, 3])
    #expect(open.first?.replaces == HopParty(instance: "s1", fence: 1))
  }

  @Test func aMemoryThatIsTooLargeEndsTheHop() {
    var pair = HopPair()
    pair.start()
    pair.perform(pair.right.keep(at: pair.now, Array(repeating: 0, count: HopMemory.byteLimit + 1)).actions)
    #expect(pair.rightEnding == .overflow)
  }

  @Test func aSuccessorWithoutMemoryGetsWhatIsOpenAndTheOwnerIsTold() {
    var limits = HopLimits()
    limits.takesForgetful = true
    var pair = HopPair(leftLimits: limits)
    pair.settles = false
    pair.start()
    pair.say("done")
    pair.perform(pair.right.settle(through: 1, at: pair.now))
    pair.say("open")
    pair.answer(1)
    pair.breakLink()
    pair.heardRight = []
    pair.replaceRight(second, nil, isForgetful: true)
    pair.connect()
    #expect(pair.leftMeetings == [.first, .forgetful])
    #expect(pair.words == ["open"])
    pair.answer(2)
    #expect(pair.numbers == [1, 2])
  }

  @Test func aCallThatSomebodyElseHasTakenIsFollowed() {
    var pair = HopPair()
    pair.start()
    let snapshot = pair.right.snapshot(handled: 0)
    pair.breakLink()
    pair.leftActions = []
    // The transport is there, but the process at its end does not have the call.
    let link = HopLink(30)
    _ = pair.left.receive(.linked(link), at: pair.now)
    pair.perform(pair.left.receive(.frame(.close(HopClose(.heldElsewhere, holder: second)), link), at: pair.now))
    #expect(pair.dials.last?.prefer == second)
    pair.replaceRight(second, snapshot)
    pair.connect()
    #expect(pair.left.isAttached)
  }

  @Test func theHopEndsWhenEverythingIsSaidAndSettled() {
    var pair = HopPair()
    pair.start()
    pair.say("last")
    pair.losesEverything()
    pair.say("really last")
    pair.perform(pair.left.finish(at: pair.now))
    #expect(pair.leftEnding == nil)
    pair.perform(pair.left.receive(.broken(HopLink(1)), at: pair.now))
    pair.connect()
    #expect(pair.words == ["last", "really last"])
    #expect(pair.leftEnding == .over)
    #expect(pair.rightEnding == .over)
  }

  @Test func framesOfATransportThatWasGivenUpCountForNothing() {
    var pair = HopPair()
    pair.start()
    pair.breakLink()
    pair.connect()
    pair.perform(pair.right.receive(.frame(.message(Numbered(1, "late")), HopLink(1)), at: pair.now))
    pair.perform(pair.right.receive(.frame(.close(HopClose(.over)), HopLink(1)), at: pair.now))
    #expect(pair.words == [])
    #expect(pair.right.isAttached)
  }

  @Test func noFrameOfAnyPeerBringsAnEndDown() {
    var random = SeededRandom(seed: 11)
    for round in 0..<3_000 {
      var pair = HopPair()
      if round % 3 > 0 { pair.start() }
      for _ in 0..<12 {
        let frame = Self.frame(&random)
        let link = HopLink(random.next() % 3)
        pair.perform(pair.right.receive(.frame(frame, link), at: pair.now))
        pair.perform(pair.left.receive(.frame(Self.answer(frame), link), at: pair.now))
        pair.say("x")
        if random.next() % 4 == 0 { pair.wait(.milliseconds(700)) }
      }
      let heard = pair.heardRight.map(\.sequence)
      #expect(heard == heard.indices.map { UInt64($0 + 1) })
    }
  }

  private static func number(_ random: inout SeededRandom) -> UInt64 {
    [0, 1, 2, 3, 1_024, 1 << 48, .max - 1, .max][Int(random.next() % 8)]
  }

  private static func frame(_ random: inout SeededRandom) -> HopFrame<String> {
    let party = HopParty(instance: ["m1", "m2", ""][Int(random.next() % 3)], fence: number(&random))
    let place = HopPlace(
      received: number(&random), oldest: number(&random), next: number(&random), mayReach: number(&random))
    let memory = HopMemory(id: HopMemory.ID(fence: number(&random), number: number(&random)), bytes: [1])
    switch random.next() % 11 {
    case 0:
      return .open(
        HopOpen(
          version: .current, session: HopPair.session, from: party, replaces: random.next() % 2 == 0 ? party : nil,
          place: random.next() % 4 == 0 ? nil : place, memory: random.next() % 2 == 0 ? memory : nil))
    case 1: return .opened(HopOpened(version: .current, from: party, place: place))
    case 2, 3: return .message(Numbered(number(&random), "y"))
    case 4: return .ack(through: number(&random), mayReach: number(&random))
    case 5: return .keep(memory)
    case 6: return .kept(memory.id)
    case 7: return .ping
    case 8: return .leave
    case 9: return .pong
    default:
      let reasons = HopClose.Reason.allCases
      return .close(HopClose(reasons[Int(random.next() % UInt64(reasons.count))], holder: party))
    }
  }

  private static func answer(_ frame: HopFrame<String>) -> HopFrame<Int> {
    switch frame {
    case .open(let open): .open(open)
    case .opened(let opened): .opened(opened)
    case .message(let message): .message(Numbered(message.sequence, 1))
    case .ack(let through, let mayReach): .ack(through: through, mayReach: mayReach)
    case .keep(let memory): .keep(memory)
    case .kept(let id): .kept(id)
    case .ping: .ping
    case .pong: .pong
    case .leave: .leave
    case .close(let close): .close(close)
    }
  }
}
