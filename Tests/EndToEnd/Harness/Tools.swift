import Foundation

/// What a program printed and how it ended.
struct ToolResult {
  var status: Int32
  var output: String
  var errors: String
}

enum Tools {
  /// The repository: the folder above this file that has the example dialogs.
  static let root: String = {
    var folder = URL(fileURLWithPath: #filePath)
    repeat {
      folder.deleteLastPathComponent()
    } while folder.path != "/"
      && !FileManager.default.fileExists(atPath: folder.appendingPathComponent("examples/dialogs").path)
    return folder.path
  }()
  static let parley = "\(root)/.build/release/parley"
  /// A program of Tests/requirements.txt, as `scripts/setup --test` installs it.
  static func python(_ program: String) -> String {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"] ?? "\(environment["HOME"] ?? "/root")/.cache"
    return "\(environment["PARLEY_TEST_PYTHON"] ?? "\(cache)/parley/venv")/bin/\(program)"
  }
  /// Of Debian's prometheus, where `scripts/setup --test` puts it.
  static let promtool: String = {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"] ?? "\(environment["HOME"] ?? "/root")/.cache"
    return environment["PARLEY_TEST_PROMTOOL"] ?? "\(cache)/parley/promtool"
  }()
  static let scenarios = "\(root)/Tests/EndToEnd/Scenarios"

  /// A fresh folder for one test; the caller removes nothing, the system's cleaner of /tmp does.
  static func temporaryFolder() throws -> String {
    let path = NSTemporaryDirectory() + "parley-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  /// Runs a program to its end; `timeout` (coreutils) kills it after `limit` seconds, which is status 137 or 9.
  static func run(
    _ program: String, _ arguments: [String], in folder: String? = nil, environment: [String: String] = [:],
    input: String? = nil, limit: Int = 60
  ) throws -> ToolResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["timeout", "--signal=KILL", "\(limit)", program] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    // Files instead of pipes: a program that prints a lot never waits for us to read.
    let output = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    let errors = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer {
      try? FileManager.default.removeItem(at: output)
      try? FileManager.default.removeItem(at: errors)
    }
    _ = FileManager.default.createFile(atPath: output.path, contents: nil)
    _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    if let input {
      let pipe = Pipe()
      process.standardInput = pipe
      try process.run()
      pipe.fileHandleForWriting.write(Data(input.utf8))
      try pipe.fileHandleForWriting.close()
    } else {
      process.standardInput = FileHandle.nullDevice
      try process.run()
    }
    process.waitUntilExit()
    return ToolResult(
      status: process.terminationStatus, output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }

  /// Waits until a condition of the shell holds, for what programs arrange among themselves; whether it does within half a minute.
  static func wait(until condition: String, environment: [String: String] = [:]) throws -> Bool {
    try run("bash", ["-c", "until \(condition); do sleep 0.05; done"], environment: environment, limit: 30).status == 0
  }

  /// Runs `parley` and reads the one JSON object it prints.
  static func parleyJSON(_ arguments: [String], limit: Int = 90) throws -> (result: ToolResult, json: [String: Any]) {
    let result = try run(parley, arguments + ["--json"], limit: limit)
    let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
    return (result, json ?? [:])
  }
}
