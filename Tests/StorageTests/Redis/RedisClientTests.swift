import Base
import Foundation
import ScriptedServers
import Settings
import Storage
import Testing

/// The client against real servers: how it finds them, loses them and gets them back.
@Suite(.serialized) struct RedisClientTests {
  private func client(
    _ url: String, _ change: (inout RedisClient.Options) -> Void = { _ in }
  ) throws -> RedisClient {
    var options = RedisClient.Options()
    // A machine that runs many tests is slow; what shall expire says so.
    options.commandTimeout = .seconds(30)
    change(&options)
    return try RedisClient(try RedisAddress(url), options: options, logger: quiet)
  }

  /// Why a question over each of these addresses fails; nil: it does not.
  private func failures(_ urls: [String]) async -> [RedisError?] {
    await withTaskGroup(of: RedisError?.self) { group in
      for url in urls {
        group.addTask {
          guard let client = try? self.client(url, { $0.commandTimeout = .seconds(3) }) else { return nil }
          defer { Task { await client.close() } }
          do throws(RedisError) {
            _ = try await client.send(RedisCommand("PING"))
            return nil
          } catch {
            return error
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
  }

  @Test func manyQuestionsAtOnceGetTheirOwnAnswers() async throws {
    let client = try client(try RedisServer.makeDatabase())
    await withTaskGroup(of: Bool.self) { group in
      for number in 0..<2_000 {
        group.addTask { (try? await client.send(RedisCommand("ECHO", .init(number)))).flatMap(\.text) == "\(number)" }
      }
      for await isRight in group { #expect(isRight) }
    }
    let bytes = (0..<StorageLimits.snapshotBytes).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    _ = try await client.send(RedisCommand("SET", "large", .init(bytes)))
    #expect(try await client.send(RedisCommand("GET", "large")).bytes == bytes)
    #expect(try await client.send(RedisCommand("GET", "none")) == .null)
    await client.close()
  }

  @Test func databasesAreApart() async throws {
    let first = try client(try RedisServer.makeDatabase()), second = try client(try RedisServer.makeDatabase())
    _ = try await first.send(RedisCommand("SET", "key", "1"))
    #expect(try await second.send(RedisCommand("GET", "key")) == .null)
    await first.close()
    await second.close()
  }

  @Test func aRefusalNamesItsReason() async throws {
    let client = try client(try RedisServer.makeDatabase())
    _ = try await client.send(RedisCommand("SET", "key", "text"))
    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("INCR", "key")) }
    #expect(error?.code == .refused("ERR"))
    #expect(error?.description == "Redis refuses: ERR value is not an integer or out of range")
    await client.close()
  }

  @Test func usersAndPasswordsAreChecked() async throws {
    let server = try RedisServer(settings: "requirepass s3cret\nuser ann on >p@ss ~* &* +@all")
    for login in [":s3cret@", "ann:p%40ss@"] {
      let client = try client("redis://\(login)127.0.0.1:\(server.port)")
      #expect(try await client.send(RedisCommand("PING")).text == "PONG")
      await client.close()
    }
    let logins = ["", ":guessed1@", "ann:guessed1@", "eve:guessed1@"]
    for error in await failures(logins.map { "redis://\($0)127.0.0.1:\(server.port)" }) {
      #expect(error?.code == .unavailable)
      #expect(
        error?.description.hasPrefix("Redis at 127.0.0.1:\(server.port) refuses the user or the password: ") == true,
        "\(error?.description ?? "")")
    }
  }

  @Test func whoeverIsNotThereIsNamedWithoutThePassword() async throws {
    let client = try client("redis://ann:hunter22@127.0.0.1:1") { $0.commandTimeout = .seconds(1) }
    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("PING")) }
    #expect(error?.description == "Redis at 127.0.0.1:1 cannot be reached: Connection refused")
    #expect(client.trouble != nil)
    #expect(client.place == "redis://127.0.0.1:1")
    await client.close()
  }

  @Test func certificatesAreChecked() async throws {
    let authority = try TestAuthority("IP:127.0.0.1"), stranger = try TestAuthority("DNS:redis.test")
    defer {
      authority.remove()
      stranger.remove()
    }
    let server = try RedisServer(tlsFolder: authority.folder)
    let elsewhere = try RedisServer(tlsFolder: stranger.folder)
    let right = try client("rediss://127.0.0.1:\(server.port)?ca=\(authority.folder)/ca.pem")
    #expect(try await right.send(RedisCommand("PING")).text == "PONG")
    await right.close()
    // Another authority; the system's; a name that the certificate does not have.
    let addresses = [
      "rediss://127.0.0.1:\(server.port)?ca=\(stranger.folder)/ca.pem", "rediss://127.0.0.1:\(server.port)",
      "rediss://localhost:\(elsewhere.port)?ca=\(stranger.folder)/ca.pem",
    ]
    for error in await failures(addresses) {
      #expect(error?.code == .unavailable)
      #expect(error?.description.contains("cannot be spoken to") == true, "\(error?.description ?? "")")
    }
    let error = #expect(throws: RedisError.self) {
      _ = try client("rediss://127.0.0.1:\(server.port)?ca=/nowhere/ca.pem")
    }
    #expect(error?.description == "/nowhere/ca.pem holds no certificates in PEM form that can be read")
  }

  @Test func aScriptIsGivenAgainToAServerThatHasForgottenIt() async throws {
    let server = try RedisServer()
    let client = try client(server.url)
    let script = RedisScript("return {KEYS[1], ARGV[1]}")
    func run() async throws -> [String?] {
      try await client.run(script, keys: ["key"], ["value"]).elements?.map(\.text) ?? []
    }
    #expect(try await run() == ["key", "value"])
    try server.crash()
    try server.start()
    #expect(try await run() == ["key", "value"])
    #expect(try await run() == ["key", "value"])
    await client.close()
  }

  @Test func aServerThatDiesIsWaitedFor() async throws {
    let server = try RedisServer()
    let client = try client(server.url)
    _ = try await client.send(RedisCommand("PING"))
    try server.crash()
    async let waiting = client.send(RedisCommand("INCR", "n"))
    try server.start()
    // A question that met the dying server has no answer; the next one has.
    do {
      #expect(try await waiting == .int(1))
    } catch {
      #expect((error as? RedisError)?.code == .unanswered)
    }
    #expect(try await client.send(RedisCommand("PING")).text == "PONG")
    #expect(client.trouble == nil)
    await client.close()
  }

  @Test func aServerThatFreezesIsGivenUpAndFoundAgain() async throws {
    let server = try RedisServer()
    let client = try client(server.url) { options in
      options.commandTimeout = .seconds(1)
      options.connectTimeout = .seconds(1)
    }
    _ = try await client.send(RedisCommand("SET", "key", "1"))
    try server.freeze()
    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("GET", "key")) }
    #expect(error?.code == .unanswered)
    try server.thaw()
    var answer: RESPValue?
    while answer == nil { answer = try? await client.send(RedisCommand("GET", "key")) }
    #expect(answer?.text == "1")
    await client.close()
  }

  @Test func whatWaitsForAServerIsBounded() async throws {
    let client = try client("redis://127.0.0.1:1") { options in
      options.connections = 1
      options.waitingBytes = 2_000
      options.commandTimeout = .seconds(1)
    }
    let codes = await withTaskGroup(of: RedisError.Code?.self) { group in
      for _ in 0..<10 {
        group.addTask {
          do throws(RedisError) {
            _ = try await client.send(RedisCommand("SET", "key", .init(String(repeating: "x", count: 500))))
            return nil
          } catch {
            return error.code
          }
        }
      }
      return await group.reduce(into: [RedisError.Code?]()) { $0.append($1) }
    }
    #expect(codes.filter { $0 == .overloaded }.count == 7)
    #expect(codes.filter { $0 == .unavailable }.count == 3)
    await client.close()
  }

  @Test func channelsAreHeardAgainAfterAServerCameBack() async throws {
    let server = try RedisServer()
    let client = try client(server.url)
    let (heard, continuation) = AsyncStream<RedisClient.Heard>.makeStream()
    let subscription = client.subscribe(["a", "b"]) { continuation.yield($0) }
    var events = heard.makeAsyncIterator()
    for round in 1...2 {
      guard case .ready? = await events.next() else {
        Issue.record("not subscribed in round \(round)")
        return
      }
      #expect(try await client.send(RedisCommand("PUBLISH", "b", "hello \(round)")) == .int(1))
      guard case .message("b", let payload)? = await events.next() else {
        Issue.record("nothing heard in round \(round)")
        return
      }
      #expect(String(decoding: payload, as: UTF8.self) == "hello \(round)")
      if round == 1 {
        try server.crash()
        guard case .lost? = await events.next() else {
          Issue.record("the loss was not noticed")
          return
        }
        try server.start()
      }
    }
    await subscription.close()
    #expect(try await client.send(RedisCommand("PUBLISH", "b", "nobody")) == .int(0))
    await client.close()
  }

  @Test func aReplicaTakesNoWritesAndIsNamed() async throws {
    let master = try RedisServer()
    let replica = try RedisServer(settings: "replicaof 127.0.0.1 \(master.port)")
    let client = try client(replica.url) { $0.commandTimeout = .seconds(2) }
    let error = await #expect(throws: RedisError.self) { _ = try await client.send(RedisCommand("SET", "key", "1")) }
    #expect(error?.description.contains("takes no writes: READONLY") == true, "\(String(describing: error))")
    await client.close()
  }

  /// The master dies; the sentinels choose another; whoever asks meanwhile waits and is answered by that one.
  @Test func theSentinelsChoiceIsFollowed() async throws {
    let master = try RedisServer()
    let replica = try RedisServer(settings: "replicaof 127.0.0.1 \(master.port)")
    try replica.wait(for: "master_link_status:up", to: "info replication")
    let sentinels = try (0..<3).map { _ in try RedisServer(sentinelOf: master, quorum: 2) }
    for sentinel in sentinels {
      try sentinel.wait(for: "num-other-sentinels 2", to: "sentinel master main | paste -sd ' '")
      try sentinel.wait(for: "num-slaves 1", to: "sentinel master main | paste -sd ' '")
    }
    let list = sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
    let client = try client("redis+sentinel://\(list)/main")
    _ = try await client.send(RedisCommand("SET", "key", "before"))
    #expect(try await client.send(RedisCommand("WAIT", "1", "5000")) == .int(1))
    let (heard, continuation) = AsyncStream<String>.makeStream()
    let subscription = client.subscribe(["news"]) { event in
      switch event {
      case .ready: continuation.yield("subscribed")
      case .lost: break
      case .message(_, let payload): continuation.yield(String(decoding: payload, as: UTF8.self))
      }
    }
    var events = heard.makeAsyncIterator()
    #expect(await events.next() == "subscribed")

    try master.crash()
    var answer: RESPValue?
    while answer == nil { answer = try? await client.send(RedisCommand("SET", "key", "after")) }
    #expect(try replica.ask("get key") == "after")
    #expect(try await client.send(RedisCommand("ROLE")).elements?.first?.text == "master")
    #expect(await events.next() == "subscribed")
    _ = try await client.send(RedisCommand("PUBLISH", "news", "there is a new master"))
    #expect(await events.next() == "there is a new master")
    await subscription.close()
    await client.close()
  }
}
