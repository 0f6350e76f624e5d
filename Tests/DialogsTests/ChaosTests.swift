import Base
import Dialogs
import Testing

/// What holds whatever a caller, a backend and a model do.
@Suite struct ChaosTests {
  /// A call of random inputs, with the record that its owner would keep.
  private func record(
    _ dialog: Dialog, _ library: [String: Dialog], seed: UInt64, count: Int
  ) -> (lines: [RecordedLine], actions: [DialogAction]) {
    var chaos = Chaos(random: SeededRandom(seed: seed))
    let start = SessionStart(call: CallFacts(session: SessionID("S"), callerID: "alice"), dialogName: dialog.name)
    var session = DialogSession(dialog: dialog, call: start.call, library: library, limits: start.limits)
    var entries = [start.entry(masked: dialog.maskedVariables)]
    var all: [DialogAction] = []
    var now = Instant.zero
    func wall() -> Int64 { start.wallMs(atMs: now.nanoseconds / 1_000_000) }
    func take(_ actions: [DialogAction]) {
      all += actions
      chaos.see(actions)
      entries += actions.compactMap { SessionJournal.entry(for: $0, at: now) }
    }
    func give(_ input: DialogInput) {
      entries.append(SessionJournal.entry(for: input, at: now, in: session))
      take(session.receive(input, at: now, wallMs: wall()))
    }
    give(.callAnswered)
    for _ in 0..<count where !session.isEnded {
      let next = now + .milliseconds(Int64(chaos.random.next() % 1_200))
      while let deadline = session.deadline, deadline <= next {
        now = max(now, deadline)
        take(session.timeout(at: now, wallMs: wall()))
      }
      now = next
      give(chaos.next())
    }
    if !session.isEnded { give(.hangup(by: "caller", reason: "caller")) }
    #expect(session.isEnded)
    let lines = entries.enumerated().map { RecordedLine(sequence: Int64($0 + 1), entry: $1) }
    return (lines, all)
  }

  private func dialogs() throws -> [Dialog] {
    [
      try dialog(SnapshotTests.everything), try dialog(AgentStateTests.advisor), try dialog(SubDialogTests.main),
      try dialog(SubDialogTests.ask), try dialog(ReplayTests.secret), try dialog(HookTests.ticket),
    ]
  }

  @Test func everyRecordReplaysWithoutAModelAndWithoutSecrets() throws {
    let dialogs = try dialogs()
    let library = Dictionary(uniqueKeysWithValues: dialogs.map { ($0.name, $0) })
    for dialog in dialogs {
      for seed in 1...40 as ClosedRange<UInt64> {
        let (lines, _) = record(dialog, library, seed: seed, count: 120)
        let outcome = try SessionReplay.run(lines, session: SessionID("S"), dialog: dialog, library: library)
        #expect(outcome.difference == nil, "\(dialog.name), seed \(seed): \(outcome.difference?.lines ?? [])")
        #expect(outcome.isComplete)
      }
    }
  }

  @Test func theWorldIsNeverAskedForNonsense() throws {
    let dialogs = try dialogs()
    let library = Dictionary(uniqueKeysWithValues: dialogs.map { ($0.name, $0) })
    for dialog in dialogs {
      for seed in 100...140 as ClosedRange<UInt64> {
        let (_, actions) = record(dialog, library, seed: seed, count: 120)
        check(actions, "\(dialog.name), seed \(seed)")
      }
    }
  }

  private func check(_ actions: [DialogAction], _ place: String) {
    var prompts: Set<PlaybackID> = []
    var models: Set<ModelToken> = []
    var open: ModelToken?
    var hooks: Set<HookToken> = []
    var hangups = 0
    var outcomes = 0
    for action in actions {
      switch action {
      case .say(let prompt):
        #expect(prompts.insert(prompt.id).inserted, "\(place): a prompt was named twice")
        #expect(hangups == 0, "\(place): something is said after the end")
      case .stop(let id): #expect(prompts.contains(id), "\(place)")
      case .askModel(let request):
        #expect(models.insert(request.token).inserted, "\(place): a request was named twice")
        open = request.token
        check(request, place)
      case .cancelModel(let token): #expect(token == open, "\(place): another request was cancelled")
      case .callHook(let hook): #expect(hooks.insert(hook.token).inserted, "\(place): a hook was named twice")
      case .cancelHook(let token): #expect(hooks.contains(token), "\(place)")
      case .hangup: hangups += 1
      case .outcome: outcomes += 1
      default: break
      }
    }
    #expect(hangups <= 1 && outcomes == 1, "\(place)")
  }

  /// Servers refuse contexts in which a call of a tool has no result, or a result no call.
  private func check(_ request: ModelRequest, _ place: String) {
    guard case .system? = request.messages.first else {
      Issue.record("\(place): no instructions")
      return
    }
    var waiting: [String] = []
    var last = ""
    for message in request.messages.dropFirst() {
      switch message {
      case .system: Issue.record("\(place): instructions in the middle")
      case .user:
        #expect(waiting.isEmpty, "\(place): a call has no result")
        #expect(last != "user", "\(place): two messages of the caller in a row")
        last = "user"
      case .assistant(_, let calls):
        #expect(waiting.isEmpty, "\(place): a call has no result")
        waiting = calls.map(\.id)
        last = "assistant"
      case .tool(let id, _):
        guard let at = waiting.firstIndex(of: id) else {
          Issue.record("\(place): a result without a call")
          continue
        }
        waiting.remove(at: at)
        last = "tool"
      }
    }
    #expect(waiting.isEmpty, "\(place): a call has no result")
    #expect(last == "user" || last == "tool", "\(place): nothing to answer")
  }
}
