import Base
import Dialogs
import FoundationEssentials
import Testing

@Suite struct DocumentationTests {
  @Test func theGuidesExamplesAreClean() throws {
    let guide = try String(contentsOfFile: "\(root)/docs/dialogs.md", encoding: .utf8)
    var blocks: [String] = []
    for (index, piece) in guide.split(separator: "```", omittingEmptySubsequences: false).enumerated()
    where index % 2 == 1 && piece.hasPrefix("yaml\n") {
      blocks.append(String(piece.dropFirst(5)))
    }
    #expect(blocks.count >= 2)
    for block in blocks { #expect(try load(block).diagnostics.map(\.description) == []) }
  }

  @Test func theGuideNamesEveryActionEventAndBuiltIn() throws {
    let guide = try String(contentsOfFile: "\(root)/docs/dialogs.md", encoding: .utf8)
    for action in DialogLanguage.actions { #expect(guide.contains("| `\(action)` |"), "\(action)") }
    for word in DialogLanguage.events + DialogLanguage.builtins + DialogLanguage.functions {
      #expect(guide.contains(word), "\(word)")
    }
  }
}
