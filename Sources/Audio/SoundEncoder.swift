import CSndFile

/// Makes a file of sound as it comes. Confined to its owner.
///
/// ``Format/mp3``, ``Format/opus``, ``Format/pcm`` and ``Format/ulaw`` give bytes while they are written; the head of a WAV or
/// FLAC file says how long it is, so that their bytes come at the end.
public final class SoundEncoder {
  public enum Format: String, Sendable, CaseIterable {
    case wav, flac
    /// Opus in Ogg.
    case opus
    case mp3
    /// Signed 16-bit little-endian samples without a head.
    case pcm
    /// G.711 mu-law without a head.
    case ulaw

    /// Hz it can have, its usual one first. Opus and MP3 know few.
    public var rates: [Int] {
      switch self {
      case .ulaw: [8_000, 16_000]
      case .opus: [16_000, 8_000, 24_000, 48_000]
      // Lower rates are MPEG 2.5, which not every player knows.
      case .mp3: [16_000, 22_050, 24_000, 44_100, 48_000]
      case .wav, .flac, .pcm: [16_000, 8_000, 22_050, 24_000, 44_100, 48_000]
      }
    }
  }

  public let format: Format
  public let sampleRate: Int
  private let resampler: Resampler?
  private let file: OpaquePointer?
  private let memory = WrittenMemory()
  private var isFinished = false

  /// - Parameter sampleRate: Hz of the file, one of the format's ``Format/rates``. What is written has 16 kHz.
  /// - Throws: ``AudioError`` for a rate that the format does not have.
  public init(_ format: Format, sampleRate: Int) throws(AudioError) {
    guard format.rates.contains(sampleRate) else {
      let known = format.rates.sorted().map(String.init).joined(separator: ", ")
      throw AudioError(.parameter, "\(format.rawValue) has one of these sample rates: \(known)")
    }
    self.format = format
    self.sampleRate = sampleRate
    resampler =
      sampleRate == SoundFile.sampleRate ? nil : try Resampler(from: SoundFile.sampleRate, to: sampleRate, quality: 5)
    let type: Int
    switch format {
    case .wav: type = SF_FORMAT_WAV | SF_FORMAT_PCM_16
    case .flac: type = SF_FORMAT_FLAC | SF_FORMAT_PCM_16
    case .opus: type = SF_FORMAT_OGG | SF_FORMAT_OPUS
    case .mp3: type = SF_FORMAT_MPEG | SF_FORMAT_MPEG_LAYER_III
    case .pcm, .ulaw:
      file = nil
      return
    }
    var info = SF_INFO()
    info.samplerate = Int32(sampleRate)
    info.channels = 1
    info.format = Int32(type)
    var doors = WrittenMemory.doors
    let writer = Unmanaged.passUnretained(memory).toOpaque()
    guard let opened = sf_open_virtual(&doors, Int32(SFM_WRITE), &info, writer) else {
      throw AudioError(.unwritable, "this machine's libsndfile cannot write \(format.rawValue)")
    }
    file = opened
    if format == .mp3 {
      // A constant 64 kbit/s at 16 kHz: how long a file of varying bitrate is stands in its head, which has long been handed on.
      var mode = Int32(SF_BITRATE_MODE_CONSTANT)
      var level = 0.6
      sf_command(opened, Int32(SFC_SET_BITRATE_MODE), &mode, Int32(MemoryLayout<Int32>.size))
      sf_command(opened, Int32(SFC_SET_COMPRESSION_LEVEL), &level, Int32(MemoryLayout<Double>.size))
    }
  }

  deinit { if let file, !isFinished { sf_close(file) } }

  /// Takes mono samples of 16 kHz; returns the bytes that are ready.
  public func write(_ samples: [Int16]) -> [UInt8] {
    guard !isFinished else { return [] }
    let converted: [Int16]
    if let resampler {
      converted = [Int16](unsafeUninitializedCapacity: resampler.outputCapacity(for: samples.count)) { buffer, filled in
        filled = samples.withUnsafeBufferPointer { resampler.process($0, into: buffer).produced }
      }
    } else {
      converted = samples
    }
    switch format {
    case .pcm:
      var bytes: [UInt8] = []
      bytes.reserveCapacity(converted.count * 2)
      for sample in converted {
        bytes.append(UInt8(truncatingIfNeeded: sample))
        bytes.append(UInt8(truncatingIfNeeded: sample >> 8))
      }
      return bytes
    case .ulaw: return converted.map { G711.encode($0, law: .ulaw) }
    case .wav, .flac, .opus, .mp3:
      _ = converted.withUnsafeBufferPointer { sf_write_short(file, $0.baseAddress, sf_count_t($0.count)) }
      return format == .opus || format == .mp3 ? memory.drain() : []
    }
  }

  /// Ends the file; returns the bytes that are left.
  public func finish() -> [UInt8] {
    guard !isFinished else { return [] }
    var rest: [UInt8] = []
    if let resampler { rest = write([Int16](repeating: 0, count: resampler.latencySamples)) }
    isFinished = true
    if let file { sf_close(file) }
    return rest + memory.drain()
  }
}

/// A file that libsndfile writes, whose beginning may have been handed on already.
private final class WrittenMemory {
  private var bytes: [UInt8] = []
  /// Bytes that were handed on. What comes for them later is lost: the number of frames in an MP3's head, which players
  /// count themselves.
  private var drained = 0
  private var position = 0

  func drain() -> [UInt8] {
    defer {
      drained += bytes.count
      bytes = []
    }
    return bytes
  }

  private static func of(_ pointer: UnsafeMutableRawPointer?) -> WrittenMemory? {
    pointer.map { Unmanaged<WrittenMemory>.fromOpaque($0).takeUnretainedValue() }
  }

  static var doors: SF_VIRTUAL_IO {
    SF_VIRTUAL_IO(
      get_filelen: { sf_count_t(WrittenMemory.of($0)?.length ?? 0) },
      seek: { offset, whence, user in WrittenMemory.of(user)?.seek(Int(offset), whence) ?? -1 },
      read: { _, _, _ in 0 },
      write: { source, count, user in WrittenMemory.of(user)?.write(source, Int(count)) ?? 0 },
      tell: { sf_count_t(WrittenMemory.of($0)?.position ?? 0) })
  }

  private var length: Int { drained + bytes.count }

  private func seek(_ offset: Int, _ whence: Int32) -> sf_count_t {
    let origin: Int
    switch Int(whence) {
    case SF_SEEK_SET: origin = 0
    case SF_SEEK_CUR: origin = position
    default: origin = length
    }
    position = max(0, min(length, origin + offset))
    return sf_count_t(position)
  }

  private func write(_ source: UnsafeRawPointer?, _ count: Int) -> sf_count_t {
    guard let source, count > 0 else { return 0 }
    for byte in UnsafeRawBufferPointer(start: source, count: count) {
      let at = position - drained
      if at >= bytes.count { bytes.append(byte) } else if at >= 0 { bytes[at] = byte }
      position += 1
    }
    return sf_count_t(count)
  }
}
