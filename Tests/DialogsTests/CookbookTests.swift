import Base
import Dialogs
import Settings
import Testing

/// The dialogs of examples/dialogs pass their own tests, and those tests go everywhere.
@Suite struct CookbookTests {
  private func load(_ name: String) throws -> Dialog {
    let path = "\(root)/examples/dialogs/\(name).yaml"
    return try #require(DialogLoader.load(try YAML.load(path: path), file: path).dialog)
  }

  @Test(arguments: ExampleTests.names) func itsTestsPassAndGoEverywhere(_ name: String) throws {
    let dialog = try load(name)
    let path = "\(root)/examples/dialogs/\(name).test.yaml"
    let outcome = DialogTestLoader.load(try YAML.load(path: path), file: path)
    #expect(outcome.diagnostics.map(\.description) == [])
    let file = try #require(outcome.tests)
    #expect(DialogTestLoader.check(file, against: dialog).map(\.description) == [])
    var library: [String: Dialog] = [:]
    for other in ExampleTests.names { library[other] = try load(other) }
    var coverage = DialogCoverage(dialog)
    let results = DialogTestRunner(file, dialog: dialog, library: library).run(coverage: &coverage)
    for (index, result) in results.enumerated() where !result.hasPassed {
      Issue.record("\(DialogTestReport.tap(result, number: index + 1))")
    }
    #expect(coverage.missing.map(\.description) == [])
  }
}
