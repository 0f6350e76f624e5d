import Audio
import Base
import Glibc
import Testing

/// Where the weights lie: `make test` provides them at one of these places (`scripts/setup` fetches the PyPI package).
/// The tests that need them are skipped, and say so, only where somebody runs them without that.
enum Weights {
  static let name = "silero_vad_16k_op15.onnx"

  static let candidates: [String] = {
    func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    var paths: [String] = []
    if let path = environment("PARLEY_SILERO") { paths.append(path) }
    if let home = environment("HOME") { paths.append("\(home)/.local/share/parley/\(name)") }
    for folder in ["/usr/share/parley", "/var/lib/voice-gateway/models", ".parley"] {
      paths.append("\(folder)/\(name)")
    }
    return paths
  }()

  static let model = SileroModel.find(in: candidates).model
}

private func probabilities(_ samples: [Int16], _ engine: VoiceDetector.Engine) -> [Float] {
  var detector = VoiceDetector(engine)
  return samples.withUnsafeBufferPointer { all in
    stride(from: 0, to: all.count - 511, by: 512).map { start in
      detector.probability(UnsafeBufferPointer(rebasing: all[start..<start + 512]))
    }
  }
}

private func share(_ probabilities: [Float]) -> Double {
  Double(probabilities.filter { $0 > 0.5 }.count) / Double(probabilities.count)
}

@Suite("Silero voice activity", .enabled(if: Weights.model != nil, "the Silero weights are absent: run scripts/setup"))
struct SileroTests {
  private let model: SileroModel

  init() throws { model = try #require(Weights.model) }

  @Test func `equals onnxruntime on speech, pauses and noise`() throws {
    let bytes = try Signals.vector("speech.f32")
    let expected = stride(from: 0, to: bytes.count, by: 4).map { i in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << (8 * $1) })
    }
    let actual = probabilities(try Signals.speech(), .silero(model))
    try #require(actual.count == expected.count)
    let worst = zip(actual, expected).map { abs($0 - $1) }.max() ?? 1
    #expect(worst < 1e-4, "the greatest difference is \(worst)")
    // The vectors hold both, so that agreement means something.
    #expect((0.3...0.8).contains(share(expected)))
  }

  @Test func `calls do not disturb each other`() throws {
    let speech = Array(try Signals.speech().prefix(40 * 512))
    let noise = Signals.noise(dBFS: -20, count: speech.count)
    let alone = probabilities(speech, .silero(model))
    var a = VoiceDetector(.silero(model))
    var b = VoiceDetector(.silero(model))
    var interleaved: [Float] = []
    for start in stride(from: 0, to: speech.count, by: 512) {
      interleaved.append(speech[start..<start + 512].withContiguousStorageIfAvailable { a.probability($0) } ?? -1)
      _ = noise[start..<start + 512].withContiguousStorageIfAvailable { b.probability($0) }
    }
    #expect(interleaved == alone)
    a.reset()
    #expect(speech[..<512].withContiguousStorageIfAvailable { a.probability($0) } == alone[0])
  }

  @Test func `stays quiet in silence, noise and tones`() {
    #expect(share(probabilities([Int16](repeating: 0, count: 30 * 512), .silero(model))) == 0)
    #expect(share(probabilities(Signals.noise(dBFS: -20, count: 30 * 512), .silero(model))) == 0)
    #expect(share(probabilities(ToneGenerator.digits("123456", sampleRate: 16000), .silero(model))) == 0)
  }

  @Test func `a short frame counts as padded with silence`() throws {
    let speech = Array(try Signals.speech()[16_000..<16_512])
    var a = VoiceDetector(.silero(model))
    var b = VoiceDetector(.silero(model))
    let short = speech[..<200].withContiguousStorageIfAvailable { a.probability($0) }
    let padded = (Array(speech[..<200]) + [Int16](repeating: 0, count: 312)).withUnsafeBufferPointer {
      b.probability($0)
    }
    #expect(short == padded)
  }

  @Test func `damaged weights are refused with a reason`() throws {
    let whole = try Signals.bytes(of: model.path)
    let path = Signals.temporaryPath("weights")
    defer { unlink(path) }
    func load(_ bytes: [UInt8]) throws {
      let file = try #require(fopen(path, "wb"))
      fwrite(bytes, 1, bytes.count, file)
      fclose(file)
      _ = try SileroModel.load(path: path)
    }
    for length in [0, 1, 8, 9, 100, 10_000, 300_000, whole.count - 1000] {
      #expect(throws: AudioError.self) { try load(Array(whole[..<length])) }
    }
    var random = SeededRandom(seed: 3)
    for _ in 0..<8 {
      var bytes = whole
      // The head of the file holds the graph: any damage there may be an error, none may be worse.
      for _ in 0..<20 { bytes[Int.random(in: 0..<20_000, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      _ = try? load(bytes)
    }
    let header = Array(
      #"{"stft_conv.weight":{"dtype":"F32","shape":[258,1,256],"data_offsets":[0,9223372036854775807]}}"#.utf8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    #expect(throws: AudioError.self) { try load(length + header) }
    #expect(throws: AudioError.self) { try load([255, 255, 255, 255, 255, 255, 255, 127] + header) }
  }

  @Test func `the search takes the first usable file and says what was wrong with the others`() throws {
    let search = SileroModel.find(in: ["/nonexistent", "/etc/passwd", "/etc", model.path])
    #expect(search.model?.path == model.path)
    #expect(search.problems.map(\.code) == [.malformed, .unreadable])
  }
}

@Suite("Voice activity without weights")
struct EnergyTests {
  @Test func `no weights, no model, no problem`() {
    let search = SileroModel.find(in: ["/nonexistent/a", "/nonexistent/b"])
    #expect(search.model == nil)
    #expect(search.problems.isEmpty)
    #expect(VoiceDetector.Engine.energy.name == "energy")
  }

  @Test func `agrees with the network on most of the speech`() throws {
    let bytes = try Signals.vector("speech.f32")
    let expected = stride(from: 0, to: bytes.count, by: 4).map { i in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << (8 * $1) }) > 0.5
    }
    let actual = probabilities(try Signals.speech(), .energy).map { $0 > 0.5 }
    let agreement = Double(zip(expected, actual).filter { $0 == $1 }.count) / Double(expected.count)
    #expect(agreement > 0.85, "only \(agreement) of the frames agree")
  }

  @Test func `stays quiet in silence and steady noise`() {
    #expect(share(probabilities([Int16](repeating: 0, count: 60 * 512), .energy)) == 0)
    #expect(share(probabilities(Signals.noise(dBFS: -40, count: 60 * 512), .energy)) == 0)
    // Loud noise from the first moment on is taken for speech until it has stood still for a while.
    #expect(share(probabilities(Signals.noise(dBFS: -20, count: 60 * 512), .energy)) < 0.05)
  }

  @Test func `hears speech over noise`() throws {
    let speech = try Signals.speech()
    let noise = Signals.noise(dBFS: -45, count: speech.count)
    let mixed = zip(speech, noise).map { Int16(clamping: Int($0) + Int($1)) }
    #expect(share(probabilities(mixed, .energy)) > 0.35)
  }
}
