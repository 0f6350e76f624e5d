import Base
import CallLink
import Logging
import NIOCore

/// The media role: owns the SIP endpoint, the RTP sockets and the legs, and turns a caller's packets into PCM and back.
///
/// `start` opens the sockets; every call that is offered is handed to `speech`, which answers or rejects it. Safe to use from
/// any thread.
public final class MediaGateway: Sendable {
  private let configuration: MediaGatewayConfiguration

  /// - Parameters:
  ///   - speech: who hears and speaks; `open` is called on the call's event loop.
  ///   - group: event loops for SIP and media; calls are spread over them. Not shut down by the gateway.
  public init(
    configuration: MediaGatewayConfiguration, speech: any SpeechHop, group: any EventLoopGroup,
    metrics: MediaMetrics = MediaMetrics(), logger: Logger
  ) {
    self.configuration = configuration
  }

  /// Opens the SIP sockets. Returns when they listen.
  /// - Throws: ``MediaGatewayError`` with a sentence that names the port or address.
  public func start() async throws {}

  /// Where SIP listens since ``start()``, with the ports that the system chose for port 0.
  public var listeningAddresses: [ListeningAddress] { [] }

  /// Calls that are live now, offered ones included.
  public var activeCalls: Int { 0 }

  /// Refuses new calls with 503 from now on, waits for the live ones up to `limit`, and hangs up those that remain with
  /// ``HangupReason/shutdown``. Sockets stay open until ``stop()``.
  public func drain(limit: Duration) async {}

  /// Hangs up whatever is live and closes all sockets. Idempotent.
  public func stop() async {}
}
