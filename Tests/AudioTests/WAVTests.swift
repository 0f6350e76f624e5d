import Audio
import Base
import Glibc
import Testing

@Suite("WAV files")
struct WAVTests {
  private func written(_ name: String, rate: Int = 8000, channels: Int = 1, _ samples: [Int16]) throws -> [UInt8] {
    let path = Signals.temporaryPath(name)
    defer { unlink(path) }
    let writer = try WAVWriter(path: path, sampleRate: rate, channels: channels)
    try writer.write(samples)
    try writer.close()
    return try Signals.bytes(of: path)
  }

  private func chunk(_ tag: String, _ body: [UInt8], size: Int? = nil) -> [UInt8] {
    let size = size ?? body.count
    return Array(tag.utf8) + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + body
  }

  private func file(format: Int, bits: Int, channels: Int = 1, rate: Int = 8000, extra: [UInt8] = [], data: [UInt8])
    -> [UInt8]
  {
    func le(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    let format = chunk(
      "fmt ", le(format, 2) + le(channels, 2) + le(rate, 4) + le(0, 4) + le(0, 2) + le(bits, 2) + extra)
    return chunk("RIFF", Array("WAVE".utf8) + format + data)
  }

  @Test(arguments: [(8000, 1), (16000, 2), (48000, 1)])
  func `what is written is read`(rate: Int, channels: Int) throws {
    let samples = Signals.noise(dBFS: -10, count: 30_000)
    let clip = try WAVClip.parse(written("roundtrip-\(rate)", rate: rate, channels: channels, samples), name: "x")
    #expect(clip == WAVClip(sampleRate: rate, channels: channels, samples: samples))
  }

  @Test func `left and right stay apart and the shorter is filled up`() throws {
    let path = Signals.temporaryPath("stereo")
    defer { unlink(path) }
    let writer = try WAVWriter(path: path, sampleRate: 8000, channels: 2)
    let left: [Int16] = [1, 2, 3]
    let right: [Int16] = [-1]
    try left.withUnsafeBufferPointer { l throws in
      try right.withUnsafeBufferPointer { r throws in try writer.write(left: l, right: r) }
    }
    #expect(writer.framesWritten == 3)
    try writer.close()
    try writer.close()
    #expect(throws: AudioError.self) { try writer.write([1, 2]) }
    let clip = try WAVClip.read(path: path)
    #expect(clip.channel(0) == left)
    #expect(clip.channel(1) == [-1, 0, 0])
    #expect(clip.channel(2).isEmpty)
    #expect(clip.mono() == [0, 1, 1])
  }

  @Test func `a file whose writer died is whole but for its last second`() throws {
    let path = Signals.temporaryPath("died")
    defer { unlink(path) }
    let samples = Signals.noise(dBFS: -20, count: 8000 * 3 + 4000)
    let writer = try WAVWriter(path: path, sampleRate: 8000)
    for start in stride(from: 0, to: samples.count, by: 160) { try writer.write(Array(samples[start..<start + 160])) }
    // Read while the writer is still open: what is on the disk now is what a crash would leave.
    let clip = try WAVClip.read(path: path)
    #expect(clip.samples == Array(samples[..<24_000]))
    #expect(!clip.isTruncated)
    try writer.close()
  }

  @Test(arguments: G711.Law.allCases)
  func `telephone encodings are expanded`(law: G711.Law) throws {
    let octets = (0..<200).map { UInt8($0) }
    let clip = try WAVClip.parse(
      file(format: law == .ulaw ? 7 : 6, bits: 8, data: chunk("data", octets)), name: "x")
    #expect(clip.samples == octets.map { G711.decode($0, law: law) })
  }

  @Test func `the extensible form and foreign chunks are understood`() throws {
    let sub: [UInt8] = [22, 0, 16, 0, 0, 0, 0, 0, 1, 0] + [UInt8](repeating: 0, count: 14)
    let clip = try WAVClip.parse(
      file(
        format: 0xFFFE, bits: 16, extra: sub,
        data: chunk("LIST", [1, 2, 3], size: 3) + [0] + chunk("data", [1, 0, 2, 0])),
      name: "x")
    #expect(clip.samples == [1, 2])
  }

  @Test(arguments: [0, 0xFFFF_FFFF])
  func `a length that the writer did not know means up to the end`(size: Int) throws {
    let clip = try WAVClip.parse(
      file(format: 1, bits: 16, data: chunk("data", [1, 0, 2, 0, 255], size: size)), name: "x")
    #expect(clip.samples == [1, 2])
    #expect(!clip.isTruncated)
  }

  @Test func `a header that promises too much is believed as far as there are data`() throws {
    let clip = try WAVClip.parse(
      file(format: 1, bits: 16, data: chunk("data", [1, 0, 2, 0], size: 1_000_000)), name: "x")
    #expect(clip.samples == [1, 2])
    #expect(clip.isTruncated)
  }

  @Test func `an empty file with a trailer has no sound`() throws {
    let clip = try WAVClip.parse(
      file(format: 1, bits: 16, data: chunk("data", []) + chunk("LIST", [1, 2, 3, 4])), name: "x")
    #expect(clip.samples.isEmpty)
  }

  @Test(arguments: [
    (1, 24, 1, 8000, AudioError.Code.unsupported), (3, 32, 1, 8000, .unsupported), (1, 16, 6, 8000, .unsupported),
    (1, 16, 0, 8000, .unsupported), (1, 16, 1, 4000, .unsupported), (1, 16, 1, 96_000, .unsupported),
  ])
  func `what cannot be read is named`(format: Int, bits: Int, channels: Int, rate: Int, code: AudioError.Code) {
    let bytes = file(format: format, bits: bits, channels: channels, rate: rate, data: chunk("data", [0, 0]))
    let error = #expect(throws: AudioError.self) { try WAVClip.parse(bytes, name: "prompt.wav") }
    #expect(error?.code == code)
    #expect(error?.message.hasPrefix("prompt.wav ") == true)
  }

  @Test func `files that are no WAV, or none at all, are refused`() {
    for bytes in [[], Array("RIFF".utf8), Array("RIFFxxxxWAVE".utf8), Array("ID3 and so on, not a wave file".utf8)]
      as [[UInt8]]
    {
      #expect(throws: AudioError.self) { try WAVClip.parse(bytes, name: "x") }
    }
    for path in ["/nonexistent/x.wav", "/tmp", "/dev/zero"] {
      let error = #expect(throws: AudioError.self) { try WAVClip.read(path: path) }
      #expect(error?.code == .unreadable)
    }
    let error = #expect(throws: AudioError.self) { try WAVWriter(path: "/nonexistent/x.wav", sampleRate: 8000) }
    #expect(error?.code == .unwritable)
    #expect(throws: AudioError.self) { try WAVWriter(path: "/tmp/x.wav", sampleRate: 8000, channels: 3) }
  }

  @Test func `damaged files never do worse than an error`() throws {
    let whole = file(
      format: 1, bits: 16, data: chunk("LIST", [1, 2, 3, 4]) + chunk("data", [UInt8](repeating: 1, count: 64)))
    for length in 0...whole.count { _ = try? WAVClip.parse(Array(whole[..<length]), name: "x") }
    var random = SeededRandom(seed: 20)
    var read = 0
    for _ in 0..<4000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if let clip = try? WAVClip.parse(bytes, name: "x") {
        read += 1
        #expect(clip.samples.count <= bytes.count)
      }
    }
    #expect(read > 0)
  }
}
