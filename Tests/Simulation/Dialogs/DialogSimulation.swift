import Base
import Dialogs
import FoundationEssentials
import Settings
import Testing

/// Random calls to all example dialogs: nothing that must never happen happens, and each call comes out again from its record.
///
/// `PARLEY_SESSIONS` says how many calls: 100,000 where it is not set, and a million with `make simulate`. `PARLEY_SEED` runs the
/// one call of that seed.
@Suite struct DialogSimulation {
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
    .joined(separator: "/")

  /// The examples, and one that uses what they do not.
  static func dialogs() throws -> [Dialog] {
    let folder = "\(root)/examples/dialogs"
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".yaml") && !$0.hasSuffix(".test.yaml") }.sorted().map { "\(folder)/\($0)" }
    return try (files + ["\(root)/Tests/Simulation/Dialogs/thorough.yaml"]).map { path in
      let outcome = DialogLoader.load(try YAML.load(path: path), file: path)
      return try #require(outcome.dialog, "\(outcome.diagnostics)")
    }
  }

  /// What backends answer in the dialogs' own tests: with those, calls come further than with anything at all.
  static func answers() throws -> [String: [Value]] {
    let folder = "\(root)/examples/dialogs"
    var answers: [String: [Value]] = [:]
    for file in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() where file.hasSuffix(".test.yaml")
    {
      let tests = try YAML.load(path: "\(folder)/\(file)").value
      var found: [Value] = []
      func collect(_ hooks: Value?) {
        guard case .map(let services)? = hooks else { return }
        for name in services.keys.sorted() {
          switch services[name] {
          case .list(let several): found += several
          case let one?: found.append(one)
          case nil: break
          }
        }
      }
      collect(tests["hooks"])
      if case .list(let cases)? = tests["cases"] { for test in cases { collect(test["hooks"]) } }
      answers[String(file.dropLast(10))] = found
    }
    return answers
  }

  private static func environment(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  @Test func randomCallsReplayFromTheirRecords() async throws {
    let dialogs = try Self.dialogs()
    let answers = try Self.answers()
    let library = Dictionary(uniqueKeysWithValues: dialogs.map { ($0.name, $0) })
    let first: UInt64 = Self.environment("PARLEY_SEED") ?? 1
    let count = Self.environment("PARLEY_SEED") != nil ? 1 : Self.environment("PARLEY_SESSIONS") ?? 100_000
    let lanes = UInt64(min(8, max(1, ProcessInfo.processInfo.activeProcessorCount)))
    var total = SimulatedCalls()
    await withTaskGroup(of: SimulatedCalls.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          var calls = SimulatedCalls()
          for seed in stride(from: first + lane, to: first + count, by: Int(lanes)) where calls.problems.count < 5 {
            calls.simulate(seed, dialogs: dialogs, library: library, answers: answers)
          }
          return calls
        }
      }
      for await calls in group { total.join(calls) }
    }
    #expect(total.problems.isEmpty, "\(total.problems.joined(separator: "\n"))")
    #expect(total.sessions == Int(count))
    if count >= 10_000 {
      // Nearly every state was reached, or the callers are too shy to show anything.
      let states = dialogs.flatMap { dialog in dialog.states.map { "\(dialog.name).\($0.name)" } }
      let missed = states.filter { !total.states.contains($0) }
      #expect(missed.count <= states.count / 20, "no call came to \(missed)")
    }
    print(
      "\(total.sessions) calls, \(total.inputs) inputs, \(total.lines) lines compared; "
        + "at most \(total.mostActions) actions for one input; "
        + "\(total.snapshots) snapshots, the largest of \(total.largestSnapshot) bytes")
  }
}

/// What many calls came to.
struct SimulatedCalls: Sendable {
  var sessions = 0
  var inputs = 0
  var lines = 0
  var mostActions = 0
  var snapshots = 0
  var largestSnapshot = 0
  var states: Set<String> = []
  var problems: [String] = []

  mutating func join(_ other: SimulatedCalls) {
    sessions += other.sessions
    inputs += other.inputs
    lines += other.lines
    mostActions = max(mostActions, other.mostActions)
    snapshots += other.snapshots
    largestSnapshot = max(largestSnapshot, other.largestSnapshot)
    states.formUnion(other.states)
    problems += other.problems
  }

  /// One call of the seed, and the same again from its record.
  mutating func simulate(
    _ seed: UInt64, dialogs: [Dialog], library: [String: Dialog], answers: [String: [Value]]
  ) {
    let dialog = dialogs[Int(seed % UInt64(dialogs.count))]
    var random = SeededRandom(seed: seed)
    let length = 5 + Int(random.next() % 60)
    var caller = RandomCaller(dialog: dialog, library: library, random: random)
    // Its own backends', and those of the dialogs that it runs.
    if seed % 3 > 0 { caller.answers = (answers[dialog.name] ?? []) + (answers["authenticate"] ?? []) }
    do {
      try caller.call(inputs: length)
      try replay(caller, dialog, library)
      if seed % 4 == 0 { try repeatCall(caller, dialog, library, &random) }
    } catch {
      problems.append("PARLEY_SEED=\(seed) (\(dialog.name)): \(error)")
    }
    sessions += 1
    inputs += caller.steps.count
    mostActions = max(mostActions, caller.mostActions)
    for action in caller.actions {
      if case .trace(.stateTransition(_, let to, _)) = action { states.insert("\(dialog.name).\(to)") }
    }
  }

  /// From the record, as `parley replay` does it.
  private mutating func replay(_ caller: RandomCaller, _ dialog: Dialog, _ library: [String: Dialog]) throws {
    let record = caller.record.enumerated().map { RecordedLine(sequence: Int64($0 + 1), entry: $1) }
    let outcome = try SessionReplay.run(record, session: caller.start.call.session, dialog: dialog, library: library)
    guard outcome.difference == nil, outcome.isComplete, outcome.inputs == caller.steps.count else {
      let lines = outcome.difference?.lines ?? ["\(outcome.inputs) of \(caller.steps.count) inputs were read back"]
      throw RandomCaller.Broken("the replay differs: " + lines.joined(separator: "\n"))
    }
    lines += outcome.compared
  }

  /// The same inputs to another session, which is written down and taken up again now and then: every action is the same.
  private mutating func repeatCall(
    _ caller: RandomCaller, _ dialog: Dialog, _ library: [String: Dialog], _ random: inout SeededRandom
  ) throws {
    let start = caller.start
    var session = DialogSession(
      dialog: dialog, variables: start.variables, call: start.call, library: library, limits: start.limits)
    var actions: [DialogAction] = []
    for step in caller.steps {
      if random.next() % 6 == 0 {
        // As it comes back from a store: through JSON.
        let text = JSON.encode(session.snapshot())
        session = try DialogSession(
          restoring: JSON.decode(text), dialog: dialog, library: library, limits: start.limits, call: start.call)
        guard JSON.encode(session.snapshot()) == text else { throw RandomCaller.Broken("a snapshot changes by itself") }
        snapshots += 1
        largestSnapshot = max(largestSnapshot, text.utf8.count)
      }
      let at = Instant(nanoseconds: step.atMs * 1_000_000)
      while let deadline = session.deadline, deadline <= at {
        actions += session.timeout(at: deadline, wallMs: start.wallMs(atMs: deadline.nanoseconds / 1_000_000))
      }
      actions += session.receive(step.input, at: at, wallMs: start.wallMs(atMs: step.atMs))
    }
    guard actions == caller.actions else {
      let index = zip(actions, caller.actions).enumerated().first { $1.0 != $1.1 }?.offset
      throw RandomCaller.Broken(
        "the same inputs gave other actions: "
          + (index.map { "\(actions[$0]), not \(caller.actions[$0])" } ?? "more or fewer"))
    }
  }
}
