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
        return giveUp()
      }
      if !events.isEmpty {
        dispatch(events.removeFirst())
      } else if frame.runs.last?.isWaiting == false {
        advance()
      } else if !held.isEmpty, let next = nextHeld {
        accept(held.remove(at: next))
      } else if isComplete {
        frame.hasPlayed = false
        events.append(Event(.ttsComplete, isOptional: true))
      } else if frame.agent == nil || !agentGoesOn() {
        return
      }
    }
  }

  /// Everything the state had to say has been said.
  private var isComplete: Bool {
    guard frame.hasPlayed, frame.runs.isEmpty, playing.allSatisfy(\.isLoop), frame.agent?.isBusy != true else {
      return false
    }
    // Whoever cut the prompt is about to say or key something: that decides, not the end of the prompt.
    return !(frame.wasInterrupted && (hearsSpeech || hearsKeys))
  }

  private mutating func advance() {
    guard let last = frame.runs.indices.last else { return }
    guard let step = frame.step(of: frame.runs[last]) else {
      let run = frame.runs.removeLast()
      switch run.then {
      case .stay: break
      case .rest:
        frame.enterProgress = run.next
        comeToRest()
      case .enter(let target, let trigger): enter(target, trigger: trigger, wasAnswered: run.hasSpoken)
      }
      return
    }
    let isRepeated = frame.runs[last].next < frame.runs[last].effectsFrom
    frame.runs[last].next += 1
    if case .rest = frame.runs[last].then { frame.enterProgress = max(frame.enterProgress, frame.runs[last].next) }
    if isRepeated {
      switch step.action {
      case .playTTS, .playAudio, .silence, .collectDigits, .listen: break
      default: return
      }
    }
    perform(step.action)
  }

  /// The actions of the state are done.
  private mutating func comeToRest() {
    guard let stateIndex else { return }
    if frame.dialog.plan.states[stateIndex].isTerminal {
      // Whoever has somebody else to talk to is left alone.
      if isConnected { return }
      if callers.isEmpty { hangUp(reason: "normal") } else { returnToCaller() }
    } else if frame.agent != nil {
      agentBegins()
    }
  }

  /// - Parameter wasAnswered: whether the transition said something to what the caller had said.
  mutating func enter(_ target: Int, trigger: String, from: String? = nil, wasAnswered: Bool = false) {
    let from = from ?? currentState
    let plan = frame.dialog.plan
    frame.runs.removeAll(keepingCapacity: true)
    if frame.stateIndex != target {
      frame.noInputCount = 0
      frame.noMatchCount = 0
      set(.noInputCount, 0)
      set(.noMatchCount, 0)
    }
    frame.stateIndex = target
    set(.currentState, .string(plan.states[target].name))
    frame.enterProgress = 0
    frame.hasPlayed = false
    frame.wasInterrupted = false
    keyed = ""
    typedAhead = ""
    interDigitDeadline = nil
    frame.listenOverride = nil
    trace(.stateTransition(from: from, to: currentState, trigger: trigger))
    announceListening()
    setTimers()
    if plan.states[target].isAgent { enterAgent(answering: trigger == "speech" && !wasAnswered) }
    var run = Run(.enter(target), then: .rest)
    // Entered in the middle of the caller's sentence: nothing is said into it.
    run.isCut = speakingSince != nil && hearsSpeech
    frame.runs.append(run)
  }

  func announcedListen() -> DialogListen? {
    stateIndex.map { frame.dialog.listen(in: $0, override: frame.listenOverride, bargeIn: limits.bargeIn) }
  }

  mutating func announceListening() {
    guard let listen = announcedListen(), listen != lastListen else { return }
    lastListen = listen
    out.append(.listen(listen))
  }

  // MARK: One action

  mutating func perform(_ command: DialogCommand) {
    switch command {
    case .playTTS(let speak): speakText(speak)
    case .playAudio(let url, let bargeIn, let loop, let wait):
      guard !isPassedOver(bargeIn, "play_audio"), let text = render(url) else { return }
      executed("play_audio", ["url": .string(renderHidden(url, as: text))])
      play(.audio(url: text), bargeIn: bargeIn, loop: loop, wait: wait)
      if !loop { frame.hasPlayed = true }
    case .silence(let duration):
      guard !isPassedOver(nil, "silence") else { return }
      executed("silence", ["duration_ms": .int(duration.milliseconds)])
      play(.silence(ms: Int(clamping: duration.milliseconds)), bargeIn: nil, wait: true)
    case .setVariables(let assignments): setVariables(assignments)
    case .callHook(let hook): callHook(hook)
    case .collectDigits(let collect):
      executed("collect_digits", ["max": .int(Int64(collect.max)), "min": .int(Int64(collect.min))])
      beginCollecting(collect)
    case .listen(let settings):
      executed("listen", [:])
      frame.listenOverride = settings
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
      guard let target = frame.dialog.index(ofState: name) else { return }
      executed("goto", ["target": .string(name)])
      take(target: target, place: .none, trigger: "goto")
    case .hangup(let reason): hangUp(reason: reason)
    case .transfer(let step): transfer(step)
    case .hold:
      out.append(.hold)
      executed("hold", [:])
    case .unhold:
      out.append(.unhold)
      executed("unhold", [:])
    case .sendDigits(let digits, let durationMs): sendDigits(digits, durationMs: durationMs)
    case .record(let step):
      out.append(.record(step))
      executed(
        "record",
        ["operation": .string(step.operation.rawValue), "channels": .string(step.channels.rawValue)])
    case .runDialog(let step): runDialog(step)
    }
  }

  mutating func executed(_ action: String, _ detail: [String: Value]) {
    trace(.actionExecuted(state: currentState, action: action, detail: .map(detail)))
  }

  private mutating func speakText(_ speak: SpeakStep) {
    guard !isPassedOver(speak.bargeIn, "play_tts") else { return }
    guard let spoken = render(speak.text, isMarkup: speak.isSSML), let voice = render(speak.voice),
      let language = render(speak.language)
    else { return }
    let isSecret = readsSecret(in: speak.text)
    let recorded = isSecret ? renderHidden(speak.text, isMarkup: speak.isSSML) : nil
    executed("play_tts", ["text": .string(recorded ?? spoken)])
    // A prompt that comes out empty would only make noise in the synthesizer.
    guard decided(isSecret, { _ in spoken.contains { !$0.isWhitespace } }) else { return }
    play(
      speak.isSSML ? .markup(spoken) : .text(spoken), voice: voice.isEmpty ? frame.dialog.settings.voice : voice,
      speed: speak.speed, language: language.isEmpty ? frame.dialog.language : language, bargeIn: speak.bargeIn,
      cache: speak.cache && !isSecret, wait: speak.wait, recordedText: recorded)
    frame.hasPlayed = true
  }

  /// After a barge-in the prompts that follow in the same list are not started: the caller has the word.
  private mutating func isPassedOver(_ bargeIn: Bool?, _ action: String) -> Bool {
    guard frame.runs.last?.isCut == true, allowsBargeIn(bargeIn) else { return false }
    executed(action, ["skipped": true])
    return true
  }

  func allowsBargeIn(_ own: Bool?) -> Bool {
    own ?? frame.listenOverride?.bargeIn ?? stateIndex.flatMap { frame.dialog.states[$0].listen.bargeIn }
      ?? frame.dialog.settings.bargeIn ?? limits.bargeIn
  }

  @discardableResult
  mutating func play(
    _ source: DialogPrompt.Source, voice: String = "", speed: Double = 1, language: String = "", bargeIn: Bool?,
    cache: Bool = true, loop: Bool = false, wait: Bool, isFiller: Bool = false, recordedText: String? = nil
  ) -> PlaybackID {
    lastPlayback += 1
    let id = PlaybackID(lastPlayback)
    let isCuttable = allowsBargeIn(bargeIn)
    playing.append(Playing(id: id, level: level, isLoop: loop, isFiller: isFiller, allowsBargeIn: isCuttable))
    out.append(
      .say(
        DialogPrompt(
          id: id, source: source, voice: voice, speed: speed, language: language, bargeIn: isCuttable,
          cache: cache, loop: loop, recordedText: recordedText)))
    if let last = frame.runs.indices.last {
      frame.runs[last].hasSpoken = true
      if wait { frame.runs[last].wait = .playback(id) }
    }
    return id
  }

  mutating func playFiller(_ text: Template) {
    guard let spoken = render(text), !spoken.isEmpty else { return }
    let isSecret = readsSecret(in: text)
    play(
      .text(spoken), voice: frame.dialog.settings.voice, language: frame.dialog.language, bargeIn: nil,
      cache: !isSecret, wait: false, isFiller: true, recordedText: isSecret ? renderHidden(text) : nil)
  }
}
