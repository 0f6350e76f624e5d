/// What waits until a state is safe. States are counted as they are kept.
struct AfterKept {
  private var waiting: [(number: UInt64, act: @Sendable () -> Void)] = []
  private(set) var kept: UInt64 = 0
  private var safe: UInt64 = 0

  /// A state has been kept.
  /// - Returns: its number.
  mutating func keep() -> UInt64 {
    kept += 1
    return kept
  }

  /// Done at once where everything that was kept is safe.
  mutating func add(_ act: @escaping @Sendable () -> Void) {
    if safe >= kept, waiting.isEmpty { act() } else { waiting.append((kept, act)) }
  }

  /// The state of this number is safe, and so are those before it.
  mutating func isSafe(_ number: UInt64) {
    safe = max(safe, number)
    while let first = waiting.first, first.number <= safe {
      waiting.removeFirst()
      first.act()
    }
  }
}
