/// A dictionary that never grows beyond its limit: what was put in first goes first. Every operation takes constant time on
/// average, because strangers choose the keys and how many there are.
package struct SIPBoundedTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  let limit: Int
  private var values: [Key: (value: Value, serial: UInt64)] = [:]
  /// Keys in the order of their insertion from `head` on; one whose serial is not that of its value has been removed since.
  private var order: [(key: Key, serial: UInt64)] = []
  private var head = 0
  private var nextSerial: UInt64 = 0

  package init(limit: Int) { self.limit = max(limit, 1) }

  package var count: Int { values.count }

  /// Setting the value of a key that is there leaves it in its place. nil removes it.
  package subscript(key: Key) -> Value? {
    get { values[key]?.value }
    set {
      guard let newValue else {
        values[key] = nil
        return
      }
      _ = set(newValue, for: key)
    }
  }

  /// - Returns: what had to go for it.
  package mutating func set(_ value: Value, for key: Key) -> (key: Key, value: Value)? {
    if let known = values[key] {
      values[key] = (value, known.serial)
      return nil
    }
    let evicted = values.count >= limit ? removeFirst() : nil
    values[key] = (value, nextSerial)
    order.append((key, nextSerial))
    nextSerial += 1
    if order.count > 2 * limit + 16 {
      // Whoever removes and adds the same key over and over leaves a trail.
      order = order[head...].filter { values[$0.key]?.serial == $0.serial }
      head = 0
    }
    return evicted
  }

  private mutating func removeFirst() -> (key: Key, value: Value)? {
    while head < order.count {
      let (key, serial) = order[head]
      head += 1
      guard let known = values[key], known.serial == serial else { continue }
      values[key] = nil
      return (key, known.value)
    }
    return nil
  }
}
