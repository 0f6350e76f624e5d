import Foundation
import Testing

/// What the gateway says of its own latency is what a caller hears.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LatencyTests {
  private static let rate = 8_000

  /// How far the event may be from the recording at the caller's end, in milliseconds. Both ends of a turn are quantised by packets:
  /// the caller's frame (20), the gateway's tick (20), and the answer's packet, which the recording puts where it arrived (20). The
  /// gateway hears frames of 32 ms, so it knows the end of the speech to half of that; the jitter buffer moves by a packet.
  private static let toleranceMs = 20 + 20 + 20 + 16 + 20

  @Test func theEventSaysWhatTheRecordingShows() throws {
    let gateway = try Gateway()
    let file = "\(gateway.folder)/call.wav"
    let words = ["one", "blue", "monday", "three", "green", "friday"]
    let (result, _) = try Tools.parleyJSON(
      ["call", gateway.uri("echo"), "--hangup", "--deaf", "--record", file] + words.flatMap { ["--say", $0] })
    #expect(result.status == 0, "\(result.errors)")
    let call = try gateway.lastCall()
    let told = try gateway.recordedEvents(of: call.id).filter { $0["type"] as? String == "turn_latency" }
    let (caller, answers) = try Self.channels(file)
    let heard = Self.turns(caller: caller, answers: answers)
    #expect(told.count == words.count && heard.count == words.count, "\(told.count) events, \(heard) in the recording")
    for (event, heardMs) in zip(told, heard) {
      let stages = ["endpoint_ms", "recognize_ms", "think_ms", "synthesize_ms"].map { event[$0] as? Int ?? -1_000 }
      let total = event["total_ms"] as? Int ?? -1
      #expect(abs(total - heardMs) <= Self.toleranceMs, "total_ms says \(total), the recording \(heardMs): \(event)")
      #expect(stages.reduce(0, +) == total && stages.allSatisfy { $0 >= 0 }, "\(event)")
    }
    // Over several turns what packets do cancels out: what is left is what is not measured.
    let bias = zip(told, heard).map { Double(($0["total_ms"] as? Int ?? 0) - $1) }.reduce(0, +) / Double(words.count)
    #expect(abs(bias) <= 40, "the events differ from the recording by \(bias) ms on average")
  }

  /// 16-bit stereo: what the caller sent, what came back.
  private static func channels(_ file: String) throws -> ([Int16], [Int16]) {
    let result = try Tools.run("sox", [file, "-t", "raw", "-e", "signed", "-b", "16", "\(file).raw"])
    #expect(result.status == 0, "\(result.errors)")
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(file).raw"))
    let samples = data.withUnsafeBytes { bytes in
      (0..<bytes.count / 2).map { Int16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: Int16.self)) }
    }
    return (
      stride(from: 0, to: samples.count, by: 2).map { samples[$0] },
      stride(from: 1, to: samples.count, by: 2).map { samples[$0] }
    )
  }

  /// From the last sound of each turn of the caller to the first sound of the answer, in milliseconds.
  private static func turns(caller: [Int16], answers: [Int16]) -> [Int] {
    // Voices here speak at some thousands; the line itself is silent.
    func isSound(_ sample: Int16) -> Bool { abs(Int(sample)) >= 300 }
    var ends: [Int] = []
    var last: Int?
    for place in caller.indices where isSound(caller[place]) {
      // A pause of half a second is none inside a word.
      if let last, place - last > rate / 2 { ends.append(last) }
      last = place
    }
    if let last { ends.append(last) }
    return ends.compactMap { end in
      answers.indices.suffix(from: min(end, answers.count)).first { isSound(answers[$0]) }
        .map { ($0 - end) * 1_000 / rate }
    }
  }
}
