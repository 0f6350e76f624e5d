import Base

/// The earliest first; of the same moment in the order in which they were pushed.
struct EventHeap {
  private var items: [(at: Instant, order: Int, body: () -> Void)] = []
  private var order = 0

  mutating func push(_ at: Instant, _ body: @escaping () -> Void) {
    order += 1
    items.append((at, order, body))
    var child = items.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      items.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop(until end: Instant) -> (Instant, () -> Void)? {
    guard let first = items.first, first.at <= end else { return nil }
    items.swapAt(0, items.count - 1)
    items.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && isBefore(child, least) {
        least = child
      }
      if least == parent { return (first.at, first.body) }
      items.swapAt(parent, least)
      parent = least
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool { (items[a].at, items[a].order) < (items[b].at, items[b].order) }
}
