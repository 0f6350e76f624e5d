import Base

/// Checkpoints in Redis: a hash and a list for each session.
public struct RedisCheckpointStore: CheckpointStore {
  private let store: RedisStore

  public init(_ client: RedisClient) { store = RedisStore(client: client) }

  /// What the scripts answer.
  private enum Verdict: Int64 {
    case overtaken, done, missing, full
  }

  private static let put = RedisScript(
    """
    local held = redis.call('HMGET', KEYS[1], 'token', 'sequence', 'ended')
    local theirs, mine = tonumber(held[1] or '-1'), tonumber(ARGV[1])
    if theirs > mine or held[3] then return 0 end
    if theirs == mine and held[2] and tonumber(held[2]) > tonumber(ARGV[2]) then return 1 end
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'token', ARGV[1], 'sequence', ARGV[2], 'data', ARGV[3], 'last', ARGV[5])
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    if #ARGV > 5 then
      redis.call('RPUSH', KEYS[2], unpack(ARGV, 6))
      redis.call('PEXPIRE', KEYS[2], ARGV[4])
    end
    return 1
    """)

  public func put(_ checkpoint: SessionCheckpoint, for lifetime: Duration) async throws {
    try Checkpoints.check(checkpoint)
    let snapshot = checkpoint.snapshot
    try await judge(
      Self.put, snapshot.session,
      [
        .init(checkpoint.token), .init(snapshot.sequence), .init(snapshot.data), .init(max(1, lifetime.milliseconds)),
        .init(checkpoint.events.last?.sequence ?? snapshot.sequence),
      ] + checkpoint.events.map { .init(Checkpoints.text($0)) })
  }

  /// Pairs of a sequence and an event.
  private static let append = RedisScript(
    """
    local held = redis.call('HMGET', KEYS[1], 'token', 'data', 'last', 'ended')
    if not held[1] then return 2 end
    local theirs, mine = tonumber(held[1]), tonumber(ARGV[1])
    if theirs > mine or held[4] then return 0 end
    if theirs < mine or not held[2] then return 2 end
    local new = {}
    for i = 3, #ARGV, 2 do
      if tonumber(ARGV[i]) > tonumber(held[3]) then table.insert(new, ARGV[i + 1]) end
    end
    if #new == 0 then return 1 end
    if redis.call('LLEN', KEYS[2]) + #new > tonumber(ARGV[2]) then return 3 end
    redis.call('RPUSH', KEYS[2], unpack(new))
    redis.call('HSET', KEYS[1], 'last', ARGV[#ARGV - 1])
    redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
    return 1
    """)

  public func append(_ events: [SessionEvent], to session: SessionID, token: Int64) async throws {
    try Checkpoints.check(events)
    try await judge(
      Self.append, session,
      [.init(token), .init(Checkpoints.events)]
        + events.flatMap { [.init($0.sequence), .init(Checkpoints.text($0))] })
  }

  private static let takeOver = RedisScript(
    """
    local held = redis.call('HMGET', KEYS[1], 'token', 'sequence', 'data', 'ended')
    if held[4] then return 2 end
    if tonumber(held[1] or '-1') > tonumber(ARGV[1]) then return 0 end
    redis.call('HSET', KEYS[1], 'token', ARGV[1])
    if not held[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    if not held[3] then return 2 end
    return {held[1], held[2], held[3], redis.call('LRANGE', KEYS[2], 0, -1)}
    """)

  public func takeOver(_ session: SessionID, token: Int64) async throws -> SessionCheckpoint? {
    let answer = try await store.run(
      Self.takeOver, keys: Self.keys(session),
      [.init(token), .init(Checkpoints.remembered.milliseconds)], .writeFailed)
    if let number = answer.int {
      if Verdict(rawValue: number) == .overtaken { throw Checkpoints.overtaken }
      return nil
    }
    guard let fields = answer.elements, fields.count == 4, let writer = fields[0].text.flatMap({ Int64($0) }),
      let sequence = fields[1].text.flatMap({ Int64($0) }), let data = fields[2].bytes, let lines = fields[3].elements,
      let events = Checkpoints.events(lines.compactMap(\.text), of: session)
    else { return nil }
    return SessionCheckpoint(
      SessionSnapshot(session: session, sequence: sequence, data: data), events: events, token: writer)
  }

  private static let remove = RedisScript(
    """
    local held = redis.call('HGET', KEYS[1], 'token')
    if tonumber(held or '-1') > tonumber(ARGV[1]) then return 0 end
    redis.call('DEL', KEYS[1], KEYS[2])
    redis.call('HSET', KEYS[1], 'token', ARGV[1], 'ended', '1')
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return 1
    """)

  public func remove(_ session: SessionID, token: Int64) async throws {
    try await judge(
      Self.remove, session, [.init(token), .init(Checkpoints.remembered.milliseconds)])
  }

  private func judge(
    _ script: RedisScript, _ session: SessionID, _ arguments: [RedisCommand.Argument]
  ) async throws {
    let answer = try await store.run(script, keys: Self.keys(session), arguments, .writeFailed)
    switch answer.int.flatMap(Verdict.init) {
    case .done: return
    case .overtaken: throw Checkpoints.overtaken
    case .missing: throw Checkpoints.none(session)
    case .full: throw Checkpoints.full
    case nil: throw RedisStore.unexpected()
    }
  }

  private static func keys(_ session: SessionID) -> [String] {
    ["state:\(session.value)", "events:\(session.value)"]
  }
}
