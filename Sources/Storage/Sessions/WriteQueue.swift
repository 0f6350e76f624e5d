import Base

/// One change of the record that waits to be written.
enum SessionWrite: Sendable {
  case event(SessionEvent)
  case session(SessionSummary)
  case snapshot(SessionSnapshot)
}

/// What waits for the database, in order and bounded. Pure.
struct WriteQueue {
  /// What the newest of several waiting writes replaces.
  private enum Slot: Hashable {
    case session(SessionID)
    case snapshot(SessionID)
  }

  /// Writes that wait; nil where a newer one took the place.
  private var writes: [SessionWrite?] = []
  private var head = 0
  /// Where in `writes` the newest of each stands.
  private var slots: [Slot: Int] = [:]
  /// How many wait.
  private(set) var count = 0

  mutating func add(_ write: SessionWrite) {
    switch write {
    case .session(let summary): replaceOlder(.session(summary.session))
    case .snapshot(let snapshot):
      if let older = slots[.snapshot(snapshot.session)], case .snapshot(let waiting)? = writes[older],
        waiting.sequence > snapshot.sequence
      {
        return
      }
      replaceOlder(.snapshot(snapshot.session))
    case .event: break
    }
    writes.append(write)
    count += 1
    if writes.count > 2 * count + 1024 { compact() }
  }

  /// What waits now is written as it is: nothing that comes later takes its place.
  mutating func seal() { slots = [:] }

  /// The next ones, in order, at most `limit`.
  mutating func take(_ limit: Int) -> [SessionWrite] {
    var taken: [SessionWrite] = []
    while taken.count < limit, head < writes.count {
      if let write = writes[head] {
        taken.append(write)
        if let slot = Self.slot(write), slots[slot] == head { slots[slot] = nil }
      }
      writes[head] = nil
      head += 1
    }
    count -= taken.count
    if head == writes.count {
      writes.removeAll(keepingCapacity: writes.count <= 4096)
      head = 0
    }
    return taken
  }

  /// Of several states of one thing only the newest is written. It stands behind the events that it has seen.
  private mutating func replaceOlder(_ slot: Slot) {
    if let older = slots.updateValue(writes.count, forKey: slot) {
      writes[older] = nil
      count -= 1
    }
  }

  private static func slot(_ write: SessionWrite) -> Slot? {
    switch write {
    case .event: nil
    case .session(let summary): .session(summary.session)
    case .snapshot(let snapshot): .snapshot(snapshot.session)
    }
  }

  /// Closes the gaps, so that what was replaced takes no room.
  private mutating func compact() {
    var kept: [SessionWrite?] = []
    var places: [Int: Int] = [:]
    for place in head..<writes.count where writes[place] != nil {
      places[place] = kept.count
      kept.append(writes[place])
    }
    writes = kept
    head = 0
    slots = slots.compactMapValues { places[$0] }
  }
}
