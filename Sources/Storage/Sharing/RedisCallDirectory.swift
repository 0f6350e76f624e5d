import Base

/// The directory in Redis: a hash per lease, and a sorted set per role by the ends of its leases.
public struct RedisCallDirectory: CallDirectory {
  private let store: RedisStore

  public init(_ client: RedisClient) { store = RedisStore(client: client) }

  /// A token is never below the clock's microseconds: a replica that takes over without the last count still counts on.
  private static let claim = RedisScript(
    withClock: """
      local held = redis.call('HMGET', KEYS[1], 'instance', 'address', 'token', 'end')
      local lives = held[1] and tonumber(held[4]) > now
      if lives and held[1] ~= ARGV[1] then return {held[1], held[2], held[3]} end
      local token = held[3]
      if not lives then
        token = whole(math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, time[1] * 1000000 + time[2]))
        redis.call('SET', KEYS[3], token)
      end
      local finish = now + ARGV[3]
      redis.call('HSET', KEYS[1], 'instance', ARGV[1], 'address', ARGV[2], 'token', token, 'end', whole(finish))
      redis.call('PEXPIRE', KEYS[1], whole(ARGV[3] + ARGV[4]))
      redis.call('ZADD', KEYS[2], whole(finish), ARGV[5])
      return {ARGV[1], ARGV[2], token}
      """)

  public func claim(_ seat: CallSeat, by holder: CallHolder, for duration: Duration) async throws -> CallLease {
    let answer = try await store.run(
      Self.claim, keys: [Self.key(seat), Self.order(seat.role), "lease-tokens"],
      [
        .init(holder.instance), .init(holder.address), .init(duration.milliseconds), .init(CallLeases.orphanMs),
        .init(seat.session.value),
      ], .writeFailed)
    return try Self.lease(seat, answer.elements?[...] ?? [])
  }

  /// Pairs of keys, and a token for each pair; the places of those that are lost.
  private static let renew = RedisScript(
    withClock: """
      local lost = {}
      for i = 3, #ARGV, 2 do
        local key, order = KEYS[i - 2], KEYS[i - 1]
        if redis.call('HGET', key, 'token') == ARGV[i + 1] then
          redis.call('HSET', key, 'end', whole(now + ARGV[1]))
          redis.call('PEXPIRE', key, whole(ARGV[1] + ARGV[2]))
          redis.call('ZADD', order, whole(now + ARGV[1]), ARGV[i])
        else
          table.insert(lost, (i - 3) / 2)
        end
      end
      return lost
      """)

  public func renew(_ leases: [CallLease], for duration: Duration) async throws -> [CallLease] {
    var lost: [CallLease] = []
    for piece in leases.pieces(of: CallLeases.batch) {
      let answer = try await store.run(
        Self.renew, keys: piece.flatMap { [Self.key($0.seat), Self.order($0.seat.role)] },
        [.init(duration.milliseconds), .init(CallLeases.orphanMs)]
          + piece.flatMap { [.init($0.seat.session.value), .init($0.token)] }, .writeFailed)
      for place in answer.elements ?? [] {
        guard let place = place.int, piece.indices.contains(piece.startIndex + Int(place)) else {
          throw RedisStore.unexpected()
        }
        lost.append(piece[piece.startIndex + Int(place)])
      }
    }
    return lost
  }

  private static let release = RedisScript(
    """
    if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
    redis.call('DEL', KEYS[1])
    return redis.call('ZREM', KEYS[2], ARGV[2])
    """)

  public func release(_ lease: CallLease) async throws {
    _ = try await store.run(
      Self.release, keys: [Self.key(lease.seat), Self.order(lease.seat.role)],
      [.init(lease.token), .init(lease.seat.session.value)], .writeFailed)
  }

  private static let look = RedisScript(
    withClock: """
      local held = redis.call('HMGET', KEYS[1], 'instance', 'address', 'token', 'end')
      if not held[1] or tonumber(held[4]) <= now then return {} end
      return {held[1], held[2], held[3]}
      """)

  public func lease(of seat: CallSeat) async throws -> CallLease? {
    let answer = try await store.run(Self.look, keys: [Self.key(seat)], [], .readFailed)
    guard let fields = answer.elements, !fields.isEmpty else { return nil }
    return try Self.lease(seat, fields[...])
  }

  /// The clock, then four fields for each. What has left no hash was forgotten for its age.
  private static let orphans = RedisScript(
    withClock: """
      local found = {whole(now)}
      for _, session in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'LIMIT', 0, ARGV[1])) do
        local held = redis.call('HMGET', ARGV[2] .. session, 'instance', 'address', 'token')
        if held[1] then
          for _, field in ipairs({session, held[1], held[2], held[3]}) do table.insert(found, field) end
        else
          redis.call('ZREM', KEYS[1], session)
        end
      end
      return found
      """)

  public func orphans(role: String, limit: Int) async throws -> CallOrphans {
    let prefix = RedisStore.prefix + Self.key(CallSeat(SessionID(""), role: role))
    let answer = try await store.run(
      Self.orphans, keys: [Self.order(role)], [.init(min(max(0, limit), StorageLimits.page)), .init(prefix)],
      .readFailed)
    guard let clock = answer.elements?.first?.text.flatMap({ Int64($0) }) else { throw RedisStore.unexpected() }
    let leases = try (answer.elements ?? []).dropFirst().map { $0 }.pieces(of: 4).map { fields in
      guard let session = fields.first?.text else { throw RedisStore.unexpected() }
      return try Self.lease(CallSeat(SessionID(session), role: role), fields.dropFirst())
    }
    return CallOrphans(leases, clockMs: clock)
  }

  private static func key(_ seat: CallSeat) -> String { "lease:\(seat.role):\(seat.session.value)" }
  private static func order(_ role: String) -> String { "leases:\(role)" }

  private static func lease(_ seat: CallSeat, _ fields: ArraySlice<RESPValue>) throws -> CallLease {
    let texts = fields.map(\.text)
    guard texts.count == 3, let instance = texts[0], let address = texts[1], let token = texts[2].flatMap({ Int64($0) })
    else { throw RedisStore.unexpected() }
    return CallLease(seat: seat, holder: CallHolder(instance: instance, address: address), token: token)
  }
}
