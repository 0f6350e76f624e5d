import Base
import Dialogs
import FoundationEssentials
import Testing

/// What the fuzzers found, and a little fuzzing with every test run. docs/fuzzing.md says how to do more of it.
@Suite struct FuzzTests {
  private static func files(_ folder: String) throws -> [(name: String, bytes: [UInt8])] {
    let path = "\(root)/\(folder)"
    return try FileManager.default.contentsOfDirectory(atPath: path).sorted().filter { !$0.hasPrefix(".") }.map {
      ($0, Array(try Data(contentsOf: URL(fileURLWithPath: "\(path)/\($0)"))))
    }
  }

  /// Every finding once more. Files are named `TARGET-what-it-was`.
  @Test(.timeLimit(.minutes(1))) func whatWasFoundStaysMended() throws {
    let files = try Self.files("Fuzz/Regressions")
    #expect(!files.isEmpty)
    for file in files {
      // The others are the protocols'; see SIPTests.
      guard let target = FuzzTarget(rawValue: String(file.name.prefix { $0 != "-" })) else { continue }
      #expect(throws: Never.self, "\(file.name)") { try target.run(file.bytes) }
    }
  }

  @Test(.timeLimit(.minutes(2)), arguments: FuzzTarget.allCases) func changedSeedsDoNoHarm(_ target: FuzzTarget) throws
  {
    let seeds = try Self.seeds(for: target)
    #expect(!seeds.isEmpty)
    var mutator = Mutator(random: SeededRandom(seed: 11), seeds: seeds)
    for round in 0..<1_500 {
      let bytes = Array(mutator.next().utf8)
      do { try target.run(bytes) } catch {
        Issue.record("round \(round): \(error): \(String(decoding: bytes, as: UTF8.self).prefix(2_000))")
        return
      }
    }
  }

  private static func seeds(for target: FuzzTarget) throws -> [String] {
    func texts(_ folder: String) throws -> [String] {
      try files(folder).map { String(decoding: $0.bytes, as: UTF8.self) }
    }
    return switch target {
    case .dialog:
      try files("examples/dialogs").filter { $0.name.hasSuffix(".yaml") && !$0.name.hasSuffix(".test.yaml") }.map {
        String(decoding: $0.bytes, as: UTF8.self)
      } + texts("Fuzz/Seeds/dialog")
    default: try texts("Fuzz/Seeds/\(target.rawValue)")
    }
  }
}
