import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// One connection of a client: HTTP/1.1, or a WebSocket (RFC 6455) where its first request asks for one and may have it.
struct APIConnection: HTTPChannelHandler {
  struct Value: ServerChildChannelValue {
    let channel: any Channel
    let spoken: EventLoopFuture<SpokenProtocol>
  }

  let responder: HTTPChannelHandler.Responder
  let api: CallAPI
  let limits: ConnectionLimits
  let table: ConnectionTable

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      var decoding = NIOHTTPDecoderLimitConfiguration()
      decoding.maxHeaderFieldSize = APILimits.headerBytes
      decoding.maxHeaderListSize = APILimits.headersBytes
      decoding.maxHeaderFieldCount = APILimits.headers
      let encoder = HTTPResponseEncoder()
      let decoder = ByteToMessageHandler(
        HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: decoding))
      let keeper = ConnectionGuard(limits: limits, table: table)
      let spoken = channel.eventLoop.makePromise(of: SpokenProtocol.self)
      // The guard goes before the decoder does: it must not see the first bytes of another protocol.
      let choice = ProtocolChoice(codec: (encoder, [keeper, decoder]), limits: limits, spoken: spoken) {
        [api] head, channel in
        do {
          return try await api.admit(try Self.request(head), channel: channel)
        } catch {
          return nil
        }
      }
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(encoder)
      try pipeline.addHandler(decoder)
      try pipeline.addHandler(keeper)
      try pipeline.addHandler(choice)
      return Value(channel: channel, spoken: spoken.futureResult)
    }
  }

  func handle(value: Value, logger: Logger) async {
    do {
      switch try await value.spoken.get() {
      case .http(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
      case .socket(let channel, let admission):
        try await channel.executeThenClose { inbound, outbound in
          await api.serve(
            APISocket(messages: inbound, writer: outbound, channel: channel.channel), admission)
        }
      }
    } catch {
      // The client is gone, or said nothing that is HTTP.
      logger.trace("a connection ended", metadata: ["error": "\(error)"])
    }
  }

  private static func request(_ head: HTTPRequestHead) throws -> Request {
    Request(head: try HTTPRequest(head, secure: false, splitCookie: false), body: .init(buffer: ByteBuffer()))
  }
}

/// A WebSocket that may be opened.
struct SocketAdmission: Sendable {
  var request: APIRequest
  var headers: HTTPHeaders
  var visit: AccessTrail.Visit
  var serve: @Sendable (APIRequest, APISocket) async throws -> Void
}
