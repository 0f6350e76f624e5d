import Base
import NIOCore
import Settings
import Storage
import Testing

/// One line, in virtual time: what it asks, whom, when it gives up and when it tries again.
@Suite struct RedisLineTests {
  private typealias Machine = RedisLineMachine<Int>

  /// Plays the network: writes down what the line does.
  private struct Bench {
    var machine: Machine
    var now = Instant.zero
    var attempt = 0
    var servers: [String] = []
    var written = ""
    var answers: [Int: Result<RESPValue, RedisError>] = [:]
    var heard: [String] = []

    init(_ url: String, _ change: (inout RedisLineSettings) -> Void = { _ in }) throws {
      var settings = RedisLineSettings(try RedisAddress(url))
      change(&settings)
      machine = Machine(settings, seed: 7)
      perform(machine.tick(at: now))
    }

    mutating func perform(_ actions: [Machine.Action]) {
      for action in actions {
        switch action {
        case .connect(let number, let server):
          attempt = number
          servers.append("\(server)")
        case .write(let bytes): written += String(buffer: bytes)
        case .disconnect: heard.append("disconnect")
        case .finish(let ticket, let answer): answers[ticket] = answer
        case .message(let channel, let payload): heard.append("\(channel): \(String(decoding: payload, as: UTF8.self))")
        case .ready: heard.append("ready")
        case .lost: heard.append("lost")
        }
      }
    }

    mutating func connect() { perform(machine.connected(attempt: attempt, at: now)) }
    mutating func answer(_ wire: String) {
      perform(machine.received(ByteBuffer(string: wire), attempt: attempt, at: now))
    }
    mutating func ask(_ ticket: Int, _ command: String = "PING") {
      perform(machine.submit(RedisCommand(command).encode(), ticket, at: now))
    }
    /// Lets time pass until the line wants to be woken, at most until `limit`.
    mutating func pass(_ limit: Duration) {
      let end = now + limit
      while let next = machine.deadline, next <= end {
        now = max(now, next)
        perform(machine.tick(at: now))
      }
      now = end
    }
    func code(_ ticket: Int) -> RedisError.Code? {
      if case .failure(let error)? = answers[ticket] { error.code } else { nil }
    }
    /// The commands that went out, and forgets them.
    mutating func sent() -> [String] {
      defer { written = "" }
      return written.split(separator: "*").map { command in
        command.split(separator: "\r\n").dropFirst().filter { !$0.hasPrefix("$") }.joined(separator: " ")
      }
    }
  }

  @Test func itIntroducesItselfAndSendsWhatWaits() throws {
    var bench = try Bench("redis://ann:s3cret@one/5")
    bench.ask(1, "FIRST")
    bench.ask(2, "SECOND")
    bench.connect()
    #expect(bench.sent() == ["HELLO 3 AUTH ann s3cret SETNAME parley", "SELECT 5"])
    bench.answer("%1\r\n+proto\r\n:3\r\n+OK\r\n")
    #expect(bench.heard == ["ready"])
    #expect(bench.sent() == ["FIRST", "SECOND"])
    bench.answer("+a\r\n")
    bench.answer("+b\r\n")
    #expect(try bench.answers[1]?.get().text == "a" && bench.answers[2]?.get().text == "b")
  }

  @Test func aRefusedLoginIsSaidAndTriedAgain() throws {
    var bench = try Bench("redis://:wrong@one")
    bench.ask(1)
    bench.connect()
    bench.answer("-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    #expect(bench.machine.trouble?.description == "Redis at one:6379 refuses the user or the password: WRONGPASS")
    bench.pass(.seconds(1))
    #expect(bench.servers.count > 1)
    bench.pass(.seconds(5))
    #expect(bench.code(1) == .unavailable, "a question waits only as long as every question may take")
  }

  @Test func attemptsComeEverLessOftenAndNeverAtOnce() throws {
    var bench = try Bench("redis://one")
    var times: [Int64] = []
    for _ in 0..<12 {
      bench.perform(bench.machine.disconnected(attempt: bench.attempt, reason: "is away", at: bench.now))
      let before = bench.now
      let count = bench.servers.count
      while bench.servers.count == count, let next = bench.machine.deadline { bench.pass(next - bench.now) }
      times.append((bench.now - before).milliseconds)
    }
    #expect(times[0] >= 25 && times[0] <= 50, "\(times)")
    #expect(times.suffix(4).allSatisfy { $0 >= 1_000 && $0 <= 2_000 }, "\(times)")
    #expect(Set(times.suffix(6)).count > 3, "they are spread: \(times)")
  }

  @Test func whatWasSentIsUnansweredAndWhatWasNotIsSentToTheNextConnection() throws {
    var bench = try Bench("redis://one")
    bench.connect()
    bench.answer("%0\r\n")
    bench.ask(1, "SENT")
    _ = bench.sent()
    bench.perform(bench.machine.disconnected(attempt: bench.attempt, reason: "closed the connection", at: bench.now))
    #expect(bench.code(1) == .unanswered)
    bench.ask(2, "WAITS")
    bench.pass(.milliseconds(60))
    bench.connect()
    bench.answer("%0\r\n")
    #expect(bench.sent() == ["HELLO 3 SETNAME parley", "WAITS"])
    bench.answer(":1\r\n")
    #expect(try bench.answers[2]?.get() == .int(1))
    #expect(bench.heard == ["ready", "disconnect", "lost", "ready"])
  }

  @Test func aServerThatSaysNothingIsGivenUp() throws {
    var bench = try Bench("redis://one")
    bench.connect()
    bench.answer("%0\r\n")
    bench.ask(1)
    bench.pass(.milliseconds(1_900))
    bench.ask(2)
    bench.pass(.milliseconds(90))
    #expect(bench.answers.isEmpty)
    bench.pass(.milliseconds(20))
    #expect(bench.code(1) == .unanswered && bench.code(2) == .unanswered)
    let old = bench.attempt
    bench.pass(.milliseconds(60))
    #expect(bench.attempt > old)
    // What the old connection still says is nobody's.
    bench.perform(bench.machine.received(ByteBuffer(string: "+OK\r\n"), attempt: old, at: bench.now))
    #expect(bench.servers.count == 2)
  }

  @Test func aQuietServerIsAskedWhetherItIsThere() throws {
    var bench = try Bench("redis://one")
    bench.connect()
    bench.answer("%0\r\n")
    _ = bench.sent()
    bench.pass(.milliseconds(9_900))
    #expect(bench.sent() == [])
    bench.pass(.milliseconds(200))
    #expect(bench.sent() == ["PING"])
    bench.answer("+PONG\r\n")
    bench.pass(.seconds(9))
    #expect(bench.machine.trouble == nil)
    bench.pass(.seconds(4))
    #expect(bench.machine.trouble != nil, "it did not answer the next one")
  }

  @Test func whatAReadOnlyServerDidNotTakeGoesToTheNext() throws {
    var bench = try Bench("redis://one")
    bench.connect()
    bench.answer("%0\r\n")
    bench.ask(1, "WRITE")
    bench.ask(2, "READ")
    bench.ask(3, "WRITE")
    _ = bench.sent()
    bench.answer("-READONLY You can't write against a read only replica.\r\n")
    bench.ask(4, "LATER")
    bench.answer("+value\r\n-READONLY no\r\n")
    #expect(bench.answers.keys.sorted() == [2])
    bench.pass(.milliseconds(60))
    bench.connect()
    bench.answer("%0\r\n")
    #expect(bench.sent() == ["HELLO 3 SETNAME parley", "WRITE", "WRITE", "LATER"])
    bench.answer(":1\r\n:3\r\n:4\r\n")
    #expect(try [1, 3, 4].map { try bench.answers[$0]?.get().int } == [1, 3, 4])
  }

  @Test func sentinelsAreAskedForTheMasterWhichMustSayThatItIs() throws {
    var bench = try Bench("redis+sentinel://:pw@s1,s2/main?sentinel_password=other")
    bench.perform(bench.machine.disconnected(attempt: bench.attempt, reason: "is away", at: bench.now))
    bench.pass(.milliseconds(60))
    bench.connect()
    #expect(bench.sent() == ["HELLO 3 AUTH default other SETNAME parley", "SENTINEL GET-MASTER-ADDR-BY-NAME main"])
    bench.answer("%0\r\n*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n")
    bench.connect()
    #expect(bench.sent() == ["HELLO 3 AUTH default pw SETNAME parley", "ROLE"])
    // The sentinels have not noticed yet.
    bench.answer("%0\r\n*5\r\n+slave\r\n+a\r\n:1\r\n+connected\r\n:5\r\n")
    #expect(bench.machine.trouble?.description == "Redis at 127.0.0.1:7001 is not the master")
    bench.perform(bench.machine.reconsider(at: bench.now))
    bench.connect()
    bench.answer("%0\r\n*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7002\r\n")
    bench.connect()
    bench.answer("%0\r\n*3\r\n+master\r\n:0\r\n*0\r\n")
    #expect(bench.machine.trouble == nil)
    #expect(bench.servers == ["s1:26379", "s2:26379", "127.0.0.1:7001", "s1:26379", "127.0.0.1:7002"])
  }

  @Test func sentinelsThatKnowNoSuchMasterAreNamed() throws {
    var bench = try Bench("redis+sentinel://s1/mian")
    bench.connect()
    bench.answer("%0\r\n_\r\n")
    #expect(bench.machine.trouble?.description == "Redis at s1:26379 knows no master `mian`")
  }

  @Test func channelsAreSubscribedAgain() throws {
    var bench = try Bench("redis://one") { $0.channels = ["a", "b"] }
    for _ in 1...2 {
      bench.connect()
      #expect(bench.sent() == ["HELLO 3 SETNAME parley", "SUBSCRIBE a b"])
      bench.answer("%0\r\n>3\r\n+subscribe\r\n+a\r\n:1\r\n")
      bench.answer(">3\r\n+subscribe\r\n+b\r\n:2\r\n>3\r\n+message\r\n+b\r\n$2\r\nhi\r\n")
      bench.perform(bench.machine.disconnected(attempt: bench.attempt, reason: "closed", at: bench.now))
      bench.pass(.milliseconds(60))
    }
    #expect(bench.heard == ["ready", "b: hi", "disconnect", "lost", "ready", "b: hi", "disconnect", "lost"])
  }

  @Test func whatWouldBeTooMuchIsRefusedAndThereIsRoomAgainAfterAnswers() throws {
    let size = RedisCommand("PING").encode().readableBytes
    var bench = try Bench("redis://one") { $0.waitingBytes = 3 * size }
    bench.ask(1)
    bench.connect()
    bench.answer("%0\r\n")
    bench.ask(2)
    bench.ask(3)
    bench.ask(4)
    #expect(bench.code(4) == .overloaded)
    bench.answer("+PONG\r\n")
    bench.ask(5)
    #expect(bench.answers[5] == nil)
  }

  @Test func closingEndsEverythingAtOnce() throws {
    var bench = try Bench("redis://one")
    bench.connect()
    bench.answer("%0\r\n")
    bench.ask(1)
    bench.perform(bench.machine.close())
    bench.ask(2)
    #expect(bench.code(1) == .closed && bench.code(2) == .closed)
    #expect(bench.machine.deadline == nil)
  }

  /// Everybody is answered exactly once, whatever the network and the server do.
  @Test func everyQuestionIsAnsweredOnce() throws {
    for seed in 0..<400 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var machine = Machine(RedisLineSettings(try RedisAddress("redis://one")), seed: seed)
      var answered: [Int: Int] = [:]
      var asked = 0
      var attempt = 0
      var now = Instant.zero
      func perform(_ actions: [Machine.Action]) {
        for action in actions {
          switch action {
          case .connect(let number, _): attempt = number
          case .finish(let ticket, _): answered[ticket, default: 0] += 1
          default: break
          }
        }
      }
      perform(machine.tick(at: now))
      for _ in 0..<200 {
        now += .milliseconds(Int64.random(in: 0...400, using: &random))
        switch Int.random(in: 0..<10, using: &random) {
        case 0...2:
          asked += 1
          perform(machine.submit(RedisCommand("PING").encode(), asked, at: now))
        case 3, 4: perform(machine.connected(attempt: attempt, at: now))
        case 5, 6: perform(machine.received(ByteBuffer(string: "+OK\r\n"), attempt: attempt, at: now))
        case 7: perform(machine.received(ByteBuffer(string: "-READONLY x\r\n"), attempt: attempt, at: now))
        case 8: perform(machine.disconnected(attempt: attempt, reason: "is away", at: now))
        default: break
        }
        if let deadline = machine.deadline, deadline <= now { perform(machine.tick(at: now)) }
      }
      perform(machine.close())
      #expect(answered.count == asked && answered.values.allSatisfy { $0 == 1 }, "seed \(seed)")
    }
  }
}
