import Base

extension DialogDecoder {
  mutating func decodeStates(_ members: Members) -> [DialogState] {
    source.pairs(members, "states").map { pair in
      decodeState(pair.key.text ?? "", pair.value, at: pair.key.position)
    }
  }

  private mutating func decodeState(_ name: String, _ node: SourceNode, at position: SourcePosition) -> DialogState {
    var state = DialogState(
      name: name, onEnter: [], listen: ListenSettings(), transitions: [], timeout: nil, timeoutNext: nil,
      isTerminal: false, agent: nil, position: position)
    if source.isNull(node) { return state }
    guard let members = source.members(of: node, Declarations.state, "the state `\(name)`") else { return state }
    state.onEnter = decodeActions(members, "on_enter")
    state.listen = members["listen"].map { decodeListen($0) } ?? ListenSettings()
    state.transitions = decodeTransitions(members, "transitions")
    state.timeout = source.duration(members, "timeout")
    state.timeoutNext = target(members, "timeout_next")
    state.isTerminal = source.bool(members, "terminal") ?? false
    if let agent = members["agent"] {
      if state.isTerminal {
        source.report(
          .conflictingKeys, agent.position,
          "the state `\(name)` is terminal, so nobody is there for its agent to talk to",
          "remove `terminal` or `agent`")
      }
      state.agent = decodeAgent(agent)
    }
    if state.isTerminal, let transition = state.transitions.first(where: { $0.target != nil }) {
      source.report(
        .conflictingKeys, transition.position, "the state `\(name)` is terminal and cannot lead anywhere",
        "remove `terminal` or the transition")
    }
    return state
  }

  // MARK: Listening

  private mutating func decodeListen(_ node: SourceNode) -> ListenSettings {
    guard let members = source.members(of: node, Declarations.listen) else { return ListenSettings() }
    var listen = listening(members)
    if let dtmf = members["dtmf"], let members = source.members(of: dtmf, Declarations.dtmf) {
      listen.maxDigits = source.int(members, "max_digits")
      listen.terminator = terminator(members)
      listen.interDigitTimeout = source.duration(members, "inter_digit_timeout")
    }
    return listen
  }

  /// What the state's `listen` and the action of that name have in common.
  mutating func listening(_ members: Members) -> ListenSettings {
    var listen = ListenSettings()
    listen.hints = source.items(members, "hints").compactMap { source.text($0, "a hint", limit: 256) }
    if let grammar = members["grammar"], grammar.text?.isEmpty == false,
      let text = source.text(grammar, "`grammar`", limit: SpeechGrammar.lengthLimit)
    {
      do {
        listen.grammar = try SpeechGrammar(text).source
      } catch {
        source.report(.badGrammar, grammar.position, "the grammar does not compile: \(error.message)")
      }
    }
    listen.language = source.language(members)
    listen.minSilenceMs = source.int(members, "min_silence_ms")
    listen.timeout = source.duration(members, "timeout")
    listen.bargeIn = source.bool(members, "barge_in")
    return listen
  }

  /// A key that ends an entry, or nothing.
  mutating func terminator(_ members: Members) -> String? {
    guard let node = members["terminator"] else { return nil }
    guard let text = node.text, text.count <= 1, text.allSatisfy({ DigitPattern.keys.contains($0) }) else {
      source.report(.badValue, node.position, "`terminator` must be one key, or empty", "write \"#\"")
      return nil
    }
    return text
  }

  // MARK: Targets

  mutating func target(_ members: Members, _ key: String) -> String? {
    guard let node = members[key], !source.isNull(node) else { return nil }
    return target(node, members.label(key))
  }

  mutating func target(_ node: SourceNode, _ what: String) -> String? {
    guard let name = source.text(node, what) else { return nil }
    targets.append((name, node.position, what))
    return name
  }

  mutating func lookUpTargets(_ states: [DialogState]) {
    let names = states.map(\.name)
    let known = Set(names)
    for target in targets where !known.contains(target.name) {
      let close = nearest(to: target.name, in: names)
      source.report(
        .unknownTarget, target.position, "\(target.what) names the state `\(target.name)`, which does not exist",
        close.map { "did you mean `\($0)`?" } ?? "add it under `states`")
    }
  }

  mutating func initialState(_ node: SourceNode?, _ states: [DialogState], _ place: SourceNode) -> String {
    if let node {
      guard let name = source.text(node, "`initial_state`") else { return "" }
      if !states.contains(where: { $0.name == name }) {
        let close = nearest(to: name, in: states.map(\.name))
        source.report(
          .noInitialState, node.position, "the initial state `\(name)` does not exist",
          close.map { "did you mean `\($0)`?" } ?? "add it under `states`")
      }
      return name
    }
    if !states.contains(where: { $0.name == "start" }) {
      source.report(
        .noInitialState, place.position, "there is no state `start`, and `initial_state` names no other",
        states.first.map { "add `initial_state: \($0.name)`" } ?? "")
    }
    return "start"
  }
}
