import Base
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import Settings

/// Asks Redis over a few lines that come back by themselves. Any thread.
///
/// A question that meets no connection waits for one, for a while; how much waits is bounded, and what
/// would be too much is refused. Commands that block the server's connection (`BLPOP`, `XREAD BLOCK`, `SUBSCRIBE`, `MULTI`)
/// are not for ``send(_:)``. Redis 6 or newer; a cluster of it is not followed.
public final class RedisClient: Sendable {
  public struct Options: Sendable {
    /// Lines that share the questions.
    public var connections = 2
    /// How long a question may wait for a connection, and, once it was sent, for its answer.
    public var commandTimeout: Duration = .seconds(2)
    public var connectTimeout: Duration = .seconds(2)
    /// After so much silence a server is asked whether it is there.
    public var idleInterval: Duration = .seconds(10)
    /// Bytes of questions that may wait on each line.
    public var waitingBytes = 16 << 20

    public init() {}
  }

  private struct State {
    var lines: [RedisLine] = []
    var isReady: [Bool]
    /// Rises with every question, so that lines take turns.
    var turn = 0
    var trouble: RedisError?
    /// Whether the log knows of the trouble.
    var isTroubleSaid = false
    var subscriptions: [ObjectIdentifier: RedisLine] = [:]
    var watch: RedisLine?
    /// What servers call the scripts that they were given.
    var digests: [RedisScript: String] = [:]
    var isClosed = false
  }

  /// Where Redis is, without user and password.
  public let place: String
  private let address: RedisAddress
  private let options: Options
  private let tls: NIOSSLContext?
  private let group: any EventLoopGroup
  private let logger: Logger
  private let state: NIOLockedValueBox<State>

  /// Begins to connect at once.
  /// - Throws: ``RedisError`` `setup` for certificates that cannot be read.
  public init(
    _ address: RedisAddress, options: Options = Options(),
    group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, logger: Logger
  ) throws(RedisError) {
    self.address = address
    self.options = options
    self.group = group
    self.logger = logger
    place = address.place
    tls = try address.tls.map(Self.context)
    state = NIOLockedValueBox(State(isReady: Array(repeating: false, count: max(1, options.connections))))
    let lines = (0..<max(1, options.connections)).map { number in
      line(
        RedisLineSettings(address),
        RedisLine.Listener(
          onReady: { [weak self] in self?.changed(number, isReady: true) },
          onLost: { [weak self] _ in self?.changed(number, isReady: false) },
          onTrouble: { [weak self] in self?.troubled($0) }))
    }
    // Sentinels say when another server takes over. Without that it is found, too, only later.
    let watch =
      address.master == nil
      ? nil
      : line(
        .announcements(address),
        RedisLine.Listener(onMessage: { [weak self] _, payload in self?.announced(payload) }))
    state.withLockedValue { state in
      state.lines = lines
      state.watch = watch
    }
    for line in lines { line.start() }
    watch?.start()
  }

  /// Why nothing can be asked now; nil: it can.
  public var trouble: RedisError? {
    state.withLockedValue { $0.isReady.contains(true) ? nil : $0.trouble ?? Self.notYet }
  }

  // MARK: Asking

  /// Sends a command and waits for its answer.
  public func send(_ command: RedisCommand) async throws(RedisError) -> RESPValue {
    let line = state.withLockedValue { state -> RedisLine? in
      if state.isClosed { return nil }
      state.turn &+= 1
      // One that is ready, in turn; where none is, one that may be first.
      let order = (0..<state.lines.count).map { (state.turn &+ $0) % state.lines.count }
      return order.first { state.isReady[$0] }.map { state.lines[$0] } ?? order.first.map { state.lines[$0] }
    }
    guard let line else { throw RedisError(.closed, "the client of Redis was closed") }
    return try await line.send(command.encode()).get()
  }

  /// Runs a script, which the server keeps by its digest and is given again where it has forgotten it.
  public func run(
    _ script: RedisScript, keys: [String] = [], _ arguments: [RedisCommand.Argument] = []
  ) async throws(RedisError) -> RESPValue {
    let rest = [.init(keys.count)] + keys.map { RedisCommand.Argument($0) } + arguments
    let digest = try await digest(of: script)
    do {
      return try await send(RedisCommand("EVALSHA", [.init(digest)] + rest))
    } catch {
      guard case .refused("NOSCRIPT") = error.code else { throw error }
      // A server that was started anew, or another one. It keeps what it evaluates.
      return try await send(RedisCommand("EVAL", [.init(script.text)] + rest))
    }
  }

  private func digest(of script: RedisScript) async throws(RedisError) -> String {
    if let known = state.withLockedValue({ $0.digests[script] }) { return known }
    guard let digest = try await send(RedisCommand("SCRIPT", "LOAD", .init(script.text))).text else {
      throw RedisError(.unexpectedAnswer, "Redis does not say what it calls a script")
    }
    state.withLockedValue { $0.digests[script] = digest }
    return digest
  }

  // MARK: Listening

  /// What a subscription tells, on an event loop: nothing there may wait.
  public enum Heard: Sendable {
    /// Every channel is subscribed. Messages from before this were not heard.
    case ready
    /// The connection is gone; it comes back by itself.
    case lost
    case message(channel: String, payload: [UInt8])
  }

  /// Subscribes channels over a connection of their own, and again whenever it was lost.
  public func subscribe(_ channels: [String], _ hear: @escaping @Sendable (Heard) -> Void) -> RedisSubscription {
    var settings = RedisLineSettings(address)
    settings.channels = channels
    let line = line(
      settings,
      RedisLine.Listener(
        onReady: { hear(.ready) }, onLost: { _ in hear(.lost) },
        onMessage: { hear(.message(channel: $0, payload: $1)) }))
    let isClosed = state.withLockedValue { state in
      if !state.isClosed { state.subscriptions[ObjectIdentifier(line)] = line }
      return state.isClosed
    }
    if !isClosed { line.start() }
    return RedisSubscription { [weak self] in
      self?.state.withLockedValue { _ = $0.subscriptions.removeValue(forKey: ObjectIdentifier(line)) }
      await line.close()
    }
  }

  /// Ends every connection. What was asked and not answered fails.
  public func close() async {
    let lines = state.withLockedValue { state in
      state.isClosed = true
      defer {
        state.subscriptions = [:]
        state.watch = nil
      }
      return state.lines + state.subscriptions.values + (state.watch.map { [$0] } ?? [])
    }
    for line in lines { await line.close() }
  }

  // MARK: What the lines say

  private func changed(_ number: Int, isReady: Bool) {
    let comesBack = state.withLockedValue { state in
      state.isReady[number] = isReady
      guard isReady, state.isTroubleSaid else { return false }
      state.isTroubleSaid = false
      return true
    }
    if comesBack { logger.notice("Redis answers again", metadata: ["redis": "\(place)"]) }
  }

  private func troubled(_ error: RedisError) {
    let isNew = state.withLockedValue { state in
      state.trouble = error
      guard !state.isClosed, !state.isReady.contains(true), !state.isTroubleSaid else { return false }
      state.isTroubleSaid = true
      return true
    }
    if isNew {
      logger.error("Redis does not answer; it is tried again", metadata: ["redis": "\(place)", "reason": "\(error)"])
    }
  }

  /// `+switch-master`: name, old host and port, new host and port.
  private func announced(_ payload: [UInt8]) {
    let words = String(decoding: payload, as: UTF8.self).split(separator: " ")
    guard words.count == 5, let master = address.master, words[0] == master else { return }
    logger.notice("another Redis has taken over", metadata: ["redis": "\(place)", "master": "\(words[3]):\(words[4])"])
    for line in state.withLockedValue({ $0.lines + $0.subscriptions.values }) { line.reconsider() }
  }

  // MARK: Pieces

  private func line(_ settings: RedisLineSettings, _ listener: RedisLine.Listener) -> RedisLine {
    var settings = settings
    settings.commandTimeout = options.commandTimeout
    settings.connectTimeout = options.connectTimeout
    settings.idleInterval = options.idleInterval
    settings.waitingBytes = options.waitingBytes
    return RedisLine(settings, tls: tls, loop: group.next(), listener: listener)
  }

  private static func context(_ files: RedisAddress.TLS) throws(RedisError) -> NIOSSLContext {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv12
    func read<Part>(_ path: String, _ what: String, _ body: () throws -> Part) throws(RedisError) -> Part {
      do {
        return try body()
      } catch {
        throw RedisError(.setup, "\(path) holds no \(what) in PEM form that can be read")
      }
    }
    if let path = files.authoritiesFile {
      // Whoever names an authority trusts no other.
      tls.trustRoots = .certificates(try read(path, "certificates") { try NIOSSLCertificate.fromPEMFile(path) })
    }
    if let path = files.certificateFile, let keyPath = files.keyFile {
      let chain = try read(path, "certificate") { try NIOSSLCertificate.fromPEMFile(path) }
      tls.certificateChain = chain.map { .certificate($0) }
      tls.privateKey = .privateKey(
        try read(keyPath, "private key") { try NIOSSLPrivateKey(file: keyPath, format: .pem) })
    }
    do {
      return try NIOSSLContext(configuration: tls)
    } catch {
      throw RedisError(.setup, "the certificates for Redis cannot be used: \(error)")
    }
  }

  private static let notYet = RedisError(.unavailable, "Redis was not reached yet")
}

/// Channels that are listened to, until ``close()``.
public struct RedisSubscription: Sendable {
  private let end: @Sendable () async -> Void

  init(_ end: @escaping @Sendable () async -> Void) { self.end = end }

  /// Nothing is heard afterwards.
  public func close() async { await end() }
}

/// A Lua script that the server runs as one step: nothing comes between its reading and its writing.
public struct RedisScript: Sendable, Hashable {
  public let text: String

  public init(_ text: String) { self.text = text }
}
