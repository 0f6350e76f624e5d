#if Cluster
  import Base
  import CallLink
  import SwiftProtobuf
  import GRPCCore
  import GRPCNIOTransportHTTP2
  import Logging
  import NIOConcurrencyHelpers
  import NIOCore
  import NIOPosix

  typealias LinkTransport = HTTP2ClientTransport.Posix

  /// The processes of the next role: finds them by name, keeps a connection to each, hears how they are, and chooses one for a call.
  public final class PeerPool: Sendable {
    public struct Configuration: Sendable {
      /// The role that is dialled.
      public var role: String
      /// `host:port`; a name may stand for many processes, and is looked up again and again.
      public var addresses: [String]
      /// nil: without encryption.
      public var security: ClusterSecurity?
      public var callsPerPeer = 100
      /// Looks up `host:port`: the addresses of all processes of that name.
      public var lookup: @Sendable (String) async throws -> [String] = { try await PeerPool.resolve($0) }

      public init(role: String, addresses: [String], security: ClusterSecurity?) {
        self.role = role
        self.addresses = addresses
        self.security = security
      }
    }

    /// A process, by one of its addresses.
    struct Peer: Sendable {
      var address: String
      var client: GRPCClient<LinkTransport>
    }

    private struct Entry {
      var client: GRPCClient<LinkTransport>
      var connections: Task<Void, Never>
      var watching: Task<Void, Never>
      /// As its last report said.
      var instance: String?
    }

    private struct State {
      var choice: PeerChoice
      var entries: [String: Entry] = [:]
      /// Connections to addresses that no name stands for any more, until their streams have ended.
      var leaving: Set<Task<Void, Never>> = []
    }

    /// How often names are looked up.
    static let lookupInterval: Duration = .seconds(2)
    /// A connection that says nothing for so long is asked, and given up after as long again.
    private static let keepalive: Duration = .seconds(10)

    private let configuration: Configuration
    private let group: any EventLoopGroup
    let logger: Logger
    private let state: NIOLockedValueBox<State>

    public init(_ configuration: Configuration, group: any EventLoopGroup, logger: Logger) {
      self.configuration = configuration
      self.group = group
      self.logger = logger
      state = NIOLockedValueBox(
        State(choice: PeerChoice(callsPerPeer: configuration.callsPerPeer, random: .fromSystem())))
    }

    /// Why no call can go on to the next role; nil: it can.
    public var trouble: String? {
      state.withLockedValue { state in
        if state.entries.isEmpty { return "no address of the \(configuration.role) role is known" }
        return state.entries.values.contains { $0.instance != nil }
          ? nil : "no process of the \(configuration.role) role answers"
      }
    }

    /// Looks names up and keeps connections until the task is cancelled.
    public func run() async {
      while !Task.isCancelled {
        await look()
        do { try await Task.sleep(for: Self.lookupInterval) } catch { break }
      }
      let tasks = state.withLockedValue { state in
        defer { state.entries = [:] }
        return state.entries.values.flatMap { [$0.watching, $0.connections] } + state.leaving
      }
      for task in tasks { task.cancel() }
      for task in tasks { await task.value }
    }

    /// Looks all names up once.
    public func look() async {
      var found: Set<String> = []
      var failed = false
      for address in configuration.addresses {
        do {
          found.formUnion(try await configuration.lookup(address))
        } catch {
          failed = true
          logger.debug("a name cannot be looked up", metadata: ["name": "\(address)", "reason": "\(error)"])
        }
      }
      // A name server that is away takes nobody away.
      let known = state.withLockedValue { Set($0.entries.keys) }
      let wanted = failed ? found.union(known) : found
      for address in wanted.subtracting(known) { connect(address) }
      let gone = state.withLockedValue { state -> [Entry] in
        state.choice.replace(wanted.filter { state.entries[$0] != nil })
        return known.subtracting(wanted).compactMap { state.entries.removeValue(forKey: $0) }
      }
      for entry in gone { letGo(entry) }
    }

    /// Calls that are there go on until they end by themselves; then the connection goes.
    private func letGo(_ entry: Entry) {
      entry.watching.cancel()
      entry.client.beginGracefulShutdown()
      let connections = entry.connections
      state.withLockedValue { _ = $0.leaving.insert(connections) }
      Task {
        await connections.value
        state.withLockedValue { _ = $0.leaving.remove(connections) }
      }
    }

    /// `host:port`, where an IPv6 address may stand in brackets.
    private static func parts(_ address: String) -> (host: String, port: Int)? {
      guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
        return nil
      }
      let host = address[..<colon]
      return (String(host.hasPrefix("[") && host.hasSuffix("]") ? host.dropFirst().dropLast() : host), port)
    }

    private static func resolve(_ address: String) async throws -> [String] {
      guard let (host, port) = parts(address) else { return [] }
      let found = try await NIOThreadPool.singleton.runIfActive {
        try AddressLookup.addresses(of: host)
      }
      return found.prefix(PeerChoice.addressLimit).map { $0.contains(":") ? "[\($0)]:\(port)" : "\($0):\(port)" }
    }

    // MARK: Connections

    private func connect(_ address: String) {
      guard let (host, port) = Self.parts(address) else { return }
      let target: any ResolvableTarget =
        host.contains(":") ? .ipv6(address: host, port: port) : .ipv4(address: host, port: port)
      do {
        let transport = try HTTP2ClientTransport.Posix(
          target: target, transportSecurity: configuration.security == nil ? .plaintext : .customSecure,
          config: .defaults { config in
            // A link of a call waits for the hop's own patience, not for gRPC's. A process that is back is needed at once where the
            // other one is just being restarted.
            config.backoff.initial = .milliseconds(100)
            config.backoff.max = .milliseconds(400)
            config.connection.keepalive = .init(time: Self.keepalive, timeout: Self.keepalive, allowWithoutCalls: true)
            config.connection.maxIdleTime = nil
            config.connection.flushCoalescing = nil
            config.http2.targetWindowSize = 8 << 20
            if let security = configuration.security {
              let role = configuration.role
              config.channelDebuggingCallbacks.onCreateTCPConnection = { security.secureClient($0, role: role) }
            }
          }, serviceConfig: ServiceConfig())
        let client = GRPCClient(transport: transport)
        state.withLockedValue { state in
          state.entries[address] = Entry(
            client: client,
            connections: Task {
              do { try await client.runConnections() } catch {
                logger.debug("a connection ended", metadata: ["peer": "\(address)", "reason": "\(error)"])
              }
            },
            watching: Task { await watch(address, client) })
        }
      } catch {
        logger.error("a peer cannot be dialled", metadata: ["peer": "\(address)", "reason": "\(error)"])
      }
    }

    /// Hears how a peer is, for as long as it is a peer.
    private func watch(_ address: String, _ client: GRPCClient<LinkTransport>) async {
      let link = Parley_Calllink_V1_PeerLink.Client(wrapping: client)
      var told = ""
      while !Task.isCancelled {
        do {
          try await link.watch(Parley_Calllink_V1_WatchRequest.with { $0.version = .init(HopVersion.current) }) {
            response in
            for try await report in response.messages { self.heard(report, from: address) }
          }
        } catch {
          let reason = (error as? RPCError).map { "\($0.message)\($0.cause.map { ": \($0)" } ?? "")" } ?? "\(error)"
          // Once for each reason: a peer that is gone is tried again for as long as its name stands.
          if told != reason, !Task.isCancelled {
            told = reason
            logger.warning(
              "a process of the next role cannot be reached",
              metadata: ["role": "\(configuration.role)", "peer": "\(address)", "reason": "\(reason)"])
          }
        }
        // Another entry may have the address by now.
        if Task.isCancelled { return }
        state.withLockedValue { state in
          state.entries[address]?.instance = nil
          state.choice.failed(address, at: .monotonic())
        }
        do { try await Task.sleep(for: .milliseconds(200)) } catch { return }
      }
    }

    private func heard(_ report: Parley_Calllink_V1_PeerReport, from address: String) {
      guard HopVersion.current.agreed(with: HopVersion(report.version)) != nil else { return }
      state.withLockedValue { state in
        state.entries[address]?.instance = report.instance
        state.choice.succeeded(address)
        state.choice.report(address, load: report.load, isDraining: report.draining, at: .monotonic())
      }
    }

    // MARK: Choosing

    /// - Parameters:
    ///   - preferred: where the call is, as far as is known.
    ///   - avoided: who is silent or asked to be left.
    /// - Returns: nil: nobody now.
    func choose(preferring preferred: String? = nil, avoiding avoided: String? = nil, not: Set<String> = []) -> Peer? {
      state.withLockedValue { state in
        if let preferred, let found = state.entries.first(where: { $0.value.instance == preferred }) {
          return Peer(address: found.key, client: found.value.client)
        }
        // Only those that have said who they are: a dead one must not cost a caller a second.
        let unheard = state.entries.filter { $0.value.instance == nil || $0.value.instance == avoided }.map(\.key)
        guard case .peer(let address) = state.choice.choose(avoiding: not.union(unheard), at: .monotonic()),
          let entry = state.entries[address]
        else { return nil }
        return Peer(address: address, client: entry.client)
      }
    }

    func failed(_ address: String) { state.withLockedValue { $0.choice.failed(address, at: .monotonic()) } }
  }
#endif
