import Audio
import Base
import Testing

@Suite("Tones and keypad digits")
struct ToneTests {
  private func detect(_ samples: [Int16]) -> [DTMFDetector.Event] {
    let detector = DTMFDetector()
    var events: [DTMFDetector.Event] = []
    for start in stride(from: 0, to: samples.count, by: 160) {
      let piece = Array(samples[start..<min(start + 160, samples.count)])
      events += piece.withUnsafeBufferPointer { detector.process($0) }
    }
    return events
  }

  private func digits(_ events: [DTMFDetector.Event]) -> String {
    String(events.compactMap { if case .pressed(let digit, _) = $0 { digit } else { nil } })
  }

  private static let keys = "1234567890*#ABCD"

  @Test(arguments: [(50, -13.0), (70, -20), (100, -30)])
  func `all keys are heard, over G711 and noise too`(durationMs: Int, level: Double) {
    let clean = ToneGenerator.digits(Self.keys, durationMs: durationMs, gapMs: 60, levelDBFS: level)
    #expect(digits(detect(clean)) == Self.keys)
    let noisy = zip(clean, Signals.noise(dBFS: level - 17, count: clean.count)).map { $0 + $1 }
    #expect(digits(detect(Signals.throughG711(noisy))) == Self.keys)
  }

  @Test func `a digit's time and length are told`() throws {
    let silence = [Int16](repeating: 0, count: 4000)
    let events = detect(silence + ToneGenerator.digits("5", durationMs: 200, gapMs: 200))
    #expect(events.count == 2)
    guard case .pressed("5", let start) = try #require(events.first),
      case .released("5", let durationMs) = try #require(events.last)
    else {
      Issue.record("not a 5 but \(events)")
      return
    }
    #expect(abs(start - 4000) <= 110)
    #expect(abs(durationMs - 200) <= 20)
  }

  @Test func `a key held down counts once`() {
    #expect(digits(detect(ToneGenerator.digits("7", durationMs: 3000))) == "7")
  }

  @Test func `hundreds of digits do not fill the detector up`() {
    let many = String(repeating: "0123456789", count: 30)
    #expect(digits(detect(ToneGenerator.digits(many, durationMs: 50, gapMs: 50))) == many)
  }

  @Test func `neither speech nor call progress is a digit`() throws {
    let speech = try Resampler.convert(try Signals.speech(), from: 16000, to: 8000)
    #expect(detect(speech).isEmpty)
    for tone in [ToneGenerator.Tone.ringback, .busy, .congestion, .dial, .beep(durationMs: 2000)] {
      var generator = try #require(ToneGenerator(tone))
      var samples = [Int16](repeating: 0, count: 48_000)
      samples.withUnsafeMutableBufferPointer { _ = generator.fill($0) }
      #expect(detect(samples).isEmpty)
    }
  }

  @Test(arguments: [
    (ToneGenerator.Tone.ringback, [440.0, 480], 2.0, 4.0), (.busy, [480, 620], 0.5, 0.5),
    (.congestion, [480, 620], 0.25, 0.25),
  ])
  func `progress tones have their frequencies and their rhythm`(
    tone: ToneGenerator.Tone, hertz: [Double], on: Double, off: Double
  ) throws {
    for rate in [8000, 16000] {
      var generator = try #require(ToneGenerator(tone, sampleRate: rate, levelDBFS: -15))
      let period = Int((on + off) * Double(rate))
      var samples = [Int16](repeating: 1, count: 2 * period)
      let filled = samples.withUnsafeMutableBufferPointer { generator.fill($0) }
      #expect(filled == samples.count)
      let sounding = Int(on * Double(rate))
      for start in [0, period] {
        for frequency in hertz {
          #expect(abs(Signals.dBFS(samples[start..<start + sounding], at: frequency, rate: rate) - -15) < 0.5)
        }
        #expect(samples[start + sounding..<start + period].allSatisfy { $0 == 0 })
      }
    }
  }

  @Test func `a beep ends`() throws {
    var generator = try #require(ToneGenerator(.beep(durationMs: 250), sampleRate: 16000))
    var samples = [Int16](repeating: 0, count: 6000)
    let filled = samples.withUnsafeMutableBufferPointer { generator.fill($0) }
    let more = samples.withUnsafeMutableBufferPointer { generator.fill($0) }
    #expect(filled == 4000)
    #expect(more == 0)
    #expect(abs(Signals.dBFS(samples[..<4000], at: 1000, rate: 16000) - -13) < 0.2)
  }

  @Test func `what is no key has no tone`() {
    #expect(ToneGenerator(.digit("x", durationMs: 100)) == nil)
    for odd in "éßŉ٣①🎵" { #expect(ToneGenerator(.digit(odd, durationMs: 100)) == nil) }
    #expect(ToneGenerator.digits("1", sampleRate: 0).isEmpty)
    #expect(ToneGenerator.digits("1", durationMs: .max, gapMs: -1).count == 80_000)
    #expect(ToneGenerator(.ringback, sampleRate: 100) == nil)
    #expect(ToneGenerator.digits("1,2", durationMs: 100, gapMs: 50).count == 3 * 1200)
  }

  @Test func `levels are measured in dBFS`() {
    #expect(abs(Signals.dBFS(Signals.sine(1000, dBFS: -20, seconds: 1, rate: 8000)) - -20) < 0.05)
    #expect(Signals.dBFS([Int16](repeating: 0, count: 160)) == Level.floorDBFS)
    #expect(Signals.dBFS([Int16]()) == Level.floorDBFS)
    let edge: [Int16] = [.min, .max]
    #expect(edge.withUnsafeBufferPointer { Level.peak($0) } == 32768)
    #expect(abs(Signals.dBFS(edge)) < 0.001)
  }
}
