import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Outbound

extension JWTAuthority {
  /// Fetches the keys of a provider.
  static func fetch(by client: OutboundClient) -> @Sendable (String) async throws -> [UInt8] {
    { address in
      let response = try await client.execute(HTTPClientRequest(url: address), timeout: .seconds(5))
      guard response.status == .ok else { throw IntegrationError("it answered \(response.status.code)") }
      return Array(try await response.body.collect(upTo: documentBytes).readableBytesView)
    }
  }
}
