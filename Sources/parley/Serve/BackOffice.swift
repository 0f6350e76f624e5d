import Base
import CallLink
import ConversationRuntime
import Dialogs
import FoundationEssentials
import IntegrationGateway
import Logging
import NIOConcurrencyHelpers
import NIOPosix
import Outbound
import Settings
import Storage
import Telemetry

/// The roles behind the voice: runtime, integration and worker, and what they share. Those that are in other processes are nil.
struct BackOffice: Sendable {
  private(set) var runtime: ConversationService?
  private(set) var integration: IntegrationService?
  private var worker: WorkerRole?
  private var hasWorker = false
  private var watch: Task<Void, Never>?
  private var closing: [@Sendable () async -> Void] = []

  /// From right to left, each with its right-hand neighbour at hand.
  static func start(
    _ roles: GatewayRoles, _ settings: Configuration, _ plan: ServePlan, stores: DatabaseStores?, shared: SharedCalls,
    survival: Survival?, metrics: VoiceMetrics, health: HealthState, tracer: Tracer, group: MultiThreadedEventLoopGroup,
    logger: Logger, _ undo: Undo,
    _ listening: inout Listening
  ) async throws -> BackOffice {
    var office = BackOffice()
    guard roles.needsDatabase, let stores else { return office }
    let store = stores.sessions
    let audit = settings.security.auditEnabled ? await openAudit(stores, settings, logger) : nil
    undo.add { await audit?.close() }
    Housekeeping.watch(audit, metrics, health)

    // The one way out to other people's servers.
    let outbound = OutboundClient(settings: settings.integration.outbound, group: group, logger: logger)
    undo.add { await outbound.shutdown() }
    office.closing = [{ await outbound.shutdown() }, { await audit?.close() }]

    // Worker: tells webhooks of events. Its part in the API is made first.
    let worker = WorkerRole(
      settings: settings.integration, database: stores.database, log: store, outbound: outbound,
      jobs: [Housekeeping.retention(stores, settings.storage, logger: logger)], metrics: metrics.registry,
      logger: logger)
    office.worker = worker
    office.hasWorker = roles.has(.worker)

    if roles.has(.integration) {
      let integration = try await startIntegration(
        settings, stores, shared, worker, audit, outbound, metrics, tracer, group, logger, &listening)
      undo.add { await integration.stop() }
      office.integration = integration
    }
    if roles.has(.runtime) {
      let hooks: any IntegrationHop =
        survival?.integration(here: office.integration?.hooks) ?? office.integration?.hooks ?? NoHooks()
      try await office.startRuntime(
        settings, stores, shared, hooks, outbound, metrics, tracer, logger, undo, &listening)
    }
    return office
  }

  // MARK: Integration

  /// Asks the customer's backends, serves the API.
  private static func startIntegration(
    _ settings: Configuration, _ stores: DatabaseStores, _ shared: SharedCalls, _ worker: WorkerRole,
    _ audit: AuditLog?, _ outbound: OutboundClient, _ metrics: VoiceMetrics, _ tracer: Tracer,
    _ group: MultiThreadedEventLoopGroup,
    _ logger: Logger, _ listening: inout Listening
  ) async throws -> IntegrationService {
    let tokens = try apiTokens(settings)
    var access = APIAccess(tokens: tokens.all, rateLimit: settings.security.rateLimit)
    access.store = TokenStore(stores.database)
    access.jwt = settings.security.jwt
    access.audit = audit
    access.trail = audit == nil ? nil : AuditStore(stores.database)
    var configuration = IntegrationConfiguration(settings: settings.integration, access: access)
    configuration.redactor = Redactor(settings.security.redact)
    configuration.tracer = tracer
    configuration.product = "Parley/\(Build.version)"
    let store = stores.sessions
    let integration = IntegrationService(
      configuration: configuration, eventLog: store, directory: store, commands: shared.commands,
      dialogs: stores.dialogs, numbers: stores.numbers, database: stores.database, webhooks: worker.desk,
      outbound: outbound, metrics: metrics, group: group, logger: logger)
    do {
      listening.apiPort = try await integration.start()
    } catch {
      await integration.stop()
      throw error
    }
    listening.token = tokens.made
    return integration
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

  // MARK: Runtime

  /// The dialogs of calls.
  private mutating func startRuntime(
    _ settings: Configuration, _ stores: DatabaseStores, _ shared: SharedCalls, _ hooks: any IntegrationHop,
    _ outbound: OutboundClient, _ metrics: VoiceMetrics, _ tracer: Tracer, _ logger: Logger, _ undo: Undo,
    _ listening: inout Listening
  ) async throws {
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
    listening.dialogs = try await Self.loadDialogs(keeper, settings.runtime.dialogDir).dialogs.map(\.name)

    // Language models: their connections are opened while the rest starts.
    let models =
      llm.url.isEmpty
      ? nil
      : OpenAIModelService(
        settings: llm, outbound: outbound, metrics: RuntimeMetrics(metrics), tracer: tracer, logger: logger)
    Task { await models?.warmUp() }

    var configuration = RuntimeConfiguration(settings.runtime)
    configuration.redactor = Redactor(settings.security.redact)
    let runtime = ConversationService(
      configuration: configuration, catalogs: await keeper.catalogs,
      numbers: stores.numbers, integration: hooks, store: stores.sessions, commands: shared.commands,
      models: models ?? NoModelService(),
      knowledge: Knowledge(stores.documents) { await embeddings?.vector(of: $0) },
      versions: StoredDialogVersions(stores.dialogs), metrics: RuntimeMetrics(metrics),
      tracer: tracer, logger: logger)
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
    self.runtime = runtime
    self.watch = watch
  }

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

  // MARK: Running

  /// The worker's deliveries and jobs, where the role is here.
  func startWork() -> Task<Void, Never> { hasWorker ? worker?.start() ?? Task {} : Task {} }

  func stop() async {
    watch?.cancel()
    await watch?.value
    await integration?.stop()
    for step in closing { await step() }
  }
}

private struct NoHooks: IntegrationHop {
  func perform(_ request: HookRequest) async -> HookOutcome {
    .failure(error: "unknown_service", status: 0, message: "there is no integration role", durationMs: 0, attempts: 0)
  }
}

/// What has to be taken back when a later step of the start fails, last first.
final class Undo: Sendable {
  private let steps = NIOLockedValueBox<[@Sendable () async -> Void]>([])

  func add(_ step: @escaping @Sendable () async -> Void) { steps.withLockedValue { $0.append(step) } }

  func run() async {
    for step in steps.withLockedValue({ $0 }).reversed() { await step() }
  }
}
