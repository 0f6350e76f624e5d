import Base

/// How lists of actions run.
extension DialogSession {
  /// Works until nothing can go on without time or an input.
  mutating func settle() {
    var steps = 0
    while phase == .running {
      steps += 1
      guard steps < Self.stepLimit else {
        trace(.failure(state: currentState, code: "steps", message: "the dialog does not come to rest"))
        return hangUp(reason: "error")
      }
      if !events.isEmpty {
        dispatch(events.removeFirst())
      } else if let run = runs.last, run.wait == .none {
        advance()
      } else if let input = held.first, !mustWait(input) {
        accept(held.removeFirst())
      } else if isComplete {
        hasPlayed = false
        events.append(Event("tts_complete", isOptional: true))
      } else {
        return
      }
    }
  }

  /// Everything the state had to say has been said.
  private var isComplete: Bool {
    guard hasPlayed, runs.isEmpty, playing.allSatisfy(\.isLoop) else { return false }
    // Whoever cut the prompt is about to say or key something: that decides, not the end of the prompt.
    return !(wasInterrupted && (hearsSpeech || hearsKeys))
  }

  private mutating func advance() {
    guard let last = runs.indices.last else { return }
    let run = runs[last]
    guard run.next < run.actions.count else {
      runs.removeLast()
      switch run.then {
      case .stay: break
      case .rest:
        enterProgress = run.actions.count
        if state?.isTerminal == true { hangUp(reason: "normal") }
      case .enter(let target, let trigger): enter(target, trigger: trigger)
      }
      return
    }
    let step = run.actions[run.next]
    let isRepeated = run.next < run.effectsFrom
    runs[last].next += 1
    if case .rest = run.then { enterProgress = max(enterProgress, run.next + 1) }
    if isRepeated {
      switch step.action {
      case .playTTS, .playAudio, .silence, .collectDigits, .listen: break
      default: return
      }
    }
    perform(step)
  }

  mutating func enter(_ target: Int, trigger: String) {
    let from = currentState
    let next = dialog.states[target]
    runs = []
    if from != next.name {
      noInputCount = 0
      noMatchCount = 0
      values["no_input_count"] = 0
      values["no_match_count"] = 0
    }
    stateIndex = target
    values["current_state"] = .string(next.name)
    enterProgress = 0
    hasPlayed = false
    wasInterrupted = false
    keyed = ""
    typedAhead = ""
    interDigitDeadline = nil
    listenOverride = nil
    trace(.stateTransition(from: from, to: next.name, trigger: trigger))
    announceListening()
    setTimers()
    runs = [Run(actions: next.onEnter, then: .rest)]
    // Entered in the middle of the caller's sentence: nothing is said into it.
    runs[0].isCut = speakingSince != nil && hearsSpeech
  }

  func announcedListen() -> DialogListen? {
    state.map { dialog.listen(for: $0, override: listenOverride, bargeIn: limits.bargeIn) }
  }

  private mutating func announceListening() {
    guard let listen = announcedListen(), listen != lastListen else { return }
    lastListen = listen
    out.append(.listen(listen))
  }

  // MARK: One action

  mutating func perform(_ step: ActionStep) {
    switch step.action {
    case .playTTS(let speak):
      guard !isPassedOver(speak.bargeIn, "play_tts") else { return }
      guard let spoken = render(speak.text), let voice = render(speak.voice), let language = render(speak.language)
      else { return }
      let isSecret = !speak.text.names.isDisjoint(with: masked)
      let recorded = isSecret ? renderHidden(speak.text) : nil
      executed("play_tts", ["text": .string(recorded ?? spoken)])
      // A prompt that comes out empty would only make noise in the synthesizer.
      guard spoken.contains(where: { !$0.isWhitespace }) else { return }
      play(
        speak.isSSML ? .markup(spoken) : .text(spoken), voice: voice.isEmpty ? dialog.settings.voice : voice,
        speed: speak.speed, language: language.isEmpty ? dialog.language : language, bargeIn: speak.bargeIn,
        cache: speak.cache && !isSecret, wait: speak.wait, recordedText: recorded)
      hasPlayed = true
    case .playAudio(let url, let bargeIn, let loop, let wait):
      guard !isPassedOver(bargeIn, "play_audio"), let url = render(url) else { return }
      executed("play_audio", ["url": .string(url)])
      play(.audio(url: url), bargeIn: bargeIn, loop: loop, wait: wait)
      if !loop { hasPlayed = true }
    case .silence(let duration):
      guard !isPassedOver(nil, "silence") else { return }
      executed("silence", ["duration_ms": .int(duration.milliseconds)])
      play(.silence(ms: Int(duration.milliseconds)), bargeIn: nil, wait: true)
    case .setVariables(let assignments): setVariables(assignments)
    case .callHook(let hook): callHook(hook)
    case .collectDigits(let collect):
      executed("collect_digits", ["max": .int(Int64(collect.max)), "min": .int(Int64(collect.min))])
      beginCollecting(collect)
    case .listen(let settings):
      executed("listen", [:])
      listenOverride = settings
      announceListening()
      setTimers()
    case .log(let message, let level):
      guard let text = renderHidden(message) else { return }
      out.append(.log(level: level, message: text))
      executed("log", ["level": .string(level)])
    case .emit(let name, let data):
      var value = Value.null
      if let data {
        guard let hidden = evaluateHidden(data) else { return }
        value = hidden
      }
      out.append(.emit(name: name, data: value))
      executed("emit", ["name": .string(name)])
    case .goto(let name):
      guard let target = dialog.index(ofState: name) else { return }
      executed("goto", ["target": .string(name)])
      take(target: target, actions: [], trigger: "goto")
    case .hangup(let reason): hangUp(reason: reason)
    case .transfer, .hold, .unhold, .sendDigits, .record, .runDialog: break
    }
  }

  func executedTrace(_ action: String, _ detail: [String: Value]) -> DialogTrace {
    .actionExecuted(state: currentState, action: action, detail: .map(detail))
  }

  private mutating func executed(_ action: String, _ detail: [String: Value]) { trace(executedTrace(action, detail)) }

  /// After a barge-in the prompts that follow in the same list are not started: the caller has the word.
  private mutating func isPassedOver(_ bargeIn: Bool?, _ action: String) -> Bool {
    guard runs.last?.isCut == true, allowsBargeIn(bargeIn) else { return false }
    executed(action, ["skipped": true])
    return true
  }

  private func allowsBargeIn(_ own: Bool?) -> Bool {
    own ?? listenOverride?.bargeIn ?? state?.listen.bargeIn ?? dialog.settings.bargeIn ?? limits.bargeIn
  }

  private mutating func play(
    _ source: DialogPrompt.Source, voice: String = "", speed: Double = 1, language: String = "", bargeIn: Bool?,
    cache: Bool = true, loop: Bool = false, wait: Bool, isFiller: Bool = false, recordedText: String? = nil
  ) {
    lastPlayback += 1
    let id = PlaybackID(lastPlayback)
    let isCuttable = allowsBargeIn(bargeIn)
    playing.append(Playing(id: id, isLoop: loop, isFiller: isFiller, allowsBargeIn: isCuttable))
    out.append(
      .say(
        DialogPrompt(
          id: id, source: source, voice: voice, speed: speed, language: language, bargeIn: isCuttable,
          cache: cache, loop: loop, recordedText: recordedText)))
    if wait, let last = runs.indices.last { runs[last].wait = .playback(id) }
  }

  mutating func playFiller(_ text: Template) {
    guard let spoken = render(text), !spoken.isEmpty else { return }
    let isSecret = !text.names.isDisjoint(with: masked)
    play(
      .text(spoken), voice: dialog.settings.voice, language: dialog.language, bargeIn: nil, cache: !isSecret,
      wait: false, isFiller: true, recordedText: isSecret ? renderHidden(text) : nil)
  }

  private mutating func beginCollecting(_ step: CollectStep) {
    guard let last = runs.indices.last else { return }
    keyed = ""
    runs[last].wait = .digits(step)
    if let timeout = step.timeout { silence.set(timeout) }
    let early = typedAhead
    typedAhead = ""
    for key in early {
      guard let last = runs.last, case .digits(let current) = last.wait, current == step else { break }
      collect(key, step)
    }
  }

  // MARK: Values

  private mutating func setVariables(_ assignments: [(name: String, value: ValueSource)]) {
    var names: [Value] = []
    for assignment in assignments {
      guard let value = evaluate(assignment.value) else { continue }
      // A secret stays one under another name.
      if !assignment.value.names.isDisjoint(with: masked) { masked.insert(assignment.name) }
      if assign(assignment.name, value) { names.append(.string(assignment.name)) }
    }
    executed("set_variable", ["names": .list(names)])
  }

  /// Sets a variable if the value is of its type.
  @discardableResult
  mutating func assign(_ name: String, _ value: Value) -> Bool {
    if let declared = dialog.variables.first(where: { $0.name == name }) {
      let wanted = StaticType(of: declared.initial)
      guard value == .null || wanted == .null || StaticType(of: value) == wanted else {
        fail("type", "`\(name)` holds \(wanted.description), but was given \(StaticType(of: value).description)")
        return false
      }
    }
    guard values[name] != value else { return true }
    values[name] = value
    trace(.variableChanged(name: name, value: masked.contains(name) ? "***" : value))
    return true
  }

  mutating func render(_ template: Template) -> String? {
    var evaluation = Evaluation(variables: values, wallMs: wallMs)
    do {
      return try evaluation.text(of: template)
    } catch {
      failExpression(template.source, template.names, error)
      return nil
    }
  }

  mutating func evaluate(_ source: ValueSource) -> Value? {
    var evaluation = Evaluation(variables: values, wallMs: wallMs)
    do {
      return try evaluation.value(of: source)
    } catch {
      failExpression("", source.names, error)
      return nil
    }
  }

  /// The message may quote a value, which must not be a secret.
  private mutating func failExpression(_ source: String, _ names: Set<String>, _ error: EvaluationError) {
    let message = names.isDisjoint(with: masked) ? error.message : "an expression with a masked variable failed"
    fail("expression", source.isEmpty ? message : "`\(source.prefix(80))`: \(message)")
  }

  /// The values as records may see them.
  var hiddenValues: [String: Value] {
    var hidden = values
    for name in masked where hidden[name] != nil { hidden[name] = "***" }
    return hidden
  }

  mutating func renderHidden(_ template: Template) -> String? {
    guard !template.names.isDisjoint(with: masked) else { return render(template) }
    var evaluation = Evaluation(variables: hiddenValues, wallMs: wallMs)
    // Arithmetic with a hidden value fails; then the whole text is hidden.
    return (try? evaluation.text(of: template)) ?? "***"
  }

  mutating func evaluateHidden(_ source: ValueSource) -> Value? {
    guard !source.names.isDisjoint(with: masked) else { return evaluate(source) }
    var evaluation = Evaluation(variables: hiddenValues, wallMs: wallMs)
    return (try? evaluation.value(of: source)) ?? "***"
  }
}

extension ValueSource {
  /// Every variable it reads.
  var names: Set<String> {
    switch self {
    case .constant: []
    case .expression(let expression): expression.names
    case .template(let template): template.names
    case .list(let items): items.reduce(into: []) { $0.formUnion($1.names) }
    case .map(let pairs): pairs.reduce(into: []) { $0.formUnion($1.value.names) }
    }
  }
}
