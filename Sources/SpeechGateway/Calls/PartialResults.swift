/// When to look at what the caller has said so far, and what of it has been told. One look at a time; a turn that grows long is left
/// alone, because every look costs as much as all that was said.
struct PartialResults {
  /// Eight seconds in samples: by then a caller tells a story, and the phrases of a state are not in it.
  static let longest: Int64 = 128_000

  private var turn = 0
  private var isOpen = false
  private var isLooking = false
  private var start: Int64 = 0
  private var looked: Int64 = 0
  /// The last words that were told of the turn.
  private(set) var told = ""

  /// A turn begins.
  /// - Parameters:
  ///   - start: of its segment.
  ///   - heard: one past the last sample that has been heard.
  mutating func begin(start: Int64, heard: Int64) {
    turn += 1
    isOpen = true
    self.start = start
    looked = heard
    told = ""
  }

  /// A predecessor's turn goes on; see ``begin(start:heard:)``.
  mutating func resume(start: Int64, heard: Int64, told: String) {
    begin(start: start, heard: heard)
    self.told = told
  }

  mutating func end() { isOpen = false }

  /// The turn's number and the beginning of its segment, where it is time for a look.
  mutating func next(at position: Int64, every interval: Int64) -> (turn: Int, start: Int64)? {
    guard isOpen, !isLooking, position - looked >= interval, position - start <= Self.longest else { return nil }
    looked = position
    isLooking = true
    return (turn, start)
  }

  /// A look has ended. Returns whether its turn goes on.
  mutating func finish(_ turn: Int) -> Bool {
    isLooking = false
    return isOpen && turn == self.turn
  }

  /// Whether this has not been told of the turn just now.
  mutating func isNew(_ transcript: String) -> Bool {
    defer { told = transcript }
    return !transcript.isEmpty && transcript != told
  }
}
