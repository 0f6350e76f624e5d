/// Takes personal data out of texts: each piece is replaced by its kind in brackets, `[card]`.
///
/// It knows forms, not people: what looks like a card or a number of a telephone is taken for one. Callers read numbers out, so
/// spoken digits count like written ones (`four one one one`, `double four`, `forty one`). Where two readings are possible the
/// text goes. Time and memory grow with the length of the text alone. `docs/api/access.md` says what is found.
public struct Redactor: Sendable, Hashable {
  public let kinds: Set<PersonalData>

  public init(_ kinds: some Sequence<PersonalData>) { self.kinds = Set(kinds) }

  /// Whether it never changes anything.
  public var isIdle: Bool { kinds.isEmpty }

  /// What was taken out may have hidden what stood beside it, so the text is looked at until nothing more is found.
  private static let passes = 8

  public func redact(_ text: String) -> String {
    if isIdle { return text }
    var text = text
    for _ in 0..<Self.passes {
      guard let redacted = pass(text) else { break }
      text = redacted
    }
    return text
  }

  /// nil: there is nothing to take out.
  private func pass(_ text: String) -> String? {
    let tokens = RedactionToken.scan(text)
    var finds: [Find] = []
    if kinds.contains(.email) { finds = MailFinder.find(tokens) }
    finds = NumberFinder(kinds: kinds, tokens: tokens).find(avoiding: finds)
    if finds.isEmpty { return nil }
    var out = ""
    var at = text.startIndex
    for find in finds {
      out += text[at..<tokens[find.tokens.lowerBound].range.lowerBound]
      out += "[\(find.kind.rawValue)]"
      at = tokens[find.tokens.upperBound - 1].range.upperBound
    }
    return out + text[at...]
  }

  /// Every text and number within; a number that is personal data becomes a text. Keys stay.
  public func redact(_ value: Value) -> Value {
    if isIdle { return value }
    switch value {
    case .null, .bool: return value
    case .int(let number): return redact(number: String(number), value)
    case .double(let number): return redact(number: "\(number)", value)
    case .string(let text): return .string(redact(text))
    case .list(let items): return .list(items.map(redact))
    case .map(let members): return .map(members.mapValues(redact))
    }
  }

  private func redact(number: String, _ value: Value) -> Value {
    let redacted = redact(number)
    return redacted == number ? value : .string(redacted)
  }

  /// A piece of a text that goes.
  struct Find {
    var kind: PersonalData
    var tokens: Range<Int>
  }
}

/// A word, a run of digits, or one character of a text.
struct RedactionToken {
  enum Content: Equatable {
    /// Lower case.
    case word(String)
    /// ASCII, whatever script they were written in.
    case digits([UInt8])
    case other(Unicode.Scalar)
  }
  var content: Content
  var range: Range<String.Index>
  /// Whether a letter stands right beside these digits, as in an identifier.
  var touchesLetters = false

  static func scan(_ text: String) -> [RedactionToken] {
    var tokens: [RedactionToken] = []
    let scalars = text.unicodeScalars
    var at = scalars.startIndex
    while at != scalars.endIndex {
      let start = at
      let first = scalars[at]
      if digit(first) != nil {
        var digits: [UInt8] = []
        while at != scalars.endIndex, let value = digit(scalars[at]) {
          digits.append(value)
          at = scalars.index(after: at)
        }
        var touches = at != scalars.endIndex && isLetter(scalars[at])
        if case .word? = tokens.last?.content { touches = true }
        tokens.append(RedactionToken(content: .digits(digits), range: start..<at, touchesLetters: touches))
      } else if isLetter(first) {
        while at != scalars.endIndex, isLetter(scalars[at]) { at = scalars.index(after: at) }
        tokens.append(RedactionToken(content: .word(text[start..<at].lowercased()), range: start..<at))
      } else {
        at = scalars.index(after: at)
        tokens.append(RedactionToken(content: .other(first), range: start..<at))
      }
    }
    return tokens
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII
      ? (0x41...0x5A).contains(scalar.value) || (0x61...0x7A).contains(scalar.value)
      : scalar.properties.isAlphabetic || scalar.properties.generalCategory == .nonspacingMark
  }

  /// A decimal digit of any script, as ASCII.
  private static func digit(_ scalar: Unicode.Scalar) -> UInt8? {
    if scalar.isASCII { return (0x30...0x39).contains(scalar.value) ? UInt8(scalar.value) : nil }
    guard scalar.properties.numericType == .decimal, let value = scalar.properties.numericValue else { return nil }
    return 0x30 + UInt8(value)
  }

  var word: String? { if case .word(let word) = content { word } else { nil } }
  var isSpace: Bool { if case .other(let scalar) = content { scalar.properties.isWhitespace } else { false } }
  func isOneOf(_ scalars: Set<Unicode.Scalar>) -> Bool {
    if case .other(let scalar) = content { scalars.contains(scalar) } else { false }
  }
}
