import Base
import CallLink

/// Two ends with a transport between them that a test breaks: everything arrives at once, in order.
struct HopPair {
  typealias Left = HopEnd<String, Int>
  typealias Right = HopEnd<Int, String>

  var now = Instant(nanoseconds: 5_000_000_000)
  var left: Left
  var right: Right
  /// What each was given to handle.
  var heardLeft: [Numbered<Int>] = []
  var heardRight: [Numbered<String>] = []
  var leftActions: [Left.Action] = []
  var rightActions: [Right.Action] = []
  /// Whether what arrives is settled at once.
  var settles = true
  private(set) var link: HopLink?
  private var links: UInt64 = 0

  static let session = SessionID("01")

  init(
    left: HopParty = HopParty(instance: "m1", fence: 1), right: HopParty = HopParty(instance: "s1", fence: 1),
    leftLimits: HopLimits = HopLimits(), rightLimits: HopLimits = HopLimits(), version: HopVersion = .current,
    forgetful: (left: Bool, right: Bool) = (false, false)
  ) {
    self.left = Left(
      .dialing, session: Self.session, me: left, limits: leftLimits, isForgetful: forgetful.left, at: now)
    self.right = Right(
      .answering, session: Self.session, me: right, limits: rightLimits, version: version,
      isForgetful: forgetful.right, at: now)
  }

  mutating func start() {
    perform(left.start(at: now))
    connect()
  }

  /// The transport that the left end has asked for is there.
  mutating func connect() {
    links += 1
    link = HopLink(links)
    perform(left.receive(.linked(HopLink(links)), at: now))
  }

  mutating func breakLink() {
    guard let old = link else { return }
    link = nil
    perform(left.receive(.broken(old), at: now))
    perform(right.receive(.broken(old), at: now))
  }

  /// The transport takes what is put on it, and delivers none of it.
  mutating func losesEverything() { link = nil }

  mutating func say(_ message: String) {
    left.send(message)
    perform(left.flush(at: now))
  }

  mutating func answer(_ message: Int) {
    right.send(message)
    perform(right.flush(at: now))
  }

  /// Another process takes over the right side.
  mutating func replaceRight(
    _ party: HopParty, _ snapshot: HopSnapshot<Int>?, isForgetful: Bool = false, limits: HopLimits = HopLimits()
  ) {
    right = Right(
      .answering, session: Self.session, me: party, limits: limits, restoring: snapshot, isForgetful: isForgetful,
      at: now)
  }

  mutating func replaceLeft(_ party: HopParty, _ snapshot: HopSnapshot<String>?, isForgetful: Bool = false) {
    left = Left(
      .dialing, session: Self.session, me: party, restoring: snapshot, isForgetful: isForgetful, at: now)
    perform(left.start(at: now))
  }

  mutating func wait(_ time: Duration) {
    let end = now + time
    while let next = [left.deadline, right.deadline].compactMap({ $0 }).min(), next <= end {
      now = max(now, next)
      if let deadline = left.deadline, deadline <= now { perform(left.timeout(at: now)) }
      if let deadline = right.deadline, deadline <= now { perform(right.timeout(at: now)) }
    }
    now = end
  }

  mutating func perform(_ actions: [Left.Action]) {
    for action in actions {
      leftActions.append(action)
      switch action {
      case .transmit(let frame, let on): if on == link { perform(right.receive(.frame(frame, on), at: now)) }
      case .deliver(let message):
        heardLeft.append(message)
        if settles { perform(left.settle(through: message.sequence, at: now)) }
      case .drop(let on): if on == link { perform(right.receive(.broken(on), at: now)) }
      case .dial, .met, .lost, .remember, .kept, .ended: break
      }
    }
  }

  mutating func perform(_ actions: [Right.Action]) {
    for action in actions {
      rightActions.append(action)
      switch action {
      case .transmit(let frame, let on): if on == link { perform(left.receive(.frame(frame, on), at: now)) }
      case .deliver(let message):
        heardRight.append(message)
        if settles { perform(right.settle(through: message.sequence, at: now)) }
      case .drop(let on): if on == link { perform(left.receive(.broken(on), at: now)) }
      case .dial, .met, .lost, .remember, .kept, .ended: break
      }
    }
  }

  // MARK: What a test asks

  var words: [String] { heardRight.map(\.message) }
  var numbers: [Int] { heardLeft.map(\.message) }
  var leftEnding: HopEnding? {
    leftActions.compactMap { if case .ended(let ending, _) = $0 { ending } else { nil } }.last
  }
  var rightEnding: HopEnding? {
    rightActions.compactMap { if case .ended(let ending, _) = $0 { ending } else { nil } }.last
  }
  var leftMeetings: [HopMeeting] {
    leftActions.compactMap { if case .met(let meeting, _) = $0 { meeting } else { nil } }
  }
  var dials: [HopDial] { leftActions.compactMap { if case .dial(let dial) = $0 { dial } else { nil } } }
  /// What the right end said to a dialler that it did not take.
  var refusals: [HopClose] {
    rightActions.compactMap { if case .transmit(.close(let close), _) = $0 { close } else { nil } }
  }
}
