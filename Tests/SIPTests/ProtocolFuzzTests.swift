import Base
import FoundationEssentials
import Testing

/// What the fuzzers found in the protocols, and a little fuzzing with every test run. docs/fuzzing.md says how to do more of it.
@Suite struct ProtocolFuzzTests {
  private static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(
    separator: "/")

  private static func files(_ folder: String) throws -> [(name: String, bytes: [UInt8])] {
    let path = "\(root)/\(folder)"
    return try FileManager.default.contentsOfDirectory(atPath: path).sorted().filter { !$0.hasPrefix(".") }.map {
      ($0, Array(try Data(contentsOf: URL(fileURLWithPath: "\(path)/\($0)"))))
    }
  }

  /// Every finding once more. Files are named `TARGET-what-it-was`.
  @Test(.timeLimit(.minutes(1))) func whatWasFoundStaysMended() throws {
    for file in try Self.files("Fuzz/Regressions") {
      guard let target = ProtocolTarget(rawValue: String(file.name.prefix { $0 != "-" })) else { continue }
      #expect(throws: Never.self, "\(file.name)") { try target.run(file.bytes) }
    }
  }

  /// The seeds as they are, and changed.
  @Test(.timeLimit(.minutes(2)), arguments: ProtocolTarget.allCases)
  func changedSeedsDoNoHarm(_ target: ProtocolTarget) throws {
    var seeds = try Self.files("Fuzz/Seeds/\(target.rawValue)").map(\.bytes)
    #expect(!seeds.isEmpty)
    if target == .sip { seeds += TortureTests.messages.map(\.bytes) }
    for seed in seeds { try target.run(seed) }
    var random = SeededRandom(seed: 17)
    for round in 0..<1_500 {
      let bytes = changed(seeds[round % seeds.count], seeds, &random)
      do { try target.run(bytes) } catch {
        Issue.record("round \(round): \(error): \(text(bytes).debugDescription)")
        return
      }
    }
  }

  /// A few bytes changed, left out, doubled, or taken from another seed.
  private func changed(_ seed: [UInt8], _ seeds: [[UInt8]], _ random: inout SeededRandom) -> [UInt8] {
    var out = seed
    let interesting = Array("\r\n\0\t ,;:<>\"\\@=?[]%/.0913z\u{1E}".utf8) + [0x80, 0xFF]
    for _ in 0...(random.next() % 5) {
      guard !out.isEmpty else { break }
      let at = Int(random.next() % UInt64(out.count))
      switch random.next() % 7 {
      case 0: out[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: out[at] = interesting[Int(random.next() % UInt64(interesting.count))]
      case 2: out.insert(interesting[Int(random.next() % UInt64(interesting.count))], at: at)
      case 3: out.removeSubrange(at..<min(out.count, at + 1 + Int(random.next() % 30)))
      case 4: out.insert(contentsOf: out[at..<min(out.count, at + 60)], at: Int(random.next() % UInt64(out.count)))
      case 5: out.insert(contentsOf: repeatElement(out[at], count: Int(random.next() % 300)), at: at)
      default:
        let other = seeds[Int(random.next() % UInt64(seeds.count))]
        let from = Int(random.next() % UInt64(max(1, other.count)))
        out.replaceSubrange(at..., with: other[min(from, other.count)...])
      }
    }
    return out
  }
}
