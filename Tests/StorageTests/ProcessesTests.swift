import Base
import NIOConcurrencyHelpers
import ScriptedServers
import Settings
import Storage
import Testing

/// Several processes: who tells whom of its calls, and how commands find them.
@Suite struct CallKeeperTests {
  private let minute: Duration = .seconds(60)

  private func keeper(
    _ directory: any CallDirectory, _ instance: String, onLost: @escaping @Sendable (CallSeat) -> Void = { _ in }
  ) -> CallKeeper {
    CallKeeper(directory, holder: CallHolder(instance: instance), logger: quiet, onLost: onLost)
  }

  private func seat(_ session: String) -> CallSeat { CallSeat(SessionID(session), role: "runtime") }

  @Test func whatAProcessHoldsTheOthersFind() async throws {
    let directory = SQLCallDirectory(try SQLiteDatabase.inMemory())
    let keeper = keeper(directory, "ann")
    keeper.hold(seat("a"))
    keeper.hold(seat("b"))
    #expect(keeper.lease(of: seat("a")) == nil, "nobody waited")
    await keeper.settle(renewing: false)
    #expect(try await directory.lease(of: seat("a"))?.holder.instance == "ann")
    #expect(keeper.lease(of: seat("a")) == (try await directory.lease(of: seat("a"))))
    keeper.leave(seat("a"))
    await keeper.settle(renewing: false)
    #expect(try await directory.lease(of: seat("a")) == nil)
    await keeper.stop()
    #expect(try await directory.lease(of: seat("b")) == nil)
    #expect(
      try await directory.orphans(role: "runtime", limit: 10).leases.isEmpty, "a process that stops leaves no orphans")
  }

  @Test func aCallThatAnotherProcessTookIsLetGo() async throws {
    let now = NIOLockedValueBox<Int64>(1_000)
    let directory = SQLCallDirectory(try SQLiteDatabase.inMemory(), clock: .own { now.withLockedValue { $0 } })
    let lost = NIOLockedValueBox<[CallSeat]>([])
    let keeper = keeper(directory, "ann") { seat in lost.withLockedValue { $0.append(seat) } }
    keeper.hold(seat("a"))
    keeper.hold(seat("b"))
    await keeper.settle(renewing: false)
    now.withLockedValue { $0 += CallKeeper.length.milliseconds }
    _ = try await directory.claim(seat("a"), by: CallHolder(instance: "bob"), for: minute)
    await keeper.settle(renewing: true)
    #expect(lost.withLockedValue { $0 } == [seat("a")])
    #expect(keeper.lease(of: seat("a")) == nil)
    #expect(try await directory.lease(of: seat("b"))?.holder.instance == "ann", "what nobody took goes on")
  }

  @Test func aDirectoryThatForgotEverythingIsToldAgain() async throws {
    let client = try redisClient(try RedisServer.makeDatabase())
    let directory = RedisCallDirectory(client)
    let keeper = keeper(directory, "ann")
    keeper.hold(seat("a"))
    await keeper.settle(renewing: false)
    let before = try #require(keeper.lease(of: seat("a")))
    _ = try await client.send(RedisCommand("FLUSHDB"))
    await keeper.settle(renewing: true)
    let after = try #require(keeper.lease(of: seat("a")))
    #expect(try await directory.lease(of: seat("a")) == after && after.token > before.token)
    await client.close()
  }

  @Test func whileTheDirectoryIsGoneClaimsWait() async throws {
    let server = try RedisServer()
    var options = RedisClient.Options()
    options.commandTimeout = .milliseconds(200)
    let client = try RedisClient(try RedisAddress(server.url), options: options, logger: quiet)
    _ = try await client.send(RedisCommand("PING"))
    try server.crash()
    let directory = RedisCallDirectory(client)
    let keeper = keeper(directory, "ann")
    keeper.hold(seat("a"))
    await keeper.settle(renewing: false)
    #expect(keeper.trouble != nil && keeper.lease(of: seat("a")) == nil)
    try server.start()
    while keeper.trouble != nil { await keeper.settle(renewing: false) }
    #expect(try await directory.lease(of: seat("a"))?.holder.instance == "ann")
    await client.close()
  }
}

@Suite struct RedisCommandBusTests {
  /// One process with its own way to Redis.
  private struct Process {
    let client: RedisClient
    let keeper: CallKeeper
    let bus: RedisCommandBus

    init(_ url: String, _ instance: String, timeout: Duration = .seconds(30)) async throws {
      client = try redisClient(url)
      let directory = RedisCallDirectory(client)
      keeper = CallKeeper(directory, holder: CallHolder(instance: instance), logger: quiet)
      bus = RedisCommandBus(
        client, database: try RedisAddress(url).database, directory: directory, keeper: keeper, answerTimeout: timeout,
        logger: quiet)
      await bus.start()
    }

    func stop() async {
      await bus.stop()
      await client.close()
    }
  }

  private let session = SessionID("s")

  @Test func commandsReachTheProcessThatHoldsTheSession() async throws {
    let url = try RedisServer.makeDatabase()
    let first = try await Process(url, "first"), second = try await Process(url, "second")
    let commands: [CallCommand] = [
      .hangup(reason: "normal"), .say(text: "naïve \"text\"\n", voice: "", speed: 1.5, bargeIn: true),
      .play(object: "a/b.wav", bargeIn: false), .digits("12#", durationMs: 120),
      .event(name: "order", data: ["list": [1, 2.5, nil], "text": "x"]),
    ]
    let outcomes: [CommandOutcome] = [
      .done(fields: ["playback_id": "p1", "list": [1, nil]]), .refused("not \"now\""), .noSuchSession,
      .unreachable("nobody there"), .done(fields: [:]),
    ]
    let heard = NIOLockedValueBox<[CallCommand]>([])
    let leave = first.bus.register(session, tenant: "acme") { command in
      heard.withLockedValue { heard in
        heard.append(command)
        return outcomes[heard.count - 1]
      }
    }
    await first.keeper.settle(renewing: false)
    for (command, outcome) in zip(commands, outcomes) {
      #expect(await second.bus.send(command, to: session, tenant: "acme") == outcome)
    }
    #expect(heard.withLockedValue { $0 } == commands)
    #expect(await second.bus.send(commands[0], to: session, tenant: "other") == .noSuchSession)
    #expect(await second.bus.send(commands[0], to: SessionID("t"), tenant: "acme") == .noSuchSession)
    #expect(heard.withLockedValue { $0.count } == commands.count)
    leave()
    await first.keeper.settle(renewing: false)
    #expect(await second.bus.send(commands[0], to: session, tenant: "acme") == .noSuchSession)
    await first.stop()
    await second.stop()
  }

  @Test func aSessionOfThisProcessNeedsNoRedis() async throws {
    let server = try RedisServer()
    let process = try await Process(server.url, "only")
    try server.crash()
    _ = process.bus.register(session, tenant: "acme") { _ in .done(fields: [:]) }
    #expect(await process.bus.send(.hangup(reason: "normal"), to: session, tenant: "acme") == .done(fields: [:]))
    await process.stop()
  }

  @Test func aProcessThatIsGoneIsUnreachableAndNotUnknown() async throws {
    let url = try RedisServer.makeDatabase()
    let first = try await Process(url, "first"), second = try await Process(url, "second")
    _ = first.bus.register(session, tenant: "acme") { _ in .done(fields: [:]) }
    await first.keeper.settle(renewing: false)
    await first.stop()
    #expect(
      await second.bus.send(.hangup(reason: "normal"), to: session, tenant: "acme")
        == .unreachable("the process that holds the call does not listen"))
    await second.stop()
  }

  @Test func aProcessThatDoesNotAnswerHoldsNobody() async throws {
    let url = try RedisServer.makeDatabase()
    let first = try await Process(url, "first"), second = try await Process(url, "second", timeout: .milliseconds(200))
    let (never, _) = AsyncStream<Void>.makeStream()
    _ = first.bus.register(session, tenant: "acme") { _ in
      for await _ in never {}
      return .done(fields: [:])
    }
    await first.keeper.settle(renewing: false)
    #expect(
      await second.bus.send(.hangup(reason: "normal"), to: session, tenant: "acme")
        == .unreachable("the process that holds the call did not answer in time"))
    await first.stop()
    await second.stop()
  }

  @Test func withoutRedisNobodyKnows() async throws {
    let server = try RedisServer()
    var options = RedisClient.Options()
    options.commandTimeout = .milliseconds(200)
    let client = try RedisClient(try RedisAddress(server.url), options: options, logger: quiet)
    let directory = RedisCallDirectory(client)
    let keeper = CallKeeper(directory, holder: CallHolder(instance: "only"), logger: quiet)
    let bus = RedisCommandBus(client, database: 0, directory: directory, keeper: keeper, logger: quiet)
    await bus.start()
    try server.crash()
    guard case .unreachable(let sentence) = await bus.send(.hangup(reason: "x"), to: session, tenant: "acme") else {
      Issue.record("somebody answered")
      return
    }
    #expect(sentence.hasPrefix("it cannot be found out who holds the call: "), "\(sentence)")
    await bus.stop()
    await client.close()
  }

  @Test func rubbishOnAChannelDoesNoHarm() async throws {
    let url = try RedisServer.makeDatabase()
    let first = try await Process(url, "first"), second = try await Process(url, "second")
    _ = first.bus.register(session, tenant: "acme") { _ in .done(fields: [:]) }
    await first.keeper.settle(renewing: false)
    let database = try RedisAddress(url).database
    for rubbish in [
      "", "{", "[1]", "{\"answer\":\"1\"}", "{\"ask\":\"1\",\"command\":{\"do\":\"fly\"}}",
      String(repeating: "[", count: 5_000),
    ] {
      let listeners = try await second.client.send(
        RedisCommand("PUBLISH", "parley:\(database):commands:first", .init(rubbish)))
      #expect(listeners == .int(1))
    }
    #expect(await second.bus.send(.hangup(reason: "x"), to: session, tenant: "acme") == .done(fields: [:]))
    await first.stop()
    await second.stop()
  }
}
