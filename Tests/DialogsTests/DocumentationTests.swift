import Base
import Dialogs
import FoundationEssentials
import Settings
import TestKit
import Testing

/// What the pages of docs/dialogs show is what the code does. Their commands are run by Tests/EndToEnd.
@Suite struct DocumentationTests {
  /// All but the reference, which is made from the code.
  static let pages = ((try? FileManager.default.contentsOfDirectory(atPath: "\(root)/docs/dialogs")) ?? [])
    .filter { $0.hasSuffix(".md") && $0 != "reference.md" }.map { String($0.dropLast(3)) }.sorted()

  private func page(_ name: String) throws -> DocumentedPage {
    DocumentedPage(try String(contentsOfFile: "\(root)/docs/dialogs/\(name).md", encoding: .utf8))
  }

  @Test(arguments: pages) func everyBlockIsTrue(_ name: String) throws {
    let blocks = try page(name).blocks
    var dialogs: [String: Dialog] = [:]
    for (index, block) in blocks.enumerated() where block.language == "yaml" {
      let place = "docs/dialogs/\(name).md:\(block.line)"
      // What the next commands show may be a mistake that is shown on purpose.
      let shown = blocks[(index + 1)...].first { $0.language == "console" }?.text ?? ""
      if let file = block.file, file.hasPrefix("examples/") {
        try expectExcerpt(block, of: file, place)
        continue
      }
      let node = try YAML.read(block.text, file: block.file ?? "\(name).yaml")
      if node["states"] != nil {
        let outcome = DialogLoader.load(node, file: block.file ?? "\(name).yaml")
        let findings = outcome.diagnostics.filter { $0.code != "D047" }.map(\.description)
        if let first = findings.first, shown.contains(first) {
          #expect(findings.allSatisfy { shown.contains($0) }, "\(place): \(findings)")
        } else {
          #expect(findings == [], "\(place)")
        }
        if let dialog = outcome.dialog { dialogs[dialog.name] = dialog }
      } else if node["cases"] != nil {
        try runTests(node, block, dialogs, mustFail: shown.contains("not ok"), place)
      }
    }
  }

  /// Every line of the block stands in the file, in order; `...` stands for lines that are left out.
  private func expectExcerpt(_ block: DocumentedPage.Block, of file: String, _ place: String) throws {
    let text = try String(contentsOfFile: "\(root)/\(file)", encoding: .utf8)
    var rest = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    let body = block.text.split(separator: "\n", omittingEmptySubsequences: false).dropFirst().dropLast()
    for piece in body.split(separator: "...") {
      let lines = Array(piece)
      let start = rest.indices.first { rest[$0...].starts(with: lines) }
      guard let start else {
        Issue.record("\(place): not in \(file): \(lines.joined(separator: "\n"))")
        return
      }
      rest = rest[(start + lines.count)...]
    }
  }

  private func runTests(
    _ node: SourceNode, _ block: DocumentedPage.Block, _ dialogs: [String: Dialog], mustFail: Bool, _ place: String
  ) throws {
    let outcome = DialogTestLoader.load(node, file: block.file ?? "page.test.yaml")
    let tests = try #require(outcome.tests, "\(place): \(outcome.diagnostics.map(\.description))")
    var library = dialogs
    for name in ExampleTests.names where library[name] == nil {
      let path = "\(root)/examples/dialogs/\(name).yaml"
      library[name] = DialogLoader.load(try YAML.load(path: path), file: path).dialog
    }
    let dialog = try #require(library[tests.dialog], "\(place): there is no dialog \(tests.dialog)")
    #expect(DialogTestLoader.check(tests, against: dialog).map(\.description) == [], "\(place)")
    var coverage = DialogCoverage(dialog)
    let results = DialogTestRunner(tests, dialog: dialog, library: library).run(coverage: &coverage)
    let failed = results.enumerated().filter { !$0.element.hasPassed }
    #expect(
      failed.isEmpty != mustFail,
      "\(place): \(failed.map { DialogTestReport.tap($0.element, number: $0.offset + 1) }.joined())")
  }

  @Test func noPageIsMissing() {
    #expect(Set(Self.pages).isSuperset(of: ["README", "agents", "cookbook", "language", "migrating", "tutorial"]))
  }

  @Test func theGuideNamesEveryActionEventAndBuiltIn() throws {
    let guide = try String(contentsOfFile: "\(root)/docs/dialogs/language.md", encoding: .utf8)
    for action in DialogLanguage.actions { #expect(guide.contains("| `\(action)` |"), "\(action)") }
    for word in DialogLanguage.events + DialogLanguage.builtins + DialogLanguage.functions {
      #expect(guide.contains(word), "\(word)")
    }
  }

  /// Links between the pages lead somewhere.
  @Test(arguments: pages) func everyLinkLeadsToAFile(_ name: String) throws {
    let text = try String(contentsOfFile: "\(root)/docs/dialogs/\(name).md", encoding: .utf8)
    for piece in text.split(separator: "](").dropFirst() {
      let target = piece.prefix { $0 != ")" && $0 != "#" }
      guard !target.isEmpty, !target.hasPrefix("http") else { continue }
      #expect(FileManager.default.fileExists(atPath: "\(root)/docs/dialogs/\(target)"), "\(name).md: \(target)")
    }
  }
}
