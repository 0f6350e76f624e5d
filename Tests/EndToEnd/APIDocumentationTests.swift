import Foundation
import TestKit
import Testing

/// Every command of docs/api works against a gateway as the page says.
///
/// A page's `console` blocks are one shell session, in a folder that has the page's files (`# name.py`), the examples and the
/// clients. `PARLEY_URL` and `PARLEY_TOKEN` name a gateway of the page's own, `CALL` a call that is up. Where a command's output
/// is shown, it must be that; `...` stands for anything.
@Suite(.serialized) struct APIDocumentationTests {
  static let pages = ((try? FileManager.default.contentsOfDirectory(atPath: "\(Tools.root)/docs/api")) ?? [])
    .filter { $0.hasSuffix(".md") }.sorted()

  @Test(arguments: pages) func everyCommandDoesWhatThePageSays(_ name: String) throws {
    let page = DocumentedPage(try String(contentsOfFile: "\(Tools.root)/docs/api/\(name)", encoding: .utf8))
    let commands = page.blocks.filter { $0.language == "console" }.flatMap { block in
      block.commands.map { (line: block.line, command: $0.command, output: $0.output) }
    }
    if commands.isEmpty { return }
    let folder = try Tools.temporaryFolder()
    for shared in ["examples", "clients"] {
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/\(shared)", withDestinationPath: "\(Tools.root)/\(shared)")
    }
    for block in page.blocks {
      if let file = block.file { try Data(block.text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(file)")) }
    }
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog], configuration: Self.configuration)
    let calls = try LiveCalls(gateway, count: 1)
    defer { calls.stop() }

    // One shell for the whole page, so that what a command sets or starts is there for the next.
    let mark = "@@@ end of command"
    var script = "trap 'kill -KILL $(jobs -p) 2>/dev/null' EXIT\nexec 2>&1\n"
    for command in commands { script += "\(command.command)\necho; echo \"\(mark) $?\"\n" }
    let environment = ProcessInfo.processInfo.environment
    let result = try Tools.run(
      "bash", ["-c", script], in: folder,
      environment: [
        "PARLEY_URL": "http://127.0.0.1:\(gateway.apiPort)", "PARLEY_TOKEN": "end-to-end-token", "CALL": calls.ids[0],
        "PATH":
          "\(Tools.root)/.build/release:\(Tools.python(".")):\(environment["PATH"] ?? "/usr/bin:/bin")",
        "PARLEY_CONFIG": "\(gateway.folder)/config.yaml",
        "VG_STORAGE_DATABASE": "sqlite://\(gateway.folder)/parley.db",
      ], limit: 120)
    var rest = Substring(result.output)
    for command in commands {
      let place = "docs/api/\(name):\(command.line): $ \(command.command)"
      guard let end = rest.range(of: "\n\(mark) ") else {
        Issue.record("\(place)\nnever ended; it printed\n\(rest)")
        return
      }
      let printed = Self.trimmed(String(rest[..<end.lowerBound]))
      let status = rest[end.upperBound...].prefix { $0 != "\n" }
      rest = rest[end.upperBound...].dropFirst(status.count + 1)
      #expect(status == "0", "\(place)\nends with \(status) and prints\n\(printed)")
      let wanted = Self.trimmed(command.output)
      #expect(
        wanted.isEmpty || Self.matches(printed, wanted), "\(place)\nprints\n\(printed)\nand not\n\(wanted)")
    }
  }

  /// What pages may need beside the defaults.
  private static let configuration = """
    integration:
      outbound: { allow_private: [127.0.0.0/8] }
      webhooks: { max_attempts: 1 }
    """

  /// Whatever the gateway can be asked is asked by a command of a page, which is run above, or by a program that it shows.
  @Test func everyOperationHasAnExample() throws {
    let gateway = try Gateway()
    let description = try JSONSerialization.jsonObject(
      with: Data(try gateway.api("GET", "/openapi.json", token: nil).text.utf8))
    let paths = try #require((description as? [String: Any])?["paths"] as? [String: [String: Any]])
    var missing: Set<String> = []
    for (path, methods) in paths { for method in methods.keys { missing.insert("\(method.uppercased()) \(path)") } }
    #expect(missing.count > 50)
    for name in Self.pages {
      let page = DocumentedPage(try String(contentsOfFile: "\(Tools.root)/docs/api/\(name)", encoding: .utf8))
      for block in page.blocks {
        if block.language == "console" {
          for command in block.commands { missing.subtract(Self.operations(command.command, Array(paths.keys))) }
        } else {
          missing = missing.filter { !block.text.contains($0.split(separator: " ")[1]) }
        }
      }
    }
    #expect(missing.isEmpty, "docs/api shows no example of \(missing.sorted().joined(separator: ", "))")
  }

  /// What a command of curl asks for, as `GET /v1/calls/{id}`.
  private static func operations(_ command: String, _ paths: [String]) -> [String] {
    let hasBody = [" -d ", " -F ", " --data-binary "].contains { command.contains($0) }
    let method = command.firstMatch(of: /-X ([A-Z]+)/).map { String($0.1) } ?? (hasBody ? "POST" : "GET")
    // `$CALL` and `$(cat id)` stand for names.
    return command.matches(of: /\$PARLEY_URL((?:\$\([^)]*\)|[^"'\s?|])+)/).compactMap { match in
      let asked = match.1.split(separator: "/")
      func names(_ path: String) -> Bool {
        let segments = path.split(separator: "/")
        return segments.count == asked.count
          && zip(segments, asked).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
      }
      // The more of it is literal, the shorter is the list of its parameters.
      let path = paths.filter(names).min { a, b in a.count { $0 == "{" } < b.count { $0 == "{" } }
      return path.map { "\(method) \($0)" }
    }
  }

  /// Whether `text` is `pattern`, in which `...` stands for anything.
  private static func matches(_ text: String, _ pattern: String) -> Bool {
    let parts = pattern.components(separatedBy: "...")
    guard text.hasPrefix(parts[0]) else { return false }
    if parts.count == 1 { return text == pattern }
    var rest = text.dropFirst(parts[0].count)
    for part in parts.dropFirst().dropLast() where !part.isEmpty {
      guard let found = rest.range(of: part) else { return false }
      rest = rest[found.upperBound...]
    }
    return rest.hasSuffix(parts[parts.count - 1])
  }

  private static func trimmed(_ text: String) -> String { text.trimmingCharacters(in: .whitespacesAndNewlines) }
}
