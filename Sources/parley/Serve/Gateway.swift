// The composition: the one place where the roles are put together. Read it from top to bottom: a call walks from the media
// role to the integration role, so the roles are made from right to left, each with its right-hand neighbour at hand.

import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import IntegrationGateway
import Logging
import MediaGateway
import NIOConcurrencyHelpers
import NIOPosix
import Outbound
import Settings
import SpeechGateway
import Storage
import Telemetry

/// All roles in one process, started.
final class Gateway: Sendable {
  private let health: HealthState
  private let telemetry: TelemetryServer
  private let closeStore: @Sendable () async -> Void
  private let integration: IntegrationService
  private let runtime: ConversationService
  /// Keeps the dialogs in step with their folder and the store.
  private let watch: Task<Void, Never>
  private let speech: SpeechService
  private let media: MediaGateway
  private let logger: Logger

  /// For the person at the terminal: where everything listens.
  let announcement: [String]
  /// The same for programs: what `--ready-file` holds.
  let places: Value

  /// Starts everything, or nothing: what was started before a failure is stopped again.
  /// - Throws: ``CommandFailure`` with one sentence.
  static func start(_ plan: ServePlan) async throws -> Gateway {
    let settings = plan.configuration
    let logger = Logger(label: "parley")
    let undo = Undo()
    do {
      return try await start(plan, settings, logger, undo)
    } catch {
      await undo.run()
      throw error as? CommandFailure ?? CommandFailure("\(error)")
    }
  }

  private static func start(
    _ plan: ServePlan, _ settings: Configuration, _ logger: Logger, _ undo: Undo
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

    // Storage: the record of calls, the versions of dialogs, and the way back from the API to a call.
    try makeFolder(settings.storage.dataDir)
    try makeFolder(settings.storage.objectsPath)
    let shared = try await SharedCalls.open(settings.storage, metrics: metrics.registry, logger: logger)
    undo.add(shared.close)
    let stores = try await DatabaseStores.open(settings.storage, bell: shared.bell, logger: logger)
    undo.add(stores.close)
    Housekeeping.watch(stores, health, metrics.registry)
    let store = stores.sessions
    let commands = shared.commands
    let audit = settings.security.auditEnabled ? await openAudit(stores, settings, logger) : nil
    undo.add { await audit?.close() }

    // The one way out to other people's servers.
    let outbound = OutboundClient(settings: settings.integration.outbound, group: group, logger: logger)
    undo.add { await outbound.shutdown() }

    // Documents: searched by words, and by meaning where there is a model for it.
    let llm = settings.runtime.llm
    let embeddings =
      llm.embeddingsURL.isEmpty ? nil : EmbeddingClient(settings: llm, outbound: outbound, logger: logger)
    let librarian = KnowledgeKeeper(
      folder: settings.runtime.knowledgePath, store: stores.documents, embedder: embeddings, logger: logger)

    // Dialogs: without one, no call can be answered, and a mistake in one is the likeliest thing to be wrong.
    let serving = NIOLockedValueBox<ConversationService?>(nil)
    let keeper = CatalogKeeper(
      folder: settings.runtime.dialogDir, library: stores.dialogs, metrics: CatalogMetrics(metrics), logger: logger,
      documents: { await librarian.names },
      onChange: { catalogs in serving.withLockedValue { $0 }?.replaceCatalogs(catalogs) })
    let catalog = try await loadDialogs(keeper, settings.runtime.dialogDir)

    // Worker: tells webhooks of events. Its part in the API is made first.
    let worker = WorkerRole(
      settings: settings.integration, database: stores.database, log: store, outbound: outbound,
      jobs: [Housekeeping.retention(stores, settings.storage, logger: logger)], metrics: metrics.registry,
      logger: logger)

    // Integration: asks the customer's backends, serves the API.
    let tokens = try apiTokens(settings)
    var access = APIAccess(tokens: tokens.all, rateLimit: settings.security.rateLimit)
    access.store = TokenStore(stores.database)
    access.jwt = settings.security.jwt
    access.audit = audit
    access.trail = audit == nil ? nil : AuditStore(stores.database)
    var integrationConfiguration = IntegrationConfiguration(settings: settings.integration, access: access)
    integrationConfiguration.redactor = Redactor(settings.security.redact)
    integrationConfiguration.product = "Parley/\(Build.version)"
    let integration = IntegrationService(
      configuration: integrationConfiguration, eventLog: store, directory: store, commands: commands,
      dialogs: stores.dialogs, numbers: stores.numbers, database: stores.database, webhooks: worker.desk,
      outbound: outbound, metrics: metrics, group: group, logger: logger)
    undo.add { await integration.stop() }
    let apiPort = try await integration.start()

    // Language models: their connections are opened while the rest starts.
    let models =
      settings.runtime.llm.url.isEmpty
      ? nil
      : OpenAIModelService(
        settings: settings.runtime.llm, outbound: outbound, metrics: RuntimeMetrics(metrics), logger: logger)
    Task { await models?.warmUp() }

    // Runtime: the dialogs of calls.
    var runtimeConfiguration = RuntimeConfiguration(settings.runtime)
    runtimeConfiguration.redactor = Redactor(settings.security.redact)
    let runtime = ConversationService(
      configuration: runtimeConfiguration, catalogs: await keeper.catalogs,
      numbers: stores.numbers, integration: integration.hooks, store: store, commands: commands,
      models: models ?? NoModelService(),
      knowledge: Knowledge(stores.documents) { await embeddings?.vector(of: $0) }, metrics: RuntimeMetrics(metrics),
      logger: logger)
    serving.withLockedValue { $0 = runtime }
    let watch = Task {
      let reloads = ReloadSignals()
      async let documents: Void = librarian.run { await keeper.storeChanged() }
      await keeper.run(reloads: reloads.signals)
      await documents
      withExtendedLifetime(reloads) {}
    }
    undo.add {
      watch.cancel()
      await watch.value
    }

    // Speech: hears and speaks. Loads the models, so it fails here where one is missing.
    let speech = try SpeechService(
      configuration: SpeechGatewayConfiguration(
        settings.speech, audioRoot: settings.storage.objectsPath,
        sileroCandidates: SileroWeights.candidates(
          modelDir: settings.speech.modelDir, environment: plan.environment)),
      runtime: runtime, metrics: SpeechCounts(metrics: metrics), logger: logger)
    undo.add { speech.shutdown() }
    integration.connect(speech.desk)

    // Media: SIP and RTP. Last, because from here on calls come in.
    let media = MediaGateway(
      configuration: MediaGatewayConfiguration(settings.media), speech: speech, group: group,
      metrics: MediaMetrics(metrics), logger: logger)
    try await media.start()
    undo.add { await media.stop() }
    let work = worker.start()
    health.started()

    return Gateway(
      health: health, telemetry: telemetry,
      closeStore: {
        work.cancel()
        await work.value
        await outbound.shutdown()
        await audit?.close()
        await shared.close()
        await stores.close()
      }, integration: integration,
      runtime: runtime, watch: watch, speech: speech, media: media, logger: logger,
      listening: Listening(
        sip: media.listeningAddresses, apiPort: apiPort, metricsPort: metricsPort, token: tokens.made,
        dialogs: catalog.dialogs.map(\.name), settings: settings))
  }

  private init(
    health: HealthState, telemetry: TelemetryServer, closeStore: @escaping @Sendable () async -> Void,
    integration: IntegrationService, runtime: ConversationService, watch: Task<Void, Never>,
    speech: SpeechService, media: MediaGateway, logger: Logger, listening: Listening
  ) {
    self.health = health
    self.telemetry = telemetry
    self.closeStore = closeStore
    self.integration = integration
    self.runtime = runtime
    self.watch = watch
    self.speech = speech
    self.media = media
    self.logger = logger
    announcement = listening.lines
    places = listening.json
  }

  // MARK: Stopping

  /// Refuses new calls from now on and waits for the live ones, at most `limit`; then hangs up those that remain.
  func drain(limit: Duration) async {
    health.draining()
    await media.drain(limit: limit)
    runtime.drain()
  }

  /// Stops from left to right: no packet finds a role that is gone, and the record is closed last.
  func stop() async {
    await media.stop()
    watch.cancel()
    await watch.value
    runtime.endAll()
    await runtime.waitUntilIdle(limit: .seconds(2))
    speech.shutdown()
    await integration.stop()
    await closeStore()
    await telemetry.stop()
  }

  // MARK: Pieces

  /// A dialog with mistakes is refused and explained while the others serve; a folder whose files are all refused, with
  /// nothing in the store in their place, is an error. An empty folder waits for the API.
  private static func loadDialogs(_ keeper: CatalogKeeper, _ folder: String) async throws -> DialogCatalog {
    let catalog: DialogCatalog
    do {
      catalog = try await keeper.start()
    } catch {
      throw CommandFailure("the dialogs cannot be loaded: \(error) (runtime.dialog_dir)")
    }
    if catalog.dialogs.isEmpty, !catalog.files.isEmpty {
      throw CommandFailure("no dialog in \(folder) can serve (runtime.dialog_dir); 'parley dialog check' explains why")
    }
    return catalog
  }

  private static func makeFolder(_ path: String) throws(CommandFailure) {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
    } catch {
      throw CommandFailure("the folder \(path) cannot be made; set storage.data_dir to one that can")
    }
  }

  /// The audit log; its first line is what the gateway starts with.
  private static func openAudit(_ stores: DatabaseStores, _ settings: Configuration, _ logger: Logger) async -> AuditLog
  {
    let audit = AuditLog(
      stores.database, headFile: settings.storage.auditHeadFile, now: WallClock.nowMilliseconds, logger: logger)
    await audit.start()
    audit.record(
      actor: "gateway", action: "configuration", object: "start",
      details: [
        "version": .string(Build.version),
        "sha256": .string(SHA256.hex(JSON.encode(ConfigurationText.value(settings)))),
      ])
    return audit
  }

  /// The configured tokens, or the one that the gateway made for itself.
  private static func apiTokens(
    _ settings: Configuration
  ) throws(CommandFailure) -> (all: [SecuritySettings.APIToken], made: Listening.Token?) {
    if !settings.security.apiTokens.isEmpty { return (settings.security.apiTokens, nil) }
    let own = try APIToken.readOrMake(dataDir: settings.storage.dataDir)
    var token = SecuritySettings.APIToken(token: Secret(own.token))
    token.name = "gateway"
    return ([token], Listening.Token(text: own.token, file: own.file, isNew: own.isNew))
  }
}

/// Where everything listens, for people and for programs.
struct Listening: Sendable {
  struct Token: Sendable {
    var text: String
    var file: String
    var isNew: Bool
  }
  var sip: [ListeningAddress]
  var apiPort: Int
  var metricsPort: Int
  /// The token that the gateway made for itself; nil where tokens are configured.
  var token: Token?
  var dialogs: [String]
  var settings: Configuration

  var lines: [String] {
    let api = settings.integration.listenAddress, metrics = settings.observability.metrics
    let names = dialogs.isEmpty ? "none yet: every call is refused" : dialogs.joined(separator: ", ")
    var lines = ["dialogs: \(names)"]
    lines += sip.map { "SIP      \($0)" }
    lines.append("API      http://\(reachable(api)):\(apiPort)/v1/calls")
    lines.append("metrics  http://\(reachable(metrics.listenAddress)):\(metricsPort)\(metrics.path)")
    if let token {
      // Shown once, at the start that made it; afterwards only its place.
      lines.append(token.isNew ? "API token \(token.text) (kept in \(token.file))" : "API token in \(token.file)")
    }
    return lines
  }

  var json: Value {
    var members: [String: Value] = [
      "api_port": .int(Int64(apiPort)), "metrics_port": .int(Int64(metricsPort)),
      "dialogs": .list(dialogs.map { .string($0) }), "data_dir": .string(settings.storage.dataDir),
      "sip": .list(
        sip.map {
          ["transport": .string($0.transport.rawValue), "host": .string($0.host), "port": .int(Int64($0.port))]
        }),
    ]
    if let first = sip.first { members["sip_port"] = .int(Int64(first.port)) }
    if let token { members["api_token_file"] = .string(token.file) }
    return .map(members)
  }

  private func reachable(_ host: String) -> String { host == "0.0.0.0" || host == "::" ? "127.0.0.1" : host }
}

/// What has to be taken back when a later step of the start fails, last first.
private final class Undo: Sendable {
  private let steps = NIOLockedValueBox<[@Sendable () async -> Void]>([])

  func add(_ step: @escaping @Sendable () async -> Void) { steps.withLockedValue { $0.append(step) } }

  func run() async {
    for step in steps.withLockedValue({ $0 }).reversed() { await step() }
  }
}
