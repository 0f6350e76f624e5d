import Base

/// What a state listens for.
extension Dialog {
  static let speechEvents: Set<String> = ["speech", "speech_partial", "speech_started", "no_match", "*"]

  /// The phrases that a state expects, for the recogniser's search: its hints, then the literal phrases of the conditions on
  /// speech, its own and the dialog's. Lower case, without doubles.
  public func listenPhrases(for state: DialogState) -> [String] {
    index(ofState: state.name).map { plan.states[$0].listen.phrases } ?? []
  }

  /// Whether the state has any use for what the caller says.
  public func hearsSpeech(in state: DialogState) -> Bool {
    index(ofState: state.name).map { plan.states[$0].hearsSpeech } ?? false
  }

  /// - Parameter spoken: what conditions ask for, as their authors wrote it.
  static func phrases(hints: [String], spoken: [String]) -> [String] {
    var seen: Set<String> = []
    var result: [String] = []
    for text in hints + spoken {
      let phrase = PhraseExtraction.normalized(text)
      if PhraseExtraction.isPhrase(phrase), seen.insert(phrase).inserted { result.append(phrase) }
    }
    return result
  }

  /// How to listen in a state, or in another way that its action `listen` asked for.
  func listen(in index: Int, override: ListenSettings?, bargeIn: Bool) -> DialogListen {
    let usual = bargeIn ? plan.states[index].listen : plan.states[index].listenUninterrupted
    guard let override else { return usual }
    var listen = usual
    if !override.hints.isEmpty { listen.phrases = Self.phrases(hints: override.hints, spoken: usual.phrases) }
    if !override.grammar.isEmpty { listen.grammar = override.grammar }
    if !override.language.isEmpty { listen.language = override.language }
    listen.minSilenceMs = override.minSilenceMs ?? usual.minSilenceMs
    listen.speech = usual.speech || !override.hints.isEmpty || !override.grammar.isEmpty
    listen.bargeIn = override.bargeIn ?? usual.bargeIn
    return listen
  }
}

extension Transition {
  /// What the caller could say to be taken by it.
  var spokenPhrases: [String] {
    guard event == "speech" || event == "speech_partial" || event == "*" else { return [] }
    return condition?.spokenPhrases ?? []
  }
}

extension Expression {
  /// What a caller could say to make a comparison with `transcript` true.
  var spokenPhrases: [String] {
    var phrases: [String] = []
    root.collectPhrases(into: &phrases)
    return phrases
  }
}

extension ExpressionNode {
  private var isTranscript: Bool {
    switch self {
    case .name("transcript", _): true
    case .call(.lower, let arguments, _), .call(.trim, let arguments, _), .call(.upper, let arguments, _):
      arguments.first?.isTranscript ?? false
    default: false
    }
  }

  private var texts: [String] {
    switch self {
    case .literal(.string(let text)): [text]
    case .list(let items): items.flatMap(\.texts)
    default: []
    }
  }

  fileprivate func collectPhrases(into phrases: inout [String]) {
    switch self {
    case .matches(let text, let pattern, _):
      if text.isTranscript { phrases += PhraseExtraction.phrases(of: pattern) }
    case .binary(let op, let left, let right, _):
      switch op {
      case .equal, .notEqual, .contains, .startswith, .endswith, .isIn, .isNotIn:
        if left.isTranscript { phrases += right.texts } else if right.isTranscript { phrases += left.texts }
      default: break
      }
      left.collectPhrases(into: &phrases)
      right.collectPhrases(into: &phrases)
    case .not(let operand, _): operand.collectPhrases(into: &phrases)
    case .call(.regex_extract, let arguments, _):
      if arguments[0].isTranscript, case .literal(.string(let source)) = arguments[1],
        let pattern = try? RegexPattern(source)
      {
        phrases += PhraseExtraction.phrases(of: pattern)
      }
    case .call(_, let arguments, _): for argument in arguments { argument.collectPhrases(into: &phrases) }
    case .conditional(let condition, let a, let b, _):
      for part in [condition, a, b] { part.collectPhrases(into: &phrases) }
    case .literal, .name, .member, .index, .list, .map, .negate: break
    }
  }
}
