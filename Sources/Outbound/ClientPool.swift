import AsyncHTTPClient
import Base
import NIOConcurrencyHelpers
import NIOCore
import NIOSSL

/// One `HTTPClient` per server, address and identity, because only a client of its own can be told where a name is to be looked
/// for. Those that have not been used for the longest time are closed. Safe to use from any thread.
final class ClientPool: Sendable {
  struct Key: Hashable, Sendable {
    /// Empty for an address: its connections need no name.
    var host: String
    var address: IPAddress
    /// Of the identity's files; 0: none.
    var identityVersion: Int
  }

  /// Clients without open connections cost a few kilobytes.
  static let limit = 512
  /// Connections to one server at once; more requests wait for one within their time.
  static let connectionsPerHost = 256
  /// How long an idle connection is kept for the next request: longer than the pause between two calls.
  static let idleSeconds: Int64 = 300
  /// A server that does not accept within this is tried under its next address.
  static let connectSeconds: Int64 = 3

  private struct Slot {
    var client: HTTPClient
    var users = 0
    var lastUse: UInt64 = 0
  }

  private struct State {
    var slots: [Key: Slot] = [:]
    var uses: UInt64 = 0
    var isClosed = false
  }

  private let group: any EventLoopGroup
  private let state = NIOLockedValueBox(State())

  init(group: any EventLoopGroup) { self.group = group }

  deinit {
    // The library insists that its clients are closed.
    for slot in state.withLockedValue({ $0.slots }).values { Task { await Self.close(slot.client) } }
  }

  /// Holds a client open until nobody reads its answer any more.
  final class Lease: Sendable {
    let client: HTTPClient
    private let key: Key
    private let pool: ClientPool

    fileprivate init(_ client: HTTPClient, _ key: Key, _ pool: ClientPool) {
      self.client = client
      self.key = key
      self.pool = pool
    }

    deinit { pool.giveBack(key) }
  }

  func lease(_ key: Key, tls: TLSConfiguration?) throws(OutboundError) -> Lease {
    let (client, old): (HTTPClient?, HTTPClient?) = state.withLockedValue { state in
      guard !state.isClosed else { return (nil, nil) }
      var old: HTTPClient?
      if state.slots[key] == nil {
        if state.slots.count >= Self.limit {
          let idle = state.slots.filter { $0.value.users == 0 }.min { $0.value.lastUse < $1.value.lastUse }
          guard let idle else { return (nil, nil) }
          state.slots[idle.key] = nil
          old = idle.value.client
        }
        state.slots[key] = Slot(client: make(key, tls))
      }
      state.uses += 1
      state.slots[key]?.users += 1
      state.slots[key]?.lastUse = state.uses
      return (state.slots[key]?.client, old)
    }
    if let old { Task { await Self.close(old) } }
    guard let client else {
      throw OutboundError(.failed, "no more than \(Self.limit) servers can be asked at once, and none after the stop")
    }
    return Lease(client, key, self)
  }

  private func giveBack(_ key: Key) { state.withLockedValue { $0.slots[key]?.users -= 1 } }

  /// Closes all connections; requests that are under way fail. Later ones are refused.
  func close() async {
    let clients = state.withLockedValue { state in
      defer { state.slots = [:] }
      state.isClosed = true
      return state.slots.values.map(\.client)
    }
    await withTaskGroup { group in
      for client in clients { group.addTask { await Self.close(client) } }
    }
  }

  /// The library reports only that a client was closed before, or requests that it broke off.
  private static func close(_ client: HTTPClient) async { try? await client.shutdown() }

  private func make(_ key: Key, _ tls: TLSConfiguration?) -> HTTPClient {
    var configuration = HTTPClient.Configuration()
    if !key.host.isEmpty { configuration.dnsOverride = [key.host: key.address.description] }
    configuration.tlsConfiguration = tls
    // Every hop has to pass the guard, so it is followed where that can be asked, or not at all.
    configuration.redirectConfiguration = .disallow
    configuration.timeout = .init(connect: .seconds(Self.connectSeconds))
    configuration.connectionPool.idleTimeout = .seconds(Self.idleSeconds)
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Self.connectionsPerHost
    // Attempts are counted and spaced by who asks.
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.httpVersion = .http1Only
    return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: configuration)
  }
}

/// The body of an answer, which holds its client open while somebody reads.
struct LeasedBody: AsyncSequence, Sendable {
  typealias Element = ByteBuffer
  let body: HTTPClientResponse.Body
  let lease: ClientPool.Lease

  struct AsyncIterator: AsyncIteratorProtocol {
    var base: HTTPClientResponse.Body.AsyncIterator
    let lease: ClientPool.Lease
    mutating func next() async throws -> ByteBuffer? { try await base.next() }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: body.makeAsyncIterator(), lease: lease) }
}
