import FoundationEssentials
import Testing

/// The rules of docs/architecture.md, read off the sources themselves.
@Suite struct Doors {
  private static let pure: Set = ["Base", "SIP", "SDP", "RTP", "Turns", "Dialogs"]
  private static let services: Set = [
    "MediaGateway", "SpeechGateway", "ConversationRuntime", "IntegrationGateway", "Worker",
  ]
  private static let nio: Set = ["NIOCore", "NIOPosix", "NIOConcurrencyHelpers", "NIOHTTP1"]
  private static let shared: Set = ["Base", "CallLink", "Storage", "Telemetry", "Settings"]
  private static let platform: Set = ["FoundationEssentials", "Glibc", "Musl", "Dispatch"]

  /// What each room may import beside the standard library. A new edge is a decision: change docs/architecture.md with it.
  private static let doors: [String: Set<String>] = [
    "Base": [],
    "SDP": ["Base"],
    "SIP": ["Base", "SDP"],
    "RTP": ["Base"],
    "Turns": ["Base"],
    "Dialogs": ["Base"],
    "Audio": ["Base", "CSpeexDSP", "CSpanDSP", "CSndFile", "Glibc", "Musl"],
    "CallLink": ["Base"],
    "CallCustody": nio.union(["Base", "CallLink", "Storage", "Logging", "Crypto"]),
    "CallLinkGRPC": platform.union(nio).union([
      "Base", "CallLink", "CallCustody", "Logging", "NIOSSL", "GRPCCore", "GRPCNIOTransportHTTP2", "GRPCProtobuf",
      "SwiftProtobuf", "X509", "Foundation",
    ]),
    "Settings": platform.union(["Base", "CYaml"]),
    "Telemetry": platform.union(nio).union(["Base", "Settings", "Logging"]),
    "Storage": platform.union(nio).union([
      "Base", "Settings", "Outbound", "Logging", "GRDB", "CPostgreSQL", "NIOSSL", "Crypto",
    ]),
    "Outbound": platform.union(nio).union(["Base", "Settings", "Logging", "AsyncHTTPClient", "NIOSSL", "Crypto"]),
    "MediaIO": platform.union(nio).union(["Base"]),
    "MediaGateway": platform.union(nio).union(shared).union([
      "SIP", "SDP", "RTP", "Audio", "MediaIO", "Logging", "NIOSSL",
    ]),
    "SpeechGateway": platform.union(nio).union(shared).union(["Audio", "Turns", "CPocketSphinx", "CFlite", "Logging"]),
    "ConversationRuntime": platform.union(nio).union(shared).union([
      "Dialogs", "Outbound", "AsyncHTTPClient", "Logging",
    ]),
    "IntegrationGateway": platform.union(nio).union(shared).union([
      "Dialogs", "Outbound", "Hummingbird", "HummingbirdCore", "HTTPTypes", "AsyncHTTPClient", "Crypto", "CryptoExtras",
      "Logging", "ServiceLifecycle", "NIOWebSocket", "NIOHTTPTypes", "NIOHTTPTypesHTTP1",
    ]),
    "Worker": platform.union(nio).union(shared).union(["Outbound", "Logging"]),
    "ScriptedServers": nio.union(["Base", "NIOSSL", "Glibc", "Musl"]),
    "TestKit": ["Base", "SIP", "SDP", "RTP", "Audio"],
  ]

  @Test func noRoomImportsThroughAWrongDoor() throws {
    var wrong: [String] = []
    var seen: Set<String> = []
    for file in try sources() {
      let room = file.room
      guard room != "parley" else { continue }
      seen.insert(room)
      guard let allowed = Self.doors[room] else {
        wrong.append("\(file.path): the room \(room) is not in the table of doors")
        continue
      }
      for (number, line) in file.lines.enumerated() {
        guard let module = importedModule(line), !["Swift", "Synchronization", "_Concurrency"].contains(module) else {
          continue
        }
        if !allowed.contains(module) { wrong.append("\(file.path):\(number + 1): \(room) must not import \(module)") }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    #expect(seen == Set(Self.doors.keys), "the table of doors and the rooms differ")
  }

  @Test func pureRoomsOwnNoClockAndNoChance() throws {
    let banned = [
      "ContinuousClock", "SuspendingClock", "Instant.monotonic", "SystemRandomNumberGenerator", "Task.sleep", "Task {",
      "print(", ".random(in:",
    ]
    var wrong: [String] = []
    for file in try sources() where Self.pure.contains(file.room) && file.room != "Base" {
      for (number, line) in file.code.enumerated() {
        for word in banned where line.contains(word) && !(word == ".random(in:" && line.contains("using:")) {
          wrong.append("\(file.path):\(number + 1): \(word) in a pure room")
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
  }

  @Test func onlyTheGuardOpensHTTPConnections() throws {
    var wrong: [String] = []
    for file in try sources() where file.room != "Outbound" {
      for (number, line) in file.code.enumerated()
      where ["HTTPClient(", "HTTPClient.shared", "URLSession"].contains(where: line.contains) {
        wrong.append("\(file.path):\(number + 1): goes out beside OutboundClient: \(line)")
      }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
  }

  @Test func whatCanCrashSaysWhyItCannot() throws {
    let risky = ["try!", "fatalError(", "@unchecked Sendable", "nonisolated(unsafe)", " as! "]
    var wrong: [String] = []
    for file in try sources() where !file.isGenerated {
      for (number, line) in file.code.enumerated() where risky.contains(where: line.contains) {
        // The reason stands in the same line or in the comment above it (declarations in between share it).
        let above = file.lines[max(0, number - 6)...number]
        if !above.contains(where: { $0.contains("//") }) {
          wrong.append("\(file.path):\(number + 1): no comment proves this safe: \(line)")
        }
      }
    }
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
  }

  @Test func everyRoomIntroducesItself() throws {
    for room in Self.doors.keys.sorted() + ["parley"] {
      let readme = try text("Sources/\(room)/README.md")
      #expect(readme.split(separator: "\n").count >= 4, "Sources/\(room)/README.md says nothing yet")
    }
  }

  @Test func noFileHoldsTwoThings() throws {
    // House rule: about 500 lines; the slack is for a table or a long comment.
    let long = try sources().filter { $0.lines.count > 600 && !$0.isGenerated }.map {
      "\($0.path): \($0.lines.count) lines"
    }
    #expect(long.isEmpty, "\(long.joined(separator: "\n"))")
  }

  // MARK: Reading the tree

  private struct Source {
    var path: String
    var room: String
    var lines: [String]
    /// By a tool, whose work is judged elsewhere: `make lint` compares it with what the tool makes.
    var isGenerated: Bool { path.contains("/Generated/") }
    /// The lines with whole-line comments blanked.
    var code: [String] { lines.map { $0.drop(while: \.isWhitespace).hasPrefix("//") ? "" : $0 } }
  }

  private static let root: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(3)
    return parts.joined(separator: "/")
  }()

  private func text(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(filePath: "\(Self.root)/\(path)")), as: UTF8.self)
  }

  private func sources() throws -> [Source] {
    var found: [Source] = []
    var folders = ["Sources"]
    while let folder = folders.popLast() {
      for name in try FileManager.default.contentsOfDirectory(atPath: "\(Self.root)/\(folder)") {
        let path = "\(folder)/\(name)"
        var isFolder = false
        if FileManager.default.fileExists(atPath: "\(Self.root)/\(path)", isDirectory: &isFolder), isFolder {
          folders.append(path)
        } else if name.hasSuffix(".swift") {
          let room = String(path.split(separator: "/")[1])
          let lines = try text(path).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
          found.append(Source(path: path, room: room, lines: lines))
        }
      }
    }
    #expect(found.count > 20, "the sources were not found below \(Self.root)")
    return found.sorted { $0.path < $1.path }
  }

  /// `import X`, `public import X`, `import struct X.Y`; nil for other lines.
  private func importedModule(_ line: String) -> String? {
    let words = line.split(separator: " ")
    guard let at = words.firstIndex(of: "import"), at <= 2, !line.hasPrefix("//"), at + 1 < words.count else {
      return nil
    }
    guard words[..<at].allSatisfy({ $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0) })
    else {
      return nil
    }
    let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "typealias", "var", "let"]
    let name = kinds.contains(words[at + 1]) && at + 2 < words.count ? words[at + 2] : words[at + 1]
    return name.split(separator: ".").first.map(String.init)
  }
}
