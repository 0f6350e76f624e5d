import Base
import Dispatch
import Foundation
import ScriptedServers

/// How soon a caller hears what a language model has said. A scripted model server in this process, a real gateway, a real call.
enum AgentAnswer {
  /// The model greets and leaves by an exit, so that a call ends by itself.
  static let dialog = """
    name: greeter
    routing: { match: [{ sip_to: "sip:greeter@*" }] }
    states:
      start:
        agent:
          prompt: "Greet the caller."
          exits:
            - name: done
              description: The caller has been greeted
              target: bye
          fallback: bye
      bye:
        on_enter:
          - action: hangup
        terminal: true
    """

  /// The step of the script that carries the full stop.
  private static let lastByte = 3
  private static let callsOfEach = 25

  static func run() throws -> Report {
    var report = Report(name: "agent")
    let same = try measure { _ in "Your order has been shipped to you" }
    let fresh = try measure { "Your order number \($0) has been shipped to you" }
    let at = "\(same.count) calls, one at a time, scripted model on the same machine"
    for (name, q) in [("p50", 0.5), ("p95", 0.95)] {
      report.add(
        Row(
          metric: "model's first sentence to first audio on the wire, \(name)", unit: "ms",
          value: percentile(same, q), peer: nil, peerValue: nil, bar: nil, at: at + ", voice from the cache"))
    }
    // A frame leaves every 20 ms; who comes at any time waits half of that on the mean.
    let pacing = 10.0
    report.add(
      Row(
        metric: "of it waiting for the next 20 ms frame, mean", unit: "ms", value: pacing, peer: nil, peerValue: nil,
        bar: nil, at: "by construction"))
    report.add(
      Row(
        metric: "of it ours, p50", unit: "ms", value: max(0, percentile(same, 0.5) - pacing), peer: nil, peerValue: nil,
        bar: .atMost(10), at: at))
    report.add(
      Row(
        metric: "synthesis of a sentence never said before, p50", unit: "ms",
        value: max(0, percentile(fresh, 0.5) - percentile(same, 0.5)), peer: nil, peerValue: nil, bar: nil,
        at: "\(fresh.count) calls"))
    return report
  }

  /// Milliseconds from the full stop of each call's first sentence, as it left the model server, to the frame that began its
  /// audio. The record's times are whole milliseconds, cut off twice: 2 ms are added, so the figure is never too small.
  private static func measure(_ sentence: @escaping @Sendable (Int) -> String) throws -> [Double] {
    let number = Counter()
    let server = ScriptedModelServer { _ in
      let call = number.next()
      // Another place between two frames for every call.
      return ModelScript(steps: [
        .pause(.milliseconds(200 + call * 7 % 20)), .text(sentence(call)), .text("."), .pause(.milliseconds(400)),
        .toolCall(index: 0, id: "call_a", name: "done", arguments: ["{}"]), .finish("tool_calls"), .done,
      ])
    }
    let url = try wait { try await server.start() }
    let gateway = try Gateway(
      dialogs: ["greeter.yaml": dialog],
      configuration: FirstCall.configuration.replacing(
        "runtime:\n",
        with:
          "integration: { outbound: { allow_private: [127.0.0.0/8] } }\nruntime:\n  llm: { url: \"\(url)\", model: scripted }\n"
      ))
    // What wall time the monotonic clock's zero was.
    let zero = Date().timeIntervalSince1970 * 1000 - Double(Instant.monotonic().nanoseconds) / 1e6
    for _ in 0...callsOfEach {
      let call = try Tools.run(Tools.parley, ["call", gateway.uri("greeter"), "--deaf", "--limit", "20"])
      guard call.status == 0 else {
        throw Gateway.Failed(description: "a call failed: \(call.errors) \(gateway.errors)")
      }
    }
    let ended = try gateway.terminations(callsOfEach + 1).compactMap { $0["session_id"] as? String }
    let said = server.http.sent.filter { $0.step == lastByte }.map { zero + Double($0.at.nanoseconds) / 1e6 }
    var times: [Double] = []
    for (id, saidAt) in zip(ended, said) {
      let started = try gateway.recordedEvents(of: id).first { $0["type"] as? String == "tts_started" }
      guard let text = started?["timestamp"] as? String, let heardAt = milliseconds(text) else {
        throw Gateway.Failed(description: "no audio in call \(id): \(gateway.errors)")
      }
      times.append(heardAt + 2 - saidAt)
    }
    gateway.stop()
    try wait { await server.stop() }
    guard times.count == callsOfEach + 1 else {
      throw Gateway.Failed(description: "only \(times.count) of \(callsOfEach + 1) calls were measured")
    }
    // The first call finds nothing in the cache.
    return Array(times.dropFirst())
  }

  private static func milliseconds(_ timestamp: String) -> Double? {
    let format = ISO8601DateFormatter()
    format.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    return format.date(from: timestamp).map { ($0.timeIntervalSince1970 * 1000).rounded() }
  }

  private final class Counter: Sendable {
    private let box = Box<Int>()
    init() { box.set(0) }
    func next() -> Int {
      let value = box.value ?? 0
      box.set(value + 1)
      return value
    }
  }
}
