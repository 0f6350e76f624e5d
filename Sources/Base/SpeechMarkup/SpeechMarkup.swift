/// A text with directions for its speaker, read from SSML 1.1 (W3C Recommendation of 7 September 2010): what is to be said, with
/// which voice, how fast, and where to pause.
///
/// `speak` may be left out. Elements that no voice here can obey (`emphasis`, `phoneme`, any unknown one) are spoken as their
/// text; `mark` and the document's head are passed over; an `audio` is its fallback text. Numbers, dates and the like
/// (`say-as`) come out as English words.
public struct SpeechMarkup: Sendable, Hashable {
  public enum Piece: Sendable, Hashable {
    /// Words for one voice at one pace. `voices`: wanted ones, the dearest first; empty for the prompt's own.
    /// - Parameter speed: relative to the prompt's own, 0.5 to 2.
    case text(String, voices: [String], speed: Double)
    case pause(ms: Int)
  }

  /// In the order they are heard; no two pauses in a row, none empty.
  public let pieces: [Piece]

  /// The words alone, as a person would read them.
  public var plainText: String {
    var words: [Substring] = []
    for case .text(let text, _, _) in pieces { words += text.split(separator: " ") }
    return words.joined(separator: " ")
  }

  /// Bytes of a document: four times what may be spoken of it.
  public static let maxBytes = 64 << 10
  /// Elements inside each other.
  public static let maxDepth = 32
  /// Pieces of one prompt; more is a machine's mistake.
  public static let maxPieces = 1000
  /// One pause in milliseconds; a longer one is cut to this, as other speakers do.
  public static let maxPauseMs = 10_000

  /// - Throws: ``SpeechMarkupError`` where it is not well-formed or goes over a limit.
  public init(_ source: String) throws(SpeechMarkupError) {
    var reader = MarkupReader(source)
    pieces = try reader.read()
  }
}

/// Walks through the elements and gathers the pieces.
private struct MarkupReader {
  /// How what stands in an element is spoken.
  private struct Manner {
    var element = ""
    var voices: [String] = []
    var speed = 1.0
    /// `interpret-as` with `format`; what stands in it is read as one.
    var sayAs: (kind: String, format: String)?
    /// Nothing in here is spoken.
    var isSilent = false
    /// The pause that the element's end makes.
    var endPauseMs = 0
  }

  private static let sentencePauseMs = 220
  private static let paragraphPauseMs = 500

  private var scanner: MarkupScanner
  private var open: [Manner] = [Manner()]
  private var pieces: [SpeechMarkup.Piece] = []
  /// Words that still wait for their fellows of the same manner.
  private var words = ""
  /// A pause before the next words: asked for, or the end of a sentence.
  private var askedPauseMs = 0
  private var impliedPauseMs = 0
  /// The text of a `say-as`, read when it closes.
  private var literal = ""

  init(_ source: String) { scanner = MarkupScanner(source) }

  mutating func read() throws(SpeechMarkupError) -> [SpeechMarkup.Piece] {
    guard scanner.count <= SpeechMarkup.maxBytes else {
      throw scanner.error("the markup is \(scanner.count) bytes long; the limit is \(SpeechMarkup.maxBytes)")
    }
    while let token = try scanner.next() {
      switch token {
      case .open(let name, let attributes, let isEmpty):
        try begin(name, attributes)
        if isEmpty { end() }
      case .close(let name):
        guard open.count > 1 else { throw scanner.error("</\(name)> closes nothing") }
        guard open[open.count - 1].element == name else {
          throw scanner.error("<\(open[open.count - 1].element)> is closed by </\(name)>")
        }
        end()
      case .text(let text): speak(text)
      }
      guard pieces.count <= SpeechMarkup.maxPieces else {
        throw scanner.error("the markup has more than \(SpeechMarkup.maxPieces) pieces")
      }
    }
    if open.count > 1 { throw scanner.error("<\(open[open.count - 1].element)> is not closed") }
    flush()
    // A pause somebody asked for counts at the end, too; what a sentence's end implies does not.
    pause()
    return pieces
  }

  private mutating func begin(_ name: String, _ attributes: [String: String]) throws(SpeechMarkupError) {
    guard open.count < SpeechMarkup.maxDepth else {
      throw scanner.error("more than \(SpeechMarkup.maxDepth - 1) elements stand inside each other")
    }
    var manner = open[open.count - 1]
    manner.element = name
    manner.endPauseMs = 0
    switch name {
    case "s", "p":
      flush()
      manner.endPauseMs = name == "s" ? Self.sentencePauseMs : Self.paragraphPauseMs
      impliedPauseMs = max(impliedPauseMs, manner.endPauseMs)
    case "break" where !manner.isSilent:
      flush()
      askedPauseMs = min(SpeechMarkup.maxPauseMs, askedPauseMs + (try pauseMs(attributes)))
    case "prosody":
      if let rate = attributes["rate"] { manner.speed = try speed(rate, within: manner.speed) }
    case "voice":
      if let names = attributes["name"] { manner.voices = names.split(whereSeparator: \.isWhitespace).map(String.init) }
    case "sub":
      if let alias = attributes["alias"] {
        speak(alias)
        manner.isSilent = true
      }
    case "say-as":
      manner.sayAs = (attributes["interpret-as"] ?? "", attributes["format"] ?? attributes["detail"] ?? "")
    case "mark", "meta", "metadata", "lexicon", "desc": manner.isSilent = true
    default: break
    }
    if manner.voices != open[open.count - 1].voices || manner.speed != open[open.count - 1].speed { flush() }
    open.append(manner)
  }

  private mutating func end() {
    let manner = open.removeLast()
    let outer = open[open.count - 1]
    if outer.sayAs == nil { readLiteral(manner) }
    if manner.endPauseMs > 0 {
      flush()
      impliedPauseMs = max(impliedPauseMs, manner.endPauseMs)
    }
    if manner.voices != outer.voices || manner.speed != outer.speed { flush(as: manner) }
  }

  private mutating func speak(_ text: String) {
    let manner = open[open.count - 1]
    if manner.isSilent { return }
    if manner.sayAs != nil { literal += text } else { words += text }
  }

  /// What has come of a `say-as` is read, all of it at its end or before a break in it.
  private mutating func readLiteral(_ manner: Manner) {
    guard let sayAs = manner.sayAs, !literal.isEmpty else { return }
    words += SpokenAs.words(literal, kind: sayAs.kind, format: sayAs.format)
    literal = ""
  }

  private mutating func flush() { flush(as: open[open.count - 1]) }

  private mutating func flush(as manner: Manner) {
    readLiteral(manner)
    let text = words.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    words = ""
    guard text.contains(where: { $0.isLetter || $0.isNumber }) else { return }
    pause(implied: !pieces.isEmpty)
    pieces.append(.text(text, voices: manner.voices, speed: manner.speed))
  }

  /// An asked pause stands for itself; without one, the end of a sentence makes its own.
  private mutating func pause(implied: Bool = false) {
    let ms = askedPauseMs > 0 ? askedPauseMs : implied ? impliedPauseMs : 0
    askedPauseMs = 0
    impliedPauseMs = 0
    if ms > 0 { pieces.append(.pause(ms: ms)) }
  }

  // MARK: Attributes

  private func pauseMs(_ attributes: [String: String]) throws(SpeechMarkupError) -> Int {
    if let time = attributes["time"] {
      let (number, scale) = time.hasSuffix("ms") ? (time.dropLast(2), 1.0) : (time.dropLast(1), 1000.0)
      guard time.hasSuffix("s"), let value = Double(number), value.isFinite, value >= 0 else {
        throw scanner.error("a break's time is '\(time)': write it like 500ms or 1.5s")
      }
      return Int(min(Double(SpeechMarkup.maxPauseMs), (value * scale).rounded()))
    }
    switch attributes["strength"] ?? "medium" {
    case "none": return 0
    case "x-weak": return 100
    case "weak": return 200
    case "medium": return 400
    case "strong": return 700
    case "x-strong": return 1200
    case let other:
      throw scanner.error("a break's strength is '\(other)': none, x-weak, weak, medium, strong or x-strong")
    }
  }

  private func speed(_ rate: String, within outer: Double) throws(SpeechMarkupError) -> Double {
    let named = ["x-slow": 0.5, "slow": 0.75, "medium": 1, "default": 1, "fast": 1.25, "x-fast": 1.5]
    var speed = named[rate]
    if speed == nil, rate.hasSuffix("%"), let percent = Double(rate.dropLast()), percent.isFinite {
      // A signed percentage is a change, as in SSML 1.0; without a sign it is the pace itself.
      speed = rate.hasPrefix("+") || rate.hasPrefix("-") ? 1 + percent / 100 : percent / 100
    } else if speed == nil, let factor = Double(rate), factor.isFinite {
      speed = factor
    }
    guard let speed, speed > 0 else {
      throw scanner.error("a prosody's rate is '\(rate)': x-slow, slow, medium, fast, x-fast or a percentage")
    }
    return min(2, max(0.5, outer * speed))
  }
}
