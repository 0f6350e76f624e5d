import Audio
import Base

/// What came of one call, computed from its recording, its packets and its signalling.
struct CallReport {
  struct Heard {
    var text: String
    var fromMs: Int
  }
  struct Turn {
    var text: String
    var said: HeardSegment?
    /// From the caller's last sound to the answer's first, on the recording; nil where none came before the next turn.
    var responseMs: Int?
  }

  /// Pauses inside one turn of the caller: shorter than those the caller makes between turns.
  private static let pauseMs = 600

  let recording: CallRecording
  let outcome: CallerOutcome
  let heard: [Heard]
  let turns: [Turn]
  let responses: [Int]
  let bargeIns: [Int]
  /// The longest that nothing was heard of the other side, between its first and its last sound.
  let longestSilenceMs: Int
  /// Sorted.
  let latenessMs: [Double]
  let packets: Int
  let lost: Int

  init(caller: Caller, entries: [CallJournal.Entry]) {
    recording = caller.recording
    outcome = caller.finished ?? CallerOutcome()
    heard = entries.filter { $0.who == "parley" }.map { Heard(text: $0.text ?? "", fromMs: $0.atMs) }
    let said = RecordingAnalysis.segments(recording.left, pauseMs: Self.pauseMs)
    let answers = RecordingAnalysis.segments(recording.right, pauseMs: 200)
    let times = RecordingAnalysis.responseTimes(caller: said, gateway: answers)
    responses = times.compactMap(\.self)
    bargeIns = RecordingAnalysis.bargeIns(caller: said, gateway: answers)
    longestSilenceMs = zip(answers, answers.dropFirst()).map { $1.fromMs - $0.toMs }.max() ?? 0
    // Spoken turns and sounds of the caller go together in order; with a noisy background they may not, and are left out.
    let spoken = entries.filter { $0.who == "caller" && !($0.text ?? "").hasPrefix("#") }
    turns =
      spoken.count == said.count
      ? zip(spoken, zip(said, times)).map { Turn(text: $0.text ?? "", said: $1.0, responseMs: $1.1) } : []
    latenessMs = caller.timing.latenessMs
    packets = caller.timing.packets
    lost = caller.timing.lost
  }

  var json: Value {
    func optional(_ int: Int?) -> Value { int.map { .int(Int64($0)) } ?? .null }
    return [
      "answered": .bool(outcome.answerMs != nil), "status": .int(Int64(outcome.status)),
      "reason": .string(outcome.reason),
      "ring_ms": optional(outcome.ringMs), "answer_ms": optional(outcome.answerMs),
      "duration_ms": .int(Int64(outcome.durationMs)), "ended_by": .string(outcome.endedBy),
      "heard": .list(heard.map { ["text": .string($0.text), "from_ms": .int(Int64($0.fromMs))] }),
      "turns": .list(
        turns.map {
          [
            "text": .string($0.text), "from_ms": optional($0.said?.fromMs), "to_ms": optional($0.said?.toMs),
            "response_ms": optional($0.responseMs),
          ]
        }),
      "longest_silence_ms": .int(Int64(longestSilenceMs)),
      "response_ms": .list(responses.map { .int(Int64($0)) }), "barge_in_ms": .list(bargeIns.map { .int(Int64($0)) }),
      "rtp": Self.rtp(packets: packets, lost: lost, lateness: latenessMs),
    ]
  }

  var text: String {
    var lines = [""]
    for turn in turns {
      lines.append("response to \"\(turn.text)\": " + (turn.responseMs.map { "\($0) ms" } ?? "none"))
    }
    for bargeIn in bargeIns { lines.append("interrupted: silent after \(bargeIn) ms") }
    lines.append(
      "\(Double(outcome.durationMs / 100) / 10) s, ended by the \(outcome.endedBy); \(packets) packets received, \(lost) lost, "
        + "latest \(rounded(latenessMs.last ?? 0)) ms")
    return lines.joined(separator: "\n")
  }

  // MARK: Many calls

  static func summary(_ reports: [CallReport]) -> Value {
    let lateness = reports.flatMap(\.latenessMs).sorted()
    let responses = reports.flatMap(\.responses).sorted()
    let answered = reports.filter { $0.outcome.answerMs != nil }
    let silences = answered.map { Double($0.longestSilenceMs) }.sorted()
    return [
      "calls": .int(Int64(reports.count)), "answered": .int(Int64(answered.count)),
      "ended_by_gateway": .int(Int64(reports.count { $0.outcome.endedBy == "gateway" })),
      "longest_silence_ms": [
        "p50": percentile(silences, 0.5), "p95": percentile(silences, 0.95), "max": percentile(silences, 1),
      ],
      "response_ms": [
        "count": .int(Int64(responses.count)), "p50": percentile(responses.map(Double.init), 0.5),
        "p95": percentile(responses.map(Double.init), 0.95),
      ],
      "rtp": rtp(
        packets: reports.reduce(0) { $0 + $1.packets }, lost: reports.reduce(0) { $0 + $1.lost }, lateness: lateness),
    ]
  }

  static func summaryText(_ reports: [CallReport]) -> String {
    let lateness = reports.flatMap(\.latenessMs).sorted()
    let responses = reports.flatMap(\.responses).sorted()
    func p(_ values: [Double], _ q: Double) -> String {
      percentile(values, q).doubleValue.map { "\(rounded($0))" } ?? "-"
    }
    return """
      \(reports.count) calls, \(reports.filter { $0.outcome.answerMs != nil }.count) answered
      response: p50 \(p(responses.map(Double.init), 0.5)) ms, p95 \(p(responses.map(Double.init), 0.95)) ms (\(responses.count) turns)
      packets: \(lateness.count) received, \(reports.reduce(0) { $0 + $1.lost }) lost; late p50 \(p(lateness, 0.5)) ms, \
      p99 \(p(lateness, 0.99)) ms, latest \(p(lateness, 1)) ms, over 20 ms: \(lateness.count { $0 > 20 })
      """
  }

  private static func rtp(packets: Int, lost: Int, lateness: [Double]) -> Value {
    [
      "packets": .int(Int64(packets)), "lost": .int(Int64(lost)),
      "late_ms": ["p50": percentile(lateness, 0.5), "p99": percentile(lateness, 0.99), "max": percentile(lateness, 1)],
      "over_20_ms": .int(Int64(lateness.count { $0 > 20 })),
    ]
  }

  /// - Parameter values: sorted.
  private static func percentile(_ values: [Double], _ q: Double) -> Value {
    guard !values.isEmpty else { return .null }
    return .double(rounded(values[min(values.count - 1, Int(q * Double(values.count)))]))
  }
}

private func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }

extension CallRecording {
  /// Writes both channels, the shorter one filled up with silence, and closes the file.
  func write(to file: WAVWriter) throws(AudioError) {
    var interleaved: [Int16] = []
    interleaved.reserveCapacity(2 * max(left.count, right.count))
    for i in 0..<max(left.count, right.count) {
      interleaved.append(i < left.count ? left[i] : 0)
      interleaved.append(i < right.count ? right[i] : 0)
    }
    try file.write(interleaved)
    try file.close()
  }
}
