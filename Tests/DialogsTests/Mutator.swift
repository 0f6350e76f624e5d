import Base

/// Changes texts in ways that keep most of their structure: lines, indentation, keys, values, anchors; now and then a few
/// characters anywhere.
struct Mutator {
  private var random: SeededRandom
  private let seeds: [String]
  /// More would only be the size limit, which has its own test.
  private static let sizeLimit = 64 * 1_024

  init(random: SeededRandom, seeds: [String]) {
    self.random = random
    self.seeds = seeds
  }

  private mutating func pick(_ count: Int) -> Int { Int(random.next() >> 33) % max(1, count) }
  private mutating func one<T>(_ items: [T]) -> T { items[pick(items.count)] }

  private static let values = [
    "", "null", "~", "true", "-1", "0", "99999999999999999999", "1e999", ".inf", "''", "\"\"", "[]", "{}", "[[[[]]]]",
    "*a",
    "&a [x]", "&a", "<<: *a", "!!binary aGk=", "|", ">-", "{{ 6 * 7 }}", "\"{{ name }}\"", "'{{'", "\"}}\"",
    "{{ .Variables.x }}",
    "\"{{ eq .Event \\\"1\\\" }}\"", "8s", "1h", "-5s", "10ms", "start", "'#'", "\"\\u0000\"", "\u{FEFF}", "é🙂",
    "/[0-9]+/",
    "\"(a+)+$\"", "X.", "[1-5]", "2001-01-01", "0x1F", "0o17", "? x", "- - -", "%TAG", "---", "...", "#", "@", "`",
  ]

  mutating func next() -> String {
    var text = one(seeds)
    for _ in 0..<(1 + pick(4)) { text = changed(text) }
    return String(text.prefix(Self.sizeLimit))
  }

  private mutating func changed(_ text: String) -> String {
    if pick(4) == 0 { return withOtherCharacters(text) }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    let at = pick(lines.count)
    switch pick(12) {
    case 0: lines.remove(at: at)
    case 1: lines.insert(one(lines), at: at)
    case 2: lines.swapAt(at, pick(lines.count))
    case 3: lines[at] = String(repeating: " ", count: pick(12)) + lines[at].drop { $0 == " " }
    case 4: lines[at] = "\t" + lines[at]
    case 5:
      let other = one(seeds).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      let from = pick(other.count)
      lines.insert(contentsOf: other[from..<min(other.count, from + 1 + pick(6))], at: at)
    case 6:
      // A block over and over.
      let block = Array(lines[at..<min(lines.count, at + 1 + pick(4))])
      for _ in 0..<pick(40) { lines.insert(contentsOf: block, at: at) }
    case 7, 8:
      if let colon = lines[at].firstIndex(of: ":") { lines[at] = lines[at][...colon] + " " + one(Self.values) }
    case 9:
      if let colon = lines[at].firstIndex(of: ":") {
        let indent = lines[at].prefix { $0 == " " }
        lines[at] = indent + one(Self.values) + lines[at][colon...]
      }
    case 10:
      if let colon = lines[at].firstIndex(of: ":") {
        lines[at] = lines[at][...colon] + " &a" + lines[at][lines[at].index(after: colon)...]
        lines.append(one(["x: *a", "  y: *a", "<<: *a", "- *a"]))
      }
    default: lines[at] = one(Self.values)
    }
    return lines.joined(separator: "\n")
  }

  private mutating func withOtherCharacters(_ text: String) -> String {
    var scalars = Array(text.unicodeScalars)
    guard !scalars.isEmpty else { return one(Self.values) }
    let signs = Array("{}[]()'\"\\|:,.&*!?#%@`-+<>= \n\t0aé\u{0}\u{85}\u{2028}🙂".unicodeScalars)
    for _ in 0..<(1 + pick(4)) where !scalars.isEmpty {
      let at = pick(scalars.count)
      switch pick(5) {
      case 0: scalars.remove(at: at)
      case 1: scalars[at] = one(signs)
      case 2: scalars.insert(contentsOf: one(Self.values).unicodeScalars, at: at)
      case 3: scalars.insert(contentsOf: scalars[at..<min(scalars.count, at + pick(40))], at: at)
      default: scalars.insert(one(signs), at: at)
      }
    }
    var out = ""
    out.unicodeScalars.append(contentsOf: scalars)
    return out
  }
}
