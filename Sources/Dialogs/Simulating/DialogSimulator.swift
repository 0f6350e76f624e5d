import Base

/// Talks to a dialog in text and virtual time: what `parley dialog simulate` shows.
///
/// Prompts play at once; silences and timers cost no real time. One line of the caller goes in, the lines to print come out.
public struct DialogSimulator: Sendable {
  /// Answers the dialog's hooks: question in, answer out; nil: `hook_error` with `unreachable`.
  public typealias HookAnswer = @Sendable (DialogHook) -> Value?
  /// Answers for the language model; nil: it is unreachable.
  public typealias ModelAnswer = @Sendable (ModelRequest) -> CallScript.ModelAnswer?

  private var session: DialogSession
  private let hooks: HookAnswer
  private let models: ModelAnswer
  private var now = Instant.zero
  private let startMs: Int64
  private var lines: [String] = []
  /// What the session is owed: the ends of prompts and the outcomes of hooks, in order.
  private var owed: [DialogInput] = []

  /// Prompts and hooks that follow each other without the caller; more is a loop that the session did not stop itself.
  private static let roundLimit = 10_000

  public init(
    dialog: Dialog, call: CallFacts = CallFacts(), variables: [String: Value] = [:], wallMs: Int64 = 0,
    library: [String: Dialog] = [:], limits: DialogLimits = DialogLimits(),
    hooks: @escaping HookAnswer = { _ in nil }, models: @escaping ModelAnswer = { _ in nil }
  ) {
    session = DialogSession(dialog: dialog, variables: variables, call: call, library: library, limits: limits)
    self.hooks = hooks
    self.models = models
    startMs = wallMs
  }

  /// Whether the call is over.
  public var isEnded: Bool { session.isEnded }
  public var currentState: String { session.currentState }
  /// Masked ones are `***`.
  public var variables: [String: Value] { session.visibleVariables }

  /// Answers the call; returns what is said and done until the caller has the word.
  public mutating func start() -> [String] {
    feed(.callAnswered)
    return flush()
  }

  /// Takes a line: words are speech, `#` and keys (`#1`, `#42#`) are keys, an empty line is silence until the next timer,
  /// `?words` is unintelligible speech, `!name` or `!name {"json": 1}` is a custom event, `/hangup` hangs up, `/vars` shows the
  /// variables.
  public mutating func take(_ line: String) -> [String] {
    guard !isEnded else { return ["-- the call is over"] }
    let line = Evaluation.trimmed(line)
    if line.isEmpty {
      wait()
    } else if line == "/hangup" {
      feed(.hangup(by: "caller", reason: "caller"))
    } else if line == "/vars" {
      for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
        lines.append("   \(name) = \(JSON.encode(value))")
      }
    } else if line.hasPrefix("/") {
      lines.append("?? unknown command \(line): /hangup, /vars")
    } else if line.hasPrefix("#") {
      let keys = line.dropFirst()
      for key in keys.isEmpty ? "#"[...] : keys {
        guard DigitPattern.keys.contains(key) else {
          lines.append("?? `\(key)` is not a key")
          break
        }
        if !isEnded { feed(.digit(key)) }
      }
      // The caller lifts the finger; what still waits for more keys gets its pause.
      if let deadline = session.interDigitDeadline { pass(until: deadline) }
    } else if line.hasPrefix("!") {
      let parts = line.dropFirst().split(separator: " ", maxSplits: 1)
      guard let name = parts.first else { return ["?? an event needs a name"] }
      var data = Value.null
      if parts.count > 1 {
        do {
          data = try JSON.decode(String(parts[1]))
        } catch {
          return ["?? \(error)"]
        }
      }
      feed(.custom(name: String(name), data: data))
    } else if line.hasPrefix("?") {
      feed(.speechStarted)
      feed(.noMatch)
    } else {
      feed(.speechStarted)
      feed(.speech(HeardSpeech(transcript: line.lowercased(), confidence: 1)))
    }
    return flush()
  }

  // MARK: Time

  private var wallMs: Int64 { startMs + (now - .zero).milliseconds }

  private mutating func wait() {
    guard let deadline = session.deadline else {
      lines.append("-- nothing is waited for")
      return
    }
    pass(until: deadline)
  }

  private mutating func pass(until deadline: Instant) {
    lines.append("   (\((deadline - now).milliseconds) ms)")
    now = max(now, deadline)
    perform(session.timeout(at: now, wallMs: wallMs))
    settle()
  }

  private mutating func feed(_ input: DialogInput) {
    perform(session.receive(input, at: now, wallMs: wallMs))
    settle()
  }

  private mutating func settle() {
    var rounds = 0
    while !owed.isEmpty, rounds < Self.roundLimit {
      rounds += 1
      perform(session.receive(owed.removeFirst(), at: now, wallMs: wallMs))
    }
  }

  private mutating func flush() -> [String] {
    defer { lines = [] }
    return lines
  }

  // MARK: Actions

  private mutating func perform(_ actions: [DialogAction]) {
    for action in actions {
      switch action {
      case .say(let prompt):
        switch prompt.source {
        case .text(let text), .markup(let text): lines.append("<< \(prompt.recordedText ?? text)")
        case .audio(let url): lines.append("<< [audio \(url)]")
        case .silence(let ms):
          lines.append("   (\(ms) ms)")
          now += .milliseconds(ms)
        }
        if !prompt.loop { owed.append(.playbackFinished(prompt.id)) }
      case .callHook(let hook): ask(hook)
      case .cancelHook(let token):
        owed.removeAll {
          switch $0 {
          case .hookResult(token, _), .hookError(token, _, _, _): true
          default: false
          }
        }
      case .askModel(let request):
        if let answer = models(request) {
          owed += answer.inputs(for: request.token)
        } else {
          lines.append("-- model: unreachable")
          owed.append(.modelFailed(request.token, error: "unreachable", message: "no answer is simulated"))
        }
      case .transfer(let transfer):
        lines.append("-- transfers to \(transfer.target) (\(transfer.mode.rawValue)): unsupported")
        owed.append(.transferResult(status: "unsupported"))
      case .hold:
        lines.append("-- hold")
        owed.append(.callHeld)
      case .unhold:
        lines.append("-- unhold")
        owed.append(.callResumed)
      case .sendDigits: lines.append("-- sends keys")
      case .record(let step):
        lines.append("-- recording: \(step.operation.rawValue)")
        if step.operation == .stop { owed.append(.recordingComplete) }
      case .outcome(let outcome):
        if !outcome.disposition.isEmpty { lines.append("-- outcome: \(outcome.disposition)") }
      case .emit(let name, let data): lines.append("-- emit \(name) \(JSON.encode(data))")
      case .log(let level, let message): lines.append("-- log \(level): \(message)")
      case .hangup(let reason, _):
        lines.append("-- hangs up (\(reason))")
        owed.append(.hangup(by: "dialog", reason: reason))
      case .trace(let trace): show(trace)
      case .stop, .listen, .cancelModel: break
      }
    }
  }

  private mutating func ask(_ hook: DialogHook) {
    let name =
      switch hook.kind {
      case .http: hook.service.isEmpty ? hook.url : hook.service + hook.path
      case .listTools: "\(hook.service): tools"
      case .callTool(let tool, _): "\(hook.service): \(tool)"
      case .searchKnowledge(let query, _, _): "search `\(query)`"
      }
    if let answer = hooks(hook) {
      lines.append("-- hook \(name): \(JSON.encode(answer))")
      owed.append(.hookResult(hook.token, answer))
    } else {
      lines.append("-- hook \(name): unreachable")
      owed.append(.hookError(hook.token, error: "unreachable", status: 0, message: "no answer is simulated"))
    }
  }

  private mutating func show(_ trace: DialogTrace) {
    switch trace {
    case .stateTransition(let from, let to, let trigger):
      lines.append(from.isEmpty ? "-> \(to)" : "-> \(to) (\(trigger))")
    case .variableChanged(let name, let value): lines.append("   \(name) = \(JSON.encode(value))")
    case .reprompt(_, let event, let attempt): lines.append("-- \(event): says it again (\(attempt))")
    case .eventIgnored(_, let event): lines.append("-- \(event): no transition")
    case .failure(_, let code, let message): lines.append("!! \(code): \(message)")
    case .ended: lines.append("-- end of call")
    case .toolCalled(_, let tool, let arguments, let outcome):
      lines.append("-- model: \(tool) \(JSON.encode(arguments)) (\(outcome))")
    case .stayed, .actionExecuted, .agentMessage, .secretDecision: break
    }
  }
}
