import Base
import Dialogs
import Settings
import Testing

/// Loads a dialog from YAML text.
func load(_ yaml: String, file: String = "test.yaml") throws -> DialogLoader.Outcome {
  DialogLoader.load(try YAML.read(yaml, file: file), file: file)
}

/// Loads a dialog that must have no errors.
func dialog(_ yaml: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Dialog {
  let outcome = try load(yaml)
  return try #require(
    outcome.dialog, "\(outcome.diagnostics.map(\.description).joined(separator: "\n"))", sourceLocation: sourceLocation)
}

/// The repository's root, seen from this file.
let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

/// A call in virtual time: performs a session's actions the way a telephone would, and keeps a list of what happened.
struct Call {
  var session: DialogSession
  var now = Instant.zero
  var actions: [DialogAction] = []
  /// Prompts that are playing, in order.
  var playing: [DialogPrompt] = []
  var pendingHooks: [DialogHook] = []

  init(
    _ yaml: String, variables: [String: Value] = [:], facts: CallFacts = CallFacts(),
    limits: DialogLimits = DialogLimits(),
    answered: Bool = true
  ) throws {
    session = DialogSession(dialog: try dialog(yaml), variables: variables, call: facts, limits: limits)
    if answered { give(.callAnswered) }
  }

  static let wallMs: Int64 = 1_700_000_000_000

  mutating func give(_ input: DialogInput) {
    take(session.receive(input, at: now, wallMs: Self.wallMs + (now - .zero).milliseconds))
  }

  private mutating func take(_ new: [DialogAction]) {
    actions += new
    for action in new {
      switch action {
      case .say(let prompt): playing.append(prompt)
      case .stop(let id): playing.removeAll { $0.id == id }
      case .callHook(let hook): pendingHooks.append(hook)
      case .cancelHook(let token): pendingHooks.removeAll { $0.token == token }
      default: break
      }
    }
  }

  /// The oldest prompt ends.
  mutating func promptEnds() {
    guard !playing.isEmpty else { return }
    give(.playbackFinished(playing.removeFirst().id))
  }

  mutating func promptsEnd() {
    var rounds = 0
    while let first = playing.first(where: { !$0.loop }), rounds < 1_000 {
      rounds += 1
      playing.removeAll { $0.id == first.id }
      give(.playbackFinished(first.id))
    }
  }

  /// The caller starts to talk: what may be interrupted falls silent, as the speech role does it.
  mutating func bargeIn() {
    give(.speechStarted)
    for prompt in playing where prompt.bargeIn {
      playing.removeAll { $0.id == prompt.id }
      give(.playbackInterrupted(prompt.id, heard: "some", byCaller: true))
    }
  }

  mutating func say(_ transcript: String, confidence: Double = 0.9) {
    bargeIn()
    give(.speech(HeardSpeech(transcript: transcript, confidence: confidence)))
  }

  mutating func press(_ keys: String) {
    for key in keys {
      for prompt in playing where prompt.bargeIn {
        playing.removeAll { $0.id == prompt.id }
        give(.playbackInterrupted(prompt.id, heard: "", byCaller: true))
      }
      give(.digit(key))
    }
  }

  /// Lets time pass; every deadline on the way is served at its instant.
  mutating func wait(_ duration: Duration) {
    let end = now + duration
    var rounds = 0
    while let deadline = session.deadline, deadline <= end, rounds < 10_000 {
      rounds += 1
      now = max(now, deadline)
      take(session.timeout(at: now, wallMs: Self.wallMs + (now - .zero).milliseconds))
    }
    now = end
  }

  mutating func answerHook(_ value: Value) {
    guard !pendingHooks.isEmpty else { return }
    give(.hookResult(pendingHooks.removeFirst().token, value))
  }

  mutating func failHook(_ error: String = "timeout", status: Int = 0) {
    guard !pendingHooks.isEmpty else { return }
    give(.hookError(pendingHooks.removeFirst().token, error: error, status: status, message: "no"))
  }

  // MARK: What happened

  /// Every text that was said, in order.
  var said: [String] {
    actions.compactMap { if case .say(let prompt) = $0, case .text(let text) = prompt.source { text } else { nil } }
  }

  /// Every state that was entered, in order.
  var states: [String] {
    actions.compactMap { if case .trace(.stateTransition(_, let to, _)) = $0 { to } else { nil } }
  }

  var failures: [String] {
    actions.compactMap { if case .trace(.failure(_, let code, _)) = $0 { code } else { nil } }
  }

  var hangups: [String] {
    actions.compactMap { if case .hangup(let reason, _) = $0 { reason } else { nil } }
  }

  var listens: [DialogListen] { actions.compactMap { if case .listen(let listen) = $0 { listen } else { nil } } }

  var hooks: [DialogHook] { actions.compactMap { if case .callHook(let hook) = $0 { hook } else { nil } } }

  func variable(_ name: String) -> Value? { session.visibleVariables[name] }
}
