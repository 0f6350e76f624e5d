/// What a transition's `digits` says: which keys it is for.
///
/// Keys stand for themselves (`1`, `42`, `*`, `#`). `X` is any digit, `Z` 1 to 9, `N` 2 to 9, `[1-5]` a choice, and a final
/// `.` one or more keys of any kind. Between slashes it is a regular expression that must fit all keys: `/[0-9]{4,6}/`.
public struct DigitPattern: Sendable {
  public let source: String
  private let form: Form

  private enum Form: Sendable {
    case keys([Set<Character>], rest: Bool)
    case regex(RegexPattern)
  }

  /// The keys of a telephone.
  public static let keys: Set<Character> = Set("0123456789*#ABCD")
  /// The most keys that are collected for one pattern without an upper bound.
  static let lengthLimit = 32

  public struct Problem: Error, Hashable, Sendable {
    public var message: String
  }

  public init(_ source: String) throws(Problem) {
    self.source = source
    if source.count >= 2, source.hasPrefix("/"), source.hasSuffix("/") {
      let regex: RegexPattern
      do {
        regex = try RegexPattern("^(?:" + source.dropFirst().dropLast() + ")$")
      } catch {
        throw Problem(message: error.message)
      }
      form = .regex(regex)
      return
    }
    guard !source.isEmpty, source.utf8.count <= 64 else {
      throw Problem(message: "a digit pattern has 1 to 64 characters")
    }
    var keys: [Set<Character>] = []
    var rest = false
    var characters = Array(source)[...]
    while let c = characters.popFirst() {
      guard !rest else { throw Problem(message: "`.` can only be the last character of a digit pattern") }
      switch c {
      case "X", "x": keys.append(Set("0123456789"))
      case "Z", "z": keys.append(Set("123456789"))
      case "N", "n": keys.append(Set("23456789"))
      case ".": rest = true
      case "[":
        guard let close = characters.firstIndex(of: "]") else { throw Problem(message: "a `[` is not closed") }
        let body = Array(characters[characters.startIndex..<close])
        characters = characters[characters.index(after: close)...]
        var choice: Set<Character> = []
        var i = 0
        while i < body.count {
          if i + 2 < body.count, body[i + 1] == "-", let low = body[i].wholeNumberValue,
            let high = body[i + 2].wholeNumberValue, low <= high
          {
            for digit in low...high { choice.formUnion(String(digit)) }
            i += 3
          } else {
            choice.insert(body[i])
            i += 1
          }
        }
        guard !choice.isEmpty, choice.isSubset(of: Self.keys) else {
          throw Problem(message: "`[...]` may hold keys and ranges of digits only")
        }
        keys.append(choice)
      default:
        guard Self.keys.contains(c) else {
          throw Problem(message: "`\(c)` is neither a key nor a sign of a digit pattern (X, Z, N, [1-5], a final `.`)")
        }
        keys.append([c])
      }
    }
    form = .keys(keys, rest: rest)
  }

  func matches(_ digits: String) -> Bool {
    switch form {
    case .regex(let regex): return regex.occurs(in: digits)
    case .keys(let keys, let rest):
      let digits = Array(digits)
      guard rest ? digits.count > keys.count : digits.count == keys.count else { return false }
      return zip(keys, digits).allSatisfy { $0.contains($1) }
    }
  }

  /// Whether more keys after `digits` could still fit.
  func canContinue(_ digits: String) -> Bool {
    switch form {
    case .regex: return digits.count < Self.lengthLimit
    case .keys(let keys, let rest):
      let digits = Array(digits)
      guard rest || digits.count < keys.count else { return false }
      return zip(keys, digits).allSatisfy { $0.contains($1) }
    }
  }

  /// The longest sequence of keys that can fit.
  var longest: Int {
    switch form {
    case .regex: Self.lengthLimit
    case .keys(let keys, let rest): rest ? Self.lengthLimit : keys.count
    }
  }

  /// Whether everything that fits `other` fits this one, as far as can be told.
  func covers(_ other: DigitPattern) -> Bool {
    if source == other.source { return true }
    guard case .keys(let mine, let rest) = form, case .keys(let theirs, let theirRest) = other.form else {
      return false
    }
    guard rest ? theirs.count >= mine.count + (theirRest ? 0 : 1) : theirs.count == mine.count && !theirRest else {
      return false
    }
    return zip(mine, theirs).allSatisfy { $1.isSubset(of: $0) }
  }

  /// Keys that fit; empty where none were found, which takes a regular expression of a rare kind.
  func sample(using random: inout some RandomNumberGenerator) -> String {
    func keys(_ count: Int) -> String {
      String((0..<count).map { _ in Character(String(Int.random(in: 0...9, using: &random))) })
    }
    switch form {
    case .keys(let sets, let rest):
      let fixed = String(sets.compactMap { $0.sorted().randomElement(using: &random) })
      return rest ? fixed + keys(Int.random(in: 1...4, using: &random)) : fixed
    case .regex(let regex):
      for attempt in 0..<200 {
        let candidate = keys(1 + attempt % 12)
        if regex.occurs(in: candidate) { return candidate }
      }
      return ""
    }
  }
}
