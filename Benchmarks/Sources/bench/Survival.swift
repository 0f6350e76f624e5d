import Foundation
import ScriptedServers

/// Whether calls go on when what serves them dies, what the caller hears of it, and what it costs to be able to.
enum Survival {
  /// Steps that every key leads through: the caller is heard and spoken to all the time.
  private static let steps = 10
  static let dialog: String = {
    var text = """
      name: steps
      routing: { match: [{ sip_to: "sip:steps@*" }] }
      states:
      """
    for step in 1...steps {
      text += """

          \(step == 1 ? "start" : "step_\(step)"):
            on_enter: [{ action: play_tts, text: "This is step \(step) of a conversation. Please go on with a key." }]
            transitions: [{ event: dtmf, target: \(step < steps ? "step_\(step + 1)" : "finish") }]
            timeout: 60s
        """
    }
    return text + """

        finish:
          on_enter: [{ action: play_tts, text: "That was the last step." }, { action: hangup }]
          terminal: true
      """
  }()

  /// Roles whose processes hold calls.
  private static let holders = ["runtime", "speech", "media"]

  /// Calls at once; each scenario has so many.
  private static let calls = 25

  static func run() throws -> Report {
    var report = Report(name: "survival")
    let parts = (ProcessInfo.processInfo.environment["BENCH_PARTS"] ?? "cost|hop|deaths").split(separator: "|")
    if parts.contains("hop") { try HopCost.run(&report) }
    if parts.contains("cost") { try cost(&report) }
    // `deaths:media` takes those in whose name `media` is.
    if let part = parts.first(where: { $0.hasPrefix("deaths") }) { try deaths(&report, only: part.dropFirst(7)) }
    return report
  }

  // MARK: Deaths

  private static func deaths(_ report: inout Report, only: Substring) throws {
    let cluster = try Cluster(
      dialogs: ["steps.yaml": dialog], extra: "  log: { level: error, format: text }", losesRedis: true)
    var all = Outcome()
    let scenarios: [(String, (Cluster) throws -> Void, (Cluster) throws -> Void)] =
      ["runtime", "speech", "integration", "worker", "media"].map { role in
        ("kill -9 of a \(role) process", { $0.crash(role, 0) }, { try $0.restart(role, 0) })
      } + [
        (
          "rolling restart of all",
          { cluster in
            for role in Cluster.roles {
              for number in 0..<2 {
                cluster.stop(role, number)
                try cluster.restart(role, number)
              }
            }
          }, { _ in }
        ),
        ("partition between two roles", { $0.freeze("runtime", 0) }, { $0.thaw("runtime", 0) }),
        ("death of the Redis master", { try $0.redis.crash() }, { _ in }),
      ]
    for (name, kill, mend) in scenarios where only.isEmpty || name.contains(only) {
      let outcome = try during(cluster, role: Self.holders.first { name.hasPrefix("kill -9 of a \($0)") }, kill)
      try mend(cluster)
      all.add(outcome)
      report.add(
        Row(metric: "calls that go on: \(name)", unit: "%", value: outcome.share * 100, at: "\(outcome.calls) calls"))
      report.add(
        Row(metric: "longest silence p95: \(name)", unit: "ms", value: outcome.silence, at: "\(outcome.calls) calls"))
      if let resumed = outcome.resumedMs {
        report.add(
          Row(
            metric: "until all calls are held again: \(name)", unit: "ms", value: resumed, at: "\(outcome.calls) calls")
        )
      }
    }
    report.add(
      Row(metric: "calls that go on", unit: "%", value: all.share * 100, bar: .atLeast(99), at: "\(all.calls) calls"))
    report.add(
      Row(
        metric: "longest silence p95", unit: "ms", value: percentile(all.silences, 0.95), bar: .atMost(2000),
        at: "\(all.calls) calls"))
    report.add(
      Row(
        metric: "lost or repeated transitions", unit: "", value: Double(all.wrong), bar: .atMost(0),
        at: "\(all.calls) calls"))
    cluster.stop()
  }

  private struct Outcome {
    var calls = 0
    var finished = 0
    /// Of each call.
    var silences: [Double] = []
    /// Calls whose record is not that of a call without deaths.
    var wrong = 0
    /// From the death of a process until another one held what it had held.
    var resumedMs: Double?

    var share: Double { calls == 0 ? 0 : Double(finished) / Double(calls) }
    var silence: Double { percentile(silences, 0.95) }

    mutating func add(_ other: Outcome) {
      calls += other.calls
      finished += other.finished
      silences += other.silences
      wrong += other.wrong
    }
  }

  /// Places calls, kills in the middle of them, and sees what came of each.
  /// - Parameter role: whose first process is killed, where it holds calls; their way to the second one is timed.
  private static func during(
    _ cluster: Cluster, role: String?, _ kill: (Cluster) throws -> Void
  ) throws -> Outcome {
    let known = try ids(cluster)
    let callers = try Callers(cluster.member("media", 0), calls: calls)
    Thread.sleep(forTimeInterval: 14)
    var outcome = Outcome()
    let held = try role.map { role in
      try (0..<2).map { try cluster.member(role, $0).metric("vg_calls_held") }.reduce(0, +)
    }
    let start = Date()
    try kill(cluster)
    if let role, let held {
      while try cluster.member(role, 1).metric("vg_calls_held") < held, Date().timeIntervalSince(start) < 10 {
        Thread.sleep(forTimeInterval: 0.01)
      }
      outcome.resumedMs = Date().timeIntervalSince(start) * 1000
    }
    let reports = try callers.finish()
    outcome.calls = reports.count
    outcome.finished = reports.count { $0["ended_by"] as? String == "gateway" }
    outcome.silences = reports.compactMap {
      $0["longest_silence_ms"] as? Double ?? ($0["longest_silence_ms"] as? Int).map(Double.init)
    }
    if ProcessInfo.processInfo.environment["BENCH_VERBOSE"] != nil { print("silences:", outcome.silences.sorted()) }
    let wanted = (2...steps).map { "step_\($0)" } + ["finish"]
    for id in try ids(cluster).subtracting(known) {
      let events = try api(cluster).recordedEvents(of: id)
      let states = events.filter { $0["type"] as? String == "state_transition" }.compactMap {
        $0["to_state"] as? String
      }
      .filter { $0 != "start" }
      // A call that was cut is counted above; what it did until then must be right all the same.
      if states != Array(wanted.prefix(states.count)) { outcome.wrong += 1 }
    }
    return outcome
  }

  private static func api(_ cluster: Cluster) -> Gateway {
    (cluster.members["integration"] ?? []).compactMap { $0 }.first ?? cluster.member("integration")
  }

  private static func ids(_ cluster: Cluster) throws -> Set<String> {
    var found: Set<String> = []
    for query in ["?limit=200", "?state=ended&limit=200"] {
      var cursor = ""
      repeat {
        let page = try api(cluster).json("/v1/calls\(query)\(cursor)")
        for item in page["items"] as? [[String: Any]] ?? [] { if let id = item["id"] as? String { found.insert(id) } }
        cursor = (page["next_cursor"] as? String).map { "&cursor=\($0)" } ?? ""
      } while !cursor.isEmpty
    }
    return found
  }

  /// Callers who press a key whenever it is quiet.
  final class Callers {
    private let process = Process()
    private let file: String

    init(_ gateway: Gateway, calls: Int) throws {
      file = try Tools.temporaryFolder() + "/out"
      _ = FileManager.default.createFile(atPath: file, contents: nil)
      process.executableURL = URL(fileURLWithPath: Tools.parley)
      process.arguments =
        [
          "call", gateway.uri("steps"), "--deaf", "--json", "--patience", "15000", "--calls", "\(calls)", "--stagger",
          "120",
        ]
        + (0..<steps + 2).flatMap { _ in ["--say", "#1"] }
      process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
      process.standardError = FileHandle.nullDevice
      try process.run()
    }

    func finish() throws -> [[String: Any]] {
      process.waitUntilExit()
      let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file))) as? [String: Any]
      // Of one call its report, of many a list of them.
      return json?["calls"] as? [[String: Any]] ?? [json].compactMap { $0 }
    }
  }

  // MARK: Cost

  /// The same calls in one process and in a process for each role: processor time, and questions to Redis.
  private static func cost(_ report: inout Report) throws {
    let quiet = "  log: { level: error, format: text }"
    let cluster = try Cluster(of: 1, dialogs: ["steps.yaml": dialog], extra: quiet)
    let single = try Gateway(dialogs: ["steps.yaml": dialog], configuration: "observability:\n\(quiet)")
    let roles = ["media", "speech", "runtime", "integration", "worker"]
    let processes = roles.map { cluster.member($0).pid }
    var last: [String: Double] = [:]
    for count in [1, 10, 50, 100] {
      let at = "\(count) calls"
      let alone = try cpu([single.pid]) { try Callers(single, calls: count).finish() }
      let before = try commands(cluster.redis)
      let split = try cpu(processes) { try Callers(cluster.member("media"), calls: count).finish() }
      let questions = Double(try commands(cluster.redis) - before)
      report.add(
        Row(
          metric: "processor time of a call, roles apart", unit: "ms/s", value: split.perCallSecond,
          peer: "one process", peerValue: alone.perCallSecond, at: at))
      report.add(
        Row(
          metric: "calls per core, roles apart", unit: "", value: 1000 / split.perCallSecond, peer: "one process",
          peerValue: 1000 / alone.perCallSecond, at: at))
      for (role, spent) in zip(roles, split.shares) {
        report.add(Row(metric: "of that the \(role) role", unit: "ms/s", value: spent, at: at))
        last[role] = spent
      }
      report.add(Row(metric: "commands to Redis per call", unit: "", value: questions / Double(count), at: at))
      report.add(
        Row(metric: "commands to Redis per call and second", unit: "", value: questions / split.callSeconds, at: at))
    }
    for count in [10, 50, 100, 500] {
      for (role, cores) in zip(roles, podCores) {
        let needed = (Double(count) * (last[role] ?? 0) / 1000 / (cores * load)).rounded(.up)
        report.add(
          Row(metric: "pods of the \(role) role, two at least", unit: "", value: max(2, needed), at: "\(count) calls"))
      }
    }
    cluster.stop()
    single.stop()
  }

  /// Processor cores of a pod of each role: the limits in the chart's values.
  private static let podCores: [Double] = [2, 4, 1, 1, 1]
  /// How much of them calls may take: at this the chart's autoscaler adds another.
  private static let load = 0.6

  private static func commands(_ redis: RedisServer) throws -> Int {
    let text = try redis.ask("info stats | tr -d '\\r' | sed -n 's/^total_commands_processed://p'")
    return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
  }

  private struct Spent {
    /// Milliseconds of processor time for each second of a call, of each process.
    var shares: [Double]
    var callSeconds: Double
    var perCallSecond: Double { shares.reduce(0, +) }
  }

  private static func cpu(_ pids: [Int32], _ work: () throws -> [[String: Any]]) throws -> Spent {
    func spent() -> [Double] { pids.map { FirstCall.cpuSeconds($0) * 1000 } }
    let before = spent()
    let reports = try work()
    let seconds = max(1, reports.reduce(0.0) { $0 + Double($1["duration_ms"] as? Int ?? 0) / 1000 })
    return Spent(shares: zip(spent(), before).map { ($0 - $1) / seconds }, callSeconds: seconds)
  }
}
