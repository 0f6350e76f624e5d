// The composition: the one place where the roles are put together. Read it from top to bottom: a call walks from the media
// role to the integration role, so the roles are made from right to left, each with its right-hand neighbour at hand.

import Base
import CallCustody
import CallLink
import ConversationRuntime
import FoundationEssentials
import IntegrationGateway
import Logging
import MediaGateway
import NIOPosix
import Settings
import SpeechGateway
import Storage
import Telemetry

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The roles of one process, started.
final class Gateway: Sendable {
  private let health: HealthState
  private let parts: Parts
  private let handoverAfter: Duration
  private let stopRest: @Sendable () async -> Void

  /// For the person at the terminal: where everything listens.
  let announcement: [String]
  /// The same for programs: what `--ready-file` holds.
  let places: Value

  /// The roles that are here; nil: in other processes.
  struct Parts: Sendable {
    var media: MediaGateway?
    var speech: SpeechService?
    /// nil: the sounds of dialogs are files.
    var sounds: ObjectShelf?
    var runtime: ConversationService?
    var custody = Custody()

    /// Calls that this process has a part in; a process with several roles may count one of them more than once.
    var liveCalls: Int {
      if custody.isThere { return custody.held }
      return media?.activeCalls ?? 0
    }
  }

  /// Starts everything, or nothing: what was started before a failure is stopped again.
  /// - Throws: ``CommandFailure`` with one sentence.
  static func start(_ plan: ServePlan, _ roles: GatewayRoles) async throws -> Gateway {
    let settings = plan.configuration
    let logger = Logger(label: "parley")
    let undo = Undo()
    do {
      return try await start(plan, settings, roles, logger, undo)
    } catch {
      await undo.run()
      throw error as? CommandFailure ?? CommandFailure("\(error)")
    }
  }

  private static func start(
    _ plan: ServePlan, _ settings: Configuration, _ roles: GatewayRoles, _ logger: Logger, _ undo: Undo
  ) async throws -> Gateway {
    // Telemetry: metrics and health listen before anything else, so that a start can be watched.
    let metrics = VoiceMetrics()
    let health = HealthState()
    let group = MultiThreadedEventLoopGroup.singleton
    let metricsSettings = settings.observability.metrics
    let telemetry = TelemetryServer(
      host: metricsSettings.listenAddress, port: metricsSettings.port,
      metricsPath: metricsSettings.enabled ? metricsSettings.path : nil, registry: metrics.registry, health: health,
      group: group, logger: logger)
    let metricsPort = try await telemetry.start()
    undo.add { await telemetry.stop() }
    let tracing = Tracing.open(settings.observability.tracing, metrics: metrics, group: group, logger: logger)
    undo.add(tracing.close)

    let deletionCost = try PodDeletionCost.open(settings, roles, plan.environment, group: group, logger: logger)
    if let deletionCost { undo.add(deletionCost.close) }

    // Storage: the record of calls, the versions of dialogs, and the way back from the API to a call.
    try makeFolder(settings.storage.dataDir)
    if let folder = settings.storage.objectsPath { try makeFolder(folder) }
    let shared = try await SharedCalls.open(
      settings.storage, metrics: metrics.registry, health: health, logger: logger)
    undo.add(shared.close)
    var stores: DatabaseStores?
    if roles.needsDatabase || settings.runtime.stateStore == .postgres {
      let opened = try await DatabaseStores.open(settings.storage, bell: shared.bell, logger: logger)
      undo.add(opened.close)
      Housekeeping.watch(opened, health, metrics.registry)
      stores = opened
    }

    // Survival: where calls are kept that outlive this process, and the ways to the other roles.
    let load = LoadBox()
    let survival = try Survival.open(
      settings, roles, shared: shared, stores: stores, load: { load.value }, metrics: metrics,
      tracer: tracing.tracer, group: group, logger: logger)
    survival?.watch(health)
    let searching = Task { await survival?.run() }
    undo.add {
      searching.cancel()
      await searching.value
    }

    // What goes out to other people's servers, and what is told of it.
    var listening = Listening(metricsPort: metricsPort, settings: settings, roles: roles)
    var parts = Parts()
    let back = try await BackOffice.start(
      roles, settings, plan, stores: stores, shared: shared, survival: survival, metrics: metrics,
      health: health, tracer: tracing.tracer, group: group, logger: logger, undo, &listening)
    parts.runtime = back.runtime
    if let survival, let runtime = back.runtime { parts.custody.runtime = survival.custody(of: runtime) }

    // Speech: hears and speaks. Loads the models, so it fails here where one is missing.
    if roles.has(.speech) {
      let sounds = Sounds.open(
        settings.storage, group: group, logger: logger,
        count: { metrics.objectRequests.with($0, $1).add() })
      if let sounds { undo.add(sounds.watch(health)) }
      let speech = try SpeechService(
        configuration: SpeechGatewayConfiguration(
          settings.speech, audioRoot: settings.storage.objectsPath,
          sileroCandidates: SileroWeights.candidates(
            modelDir: settings.speech.modelDir, environment: plan.environment)),
        runtime: back.runtime ?? NoRuntime(), sounds: sounds, metrics: SpeechCounts(metrics: metrics), logger: logger)
      undo.add { speech.shutdown() }
      parts.sounds = sounds
      back.integration?.connect(speech.desk)
      parts.speech = speech
      parts.custody.speech = survival?.custody(of: speech, runtime: parts.custody.runtime)
    }

    // The hops: from here on calls come in from other processes.
    let hops = try await survival?.listen(parts.custody, integration: back.integration?.hooks)
    undo.add { await hops?.stop() }
    listening.hops = hops?.ports ?? [:]

    // Media: SIP and RTP. Last, because from here on calls come in.
    if roles.has(.media) {
      parts.custody.media = survival?.mediaCustody(speech: parts.custody.speech)
      let media = MediaGateway(
        configuration: MediaGatewayConfiguration(settings.media),
        speech: speechHop(parts), group: group, metrics: MediaMetrics(metrics),
        logger: logger)
      try await media.start()
      undo.add { await media.stop() }
      listening.sip = media.listeningAddresses
      parts.media = media
    }
    load.follow(parts, settings)
    if survival != nil {
      metrics.registry.gauge("vg_calls_held", "Calls that this process keeps for others, all roles together.") {
        [parts] in Double(parts.custody.held)
      }
    }
    let succession = Task { [parts] in await parts.custody.succeed(parts.media, health) }
    undo.add {
      succession.cancel()
      await succession.value
    }
    let work = back.startWork()
    let telling = Task { [parts] in await deletionCost?.run(health) { parts.liveCalls } }
    health.started()

    let started = parts
    let database = stores
    return Gateway(
      health: health, parts: parts, listening: listening, handoverAfter: settings.cluster.drainHandoverAfter,
      onDrain: { survival?.drain() },
      stopRest: {
        telling.cancel()
        await telling.value
        succession.cancel()
        await succession.value
        started.speech?.shutdown()
        await started.sounds?.close()
        await hops?.stop()
        searching.cancel()
        await searching.value
        work.cancel()
        await work.value
        await tracing.close()
        await back.stop()
        await shared.close()
        await database?.close()
        await telemetry.stop()
      })
  }

  private let onDrain: @Sendable () -> Void

  private init(
    health: HealthState, parts: Parts, listening: Listening, handoverAfter: Duration,
    onDrain: @escaping @Sendable () -> Void, stopRest: @escaping @Sendable () async -> Void
  ) {
    self.health = health
    self.parts = parts
    self.handoverAfter = handoverAfter
    self.onDrain = onDrain
    self.stopRest = stopRest
    announcement = listening.lines
    places = listening.json
  }

  /// Whom the media role opens calls with.
  private static func speechHop(_ parts: Parts) -> any SpeechHop {
    if let custody = parts.custody.media { return custody }
    if let speech = parts.speech { return speech }
    return NoSpeech()
  }

  // MARK: Stopping

  /// Refuses new calls from now on. Live ones may end by themselves for a while, are then handed to other processes where there
  /// are any, and are hung up when `limit` has passed.
  func drain(limit: Duration) async {
    health.draining()
    onDrain()
    parts.custody.drain()
    if parts.custody.isThere {
      let start = Instant.monotonic()
      parts.media?.refuseNewCalls()
      await parts.custody.waitUntilEmpty(limit: min(limit, handoverAfter))
      await parts.custody.handOver(parts.media, limit: limit - (Instant.monotonic() - start))
      await parts.media?.drain(limit: max(.zero, limit - (Instant.monotonic() - start)))
    } else {
      await parts.media?.drain(limit: limit)
    }
    parts.runtime?.drain()
  }

  /// Stops from left to right: no packet finds a role that is gone, and the record is closed last.
  func stop() async {
    await parts.media?.stop()
    parts.runtime?.endAll()
    await parts.runtime?.waitUntilIdle(limit: .seconds(2))
    await stopRest()
  }

  private static func makeFolder(_ path: String) throws(CommandFailure) {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
    } catch {
      throw CommandFailure("the folder \(path) cannot be made; set storage.data_dir to one that can")
    }
  }
}

/// Where everything listens, for people and for programs.
struct Listening: Sendable {
  struct Token: Sendable {
    var text: String
    var file: String
    var isNew: Bool
  }
  var metricsPort: Int
  var settings: Configuration
  var roles: GatewayRoles
  var sip: [ListeningAddress] = []
  /// nil: the API is in another process.
  var apiPort: Int?
  /// The token that the gateway made for itself; nil where tokens are configured.
  var token: Token?
  var dialogs: [String] = []
  /// Where the roles before those that are here find them.
  var hops: [String: Int] = [:]

  init(metricsPort: Int, settings: Configuration, roles: GatewayRoles) {
    self.metricsPort = metricsPort
    self.settings = settings
    self.roles = roles
  }

  var lines: [String] {
    let metrics = settings.observability.metrics
    let names = dialogs.isEmpty ? "none yet: every call is refused" : dialogs.joined(separator: ", ")
    var lines = roles.isAll ? [] : ["roles: \(roles.names.joined(separator: ", "))"]
    if roles.has(.runtime) { lines.append("dialogs: \(names)") }
    lines += sip.map { "SIP      \($0)" }
    lines += hops.sorted { $0.key < $1.key }.map { "hop      \($0) on \(settings.cluster.listenAddress):\($1)" }
    if let apiPort {
      lines.append("API      http://\(reachable(settings.integration.listenAddress)):\(apiPort)/v1/calls")
    }
    lines.append("metrics  http://\(reachable(metrics.listenAddress)):\(metricsPort)\(metrics.path)")
    if let token {
      // Shown once, at the start that made it; afterwards only its place.
      lines.append(token.isNew ? "API token \(token.text) (kept in \(token.file))" : "API token in \(token.file)")
    }
    return lines
  }

  var json: Value {
    var members: [String: Value] = [
      "pid": .int(Int64(getpid())), "metrics_port": .int(Int64(metricsPort)),
      "roles": .list(roles.names.map { .string($0) }),
      "dialogs": .list(dialogs.map { .string($0) }), "data_dir": .string(settings.storage.dataDir),
      "sip": .list(
        sip.map {
          ["transport": .string($0.transport.rawValue), "host": .string($0.host), "port": .int(Int64($0.port))]
        }),
    ]
    if let first = sip.first { members["sip_port"] = .int(Int64(first.port)) }
    if roles.has(.media) { members["rtp_ports"] = .string(settings.media.ownRTPPorts.description) }
    if let apiPort { members["api_port"] = .int(Int64(apiPort)) }
    if !hops.isEmpty { members["hop_ports"] = .map(hops.mapValues { .int(Int64($0)) }) }
    if let token { members["api_token_file"] = .string(token.file) }
    return .map(members)
  }

  private func reachable(_ host: String) -> String { host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host }
}
