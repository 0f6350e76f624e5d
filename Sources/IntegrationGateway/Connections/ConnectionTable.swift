import NIOConcurrencyHelpers
import NIOCore

/// The connections on which nothing is under way, in the order in which they became idle. Any thread.
final class ConnectionTable: Sendable {
  private struct State {
    var idle: [ObjectIdentifier: (turn: Int, channel: any Channel)] = [:]
    /// Entries whose turn is no longer that of the table are over.
    var order: [(turn: Int, id: ObjectIdentifier)] = []
    var head = 0
    var turn = 0
  }
  private let state = NIOLockedValueBox(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// Notes an idle connection; closes the one that has been idle longest where there are too many.
  func becameIdle(_ channel: any Channel) {
    let id = ObjectIdentifier(channel)
    let surplus: (any Channel)? = state.withLockedValue { state in
      state.turn += 1
      state.idle[id] = (state.turn, channel)
      state.order.append((state.turn, id))
      guard state.idle.count > limit else {
        if state.order.count > 2 * limit + 64 { Self.compact(&state) }
        return nil
      }
      while state.head < state.order.count {
        let (turn, id) = state.order[state.head]
        state.head += 1
        if let entry = state.idle[id], entry.turn == turn {
          state.idle[id] = nil
          if state.head > limit { Self.compact(&state) }
          return entry.channel
        }
      }
      return nil
    }
    surplus?.close(promise: nil)
  }

  /// Something is under way on the connection, or it is gone.
  func leave(_ channel: any Channel) {
    state.withLockedValue { _ = $0.idle.removeValue(forKey: ObjectIdentifier(channel)) }
  }

  private static func compact(_ state: inout State) {
    state.order = state.order[state.head...].filter { state.idle[$0.id]?.turn == $0.turn }
    state.head = 0
  }
}
