import Foundation

/// Whether recognition is tuned to one voice: the example dialogs' phrases, and as many sentences that fit none of them, in eight
/// voices through real mu-law calls, one utterance a call. docs/benchmarks.md says how and why so.
///
/// `BENCH_VERBOSE=1` prints every miss with its transcript and confidence. `BENCH_FIT=1` speaks the other half of the phrases,
/// the one that thresholds may be fitted on, and prints what each threshold would give.
enum Recognition {
  struct Voice {
    var name: String
    /// Formant synthesis is reported beside the bars, not under them.
    var isFormant = false
  }

  static let voices = [
    Voice(name: "flite slt"), Voice(name: "flite rms"), Voice(name: "flite awb"), Voice(name: "flite kal16"),
    Voice(name: "festival kal"), Voice(name: "espeak us", isFormant: true),
    Voice(name: "espeak us+f3", isFormant: true),
    Voice(name: "espeak gb", isFormant: true),
  ]

  /// Calls at a time: with the callers, about two thirds of two cores.
  private static let parallelCalls = 18
  private static let isVerbose = ProcessInfo.processInfo.environment["BENCH_VERBOSE"] == "1"
  private static let isForFitting = ProcessInfo.processInfo.environment["BENCH_FIT"] == "1"

  private static let configuration = """
    media:
      max_calls: 500
      access: { max_calls_per_second: 0 }
    runtime:
      max_concurrent_calls: 500
    speech:
      max_workers: 2
      queue_depth: 100
    observability:
      log: { level: error, format: text }
    """

  /// One utterance and what became of it.
  private struct Trial {
    var item: SpokenItem
    var voice: Voice
    var isNoisy: Bool
    var id: String
    var wav: String
    var result: Result?

    struct Result {
      var transcript: String
      var confidence: Double
      /// Where the first turn led; nil: no transition on speech.
      var target: String?
      /// Whether any turn of the call took one.
      var tookAny: Bool
    }

    var isRight: Bool {
      guard let meant = item.meant, let result else { return false }
      let words = result.transcript.split(separator: " ").map(String.init)
      return result.target == meant.target && (meant.word.isEmpty || words.contains(meant.word))
    }
    var isAccepted: Bool { result?.tookAny ?? false }
  }

  static func alone() throws -> Report {
    var report = Report(name: "recognition")
    try run(&report)
    return report
  }

  static func run(_ report: inout Report) throws {
    let folder = try Tools.temporaryFolder()
    let items = (SpokenItem.phrases + SpokenItem.others).filter { $0.isForScoring != isForFitting }
    var trials = try UtteranceMaker(folder: folder).make(items, voices: voices).flatMap { item, voice, wav in
      (isForFitting ? [false] : [false, true]).map { noisy in
        let id = "\(noisy ? "n" : "c")-" + (wav as NSString).lastPathComponent.replacing(".wav", with: "")
        return Trial(item: item, voice: voice, isNoisy: noisy, id: id, wav: wav)
      }
    }
    let noise = try UtteranceMaker(folder: folder).makeNoise()
    let states = Set(items.map { "\($0.dialog) \($0.state)" }).map { $0.split(separator: " ").map(String.init) }
    var dialogs: [String: String] = [:]
    for pair in states { dialogs["\(pair[0])-\(pair[1]).yaml"] = try entered(pair[0], at: pair[1]) }
    let gateway = try Gateway(dialogs: dialogs, configuration: configuration)
    defer { gateway.stop() }
    try place(trials, noise: noise, at: gateway)
    try collect(&trials, from: gateway)

    let lost = trials.count { $0.result == nil }
    let overflows = try gateway.metric("vg_asr_transcriptions_total", with: "overflow")
    if isVerbose { for trial in trials.sorted(by: { $0.id < $1.id }) { explain(trial) } }
    if isForFitting { printThresholds(trials) }
    add(trials, to: &report)
    report.add(
      Row(
        metric: "recognition: turns not heard, or without a decoder", unit: "", value: Double(lost) + overflows,
        peer: nil,
        peerValue: nil, bar: .atMost(Double(trials.count / 200)), at: "\(trials.count) calls"))
  }

  // MARK: Calls

  /// The example dialog with `state` as its first one and short prompts, so that a call comes to the point. What the states listen
  /// for and where their transitions lead stays as it is.
  private static func entered(_ dialog: String, at state: String) throws -> String {
    let text = try String(contentsOfFile: "\(Tools.root)/examples/dialogs/\(dialog).yaml", encoding: .utf8)
    var lines: [Substring] = []
    var foldedIndent: Int?
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let indent = line.prefix { $0 == " " }.count
      let content = line.dropFirst(indent)
      if let least = foldedIndent {
        if indent > least || content.isEmpty { continue }
        foldedIndent = nil
      }
      if line.hasPrefix("name: ") {
        lines += ["name: \(dialog)-\(state)", "initial_state: \(state)"]
      } else if content.hasPrefix("- sip_to: ") {
        lines.append(Substring(line.replacing("@*", with: "-\(state)@*")))
      } else if content.hasPrefix("text: ") {
        lines.append(Substring(String(repeating: " ", count: indent) + "text: Hello."))
        if content.hasPrefix("text: >") || content.hasPrefix("text: |") { foldedIndent = indent }
      } else {
        lines.append(line)
      }
    }
    return lines.joined(separator: "\n")
  }

  private static func place(_ trials: [Trial], noise: String, at gateway: Gateway) throws {
    let lines = trials.map { trial in
      "call \(gateway.uri("\(trial.item.dialog)-\(trial.item.state)")) --wav \(trial.wav) --from \(trial.id) --pause 600 "
        + "--patience 4000 --limit 30 --deaf --hangup --json" + (trial.isNoisy ? " --background \(noise)" : "")
    }
    // Shuffled, always in the same way: no voice or state has the machine to itself.
    var order = SplitMix(state: 1)
    let input = lines.shuffled(using: &order).joined(separator: "\n")
    let result = try Tools.run(
      "xargs", ["-P", "\(parallelCalls)", "-L", "1", Tools.parley], input: input, limit: 1800)
    guard result.status == 0 || result.status == 123 else {
      throw Gateway.Failed(description: "the calls could not be placed: \(result.errors.prefix(500))")
    }
  }

  private static func collect(_ trials: inout [Trial], from gateway: Gateway) throws {
    var results: [String: Trial.Result] = [:]
    for call in try gateway.allEndedCalls() {
      guard let id = call["session_id"] as? String ?? call["id"] as? String else { continue }
      let events = try gateway.json("/v1/calls/\(id)/events?limit=500")["items"] as? [[String: Any]] ?? []
      guard let caller = events.lazy.compactMap({ $0["caller_id"] as? String }).first,
        let turn = events.firstIndex(where: { $0["type"] as? String == "speech_final" })
      else { continue }
      let next = events[(turn + 1)...].first {
        ["state_transition", "speech_final"].contains($0["type"] as? String) && $0["trigger"] as? String != "no_match"
      }
      let taken = events.filter { $0["type"] as? String == "state_transition" && $0["trigger"] as? String == "speech" }
      results[user(of: caller)] = Trial.Result(
        transcript: events[turn]["transcript"] as? String ?? "",
        confidence: (events[turn]["confidence"] as? NSNumber)?.doubleValue ?? 0,
        target: next?["trigger"] as? String == "speech" ? next?["to_state"] as? String : nil, tookAny: !taken.isEmpty)
    }
    for i in trials.indices { trials[i].result = results[trials[i].id] }
  }

  /// `sip:name@host` -> `name`.
  private static func user(of caller: String) -> String {
    String(caller.split(separator: "@").first?.split(separator: ":").last ?? "")
  }

  // MARK: Figures

  private static func add(_ trials: [Trial], to report: inout Report) {
    func row(_ name: String, _ trials: [Trial], right: Row.Bar?, accepted: Row.Bar?) {
      let phrases = trials.filter { $0.item.meant != nil }
      let others = trials.filter { $0.item.meant == nil }
      for (what, part, count, bar) in [
        ("phrases right", phrases, phrases.count(where: \.isRight), right),
        ("others accepted", others, others.count(where: \.isAccepted), accepted),
      ] {
        report.add(
          Row(
            metric: "\(what), \(name)", unit: "%",
            value: part.isEmpty ? .nan : 100 * Double(count) / Double(part.count),
            peer: nil, peerValue: nil, bar: bar, at: "\(part.count) utterances"))
      }
    }
    for isNoisy in isForFitting ? [false] : [false, true] {
      let some = trials.filter { $0.isNoisy == isNoisy }
      let condition = isNoisy ? ", pink noise 20 dB below" : ""
      row(
        "flite and festival" + condition, some.filter { !$0.voice.isFormant }, right: isNoisy ? nil : .atLeast(92),
        accepted: isNoisy ? nil : .atMost(10))
      row("espeak-ng" + condition, some.filter(\.voice.isFormant), right: nil, accepted: nil)
    }
    for voice in voices {
      row(voice.name, trials.filter { $0.voice.name == voice.name && !$0.isNoisy }, right: nil, accepted: nil)
    }
  }

  /// One line for a trial that went wrong.
  private static func explain(_ trial: Trial) {
    let isWrong = trial.item.meant == nil ? trial.isAccepted : !trial.isRight
    guard isWrong || trial.result == nil else { return }
    let heard = trial.result.map { "'\($0.transcript)' \(rounded($0.confidence)) -> \($0.target ?? "-")" } ?? "no turn"
    print(
      "\(trial.item.meant == nil ? "accepted" : "missed") \(trial.isNoisy ? "noisy" : "clean") \(trial.voice.name.padded(13))"
        + "\(trial.item.dialog)/\(trial.item.state): '\(trial.item.text)' heard \(heard)")
  }

  /// What other thresholds would give. A rejected phrase does not tell what it would have been taken for, so below the threshold
  /// in force `right` is an upper bound.
  private static func printThresholds(_ trials: [Trial]) {
    let counted = trials.filter { !$0.voice.isFormant && !$0.isNoisy }
    let phrases = counted.filter { $0.item.meant != nil }
    let others = counted.filter { $0.item.meant == nil }
    for step in stride(from: 0.2, through: 0.9, by: 0.025) {
      func passes(_ trial: Trial) -> Bool { (trial.result?.confidence ?? 0) >= step }
      let right = phrases.count { passes($0) && ($0.isRight || $0.result?.transcript == "") }
      let accepted = others.count(where: passes)
      print(
        "confidence \(rounded(step)): right \(rounded(100 * Double(right) / Double(phrases.count))) %, "
          + "accepted \(rounded(100 * Double(accepted) / Double(others.count))) %")
    }
  }
}

/// A small generator with a known start, so that every run is the same.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension Gateway {
  /// Every ended call, page by page.
  func allEndedCalls() throws -> [[String: Any]] {
    var calls: [[String: Any]] = []
    var cursor: String?
    repeat {
      let page = try json("/v1/calls?state=ended&limit=200" + (cursor.map { "&cursor=\($0)" } ?? ""))
      calls += page["items"] as? [[String: Any]] ?? []
      cursor = page["next_cursor"] as? String
    } while cursor != nil
    return calls
  }

  /// The sum of the samples of `name` whose labels contain `label`.
  func metric(_ name: String, with label: String) throws -> Double {
    let text = try Tools.run("curl", ["-sS", "http://127.0.0.1:\(metricsPort)/metrics"]).output
    return text.split(separator: "\n").filter { $0.hasPrefix(name) && $0.contains("\"\(label)\"") }
      .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
  }
}
