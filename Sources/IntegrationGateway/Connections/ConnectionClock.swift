import Base

/// How long a connection may take for what, and how many there may be.
public struct ConnectionLimits: Sendable, Hashable {
  /// Open connections; more wait in the backlog of the socket.
  public var connections = 8192
  /// Connections on which nothing is under way. For each that comes beyond, the one that has been idle longest is closed, so
  /// that whoever only holds connections keeps nobody out.
  public var idleConnections = 1024
  /// From the beginning of a connection to the end of its first request's head.
  public var headTime: Duration = .seconds(15)
  /// From an answer to the end of the next request's head.
  public var idleTime: Duration = .seconds(60)
  /// From the end of a request's head to the end of its body.
  public var bodyTime: Duration = .seconds(30)
  /// From the end of a request to the beginning of its answer, for routes that name no other time.
  public var answerTime: Duration = .seconds(30)
  /// Event streams and WebSockets: each holds a connection and a buffer.
  public var streams = 2048
  /// Between two pings of a WebSocket; a peer that has not answered one when the next is due is gone.
  public var pingInterval: Duration = .seconds(20)
  /// From one message of a client to the next on a stream of sound: it keeps a decoder from others.
  public var soundIdleTime: Duration = .seconds(30)
  /// The longest that a stream of sound may be open, however little comes.
  public var soundTime: Duration = .seconds(3600)

  public init() {}
}

/// When one HTTP connection has taken too long: a slow head, a slow body, an answer that does not come, idleness.
struct ConnectionClock: Sendable {
  enum Input: Sendable {
    case opened
    case requestHead
    case requestEnd
    case responseHead
    case responseEnd
    /// The request under way may take this long.
    case answerTime(Duration)
    /// No further request is wanted.
    case quiesce
    /// ``deadline`` has come.
    case time
  }

  enum Action: Sendable, Equatable {
    case close
    /// An answer to the request under way, and the end of the connection: its head or body has taken too long.
    case refuse(TimeoutCause)
    /// Nothing is under way from now on; may be closed to make room.
    case becameIdle
    case becameBusy
  }

  enum TimeoutCause: Sendable { case slowBody, slowAnswer }

  private let limits: ConnectionLimits
  /// Requests whose head has come and whose answer has not ended.
  private var unanswered = 0
  private var isReading = false
  private var isResponding = false
  private var isQuiescing = false
  private(set) var deadline: Instant?

  init(limits: ConnectionLimits) { self.limits = limits }

  mutating func receive(_ input: Input, at now: Instant) -> [Action] {
    switch input {
    case .opened:
      deadline = now + limits.headTime
      return [.becameIdle]
    case .requestHead:
      unanswered += 1
      isReading = true
      if !isResponding { deadline = now + limits.bodyTime }
      return unanswered == 1 ? [.becameBusy] : []
    case .requestEnd:
      isReading = false
      if unanswered > 0, !isResponding { deadline = now + limits.answerTime }
      return []
    case .answerTime(let time):
      if unanswered > 0, !isReading, !isResponding { deadline = now + time }
      return []
    case .responseHead:
      isResponding = true
      // A body that is still coming keeps its time; an answer may stream for ever.
      if !isReading { deadline = nil }
      return []
    case .responseEnd:
      isResponding = false
      unanswered = max(0, unanswered - 1)
      if isQuiescing { return [.close] }
      if unanswered > 0 {
        deadline = now + limits.answerTime
        return []
      }
      if isReading { return [] }
      deadline = now + limits.idleTime
      return [.becameIdle]
    case .quiesce:
      isQuiescing = true
      return unanswered == 0 ? [.close] : []
    case .time:
      guard let deadline, now >= deadline else { return [] }
      self.deadline = nil
      if unanswered == 0 || isResponding { return [.close] }
      return [.refuse(isReading ? .slowBody : .slowAnswer)]
    }
  }
}
