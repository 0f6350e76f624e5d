import Foundation
import TestKit
import Testing

/// Webhooks from real calls to a real receiver, while both sides die.
@Suite(.serialized) struct WebhookTests {
  private static let configuration = """
    integration:
      webhooks: { timeout: 500ms, max_attempts: 50, backoff_initial: 10ms, backoff_max: 100ms }
    """

  /// The receiver of Scenarios/hostile_receiver.py, which is started again whenever it dies.
  private final class Receiver {
    struct Request: Decodable {
      var path: String
      var act: String
      var valid: Bool
      var event_id: String
      var session_id: String
      var sequence: Int
    }

    let folder: String
    let port: Int
    private let process = Process()

    init() throws {
      folder = try Tools.temporaryFolder()
      // It verifies with the very code that the documentation shows.
      let page = DocumentedPage(try String(contentsOfFile: "\(Tools.root)/docs/api/webhooks.md", encoding: .utf8))
      let code = try #require(page.blocks.first { $0.file == "receiver.py" }).text
      try Data(code.utf8).write(to: URL(fileURLWithPath: "\(folder)/receiver.py"))
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = [
        "-c", "while :; do python3 \"$0\" port log . 2>>errors; done", "\(Tools.scenarios)/hostile_receiver.py",
      ]
      process.currentDirectoryURL = URL(fileURLWithPath: folder)
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      let wait = try Tools.run("sh", ["-c", "until [ -s port ]; do sleep 0.05; done; cat port"], in: folder, limit: 20)
      port = try #require(Int(wait.output))
    }

    /// The receiver itself ends when it sees that nobody would start it again.
    deinit { kill(process.processIdentifier, SIGKILL) }

    func expect(_ path: String, secret: String) throws {
      try Data(secret.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(path)"))
    }

    func requests() throws -> [Request] {
      let text = try String(contentsOfFile: "\(folder)/log", encoding: .utf8)
      return try text.split(separator: "\n").map { try JSONDecoder().decode(Request.self, from: Data($0.utf8)) }
    }
  }

  private func makeWebhook(_ gateway: Gateway, _ receiver: Receiver, _ path: String) throws -> String {
    let answer = try gateway.api(
      "POST", "/v1/webhooks", body: #"{"url":"http://127.0.0.1:\#(receiver.port)/\#(path)"}"#)
    let json = try JSONSerialization.jsonObject(with: Data(answer.text.utf8)) as? [String: Any]
    let secret = try #require(json?["secret"] as? String, "\(answer.text)")
    try receiver.expect(path, secret: secret)
    return try #require(json?["id"] as? String)
  }

  private func place(_ gateway: Gateway) throws {
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--deaf", "--dtmf", "1", "--hangup"])
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Every event that is on record, by its call.
  private func record(_ gateway: Gateway) throws -> [String: [Int]] {
    var sequences: [String: [Int]] = [:]
    for state in ["active", "ended"] {
      let calls = try gateway.json("/v1/calls?state=\(state)&limit=500")["items"] as? [[String: Any]] ?? []
      for id in calls.compactMap({ $0["id"] as? String }) {
        sequences[id] = try gateway.recordedEvents(of: id).compactMap { $0["sequence"] as? Int }
      }
    }
    return sequences
  }

  @Test func everyEventArrivesInOrderAcrossDeathsOfBothSides() throws {
    let receiver = try Receiver()
    var gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog], configuration: Self.configuration)
    for path in ["wild", "good"] { _ = try makeWebhook(gateway, receiver, path) }
    let gone = try makeWebhook(gateway, receiver, "gone")
    try place(gateway)

    // Twice it dies in the middle of calls and of deliveries.
    for _ in 0..<2 {
      let calls = try LiveCalls(gateway, count: 3)
      // Those of an earlier life are on record too: only the directory tells that these are up.
      while (try gateway.json("/v1/calls")["items"] as? [Any])?.count != 3, calls.isUp {}
      kill(gateway.pid, SIGKILL)
      _ = gateway.waitUntilExit()
      calls.stop()
      gateway = try Gateway(configuration: Self.configuration, folder: gateway.folder)
      try place(gateway)
    }

    #expect(try gateway.events("call_terminated", 9).count == 9)
    // Until each of the two that stay has taken all that is on record.
    let wanted = try record(gateway).mapValues { Set($0) }
    #expect(wanted.count == 9 && wanted.values.allSatisfy { $0.count > 2 }, "\(wanted)")
    func taken(_ path: String) throws -> [String: Set<Int>] {
      try receiver.requests().filter { $0.path == path && $0.act == "take" }.reduce(into: [:]) {
        $0[$1.session_id, default: []].insert($1.sequence)
      }
    }
    let end = Date().addingTimeInterval(60)
    while try taken("/wild") != wanted || taken("/good") != wanted, Date() < end { usleep(100_000) }
    #expect(try taken("/good") == wanted)
    #expect(try taken("/wild") == wanted, "\(gateway.errors)")

    let requests = try receiver.requests()
    #expect(!requests.contains { !$0.valid }, "a signature was wrong")
    #expect(Set(requests.map(\.act)) == ["take", "close", "stall", "redirect", "fail", "busy", "crash", "gone"])
    for path in ["/wild", "/good"] {
      // An event that comes again is known by its number; what is new comes in order.
      var last: [String: Int] = [:]
      for request in requests where request.path == path && request.act == "take" {
        let before = last[request.session_id] ?? 0
        #expect(request.sequence <= before + 1, "\(path): \(request.session_id) \(request.sequence) after \(before)")
        last[request.session_id] = max(before, request.sequence)
      }
    }
    let off = try gateway.json("/v1/webhooks/\(gone)")
    #expect(off["enabled"] as? Bool == false && (off["disabled_reason"] as? String)?.contains("410") == true, "\(off)")
    #expect(requests.filter { $0.path == "/gone" && $0.act == "gone" }.count >= 1)
    #expect(try gateway.metric("vg_webhook_deliveries_total{outcome=\"delivered\"}") > 0)
    #expect(try gateway.metric("vg_jobs_queue_depth{queue=\"webhooks\"}") == 0)
  }

  @Test func aDeadLetterIsReplayedWhenItsReceiverIsMended() throws {
    let receiver = try Receiver()
    let gateway = try Gateway(
      configuration: """
        integration:
          webhooks: { timeout: 500ms, max_attempts: 2, backoff_initial: 10ms, backoff_max: 10ms }
        """)
    // The receiver knows no secret of this path, and breaks off.
    let answer = try gateway.api(
      "POST", "/v1/webhooks",
      body: #"{"url":"http://127.0.0.1:\#(receiver.port)/late","event_types":["call_answered"]}"#)
    let json = try #require(try JSONSerialization.jsonObject(with: Data(answer.text.utf8)) as? [String: Any])
    let id = try #require(json["id"] as? String)
    try place(gateway)
    var letters: [[String: Any]] = []
    let end = Date().addingTimeInterval(20)
    while letters.isEmpty, Date() < end {
      letters = try gateway.json("/v1/webhooks/\(id)/dead-letters")["items"] as? [[String: Any]] ?? []
    }
    let letter = try #require(letters.first?["id"] as? Int, "\(gateway.errors)")
    #expect(letters.count == 1 && letters[0]["attempts"] as? Int == 2)
    let path = "/v1/webhooks/dead-letters/\(letter)/replay"
    #expect(try gateway.api("POST", path).text.contains(#""delivered":false"#))
    try receiver.expect("late", secret: try #require(json["secret"] as? String))
    let replay = try gateway.api("POST", path)
    #expect(replay.status == 200 && replay.text.contains(#""delivered":true"#), "\(replay.text)")
    #expect(try gateway.api("POST", path).status == 404)
    #expect(try receiver.requests().map(\.valid) == [true])
    let history = try gateway.json("/v1/webhooks/\(id)/deliveries")["items"] as? [[String: Any]] ?? []
    #expect(history.compactMap { $0["attempt"] as? Int } == [4, 3, 2, 1])
  }
}
