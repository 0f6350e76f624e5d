import Base

/// Agent states: a language model leads the conversation, and the machine keeps it within its bounds.
///
/// Nothing that a caller or a model says is read as an expression or a template here: their words are data, from the context
/// to the prompt.
extension DialogSession {
  /// Said to every model after the dialog's own instructions.
  public static let spokenStyle =
    "You are speaking on the telephone. Answer in short sentences that can be read aloud, without lists, markup or emoji."
  /// What stands for the caller where the model speaks first.
  static let firstWords = "(The caller is on the line and waits for you to speak.)"
  /// Where neither the dialog nor the owner ends a request, the machine does so after this long without a sign of it.
  public static let modelLimit: Duration = .seconds(60)
  /// The owner's own timeout comes first.
  static let modelGrace: Duration = .seconds(2)
  /// An MCP server that has not said by then what tools it has is left out.
  static let toolListLimit: Duration = .seconds(5)
  /// Passages of documents that a model gets for one answer.
  static let passageLimit = 4

  var agent: AgentSettings? { stateIndex.flatMap { frame.dialog.states[$0].agent } }

  var agentDeadlines: [Instant?] {
    guard let talk = frame.agent else { return [] }
    return [talk.request?.deadline, talk.fillerDue, talk.wayOut == nil ? talk.endsAt : nil]
  }

  // MARK: In and out

  /// - Parameter answering: the caller's words led here, and nobody has answered them.
  mutating func enterAgent(answering: Bool) {
    var talk = AgentTalk()
    if answering, case .string(let words) = frame.values[DialogPlan.Slot.transcript.rawValue], !words.isEmpty {
      talk.words.append(words)
      talk.owesAnswer = true
    }
    frame.agent = talk
  }

  /// The state's own actions are done.
  mutating func agentBegins() {
    guard let settings = agent, frame.agent?.hasBegun == false else { return }
    frame.agent?.hasBegun = true
    frame.agent?.endsAt = now + settings.maxDuration
    let prompt = render(settings.prompt)
    frame.agent?.prompt = prompt ?? ""
    let shown = prompt == nil ? "" : renderHidden(settings.prompt) ?? "***"
    trace(.agentMessage(state: currentState, role: "system", text: shown, detail: .null))
    guard prompt != nil else { return leaveAgent("model", "the instructions could not be written") }
    for (i, tool) in settings.tools.enumerated() {
      guard case .mcp(let service, _) = tool.work else { continue }
      ask(.listTools, service: service, purpose: .toolList(i), limit: Self.toolListLimit)
      frame.agent?.listsPending += 1
    }
    // Whoever has said nothing begins; a caller who is talking already is heard out.
    if !frame.hasPlayed, speakingSince == nil { frame.agent?.owesAnswer = true }
  }

  /// The state is being left: what was asked is of no interest any more.
  mutating func agentEnds() {
    guard frame.agent != nil else { return }
    cancelRequest()
    recordAnswer()
    frame.agent = nil
  }

  /// Another dialog takes the call for a while.
  mutating func agentPauses() {
    guard let talk = frame.agent else { return }
    if talk.request != nil, talk.pieces.isEmpty { frame.agent?.owesAnswer = true }
    cancelRequest()
  }

  /// Leaves by the fallback, as soon as what is said has been said.
  mutating func leaveAgent(_ code: String, _ message: String) {
    guard frame.agent != nil, frame.agent?.wayOut == nil else { return }
    trace(.failure(state: currentState, code: code, message: message))
    cancelRequest()
    frame.agent?.owesAnswer = false
    frame.agent?.fillerDue = nil
    frame.agent?.wayOut = .fallback(code: code, message: message)
  }

  /// Does what is next; false: there is nothing to do without an input or time.
  mutating func agentGoesOn() -> Bool {
    guard let talk = frame.agent, talk.hasBegun, frame.runs.isEmpty || talk.wayOut != nil else { return false }
    if let wayOut = talk.wayOut {
      let level = level
      guard !playing.contains(where: { $0.level == level && !$0.isLoop && !$0.isFiller }) else { return false }
      if case .exit = wayOut, talk.waitsForTools { return false }
      frame.agent?.wayOut = nil
      switch wayOut {
      case .exit(let number, let data):
        frame.agent?.exit = number
        events.append(Event(.agentExit, .exit(agent?.exits[number].name ?? "", data: data)))
      case .fallback(let code, let message):
        if let name = agent?.fallback, let target = frame.dialog.index(ofState: name) {
          take(target: target, place: .none, trigger: "fallback")
        } else {
          events.append(Event(.error, .problem(code: code, message: message), isFatal: true))
        }
      }
      return true
    }
    guard talk.request == nil, !talk.isLookingUp, talk.listsPending == 0, !talk.waitsForTools else { return false }
    if !talk.tools.isEmpty {
      tellToolResults()
      return true
    }
    guard talk.owesAnswer, speakingSince == nil else { return false }
    prepareRequest()
    return true
  }

  /// No transition took `agent_exit`: the exit's own target.
  mutating func takeExit() {
    guard let number = frame.agent?.exit, let exits = agent?.exits, exits.indices.contains(number),
      let target = frame.dialog.index(ofState: exits[number].target)
    else { return }
    take(target: target, place: .none, trigger: "agent_exit")
  }

  // MARK: The caller

  /// What happens to events that no transition takes; false: the usual.
  mutating func agentTakes(_ event: Event) -> Bool {
    switch event.facts {
    case .speech(let heard): callerSaid(heard.transcript)
    case .digits(let digits) where event.kind == .dtmf: callerSaid("(pressed \(digits))")
    case .nothingUnderstood where frame.agent?.hasBegun == true:
      // Words that are owed an answer are not made better by a cough.
      if frame.agent?.owesAnswer == false { callerSaid("(unintelligible)") }
    case .noInputCount(let count) where frame.agent?.hasBegun == true: callerIsSilent(count)
    default: return false
    }
    return true
  }

  private mutating func callerSaid(_ words: String) {
    stopCollecting("The caller said something instead of pressing keys.")
    frame.noInputCount = 0
    frame.noMatchCount = 0
    frame.agent?.askedAboutSilence = false
    frame.agent?.words.append(words)
    cancelRequest()
    if frame.agent?.isLookingUp == true {
      frame.agent?.isLookingUp = false
      let level = level
      cancelHooks { $0.level == level && $0.purpose == .passages }
    }
    frame.agent?.rounds = 0
    frame.agent?.owesAnswer = true
    frame.agent?.fillerDue = nil
  }

  private mutating func callerIsSilent(_ count: Int) {
    if frame.agent?.tools.contains(where: { $0.collects && $0.result == nil }) == true {
      return stopCollecting("No keys were pressed.")
    }
    let retries = frame.dialog.settings.noInputRetries
    if count > retries {
      let message = "no word of the caller after \(retries) retries"
      guard agent?.fallback != nil else {
        trace(.failure(state: currentState, code: "no_input", message: message))
        return hangUp(reason: "normal")
      }
      return leaveAgent("no_input", message)
    }
    guard frame.agent?.askedAboutSilence == false else { return }
    frame.agent?.askedAboutSilence = true
    frame.agent?.words.append("(silence)")
    frame.agent?.rounds = 0
    frame.agent?.owesAnswer = true
  }

  /// The caller begins to talk while the model thinks: the answer would be to half of what they want.
  mutating func callerInterruptsModel() {
    guard let talk = frame.agent, talk.request != nil, allowsBargeIn(nil) else { return }
    cancelRequest()
    if talk.pieces.isEmpty { frame.agent?.owesAnswer = true }
  }

  /// The caller cut what was being said.
  mutating func agentWasInterrupted() {
    guard frame.agent != nil else { return }
    cancelRequest()
    // What was to follow is not said any more.
    let unheard = Set(frame.agent?.pieces.filter { $0.heard == nil }.map(\.id) ?? [])
    let cut = playing.filter { unheard.contains($0.id) && $0.allowsBargeIn }
    for prompt in cut {
      out.append(.stop(prompt.id))
      playing.removeAll { $0.id == prompt.id }
      agentWasHeard(prompt.id, "")
    }
  }

  /// - Parameter heard: nil: all of it.
  mutating func agentWasHeard(_ id: PlaybackID, _ heard: String?) {
    guard let i = frame.agent?.pieces.firstIndex(where: { $0.id == id }) else { return }
    let text = frame.agent?.pieces[i].text ?? ""
    frame.agent?.pieces[i].heard = heard ?? text
    if heard != nil, frame.agent?.answerAt != nil { frame.agent?.correctAnswer() }
  }

  // MARK: Requests

  /// Everything that has to be known before the model is asked.
  private mutating func prepareRequest() {
    guard let settings = agent, let talk = frame.agent else { return }
    if talk.rounds == 0 {
      recordAnswer()
      guard talk.turns < settings.maxTurns else {
        return leaveAgent("agent_limit", "more than \(settings.maxTurns) answers in one state")
      }
      let words = talk.words.joined(separator: "\n")
      frame.agent?.words = []
      if !words.isEmpty {
        addUser(words)
        frame.agent?.passages = nil
      } else if talk.messages.isEmpty {
        addUser(Self.firstWords)
      }
      if !settings.fillers.isEmpty, talk.fillerDue == nil { frame.agent?.fillerDue = now + Self.fillerDelay }
      if !words.isEmpty, !settings.knowledge.isEmpty {
        frame.agent?.rounds = 1
        frame.agent?.isLookingUp = true
        let kind = DialogHook.Kind.searchKnowledge(
          query: AgentTalk.cut(words), documents: settings.knowledge, limit: Self.passageLimit)
        ask(kind, service: "", purpose: .passages, limit: Self.toolListLimit)
        return
      }
    } else if talk.rounds > AgentTalk.roundLimit {
      return leaveAgent("agent_limit", "the model called tools \(AgentTalk.roundLimit) times without an answer")
    }
    frame.agent?.rounds += 1
    sendRequest(settings)
  }

  private mutating func sendRequest(_ settings: AgentSettings) {
    guard let talk = frame.agent else { return }
    lastModel += 1
    let token = ModelToken(lastModel)
    var system = talk.prompt + "\n\n" + Self.spokenStyle
    if let passages = talk.passages, !passages.isEmpty {
      system += "\n\nAnswer from these passages where they help:\n" + passages
    }
    frame.agent?.owesAnswer = false
    frame.agent?.pieces = []
    frame.agent?.answerAt = nil
    frame.agent?.isRecorded = false
    frame.agent?.calls = []
    let request = AgentTalk.Request(token: token, deadline: now + patience(settings))
    frame.agent?.request = request
    out.append(
      .askModel(
        ModelRequest(
          token: token, model: settings.model, messages: [.system(system)] + talk.messages, tools: modelTools(settings),
          temperature: settings.temperature, maxTokens: settings.maxTokens, timeout: settings.timeout)))
  }

  private func patience(_ settings: AgentSettings) -> Duration {
    (settings.timeout ?? Self.modelLimit) + Self.modelGrace
  }

  private mutating func cancelRequest() {
    guard let request = frame.agent?.request else { return }
    out.append(.cancelModel(request.token))
    if frame.agent?.pieces.isEmpty == false { frame.agent?.turns += 1 }
    frame.agent?.request = nil
    frame.agent?.calls = []
    frame.agent?.rounds = 0
    frame.agent?.fillerDue = nil
  }

  private mutating func addUser(_ text: String) {
    frame.agent?.addUser(text)
    trace(
      .agentMessage(state: currentState, role: "user", text: hidingSecrets(AgentTalk.cut(text)), detail: .null))
  }

  /// The last answer is complete, as far as the caller is concerned: it joins the context and the record, once.
  mutating func recordAnswer(calls: [ModelToolCall] = []) {
    guard let talk = frame.agent, !talk.isRecorded else { return }
    frame.agent?.isRecorded = true
    guard !talk.pieces.isEmpty || !calls.isEmpty else { return }
    frame.agent?.addAnswer(calls: calls)
    let said = talk.pieces.map(\.text).joined(separator: " ")
    let heard = talk.heard
    trace(
      .agentMessage(
        state: currentState, role: "assistant", text: hidingSecrets(heard),
        detail: heard == said ? .null : ["said": .string(hidingSecrets(said))]))
  }

  // MARK: Answers

  private func isCurrent(_ token: ModelToken) -> Bool { frame.agent?.request?.token == token }

  /// A sign of life of the request: it may take as long again.
  private mutating func goesOn() {
    guard let settings = agent else { return }
    let deadline = now + patience(settings)
    frame.agent?.request?.deadline = deadline
  }

  mutating func modelSaid(_ token: ModelToken, _ text: String) {
    guard isCurrent(token) else { return }
    goesOn()
    let sentence = String(Evaluation.trimmed(text).prefix(AgentTalk.sentenceLimit))
    guard !sentence.isEmpty else { return }
    guard (frame.agent?.pieces.count ?? 0) < AgentTalk.pieceLimit else { return }
    frame.agent?.fillerDue = nil
    let shown = hidingSecrets(sentence)
    let isSecret = shown != sentence
    // Greetings and the like come again in the next call.
    let id = play(
      .text(sentence), voice: frame.dialog.settings.voice, language: frame.dialog.language, bargeIn: nil,
      cache: !isSecret, wait: false, recordedText: isSecret ? shown : nil)
    frame.agent?.pieces.append(AgentTalk.Piece(id: id, text: sentence))
    frame.hasPlayed = true
    frame.wasInterrupted = false
  }

  mutating func modelCalled(_ token: ModelToken, _ call: ModelToolCall) {
    guard isCurrent(token) else { return }
    goesOn()
    guard (frame.agent?.calls.count ?? 0) < AgentTalk.callLimit else { return }
    frame.agent?.calls.append(call)
  }

  mutating func modelFinished(_ token: ModelToken, reason: String) {
    guard isCurrent(token), let talk = frame.agent else { return }
    frame.agent?.request = nil
    if !talk.calls.isEmpty { return work(on: talk.calls) }
    guard !talk.pieces.isEmpty else {
      return leaveAgent("model", "the model gave an empty answer (\(reason.prefix(40)))")
    }
    frame.agent?.rounds = 0
    frame.agent?.mistakes = 0
    frame.agent?.turns += 1
  }

  mutating func modelFailed(_ token: ModelToken, error: String, message: String) {
    guard isCurrent(token) else { return }
    frame.agent?.request = nil
    leaveAgent("model", "\(error.prefix(40)): \(hidingSecrets(String(message.prefix(400))))")
  }

  // MARK: Time

  mutating func expireAgents() {
    guard let talk = frame.agent else { return }
    if let due = talk.fillerDue, due <= now {
      frame.agent?.fillerDue = nil
      if let fillers = agent?.fillers, !fillers.isEmpty, playing.allSatisfy(\.isLoop), speakingSince == nil {
        frame.agent?.nextFiller += 1
        playFiller(fillers[talk.nextFiller % fillers.count])
      }
    }
    if let request = talk.request, request.deadline <= now {
      cancelRequest()
      leaveAgent("model", "timeout: the model was given up: no answer came")
    }
    if talk.wayOut == nil, let endsAt = talk.endsAt, endsAt <= now {
      leaveAgent("agent_limit", "the conversation took too long")
    }
  }
}
