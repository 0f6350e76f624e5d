import Base
import Dialogs
import FoundationEssentials
import Settings
import Testing

/// What is written for people and editors is what the code says. `PARLEY_WRITE_REFERENCE=1` writes it anew.
@Suite struct DialogReferenceTests {
  private func expect(_ path: String, _ text: String) throws {
    let url = URL(filePath: "\(root)/\(path)")
    if ProcessInfo.processInfo.environment["PARLEY_WRITE_REFERENCE"] == "1" {
      try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    let written = String(decoding: try Data(contentsOf: url), as: UTF8.self)
    #expect(written == text, "\(path): run `make reference`")
  }

  @Test func theSchemaIsWhatTheCodeSays() throws { try expect("docs/dialog.schema.json", DialogSchema.text) }

  @Test func theReferenceIsWhatTheCodeSays() throws {
    try expect("docs/dialogs/reference.md", DialogReference.markdown)
  }

  @Test func thePagesOfCodesAreWhatTheCodeSays() throws {
    try expect("docs/dialogs/codes/README.md", DialogCodePage.index)
    for code in DialogCode.allCases {
      try expect(
        "docs/dialogs/codes/\(code.rawValue).md", DialogCodePage.page(of: code, printed: try check(code.example.wrong)))
    }
    let pages = try FileManager.default.contentsOfDirectory(atPath: "\(root)/docs/dialogs/codes")
    #expect(Set(pages) == Set(DialogCode.allCases.map { "\($0.rawValue).md" } + ["README.md"]))
  }

  /// What `parley dialog check` finds in the files.
  private func check(_ files: [DialogExample.File]) throws -> [Diagnostic] {
    var diagnostics: [Diagnostic] = []
    var dialogs: [Dialog] = []
    for file in files {
      let outcome = try load(file.yaml, file: file.name)
      diagnostics += outcome.diagnostics
      if let dialog = outcome.dialog { dialogs.append(dialog) }
    }
    let unique = DialogLoader.unique(dialogs)
    return diagnostics + unique.diagnostics + DialogLoader.link(unique.dialogs)
  }

  @Test(arguments: DialogCode.allCases) func everyCodeHasAnExample(_ code: DialogCode) throws {
    let wrong = try check(code.example.wrong)
    #expect(wrong.contains { $0.code == code.rawValue }, "\(code.rawValue): \(wrong)")
    // The example shows one thing: nothing else keeps the dialog out.
    #expect(
      wrong.allSatisfy { $0.code == code.rawValue || $0.code == "D047" && code == .transferUnhandled }, "\(wrong)")
    let right = try check(code.example.right)
    #expect(right.allSatisfy { $0.code != code.rawValue && $0.severity == .warning }, "\(code.rawValue): \(right)")
    #expect(!code.example.right.isEmpty)
  }

  @Test func everyFunctionDoesWhatTheReferenceSays() throws {
    for function in Declarations.functions {
      var call = try Call(
        """
        states:
          start:
            on_enter: [{ action: play_tts, text: \(JSON.encode(.string("{{ \(function.example) }}"))) }]
            terminal: true
        """)
      call.promptsEnd()
      #expect(call.said == [function.result], "\(function.signature)")
    }
  }

  @Test func everyNameThatAnEventSetsExists() {
    for event in Declarations.events { #expect(Set(event.sets).isSubset(of: DialogLanguage.builtins), "\(event.name)") }
  }
}
