/// Finds numbers that name somebody: cards, telephones, social security numbers, and long runs of digits.
///
/// Pieces of digits, written or spoken, with little between them make a run; a run is then read from left to right.
struct NumberFinder {
  let kinds: Set<PersonalData>
  let tokens: [RedactionToken]

  /// One group of digits within a run.
  private struct Piece {
    var digits: [UInt8]
    var tokens: Range<Int>
    var isSpoken: Bool
    /// `+` stands before it.
    var hasPlus: Bool
  }

  private static let gaps = Set(" -.,()/\u{A0}\u{2010}\u{2011}\u{2012}\u{2013}\t".unicodeScalars)
  /// Characters between two groups, as in `) - `.
  private static let gapLength = 3
  /// A digit run of an identifier counts only when it is at least so long.
  private static let leastWithLetters = 9
  private static let leastDigits = 4
  private static let numeric: Set<PersonalData> = [.card, .phone, .ssn, .digits]

  /// All finds in order, with those that are known already.
  func find(avoiding known: [Redactor.Find]) -> [Redactor.Find] {
    guard !kinds.isDisjoint(with: Self.numeric) else { return known }
    var finds: [Redactor.Find] = []
    var left = known[...]
    var at = 0
    while at < tokens.count {
      if let next = left.first, at >= next.tokens.lowerBound {
        finds.append(next)
        at = next.tokens.upperBound
        left.removeFirst()
        continue
      }
      let run = run(from: at, to: left.first?.tokens.lowerBound ?? tokens.count)
      guard let last = run.last else {
        at += 1
        continue
      }
      finds += read(run)
      at = last.tokens.upperBound
    }
    return finds
  }

  // MARK: Runs

  private func run(from start: Int, to limit: Int) -> [Piece] {
    var pieces: [Piece] = []
    var at = start
    var hasPlus = false
    if isPlus(at), at + 1 < limit {
      hasPlus = true
      at += 1
      if tokens[at].isSpace, at + 1 < limit { at += 1 }
    }
    while let piece = piece(at, limit, hasPlus, follows: pieces.last) {
      pieces.append(piece)
      hasPlus = false
      at = piece.tokens.upperBound
      var passed = 0
      while at < limit {
        if tokens[at].isOneOf(Self.gaps), passed < Self.gapLength {
          passed += 1
        } else if isPlus(at), !hasPlus {
          hasPlus = true
        } else if let word = tokens[at].word, SpokenDigits.hesitations.contains(word), passed > 0 {
          passed = 0
        } else {
          break
        }
        at += 1
      }
    }
    return pieces
  }

  private func isPlus(_ at: Int) -> Bool { tokens[at].isOneOf(["+"]) || tokens[at].word == "plus" }

  private func piece(_ at: Int, _ limit: Int, _ hasPlus: Bool, follows before: Piece?) -> Piece? {
    guard at < limit else { return nil }
    let start = hasPlus && at > 0 && before == nil ? plusStart(at) : at
    switch tokens[at].content {
    case .other: return nil
    case .digits(let digits):
      if tokens[at].touchesLetters, digits.count < Self.leastWithLetters { return nil }
      return Piece(digits: digits, tokens: start..<(at + 1), isSpoken: false, hasPlus: hasPlus)
    case .word(let word):
      guard let (digits, end) = spoken(word, at, limit, follows: before) else { return nil }
      return Piece(digits: digits, tokens: start..<end, isSpoken: true, hasPlus: hasPlus)
    }
  }

  /// The sign before the first piece goes with it.
  private func plusStart(_ at: Int) -> Int { tokens[at - 1].isSpace ? at - 2 : at - 1 }

  private func spoken(
    _ word: String, _ at: Int, _ limit: Int, follows before: Piece?
  ) -> (digits: [UInt8], end: Int)? {
    if let digit = SpokenDigits.digit(word) { return ([digit], at + 1) }
    if let teen = SpokenDigits.teens[word] { return ([0x31, 0x30 + teen], at + 1) }
    if let tens = SpokenDigits.tens[word] {
      if let (next, digit) = nextDigit(at, limit), digit != 0x30 { return ([0x30 + tens, digit], next + 1) }
      return ([0x30 + tens, 0x30], at + 1)
    }
    if let count = SpokenDigits.repeats[word], let (next, digit) = nextDigit(at, limit) {
      return ([UInt8](repeating: digit, count: count), next + 1)
    }
    if let count = SpokenDigits.zeros[word], let before, before.isSpoken {
      return ([UInt8](repeating: 0x30, count: count), at + 1)
    }
    return nil
  }

  /// The digit that the next word says, behind one space or hyphen.
  private func nextDigit(_ at: Int, _ limit: Int) -> (Int, UInt8)? {
    let next = at + 2
    guard next < limit, tokens[at + 1].isSpace || tokens[at + 1].isOneOf(["-"]), let word = tokens[next].word else {
      return nil
    }
    return SpokenDigits.digit(word).map { (next, $0) }
  }

  // MARK: Reading a run

  private func read(_ run: [Piece]) -> [Redactor.Find] {
    // Digits from a piece to the end of the run.
    var rest = [Int](repeating: 0, count: run.count + 1)
    for i in run.indices.reversed() { rest[i] = rest[i + 1] + run[i].digits.count }
    var finds: [Redactor.Find] = []
    var at = 0
    var plainStart = 0
    func keepPlain(to end: Int) {
      if kinds.contains(.digits), plainStart < end, rest[plainStart] - rest[end] >= Self.leastDigits {
        finds.append(Redactor.Find(kind: .digits, tokens: span(run, plainStart..<end)))
      }
    }
    while at < run.count {
      if let (kind, end) = number(run, at, rest, isFirst: at == plainStart) {
        keepPlain(to: at)
        finds.append(Redactor.Find(kind: kind, tokens: span(run, at..<end)))
        at = end
        plainStart = end
      } else {
        at += 1
      }
    }
    keepPlain(to: run.count)
    return finds
  }

  private func span(_ run: [Piece], _ pieces: Range<Int>) -> Range<Int> {
    run[pieces.lowerBound].tokens.lowerBound..<run[pieces.upperBound - 1].tokens.upperBound
  }

  /// The number that begins with the piece at `at`, and where it ends.
  /// - Parameter isFirst: whether nothing stands before it that is not taken out already.
  private func number(
    _ run: [Piece], _ at: Int, _ rest: [Int], isFirst: Bool
  ) -> (PersonalData, end: Int)? {
    // Where a number of so many digits ends, for numbers that end with a piece.
    var ends: [Int: Int] = [:]
    var digits: [UInt8] = []
    for i in at..<run.count {
      guard digits.count + run[i].digits.count <= 19 else { break }
      digits += run[i].digits
      ends[digits.count] = i + 1
    }
    if kinds.contains(.card) {
      // The usual lengths first.
      for length in [16, 15, 19, 18, 17, 14, 13] {
        if let end = ends[length], Self.isCard(digits[..<length]) { return (.card, end) }
      }
    }
    let isWhole = isFirst && rest[at] == digits.count
    let sizes = run[at..<min(at + 4, run.count)].map(\.digits.count)
    let isSpoken = run[at].isSpoken
    if kinds.contains(.ssn), Self.isSocialSecurity(digits.prefix(9)) {
      if sizes.starts(with: [3, 2, 4]) { return (.ssn, at + 3) }
      if sizes.first == 9 { return (.ssn, at + 1) }
      if isSpoken, isWhole, digits.count == 9 { return (.ssn, run.count) }
    }
    if kinds.contains(.phone) {
      if run[at].hasPlus, let length = ends.keys.filter({ (8...15).contains($0) }).max(), let end = ends[length] {
        return (.phone, end)
      }
      if let count = northAmerican(digits, sizes, isFree: isSpoken && isWhole) {
        return ends[count].map { (.phone, $0) }
      }
      if isWhole, isLocal(digits, sizes, isSpoken) { return (.phone, run.count) }
    }
    return nil
  }

  /// Ten digits, or eleven with the country code, in the groups that people write (NANP: NXX-NXX-XXXX).
  private func northAmerican(_ digits: [UInt8], _ sizes: [Int], isFree: Bool) -> Int? {
    let length = digits.first == 0x31 ? 11 : 10
    guard digits.count >= length else { return nil }
    let number = digits[(length - 10)..<length]
    guard number[number.startIndex] >= 0x32, number[number.startIndex + 3] >= 0x32 else { return nil }
    if isFree { return digits.count == length ? length : nil }
    let groups: [[Int]] =
      length == 11 ? [[11], [1, 10], [1, 3, 7], [1, 3, 3, 4], [4, 3, 4]] : [[10], [3, 7], [6, 4], [3, 3, 4]]
    return groups.contains { sizes.starts(with: $0) } ? length : nil
  }

  /// A whole run that is a number within a country: with a trunk prefix, or seven digits within a North American area.
  private func isLocal(_ digits: [UInt8], _ sizes: [Int], _ isSpoken: Bool) -> Bool {
    if digits.starts(with: [0x30, 0x30]) { return (10...17).contains(digits.count) && digits[2] != 0x30 }
    if digits.first == 0x30 { return (9...13).contains(digits.count) }
    return digits.count == 7 && digits[0] >= 0x32 && (sizes == [3, 4] || isSpoken)
  }

  /// ISO/IEC 7812-1, annex B.
  private static func isCard(_ digits: ArraySlice<UInt8>) -> Bool {
    var sum = 0
    for (place, digit) in digits.reversed().enumerated() {
      let value = Int(digit - 0x30)
      sum += place % 2 == 0 ? value : value > 4 ? value * 2 - 9 : value * 2
    }
    return sum % 10 == 0 && sum > 0
  }

  /// Numbers that were never given out are none.
  private static func isSocialSecurity(_ digits: ArraySlice<UInt8>) -> Bool {
    guard digits.count == 9 else { return false }
    let text = String(decoding: digits, as: UTF8.self)
    return !["000", "666"].contains(text.prefix(3)) && !text.hasPrefix("9") && text.dropFirst(3).prefix(2) != "00"
      && !text.hasSuffix("0000")
  }
}
