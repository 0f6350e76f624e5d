/// Text as a voice can say it: language models write for the eye.
enum SpokenText {
  /// `piece` without markdown, emoji and control characters, spaces folded; empty where no letter or digit is left.
  static func plain(_ piece: ArraySlice<Unicode.Scalar>) -> String {
    let scalars = withoutLinks(Array(withoutLeadingMarks(piece)))
    var text = ""
    var hasWords = false
    var spaceIsDue = false
    var droppedEmoji = false
    for (at, scalar) in scalars.enumerated() {
      let properties = scalar.properties
      if properties.isWhitespace || scalar == "|" {
        spaceIsDue = !text.isEmpty
        continue
      }
      if isEmoji(scalar) || droppedEmoji && joinsEmoji(scalar) {
        droppedEmoji = true
        spaceIsDue = !text.isEmpty
        continue
      }
      droppedEmoji = false
      if isDropped(
        scalar, before: at > 0 ? scalars[at - 1] : nil, after: at + 1 < scalars.count ? scalars[at + 1] : nil)
      {
        continue
      }
      if spaceIsDue {
        // An emoji or a mark that stood before a full stop leaves no gap there.
        if ![".", ",", "!", "?", ":", ";"].contains(scalar) { text.append(" ") }
        spaceIsDue = false
      }
      text.unicodeScalars.append(scalar)
      if properties.isAlphabetic || properties.numericType != nil { hasWords = true }
    }
    return hasWords ? text : ""
  }

  /// Bullets, headings, quotes of markdown, and what is left of a sentence before.
  private static func withoutLeadingMarks(_ piece: ArraySlice<Unicode.Scalar>) -> ArraySlice<Unicode.Scalar> {
    var rest = piece
    while true {
      rest = rest.drop { $0.properties.isWhitespace || $0 == "," || $0 == ";" || $0 == ":" || $0 == "!" || $0 == "?" }
      let marks = rest.prefix { ["#", ">", "-", "+", "•", "·", "*", "–", "—"].contains($0) }
      // `-5` and `#1` are said; `- five` and `## One` are a bullet and a heading.
      if !marks.isEmpty, marks.endIndex == rest.endIndex || rest[marks.endIndex].properties.isWhitespace {
        rest = rest[marks.endIndex...]
      } else if rest.first == ".", rest.dropFirst().first?.properties.numericType == nil {
        rest = rest.dropFirst()
      } else {
        return rest
      }
    }
  }

  /// `[text](address)` and `![text](address)` become their text.
  private static func withoutLinks(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard scalars.contains("[") else { return scalars }
    var out: [Unicode.Scalar] = []
    var at = 0
    while at < scalars.count {
      let isImage = scalars[at] == "!" && at + 1 < scalars.count && scalars[at + 1] == "["
      let open = isImage ? at + 1 : at
      if scalars[open] == "[", let close = scalars[open...].firstIndex(of: "]"), close + 1 < scalars.count,
        scalars[close + 1] == "(", let end = scalars[close...].firstIndex(of: ")")
      {
        out += scalars[(open + 1)..<close]
        at = end + 1
      } else {
        out.append(scalars[at])
        at += 1
      }
    }
    return out
  }

  private static func isDropped(_ scalar: Unicode.Scalar, before: Unicode.Scalar?, after: Unicode.Scalar?) -> Bool {
    switch scalar {
    case "*", "`", "~": return true
    // Emphasis, but not the underscore of a name.
    case "_": return !(isWord(before) && isWord(after))
    case "\u{FEFF}", "\u{200B}", "\u{2060}", "\u{FFFD}": return true
    default: return scalar.properties.generalCategory == .control
    }
  }

  private static func isWord(_ scalar: Unicode.Scalar?) -> Bool {
    scalar.map { $0.properties.isAlphabetic || $0.properties.numericType != nil } ?? false
  }

  private static func isEmoji(_ scalar: Unicode.Scalar) -> Bool {
    // Digits, `#`, `©` and `™` are emoji too, by the letter of the standard; they are said.
    scalar.properties.isEmojiPresentation || scalar.properties.isEmoji && scalar.value >= 0x2190
      || scalar.properties.isEmojiModifier || (0x1F1E6...0x1F1FF).contains(scalar.value)
  }

  /// Variation selectors, the joiner, the keycap and tags: parts of the emoji before.
  private static func joinsEmoji(_ scalar: Unicode.Scalar) -> Bool {
    (0xFE00...0xFE0F).contains(scalar.value) || scalar.value == 0x200D || scalar.value == 0x20E3
      || (0xE0000...0xE007F).contains(scalar.value)
  }
}

/// Takes the thoughts out of an answer: some servers stream them in the text, between `<think>` and `</think>`, and nobody
/// should hear them.
struct ThoughtFilter: Sendable {
  private enum Place {
    /// Nothing but spaces, or the beginning of the tag, has come.
    case start
    case thinking
    case speaking
  }
  private static let opening = "<think>"
  private static let closing = "</think>"

  private var place = Place.start
  private var held = ""

  /// What of `delta`, and of what was held back before, is no thought.
  mutating func add(_ delta: String) -> String {
    switch place {
    case .speaking: return delta
    case .start:
      held += delta
      let text = held.drop(while: \.isWhitespace)
      if text.hasPrefix(Self.opening) {
        place = .thinking
        held = ""
        return add(String(text.dropFirst(Self.opening.count)))
      }
      if Self.opening.hasPrefix(text) { return "" }
      return speak(held)
    case .thinking:
      held += delta
      guard let end = held.firstRange(of: Self.closing) else {
        held = String(held.suffix(Self.closing.count - 1))
        return ""
      }
      return speak(String(held[end.upperBound...]))
    }
  }

  /// What was held back because it could have become a tag.
  mutating func flush() -> String {
    guard case .start = place else { return "" }
    return speak(held)
  }

  private mutating func speak(_ text: String) -> String {
    place = .speaking
    held = ""
    return text
  }
}
