import Base
import CallLink
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Outbound
import Settings
import Storage
import Telemetry

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The integration role: serves the REST API and the event stream, and asks the customer's backends for the runtime.
///
/// `start` listens; `hooks` works from the beginning to the end of ``stop()``. Safe to use from any thread.
public final class IntegrationService: Sendable {
  /// The runtime's way to the customer's backends.
  public let hooks: any IntegrationHop

  private let configuration: IntegrationConfiguration
  private let api: CallAPI
  private let group: any EventLoopGroup
  private let logger: Logger

  private struct Running {
    var task: Task<Void, Never>?
    var port: Int?
  }
  private let running = NIOLockedValueBox(Running())

  /// - Parameters:
  ///   - outbound: the way to the customer's backends; not shut down here.
  ///   - group: event loops of the server; not shut down here.
  ///   - dialogs: the versions that the API shows and keeps.
  ///   - database: keeps what the API itself has to remember.
  ///   - webhooks: nil: the routes of webhooks are not there.
  public init(
    configuration: IntegrationConfiguration, eventLog: any EventLog, directory: any SessionDirectory,
    commands: any CommandBus, dialogs: any DialogLibrary, numbers: any NumberStore, database: any SQLDatabase,
    webhooks: WebhookDesk? = nil, outbound: OutboundClient, metrics: VoiceMetrics, group: any EventLoopGroup,
    logger: Logger
  ) {
    self.configuration = configuration
    self.group = group
    self.logger = logger
    let access = configuration.access
    hooks = HookClient(
      settings: configuration.settings, outbound: outbound, audit: access.audit,
      redactor: configuration.redactor, clock: configuration.clock, metrics: metrics, tracer: configuration.tracer,
      logger: logger)
    let keys =
      access.jwt.jwksURL.isEmpty
      ? nil : JWTAuthority(access.jwt, fetch: JWTAuthority.fetch(by: outbound), nowMs: access.nowMs, logger: logger)
    api = CallAPI(
      configuration: configuration, eventLog: eventLog, directory: directory, commands: commands, dialogs: dialogs,
      numbers: numbers, database: database, webhooks: webhooks, keys: keys, logger: logger)
  }

  /// Gives the speech API what hears and speaks; until then it answers 503.
  public func connect(_ desk: any SpeechDesk) { api.desk.withLockedValue { $0 = desk } }

  /// The port that the API listens on since ``start()``.
  public var port: Int? { running.withLockedValue { $0.port } }

  /// Listens; returns the bound port.
  /// - Throws: one sentence that names address and port.
  @discardableResult
  public func start() async throws(IntegrationError) -> Int {
    let settings = configuration.settings
    let place = "\(settings.listenAddress):\(settings.apiPort)"
    let outcome: Result<Int, IntegrationError> = await withCheckedContinuation { continuation in
      let waiting = NIOLockedValueBox<CheckedContinuation<Result<Int, IntegrationError>, Never>?>(continuation)
      @Sendable func settle(_ result: Result<Int, IntegrationError>) {
        let first = waiting.withLockedValue { waiting in
          defer { waiting = nil }
          return waiting
        }
        first?.resume(returning: result)
      }
      let application = makeApplication { channel in settle(.success(channel.localAddress?.port ?? settings.apiPort)) }
      let task = Task { [logger] in
        do {
          try await application.run()
        } catch is CancellationError {
        } catch {
          let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
          logger.debug("the API stopped", metadata: ["error": "\(error)"])
          settle(.failure(IntegrationError("the API cannot listen on \(place): \(reason)")))
        }
        settle(.failure(IntegrationError("the API on \(place) stopped before it listened")))
      }
      running.withLockedValue { $0.task = task }
    }
    let port = try outcome.get()
    running.withLockedValue { $0.port = port }
    return port
  }

  /// Refuses new requests with 503 and ends the event streams, waits for the requests that are being answered, then closes
  /// everything. Idempotent.
  public func stop() async {
    let task = running.withLockedValue { running in
      defer { running = Running() }
      return running.task
    }
    await api.stop(limit: .seconds(APILimits.stopSeconds))
    task?.cancel()
    await task?.value
  }

  /// The OpenAPI 3.1 description of what this version serves.
  public var openAPI: Value { api.openAPI }

  private func makeApplication(onRunning: @escaping @Sendable (any Channel) async -> Void) -> some ApplicationProtocol {
    let settings = configuration.settings
    let limits = configuration.limits
    var quiet = Logger(label: "parley.api") { _ in SwiftLogNoOpLogHandler() }
    quiet.logLevel = .critical
    return Application(
      responder: CallbackResponder { [api] (request: Request, context: APIContext) in
        await api.respond(to: request, channel: context.channel)
      },
      server: HTTPServerBuilder { [api, limits] responder in
        APIConnection(
          responder: responder, api: api, limits: limits, table: ConnectionTable(limit: limits.idleConnections))
      },
      configuration: ApplicationConfiguration(
        address: .hostname(settings.listenAddress, port: settings.apiPort), serverName: configuration.product,
        availableConnectionsDelegate: MaximumAvailableConnections(limits.connections)),
      onServerRunning: onRunning,
      eventLoopGroupProvider: .shared(group),
      // The server's own lines say nothing that an operator could act on; requests are counted, errors answered.
      logger: quiet)
  }
}

/// What the server knows of a request besides its text.
struct APIContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// The connection, so that a reader that is stuck can be cut off.
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}
