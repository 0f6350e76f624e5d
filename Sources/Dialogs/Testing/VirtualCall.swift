import Base

/// One call in virtual time: plays the telephone, the backends and the language model for a ``DialogSession``. Tests and
/// personas are the caller.
///
/// Prompts take the time that speaking takes and play one after the other; hooks and the model answer from a script. The
/// caller is heard when the speech role would hear them: not where the state has no use for speech, and not over a prompt
/// that may not be interrupted.
public struct VirtualCall: Sendable {
  /// One thing that happened, at an instant of the call.
  public struct Happening: Sendable {
    public var at: Instant
    public var what: What
  }

  public enum What: Sendable {
    /// The caller hears the first word of a prompt.
    case said(DialogPrompt)
    /// The caller cut it after these words.
    case cut(PlaybackID, heard: String)
    /// The caller did something; `wasHeard` is false where nobody listened.
    case caller(DialogInput, wasHeard: Bool)
    case hookCalled(DialogHook)
    case hookEnded(name: String, CallScript.HookAnswer)
    case modelAsked(ModelRequest)
    case emitted(name: String, data: Value)
    case transferAsked(DialogTransfer)
    case acted(String)
    case outcome(DialogOutcome)
    case trace(DialogTrace)
    /// The test's own mistake or limit: a sentence.
    case trouble(String)
  }

  public private(set) var session: DialogSession
  public private(set) var now = Instant.zero
  public private(set) var happenings: [Happening] = []
  /// How the state listens; nil before the first.
  public private(set) var listening: DialogListen?
  /// How often the model was asked for more than the script has.
  private(set) var unscriptedModelRequests = 0
  /// Whether somebody has to say how a transfer comes out.
  private(set) var isTransferring = false

  private struct Playing: Sendable {
    var prompt: DialogPrompt
    var startedAt: Instant
    /// nil: until it is stopped.
    var endsAt: Instant?
  }
  private struct Due: Sendable {
    var at: Instant
    var input: DialogInput
    /// Whose outcome it is, so that it can be cancelled.
    var hook: HookToken?
    var model: ModelToken?
    var note: What?

    var isEnd: Bool { if case .hangup = input { true } else { false } }
  }

  private var script: CallScript
  private let startMs: Int64
  private let arePromptsInstant: Bool
  private var queue: [Playing] = []
  /// Sorted by time; what is of one time in the order it came.
  private var due: [Due] = []
  private var hangup: String?
  /// The call's record, as the runtime would keep it; nil where none is kept.
  private var record: [JournalEntry]?

  /// More events in a row without the caller are a loop that nothing stopped.
  private static let roundLimit = 20_000
  /// What a service gives its backend where neither says.
  private static let hookTimeout: Duration = .seconds(5)

  /// - Parameters:
  ///   - startMs: wall-clock milliseconds since 1970 at the beginning.
  ///   - record: how the record of the call is to begin; nil: none is kept.
  public init(
    session: DialogSession, script: CallScript = CallScript(), startMs: Int64 = 0, instantPrompts: Bool = false,
    record: SessionStart? = nil
  ) {
    self.session = session
    self.session.waysTaken = []
    self.script = script
    self.startMs = startMs
    arePromptsInstant = instantPrompts
    self.record = record.map { [$0.entry(masked: session.dialog.maskedVariables)] }
  }

  /// The record that was kept; empty where none was asked for.
  public var recordedLines: [RecordedLine] {
    (record ?? []).enumerated().map { RecordedLine(sequence: Int64($0 + 1), entry: $1) }
  }

  public var isEnded: Bool { session.isEnded }

  /// The prompt that is heard now, and for how long it has been.
  public var audible: (prompt: DialogPrompt, since: Duration)? {
    queue.first.map { ($0.prompt, now - $0.startedAt) }
  }

  // MARK: The caller

  /// The call is answered.
  public mutating func answer() { give(.callAnswered) }

  /// Whether speech is heard now.
  public var hearsSpeech: Bool {
    guard let listening, listening.speech, !isEnded else { return false }
    return queue.first.map { $0.prompt.bargeIn && listening.bargeIn } ?? true
  }

  /// The caller says something that is understood as `heard`, or (nil) cannot be understood. It takes no time.
  public mutating func say(_ heard: HeardSpeech?) {
    let input: DialogInput = heard.map { $0.transcript.isEmpty ? .noMatch : .speech($0) } ?? .noMatch
    let isHeard = hearsSpeech
    note(.caller(input, wasHeard: isHeard))
    guard isHeard else { return }
    let before = Set(queue.map(\.prompt.id))
    give(.speechStarted)
    cutPrompts(before)
    give(input)
  }

  /// The caller presses a key.
  public mutating func press(_ key: Character) {
    note(.caller(.digit(key), wasHeard: !isEnded))
    // What the dialog says in answer to the key is not cut by it.
    let before = Set(queue.map(\.prompt.id))
    give(.digit(key))
    if listening?.bargeIn ?? true { cutPrompts(before) }
  }

  /// Anything else that comes from outside.
  public mutating func receive(_ input: DialogInput) {
    note(.caller(input, wasHeard: !isEnded))
    give(input)
  }

  /// Cuts these prompts, those of them that may be cut, where the one that is heard is among them.
  private mutating func cutPrompts(_ those: Set<PlaybackID>) {
    guard let first = queue.first?.prompt, first.bargeIn, those.contains(first.id) else { return }
    let cut = queue.filter { $0.prompt.bargeIn && those.contains($0.prompt.id) }
    queue.removeAll { $0.prompt.bargeIn && those.contains($0.prompt.id) }
    startNext()
    for playing in cut {
      let heard = playing.startedAt > now ? "" : Self.heard(playing, at: now)
      note(.cut(playing.prompt.id, heard: heard))
      give(.playbackInterrupted(playing.prompt.id, heard: heard, byCaller: true))
    }
  }

  /// The whole words that had been said by then.
  private static func heard(_ playing: Playing, at now: Instant) -> String {
    let text = playing.prompt.spokenText
    guard let endsAt = playing.endsAt, endsAt > playing.startedAt else { return "" }
    let share = Double((now - playing.startedAt).nanoseconds) / Double((endsAt - playing.startedAt).nanoseconds)
    if share >= 1 { return text }
    let characters = text.prefix(Int(Double(text.count) * max(0, share)))
    guard let end = characters.lastIndex(where: \.isWhitespace) else { return "" }
    return String(characters[..<end])
  }

  // MARK: Time

  /// Whether nothing goes on until the caller does something or is silent for too long.
  public var isCallersTurn: Bool {
    if isEnded { return true }
    if let first = due.first, first.at <= now || isTransferring { return false }
    // Somebody else is being called; what comes of it is said by the test, or by the transfer's timer.
    if isTransferring, queue.allSatisfy(\.prompt.loop) { return true }
    return hangup == nil && session.isCallersTurn
  }

  /// Lets the next thing happen; false where nothing is to come.
  /// - Parameter limit: what is later does not happen.
  @discardableResult
  public mutating func advance(until limit: Instant = Instant(nanoseconds: .max)) -> Bool {
    guard !isEnded else { return false }
    let timer = session.deadline
    let prompt = queue.first?.endsAt
    let outcome = due.first?.at
    guard let next = [timer, prompt, outcome].compactMap({ $0 }).min(), next <= limit else { return false }
    now = max(now, next)
    // A timer comes before whatever else happens at its instant, as in the runtime.
    if let timer, timer <= now {
      perform(session.timeout(at: now, wallMs: wallMs))
      if session.transferDeadline == nil { isTransferring = false }
    } else if let prompt, prompt <= now {
      let ended = queue.removeFirst()
      startNext()
      give(.playbackFinished(ended.prompt.id))
    } else {
      let outcome = due.removeFirst()
      if let what = outcome.note { note(what) }
      give(outcome.input)
    }
    return true
  }

  /// Lets everything happen that happens without the caller, up to their turn.
  public mutating func settle() { settle { _ in false } }

  /// The same, until `isEnough`.
  mutating func settle(until isEnough: (borrowing VirtualCall) -> Bool) {
    var rounds = 0
    while !isEnough(self), !isCallersTurn, advance() {
      rounds += 1
      guard rounds < Self.roundLimit else {
        note(.trouble("the call does not come to rest: \(Self.roundLimit) things happened without the caller"))
        return
      }
    }
  }

  /// Lets time pass; every timer on the way is served at its instant.
  public mutating func wait(_ duration: Duration) {
    let end = now + duration
    var rounds = 0
    while advance(until: end) {
      rounds += 1
      guard rounds < Self.roundLimit else {
        note(.trouble("more than \(Self.roundLimit) things happened in \(duration.milliseconds) ms"))
        return
      }
    }
    if !isEnded { now = max(now, end) }
  }

  /// The caller is silent until a timer of the dialog has come. false: the dialog waits for ever.
  public mutating func silence() -> Bool {
    settle()
    guard !isEnded, let deadline = session.deadline else { return false }
    advance(until: deadline)
    return true
  }

  private var wallMs: Int64 { startMs + (now - .zero).milliseconds }

  // MARK: The machine

  private mutating func give(_ input: DialogInput) {
    guard !isEnded else { return }
    if case .transferResult = input { isTransferring = false }
    if record != nil { record?.append(SessionJournal.entry(for: input, at: now, in: session)) }
    perform(session.receive(input, at: now, wallMs: wallMs))
  }

  /// Remembers something about the call itself.
  mutating func noteTrouble(_ message: String) { note(.trouble(message)) }

  private mutating func note(_ what: What) { happenings.append(Happening(at: now, what: what)) }

  private mutating func perform(_ actions: [DialogAction]) {
    if record != nil { record?.append(contentsOf: actions.compactMap { SessionJournal.entry(for: $0, at: now) }) }
    for action in actions {
      switch action {
      case .say(let prompt):
        queue.append(Playing(prompt: prompt, startedAt: Instant(nanoseconds: .max), endsAt: nil))
        if queue.count == 1 { startNext() }
      case .stop(let id):
        queue.removeAll { $0.prompt.id == id }
        startNext()
      case .listen(let listen): listening = listen
      case .callHook(let hook): start(hook)
      case .cancelHook(let token): due.removeAll { $0.hook == token }
      case .askModel(let request): start(request)
      case .cancelModel(let token): due.removeAll { $0.model == token }
      case .transfer(let transfer):
        isTransferring = true
        note(.transferAsked(transfer))
        if let (status, delay) = script.improviseTransfer() {
          schedule(Due(at: now + delay, input: .transferResult(status: status)))
        }
      case .hold:
        note(.acted("hold"))
        schedule(Due(at: now, input: .callHeld))
      case .unhold:
        note(.acted("unhold"))
        schedule(Due(at: now, input: .callResumed))
      case .sendDigits(let digits, _): note(.acted("send_dtmf \(digits)"))
      case .record(let step):
        note(.acted("record \(step.operation.rawValue)"))
        if step.operation == .stop { schedule(Due(at: now, input: .recordingComplete)) }
      case .outcome(let outcome): note(.outcome(outcome))
      case .emit(let name, let data): note(.emitted(name: name, data: data))
      case .log: break
      case .hangup(let reason, let afterPlayback): hangUp(reason, afterPlayback: afterPlayback)
      case .trace(let trace):
        switch trace {
        case .stateTransition, .stayed, .eventIgnored: isTransferring = false
        default: break
        }
        note(.trace(trace))
      }
    }
    hangUpIfDue()
  }

  private mutating func startNext() {
    guard let first = queue.first, first.startedAt > now else { return }
    queue[0].startedAt = now
    queue[0].endsAt = SpeakingTime.milliseconds(of: first.prompt).map {
      now + .milliseconds(arePromptsInstant ? 0 : $0)
    }
    note(.said(first.prompt))
    guard record != nil else { return }
    let fields: [String: Value] = [
      "playback_id": .string(first.prompt.id.description),
      "text": .string(first.prompt.recordedText ?? first.prompt.label),
    ]
    record?.append(JournalEntry(type: "tts_started", atMs: (now - .zero).milliseconds, fields: fields))
  }

  private mutating func hangUp(_ reason: String, afterPlayback: Bool) {
    hangup = reason
    if afterPlayback {
      // A loop goes round no more once the call is to end.
      queue.removeAll { $0.endsAt == nil && $0.prompt.loop }
      startNext()
    } else {
      queue = []
    }
  }

  private mutating func hangUpIfDue() {
    guard let reason = hangup, queue.isEmpty, !isEnded, !due.contains(where: { $0.isEnd }) else { return }
    schedule(Due(at: now, input: .hangup(by: reason == "error" ? "system" : "dialog", reason: reason)))
  }

  private mutating func schedule(_ event: Due) {
    let place = due.lastIndex { $0.at <= event.at }.map { $0 + 1 } ?? 0
    due.insert(event, at: place)
  }

  private mutating func start(_ hook: DialogHook) {
    note(.hookCalled(hook))
    var answer =
      script.answer(to: hook)
      ?? CallScript.HookAnswer(.error("unreachable", status: 0, message: "the test has no answer for this hook"))
    let timeout = hook.timeout ?? Self.hookTimeout
    if answer.delay > timeout {
      answer = CallScript.HookAnswer(.error("timeout", status: 0, message: "the test answers too late"), delay: timeout)
    }
    let input: DialogInput =
      switch answer.outcome {
      case .answer(let value): .hookResult(hook.token, value)
      case .error(let error, let status, let message):
        .hookError(hook.token, error: error, status: status, message: message)
      }
    schedule(
      Due(
        at: now + answer.delay, input: input, hook: hook.token,
        note: .hookEnded(name: CallScript.name(of: hook), answer)))
  }

  private mutating func start(_ request: ModelRequest) {
    note(.modelAsked(request))
    guard let answer = script.nextModelAnswer(to: request) else {
      unscriptedModelRequests += 1
      let message = "the test has no further answer of the model"
      return schedule(
        Due(
          at: now, input: .modelFailed(request.token, error: "unreachable", message: message), model: request.token))
    }
    for input in answer.inputs(for: request.token) {
      schedule(Due(at: now + answer.delay, input: input, model: request.token))
    }
  }

  /// Cuts where a sentence ends, as the client of the model does it.
  static func sentences(of text: String) -> [String] {
    var sentences: [String] = []
    var current = ""
    for character in text {
      if character.isWhitespace, let last = current.last, ".!?".contains(last) {
        sentences.append(current)
        current = ""
      } else if !(current.isEmpty && character.isWhitespace) {
        current.append(character)
      }
    }
    if !current.isEmpty { sentences.append(current) }
    return sentences
  }
}
