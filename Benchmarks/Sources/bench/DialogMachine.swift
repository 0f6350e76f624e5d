import Base
import Dialogs
import Foundation
import Settings

/// The dialog machine by itself, in this process and on one core: no audio, no network. docs/benchmarks.md says how each figure
/// is measured and why so.
///
/// `BENCH_PARTS=transitions,load` runs only those parts, while something is being worked on.
enum DialogMachine {
  static func run() throws -> Report {
    var report = Report(name: "dialog")
    let parts = ProcessInfo.processInfo.environment["BENCH_PARTS"]?.split(separator: ",").map(String.init)
    func wanted(_ part: String) -> Bool { parts?.contains(part) ?? true }
    // First, while the process is small.
    if wanted("memory") { try memory(&report) }
    if wanted("transitions") { try transitions(&report) }
    if wanted("turns") { try turns(&report) }
    if wanted("length") { try lengths(&report) }
    if wanted("snapshot") { try snapshots(&report) }
    if wanted("tests") { try testCases(&report) }
    if wanted("load") { try load(&report) }
    return report
  }

  /// Two states that hand the caller to each other. The first condition of a state fails, the second holds: what a transition
  /// of a real dialog costs at least.
  static let relay = """
    name: relay
    variables: { threshold: 0.4 }
    states:
      start:
        transitions:
          - { event: speech, when: "transcript == 'stop' and confidence > threshold", target: done }
          - { event: speech, when: "matches(transcript, 'go on|next') and confidence > threshold", target: other }
      other:
        transitions:
          - { event: speech, when: "transcript == 'stop' and confidence > threshold", target: done }
          - { event: speech, when: "transcript contains 'go' and confidence > threshold", target: start }
      done:
        on_enter: [{ action: hangup }]
        terminal: true
    """

  private static let goOn = DialogInput.speech(HeardSpeech(transcript: "go on please", confidence: 0.9))

  static func dialog(_ yaml: String, file: String) throws -> Dialog {
    let outcome = DialogLoader.load(try YAML.read(yaml, file: file), file: file)
    guard let dialog = outcome.dialog else {
      throw BenchmarkError("\(file): " + outcome.diagnostics.map(\.description).joined(separator: "; "))
    }
    return dialog
  }

  /// Feeds `count` answers; every one takes a transition.
  private static func goOn(_ session: inout DialogSession, _ count: Int, from start: Int64) throws {
    var now = start
    for _ in 0..<count {
      now += 1_000_000_000
      guard !session.receive(goOn, at: Instant(nanoseconds: now), wallMs: now / 1_000_000).isEmpty else {
        throw BenchmarkError("the machine did not move")
      }
    }
  }

  private static func started(_ dialog: Dialog) -> DialogSession {
    var session = DialogSession(dialog: dialog, call: CallFacts(callerID: "alice", calledNumber: "100"))
    _ = session.receive(.callAnswered, at: .zero, wallMs: 0)
    return session
  }

  // MARK: Speed

  private static func transitions(_ report: inout Report) throws {
    var session = started(try dialog(relay, file: "relay.yaml"))
    let count = 100_000
    var rates: [Double] = []
    try goOn(&session, 1_000, from: 0)
    for _ in 0..<7 {
      let seconds = try cpuTime { try goOn(&session, count, from: session.deadline?.nanoseconds ?? 0) }
      rates.append(Double(count) / seconds)
    }
    guard session.currentState == "start" else { throw BenchmarkError("the machine went astray") }
    let peer = try Peers.number("state_machine.py", field: "transitions_per_second")
    report.add(
      Row(
        metric: "transitions with conditions per second and core", unit: "1/s", value: percentile(rates, 0.5),
        peer: peer == nil ? nil : "transitions (PyPI)", peerValue: peer, bar: .atLeast(500_000),
        at: "\(count) turns, median of 7; two conditions each"))
  }

  /// What a turn of a call asks of the machine: speech begins, the prompt is cut, words, a transition, a variable, a prompt.
  private static func turns(_ report: inout Report) throws {
    let dialog = try dialog(
      """
      name: turns
      variables: { count: 0 }
      states:
        start:
          on_enter:
            - { action: set_variable, count: count + 1 }
            - { action: play_tts, text: "This is turn {{ count }}. What can I do for you?" }
          listen: { hints: [password, printer, network] }
          transitions:
            - { event: dtmf, digits: "1", target: start }
            - { event: speech, when: "matches(transcript, 'password|locked') and confidence > 0.4", target: start }
            - { event: speech, when: "transcript contains 'printer'", target: start }
      """, file: "turns.yaml")
    let count = 20_000
    var rates: [Double] = []
    for _ in 0..<7 {
      var session = started(dialog)
      var playback: UInt32 = 1
      var now: Int64 = 0
      let seconds = try cpuTime {
        for _ in 0..<count {
          now += 1_000_000_000
          let at = Instant(nanoseconds: now)
          let ms = now / 1_000_000
          _ = session.receive(.speechStarted, at: at, wallMs: ms)
          _ = session.receive(
            .playbackInterrupted(PlaybackID(playback), heard: "This is", byCaller: true), at: at, wallMs: ms)
          let actions = session.receive(
            .speech(HeardSpeech(transcript: "my printer is broken", confidence: 0.8)), at: at, wallMs: ms)
          guard case .say(let prompt)? = actions.last(where: { if case .say = $0 { true } else { false } }) else {
            throw BenchmarkError("the dialog fell silent")
          }
          playback = prompt.id.value
        }
      }
      rates.append(Double(count) / seconds)
    }
    report.add(
      Row(
        metric: "whole turns per second and core", unit: "1/s", value: percentile(rates, 0.5), peer: nil,
        peerValue: nil,
        bar: nil, at: "\(count) turns of 3 inputs, median of 7"))
  }

  private static func lengths(_ report: inout Report) throws {
    let dialog = try dialog(relay, file: "relay.yaml")
    var costs: [Int: Double] = [:]
    var sessions: [Int: DialogSession] = [:]
    for length in [10, 1_000, 100_000] {
      var session = started(dialog)
      try goOn(&session, length, from: 0)
      sessions[length] = session
    }
    // In turns, so that a slow moment of the machine meets all lengths alike.
    var times: [Int: [Double]] = [:]
    for _ in 0..<60 {
      for (length, session) in sessions {
        var copy = session
        let seconds = try cpuTime { try goOn(&copy, 1_000, from: Int64(length) * 1_000_000_000) }
        times[length, default: []].append(seconds * 1e9 / 1_000)
      }
    }
    for (length, values) in times { costs[length] = percentile(values, 0.5) }
    for length in [10, 1_000, 100_000] {
      report.add(
        Row(
          metric: "cost of a step after \(length) steps", unit: "ns", value: costs[length] ?? .nan, peer: nil,
          peerValue: nil, bar: nil, at: "1000 steps, median of 60"))
    }
    report.add(
      Row(
        metric: "cost of a step, 100000 steps to 10", unit: "x", value: (costs[100_000] ?? .nan) / (costs[10] ?? .nan),
        peer: nil, peerValue: nil, bar: .atMost(1.2), at: "the two rows above"))
  }

  // MARK: Snapshots

  private static func snapshots(_ report: inout Report) throws {
    let path = "\(Tools.root)/examples/dialogs/helpdesk.yaml"
    let helpdesk = try dialog(try String(contentsOfFile: path, encoding: .utf8), file: path)
    let session = try waiting(helpdesk, 1)
    var writing: [Double] = []
    var reading: [Double] = []
    var bytes = 0
    for _ in 0..<5_000 {
      var text: [UInt8] = []
      writing.append(cpuTime { JSON.write(session.snapshot(), to: &text) } * 1e6)
      bytes = text.count
      var state = ""
      reading.append(
        try cpuTime {
          state =
            try DialogSession(
              restoring: try JSON.decode(text), dialog: helpdesk, limits: DialogLimits(), call: facts(1)
            ).currentState
        } * 1e6)
      guard state == session.currentState else { throw BenchmarkError("the session came back elsewhere") }
    }
    for (name, times) in [("snapshot to JSON text", writing), ("restore from JSON text", reading)] {
      for (mark, q) in [("p50", 0.5), ("p99", 0.99)] {
        report.add(
          Row(
            metric: "\(name), \(mark)", unit: "us", value: percentile(times, q), peer: nil, peerValue: nil, bar: nil,
            at: "5000 times, helpdesk after the first answer"))
      }
    }
    report.add(
      Row(
        metric: "snapshot of a waiting session", unit: "bytes", value: Double(bytes), peer: nil, peerValue: nil,
        bar: .atMost(32 * 1_024), at: "JSON text, helpdesk after the first answer"))
  }

  // MARK: Test files

  private static func testCases(_ report: inout Report) throws {
    let path = "\(Tools.root)/examples/dialogs/helpdesk.yaml"
    let helpdesk = try dialog(try String(contentsOfFile: path, encoding: .utf8), file: path)
    let yaml = """
      dialog: helpdesk
      hooks: { ticketing: { data: { ticket_id: "4711" } } }
      cases:
        - name: password by voice
          steps:
            - heard: [Welcome to the help desk, What can I do for you]
            - say: I forgot my password
            - heard: [I can have your password reset, four digit employee number]
            - state: identify
            - press: "1234"
            - hook: { service: ticketing, payload: { issue: password reset, employee: "1234" } }
            - heard: ticket 4 7 1 1 for your password reset request
            - say: no thank you
            - heard: Goodbye
            - ended: normal
      """
    let outcome = DialogTestLoader.load(try YAML.read(yaml, file: "bench.test.yaml"), file: "bench.test.yaml")
    guard let tests = outcome.tests else {
      throw BenchmarkError(outcome.diagnostics.map(\.description).joined(separator: "; "))
    }
    let runner = DialogTestRunner(tests, dialog: helpdesk)
    let count = 2_000
    var rates: [Double] = []
    for _ in 0..<5 {
      var coverage = DialogCoverage(helpdesk)
      let seconds = try cpuTime {
        for _ in 0..<count {
          let result = runner.run(tests.cases[0], coverage: &coverage)
          if let failure = result.failure { throw BenchmarkError("the case fails: \(failure.message)") }
        }
      }
      rates.append(Double(count) / seconds)
    }
    report.add(
      Row(
        metric: "dialog test cases of ten steps per second and core", unit: "1/s", value: percentile(rates, 0.5),
        peer: nil, peerValue: nil, bar: .atLeast(5_000), at: "\(count) cases, median of 5"))
  }

  // MARK: Loading

  /// The example dialogs over and over, each under a name of its own.
  static func thousandDialogs() throws -> [(file: String, text: String)] {
    let folder = "\(Tools.root)/examples/dialogs"
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(".yaml") && !$0.hasSuffix(".test.yaml") }.sorted()
    let examples = try files.map { try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8) }
    return (0..<1_000).map { i in
      let file = files[i % files.count], stem = file.dropLast(5)
      let text = examples[i % files.count].replacing(
        "name: \(stem)\n", with: "name: \(stem)-\(i)\n", maxReplacements: 1)
      return ("\(stem)-\(i).yaml", text)
    }
  }

  private static func load(_ report: inout Report) throws {
    let texts = try thousandDialogs()
    var times: [Double] = []
    for _ in 0..<3 {
      var dialogs: [Dialog] = []
      times.append(
        try cpuTime {
          for (file, text) in texts { dialogs.append(try dialog(text, file: file)) }
          guard DialogLoader.unique(dialogs).dialogs.count == 1_000 else { throw BenchmarkError("names clash") }
        })
    }
    let folder = try Tools.temporaryFolder()
    for (file, text) in texts { try text.write(toFile: "\(folder)/\(file)", atomically: false, encoding: .utf8) }
    let peer = try Peers.number("parse_yaml.py", [folder], field: "seconds")
    let bytes = texts.reduce(0) { $0 + $1.text.utf8.count }
    report.add(
      Row(
        metric: "load and check of 1000 dialogs from YAML text", unit: "s", value: percentile(times, 0.5),
        peer: peer == nil ? nil : "PyYAML (libyaml), parse only", peerValue: peer, bar: .atMost(1),
        at: "\(bytes / 1_024) KiB, one core, median of 3"))
  }

  // MARK: Memory

  private static func memory(_ report: inout Report) throws {
    let path = "\(Tools.root)/examples/dialogs/helpdesk.yaml"
    let helpdesk = try dialog(try String(contentsOfFile: path, encoding: .utf8), file: path)
    let count = 10_000
    let before = residentKiB()
    var sessions: [DialogSession] = []
    for i in 0..<count { sessions.append(try waiting(helpdesk, i)) }
    let perSession = (residentKiB() - before) / Double(count)
    report.add(
      Row(
        metric: "resident memory per waiting session", unit: "KiB", value: perSession, peer: nil, peerValue: nil,
        bar: .atMost(32), at: "\(sessions.count) sessions of helpdesk after the first answer"))
  }

  private static func facts(_ i: Int) -> CallFacts {
    CallFacts(
      session: SessionID("01J\(1_000_000 + i)"), callerID: "+49301234\(i)", calledNumber: "100",
      fromURI: "sip:+49301234\(i)@example.org", toURI: "sip:helpdesk@example.org",
      headers: [("X-Queue", "queue \(i)"), ("User-Agent", "phone \(i % 7)")])
  }

  /// A session of `helpdesk` that has heard one answer and waits for the next.
  private static func waiting(_ helpdesk: Dialog, _ i: Int) throws -> DialogSession {
    var session = DialogSession(dialog: helpdesk, call: facts(i))
    var playing: [PlaybackID] = []
    var now: Int64 = 0
    func take(_ input: DialogInput) {
      now += 500_000_000
      for action in session.receive(input, at: Instant(nanoseconds: now), wallMs: now / 1_000_000) {
        if case .say(let prompt) = action { playing.append(prompt.id) }
      }
    }
    take(.callAnswered)
    while !playing.isEmpty { take(.playbackFinished(playing.removeFirst())) }
    take(.speechStarted)
    take(.speech(HeardSpeech(transcript: "i forgot my password", confidence: 0.9, slots: ["n": .int(Int64(i))])))
    while !playing.isEmpty { take(.playbackFinished(playing.removeFirst())) }
    guard session.deadline != nil else { throw BenchmarkError("the session does not wait") }
    return session
  }

  private static func residentKiB() -> Double {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) } ?? 0
  }
}

struct BenchmarkError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Seconds of this thread's processor time: what others do on the machine does not count.
func cpuTime(_ work: () throws -> Void) rethrows -> Double {
  func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
  let start = now()
  try work()
  return now() - start
}

/// Programs of others that do the same work in the same run: scripts in Benchmarks/peers that print one JSON object.
enum Peers {
  private static let packages = ["transitions==0.9.3", "pyyaml==6.0.3"]
  private static let folder = "\(Tools.root)/Benchmarks/.build/peers"

  /// A figure that the script reports; nil, with a line on stderr, where the peer cannot be had here.
  static func number(_ script: String, _ arguments: [String] = [], field: String) throws -> Double? {
    if !FileManager.default.fileExists(atPath: "\(folder)/transitions") {
      let result = try Tools.run(
        "python3", ["-m", "pip", "install", "--quiet", "--target", folder] + packages, limit: 120)
      guard result.status == 0 else {
        FileHandle.standardError.write(Data("no peer for \(script): pip: \(result.errors)\n".utf8))
        return nil
      }
    }
    let result = try Tools.run(
      "python3", ["\(Tools.root)/Benchmarks/peers/\(script)"] + arguments, environment: ["PYTHONPATH": folder],
      limit: 120)
    guard result.status == 0,
      let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any],
      let value = object[field] as? Double
    else {
      FileHandle.standardError.write(Data("no peer for \(script): \(result.errors)\n".utf8))
      return nil
    }
    return value
  }
}
