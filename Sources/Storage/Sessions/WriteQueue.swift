import Base

/// One change of the record that waits to be written.
enum SessionWrite: Sendable {
  case event(SessionEvent)
  /// It may be there already.
  case again(SessionEvent)
  case session(SessionSummary)
}

/// What waits for the database, in order and bounded. Pure.
struct WriteQueue {
  /// Writes that wait; nil where a newer one took the place.
  private var writes: [SessionWrite?] = []
  private var head = 0
  /// Where in `writes` the newest summary of each session stands.
  private var newest: [SessionID: Int] = [:]
  /// How many wait.
  private(set) var count = 0

  mutating func add(_ write: SessionWrite) {
    // Of several summaries of one session only the newest is written. It stands behind the events that it has seen.
    if case .session(let summary) = write,
      let older = newest.updateValue(writes.count, forKey: summary.session)
    {
      writes[older] = nil
      count -= 1
    }
    writes.append(write)
    count += 1
    if writes.count > 2 * count + 1024 { compact() }
  }

  /// What waits now is written as it is: nothing that comes later takes its place.
  mutating func seal() { newest = [:] }

  /// The next ones, in order, at most `limit`.
  mutating func take(_ limit: Int) -> [SessionWrite] {
    var taken: [SessionWrite] = []
    while taken.count < limit, head < writes.count {
      if let write = writes[head] {
        taken.append(write)
        if case .session(let summary) = write, newest[summary.session] == head { newest[summary.session] = nil }
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
    newest = newest.compactMapValues { places[$0] }
  }
}
