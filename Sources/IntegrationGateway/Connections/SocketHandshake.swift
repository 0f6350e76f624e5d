import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1

/// What is particular about the request that opens a WebSocket.
enum SocketHandshake {
  /// The subprotocol that the gateway speaks.
  static let name = "parley"
  /// A browser cannot set headers of a WebSocket: its token comes as a subprotocol with this before it. A query parameter
  /// would stand in the logs of every proxy on the way.
  static let tokenPrefix = "bearer."

  /// The subprotocols that the client offers (RFC 6455 section 11.3.4).
  static func protocols(_ headers: HTTPFields) -> [String] {
    headers[values: .secWebSocketProtocol].flatMap { $0.split(separator: ",") }.map { text in
      String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
  }

  static func token(in protocols: [String]) -> String? {
    protocols.first { $0.hasPrefix(tokenPrefix) }.map { String($0.dropFirst(tokenPrefix.count)) }
  }

  /// The subprotocol that was agreed on. The one with the token is never sent back.
  static func answer(to protocols: [String]) -> HTTPHeaders {
    protocols.contains(name) ? ["Sec-WebSocket-Protocol": name] : [:]
  }

  /// Programs send no `Origin`; a page may come from the gateway itself.
  static func isOriginAllowed(_ origin: String?, host: String?) -> Bool {
    guard let origin else { return true }
    guard let host, let separator = origin.firstRange(of: "://") else { return false }
    return origin[separator.upperBound...].lowercased() == host.lowercased()
  }
}

/// The WebSockets that are open now.
final class OpenSockets: Sendable {
  private struct State {
    var open: [ObjectIdentifier: any Channel] = [:]
    var isStopping = false
  }
  private let state = NIOLockedValueBox(State())

  func enter(_ channel: any Channel, limit: Int) -> Bool {
    state.withLockedValue { state in
      if state.isStopping || state.open.count >= limit { return false }
      state.open[ObjectIdentifier(channel)] = channel
      return true
    }
  }

  func leave(_ channel: any Channel) {
    state.withLockedValue { _ = $0.open.removeValue(forKey: ObjectIdentifier(channel)) }
  }

  /// Says goodbye to all, and lets no more begin.
  func stop() {
    let open = state.withLockedValue { state in
      state.isStopping = true
      return Array(state.open.values)
    }
    for channel in open { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
  }
}
