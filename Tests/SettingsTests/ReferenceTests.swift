import FoundationEssentials
import Settings
import Testing

/// `docs/configuration.md` is what the code says. `PARLEY_WRITE_REFERENCE=1` writes it anew.
@Suite struct ReferenceTests {
  @Test func theReferenceIsWhatTheCodeSays() throws {
    let path =
      #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
      + "/docs/configuration.md"
    if ProcessInfo.processInfo.environment["PARLEY_WRITE_REFERENCE"] == "1" {
      try Data(ConfigurationText.reference().utf8).write(to: URL(filePath: path))
    }
    let written = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
    #expect(written == ConfigurationText.reference(), "run `make reference`")
  }
}
