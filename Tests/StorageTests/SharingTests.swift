import Base
import NIOConcurrencyHelpers
import ScriptedServers
import Settings
import Storage
import Testing

/// Where processes share their calls: each of these keeps the same promises.
enum SharedBackend: String, CaseIterable, Sendable {
  case memory, sqlite, postgres, redis

  struct Stores: Sendable {
    var directory: any CallDirectory
    var counters: any ConcurrencyCounters
    var checkpoints: any CheckpointStore
    var close: @Sendable () async -> Void
  }

  func open() async throws -> Stores {
    let backend: Backend
    switch self {
    case .redis:
      let client = try redisClient(try RedisServer.makeDatabase())
      return Stores(
        directory: RedisCallDirectory(client), counters: RedisConcurrencyCounters(client),
        checkpoints: RedisCheckpointStore(client), close: { await client.close() })
    case .memory: backend = .memory
    case .sqlite: backend = .sqlite
    case .postgres: backend = .postgres
    }
    let stores = try await backend.open()
    return Stores(
      directory: SQLCallDirectory(stores.database), counters: SQLConcurrencyCounters(stores.database),
      checkpoints: SQLCheckpointStore(stores.database), close: stores.close)
  }
}

func redisClient(_ url: String) throws -> RedisClient {
  var options = RedisClient.Options()
  // A machine that runs many tests is slow.
  options.commandTimeout = .seconds(30)
  return try RedisClient(try RedisAddress(url), options: options, logger: quiet)
}

private let minute: Duration = .seconds(60)
private let ann = CallHolder(instance: "ann", address: "10.0.0.1:7000"), bob = CallHolder(instance: "bob")

private func seat(_ session: String, _ role: String = "runtime") -> CallSeat {
  CallSeat(SessionID(session), role: role)
}

// MARK: Who holds which call

@Suite struct CallDirectoryTests {
  @Test(arguments: SharedBackend.allCases)
  func aSeatHasOneHolderUntilItIsGivenBack(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let directory = stores.directory
    #expect(try await directory.lease(of: seat("s")) == nil)
    let first = try await directory.claim(seat("s"), by: ann, for: minute)
    #expect(first.holder == ann && first.seat == seat("s") && first.token > 0)
    #expect(try await directory.claim(seat("s"), by: bob, for: minute) == first)
    #expect(try await directory.lease(of: seat("s")) == first)
    #expect(try await directory.claim(seat("s"), by: ann, for: minute) == first, "whoever asks again gets the same")
    #expect(
      try await directory.claim(seat("s", "media"), by: bob, for: minute).holder == bob, "another part of the call")

    try await directory.release(CallLease(seat: seat("s"), holder: bob, token: first.token + 1))
    #expect(try await directory.lease(of: seat("s")) == first, "nobody gives back what is another's")
    try await directory.release(first)
    try await directory.release(first)
    #expect(try await directory.lease(of: seat("s")) == nil)
    #expect(try await directory.orphans(role: "runtime", limit: 10).leases.isEmpty)
    let second = try await directory.claim(seat("s"), by: bob, for: minute)
    #expect(second.holder == bob && second.token > first.token)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func aLeaseThatRanOutIsAnOrphanWhichAnotherMayTake(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let directory = stores.directory
    let old = try await directory.claim(seat("s"), by: ann, for: .zero)
    #expect(try await directory.lease(of: seat("s")) == nil)
    #expect(try await directory.orphans(role: "runtime", limit: 10).leases == [old])
    #expect(try await directory.orphans(role: "media", limit: 10).leases.isEmpty)
    let new = try await directory.claim(seat("s"), by: bob, for: minute)
    #expect(new.holder == bob && new.token > old.token)
    #expect(try await directory.orphans(role: "runtime", limit: 10).leases.isEmpty)
    // The old holder comes back to itself.
    #expect(try await directory.renew([old], for: minute) == [old])
    try await directory.release(old)
    #expect(try await directory.lease(of: seat("s")) == new)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func aLeaseThatRanOutAndNobodyTookGoesOn(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let lease = try await stores.directory.claim(seat("s"), by: ann, for: .zero)
    #expect(try await stores.directory.renew([lease], for: minute).isEmpty)
    #expect(try await stores.directory.lease(of: seat("s")) == lease)
    #expect(try await stores.directory.orphans(role: "runtime", limit: 10).leases.isEmpty)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func manyLeasesAreRenewedAtOnceAndTheLostOnesAreNamed(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    var leases: [CallLease] = []
    for number in 0..<450 {
      leases.append(try await stores.directory.claim(seat("s\(number)"), by: ann, for: .zero))
    }
    for number in [0, 199, 200, 449] { leases[number].token += 1 }
    let lost = try await stores.directory.renew(leases, for: minute)
    #expect(Set(lost) == Set([0, 199, 200, 449].map { leases[$0] }))
    let orphans = try await stores.directory.orphans(role: "runtime", limit: 3).leases
    #expect(
      orphans.count == 3 && orphans.allSatisfy { ["s0", "s199", "s200", "s449"].contains($0.seat.session.value) })
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func ofManyWhoClaimTheSameOneGetsIt(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let answers = try await withThrowingTaskGroup(of: CallLease.self) { group in
      for number in 0..<20 {
        group.addTask {
          try await stores.directory.claim(seat("s"), by: CallHolder(instance: "i\(number)"), for: minute)
        }
      }
      return try await group.reduce(into: Set<CallLease>()) { $0.insert($1) }
    }
    #expect(answers.count == 1)
    await stores.close()
  }

  /// In memory there is a clock of one's own.
  @Test func aLeaseLastsAsLongAsItSays() async throws {
    let now = NIOLockedValueBox<Int64>(1_000)
    let directory = SQLCallDirectory(
      try SQLiteDatabase.inMemory(), clock: .own { now.withLockedValue { $0 } })
    let first = try await directory.claim(seat("s"), by: ann, for: .seconds(30))
    now.withLockedValue { $0 += 29_999 }
    #expect(try await directory.claim(seat("s"), by: bob, for: minute) == first)
    #expect(try await directory.renew([first], for: .seconds(30)).isEmpty)
    now.withLockedValue { $0 += 29_999 }
    #expect(try await directory.lease(of: seat("s")) == first)
    now.withLockedValue { $0 += 1 }
    #expect(try await directory.lease(of: seat("s")) == nil)
    #expect(try await directory.claim(seat("s"), by: bob, for: minute).holder == bob)
  }

  @Test func tokensRiseEvenWhenRedisForgetsEverything() async throws {
    let client = try redisClient(try RedisServer.makeDatabase())
    let directory = RedisCallDirectory(client)
    let before = try await directory.claim(seat("s"), by: ann, for: minute)
    _ = try await client.send(RedisCommand("FLUSHDB"))
    #expect(try await directory.claim(seat("s"), by: bob, for: minute).token > before.token)
    await client.close()
  }

  @Test func nothingStaysInRedisForEver() async throws {
    let client = try redisClient(try RedisServer.makeDatabase())
    _ = try await RedisCallDirectory(client).claim(seat("s"), by: ann, for: minute)
    let checkpoints = RedisCheckpointStore(client)
    try await checkpoints.put(checkpoint("s", 1, token: 1, events: [event(2, session: "s")]), for: minute)
    _ = try await checkpoints.takeOver(SessionID("never written"), token: 1)
    try await checkpoints.remove(SessionID("over"), token: 1)
    let keys = try await client.send(RedisCommand("KEYS", "*")).elements?.compactMap(\.text) ?? []
    #expect(keys.count == 7 && keys.allSatisfy { $0.hasPrefix("parley:") }, "\(keys)")
    for key in keys where !["parley:leases:runtime", "parley:lease-tokens"].contains(key) {
      #expect(try await client.send(RedisCommand("PTTL", .init(key))).int ?? -1 > 0, "\(key)")
    }
    await client.close()
  }
}

// MARK: How many there are

@Suite struct ConcurrencyCounterTests {
  @Test(arguments: SharedBackend.allCases)
  func noMoreThanTheLimitAreAdmitted(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let limit = [CounterLimit("trunk:main", limit: 5)]
    let admitted = try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<20 {
        group.addTask { try await stores.counters.acquire("call\(number)", in: limit, for: minute) == .admitted }
      }
      return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(admitted == 5)
    #expect(try await stores.counters.count("trunk:main") == 5)
    #expect(try await stores.counters.count("trunk:other") == 0)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func aCallIsCountedInAllOrInNone(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let counters = stores.counters
    let trunk = CounterLimit("trunk:main", limit: 2), tenant = CounterLimit("tenant:acme", limit: 1)
    #expect(try await counters.acquire("a", in: [trunk, tenant], for: minute) == .admitted)
    #expect(try await counters.acquire("a", in: [trunk, tenant], for: minute) == .admitted, "it has its places")
    #expect(try await counters.acquire("b", in: [trunk, tenant], for: minute) == .full(counter: "tenant:acme"))
    #expect(try await counters.count("trunk:main") == 1)
    try await counters.release([CounterPlace("trunk:main", "a"), CounterPlace("tenant:acme", "a")])
    #expect(try await counters.acquire("b", in: [trunk, tenant], for: minute) == .admitted)
    #expect(
      try await counters.acquire("c", in: [CounterLimit("none", limit: 0)], for: minute) == .full(counter: "none"))
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func whatADeadProcessCountedIsFreeAgain(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let counters = stores.counters
    let limit = [CounterLimit("trunk:main", limit: 1)]
    #expect(try await counters.acquire("dead", in: limit, for: .zero) == .admitted)
    #expect(try await counters.count("trunk:main") == 0)
    #expect(try await counters.acquire("alive", in: limit, for: minute) == .admitted)
    // It was not dead: two calls live, and both are counted.
    try await counters.renew([CounterPlace("trunk:main", "dead"), CounterPlace("trunk:main", "alive")], for: minute)
    #expect(try await counters.count("trunk:main") == 2)
    #expect(try await counters.acquire("more", in: limit, for: minute) == .full(counter: "trunk:main"))
    await stores.close()
  }
}

// MARK: What another needs to go on

private func checkpoint(
  _ session: String, _ sequence: Int64, token: Int64, events: [SessionEvent] = [], data: [UInt8] = [0, 0xFF, 13, 10]
) -> SessionCheckpoint {
  SessionCheckpoint(
    SessionSnapshot(session: SessionID(session), sequence: sequence, data: data), events: events, token: token)
}

private func code(_ body: () async throws -> Void) async -> StorageError.Code? {
  do {
    try await body()
    return nil
  } catch {
    return (error as? StorageError)?.code
  }
}

@Suite struct CheckpointTests {
  private let session = SessionID("s")

  @Test(arguments: SharedBackend.allCases)
  func itComesBackAsItWas(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let event = SessionEvent(
      eventID: "01E", type: "speech_final", sequence: 8, session: session, timestampMs: 1_700_000_000_123,
      dialogName: "help \"desk\"", tenant: "t",
      fields: ["transcript": "naïve\n\u{1F600}", "confidence": 0.5, "n": .null, "list": [1, true, ["k": "v"]]])
    let kept = checkpoint("s", 7, token: 3, events: [event], data: (0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
    try await stores.checkpoints.put(kept, for: minute)
    #expect(try await stores.checkpoints.takeOver(session, token: 4) == kept)
    #expect(try await stores.checkpoints.takeOver(session, token: 4)?.snapshot == kept.snapshot, "asked again")
    #expect(try await stores.checkpoints.takeOver(SessionID("other"), token: 4) == nil)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func whoWasOvertakenWritesNoMore(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let checkpoints = stores.checkpoints
    try await checkpoints.put(checkpoint("s", 1, token: 5), for: minute)
    _ = try await checkpoints.takeOver(session, token: 6)
    #expect(await code { try await checkpoints.put(checkpoint("s", 9, token: 5), for: minute) } == .conflict)
    #expect(await code { try await checkpoints.append([event(2, session: "s")], to: session, token: 5) } == .conflict)
    #expect(await code { try await checkpoints.remove(session, token: 5) } == .conflict)
    #expect(await code { _ = try await checkpoints.takeOver(session, token: 5) } == .conflict)
    try await checkpoints.put(checkpoint("s", 2, token: 6), for: minute)
    #expect(try await checkpoints.takeOver(session, token: 6)?.snapshot.sequence == 2)
    // Handed over before anything was written.
    #expect(try await checkpoints.takeOver(SessionID("new"), token: 9) == nil)
    #expect(await code { try await checkpoints.put(checkpoint("new", 1, token: 8), for: minute) } == .conflict)
    try await checkpoints.put(checkpoint("new", 1, token: 9), for: minute)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func whatHasSeenLessTakesNoPlace(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let checkpoints = stores.checkpoints
    try await checkpoints.put(checkpoint("s", 5, token: 1), for: minute)
    try await checkpoints.put(checkpoint("s", 4, token: 1), for: minute)
    #expect(try await checkpoints.takeOver(session, token: 1)?.snapshot.sequence == 5)
    try await checkpoints.put(checkpoint("s", 3, token: 2), for: minute)
    #expect(try await checkpoints.takeOver(session, token: 2)?.snapshot.sequence == 3, "a successor's state counts")
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func eventsGatherBehindASnapshotOnceEach(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let checkpoints = stores.checkpoints
    func events(_ numbers: ClosedRange<Int>) -> [SessionEvent] { numbers.map { event($0, session: "s") } }
    #expect(await code { try await checkpoints.append(events(1...1), to: session, token: 1) } == .notFound)
    try await checkpoints.put(checkpoint("s", 3, token: 1), for: minute)
    try await checkpoints.append(events(2...5), to: session, token: 1)
    try await checkpoints.append(events(4...6), to: session, token: 1)
    #expect(try await checkpoints.takeOver(session, token: 1)?.events == events(4...6))
    try await checkpoints.append(events(7...200), to: session, token: 1)
    #expect(await code { try await checkpoints.append(events(201...300), to: session, token: 1) } == .limit)
    #expect(await code { try await checkpoints.append(events(201...600), to: session, token: 1) } == .limit)
    try await checkpoints.put(checkpoint("s", 200, token: 1, events: events(201...202)), for: minute)
    try await checkpoints.append(events(202...203), to: session, token: 1)
    #expect(try await checkpoints.takeOver(session, token: 1)?.events == events(201...203))
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func whatHasEndedStaysSo(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let checkpoints = stores.checkpoints
    try await checkpoints.put(checkpoint("s", 5, token: 1, events: [event(6, session: "s")]), for: minute)
    try await checkpoints.remove(session, token: 1)
    try await checkpoints.remove(session, token: 1)
    #expect(try await checkpoints.takeOver(session, token: 2) == nil)
    // A write that was under way when the call ended.
    #expect(await code { try await checkpoints.put(checkpoint("s", 6, token: 1), for: minute) } == .conflict)
    #expect(await code { try await checkpoints.put(checkpoint("s", 6, token: 2), for: minute) } == .conflict)
    #expect(try await checkpoints.takeOver(session, token: 2) == nil)
    await stores.close()
  }

  @Test(arguments: SharedBackend.allCases)
  func whatIsTooLargeIsRefused(backend: SharedBackend) async throws {
    let stores = try await backend.open()
    let large = checkpoint("s", 1, token: 1, data: Array(repeating: 0, count: StorageLimits.snapshotBytes + 1))
    #expect(await code { try await stores.checkpoints.put(large, for: minute) } == .limit)
    #expect(try await stores.checkpoints.takeOver(session, token: 1) == nil)
    await stores.close()
  }

  @Test func aCheckpointThatNobodyWritesToGoesByItself() async throws {
    let now = NIOLockedValueBox<Int64>(1_000)
    let database = try SQLiteDatabase.inMemory()
    let checkpoints = SQLCheckpointStore(database, clock: .own { now.withLockedValue { $0 } })
    try await checkpoints.put(checkpoint("s", 1, token: 1), for: minute)
    now.withLockedValue { $0 += 60_000 }
    #expect(try await checkpoints.takeOver(session, token: 1) == nil)
    now.withLockedValue { $0 += 3_600_000 }
    try await checkpoints.remove(SessionID("other"), token: 1)
    #expect(try await database.read { try $0.rows("SELECT * FROM checkpoints").count } == 1, "the others are gone")
  }
}

// MARK: Nobody waits

@Suite struct CheckpointWriterTests {
  /// Lets writes through once it is told to, and says what was written.
  private final class Gate: CheckpointStore {
    private let behind: any CheckpointStore
    private let isOpen = NIOLockedValueBox(false)
    let written: AsyncStream<Int64>
    private let log: AsyncStream<Int64>.Continuation

    init(_ behind: any CheckpointStore) {
      self.behind = behind
      (written, log) = AsyncStream.makeStream()
    }

    func open() { isOpen.withLockedValue { $0 = true } }

    private func pass() throws {
      if !isOpen.withLockedValue({ $0 }) { throw StorageError(.unavailable, "nobody answers") }
    }
    func put(_ checkpoint: SessionCheckpoint, for lifetime: Duration) async throws {
      try pass()
      try await behind.put(checkpoint, for: lifetime)
      log.yield(checkpoint.snapshot.sequence)
    }
    func append(_ events: [SessionEvent], to session: SessionID, token: Int64) async throws {
      try await behind.append(events, to: session, token: token)
    }
    func takeOver(_ session: SessionID, token: Int64) async throws -> SessionCheckpoint? {
      try await behind.takeOver(session, token: token)
    }
    func remove(_ session: SessionID, token: Int64) async throws {
      try pass()
      try await behind.remove(session, token: token)
      log.yield(-1)
    }
  }

  private func gate() throws -> Gate { Gate(SQLCheckpointStore(try SQLiteDatabase.inMemory())) }

  @Test func whileTheStoreTakesNothingTheNewestOfEachSessionWaits() async throws {
    let gate = try gate()
    let writer = CheckpointWriter(gate, logger: quiet)
    for sequence in 1...1_000 as ClosedRange<Int64> { writer.put(checkpoint("a", sequence, token: 1)) }
    writer.put(checkpoint("b", 2_000, token: 1))
    writer.remove(SessionID("c"), token: 1)
    await writer.flush()
    #expect(writer.trouble == "nobody answers" && writer.lost == 0)
    #expect(writer.waiting <= 3)
    gate.open()
    var written: Set<Int64> = []
    for await sequence in gate.written {
      written.insert(sequence)
      if written.count == 3 { break }
    }
    #expect(written == [1_000, 2_000, -1])
    await writer.close()
    #expect(writer.trouble == nil && writer.waiting == 0)
  }

  @Test func whatWaitsIsBoundedAndTheRestIsCounted() async throws {
    let writer = CheckpointWriter(try gate(), byteLimit: 10_000, logger: quiet)
    let data = Array(repeating: UInt8(1), count: 1_976)
    for number in 0..<10 { writer.put(checkpoint("s\(number)", 1, token: 1, data: data)) }
    #expect(writer.lost == 7, "each takes three thousand bytes, with what belongs to it")
    await writer.close()
    #expect(writer.lost == 10, "a store that takes nothing to the end")
  }

  @Test func whoWasOvertakenIsTold() async throws {
    let store = SQLCheckpointStore(try SQLiteDatabase.inMemory())
    _ = try await store.takeOver(SessionID("s"), token: 2)
    let (overtaken, continuation) = AsyncStream<SessionID>.makeStream()
    let writer = CheckpointWriter(store, logger: quiet) { continuation.yield($0) }
    writer.put(checkpoint("s", 1, token: 1))
    for await session in overtaken {
      #expect(session == SessionID("s"))
      break
    }
    #expect(writer.lost == 1)
    await writer.close()
  }

  @Test func aRedisThatIsGoneIsWaitedFor() async throws {
    let server = try RedisServer()
    var options = RedisClient.Options()
    options.commandTimeout = .milliseconds(200)
    let client = try RedisClient(try RedisAddress(server.url), options: options, logger: quiet)
    let gate = Gate(RedisCheckpointStore(client))
    gate.open()
    let writer = CheckpointWriter(gate, logger: quiet)
    writer.put(checkpoint("s", 1, token: 1))
    await writer.flush()
    try server.crash()
    for sequence in 2...50 as ClosedRange<Int64> { writer.put(checkpoint("s", sequence, token: 1)) }
    await writer.flush()
    #expect(writer.trouble?.contains("127.0.0.1:\(server.port)") == true, "\(writer.trouble ?? "")")
    try server.start()
    for await sequence in gate.written where sequence == 50 { break }
    await writer.close()
    #expect(writer.lost == 0)
    #expect(
      try await RedisCheckpointStore(try redisClient(server.url)).takeOver(SessionID("s"), token: 1)?.snapshot.sequence
        == 50)
    await client.close()
  }
}
