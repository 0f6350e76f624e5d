import Base

/// The counters in Redis: a sorted set each, of places by their ends.
public struct RedisConcurrencyCounters: ConcurrencyCounters {
  private let store: RedisStore

  public init(_ client: RedisClient) { store = RedisStore(client: client) }

  private static let acquire = RedisScript(
    withClock: """
      for i, key in ipairs(KEYS) do
        redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
        if not redis.call('ZSCORE', key, ARGV[1]) and redis.call('ZCARD', key) >= tonumber(ARGV[i + 2]) then return i end
      end
      for _, key in ipairs(KEYS) do redis.call('ZADD', key, whole(now + ARGV[2]), ARGV[1]) end
      return 0
      """)

  public func acquire(_ place: String, in limits: [CounterLimit], for duration: Duration) async throws -> Admission {
    let answer = try await store.run(
      Self.acquire, keys: limits.map { Self.key($0.counter) },
      [.init(place), .init(duration.milliseconds)] + limits.map { .init($0.limit) }, .writeFailed)
    guard let number = answer.int.flatMap({ Int(exactly: $0) }), (0...limits.count).contains(number) else {
      throw RedisStore.unexpected()
    }
    return number == 0 ? .admitted : .full(counter: limits[number - 1].counter)
  }

  private static let renew = RedisScript(
    withClock: """
      for i, key in ipairs(KEYS) do redis.call('ZADD', key, whole(now + ARGV[1]), ARGV[i + 1]) end
      return 0
      """)

  public func renew(_ places: [CounterPlace], for duration: Duration) async throws {
    for piece in places.pieces(of: CallLeases.batch) {
      _ = try await store.run(
        Self.renew, keys: piece.map { Self.key($0.counter) },
        [.init(duration.milliseconds)] + piece.map { .init($0.place) }, .writeFailed)
    }
  }

  private static let release = RedisScript(
    """
    for i, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[i]) end
    return 0
    """)

  public func release(_ places: [CounterPlace]) async throws {
    for piece in places.pieces(of: CallLeases.batch) {
      _ = try await store.run(
        Self.release, keys: piece.map { Self.key($0.counter) }, piece.map { .init($0.place) }, .writeFailed)
    }
  }

  private static let count = RedisScript(
    withClock: "return redis.call('ZCOUNT', KEYS[1], '(' .. whole(now), '+inf')")

  public func count(_ counter: String) async throws -> Int {
    guard let number = try await store.run(Self.count, keys: [Self.key(counter)], [], .readFailed).int else {
      throw RedisStore.unexpected()
    }
    return Int(number)
  }

  private static func key(_ counter: String) -> String { "count:\(counter)" }
}
