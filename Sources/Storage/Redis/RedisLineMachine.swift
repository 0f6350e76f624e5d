import Base
import NIOCore
import Settings

/// One line to Redis, from the first attempt to the last answer: finds the server (by asking sentinels where there are some),
/// introduces itself, sends commands without waiting for the answers of earlier ones, notices that nobody answers any more,
/// and begins again. Pure; ``Ticket`` is whatever its owner gives back an answer with.
///
/// All commands have the same time to be sent, and the same from then on to be answered, so whoever came first expires first. What was sent when a connection ends is
/// `unanswered`; what was not waits for the next connection until its time is up.
public struct RedisLineMachine<Ticket> {
  public typealias Answer = Result<RESPValue, RedisError>

  public enum Action {
    /// Open a connection to this server. What happens to it is told with the same number.
    case connect(attempt: Int, RedisAddress.Server)
    case write(ByteBuffer)
    /// Close the connection; nothing more is asked of it.
    case disconnect
    case finish(Ticket, Answer)
    /// A message of a subscribed channel.
    case message(channel: String, payload: [UInt8])
    /// Commands go through, and every channel is subscribed.
    case ready
    /// The line is no longer ready: what channels carry until it is again is missed.
    case lost(RedisError)
  }

  private struct Entry {
    /// nil: the line's own question whether anybody is there.
    var ticket: Ticket?
    var bytes: ByteBuffer
    /// Until when it is sent, and once it was, until when it is answered.
    var deadline: Instant
    /// How long it may wait to be sent, again and again where servers do not take it.
    var patience: Instant

    init(_ ticket: Ticket?, _ bytes: ByteBuffer, until patience: Instant) {
      self.ticket = ticket
      self.bytes = bytes
      self.patience = patience
      deadline = patience
    }
  }

  /// What the answers to an introduction are about, in their order.
  private enum Greeting { case hello, database, role, master }

  private enum Peer: Equatable {
    case sentinel
    case server
  }

  private enum Phase: Equatable {
    case resting(until: Instant)
    case opening(Peer, until: Instant)
    case greeting(Peer, until: Instant)
    case ready
    case closed
  }

  private let settings: RedisLineSettings
  private var phase = Phase.resting(until: .zero)
  private var attempt = 0
  /// Which of the servers is asked next.
  private var turn = 0
  private var server: RedisAddress.Server
  private var parser: RESPParser
  private var greetings: [Greeting] = []
  private var unconfirmed: Set<String> = []
  private var unsent: [Entry] = []
  private var inFlight: [Entry] = []
  /// Entries that the server did not take, to be sent again to another.
  private var returned: [Entry] = []
  /// Why this connection is given up once its answers have come.
  private var leaving: String?
  private var bytes = 0
  private var heardAt = Instant.zero
  private var backoff: RedisBackoff
  private var actions: [Action] = []

  /// Why the line is not ready; nil: it is.
  public private(set) var trouble: RedisError?

  public init(_ settings: RedisLineSettings, seed: UInt64) {
    self.settings = settings
    server = settings.servers.first ?? RedisAddress.Server(host: "", port: 0)
    parser = RESPParser(limits: settings.limits)
    backoff = RedisBackoff(seed: seed)
    trouble = RedisError(.unavailable, "Redis was not reached yet")
  }

  public var isReady: Bool { phase == .ready && leaving == nil }

  /// When ``tick(at:)`` must be called; nil: never.
  public var deadline: Instant? {
    var next: Instant?
    func consider(_ instant: Instant?) {
      if let instant { next = min(next ?? instant, instant) }
    }
    switch phase {
    case .resting(let until), .opening(_, let until), .greeting(_, let until): consider(until)
    case .ready:
      consider(inFlight.first?.deadline)
      if inFlight.isEmpty { consider(heardAt + settings.idleInterval) }
    case .closed: return nil
    }
    consider(unsent.first?.deadline)
    return next
  }

  // MARK: Inputs

  /// Sends a command as soon as the line is ready.
  public mutating func submit(_ command: ByteBuffer, _ ticket: Ticket, at now: Instant) -> [Action] {
    let entry = Entry(ticket, command, until: now + settings.commandTimeout)
    guard phase != .closed else { return [.finish(ticket, .failure(Self.closed))] }
    guard bytes + command.readableBytes <= settings.waitingBytes,
      unsent.count + inFlight.count + returned.count < settings.waitingCommands
    else {
      return [.finish(ticket, .failure(RedisError(.overloaded, "too much waits for Redis at \(server) already")))]
    }
    bytes += command.readableBytes
    if isReady {
      send([entry], at: now)
    } else {
      unsent.append(entry)
    }
    return take()
  }

  public mutating func connected(attempt: Int, at now: Instant) -> [Action] {
    guard attempt == self.attempt, case .opening(let peer, _) = phase else { return [] }
    phase = .greeting(peer, until: now + settings.connectTimeout)
    parser = RESPParser(limits: settings.limits)
    introduce(to: peer)
    return take()
  }

  public mutating func received(_ bytes: ByteBuffer, attempt: Int, at now: Instant) -> [Action] {
    guard attempt == self.attempt else { return [] }
    heardAt = now
    parser.receive(bytes)
    do throws(RESPParser.Failure) {
      // An answer may end this connection, and with it the parser.
      while attempt == self.attempt, isConnected, let value = try parser.next() { handle(value, at: now) }
    } catch {
      fail("sends what cannot be understood: \(error)", at: now)
    }
    return take()
  }

  /// - Parameter reason: goes after the server's name: `closed the connection`.
  public mutating func disconnected(attempt: Int, reason: String, at now: Instant) -> [Action] {
    guard attempt == self.attempt else { return [] }
    switch phase {
    case .resting, .closed: return []
    case .opening, .greeting, .ready: fail(reason, at: now)
    }
    return take()
  }

  /// Another server has taken over, as far as is known: looks for it at once.
  public mutating func reconsider(at now: Instant) -> [Action] {
    switch phase {
    case .closed: return []
    case .resting: break
    case .opening, .greeting, .ready: fail("is no longer the master", at: now)
    }
    backoff.reset()
    open(at: now)
    return take()
  }

  public mutating func tick(at now: Instant) -> [Action] {
    switch phase {
    case .resting(let until):
      if until <= now { open(at: now) }
    case .opening(_, let until), .greeting(_, let until):
      if until <= now { fail("did not answer in time", at: now) }
    case .ready:
      if let first = inFlight.first, first.deadline <= now {
        fail("did not answer in time", at: now)
      } else if inFlight.isEmpty, heardAt + settings.idleInterval <= now {
        send([Entry(nil, RedisCommand("PING").encode(), until: now)], at: now)
      }
    case .closed: break
    }
    let expired = unsent.prefix { $0.deadline <= now }
    unsent.removeFirst(expired.count)
    for entry in expired { finish(entry, .failure(trouble ?? RedisError(.unavailable, "Redis took too long"))) }
    return take()
  }

  public mutating func close() -> [Action] {
    guard phase != .closed else { return [] }
    if isConnected { actions.append(.disconnect) }
    phase = .closed
    attempt += 1
    trouble = Self.closed
    let left = inFlight + returned + unsent
    inFlight = []
    returned = []
    unsent = []
    for entry in left { finish(entry, .failure(Self.closed)) }
    return take()
  }

  // MARK: Connecting

  private var isConnected: Bool {
    switch phase {
    case .opening, .greeting, .ready: true
    case .resting, .closed: false
    }
  }

  private mutating func open(at now: Instant) {
    guard !settings.servers.isEmpty else { return }
    server = settings.servers[turn % settings.servers.count]
    begin(settings.master == nil ? .server : .sentinel, at: now)
  }

  private mutating func begin(_ peer: Peer, at now: Instant) {
    attempt += 1
    phase = .opening(peer, until: now + settings.connectTimeout)
    actions.append(.connect(attempt: attempt, server))
  }

  /// Everything at once: the server reads it in order.
  private mutating func introduce(to peer: Peer) {
    let credentials = peer == .sentinel ? settings.sentinelCredentials : settings.credentials
    var hello = RedisCommand("HELLO", "3")
    if let credentials {
      hello.arguments += ["AUTH", .init(credentials.user), .init(credentials.password.reveal())]
    }
    hello.arguments += ["SETNAME", "parley"]
    var commands = [hello]
    greetings = [.hello]
    unconfirmed = []
    if peer == .sentinel {
      commands.append(RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", .init(settings.master ?? "")))
      greetings.append(.master)
    } else {
      if settings.database != 0 {
        commands.append(RedisCommand("SELECT", .init(settings.database)))
        greetings.append(.database)
      }
      if settings.master != nil {
        commands.append(RedisCommand("ROLE"))
        greetings.append(.role)
      }
      if !settings.channels.isEmpty {
        commands.append(RedisCommand("SUBSCRIBE", settings.channels.map { .init($0) }))
        unconfirmed = Set(settings.channels)
      }
    }
    var bytes = ByteBuffer()
    for command in commands { bytes.writeImmutableBuffer(command.encode()) }
    actions.append(.write(bytes))
  }

  private mutating func greeted(_ value: RESPValue, at now: Instant) {
    switch greetings.removeFirst() {
    case .hello:
      guard case .error(let error) = value else { break }
      switch error.code {
      case "WRONGPASS", "NOAUTH", "NOPERM": return fail("refuses the user or the password: \(error.code)", at: now)
      case "ERR" where error.message.contains("unknown command"): return fail("is older than Redis 6", at: now)
      default: return fail("refuses the connection: \(error)", at: now)
      }
    case .database:
      if case .error(let error) = value { return fail("refuses the database: \(error)", at: now) }
    case .role:
      if case .error(let error) = value { return fail("does not say what it is: \(error)", at: now) }
      guard value.elements?.first?.text == "master" else { return fail("is not the master", at: now) }
    case .master:
      if case .error(let error) = value { return fail("does not name the master: \(error)", at: now) }
      guard let found = value.elements, found.count == 2, let host = found[0].text, !host.isEmpty,
        let port = found[1].text.flatMap({ UInt16($0) }), port > 0
      else {
        return fail("knows no master `\(settings.master ?? "")`", at: now)
      }
      actions.append(.disconnect)
      server = RedisAddress.Server(host: host, port: Int(port))
      begin(.server, at: now)
      return
    }
    becomeReadyIfGreeted(at: now)
  }

  private mutating func becomeReadyIfGreeted(at now: Instant) {
    guard case .greeting = phase, greetings.isEmpty, unconfirmed.isEmpty else { return }
    phase = .ready
    trouble = nil
    if !settings.channels.isEmpty { backoff.reset() }
    actions.append(.ready)
    let waiting = unsent
    unsent = []
    send(waiting, at: now)
  }

  /// Gives the connection up, and tries again after a while.
  private mutating func fail(_ reason: String, at now: Instant) {
    let error = RedisError(.unavailable, "Redis at \(server) \(reason)")
    let wasReady = phase == .ready
    if isConnected { actions.append(.disconnect) }
    // What comes from the old connection from now on is nobody's.
    attempt += 1
    turn += 1
    trouble = error
    phase = .resting(until: now + backoff.next())
    leaving = nil
    let unanswered = inFlight
    inFlight = []
    unsent = returned + unsent
    returned = []
    if wasReady { actions.append(.lost(error)) }
    for entry in unanswered { finish(entry, .failure(RedisError(.unanswered, error.description))) }
  }

  // MARK: Answers

  private mutating func handle(_ value: RESPValue, at now: Instant) {
    if case .push(let elements) = value { return pushed(elements, at: now) }
    if !greetings.isEmpty { return greeted(value, at: now) }
    guard !inFlight.isEmpty else { return fail("answers what nobody asked", at: now) }
    let entry = inFlight.removeFirst()
    if case .error(let error) = value, ["READONLY", "LOADING", "MASTERDOWN"].contains(error.code) {
      // Nothing was done: another server may take it.
      returned.append(entry)
      returned[returned.count - 1].deadline = entry.patience
      if leaving == nil { leaving = "takes no writes: \(error.code)" }
    } else {
      backoff.reset()
      if case .error(let error) = value {
        finish(entry, .failure(RedisError(error)))
      } else {
        finish(entry, .success(value))
      }
    }
    if let leaving, inFlight.isEmpty { fail(leaving, at: now) }
  }

  private mutating func pushed(_ elements: [RESPValue], at now: Instant) {
    guard let kind = elements.first?.text, elements.count == 3, let channel = elements[1].text else { return }
    switch kind {
    case "subscribe":
      unconfirmed.remove(channel)
      becomeReadyIfGreeted(at: now)
    case "message":
      if let payload = elements[2].bytes { actions.append(.message(channel: channel, payload: payload)) }
    default: break
    }
  }

  // MARK: Pieces

  private mutating func send(_ entries: [Entry], at now: Instant) {
    guard let first = entries.first else { return }
    var bytes = first.bytes
    for entry in entries.dropFirst() { bytes.writeImmutableBuffer(entry.bytes) }
    for var entry in entries {
      entry.deadline = now + settings.commandTimeout
      inFlight.append(entry)
    }
    actions.append(.write(bytes))
  }

  private mutating func finish(_ entry: Entry, _ answer: Answer) {
    guard let ticket = entry.ticket else { return }
    bytes -= entry.bytes.readableBytes
    actions.append(.finish(ticket, answer))
  }

  private mutating func take() -> [Action] {
    defer { actions = [] }
    return actions
  }

  private static var closed: RedisError { RedisError(.closed, "the connection to Redis was closed") }
}

/// What a line needs to know.
public struct RedisLineSettings: Sendable {
  /// The server, or sentinels that are asked in turn.
  public var servers: [RedisAddress.Server]
  /// What the sentinels are asked for; nil: ``servers`` are what is wanted.
  public var master: String?
  public var credentials: RedisAddress.Credentials?
  public var sentinelCredentials: RedisAddress.Credentials?
  public var database = 0
  /// Channels to subscribe; empty: the line is for commands.
  public var channels: [String] = []
  /// From the question to when it is sent, and from then to its answer.
  public var commandTimeout: Duration = .seconds(2)
  /// For each step of an attempt: the connection, and the introduction.
  public var connectTimeout: Duration = .seconds(2)
  /// After so much silence the server is asked whether it is there.
  public var idleInterval: Duration = .seconds(10)
  /// Bytes and numbers of commands that wait to be sent or answered; more are refused. A hundred calls write some hundred
  /// kilobytes a second, so this is what a few seconds of a busy gateway come to.
  public var waitingBytes = 16 << 20
  public var waitingCommands = 16_384
  public var limits = RESPParser.Limits()

  public init(_ address: RedisAddress) {
    servers = address.servers
    master = address.master
    credentials = address.credentials
    sentinelCredentials = address.sentinelCredentials
    database = address.database
  }

  /// The same servers taken as sentinels that announce things.
  static func announcements(_ address: RedisAddress) -> RedisLineSettings {
    var settings = RedisLineSettings(address)
    settings.credentials = address.sentinelCredentials
    settings.master = nil
    settings.database = 0
    settings.channels = ["+switch-master"]
    return settings
  }
}
