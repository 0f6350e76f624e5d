import Base
import Testing

@Suite struct BaseTests {
  @Test func identifiersSortByTheTimeTheyWereMade() {
    var random = SeededRandom(seed: 1)
    let early = ULID.make(unixMilliseconds: 1_700_000_000_000, using: &random)
    let late = ULID.make(unixMilliseconds: 1_700_000_000_001, using: &random)
    #expect(early < late)
    #expect(early.count == 26 && early != ULID.make(unixMilliseconds: 1_700_000_000_000, using: &random))
    // The time part of the ULID specification's own example, 2016-07-30T23:54:10.259Z.
    #expect(ULID.make(unixMilliseconds: 1_469_922_850_259, using: &random).hasPrefix("01ARZ3NDEK"))
  }

  @Test func instantsCountNanoseconds() {
    let start = Instant.zero + .milliseconds(20)
    #expect(start.nanoseconds == 20_000_000)
    #expect((start + .seconds(1)) - start == .seconds(1))
    #expect((start - .seconds(1)) < .zero)
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
  }

  @Test func theSameSeedGivesTheSameNumbers() {
    var a = SeededRandom(seed: 7), b = SeededRandom(seed: 7), c = SeededRandom(seed: 8)
    let token = a.token(12)
    #expect(token == b.token(12) && token != c.token(12) && token.count == 12)
  }

  @Test(arguments: [("sip_prt", "sip_port"), ("play_ttts", "play_tts"), ("xyzzy", nil)] as [(String, String?)])
  func mistypedWordsFindTheirNeighbour(_ word: String, _ known: String?) {
    #expect(nearest(to: word, in: ["sip_port", "play_tts", "hangup"]) == known)
  }

  @Test func scalarsHaveTheTypesOfYAMLsCoreSchema() {
    func value(_ text: String, quoted: Bool = false) -> Value {
      SourceNode(.scalar(text, isQuoted: quoted), at: SourcePosition(line: 1, column: 1)).value
    }
    #expect(value("12") == .int(12))
    #expect(value("12", quoted: true) == .string("12"))
    #expect(value("-1.5") == .double(-1.5))
    #expect(value("true") == .bool(true))
    #expect(value("~") == .null)
    #expect(value("yes") == .string("yes"))
    #expect(value("infinity") == .string("infinity"))
  }

  @Test func aDiagnosticReadsLikeACompilers() {
    let diagnostic = Diagnostic(
      code: "D001", severity: .error, file: "a.yaml", position: SourcePosition(line: 3, column: 5),
      message: "unknown key",
      hint: "did you mean `text`?")
    #expect(diagnostic.description == "a.yaml:3:5: error: D001 unknown key (did you mean `text`?)")
  }
}

@Suite struct SampleRingTests {
  @Test func keepsTheOrderAndCountsWhatDoesNotFit() {
    let ring = SampleRing(capacity: 100)
    #expect(ring.capacity == 128)
    let samples = (0..<100).map(Int16.init)
    #expect(samples.withUnsafeBufferPointer(ring.write) == 100)
    #expect(samples.withUnsafeBufferPointer(ring.write) == 28)
    #expect(ring.dropped == 72 && ring.count == 128)
    var out = [Int16](repeating: -1, count: 200)
    #expect(out.withUnsafeMutableBufferPointer { ring.read(into: $0) } == 128)
    #expect(Array(out[..<100]) == samples && Array(out[100..<128]) == Array(samples[..<28]) && ring.count == 0)
  }

  /// One writer and one reader on two threads: every sample arrives once, in order.
  @Test func handsSamplesFromThreadToThread() async {
    let ring = SampleRing(capacity: 64)
    let total = 200_000
    async let written: Void = {
      var next = 0
      while next < total {
        let chunk = (next..<min(next + 37, total)).map { Int16(truncatingIfNeeded: $0) }
        next += chunk.withUnsafeBufferPointer {
          ring.write(UnsafeBufferPointer(rebasing: $0[..<min(chunk.count, ring.capacity - ring.count)]))
        }
        await Task.yield()
      }
    }()
    var expected = 0
    var isInOrder = true
    var buffer = [Int16](repeating: 0, count: 50)
    while expected < total {
      let count = buffer.withUnsafeMutableBufferPointer { ring.read(into: $0) }
      for sample in buffer[..<count] {
        isInOrder = isInOrder && sample == Int16(truncatingIfNeeded: expected)
        expected += 1
      }
      await Task.yield()
    }
    await written
    #expect(isInOrder && ring.dropped == 0)
  }
}
