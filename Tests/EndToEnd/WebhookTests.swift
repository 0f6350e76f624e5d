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
      var type: String
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
      let output = Pipe()
      process.standardOutput = output
      try process.run()
      let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
      port = try #require(Int(line.trimmingCharacters(in: .whitespacesAndNewlines)), "the receiver did not start")
    }

    /// The receiver itself ends when it sees that nobody would start it again.
    deinit { kill(process.processIdentifier, SIGKILL) }

    func expect(_ path: String, secret: String) throws {
      try Data(secret.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(path)"))
    }

    /// What has come so far, as soon as that is enough; two minutes are waited at most.
    @discardableResult
    func requests(until isEnough: ([Request]) -> Bool) throws -> [Request] {
      let tail = Process()
      tail.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      tail.arguments = ["timeout", "--signal=KILL", "120", "tail", "--lines=+1", "--follow", "\(folder)/log"]
      let output = Pipe()
      tail.standardOutput = output
      try tail.run()
      // `timeout` leads a process group of its own, and `tail` is in it.
      defer { kill(-tail.processIdentifier, SIGKILL) }
      var requests: [Request] = []
      var rest = Data()
      while !isEnough(requests) {
        let chunk = output.fileHandleForReading.availableData
        if chunk.isEmpty { break }
        rest += chunk
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
          requests.append(try JSONDecoder().decode(Request.self, from: rest[..<end]))
          rest = Data(rest[(end + 1)...])
        }
      }
      return requests
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

  @Test(arguments: Database.allCases)
  func everyEventArrivesInOrderAcrossDeathsOfBothSides(database: Database) throws {
    let receiver = try Receiver()
    let address = try database.address()
    var gateway = try Gateway(
      dialogs: ["waiting.yaml": LiveCalls.dialog], configuration: Self.configuration, database: address)
    for path in ["wild", "good"] { _ = try makeWebhook(gateway, receiver, path) }
    let gone = try makeWebhook(gateway, receiver, "gone")
    try place(gateway)

    // Twice it dies in the middle of calls and of deliveries.
    for life in 0..<2 {
      let calls = try LiveCalls(gateway, count: 3, after: 1 + 4 * life)
      kill(gateway.pid, SIGKILL)
      _ = gateway.waitUntilExit()
      calls.stop()
      gateway = try Gateway(configuration: Self.configuration, database: address, folder: gateway.folder)
      try place(gateway)
    }

    // Calls that died with their gateway are ended by the next one: at its start, or on PostgreSQL, where others may live, when
    // the dead one has been silent for half a minute.
    try receiver.requests { requests in
      requests.count { $0.path == "/good" && $0.act == "take" && $0.type == "call_terminated" } >= 9
    }
    // Until each of the two that stay has taken all that is on record.
    let wanted = try record(gateway).mapValues { Set($0) }
    #expect(wanted.count == 9 && wanted.values.allSatisfy { $0.count > 2 }, "\(wanted)")
    func taken(_ path: String, _ requests: [Receiver.Request]) -> [String: Set<Int>] {
      requests.filter { $0.path == path && $0.act == "take" }.reduce(into: [:]) {
        $0[$1.session_id, default: []].insert($1.sequence)
      }
    }
    let requests = try receiver.requests { taken("/wild", $0) == wanted && taken("/good", $0) == wanted }
    #expect(taken("/good", requests) == wanted)
    #expect(taken("/wild", requests) == wanted, "\(gateway.errors)")

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
    // A later life owes nothing.
    #expect(gateway.stop() == 0)
    gateway = try Gateway(configuration: Self.configuration, database: address, folder: gateway.folder)
    for item in try gateway.json("/v1/webhooks")["items"] as? [[String: Any]] ?? [] {
      let id = try #require(item["id"] as? String)
      if id != gone { #expect(try gateway.json("/v1/webhooks/\(id)")["waiting"] as? Int == 0) }
    }
  }

  @Test(arguments: Database.allCases)
  func aDeadLetterIsReplayedWhenItsReceiverIsMended(database: Database) throws {
    let receiver = try Receiver()
    let configuration = """
      integration:
        webhooks: { timeout: 500ms, max_attempts: 2, backoff_initial: 10ms, backoff_max: 10ms }
      """
    let address = try database.address()
    var gateway = try Gateway(configuration: configuration, database: address)
    // The receiver knows no secret of this path, and breaks off.
    let answer = try gateway.api(
      "POST", "/v1/webhooks",
      body: #"{"url":"http://127.0.0.1:\#(receiver.port)/late","event_types":["call_answered"]}"#)
    let json = try #require(try JSONSerialization.jsonObject(with: Data(answer.text.utf8)) as? [String: Any])
    let id = try #require(json["id"] as? String)
    try place(gateway)
    try receiver.requests { $0.count == 2 }
    // What came of them is kept at the latest when the gateway stops.
    #expect(gateway.stop() == 0)
    gateway = try Gateway(configuration: configuration, database: address, folder: gateway.folder)
    let letters = try gateway.json("/v1/webhooks/\(id)/dead-letters")["items"] as? [[String: Any]] ?? []
    let letter = try #require(letters.first?["id"] as? Int, "\(gateway.errors)")
    #expect(letters.count == 1 && letters[0]["attempts"] as? Int == 2)
    let path = "/v1/webhooks/dead-letters/\(letter)/replay"
    #expect(try gateway.api("POST", path).text.contains(#""delivered":false"#))
    try receiver.expect("late", secret: try #require(json["secret"] as? String))
    let replay = try gateway.api("POST", path)
    #expect(replay.status == 200 && replay.text.contains(#""delivered":true"#), "\(replay.text)")
    #expect(try gateway.api("POST", path).status == 404)
    #expect(try receiver.requests { $0.count == 4 }.map(\.valid) == [false, false, false, true])
    let history = try gateway.json("/v1/webhooks/\(id)/deliveries")["items"] as? [[String: Any]] ?? []
    #expect(history.compactMap { $0["attempt"] as? Int } == [4, 3, 2, 1])
  }
}
