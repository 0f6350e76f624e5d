import Base
import NIOConcurrencyHelpers

/// The record of sessions in memory: for tests, and for a gateway that keeps nothing. Any thread.
public final class MemoryStore: SessionStore {
  private struct State {
    var events: [SessionEvent] = []
    /// How many events were dropped from the front of `events`.
    var dropped = 0
    /// Event identifiers to their place since the beginning.
    var places: [String: Int] = [:]
    var sessions: [SessionID: SessionSummary] = [:]
    var endedOrder: [SessionID] = []
    /// The number of each session's last event.
    var lastSequences: [SessionID: Int64] = [:]
    var snapshots: [SessionID: SessionSnapshot] = [:]
    var lost = 0
  }
  private let state = NIOLockedValueBox(State())
  private let subscribers = Subscribers()
  private let eventLimit: Int

  /// - Parameter eventLimit: events that are kept; the oldest go first.
  public init(eventLimit: Int = StorageLimits.eventsInMemory) { self.eventLimit = max(1, eventLimit) }

  public func append(_ event: SessionEvent) {
    // Published under the lock, so that every subscriber sees the order of the log.
    state.withLockedValue { state in
      guard state.places[event.eventID] == nil, event.sequence > state.lastSequences[event.session] ?? 0 else {
        state.lost += 1
        return
      }
      state.lastSequences[event.session] = event.sequence
      state.places[event.eventID] = state.dropped + state.events.count
      state.events.append(event)
      // In blocks, because taking from the front moves the rest.
      if state.events.count > eventLimit + 1024 {
        let surplus = state.events.count - eventLimit
        for old in state.events[..<surplus] {
          state.places[old.eventID] = nil
          if state.lastSequences[old.session] == old.sequence { state.lastSequences[old.session] = nil }
        }
        state.events.removeFirst(surplus)
        state.dropped += surplus
      }
      subscribers.publish([event])
    }
  }

  public func events(of session: SessionID, after sequence: Int64, limit: Int) async throws -> [SessionEvent] {
    let events = state.withLockedValue { $0.events }
    return Array(
      events.lazy.filter { $0.session == session && $0.sequence > sequence }.prefix(clamp(limit)))
  }

  public func events(after eventID: String?, limit: Int) async throws -> [SessionEvent] {
    state.withLockedValue { state in
      var start = 0
      if let eventID {
        if let place = state.places[eventID] {
          start = place + 1 - state.dropped
        } else {
          start = state.events.firstIndex { $0.eventID > eventID } ?? state.events.count
        }
      }
      return Array(state.events[start...].prefix(clamp(limit)))
    }
  }

  public func subscribe(bufferLimit: Int) -> AsyncStream<SessionEvent> {
    subscribers.subscribe(bufferLimit: bufferLimit)
  }

  public func flush() async {}

  public func put(_ summary: SessionSummary) {
    state.withLockedValue { state in
      let before = state.sessions.updateValue(summary, forKey: summary.session)
      guard summary.state == .ended, before?.state != .ended else { return }
      state.endedOrder.append(summary.session)
      state.snapshots[summary.session] = nil
      if state.endedOrder.count > StorageLimits.sessionsInMemory {
        state.sessions[state.endedOrder.removeFirst()] = nil
      }
    }
  }

  public func session(_ id: SessionID) async throws -> SessionSummary? { state.withLockedValue { $0.sessions[id] } }

  public func sessions(ended: Bool, limit: Int, cursor: SessionID?) async throws -> [SessionSummary] {
    let sessions = state.withLockedValue { $0.sessions }
    var border: SessionSummary?
    if let cursor {
      guard let found = sessions[cursor] else { throw StorageError(.unknownCursor, "no session \(cursor)") }
      border = found
    }
    return Array(
      sessions.values.filter { ($0.state == .ended) == ended && (border.map($0.isOlder) ?? true) }
        .sorted { $1.isOlder(than: $0) }.prefix(clamp(limit)))
  }

  public func openSessions() async throws -> [SessionSummary] {
    state.withLockedValue { $0.sessions }.values.filter { $0.state != .ended }.sorted { $0.isOlder(than: $1) }
  }

  public func putSnapshot(_ session: SessionID, sequence: Int64, data: [UInt8]) {
    state.withLockedValue { state in
      if data.count > StorageLimits.snapshotBytes {
        state.lost += 1
        return
      }
      // Neither after the end nor in the place of a newer one.
      if state.sessions[session]?.state == .ended || state.snapshots[session]?.sequence ?? 0 > sequence { return }
      state.snapshots[session] = SessionSnapshot(session: session, sequence: sequence, data: data)
    }
  }

  public func snapshot(of session: SessionID) async throws -> SessionSnapshot? {
    state.withLockedValue { $0.snapshots[session] }
  }

  public var lostWrites: Int { state.withLockedValue { $0.lost } }

  /// Ends the subscriptions.
  public func close() { subscribers.close() }

  private func clamp(_ limit: Int) -> Int { min(max(0, limit), StorageLimits.page) }
}

extension SessionSummary {
  /// By start, then by name, so that pages have one order.
  func isOlder(than other: SessionSummary) -> Bool {
    startedAtMs == other.startedAtMs ? session.value < other.session.value : startedAtMs < other.startedAtMs
  }
}
