import Foundation
import TestKit
import Testing

/// Every command of docs/dialogs prints what the page says.
@Suite(.serialized) struct DocumentationTests {
  /// `DialogToolsTests` runs the commands of testing.md, which need a recorded call.
  static let pages = ((try? FileManager.default.contentsOfDirectory(atPath: "\(Tools.root)/docs/dialogs")) ?? [])
    .filter { $0.hasSuffix(".md") && $0 != "testing.md" }.map { String($0.dropLast(3)) }.sorted()

  /// The page's files are written into a folder as they come, and its commands run there, with the examples beside them.
  @Test(arguments: pages) func everyCommandPrintsWhatThePageSays(_ name: String) throws {
    let text = try String(contentsOfFile: "\(Tools.root)/docs/dialogs/\(name).md", encoding: .utf8)
    let folder = try Tools.temporaryFolder()
    try FileManager.default.createSymbolicLink(
      atPath: "\(folder)/examples", withDestinationPath: "\(Tools.root)/examples")
    let path = "\(Tools.root)/.build/release:\(ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")"
    for block in DocumentedPage(text).blocks {
      if let file = block.file, !file.contains("/") {
        try Data(block.text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(file)"))
      } else if block.language == "json" {
        // JSON has no comments to name a file in; a page shows at most one.
        try Data(block.text.utf8).write(to: URL(fileURLWithPath: "\(folder)/plumber.json"))
      }
      guard block.language == "console" else { continue }
      for (command, output) in block.commands {
        let place = "docs/dialogs/\(name).md:\(block.line): $ \(command)"
        let result = try Tools.run("/bin/sh", ["-c", "(\(command)) 2>&1"], in: folder, environment: ["PATH": path])
        #expect(
          Self.trimmed(result.output) == Self.trimmed(output), "\(place)\nprints\n\(result.output)\nand not\n\(output)")
      }
    }
  }

  /// Without the spaces at the ends of lines that editors take away.
  private static func trimmed(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
