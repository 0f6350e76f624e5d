import Base

/// Whether a trunk answers: pings it with OPTIONS (RFC 3261 11) and learns from the calls that go over it.
public struct SIPTrunkHealth: Sendable {
  public struct Options: Hashable, Sendable {
    /// Between pings while it answers, and while it does not.
    public var interval: Duration = .seconds(30)
    public var downInterval: Duration = .seconds(10)
    /// A part of the interval by which each one is shorter or longer, so that trunks are not pinged in step.
    public var jitter = 0.1
    /// Silences in a row that make it down, and answers in a row that bring it back.
    public var failuresToDown = 2
    public var successesToUp = 2
    /// Statuses that are no sign of life. Any other answer is one: 401 and 404 come from something that works.
    public var deadStatuses: Set<Int> = [408, 503]

    public init() {}
  }

  public enum State: String, Hashable, Sendable, CaseIterable {
    /// Not heard of yet: it is used.
    case unknown
    case up, down
  }

  public enum Action: Hashable, Sendable {
    /// Send an OPTIONS, and hand its response to ``SIPTrunkHealth/receive(status:at:)``.
    case ping
    case changed(State)
  }

  public let options: Options
  public private(set) var state = State.unknown
  /// When ``timeout(at:)`` wants to be called; nil while a ping is on its way.
  public private(set) var deadline: Instant?
  private var isPending = false
  private var streak = 0
  private var random: SeededRandom

  public init(options: Options = Options(), random: SeededRandom) {
    self.options = options
    self.random = random
  }

  /// Whether calls may go over it.
  public var isUsable: Bool { state != .down }

  /// The first ping follows at once.
  public mutating func start(at now: Instant) { deadline = now }

  public mutating func timeout(at now: Instant) -> [Action] {
    guard let wanted = deadline, now >= wanted else { return [] }
    deadline = nil
    isPending = true
    return [.ping]
  }

  /// The final status of a ping; as in ``SIPResponseOutcome``, 408 where nothing came and 503 where it could not be sent.
  public mutating func receive(status: Int, at now: Instant) -> [Action] {
    guard isPending else { return [] }
    isPending = false
    let actions = observe(status: status, at: now)
    let interval = state == .down || streak < 0 ? options.downInterval : options.interval
    let part = 1 + options.jitter * (Double(random.next() % 20_001) / 10_000 - 1)
    deadline = now + .milliseconds(Int64(Double(interval.milliseconds) * part))
    return actions
  }

  /// The final status of a call over it: worth as much as that of a ping.
  public mutating func observe(status: Int, at now: Instant) -> [Action] {
    let isAlive = !options.deadStatuses.contains(status)
    // Positive for answers in a row, negative for silences.
    streak = isAlive ? max(streak, 0) + 1 : min(streak, 0) - 1
    streak = min(max(streak, -1_000_000), 1_000_000)
    switch state {
    case .unknown where isAlive, .down where streak >= options.successesToUp: return change(.up)
    case .unknown where -streak >= options.failuresToDown, .up where -streak >= options.failuresToDown:
      return change(.down)
    default: return []
    }
  }

  private mutating func change(_ new: State) -> [Action] {
    state = new
    return [.changed(new)]
  }
}
