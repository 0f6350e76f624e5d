import Audio
import Testing

@Suite("Resampler")
struct ResamplerTests {
  /// Converts as a stream in pieces of `piece` samples.
  private func stream(_ samples: [Int16], from: Int, to: Int, piece: Int) throws -> [Int16] {
    let resampler = try Resampler(from: from, to: to)
    var result: [Int16] = []
    var room = [Int16](repeating: 0, count: resampler.outputCapacity(for: piece))
    for start in stride(from: 0, to: samples.count, by: piece) {
      let part = Array(samples[start..<min(start + piece, samples.count)])
      let (consumed, produced) = part.withUnsafeBufferPointer { p in
        room.withUnsafeMutableBufferPointer { resampler.process(p, into: $0) }
      }
      #expect(consumed == part.count)
      result += room[..<produced]
    }
    return result
  }

  @Test(arguments: [
    (8000, 16000), (16000, 8000), (22050, 8000), (22050, 16000), (24000, 8000), (48000, 16000), (16000, 48000),
    (44100, 16000),
  ])
  func `a tone comes out as the same tone`(from: Int, to: Int) throws {
    let tone = Signals.sine(1000, seconds: 1, rate: from)
    let result = try stream(tone, from: from, to: to, piece: from / 50)
    #expect(abs(result.count - to) <= to / 50)
    let steady = result[(to / 10)...]
    #expect(Signals.snr(steady, hertz: 1000, rate: to) > 55)
    #expect(abs(Signals.dBFS(steady) - -10) < 0.2)
  }

  @Test func `what the lower rate cannot carry is removed, not folded down`() throws {
    let result = try stream(Signals.sine(6000, seconds: 1, rate: 16000), from: 16000, to: 8000, piece: 320)
    #expect(Signals.dBFS(result[800...]) < -60)
  }

  @Test func `upsampling adds no image above the old band`() throws {
    let result = try stream(Signals.sine(1000, seconds: 1, rate: 8000), from: 8000, to: 16000, piece: 160)
    #expect(Signals.dBFS(result[1600...], at: 7000, rate: 16000) < -65)
  }

  @Test(arguments: [1, 37, 160, 8000])
  func `the size of the pieces does not matter`(piece: Int) throws {
    let noise = Signals.noise(dBFS: -20, count: 8000)
    #expect(try stream(noise, from: 8000, to: 16000, piece: piece) == stream(noise, from: 8000, to: 16000, piece: 320))
  }

  @Test func `telephony's conversion delays by less than five milliseconds`() throws {
    #expect(try Resampler(from: 8000, to: 16000).latencySamples <= 40)
    #expect(try Resampler(from: 16000, to: 8000).latencySamples <= 80)
  }

  @Test(arguments: [(8000, 16000), (22050, 8000), (48000, 16000), (16000, 16000)])
  func `a clip keeps its duration and its place in time`(from: Int, to: Int) throws {
    var clip = [Int16](repeating: 0, count: from)
    let burst = Signals.sine(500, dBFS: -6, seconds: 0.1, rate: from)
    clip.replaceSubrange(from / 2..<from / 2 + burst.count, with: burst)
    let result = try Resampler.convert(clip, from: from, to: to)
    #expect(result.count == to)
    let first = try #require(result.firstIndex { abs(Int($0)) > 2000 })
    #expect(abs(Double(first) / Double(to) - 0.5) < 0.001)
    #expect(try Resampler.convert([], from: from, to: to).isEmpty)
  }

  @Test func `a full output buffer leaves the rest of the input to the next call`() throws {
    let resampler = try Resampler(from: 8000, to: 16000)
    let input = Signals.noise(dBFS: -20, count: 160)
    var room = [Int16](repeating: 0, count: 100)
    let (consumed, produced) = input.withUnsafeBufferPointer { p in
      room.withUnsafeMutableBufferPointer { resampler.process(p, into: $0) }
    }
    #expect(produced == 100)
    #expect(consumed < 160)
  }

  @Test(arguments: [(0, 8000, 3), (8000, 1_000_000, 3), (-8000, 8000, 3), (8000, 16000, 11)])
  func `impossible rates are refused with a reason`(from: Int, to: Int, quality: Int) {
    #expect(throws: AudioError.self) { try Resampler(from: from, to: to, quality: quality) }
  }
}
