/// Finds mail addresses: `ann.lee@example.com`, and `ann dot lee at example dot com`.
enum MailFinder {
  private static let localMarks = Set("._%+-'".unicodeScalars)
  private static let domainMarks = Set(".-".unicodeScalars)
  private static let links: Set = ["dot", "point", "underscore", "dash", "hyphen", "minus", "plus"]
  private static let dots: Set = ["dot", "point"]
  /// Words of a domain before its first dot, as in `at g mail dot com`.
  private static let labelWords = 3

  static func find(_ tokens: [RedactionToken]) -> [Redactor.Find] {
    var finds: [Redactor.Find] = []
    var at = 0
    while at < tokens.count {
      let free = finds.last?.tokens.upperBound ?? 0
      if let found = tokens[at].isOneOf(["@"]) ? written(tokens, at, free) : spoken(tokens, at, free) {
        finds.append(Redactor.Find(kind: .email, tokens: found))
        at = found.upperBound
      } else {
        at += 1
      }
    }
    return finds
  }

  /// Around the sign at `at`, in what lies behind `free`.
  private static func written(_ tokens: [RedactionToken], _ at: Int, _ free: Int) -> Range<Int>? {
    var start = at
    while start > free, isPart(tokens[start - 1], localMarks) { start -= 1 }
    var end = at + 1
    while end < tokens.count, isPart(tokens[end], domainMarks) { end += 1 }
    // A full stop that ends the sentence is no part of the address.
    while end > at + 1, tokens[end - 1].isOneOf(domainMarks) { end -= 1 }
    let hasDot = tokens[(at + 1)..<end].contains { $0.isOneOf(["."]) }
    return start < at && hasDot ? start..<end : nil
  }

  private static func isPart(_ token: RedactionToken, _ marks: Set<Unicode.Scalar>) -> Bool {
    if case .other = token.content { token.isOneOf(marks) } else { true }
  }

  /// Around the word `at` at `at`.
  private static func spoken(_ tokens: [RedactionToken], _ at: Int, _ free: Int) -> Range<Int>? {
    guard tokens[at].word == "at" else { return nil }
    // The domain first: it is what tells an address from a place.
    var end = at
    var labels = 0
    while labels < labelWords, let next = part(tokens, after: end) {
      end = next
      labels += 1
      if let dot = dot(tokens, after: end), part(tokens, after: dot) != nil {
        var last = end
        while let dot = self.dot(tokens, after: last), let next = part(tokens, after: dot) { last = next }
        return local(tokens, at, free).map { $0..<(last + 1) }
      }
    }
    return nil
  }

  /// Where the words before `at` that belong to the address begin; nil where there is none.
  private static func local(_ tokens: [RedactionToken], _ at: Int, _ free: Int) -> Int? {
    guard var start = part(tokens, before: at, free) else { return nil }
    while let before = part(tokens, before: start, free) {
      if let word = tokens[before].word, links.contains(word), let name = part(tokens, before: before, free) {
        start = name
      } else if isSpelled(tokens[before]), isSpelled(tokens[start]) {
        // `j o h n four two at`
        start = before
      } else {
        break
      }
    }
    return start
  }

  private static func isSpelled(_ token: RedactionToken) -> Bool {
    switch token.content {
    case .word(let word): word.unicodeScalars.count == 1 || SpokenDigits.digit(word) != nil
    case .digits: true
    case .other: false
    }
  }

  /// The next word or number, behind spaces.
  private static func part(_ tokens: [RedactionToken], after place: Int) -> Int? {
    var next = place + 1
    while next < tokens.count, tokens[next].isSpace, next - place <= 2 { next += 1 }
    guard next < tokens.count, next > place + 1 else { return nil }
    if case .other = tokens[next].content { return nil }
    return next
  }

  private static func part(_ tokens: [RedactionToken], before place: Int, _ free: Int) -> Int? {
    var next = place - 1
    while next >= free, tokens[next].isSpace, place - next <= 2 { next -= 1 }
    guard next >= free, next < place - 1 else { return nil }
    if case .other = tokens[next].content { return nil }
    return next
  }

  private static func dot(_ tokens: [RedactionToken], after place: Int) -> Int? {
    part(tokens, after: place).flatMap { next in tokens[next].word.map { dots.contains($0) } == true ? next : nil }
  }
}

/// English words for digits.
enum SpokenDigits {
  static func digit(_ word: String) -> UInt8? { digits[word].map { 0x30 + $0 } }

  private static let digits: [String: UInt8] = [
    "zero": 0, "oh": 0, "o": 0, "nought": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "niner": 9,
  ]
  static let teens: [String: UInt8] = [
    "ten": 0, "eleven": 1, "twelve": 2, "thirteen": 3, "fourteen": 4, "fifteen": 5, "sixteen": 6, "seventeen": 7,
    "eighteen": 8, "nineteen": 9,
  ]
  static let tens: [String: UInt8] = [
    "twenty": 2, "thirty": 3, "forty": 4, "fourty": 4, "fifty": 5, "sixty": 6, "seventy": 7, "eighty": 8, "ninety": 9,
  ]
  static let repeats: [String: Int] = ["double": 2, "triple": 3, "treble": 3]
  static let zeros: [String: Int] = ["hundred": 2, "thousand": 3]
  static let hesitations: Set = ["uh", "um", "er", "erm", "hmm", "and"]
}
