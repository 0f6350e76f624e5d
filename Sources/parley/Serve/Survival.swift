import Base
import CallCustody
import CallLink
import CallLinkGRPC
import ConversationRuntime
import Logging
import NIOPosix
import Settings
import SpeechGateway
import Storage
import Telemetry

#if Cluster
  /// What lets calls outlive this process, and go on in others: where their state is, and the ways to the other roles.
  final class Survival: Sendable {
    let context: CustodyContext
    private let settings: Configuration
    private let roles: GatewayRoles
    private let security: ClusterSecurity?
    private let peers: PeerState
    private let speechPool: PeerPool?
    private let runtimePool: PeerPool?
    private let integrationPool: PeerPool?
    private let remote: RemoteIntegration?
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger

    /// nil: calls end with their process.
    /// - Throws: ``CommandFailure`` with one sentence.
    static func open(
      _ settings: Configuration, _ roles: GatewayRoles, shared: SharedCalls, stores: DatabaseStores?,
      load: @escaping @Sendable () -> Double, metrics: VoiceMetrics, tracer: Tracer, group: MultiThreadedEventLoopGroup,
      logger: Logger
    ) throws(CommandFailure) -> Survival? {
      guard settings.runtime.stateStore != .memory else {
        if roles.isAll { return nil }
        throw CommandFailure("roles in processes of their own need runtime.state_store redis or postgres")
      }
      guard roles.isAll || settings.storage.redis != nil else {
        throw CommandFailure("roles in processes of their own need storage.redis, by which commands find calls")
      }
      guard let seal = StateSeal(settings.security.stateKeys.map { $0.reveal() }) else {
        throw CommandFailure("security.state_keys: the first key is missing or too short")
      }
      let directory: any CallDirectory
      let checkpoints: any CheckpointStore
      if settings.runtime.stateStore == .redis, let client = shared.client {
        directory = RedisCallDirectory(client)
        checkpoints = RedisCheckpointStore(client)
      } else if let stores {
        directory = SQLCallDirectory(stores.database)
        checkpoints = SQLCheckpointStore(stores.database)
      } else {
        throw CommandFailure("runtime.state_store: there is no store to keep calls in")
      }
      var counts = CustodyMetrics()
      counts.unread = { role in metrics.sessionsResumed.with(role, "unread").add() }
      counts.lost = { metrics.sessionsResumed.with("media", "lost").add() }
      counts.broken = { hop in metrics.hopBreaks.with(hop).add() }
      var context = CustodyContext(
        holder: shared.holder, directory: directory, checkpoints: checkpoints, seal: seal, codecs: .protobuf,
        group: group, metrics: counts, logger: logger)
      context.noticed = { call in tracer.remember(call.session, headers: call.headers) }
      return try Survival(context, settings, roles, load, group, logger)
    }

    private init(
      _ context: CustodyContext, _ settings: Configuration, _ roles: GatewayRoles,
      _ load: @escaping @Sendable () -> Double, _ group: MultiThreadedEventLoopGroup, _ logger: Logger
    ) throws(CommandFailure) {
      self.context = context
      self.settings = settings
      self.roles = roles
      self.group = group
      self.logger = logger
      peers = PeerState(instance: context.holder.instance, load: load)
      let mtls = settings.security.mtls
      var security: ClusterSecurity?
      if mtls.enabled, !roles.isAll {
        do {
          security = try ClusterSecurity(
            .init(
              serverCertificate: mtls.serverCertificateFile, serverKey: mtls.serverKeyFile,
              clientCertificate: mtls.clientCertificateFile, clientKey: mtls.clientKeyFile,
              authority: mtls.authorityFile), logger: logger)
        } catch {
          throw CommandFailure("\(error)")
        }
      }
      self.security = security
      func pool(_ role: GatewayRole, for left: GatewayRole, _ addresses: [String]) throws(CommandFailure) -> PeerPool? {
        guard roles.has(left), !roles.has(role) else { return nil }
        guard !addresses.isEmpty else {
          throw CommandFailure("the role \(left.rawValue) without \(role.rawValue) needs cluster.\(role.rawValue)")
        }
        return PeerPool(
          .init(role: role.rawValue, addresses: addresses, security: security), group: group, logger: logger)
      }
      speechPool = try pool(.speech, for: .media, settings.cluster.speech)
      runtimePool = try pool(.runtime, for: .speech, settings.cluster.runtime)
      integrationPool = try pool(.integration, for: .runtime, settings.cluster.integration)
      remote = integrationPool.map { RemoteIntegration($0, logger: logger) }
    }

    // MARK: The ways to the next role

    func integration(here: (any IntegrationHop)?) -> any IntegrationHop {
      // Where the role is not here there is a way to it: `init` made sure.
      here ?? remote ?? NoIntegration()
    }

    func custody(of runtime: ConversationService) -> RuntimeCustody { RuntimeCustody(context, runtime: runtime) }

    /// - Parameter here: where the next role is in this process, too.
    func custody(of speech: SpeechService, runtime here: RuntimeCustody?) -> SpeechCustody? {
      if let here { return SpeechCustody(context, speech: speech, runtime: LocalHopDialer(here)) }
      return runtimePool.map { SpeechCustody(context, speech: speech, runtime: $0.runtime()) }
    }

    func mediaCustody(speech here: SpeechCustody?) -> MediaCustody? {
      if let here { return MediaCustody(context, speech: LocalHopDialer(here)) }
      return speechPool.map { MediaCustody(context, speech: $0.speech()) }
    }

    // MARK: Running

    /// Why no call can be served beyond this process.
    func watch(_ health: HealthState) {
      for (name, pool) in [("speech", speechPool), ("runtime", runtimePool), ("integration", integrationPool)] {
        if let pool { health.addReadiness(name) { pool.trouble } }
      }
    }

    /// Looks for the other roles' processes until the task is cancelled.
    func run() async {
      await withTaskGroup { group in
        for pool in [speechPool, runtimePool, integrationPool] {
          if let pool { group.addTask { await pool.run() } }
        }
        if let remote { group.addTask { await remote.run() } }
        if let security { group.addTask { await security.watch() } }
      }
    }

    /// What other processes dial.
    struct Hops: Sendable {
      fileprivate var servers: [LinkServer] = []
      /// By role.
      var ports: [String: Int] = [:]

      func stop() async { for server in servers { await server.stop() } }
    }

    /// Listens for the roles before those that are here. Nobody has to where all are in this process.
    func listen(_ custody: Custody, integration: (any IntegrationHop)?) async throws(CommandFailure) -> Hops {
      var hops = Hops()
      let cluster = settings.cluster
      for (role, port) in [
        (GatewayRole.speech, cluster.speechPort), (.runtime, cluster.runtimePort),
        (.integration, cluster.integrationPort),
      ] where roles.has(role) && !roles.isAll {
        var answerers = LinkServer.Answerers()
        switch role {
        case .speech: answerers.speech = custody.speech
        case .runtime: answerers.runtime = custody.runtime
        default: answerers.integration = integration
        }
        do {
          let server = try await LinkServer.start(
            host: cluster.listenAddress, port: port, answerers: answerers, state: peers, security: security,
            group: group, logger: logger)
          hops.servers.append(server)
          hops.ports[role.rawValue] = server.port
        } catch {
          await hops.stop()
          throw CommandFailure("\(error) (cluster.listen_address, cluster.\(role.rawValue)_port)")
        }
      }
      return hops
    }

    /// New calls are to go to other processes.
    func drain() { peers.drain() }
  }

  private struct NoIntegration: IntegrationHop {
    func perform(_ request: HookRequest) async -> HookOutcome {
      .failure(
        error: "unknown_service", status: 0, message: "this process has no way to the integration role", durationMs: 0,
        attempts: 0)
    }
  }
#else
  /// This binary has no hops between processes: calls end with theirs.
  struct Survival: Sendable {
    struct Hops: Sendable {
      var ports: [String: Int] { [:] }
      func stop() async {}
    }

    static func open(
      _ settings: Configuration, _ roles: GatewayRoles, shared: SharedCalls, stores: DatabaseStores?,
      load: @escaping @Sendable () -> Double, metrics: VoiceMetrics, tracer: Tracer, group: MultiThreadedEventLoopGroup,
      logger: Logger
    ) throws(CommandFailure) -> Survival? {
      guard roles.isAll, settings.runtime.stateStore == .memory else {
        throw CommandFailure(
          "this binary runs all roles in one process and keeps calls in memory; one that is built with --traits Cluster can do more"
        )
      }
      return nil
    }

    func integration(here: (any IntegrationHop)?) -> (any IntegrationHop)? { here }
    func custody(of runtime: ConversationService) -> RuntimeCustody? { nil }
    func custody(of speech: SpeechService, runtime here: RuntimeCustody?) -> SpeechCustody? { nil }
    func mediaCustody(speech here: SpeechCustody?) -> MediaCustody? { nil }
    func watch(_ health: HealthState) {}
    func run() async {}
    func listen(_ custody: Custody, integration: (any IntegrationHop)?) async throws(CommandFailure) -> Hops { Hops() }
    func drain() {}
  }
#endif
