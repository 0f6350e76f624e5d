import Base
import Dialogs

/// A call whose caller, backends and models do anything at all, in virtual time, from a seed. It performs a session's actions
/// the way the runtime does, keeps the record that the runtime would keep, and complains of what must never happen.
struct RandomCaller {
  /// What must never happen, as a sentence.
  struct Broken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  /// An input and when it happened.
  struct Step {
    var input: DialogInput
    var atMs: Int64
  }

  let start: SessionStart
  private(set) var session: DialogSession
  private(set) var steps: [Step] = []
  private(set) var actions: [DialogAction] = []
  /// The record, line by line.
  private(set) var record: [JournalEntry] = []
  private(set) var mostActions = 0
  /// What backends answer; empty: anything.
  var answers: [Value] = []
  var keepsRecord = true

  private var random: SeededRandom
  private var atMs: Int64 = 0
  private var playing: [DialogPrompt] = []
  private var hooks: [DialogHook] = []
  private var models: [ModelRequest] = []
  /// Their answers may still come.
  private var cancelled: [HookToken] = []
  private var cancelledModels: [ModelToken] = []
  private var transfers = 0
  /// The session waits until the caller comes back or hangs up.
  private var isOnHold = false
  private var isConnected = false
  private var saidIDs: Set<PlaybackID> = []
  private var isHangingUp = false
  private let events: [String]
  /// Values that nobody may read in a record.
  private var secrets: [String] = []
  private var secretKeys = ""

  init(dialog: Dialog, library: [String: Dialog] = [:], random: SeededRandom) {
    self.random = random
    var headers: [(name: String, value: String)] = []
    var variables: [String: Value] = [:]
    var secrets: [String] = []
    if self.random.next() % 3 == 0 { headers = [("X-Queue", "it"), ("Subject", "{{ 6 * 7 }}")] }
    for name in dialog.maskedVariables.sorted() {
      let secret = "secret" + self.random.token(8)
      secrets.append(secret)
      if self.random.next() % 2 == 0 { variables[name] = .string(secret) }
    }
    self.secrets = secrets
    start = SessionStart(
      call: CallFacts(
        session: SessionID("01J\(self.random.token(8))"), callerID: "+4930\(self.random.next() % 10_000)",
        calledNumber: "100", fromURI: "sip:alice@branch.example", toURI: "sip:100@parley.example", headers: headers),
      dialogName: dialog.name, dialogVersion: dialog.version, variables: variables,
      limits: DialogLimits(
        timeout: .milliseconds(Int64(1_000 + self.random.next() % 10_000)), maxDepth: Int(10 + self.random.next() % 50)),
      // Any day and hour: dialogs have opening times.
      startedAtMs: 1_700_000_000_000 + Int64(self.random.next() % 31_536_000) * 1_000)
    session = DialogSession(
      dialog: dialog, variables: start.variables, call: start.call, library: library, limits: start.limits)
    var events = Set(dialog.transitions.map(\.event))
    for state in dialog.states { events.formUnion(state.transitions.map(\.event)) }
    self.events = events.subtracting(DialogLanguage.events).sorted() + ["poke", "speech", "*", "no such event"]
    record.append(start.entry(masked: dialog.maskedVariables))
  }

  // MARK: The call

  /// Answers the call, lets `inputs` things happen, and hangs up.
  mutating func call(inputs: Int) throws {
    try give(.callAnswered)
    for _ in 0..<inputs where !session.isEnded {
      try happen()
    }
    if !session.isEnded { try give(.hangup(by: "caller", reason: "caller")) }
    guard session.isEnded, session.deadline == nil else { throw broken("the call is over, but the session goes on") }
    guard session.receive(.digit("1"), at: Instant(nanoseconds: atMs * 1_000_000), wallMs: 0).isEmpty else {
      throw broken("a session that has ended still acts")
    }
    try checkSecrets()
  }

  private mutating func pick(_ count: Int) -> Int { Int(random.next() >> 33) % max(1, count) }
  private mutating func one<T>(_ items: [T]) -> T { items[pick(items.count)] }

  /// Time passes, and something happens.
  private mutating func happen() throws {
    let now = atMs
    switch pick(10) {
    case 0...3: break
    case 4...7: atMs += Int64(pick(900))
    case 8: atMs += Int64(pick(5_000))
    default: atMs += Int64(pick(100_000))
    }
    let until = atMs
    atMs = now
    try serveTimers(until: until)
    atMs = until
    if session.isEnded { return }
    if isHangingUp, pick(3) == 0 { return try give(.hangup(by: "runtime", reason: "normal")) }
    switch pick(24) {
    case 0...5 where !playing.isEmpty: try give(.playbackFinished(playing.removeFirst().id))
    case 6, 7: try bargeIn()
    case 8, 9: try speak()
    case 10...12: try press()
    case 13...14 where !hooks.isEmpty: try answerHook()
    case 15...17 where !models.isEmpty: try answerModel()
    case 18: try give(.custom(name: one(events), data: anything()))
    case 19 where transfers > 0:
      transfers -= 1
      try give(
        .transferResult(status: one(["connected", "busy", "no_answer", "refused", "failed", "unsupported", "?"])))
    case 20: try oddity()
    case 21: try waitForDeadline()
    case 22 where pick(12) == 0: try give(.hangup(by: one(["caller", "api"]), reason: "caller"))
    default:
      if !playing.isEmpty {
        try give(.playbackFinished(playing.removeFirst().id))
      } else if !hooks.isEmpty {
        try answerHook()
      } else if !models.isEmpty {
        try answerModel()
      } else {
        try waitForDeadline()
      }
    }
  }

  private mutating func serveTimers(until limit: Int64) throws {
    var rounds = 0
    while let deadline = session.deadline, deadline <= Instant(nanoseconds: limit * 1_000_000) {
      rounds += 1
      guard rounds < 2_000 else { throw broken("the timers do not come to rest") }
      atMs = max(atMs, deadline.nanoseconds / 1_000_000)
      let actions = session.timeout(at: Instant(nanoseconds: atMs * 1_000_000), wallMs: start.wallMs(atMs: atMs))
      // A deadline that is not served would make its owner spin.
      if session.deadline == deadline, actions.isEmpty { throw broken("a deadline was not served") }
      try take(actions)
    }
  }

  private mutating func waitForDeadline() throws {
    guard let deadline = session.deadline else { return }
    try serveTimers(until: deadline.nanoseconds / 1_000_000)
  }

  private mutating func give(_ input: DialogInput) throws {
    switch input {
    case .callHeld: isOnHold = true
    case .callResumed: isOnHold = false
    case .transferResult(let status): isConnected = isConnected || status == "connected"
    default: break
    }
    let at = Instant(nanoseconds: atMs * 1_000_000)
    steps.append(Step(input: input, atMs: atMs))
    if keepsRecord { record.append(SessionJournal.entry(for: input, at: at, in: session)) }
    try take(session.receive(input, at: at, wallMs: start.wallMs(atMs: atMs)))
  }

  /// No input makes more actions than this: `max_depth` and the limit of steps see to it.
  static let actionLimit = 6_000

  private mutating func take(_ new: [DialogAction]) throws {
    actions += new
    mostActions = max(mostActions, new.count)
    guard new.count <= Self.actionLimit else { throw broken("one input made \(new.count) actions") }
    for action in new {
      switch action {
      case .say(let prompt):
        guard saidIDs.insert(prompt.id).inserted else { throw broken("two prompts are named \(prompt.id)") }
        guard !isHangingUp else { throw broken("something is said after the end") }
        playing.append(prompt)
      case .stop(let id):
        guard saidIDs.contains(id) else { throw broken("\(id) is stopped and was never said") }
        playing.removeAll { $0.id == id }
      case .callHook(let hook): hooks.append(hook)
      case .cancelHook(let token):
        hooks.removeAll { $0.token == token }
        cancelled.append(token)
      case .askModel(let request): models.append(request)
      case .cancelModel(let token):
        models.removeAll { $0.token == token }
        cancelledModels.append(token)
      case .transfer: transfers += 1
      case .hangup:
        guard !isHangingUp else { throw broken("the call is hung up twice") }
        isHangingUp = true
      case .listen, .hold, .unhold, .sendDigits, .record, .outcome, .emit, .log, .trace: break
      }
      if keepsRecord, let entry = SessionJournal.entry(for: action, at: Instant(nanoseconds: atMs * 1_000_000)) {
        record.append(entry)
      }
    }
    try checkThatItWaits()
  }

  /// A session that runs waits for something that must come: a time, the end of a prompt, an answer.
  private func checkThatItWaits() throws {
    guard session.deadline == nil, !session.isEnded, !isHangingUp else { return }
    if playing.isEmpty, hooks.isEmpty, models.isEmpty, transfers == 0, !isOnHold, !isConnected {
      throw broken("in `\(session.currentState)` the session waits for nothing")
    }
  }

  /// With what happened last.
  private func broken(_ what: String) -> Broken {
    Broken(what + "; last: " + steps.suffix(8).map { "\($0.atMs) ms \($0.input)" }.joined(separator: ", "))
  }

  // MARK: What can happen

  private mutating func bargeIn() throws {
    try give(.speechStarted)
    guard pick(3) > 0 else { return }
    for prompt in playing where prompt.bargeIn {
      guard !session.isEnded else { return }
      playing.removeAll { $0.id == prompt.id }
      try give(.playbackInterrupted(prompt.id, heard: "so far", byCaller: pick(5) > 0))
    }
    guard !session.isEnded else { return }
    if pick(3) > 0 { try speak() }
  }

  private static let words = [
    "yes", "no", "yes please", "help", "a person", "monday", "in the morning", "purple elephants", "goodbye",
    "{{ 6 * 7 }}",
    "'quoted' \"text\"", "<speak>", "four seven one one", "Ünïcödé 🙂", "",
  ]

  private mutating func words() -> String {
    if pick(3) > 0, let state = session.dialog.state(named: session.currentState) {
      let phrases = session.dialog.listenPhrases(for: state)
      if !phrases.isEmpty { return one(phrases) }
    }
    return one(Self.words)
  }

  private mutating func speak() throws {
    switch pick(8) {
    case 0: try give(.noMatch)
    case 1: try give(.speechPartial(transcript: words()))
    default:
      let slots: [String: Value] = pick(4) == 0 ? ["city": "Rome", "n": anything()] : [:]
      try give(
        .speech(
          HeardSpeech(
            transcript: words(), confidence: Double(pick(11)) / 10, language: pick(9) == 0 ? "de" : "", slots: slots)))
    }
  }

  private mutating func press() throws {
    let state = session.dialog.state(named: session.currentState)
    let patterns = (state?.transitions ?? []).compactMap { $0.digits?.source }
    var keys = patterns.isEmpty || pick(3) == 0 ? Array("0123456789*#A") : Array(one(patterns))
    // Keys that nothing else in a record looks like, where they are secret.
    if session.isCollectingSecret, pick(2) == 0 { keys = Array("ABCD") }
    for _ in 0..<(pick(3) == 0 ? 1 + pick(17) : 1) where !session.isEnded {
      let key = one(keys)
      if session.isCollectingSecret, "ABCD".contains(key) {
        secretKeys.append(key)
      } else if !secretKeys.isEmpty {
        if secretKeys.count >= 5 { secrets.append(secretKeys) }
        secretKeys = ""
      }
      for prompt in playing where prompt.bargeIn && pick(2) == 0 {
        guard !session.isEnded else { return }
        playing.removeAll { $0.id == prompt.id }
        try give(.playbackInterrupted(prompt.id, heard: "", byCaller: true))
      }
      guard !session.isEnded else { return }
      try give(.digit(key))
    }
  }

  /// Data of any shape, some of it meant to do harm.
  private mutating func anything() -> Value {
    switch pick(12) {
    case 0: nil
    case 1: .bool(pick(2) == 0)
    case 2: .int(Int64(bitPattern: random.next()))
    case 3: .double(one([0.5, -1e300, 0, 3]))
    case 4: .string(one(Self.words))
    case 5: [1, nil, "two", [3.5]]
    case 6: ["ok": true, "intent": "sales", "ticket_id": "4711", "go": true, "list": [], "text": "{{ 1 / 0 }}"]
    case 7: .list((0..<pick(30)).map { .int(Int64($0)) })
    case 8: ["deep": .list([.list([.list([["a": nil]])])])]
    default:
      ["data": ["ticket_id": "4711", "slots": ["9:00", "10:00"], "found": true, "name": "Ada", "balance": 12.5]]
    }
  }

  private mutating func answerHook() throws {
    let hook = hooks.remove(at: pick(hooks.count))
    switch pick(8) {
    case 0:
      try give(
        .hookError(
          hook.token, error: one(["timeout", "unreachable", "status", "invalid_answer", "?"]),
          status: one([0, 404, 500]),
          message: "no"))
    default:
      var answer = answers.isEmpty || pick(3) == 0 ? anything() : one(answers)
      if pick(4) == 0 { answer = forwardAnswer() }
      try give(.hookResult(hook.token, answer))
    }
    if pick(20) == 0, !session.isEnded { try give(.hookResult(hook.token, ["again": true])) }
  }

  /// An answer that says what the dialog should do.
  private mutating func forwardAnswer() -> Value {
    var variables: [String: Value] = ["no_such_variable": 1]
    for declaration in session.dialog.variables where pick(3) == 0 {
      if declaration.isMasked {
        let secret = "secret" + random.token(8)
        secrets.append(secret)
        variables[declaration.name] = .string(secret)
      } else {
        variables[declaration.name] = pick(3) == 0 ? anything() : declaration.initial
      }
    }
    var answer: [String: Value] = ["variables": .map(variables), "data": anything()]
    if pick(3) == 0 { answer["next_state"] = .string(pick(4) == 0 ? "nowhere" : one(session.dialog.states).name) }
    if pick(3) == 0 {
      answer["actions"] = [
        ["action": "play_tts", "text": "The backend says hello."],
        ["action": "goto", "target": .string(one(session.dialog.states).name)],
        ["action": "no_such_action"],
      ]
      if pick(2) == 0 {
        answer["actions"] = [["action": "play_tts", "text": "Answered."], ["action": "silence", "duration": "1s"]]
      }
    }
    return .map(answer)
  }

  private mutating func answerModel() throws {
    let index = pick(models.count)
    let request = models[index]
    switch pick(8) {
    case 0, 1:
      try give(.modelSentence(request.token, one(["I can help with that.", "{{ 6 * 7 }}", "One moment.", "   "])))
    case 2, 3:
      let tool = request.tools.isEmpty || pick(6) == 0 ? "no_such_tool" : one(request.tools).name
      let arguments = one([
        "{}", "{\"plan\": \"gold\"}", "{\"query\": \"opening hours\"}", "garbage", "[1]", "null", "",
      ])
      try give(.modelToolCall(request.token, ModelToolCall(id: "c\(pick(100))", name: tool, arguments: arguments)))
    case 4:
      models.remove(at: index)
      try give(.modelFailed(request.token, error: one(["timeout", "unreachable", "status", "empty"]), message: "no"))
    default:
      models.remove(at: index)
      try give(.modelFinished(request.token, reason: one(["stop", "length", "tool_calls"]), tokens: pick(400)))
    }
  }

  /// Arguments as a tool's schema wants them.
  private mutating func fitting(_ schema: Value?) -> String {
    guard case .map(let properties)? = schema?["properties"] else { return "{}" }
    var arguments: [String: Value] = [:]
    for name in properties.keys.sorted() {
      arguments[name] =
        switch properties[name]?["type"] {
        case "number", "integer": .int(Int64(pick(100)))
        case "boolean": .bool(pick(2) == 0)
        default: .string(one(["gold", "medium", "opening hours"]))
        }
    }
    return JSON.encode(.map(arguments))
  }

  /// What comes late, twice, or for no reason.
  private mutating func oddity() throws {
    let playback = PlaybackID(UInt32(pick(40)))
    switch pick(11) {
    case 0: try give(.callAnswered)
    case 1:
      playing.removeAll { $0.id == playback }
      try give(.playbackFinished(playback))
    case 2:
      playing.removeAll { $0.id == playback }
      try give(.playbackFailed(playback, message: "broken"))
    case 3:
      let token = cancelled.isEmpty ? HookToken(UInt32(pick(20))) : one(cancelled)
      hooks.removeAll { $0.token == token }
      try give(.hookResult(token, anything()))
    case 4: try give(.callHeld)
    case 5: try give(.callResumed)
    case 6: try give(.recordingComplete)
    case 7: try give(.answeredBy(one(["human", "machine", "unknown"])))
    case 8: try give(.transferResult(status: "failed"))
    case 9: try give(.modelSentence(lateModel(), "Too late."))
    default:
      let token = lateModel()
      models.removeAll { $0.token == token }
      try give(.modelFinished(token, reason: "stop", tokens: 1))
    }
  }

  private mutating func lateModel() -> ModelToken {
    cancelledModels.isEmpty ? ModelToken(UInt32(pick(9))) : one(cancelledModels)
  }

  // MARK: Secrets

  private func checkSecrets() throws {
    guard !secrets.isEmpty else { return }
    func check(_ text: @autoclosure () -> String, _ place: String) throws {
      let text = text()
      for secret in secrets where text.contains(secret) { throw broken("a masked value stands in \(place): \(text)") }
    }
    for entry in record { try check(JSON.encode(.map(entry.fields)), "the record (\(entry.type))") }
    for action in actions {
      switch action {
      case .trace(let trace): try check("\(trace)", "a trace")
      case .log(_, let message): try check(message, "the log")
      case .emit(_, let data): try check(JSON.encode(data), "an event")
      case .outcome(let outcome): try check("\(outcome)", "the outcome")
      case .say(let prompt): try check(prompt.recordedText ?? "", "the recorded text of a prompt")
      case .callHook(let hook): try check(JSON.encode(hook.recordedBody), "the recorded body of a hook")
      default: break
      }
    }
    try check(JSON.encode(.map(session.visibleVariables)), "the visible variables")
  }
}
