import Audio
import Testing

@Suite("Loss concealment, cross-fade, comfort noise")
struct ConcealmentTests {
  private func frame(_ samples: ArraySlice<Int16>) -> [Int16] { Array(samples) }

  @Test func `one lost frame of a voice-like tone sounds on`() {
    // 200 Hz with a harmonic, as a vowel.
    let tone = zip(
      Signals.sine(200, dBFS: -15, seconds: 1, rate: 8000), Signals.sine(400, dBFS: -20, seconds: 1, rate: 8000)
    ).map { $0 + $1 }
    let concealer = LossConcealer()
    var heard: [Int16] = []
    for index in 0..<50 {
      var samples = Array(tone[index * 160..<index * 160 + 160])
      samples.withUnsafeMutableBufferPointer { index == 25 ? concealer.conceal(into: $0) : concealer.received($0) }
      heard += samples
    }
    let lost = heard[25 * 160..<26 * 160]
    #expect(abs(Signals.dBFS(lost) - Signals.dBFS(tone[25 * 160..<26 * 160])) < 4)
    #expect(Signals.dBFS(lost, at: 200, rate: 8000) > -20)
    #expect(concealer.concealedSamples == 160)
    // No click: no step is much larger than the tone's own greatest.
    func greatestStep(_ samples: [Int16]) -> Int {
      zip(samples, samples.dropFirst()).map { abs(Int($0) - Int($1)) }.max() ?? 0
    }
    #expect(greatestStep(heard) < 2 * greatestStep(tone))
  }

  @Test func `a long loss fades to silence`() {
    let tone = Signals.sine(200, seconds: 0.5, rate: 8000)
    let concealer = LossConcealer()
    for start in stride(from: 0, to: tone.count, by: 160) {
      var samples = Array(tone[start..<start + 160])
      samples.withUnsafeMutableBufferPointer { concealer.received($0) }
    }
    var last: [Int16] = []
    for _ in 0..<10 {
      last = [Int16](repeating: 99, count: 160)
      last.withUnsafeMutableBufferPointer { concealer.conceal(into: $0) }
    }
    #expect(last.allSatisfy { $0 == 0 })
  }

  @Test func `loss before any audio is silence`() {
    let concealer = LossConcealer()
    var samples = [Int16](repeating: 99, count: 160)
    samples.withUnsafeMutableBufferPointer { concealer.conceal(into: $0) }
    #expect(samples.allSatisfy { $0 == 0 })
  }

  @Test func `a join goes smoothly from one to the other`() {
    let tail = [Int16](repeating: 10_000, count: 80)
    var head = [Int16](repeating: -10_000, count: 160)
    tail.withUnsafeBufferPointer { t in head.withUnsafeMutableBufferPointer { CrossFade.join(t, into: $0) } }
    #expect(head[0] == 10_000)
    #expect(head[40] == 0)
    #expect(head[80...].allSatisfy { $0 == -10_000 })
    #expect(zip(head, head.dropFirst()).allSatisfy { abs(Int($0) - Int($1)) <= 251 })
  }

  @Test func `fades reach silence at their outer end`() {
    var samples = [Int16](repeating: 8000, count: 100)
    samples.withUnsafeMutableBufferPointer {
      CrossFade.fadeIn($0, count: 20)
      CrossFade.fadeOut($0, count: 200)
    }
    #expect(samples.first == 0 && samples.last == 0)
  }

  @Test(arguments: [-70.0, -60, -40])
  func `comfort noise has the level asked for and no tone`(level: Double) {
    var noise = ComfortNoise(levelDBFS: level, seed: 7)
    var samples = [Int16](repeating: 0, count: 16_000)
    samples.withUnsafeMutableBufferPointer { noise.fill($0) }
    #expect(abs(Signals.dBFS(samples) - level) < 1.5)
    for hertz in stride(from: 100.0, to: 4000, by: 300) {
      #expect(Signals.dBFS(samples, at: hertz, rate: 8000) < level - 20)
    }
  }
}
