import Foundation

/// A gateway of its own on free ports of the loopback, with its data in a folder of its own.
final class Gateway {
  let folder: String
  private(set) var sipHost = "127.0.0.1"
  private(set) var sipPort = 0
  private(set) var apiPort = 0
  private(set) var metricsPort = 0
  private let process = Process()
  private let errorFile: String
  /// What `storage.database` says.
  let database: String

  struct Failed: Error, CustomStringConvertible { var description: String }

  /// Starts it and returns when it listens.
  /// - Parameters:
  ///   - dialogs: file name to text, besides the examples.
  ///   - database: what `storage.database` says; nil: a SQLite file in its folder.
  ///   - folder: that of a gateway before, with its data; nil: a fresh one.
  ///   - environment: beside what makes it one of many on this machine, and stronger.
  init(
    dialogs: [String: String] = [:], configuration: String = "", arguments: [String] = [],
    rtpPorts: ClosedRange<Int>? = nil, database: String? = nil, folder old: String? = nil,
    environment: [String: String] = [:]
  ) throws {
    folder = try old ?? Tools.temporaryFolder()
    self.database = database ?? "sqlite://\(folder)/parley.db"
    errorFile = "\(folder)/stderr"
    let dialogFolder = "\(folder)/dialogs"
    try FileManager.default.createDirectory(atPath: dialogFolder, withIntermediateDirectories: true)
    // A gateway of the same folder goes on where the last one ended.
    try? FileManager.default.removeItem(atPath: "\(folder)/ready.json")
    for name in try FileManager.default.contentsOfDirectory(atPath: "\(Tools.root)/examples/dialogs")
    where !FileManager.default.fileExists(atPath: "\(dialogFolder)/\(name)") {
      try FileManager.default.copyItem(
        atPath: "\(Tools.root)/examples/dialogs/\(name)", toPath: "\(dialogFolder)/\(name)")
    }
    for (name, text) in dialogs { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(dialogFolder)/\(name)")) }
    try Data(configuration.utf8).write(to: URL(fileURLWithPath: "\(folder)/config.yaml"))

    let rtp = rtpPorts ?? { $0...($0 + 398) }(Int.random(in: 200...320) * 100)
    process.executableURL = URL(fileURLWithPath: Tools.parley)
    process.arguments =
      ["serve", "--config", "\(folder)/config.yaml", "--ready-file", "\(folder)/ready.json"] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging([
      "VG_MEDIA_LISTEN_ADDRESS": "127.0.0.1", "VG_MEDIA_SIP_PORT": "0",
      "VG_MEDIA_RTP_PORT_RANGE": "\(rtp.lowerBound)-\(rtp.upperBound)", "VG_RUNTIME_DIALOG_DIR": dialogFolder,
      "VG_INTEGRATION_API_PORT": "0", "VG_OBSERVABILITY_METRICS_PORT": "0",
      "VG_STORAGE_DATABASE": self.database, "VG_SECURITY_API_TOKENS": "end-to-end-token",
      "VG_OBSERVABILITY_LOG_FORMAT": "text", "VG_INTEGRATION_OUTBOUND_ALLOW_PRIVATE": "127.0.0.0/8",
    ]) { $1 }.merging(environment) { $1 }
    if database != nil { process.environment?["VG_STORAGE_DATA_DIR"] = folder }
    let pipe = Pipe()
    process.standardError = pipe
    process.standardOutput = FileHandle.nullDevice
    try process.run()

    // It says on stderr that it is ready; until then every line it prints is kept for the failure message.
    var said = ""
    while !FileManager.default.fileExists(atPath: "\(folder)/ready.json") {
      let chunk = pipe.fileHandleForReading.availableData
      if chunk.isEmpty { throw Failed(description: "the gateway did not start: \(said)") }
      said += String(decoding: chunk, as: UTF8.self)
    }
    _ = FileManager.default.createFile(atPath: errorFile, contents: Data(said.utf8))
    let log = try FileHandle(forWritingTo: URL(fileURLWithPath: errorFile))
    try log.seekToEnd()
    // The rest of its stderr goes to a file, so that it never waits for a reader.
    pipe.fileHandleForReading.readabilityHandler = { handle in
      let data = handle.availableData
      if data.isEmpty { handle.readabilityHandler = nil } else { log.write(data) }
    }
    let ready = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: "\(folder)/ready.json")))
    guard let ports = ready as? [String: Any] else { throw Failed(description: "the ready file is no object") }
    sipPort = ports["sip_port"] as? Int ?? 0
    if let first = (ports["sip"] as? [[String: Any]])?.first, let host = first["host"] as? String { sipHost = host }
    apiPort = ports["api_port"] as? Int ?? 0
    metricsPort = ports["metrics_port"] as? Int ?? 0
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  var pid: Int32 { process.processIdentifier }
  var errors: String { (try? String(contentsOfFile: errorFile, encoding: .utf8)) ?? "" }

  func uri(_ dialog: String) -> String { "sip:\(dialog)@\(sipHost):\(sipPort)" }

  func terminate() { process.terminate() }

  /// As if the machine had lost power.
  func crash() {
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Asks it to stop and waits until it has.
  @discardableResult
  func stop() -> Int32 {
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
    return process.terminationStatus
  }

  func waitUntilExit() -> Int32 {
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// An API answer: status and body.
  func api(_ method: String, _ path: String, body: String? = nil, token: String? = "end-to-end-token", limit: Int = 20)
    throws -> (
      status: Int, text: String
    )
  {
    var arguments = ["-sS", "-X", method, "-w", "\n%{http_code}", "http://127.0.0.1:\(apiPort)\(path)"]
    if let token { arguments += ["-H", "Authorization: Bearer \(token)"] }
    if let body { arguments += ["-H", "Content-Type: application/json", "-d", body] }
    let result = try Tools.run("curl", arguments, limit: limit)
    let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
    return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
  }

  func json(_ path: String) throws -> [String: Any] {
    let answer = try api("GET", path)
    guard answer.status == 200,
      let object = try JSONSerialization.jsonObject(with: Data(answer.text.utf8)) as? [String: Any]
    else { throw Failed(description: "GET \(path): \(answer.status) \(answer.text)") }
    return object
  }

  /// The first `count` events of a type, waited for on the event stream.
  /// - Parameters:
  ///   - text: what is looked for in their lines.
  ///   - session: whose; nil: everybody's.
  ///   - limit: seconds.
  func events(
    _ type: String, _ count: Int = 1, with text: String = "", of session: String? = nil, limit: Int = 20
  ) throws -> [[String: Any]] {
    let whose = session.map { "&session_id=\($0)" } ?? ""
    let url = "http://127.0.0.1:\(apiPort)/v1/calls/events?event_types=\(type)&include_history=true\(whose)"
    // curl is ended as soon as grep has what is wanted: it would only notice with the stream's next line. Test threads block
    // SIGTERM, and so do the programs they start.
    let script = """
      pipe="$(mktemp -u)" && mkfifo "$pipe"
      curl -sN --max-time \(limit) -H 'Authorization: Bearer end-to-end-token' '\(url)' > "$pipe" &
      grep -m\(count) '^data:.*\(text)' < "$pipe"
      kill -KILL $!
      rm "$pipe"
      """
    let result = try Tools.run("bash", ["-c", script], limit: limit + 40)
    return result.output.split(separator: "\n").compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.dropFirst(5).utf8)) as? [String: Any]
    }
  }

  /// Waits for the end of so many calls. Every call that has ended by then is made again from its record: whatever its dialog
  /// did, the replay has to do the same.
  func terminations(_ count: Int) throws -> [[String: Any]] {
    let ended = try events("call_terminated", count)
    let replay = try Tools.run(
      Tools.parley, ["replay", "--all", "--json"],
      environment: ["VG_STORAGE_DATABASE": database, "PARLEY_CONFIG": "\(folder)/config.yaml"])
    guard replay.status == 0, replay.output.split(separator: "\n").count >= ended.count else {
      throw Failed(description: "a replay differs from its call: \(replay.output) \(replay.errors)")
    }
    return ended
  }

  /// The states that the only call went through, and the reason for its end; waits for the end.
  func lastCall() throws -> (states: [String], reason: String, id: String) {
    guard let end = try terminations(1).first, let id = end["session_id"] as? String else {
      throw Failed(description: "no call has ended; the gateway said: \(errors)")
    }
    let states = try recordedEvents(of: id).filter { $0["type"] as? String == "state_transition" }.compactMap {
      $0["to_state"] as? String
    }
    return (states, end["reason"] as? String ?? "", id)
  }

  /// The first five hundred lines of a call's record.
  func recordedEvents(of id: String) throws -> [[String: Any]] {
    try json("/v1/calls/\(id)/events?limit=500")["items"] as? [[String: Any]] ?? []
  }

  /// Waits until it has said this on stderr; whether it has.
  func waitUntilSaid(_ text: String) throws -> Bool {
    try Tools.wait(until: "grep -qF -- \"$TEXT\" '\(errorFile)'", environment: ["TEXT": text])
  }

  /// Waits until a path of the metrics' port answers with a status.
  func wait(for status: Int, at path: String) throws {
    let answer = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:\(metricsPort)\(path)"
    guard try Tools.wait(until: "[ \"$(\(answer))\" = \(status) ]") else {
      throw Failed(description: "\(path) does not answer \(status): \(errors)")
    }
  }

  /// Waits until a metric has a value.
  func wait(for value: Int, of name: String) throws {
    let sum = """
      curl -s http://127.0.0.1:\(metricsPort)/metrics |
        awk -v name="$NAME" 'index($0, name) == 1 { sum += $NF } END { print sum + 0 }'
      """
    guard try Tools.wait(until: "[ \"$(\(sum))\" = \(value) ]", environment: ["NAME": name]) else {
      throw Failed(description: "\(name) is \(try metric(name)) and not \(value): \(errors)")
    }
  }

  func metric(_ name: String) throws -> Double {
    let text = try Tools.run("curl", ["-sS", "http://127.0.0.1:\(metricsPort)/metrics"]).output
    let values = text.split(separator: "\n").filter { $0.hasPrefix(name) && !$0.hasPrefix("#") }
      .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
    return values.reduce(0, +)
  }
}
