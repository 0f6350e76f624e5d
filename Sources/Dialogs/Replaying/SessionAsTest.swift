import Base

/// Turns a recorded session into a file of tests: what the caller did becomes steps, what the dialog said expectations, and
/// what backends and the model answered the script.
public struct SessionAsTest {
  /// - Parameter name: of the case.
  /// - Returns: the text of a `*.test.yaml`.
  /// - Throws: where the record cannot be read, or does not fit the dialog any more.
  public static func yaml(
    _ lines: [RecordedLine], session: SessionID, dialog: Dialog, library: [String: Dialog] = [:], name: String
  ) throws(JournalProblem) -> String {
    var replay = try SessionReplay(lines, session: session, dialog: dialog, library: library)
    var steps = SessionAsTest()
    let outcome = try replay.run { moment, session throws(JournalProblem) in steps.see(moment, session) }
    if let difference = outcome.difference { throw JournalProblem(difference.lines.joined(separator: "\n")) }
    steps.finish()
    return YAMLText.write(steps.document(replay.start, name: name))
  }

  private var steps: [YAMLNode] = []
  private var keys = ""
  private var pressAt: YAMLNode?
  private var speechAt: YAMLNode?
  private var state = ""
  private var audible: [(id: String, atMs: Int64, estimateMs: Int64)] = []
  private var texts: [String: String] = [:]
  private var hooks: [(key: String, token: String, atMs: Int64, answer: YAMLNode?)] = []
  private var model: [(request: String, sentences: [String], calls: [YAMLNode], failure: String?)] = []
  private var ownHolds = 0
  private var ownRecordings = 0
  private var reason: String?

  private init() {}

  private mutating func see(_ moment: SessionReplay.Moment, _ session: DialogSession) {
    switch moment {
    case .timer(_, let isPatience):
      flushKeys()
      if isPatience {
        sayState()
        steps.append("silence")
      }
    case .input(let input, let line): see(input, line)
    case .line(let line): see(line)
    }
  }

  // MARK: What happened

  private mutating func see(_ input: DialogInput, _ line: RecordedLine) {
    if case .digit = input {} else { flushKeys() }
    switch input {
    case .speech(let heard):
      var words: [(key: String, value: YAMLNode)] = [("text", .text(heard.transcript))]
      words.append(("confidence", .value(.double(heard.confidence))))
      if !heard.language.isEmpty { words.append(("language", .text(heard.language))) }
      if !heard.slots.isEmpty { words.append(("slots", .value(.map(heard.slots)))) }
      deed("say", words, at: speechAt ?? time(line.entry.atMs))
    case .noMatch:
      let at = speechAt ?? time(line.entry.atMs)
      deed("mumble", [], at: at)
    case .speechStarted:
      // Before the prompt is cut by it.
      speechAt = time(line.entry.atMs)
      return
    case .digit(let key):
      if keys.isEmpty { pressAt = time(line.entry.atMs) }
      keys.append(key)
      return
    case .custom(let name, let data):
      var words: [(key: String, value: YAMLNode)] = [("name", .text(name))]
      if data != .null { words.append(("data", .value(data))) }
      deed("event", words, at: time(line.entry.atMs))
    case .transferResult(let status): plain("transfer_result", .text(status))
    // What the dialog asked for itself comes by itself.
    case .callHeld: if !own(&ownHolds) { steps.append("held") }
    case .callResumed: if !own(&ownHolds) { steps.append("resumed") }
    case .recordingComplete: if !own(&ownRecordings) { steps.append("recording_complete") }
    case .answeredBy(let who): plain("answered_by", .text(who))
    case .hangup(let who, let why):
      reason = why
      guard who != "dialog", why != "error" else { return }
      sayState()
      steps.append(.map([("hangup", .text(why))]))
    case .callAnswered, .startAnswer, .speechPartial, .playbackFinished, .playbackInterrupted, .playbackFailed,
      .hookResult,
      .hookError, .modelSentence, .modelToolCall, .modelFinished, .modelFailed:
      return
    }
    speechAt = nil
  }

  private func own(_ count: inout Int) -> Bool {
    guard count > 0 else { return false }
    count -= 1
    return true
  }

  /// When in the prompt that is heard now, if one is; estimated prompts are shorter or longer than real ones.
  private func time(_ atMs: Int64) -> YAMLNode? {
    guard let first = audible.first, first.estimateMs > 0 else { return nil }
    let at = min(max(0, atMs - first.atMs), first.estimateMs * 9 / 10)
    return .text("\(at)ms")
  }

  private mutating func deed(_ name: String, _ words: [(key: String, value: YAMLNode)], at: YAMLNode?) {
    var words = words
    if let at { words.append(("at", at)) } else { sayState() }
    if words.isEmpty {
      steps.append(.text(name))
    } else {
      steps.append(.map([(name, .inline(.map(words)))]))
    }
  }

  private mutating func plain(_ name: String, _ value: YAMLNode) {
    sayState()
    steps.append(.map([(name, value)]))
  }

  private mutating func flushKeys() {
    guard !keys.isEmpty else { return }
    let pressed = keys
    keys = ""
    if let pressAt {
      steps.append(.map([("press", .inline(.map([("keys", .text(pressed)), ("at", pressAt)])))]))
    } else {
      sayState()
      steps.append(.map([("press", .text(pressed))]))
    }
  }

  private mutating func sayState() {
    guard !state.isEmpty else { return }
    steps.append(.map([("state", .text(state))]))
    state = ""
  }

  // MARK: What the dialog did

  private mutating func see(_ line: RecordedLine) {
    let fields = line.entry.fields
    func text(_ name: String) -> String { fields[name]?.stringValue ?? "" }
    if SessionJournal.isProduced(line.entry) { flushKeys() }
    switch line.entry.type {
    case "state_transition": state = text("to_state")
    case "tts_started" where fields["by"] == nil:
      let spoken = DialogPrompt.words(ofRecorded: text("text"))
      audible.append((text("playback_id"), line.entry.atMs, SpeakingTime.milliseconds(of: spoken)))
      if let pattern = Self.pattern(spoken) { steps.append(.map([("heard", .text(pattern))])) }
    case "tts_completed", "tts_interrupted": audible.removeAll { $0.id == text("playback_id") }
    case "action_executed": seeAction(text("action"), fields["detail"] ?? .null, line.entry.atMs)
    case "hook_result": answered(text("hook"), line.entry.atMs, .value(fields["result"] ?? .null))
    case "hook_error":
      var answer: [(key: String, value: YAMLNode)] = [("error", .text(text("error")))]
      if let status = fields["status"]?.intValue, status != 0 { answer.append(("status", .value(.int(status)))) }
      if !text("message").isEmpty { answer.append(("message", .text(text("message")))) }
      answered(text("hook"), line.entry.atMs, .map(answer))
    case "model_sentence": withRequest(text("request")) { $0.sentences.append(text("text")) }
    case "model_tool_call":
      let arguments = (try? JSON.decode(text("arguments"))) ?? .map([:])
      withRequest(text("request")) { $0.calls.append(.map([(text("tool"), .inline(.value(arguments)))])) }
    case "model_finished": withRequest(text("request")) { _ in }
    case "model_error": withRequest(text("request")) { $0.failure = text("error") }
    case "custom_event":
      var words: [(key: String, value: YAMLNode)] = [("name", .text(text("name")))]
      if let data = fields["data"], data != .null, !data.holdsSecret { words.append(("data", .value(data))) }
      steps.append(.map([("emitted", .inline(.map(words)))]))
    case "error" where fields["state"] != nil:
      if !DialogTrace.isOfTheWorld(text("code")) {
        steps.append(.map([("error", .text(text("code")))]))
      }
    default: break
    }
  }

  private mutating func seeAction(_ action: String, _ detail: Value, _ atMs: Int64) {
    func text(_ name: String) -> String { detail[name]?.stringValue ?? "" }
    switch action {
    case "call_hook":
      let path = text("path")
      let key = text("service").isEmpty ? text("url") : text("service") + (path.hasPrefix("/") ? path : "/" + path)
      hooks.append((key, text("token"), atMs, nil))
    case "hold", "unhold": ownHolds += 1
    case "record" where text("operation") == "stop": ownRecordings += 1
    case "transfer": if !text("target").isEmpty { steps.append(.map([("transfer", .text(text("target")))])) }
    default: break
    }
  }

  private mutating func answered(_ token: String, _ atMs: Int64, _ answer: YAMLNode) {
    guard let index = hooks.firstIndex(where: { $0.token == token && $0.answer == nil }) else { return }
    // A quick answer needs no word; a slow one may have cost the caller a filler.
    let delayMs = min(atMs - hooks[index].atMs, 4_900)
    guard delayMs >= DialogSession.fillerDelay.milliseconds - 100 else { return hooks[index].answer = answer }
    let delay: (key: String, value: YAMLNode) = ("delay", .text("\(delayMs)ms"))
    switch answer {
    case .map(let members): hooks[index].answer = .map(members + [delay])
    case .value(.map(let members)):
      hooks[index].answer = .map(members.sorted { $0.key < $1.key }.map { ($0.key, .value($0.value)) } + [delay])
    default: hooks[index].answer = answer
    }
  }

  private mutating func withRequest(
    _ request: String,
    _ change: (inout (request: String, sentences: [String], calls: [YAMLNode], failure: String?)) -> Void
  ) {
    if model.last?.request != request { model.append((request, [], [], nil)) }
    change(&model[model.count - 1])
  }

  // MARK: The file

  private mutating func finish() {
    flushKeys()
    if let reason {
      steps.append(.map([("ended", .text(reason))]))
    } else {
      sayState()
    }
  }

  private func document(_ start: SessionStart, name: String) -> YAMLNode {
    var call: [(key: String, value: YAMLNode)] = [("session_id", .text(start.call.session.value))]
    for (key, text) in [
      ("caller_id", start.call.callerID), ("called_number", start.call.calledNumber), ("from_uri", start.call.fromURI),
      ("to_uri", start.call.toURI), ("trunk", start.call.trunk ?? ""),
    ] where !text.isEmpty { call.append((key, .text(text))) }
    if !start.call.headers.isEmpty { call.append(("sip_headers", .value(.map(start.call.headerValues)))) }
    var members: [(key: String, value: YAMLNode)] = [
      ("dialog", .text(start.dialogName)), ("now", .text(UTCTime.text(milliseconds: start.startedAtMs))),
      ("call", .map(call)),
      (
        "settings",
        .inline([
          "timeout": .text("\(start.limits.timeout.milliseconds)ms"),
          "max_depth": .value(.int(Int64(start.limits.maxDepth))), "barge_in": .value(.bool(start.limits.bargeIn)),
        ])
      ),
    ]
    if !start.variables.isEmpty { members.append(("variables", .value(.map(start.variables)))) }
    if !hooks.isEmpty {
      var answers: [(key: String, value: YAMLNode)] = []
      for key in Set(hooks.map(\.key)).sorted() {
        let own = hooks.filter { $0.key == key }
        answers.append((key, .list(own.map { $0.answer ?? ["error": "timeout", "delay": "4900ms"] })))
      }
      members.append(("hooks", .map(answers)))
    }
    if !model.isEmpty {
      members.append(
        (
          "model",
          .list(
            model.map { answer in
              var parts: [(key: String, value: YAMLNode)] = []
              if !answer.sentences.isEmpty { parts.append(("say", .text(answer.sentences.joined(separator: " ")))) }
              if !answer.calls.isEmpty { parts.append(("calls", .list(answer.calls))) }
              if let failure = answer.failure { parts.append(("fail", .text(failure))) }
              return .map(parts)
            })
        ))
    }
    members.append(("cases", [.map([("name", .text(name)), ("steps", .list(steps))])]))
    return .map(members)
  }

  /// What `heard` has to say for a recorded text; hidden values in it may be anything.
  private static func pattern(_ text: String) -> String? {
    guard text.contains(where: { !$0.isWhitespace && $0 != "*" }) else { return nil }
    guard text.contains("***") || text.hasPrefix("/") else { return text.utf8.count <= 900 ? text : nil }
    var pattern = ""
    for (i, piece) in text.split(separator: "***", omittingEmptySubsequences: false).enumerated() {
      if i > 0 { pattern += ".*" }
      for character in piece {
        if "\\^$.|?*+()[]{}".contains(character) { pattern.append("\\") }
        pattern.append(character)
      }
    }
    return pattern.utf8.count <= 900 ? "/\(pattern)/" : nil
  }
}

extension Value {
  fileprivate var holdsSecret: Bool {
    switch self {
    case .string(let text): text.contains("***")
    case .list(let items): items.contains(where: \.holdsSecret)
    case .map(let map): map.values.contains(where: \.holdsSecret)
    default: false
    }
  }
}
