import Base

/// What a timer wakes.
enum SIPTimerKey: Hashable, Sendable {
  case client(UInt64), server(UInt64), call(UInt64), flow(UInt64), referral(UInt64)
}

/// A heap of wake-ups. Nothing is ever removed from the middle: whoever is woken too early puts itself back (lazy re-arm),
/// so a timer that moves later, as nearly all do, costs nothing.
struct SIPTimerQueue<Key: Sendable>: Sendable {
  private var heap: [(at: Instant, key: Key)] = []

  var first: (at: Instant, key: Key)? { heap.first }

  mutating func insert(_ key: Key, at: Instant) {
    heap.append((at, key))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].at < heap[parent].at else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() {
    guard let last = heap.popLast(), !heap.isEmpty else { return }
    heap[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].at < heap[least].at {
        least = child
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
