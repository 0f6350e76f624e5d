import Base

/// What a state listens for.
extension Dialog {
  /// The phrases that a state expects, for the recogniser's search: its hints, then the literal phrases of the conditions on
  /// speech, its own and the dialog's. Lower case, without doubles.
  public func listenPhrases(for state: DialogState) -> [String] {
    phrases(state, extra: [])
  }

  private func phrases(_ state: DialogState, extra: [String]) -> [String] {
    var seen: Set<String> = []
    var result: [String] = []
    func add(_ text: String) {
      let phrase = PhraseExtraction.normalized(text)
      if PhraseExtraction.isPhrase(phrase), seen.insert(phrase).inserted { result.append(phrase) }
    }
    for hint in extra + state.listen.hints { add(hint) }
    for transition in state.transitions + self.transitions
    where transition.event == "speech" || transition.event == "speech_partial" || transition.event == "*" {
      for phrase in transition.condition?.spokenPhrases ?? [] { add(phrase) }
    }
    return result
  }

  /// Whether the state has any use for what the caller says.
  public func hearsSpeech(in state: DialogState) -> Bool {
    let events: Set<String> = ["speech", "speech_partial", "speech_started", "no_match", "*"]
    return !state.listen.hints.isEmpty || !state.listen.grammar.isEmpty
      || (state.transitions + transitions).contains { events.contains($0.event) }
  }

  func listen(for state: DialogState, override: ListenSettings?, bargeIn: Bool) -> DialogListen {
    let languages = [override?.language, state.listen.language, language].compactMap(\.self)
    let grammars = [override?.grammar, state.listen.grammar].compactMap(\.self)
    return DialogListen(
      phrases: phrases(state, extra: override?.hints ?? []), grammar: grammars.first { !$0.isEmpty } ?? "",
      language: languages.first { !$0.isEmpty } ?? "",
      minSilenceMs: override?.minSilenceMs ?? state.listen.minSilenceMs,
      speech: override.map { !$0.hints.isEmpty || !$0.grammar.isEmpty } == true || hearsSpeech(in: state),
      isOpen: state.agent != nil,
      bargeIn: override?.bargeIn ?? state.listen.bargeIn ?? settings.bargeIn ?? bargeIn)
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
