import Base
import Settings
import Telemetry

/// What the integration role is told at its start.
public struct IntegrationConfiguration: Sendable {
  /// The `integration` section of the configuration file.
  public var settings: IntegrationSettings
  /// Who may use the API. With no token at all, every request is refused.
  public var access: APIAccess
  /// How often an idle event stream says that it lives; shorter than the idle limits of usual proxies.
  public var keepAliveInterval: Duration = .seconds(15)
  /// Events that a reader of the stream may lag behind before it is cut off.
  public var streamBuffer = 1024
  /// Times and numbers of connections.
  public var limits = ConnectionLimits()
  /// Takes personal data out of what the audit log is told of hooks.
  public var redactor = Redactor([])
  /// Monotonic: what circuit breakers and rate limits of services go by.
  public var clock: @Sendable () -> Instant = Instant.monotonic
  /// Records the attempts at hooks.
  public var tracer = Tracer.disabled
  /// The `Server` header.
  public var product = "Parley"

  public init(settings: IntegrationSettings, access: APIAccess) {
    self.settings = settings
    self.access = access
  }

  /// With tokens that are admins of the tenant `default`.
  public init(settings: IntegrationSettings, tokens: [Secret]) {
    self.init(settings: settings, access: APIAccess(tokens: tokens.map { SecuritySettings.APIToken(token: $0) }))
  }
}

/// Why the integration role could not start: one sentence for a person.
public struct IntegrationError: Error, Sendable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// Limits of the API, enforced at its edge.
enum APILimits {
  /// Bodies of commands are small; the largest text to speak is 4096 characters.
  static let bodyBytes = 64 * 1024
  /// A dialog of a mebibyte, in JSON.
  static let dialogBodyBytes = 2 << 20
  /// Characters of a text whose declaration names no other number.
  static let text = 1024
  /// Bytes and members of an object that a client makes up, and its levels.
  static let objectSize = 32 * 1024
  static let objectDepth = 16
  /// Dialogs that are tried out at once: each may keep a thread busy.
  static let simulations = 2
  /// One header with its name, all of a request's, and how many.
  static let headerBytes = 16 * 1024
  static let headersBytes = 32 * 1024
  static let headers = 100
  /// A message that a WebSocket's client sends, whole or in fragments.
  static let socketMessageBytes = 256 * 1024
  /// Events between the log and the streams: more than one commit ever holds.
  static let hubBuffer = 65_536
  /// What one page of a list may hold, and what it holds when nobody says.
  static let page = 500
  static let defaultPage = 50
  /// Characters of a text to speak: about five minutes.
  static let speechCharacters = 4096
  /// How long a reader may leave one write of its stream unread before it is cut off.
  static let stalledWriteSeconds: Int64 = 30
  /// How long a stop waits for requests that are being answered.
  static let stopSeconds: Int64 = 5
}
