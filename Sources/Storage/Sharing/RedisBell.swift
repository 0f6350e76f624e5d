import NIOConcurrencyHelpers

/// A bell that processes hear over a channel of Redis. Rings that come while one is under way are one.
public final class RedisBell: ChangeBell {
  private struct State {
    var isRinging = false
    var isDue = false
    var subscriptions: [RedisSubscription] = []
  }

  private let client: RedisClient
  private let channel: String
  private let state = NIOLockedValueBox(State())

  /// - Parameter database: the number of the database in Redis: channels are the same in all of them.
  public init(_ client: RedisClient, database: Int) {
    self.client = client
    channel = "\(RedisStore.prefix)\(database):news"
  }

  public func ring() {
    let isFirst = state.withLockedValue { state in
      state.isDue = true
      defer { state.isRinging = true }
      return !state.isRinging
    }
    if isFirst { Task { await self.pull() } }
  }

  public func listen(_ onRing: @escaping @Sendable () -> Void) {
    let subscription = client.subscribe([channel]) { heard in
      switch heard {
      // After a time without a connection there may be something, too.
      case .ready, .message: onRing()
      case .lost: break
      }
    }
    state.withLockedValue { $0.subscriptions.append(subscription) }
  }

  public func close() async {
    let subscriptions = state.withLockedValue { state in
      defer { state.subscriptions = [] }
      return state.subscriptions
    }
    for subscription in subscriptions { await subscription.close() }
  }

  private func pull() async {
    while state.withLockedValue({ state in
      state.isRinging = state.isDue
      defer { state.isDue = false }
      return state.isDue
    }) {
      // A ring that nobody hears costs the others a second.
      _ = try? await client.send(RedisCommand("PUBLISH", .init(channel), ""))
    }
  }
}
