/// A WAV file's sound, read whole: prompts and test material, not hours of recording.
public struct WAVClip: Hashable, Sendable {
  /// Hz, 8000 to 48000.
  public var sampleRate: Int
  /// 1 or 2.
  public var channels: Int
  /// 16-bit samples; left and right alternate where there are two channels.
  public var samples: [Int16]
  /// Whether the file ends before its header says so: the samples that are there have been read.
  public var isTruncated: Bool

  public init(sampleRate: Int, channels: Int = 1, samples: [Int16], isTruncated: Bool = false) {
    self.sampleRate = sampleRate
    self.channels = channels
    self.samples = samples
    self.isTruncated = isTruncated
  }

  /// Largest file that is read: half an hour of 16 kHz mono, more than any prompt, less than hurts.
  public static let maximumBytes = 64 << 20

  /// Hz that are read: telephony to studio.
  public static let rates = 8_000...48_000

  /// Reads PCM16, mu-law or A-law WAV, 8 to 48 kHz, one or two channels.
  public static func read(path: String) throws(AudioError) -> WAVClip {
    try parse(try readFile(path, limit: maximumBytes), name: path)
  }

  /// Reads the bytes of a WAV file; `name` is what errors call it. What follows a chunk that says more than there is,
  /// is taken as far as it goes; a recorder that died leaves such files.
  public static func parse(_ bytes: [UInt8], name: String) throws(AudioError) -> WAVClip {
    guard bytes.count <= maximumBytes else {
      throw AudioError(.tooLarge, "\(name) has \(bytes.count) bytes; at most \(maximumBytes) are read.")
    }
    let reader = LittleEndianBytes(bytes: bytes)
    guard reader.tag(0) == "RIFF", reader.tag(8) == "WAVE" else {
      throw AudioError(.malformed, "\(name) is no WAV file: it does not begin with RIFF and WAVE.")
    }
    var at = 12
    var format: Format?
    while let tag = reader.tag(at), let size = reader.uint32(at + 4) {
      let start = at + 8
      let available = bytes.count - start
      switch tag {
      case "fmt ":
        format = try Format(reader, at: start, size: min(size, available), name: name)
      case "data":
        guard let format else {
          throw AudioError(.malformed, "\(name) is a broken WAV file: its data come before its format.")
        }
        if size == 0, available > 0, reader.looksLikeChunk(start) { return format.clip([], isTruncated: false) }
        // 0 and 2^32-1 are what writers put down who do not know the length yet.
        let isOpen = size == 0 || size == 0xFFFF_FFFF
        let data = bytes[start..<start + (isOpen ? available : min(size, available))]
        return format.clip(data, isTruncated: !isOpen && size > available)
      default: break
      }
      // Chunks are padded to an even length. A size that leads beyond the end ends the loop.
      at = start + size + size & 1
    }
    throw AudioError(
      .malformed, "\(name) is a broken WAV file: it holds no \(format == nil ? "format and no data" : "data").")
  }

  private struct Format {
    enum Encoding { case pcm16, ulaw, alaw }
    var encoding: Encoding
    var channels: Int
    var sampleRate: Int

    init(_ reader: LittleEndianBytes, at start: Int, size: Int, name: String) throws(AudioError) {
      guard size >= 16, var tag = reader.uint16(start), let channels = reader.uint16(start + 2),
        let rate = reader.uint32(start + 4), let bits = reader.uint16(start + 14)
      else { throw AudioError(.malformed, "\(name) is a broken WAV file: its format chunk is too short.") }
      // WAVE_FORMAT_EXTENSIBLE carries the real tag at the head of its sub-format.
      if tag == 0xFFFE, size >= 26, let sub = reader.uint16(start + 24) { tag = sub }
      switch (tag, bits) {
      case (1, 16): encoding = .pcm16
      case (6, 8): encoding = .alaw
      case (7, 8): encoding = .ulaw
      default:
        throw AudioError(
          .unsupported, "\(name) has format \(tag) with \(bits) bits; 16-bit PCM, mu-law and A-law can be read.")
      }
      guard (1...2).contains(channels) else {
        throw AudioError(.unsupported, "\(name) has \(channels) channels; one or two can be read.")
      }
      guard WAVClip.rates.contains(rate) else {
        throw AudioError(.unsupported, "\(name) has a sample rate of \(rate) Hz; 8000 to 48000 can be read.")
      }
      self.channels = channels
      sampleRate = rate
    }

    func clip(_ data: ArraySlice<UInt8>, isTruncated: Bool) -> WAVClip {
      let frameBytes = channels * (encoding == .pcm16 ? 2 : 1)
      let count = data.count / frameBytes * channels
      let samples = [Int16](unsafeUninitializedCapacity: count) { buffer, filled in
        data.withUnsafeBytes { source in
          switch encoding {
          case .pcm16:
            for i in 0..<count {
              buffer[i] = Int16(littleEndian: source.loadUnaligned(fromByteOffset: 2 * i, as: Int16.self))
            }
          case .ulaw: G711.decode(UnsafeRawBufferPointer(rebasing: source[..<count]), into: buffer, law: .ulaw)
          case .alaw: G711.decode(UnsafeRawBufferPointer(rebasing: source[..<count]), into: buffer, law: .alaw)
          }
        }
        filled = count
      }
      return WAVClip(sampleRate: sampleRate, channels: channels, samples: samples, isTruncated: isTruncated)
    }
  }

  /// Seconds of sound.
  public var duration: Double { Double(samples.count / max(1, channels)) / Double(max(1, sampleRate)) }

  /// One channel's samples: 0 is left, 1 right. Empty where there is no such channel.
  public func channel(_ index: Int) -> [Int16] {
    guard (0..<channels).contains(index) else { return [] }
    if channels == 1 { return samples }
    return stride(from: index, to: samples.count, by: channels).map { samples[$0] }
  }

  /// Both channels mixed into one; the samples themselves where there is only one.
  public func mono() -> [Int16] {
    if channels != 2 { return samples }
    return stride(from: 0, to: samples.count - 1, by: 2).map { i in
      Int16((Int32(samples[i]) + Int32(samples[i + 1])) / 2)
    }
  }

  /// Mono, at another sample rate.
  public func mono(at rate: Int) throws(AudioError) -> [Int16] {
    try Resampler.convert(mono(), from: sampleRate, to: rate)
  }
}

/// Reads numbers that may lie beyond the end.
private struct LittleEndianBytes {
  let bytes: [UInt8]

  func tag(_ at: Int) -> String? {
    at >= 0 && at <= bytes.count - 4 ? String(decoding: bytes[at..<at + 4], as: UTF8.self) : nil
  }
  func uint16(_ at: Int) -> Int? {
    at >= 0 && at <= bytes.count - 2 ? Int(bytes[at]) | Int(bytes[at + 1]) << 8 : nil
  }
  func uint32(_ at: Int) -> Int? {
    guard let low = uint16(at), let high = uint16(at + 2) else { return nil }
    return low | high << 16
  }
  /// Whether four letters and a length that fits stand at this place.
  func looksLikeChunk(_ at: Int) -> Bool {
    guard at <= bytes.count - 8, let size = uint32(at + 4), size <= bytes.count - at - 8 else { return false }
    return bytes[at..<at + 4].allSatisfy { (0x20...0x7E).contains($0) }
  }
}
