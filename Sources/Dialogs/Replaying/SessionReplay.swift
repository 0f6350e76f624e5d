import Base

/// One line of a record: where it stands, and what it says.
public struct RecordedLine: Sendable, Hashable {
  public var sequence: Int64
  public var entry: JournalEntry

  public init(sequence: Int64, entry: JournalEntry) {
    self.sequence = sequence
    self.entry = entry
  }
}

/// Makes a recorded session again from the inputs in its record, and compares everything the dialog machine says with what
/// the record holds, line by line.
public struct SessionReplay {
  /// The first place where record and replay part.
  public struct Difference: Sendable, Hashable {
    /// Of the line where it shows.
    public var sequence: Int64
    public var atMs: Int64
    /// What the record says; nil where it says nothing (more).
    public var recorded: JournalEntry?
    /// What the dialog did; nil where it did nothing (more).
    public var replayed: JournalEntry?
    /// Where the replay was.
    public var state: String
  }

  public struct Outcome: Sendable {
    public var inputs: Int
    /// Lines of the machine that were compared.
    public var compared: Int
    public var difference: Difference?
    /// Whether the record goes to the end of the call; one that a crash cut off does not.
    public var isComplete: Bool
  }

  /// What happens in a replay, in order, for those who make something of it.
  enum Moment {
    /// - Parameter isPatience: the caller was silent for too long; false for what else the dialog waits for.
    case timer(atMs: Int64, isPatience: Bool)
    case input(DialogInput, RecordedLine)
    /// Every line, those of the owner, too.
    case line(RecordedLine)
  }

  public let start: SessionStart
  private let lines: [RecordedLine]
  private var session: DialogSession
  private var now = Instant.zero
  private var said: [JournalEntry] = []
  private var next = 0

  /// - Parameters:
  ///   - lines: the whole record, in order, `call_started` first.
  ///   - dialog: the very version that the record names.
  ///   - library: the dialogs that it may run, by their names.
  public init(
    _ lines: [RecordedLine], session id: SessionID, dialog: Dialog, library: [String: Dialog] = [:]
  ) throws(JournalProblem) {
    guard let first = lines.first else { throw JournalProblem("the record is empty") }
    start = try SessionStart(first.entry, session: id)
    guard start.dialogName == dialog.name else {
      throw JournalProblem("the record is of the dialog `\(start.dialogName)`, not of `\(dialog.name)`")
    }
    for (line, following) in zip(lines, lines.dropFirst()) where following.sequence != line.sequence + 1 {
      throw JournalProblem("the record has a gap: after line \(line.sequence) comes line \(following.sequence)")
    }
    self.lines = lines
    session = DialogSession(
      dialog: dialog, variables: start.variables, call: start.call, library: library, limits: start.limits)
    session.recordedSecretDecisions = lines.compactMap {
      $0.entry.type == "secret_decision" ? $0.entry.fields["result"]?.boolValue : nil
    }
  }

  /// Replays the whole record, or up to the first difference.
  /// - Throws: where a line of the record cannot be read.
  public static func run(
    _ lines: [RecordedLine], session: SessionID, dialog: Dialog, library: [String: Dialog] = [:]
  ) throws(JournalProblem) -> Outcome {
    var replay = try SessionReplay(lines, session: session, dialog: dialog, library: library)
    return try replay.run { _, _ throws(JournalProblem) in }
  }

  mutating func run(
    observe: (Moment, DialogSession) throws(JournalProblem) -> Void
  ) throws(JournalProblem) -> Outcome {
    var outcome = Outcome(inputs: 0, compared: 0, difference: nil, isComplete: false)
    for line in lines {
      let at = Instant.zero + .milliseconds(line.entry.atMs)
      guard at >= now else { throw JournalProblem("line \(line.sequence) is earlier than the line before it") }
      if let input = try SessionJournal.input(from: line.entry) {
        try runTimers(until: at, observe)
        if next < said.count {
          outcome.difference = difference(line, recorded: line.entry, replayed: said[next])
          return outcome
        }
        outcome.inputs += 1
        if case .hangup = input { outcome.isComplete = true }
        try observe(.input(input, line), session)
        now = at
        take(session.receive(input, at: at, wallMs: start.wallMs(atMs: line.entry.atMs)))
      } else if SessionJournal.isProduced(line.entry) {
        if next == said.count { try runTimers(until: at, observe) { $0 } }
        guard next < said.count else {
          outcome.difference = difference(line, recorded: line.entry, replayed: nil)
          return outcome
        }
        guard line.entry.says(said[next]) else {
          outcome.difference = difference(line, recorded: line.entry, replayed: said[next])
          return outcome
        }
        next += 1
        outcome.compared += 1
      }
      try observe(.line(line), session)
    }
    if outcome.isComplete, next < said.count, let last = lines.last {
      outcome.difference = difference(last, recorded: nil, replayed: said[next])
    }
    return outcome
  }

  private func difference(_ line: RecordedLine, recorded: JournalEntry?, replayed: JournalEntry?) -> Difference {
    Difference(
      sequence: line.sequence, atMs: line.entry.atMs, recorded: recorded, replayed: replayed,
      state: session.currentState)
  }

  /// Serves the machine's timers at exactly their instants, as the runtime does.
  /// - Parameter isEnough: asked after each with whether it made the machine say something.
  private mutating func runTimers(
    until limit: Instant, _ observe: (Moment, DialogSession) throws(JournalProblem) -> Void,
    isEnough: (Bool) -> Bool = { _ in false }
  ) throws(JournalProblem) {
    var rounds = 0
    while let deadline = session.deadline, deadline <= limit {
      rounds += 1
      guard rounds <= 10_000 else { throw JournalProblem("the dialog's timers do not advance") }
      now = max(now, deadline)
      let atMs = (now - .zero).milliseconds
      let isPatience = session.silence.deadline == deadline || session.stateTimer.deadline == deadline
      try observe(.timer(atMs: atMs, isPatience: isPatience), session)
      take(session.timeout(at: now, wallMs: start.wallMs(atMs: atMs)))
      if isEnough(next < said.count) { return }
    }
  }

  private mutating func take(_ actions: [DialogAction]) {
    if next == said.count {
      said.removeAll(keepingCapacity: true)
      next = 0
    }
    for action in actions {
      if let entry = SessionJournal.entry(for: action, at: now) { said.append(entry) }
    }
  }
}

extension SessionReplay.Difference {
  /// What differs, for people.
  public var lines: [String] {
    func text(_ entry: JournalEntry?) -> String {
      entry.map { "\($0.type) at \($0.atMs) ms \(JSON.encode(.map($0.fields)))" } ?? "nothing"
    }
    return [
      "first difference at line \(sequence) (\(atMs) ms), in the state `\(state)`", "- record: \(text(recorded))",
      "+ replay: \(text(replayed))",
    ]
  }

  public var json: Value {
    func value(_ entry: JournalEntry?) -> Value {
      entry.map { ["type": .string($0.type), "at_ms": .int($0.atMs), "fields": .map($0.fields)] } ?? .null
    }
    return [
      "sequence": .int(sequence), "at_ms": .int(atMs), "state": .string(state), "recorded": value(recorded),
      "replayed": value(replayed),
    ]
  }
}
