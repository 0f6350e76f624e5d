/// The same program for ASCII text without groups: every way through it is a bit, and a character moves all of them at once.
/// Most patterns of dialogs are small enough and most transcripts are ASCII.
struct RegexMasks: Sendable {
  private static let found: UInt64 = 1 << 63

  /// By ASCII character: the instructions that accept it.
  private let accepting: [UInt64]
  /// Where a match can begin, by ``Place``.
  private let start: [UInt64]
  /// What follows an instruction that accepted: by ``Place``, then by instruction.
  private let following: [UInt64]
  private let hasAnchors: Bool
  private let stride: Int

  /// What anchors ask about a place in the text.
  private struct Place {
    static let count = 8
    let number: Int
    init(number: Int) { self.number = number }
    init(isStart: Bool, isEnd: Bool, isBoundary: Bool) {
      number = (isStart ? 1 : 0) | (isEnd ? 2 : 0) | (isBoundary ? 4 : 0)
    }
    func holds(_ anchor: RegexAnchor) -> Bool {
      switch anchor {
      case .start: number & 1 != 0
      case .end: number & 2 != 0
      case .wordBoundary: number & 4 != 0
      case .noWordBoundary: number & 4 == 0
      }
    }
  }

  /// What is larger is not worth its preparation.
  private static let programLimit = 256

  /// nil where the program is too large.
  init?(_ program: [RegexInstruction]) {
    guard program.count <= Self.programLimit else { return nil }
    var bits: [Int?] = []
    var count = 0
    var hasAnchors = false
    for instruction in program {
      switch instruction {
      case .set:
        bits.append(count)
        count += 1
      case .assert:
        hasAnchors = true
        bits.append(nil)
      case .split, .jump, .save, .match: bits.append(nil)
      }
    }
    guard count < 63 else { return nil }
    var accepting = [UInt64](repeating: 0, count: 128)
    for (at, instruction) in program.enumerated() {
      guard case .set(let set) = instruction, let bit = bits[at] else { continue }
      var has = [Bool](repeating: false, count: 128)
      for range in set.ranges where range.lowerBound < 128 {
        for value in range.lowerBound...min(range.upperBound, 127) { has[Int(value)] = true }
      }
      // Text is folded to lower case, and either case of it may be in the set.
      for character in 0..<128 {
        let isUpper = (0x41...0x5A).contains(character)
        let lower = isUpper ? character + 32 : character
        var isIn = has[lower]
        if (0x61...0x7A).contains(lower) { isIn = isIn || has[lower - 32] }
        if isIn != set.isNegated { accepting[character] |= 1 << UInt64(bit) }
      }
    }
    let places = hasAnchors ? Place.count : 1
    var start: [UInt64] = []
    var following: [UInt64] = []
    var seen = [Int](repeating: 0, count: program.count)
    var walk = 0
    var open: [Int] = []
    for number in 0..<places {
      let place = Place(number: number)
      func closure(from: Int) -> UInt64 {
        var mask: UInt64 = 0
        walk += 1
        open.append(from)
        while let at = open.popLast() {
          guard seen[at] != walk else { continue }
          seen[at] = walk
          switch program[at] {
          case .set: if let bit = bits[at] { mask |= 1 << UInt64(bit) }
          case .match: mask |= Self.found
          case .jump(let to): open.append(to)
          case .split(let a, let b): open += [a, b]
          case .save: open.append(at + 1)
          case .assert(let anchor): if place.holds(anchor) { open.append(at + 1) }
          }
        }
        return mask
      }
      start.append(closure(from: 0))
      for (at, bit) in bits.enumerated() where bit != nil { following.append(closure(from: at + 1)) }
    }
    self.accepting = accepting
    self.start = start
    self.following = following
    self.hasAnchors = hasAnchors
    stride = count
  }

  /// Whether the pattern occurs anywhere; nil where the text is not ASCII or `steps` ran out.
  func occurs(in text: UnsafeBufferPointer<UInt8>, steps: inout Int) -> Bool? {
    // Where bits are counted one by one, a long pattern costs more for each character.
    guard text.count * 4 < steps else { return nil }
    // Anchors look at what comes next, which must not be half a character.
    if hasAnchors, !text.allSatisfy({ $0 < 0x80 }) { return nil }
    steps -= text.count + 1
    return accepting.withUnsafeBufferPointer { accepting in
      following.withUnsafeBufferPointer { following in
        var place = hasAnchors ? self.place(0, in: text) : 0
        var current = start[place]
        if current & Self.found != 0 { return true }
        for (at, byte) in text.enumerated() {
          guard byte < 0x80 else { return nil }
          var hits = current & accepting[Int(byte)]
          if hasAnchors { place = self.place(at + 1, in: text) }
          current = start[place]
          while hits != 0 {
            current |= following[place * stride + hits.trailingZeroBitCount]
            hits &= hits - 1
          }
          if current & Self.found != 0 { return true }
        }
        return false
      }
    }
  }

  private func place(_ at: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    func isWord(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
    }
    let before = at > 0 && isWord(text[at - 1])
    let after = at < text.count && isWord(text[at])
    return Place(isStart: at == 0, isEnd: at == text.count, isBoundary: before != after).number
  }
}
