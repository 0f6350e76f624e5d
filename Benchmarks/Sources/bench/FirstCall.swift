import Foundation

/// The first numbers: how many calls can be set up, what a leg costs, how soon the caller is answered, how soon a prompt stops.
/// docs/benchmarks.md says how each is measured and why so.
enum FirstCall {
  static let configuration = """
    media:
      max_calls: 5000
      access: { max_calls_per_second: 0 }
    runtime:
      max_concurrent_calls: 5000
    speech:
      max_workers: 2
      queue_depth: 100
    observability:
      log: { level: error, format: text }
    """

  /// Listens for a minute and says nothing: a leg whose media flows while nobody talks.
  static let idleDialog = """
    name: idle
    routing: { match: [{ sip_to: "sip:idle@*" }] }
    states:
      start:
        listen: { hints: [goodbye] }
        transitions:
          - event: speech
            target: bye
          - event: timeout
            target: bye
        timeout: 300s
      bye:
        on_enter:
          - action: hangup
        terminal: true
    """

  /// Answers every request with a short sentence and listens again: a conversation that goes on.
  static let talkDialog = """
    name: talk
    routing: { match: [{ sip_to: "sip:talk@*" }] }
    settings: { no_input_retries: 20 }
    states:
      start:
        on_enter:
          - action: play_tts
            text: "What can I do for you?"
        listen: { hints: [password, printer, network, person] }
        transitions:
          - event: speech
            when: "matches(transcript, 'password|printer|network|person')"
            target: understood
          - event: no_match
            target: again
        timeout: 30s
      understood:
        on_enter:
          - action: play_tts
            text: "I will see to it."
          - action: goto
            target: start
      again:
        on_enter:
          - action: play_tts
            text: "Please say it again."
          - action: goto
            target: start
    """

  /// Speaks for long enough to be interrupted.
  static let longDialog = """
    name: long
    routing: { match: [{ sip_to: "sip:long@*" }] }
    states:
      start:
        on_enter:
          - action: play_tts
            text: >-
              This is a long announcement that goes on and on about opening hours, about holidays, about the new building
              across the street, and about everything else that nobody who calls us ever wants to hear before they may
              say what they want.
        listen: { hints: [password, printer, network] }
        transitions:
          - event: speech
            target: bye
          - event: no_match
            target: bye
        timeout: 10s
        timeout_next: bye
      bye:
        on_enter:
          - action: hangup
        terminal: true
    """

  static func run() throws -> Report {
    var report = Report(name: "first-call")
    let gateway = try Gateway(
      dialogs: ["idle.yaml": idleDialog, "talk.yaml": talkDialog, "long.yaml": longDialog],
      configuration: configuration,
      rtpPorts: 20_000...59_998)
    // BENCH_PARTS=answers,barge-in runs only those, while something is being worked on.
    let parts = ProcessInfo.processInfo.environment["BENCH_PARTS"]?.split(separator: ",").map(String.init)
    func wanted(_ part: String) -> Bool { parts?.contains(part) ?? true }
    if wanted("rate") { try setupRate(gateway, &report) }
    if wanted("media") { try mediaCost(&report) }
    if wanted("answers") { try responseTimes(gateway, &report) }
    if wanted("barge-in") { try bargeIn(gateway, &report) }
    if wanted("crowd") { try crowd(gateway, &report) }
    gateway.stop()
    if wanted("recognition") { try Recognition.run(&report) }
    return report
  }

  // MARK: Call set-up

  private static func setupRate(_ gateway: Gateway, _ report: inout Report) throws {
    let peer = try SIPpServer()
    let peerRate = try highestRate(port: peer.port, service: "any")
    peer.stop()
    let rate = try highestRate(port: gateway.sipPort, service: "idle")
    report.add(
      Row(
        metric: "calls set up and ended per second, no retransmission", unit: "1/s", value: rate, peer: "SIPp UAS",
        peerValue: peerRate, bar: nil, at: "5 s at each rate, SIPp UAC on the same cores"))
  }

  /// The highest rate at which five seconds of calls all succeed without one retransmission; each rate is half as much again.
  private static func highestRate(port: Int, service: String) throws -> Double {
    var best = 0.0
    var rate = 100.0
    while rate < 20_000 {
      let folder = try Tools.temporaryFolder()
      let result = try Tools.run(
        "sipp",
        [
          "127.0.0.1:\(port)", "-sf", "\(Tools.root)/Benchmarks/scenarios/uac-rate.xml", "-s", service, "-i",
          "127.0.0.1",
          "-r", "\(Int(rate))", "-m", "\(Int(rate) * 5)", "-l", "20000", "-timeout", "30", "-nostdin", "-trace_stat",
          "-stf",
          "\(folder)/stat.csv", "-fd", "1",
        ], in: folder, limit: 60)
      let lines = try String(contentsOfFile: "\(folder)/stat.csv", encoding: .utf8).split(separator: "\n")
      let names = lines.first?.split(separator: ";").map(String.init) ?? []
      let values = lines.last?.split(separator: ";", omittingEmptySubsequences: false).map(String.init) ?? []
      func column(_ name: String) -> Double { names.firstIndex(of: name).flatMap { Double(values[$0]) } ?? .nan }
      let clean = result.status == 0 && column("FailedCall(C)") == 0 && column("Retransmissions(C)") == 0
      // A rate that SIPp itself did not reach says nothing about the server.
      guard clean, column("CallRate(C)") > rate * 0.8 else { break }
      best = rate
      rate *= 1.5
    }
    return best
  }

  // MARK: A leg

  private static func mediaCost(_ report: inout Report) throws {
    var perFrame: [Double] = []
    var peerFrame = 0.0
    for count in [25, 50, 100] {
      let gateway = try Gateway(
        dialogs: ["idle.yaml": idleDialog], configuration: configuration, rtpPorts: 20_000...59_998)
      let memoryBefore = residentKiB(gateway.pid)
      let (cpu, memory) = try during(gateway.uri("idle"), count: count, pid: gateway.pid)
      perFrame.append(cpu / Double(count * 50) * 1e6)
      if count == 100 {
        report.add(
          Row(
            metric: "resident memory per idle-media call", unit: "KiB", value: (memory - memoryBefore) / Double(count),
            peer: nil,
            peerValue: nil, bar: nil, at: "100 calls"))
        let peer = try SIPpServer(echo: true)
        peerFrame =
          try during("sip:any@127.0.0.1:\(peer.port)", count: count, pid: peer.pid).cpu / Double(count * 50) * 1e6
        peer.stop()
      }
      gateway.stop()
      report.add(
        Row(
          metric: "CPU per 20 ms of one leg (both directions, VAD on)", unit: "us", value: perFrame.last ?? 0,
          peer: count == 100 ? "SIPp RTP echo" : nil, peerValue: count == 100 ? peerFrame : nil, bar: nil,
          at: "\(count) calls"))
    }
  }

  /// CPU seconds per second, and resident KiB, of process `pid` while `count` silent calls are up.
  private static func during(_ uri: String, count: Int, pid: Int32) throws -> (cpu: Double, memory: Double) {
    let caller = Process()
    caller.executableURL = URL(fileURLWithPath: Tools.parley)
    caller.arguments = [
      "call", uri, "--calls", "\(count)", "--stagger", "20", "--deaf", "--patience", "14000", "--json",
    ]
    caller.standardOutput = FileHandle.nullDevice
    caller.standardError = FileHandle.nullDevice
    try caller.run()
    // Two looks, ten seconds apart, while all the calls are up; this is a stopwatch, not a test.
    Thread.sleep(forTimeInterval: 0.02 * Double(count) + 1)
    let first = cpuSeconds(pid)
    Thread.sleep(forTimeInterval: 10)
    let second = cpuSeconds(pid)
    let memory = residentKiB(pid)
    caller.waitUntilExit()
    return ((second - first) / 10, memory)
  }

  /// User and system time of a process, in seconds.
  static func cpuSeconds(_ pid: Int32) -> Double {
    let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    let fields = stat.drop { $0 != ")" }.split(separator: " ")
    guard fields.count > 13 else { return 0 }
    return ((Double(fields[12]) ?? 0) + (Double(fields[13]) ?? 0)) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  private static func residentKiB(_ pid: Int32) -> Double {
    let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) } ?? 0
  }

  // MARK: The conversation

  private static let requests = [
    "my printer is broken", "i forgot my password", "the network is down", "i want to speak to a person",
  ]

  private static func responseTimes(_ gateway: Gateway, _ report: inout Report) throws {
    var times: [Double] = []
    for voice in ["rms", "slt", "awb", "kal16"] {
      let says = (requests + requests).flatMap { ["--say", $0] }
      let (_, json) = try Tools.parleyJSON(
        ["call", gateway.uri("talk"), "--deaf", "--voice", voice, "--hangup"] + says, limit: 180)
      times += (json["response_ms"] as? [NSNumber] ?? []).map(\.doubleValue)
    }
    for (name, q, bar) in [("p50", 0.5, 450.0), ("p95", 0.95, 700.0)] {
      report.add(
        Row(
          metric: "end of caller speech to first answer audio, \(name)", unit: "ms", value: percentile(times, q),
          peer: nil,
          peerValue: nil, bar: .atMost(bar), at: "\(times.count) turns, one call at a time, 4 voices"))
    }
  }

  private static func bargeIn(_ gateway: Gateway, _ report: inout Report) throws {
    var times: [Double] = []
    for voice in ["rms", "slt", "awb", "kal16"] {
      for (i, request) in requests.enumerated() {
        let (_, json) = try Tools.parleyJSON([
          "call", gateway.uri("long"), "--deaf", "--voice", voice, "--say", request, "--interrupt", "\(1500 + 333 * i)",
          "--hangup",
        ])
        times += (json["barge_in_ms"] as? [NSNumber] ?? []).prefix(1).map(\.doubleValue)
      }
    }
    for (name, q, bar) in [("p50", 0.5, 150.0), ("p95", 0.95, 250.0)] {
      report.add(
        Row(
          metric: "barge-in onset to silence on the wire, \(name)", unit: "ms", value: percentile(times, q), peer: nil,
          peerValue: nil, bar: .atMost(bar), at: "\(times.count) of 16 interruptions"))
    }
  }

  private static func crowd(_ gateway: Gateway, _ report: inout Report) throws {
    let cores = Double(ProcessInfo.processInfo.activeProcessorCount)
    var most = 0
    for count in [10, 20, 30, 45, 60, 80] {
      let says = (requests + requests).flatMap { ["--say", $0] }
      let (_, json) = try Tools.parleyJSON(
        ["call", gateway.uri("talk"), "--calls", "\(count)", "--stagger", "100", "--deaf", "--hangup"] + says,
        limit: 240)
      let summary = json["summary"] as? [String: Any] ?? [:]
      let rtp = summary["rtp"] as? [String: Any] ?? [:]
      let late = (rtp["over_20_ms"] as? NSNumber)?.doubleValue ?? .nan
      let worst = ((rtp["late_ms"] as? [String: Any])?["max"] as? NSNumber)?.doubleValue ?? .nan
      let p95 = ((summary["response_ms"] as? [String: Any])?["p95"] as? NSNumber)?.doubleValue ?? .nan
      if count == 30 {
        report.add(
          Row(
            metric: "frames more than 20 ms late in the received RTP", unit: "", value: late, peer: nil, peerValue: nil,
            bar: .atMost(0), at: "30 spoken calls at once, \((rtp["packets"] as? NSNumber)?.intValue ?? 0) packets"))
        report.add(
          Row(
            metric: "latest frame in the received RTP", unit: "ms", value: worst, peer: nil, peerValue: nil, bar: nil,
            at: "30 spoken calls at once"))
      }
      report.add(
        Row(
          metric: "end of caller speech to first answer audio, p95", unit: "ms", value: p95, peer: nil, peerValue: nil,
          bar: nil,
          at: "\(count) calls at once"))
      guard late == 0, p95 <= 700 else { break }
      most = count
    }
    report.add(
      Row(
        metric: "simultaneously talking callers per core", unit: "", value: Double(most) / cores, peer: nil,
        peerValue: nil, bar: nil,
        at: "no frame over 20 ms late, p95 answer within 700 ms, callers on the same cores"))
  }
}

/// SIPp as a server, for comparison.
final class SIPpServer {
  let port = Int.random(in: 15_000...19_000)
  private let process = Process()

  init(echo: Bool = false) throws {
    let folder = try Tools.temporaryFolder()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", "\(port)", "-nostdin", "-l", "20000"]
      + (echo ? ["-rtp_echo"] : [])
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    Thread.sleep(forTimeInterval: 1)
  }

  var pid: Int32 { process.processIdentifier }
  func stop() {
    process.terminate()
    process.waitUntilExit()
  }
}
