import CSndFile

/// Sound files that clients bring: WAV, FLAC, Ogg (Vorbis, Opus) and MP3, read from memory by libsndfile.
public enum SoundFile {
  /// What a file may be at most. Headers lie, so that the length is counted while the sound is decoded.
  public struct Limits: Sendable, Hashable {
    /// Seconds of sound.
    public var seconds: Int
    /// Channels, which are mixed to one: 7.1 is the most that people have.
    public var channels = 8

    public init(seconds: Int) { self.seconds = seconds }
  }

  /// A file's sound.
  public struct Sound: Sendable, Hashable {
    /// Mono, 16 kHz.
    public var samples: [Int16]
    /// `wav`, `flac`, `ogg` or `mp3`.
    public var container: String
    /// Hz of the file.
    public var sourceRate: Int
    public var sourceChannels: Int
  }

  /// Hz that sound is made into.
  public static let sampleRate = 16_000

  /// Frames that are decoded at a time.
  private static let block = 4_096

  /// Decodes a whole file to mono 16 kHz. Takes about a thousandth of the sound's length and 32 kB per second of it.
  /// - Parameter isWanted: asked every few thousand samples; false ends it.
  /// - Throws: ``AudioError`` where the file is of another kind, damaged at its head, or beyond the limits. Damage later on ends
  ///   the sound there.
  public static func decode(
    _ bytes: [UInt8], limits: Limits, isWanted: () -> Bool = { true }
  ) throws(AudioError) -> Sound {
    guard let container = container(of: bytes) else {
      throw AudioError(.unsupported, "the file is none of WAV, FLAC, Ogg (Vorbis or Opus) and MP3")
    }
    let memory = ReadMemory(bytes)
    var info = SF_INFO()
    var doors = ReadMemory.doors
    let reader = Unmanaged.passUnretained(memory).toOpaque()
    guard let file = sf_open_virtual(&doors, Int32(SFM_READ), &info, reader) else {
      throw AudioError(.malformed, "the file begins like \(container) but cannot be read as such")
    }
    defer {
      sf_close(file)
      withExtendedLifetime(memory) {}
    }
    try check(info, limits)

    let channels = Int(info.channels)
    let rate = Int(info.samplerate)
    let resampler = rate == sampleRate ? nil : try Resampler(from: rate, to: sampleRate, quality: 5)
    var out = MonoSound(resampler: resampler)
    var frames = [Float](repeating: 0, count: block * channels)
    let limit = limits.seconds * rate
    var total = 0
    while isWanted() {
      let count = frames.withUnsafeMutableBufferPointer { buffer in
        Int(sf_readf_float(file, buffer.baseAddress, sf_count_t(block)))
      }
      guard count > 0, count <= block else { break }
      total += count
      guard total <= limit else {
        throw AudioError(.tooLarge, "the sound is longer than \(limits.seconds) seconds")
      }
      out.append(frames[0..<count * channels], channels: channels)
    }
    return Sound(samples: out.finish(), container: container, sourceRate: rate, sourceChannels: channels)
  }

  /// By the first bytes; nil for anything else. Only these reach the library: it knows three dozen formats more, most of them
  /// older than care in reading foreign files.
  private static func container(of bytes: [UInt8]) -> String? {
    func begins(_ text: String, at offset: Int = 0) -> Bool {
      bytes.count >= offset + text.utf8.count && bytes[offset..<offset + text.utf8.count].elementsEqual(text.utf8)
    }
    if begins("RIFF"), begins("WAVE", at: 8) { return "wav" }
    if begins("fLaC") { return "flac" }
    if begins("OggS") { return "ogg" }
    if begins("ID3") { return "mp3" }
    // A frame header of MPEG audio: eleven ones, and no reserved layer.
    if bytes.count >= 4, bytes[0] == 0xFF, bytes[1] & 0xE0 == 0xE0, bytes[1] & 0x06 != 0 { return "mp3" }
    return nil
  }

  private static let majors: Set<Int> = [
    SF_FORMAT_WAV, SF_FORMAT_WAVEX, SF_FORMAT_FLAC, SF_FORMAT_OGG,
    SF_FORMAT_MPEG,
  ]
  private static let encodings: Set<Int> = [
    SF_FORMAT_PCM_S8, SF_FORMAT_PCM_16, SF_FORMAT_PCM_24, SF_FORMAT_PCM_32,
    SF_FORMAT_PCM_U8, SF_FORMAT_FLOAT, SF_FORMAT_DOUBLE, SF_FORMAT_ULAW,
    SF_FORMAT_ALAW, SF_FORMAT_VORBIS, SF_FORMAT_OPUS, SF_FORMAT_MPEG_LAYER_I,
    SF_FORMAT_MPEG_LAYER_II, SF_FORMAT_MPEG_LAYER_III,
  ]

  private static func check(_ info: SF_INFO, _ limits: Limits) throws(AudioError) {
    let format = Int(info.format)
    guard majors.contains(format & SF_FORMAT_TYPEMASK),
      encodings.contains(format & SF_FORMAT_SUBMASK)
    else {
      throw AudioError(
        .unsupported, "the file's encoding is none of PCM, float, mu-law, A-law, Vorbis, Opus, MPEG audio")
    }
    guard info.channels >= 1, Int(info.channels) <= limits.channels else {
      throw AudioError(.unsupported, "the file has \(info.channels) channels; there may be 1 to \(limits.channels)")
    }
    guard Resampler.rates.contains(Int(info.samplerate)) else {
      throw AudioError(.unsupported, "the file has \(info.samplerate) Hz; there may be 4000 to 192000")
    }
  }
}

/// Mixes frames to one channel, brings them to 16 kHz, and gathers them.
private struct MonoSound {
  private let resampler: Resampler?
  private var samples: [Int16] = []
  private var block: [Int16] = []

  init(resampler: Resampler?) {
    self.resampler = resampler
    // What the filter delays is cut off the beginning, so that times in the sound are times in the file.
    skipped = resampler.map { $0.latencySamples * $0.outputRate / $0.inputRate } ?? 0
  }
  private var skipped: Int

  mutating func append(_ frames: ArraySlice<Float>, channels: Int) {
    block.removeAll(keepingCapacity: true)
    var at = frames.startIndex
    let share = 32_768 / Float(channels)
    while at + channels <= frames.endIndex {
      var sum: Float = 0
      for channel in 0..<channels { sum += frames[at + channel] }
      at += channels
      let scaled = sum * share
      // What is no number is silence.
      block.append(scaled.isFinite ? Int16(max(-32_768, min(32_767, scaled))) : 0)
    }
    convert()
  }

  mutating func finish() -> [Int16] {
    if let resampler {
      block = [Int16](repeating: 0, count: resampler.latencySamples)
      convert()
    }
    return samples
  }

  private mutating func convert() {
    guard let resampler else { return samples += block }
    let made = [Int16](unsafeUninitializedCapacity: resampler.outputCapacity(for: block.count)) { buffer, filled in
      filled = block.withUnsafeBufferPointer { resampler.process($0, into: buffer).produced }
    }
    let skip = min(skipped, made.count)
    skipped -= skip
    samples += made[skip...]
  }
}

/// A file's bytes, as libsndfile reads them. Lives as long as the open file; confined to the decoding thread.
private final class ReadMemory {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private static func of(_ pointer: UnsafeMutableRawPointer?) -> ReadMemory? {
    pointer.map { Unmanaged<ReadMemory>.fromOpaque($0).takeUnretainedValue() }
  }

  static var doors: SF_VIRTUAL_IO {
    SF_VIRTUAL_IO(
      get_filelen: { sf_count_t(ReadMemory.of($0)?.bytes.count ?? 0) },
      seek: { offset, whence, user in ReadMemory.of(user)?.seek(offset, whence) ?? -1 },
      read: { target, count, user in ReadMemory.of(user)?.read(into: target, count) ?? 0 },
      write: { _, _, _ in 0 },
      tell: { sf_count_t(ReadMemory.of($0)?.position ?? 0) })
  }

  private func seek(_ offset: sf_count_t, _ whence: Int32) -> sf_count_t {
    let origin: sf_count_t
    switch Int(whence) {
    case SF_SEEK_SET: origin = 0
    case SF_SEEK_CUR: origin = sf_count_t(position)
    default: origin = sf_count_t(bytes.count)
    }
    let (target, overflow) = origin.addingReportingOverflow(offset)
    guard !overflow, target >= 0 else { return -1 }
    position = min(Int(target), bytes.count)
    return sf_count_t(position)
  }

  private func read(into target: UnsafeMutableRawPointer?, _ count: sf_count_t) -> sf_count_t {
    let taken = min(Int(max(0, count)), bytes.count - position)
    guard let target, taken > 0 else { return 0 }
    bytes.withUnsafeBytes { all in
      UnsafeMutableRawBufferPointer(start: target, count: taken).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: all[position..<position + taken]))
    }
    position += taken
    return sf_count_t(taken)
  }
}
