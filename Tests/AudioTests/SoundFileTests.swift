import Audio
import Base
import Testing

/// Files that clients bring, made with the encoder and by hand, whole and damaged.
@Suite struct SoundFileTests {
  private static let limits = SoundFile.Limits(seconds: 60)
  private static let formats: [SoundEncoder.Format] = [.wav, .flac, .opus, .mp3]

  /// A second and a half of a tone of 440 Hz between two silences of a quarter second.
  private static let tone: [Int16] = {
    var samples = [Int16](repeating: 0, count: 4_000)
    for n in 0..<24_000 {
      // A square wave, so that no mathematics library is needed.
      samples.append((n * 440 * 2 / 16_000) % 2 == 0 ? 6_000 : -6_000)
    }
    return samples + [Int16](repeating: 0, count: 4_000)
  }()

  private static func file(_ format: SoundEncoder.Format, rate: Int = 16_000) throws -> [UInt8] {
    let encoder = try SoundEncoder(format, sampleRate: rate)
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: tone.count, by: 1_000) {
      bytes += encoder.write(Array(tone[start..<min(tone.count, start + 1_000)]))
    }
    return bytes + encoder.finish()
  }

  private static func level(_ samples: ArraySlice<Int16>) -> Int {
    samples.reduce(0) { $0 + abs(Int($1)) } / max(1, samples.count)
  }

  @Test(arguments: formats.flatMap { format in format.rates.map { (format, $0) } })
  func whatIsWrittenIsRead(_ format: SoundEncoder.Format, _ rate: Int) throws {
    let sound = try SoundFile.decode(try Self.file(format, rate: rate), limits: Self.limits)
    #expect(sound.sourceRate == rate || format == .opus)
    #expect(sound.sourceChannels == 1)
    // MP3 adds up to two frames of silence.
    let extra = sound.samples.count - Self.tone.count
    try #require(extra >= -400 && extra < 4_000, "\(extra)")
    // The tone is where it was, within 50 ms, and as loud.
    #expect(Self.level(sound.samples[0..<3_000]) < 300)
    #expect((4_500...7_000).contains(Self.level(sound.samples[5_000..<26_000])))
  }

  @Test func rawFormatsHaveNoHead() throws {
    #expect(try Self.file(.pcm).count == Self.tone.count * 2)
    let law = try Self.file(.ulaw, rate: 8_000)
    #expect(abs(law.count - Self.tone.count / 2) < 100)
  }

  @Test func bytesComeWhileTheyAreMade() throws {
    for format in [SoundEncoder.Format.mp3, .pcm, .ulaw] {
      let encoder = try SoundEncoder(format, sampleRate: format.rates[0])
      #expect(!encoder.write(Self.tone).isEmpty, "\(format)")
    }
    let encoder = try SoundEncoder(.wav, sampleRate: 16_000)
    #expect(encoder.write(Self.tone).isEmpty)
    #expect(!encoder.finish().isEmpty)
  }

  @Test func channelsAreMixed() throws {
    // 48 kHz, float, two channels: one has the tone, the other its opposite; together they are silence.
    var data: [UInt8] = []
    for n in 0..<4_800 {
      let value = Float(n % 100 < 50 ? 0.5 : -0.5)
      for sample in [value, -value] {
        let bits = sample.bitPattern
        data += [UInt8(bits & 0xFF), UInt8(bits >> 8 & 0xFF), UInt8(bits >> 16 & 0xFF), UInt8(bits >> 24)]
      }
    }
    let sound = try SoundFile.decode(
      Self.wav(format: 3, channels: 2, rate: 48_000, bits: 32, data), limits: Self.limits)
    #expect(sound.samples.count == 1_600)
    #expect(Self.level(sound.samples[...]) == 0)
  }

  @Test func whatIsNoNumberIsSilence() throws {
    let nan: [UInt8] = [0, 0, 0xC0, 0x7F]
    let data = [[UInt8]](repeating: nan, count: 1_600).flatMap { $0 }
    let sound = try SoundFile.decode(
      Self.wav(format: 3, channels: 1, rate: 16_000, bits: 32, data), limits: Self.limits)
    #expect(Self.level(sound.samples[...]) == 0)
  }

  @Test func limitsCountWhatIsThereAndNotWhatIsSaid() throws {
    let long = Self.wav(channels: 1, rate: 8_000, bits: 8, [UInt8](repeating: 128, count: 8_000 * 61))
    #expect(throws: AudioError(.tooLarge, "the sound is longer than 60 seconds")) {
      try SoundFile.decode(long, limits: Self.limits)
    }
    // A head that promises hours: what is there is taken.
    var liar = Self.wav(channels: 1, rate: 16_000, bits: 16, [UInt8](repeating: 0, count: 32_000))
    for (n, byte) in [UInt8(0xFF), 0xFF, 0xFF, 0x7F].enumerated() { liar[40 + n] = byte }
    #expect(try SoundFile.decode(liar, limits: Self.limits).samples.count == 16_000)
  }

  @Test(arguments: [
    (9, 16_000, "the file has 9 channels; there may be 1 to 8"),
    (1, 1_000, "the file has 1000 Hz; there may be 4000 to 192000"),
    (1, 400_000, "the file has 400000 Hz; there may be 4000 to 192000"),
  ])
  func oddHeadsAreRefused(_ channels: Int, _ rate: Int, _ message: String) throws {
    let data = [UInt8](repeating: 0, count: 36_000)
    let error = #expect(throws: AudioError.self) {
      try SoundFile.decode(Self.wav(channels: channels, rate: rate, bits: 16, data), limits: Self.limits)
    }
    #expect(error?.message == message)
  }

  @Test func otherFilesAreNoSound() {
    for bytes: [UInt8] in [
      [], Array("hello, this is no sound file at all".utf8), Array("RIFF____AVI LIST".utf8), [0x89, 0x50, 0x4E, 0x47],
      Array("FORM____AIFFCOMM".utf8),
    ] {
      let error = #expect(throws: AudioError.self) { try SoundFile.decode(bytes, limits: Self.limits) }
      #expect(error?.code == .unsupported)
    }
    let error = #expect(throws: AudioError.self) {
      try SoundFile.decode(Array("fLaC and then nothing of the kind".utf8), limits: Self.limits)
    }
    #expect(error?.code == .malformed)
  }

  /// Whatever a file holds, it is decoded within its limits or refused.
  @Test(arguments: formats) func damageIsSurvived(_ format: SoundEncoder.Format) throws {
    let whole = try Self.file(format)
    for seed in 0..<150 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var bytes = whole
      if seed % 3 == 0 { bytes.removeLast(Int.random(in: 1..<bytes.count, using: &random)) }
      if seed % 3 != 0 || seed % 2 == 0 {
        // In the head every bit tells something; further on most are sound.
        let reach = seed % 2 == 0 ? min(bytes.count, 200) : bytes.count
        for _ in 0..<Int.random(in: 1...16, using: &random) {
          bytes[Int.random(in: 0..<reach, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
      }
      do {
        let sound = try SoundFile.decode(bytes, limits: SoundFile.Limits(seconds: 5))
        #expect(sound.samples.count <= 5 * 16_000 + 400, "seed \(seed)")
      } catch {
        #expect(!error.message.isEmpty, "seed \(seed)")
      }
    }
  }

  private static func wav(
    format: Int = 1, channels: Int, rate: Int, bits: Int, _ data: [UInt8]
  ) -> [UInt8] {
    func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }
    let frame = channels * bits / 8
    return Array("RIFF".utf8) + number(36 + data.count, 4) + Array("WAVEfmt ".utf8) + number(16, 4) + number(format, 2)
      + number(channels, 2) + number(rate, 4) + number(rate * frame, 4) + number(frame, 2) + number(bits, 2)
      + Array("data".utf8) + number(data.count, 4) + data
  }
}
