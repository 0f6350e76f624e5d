import Glibc

/// Writes a 16-bit PCM WAV file as a stream. The header is corrected every second of sound and at the end, so that the
/// file is valid, short of its last second, even if the process dies. Confined to its owner; blocks on the disk.
public final class WAVWriter {
  public let sampleRate: Int
  public let channels: Int
  public let path: String
  /// Sample frames (one sample per channel) written so far.
  public private(set) var framesWritten = 0

  /// The format counts bytes in 32 bits; at 48 kHz stereo this is six hours.
  public static let maximumDataBytes = 0xFFFF_FFFF - 64

  private var descriptor: Int32
  private var pending: [Int16] = []
  private var dataBytes = 0

  /// Creates or replaces the file.
  public init(path: String, sampleRate: Int, channels: Int = 1) throws(AudioError) {
    guard WAVClip.rates.contains(sampleRate), (1...2).contains(channels) else {
      throw AudioError(
        .parameter,
        "Cannot write \(path) with \(channels) channels at \(sampleRate) Hz: one or two channels at 8000 to"
          + " 48000 Hz can be written.")
    }
    self.path = path
    self.sampleRate = sampleRate
    self.channels = channels
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw AudioError(.unwritable, "Cannot create \(path): \(errnoText()).") }
    pending.reserveCapacity(2 * sampleRate * channels)
    try writeHeader()
  }

  deinit {
    // An owner that did not close has nobody left to report to.
    if descriptor >= 0 {
      try? flush()
      Glibc.close(descriptor)
    }
  }

  /// Appends samples; with two channels left and right alternate, and their number must be even.
  public func write(_ samples: UnsafeBufferPointer<Int16>) throws(AudioError) {
    guard samples.count % channels == 0 else {
      throw AudioError(.parameter, "Cannot write \(samples.count) samples to the two channels of \(path).")
    }
    try admit(samples.count)
    pending.append(contentsOf: samples)
    try advance(samples.count / channels)
  }

  /// Appends to a two-channel file; the shorter side is filled up with silence.
  public func write(left: UnsafeBufferPointer<Int16>, right: UnsafeBufferPointer<Int16>) throws(AudioError) {
    guard channels == 2 else { throw AudioError(.parameter, "\(path) has one channel, not left and right.") }
    let count = max(left.count, right.count)
    try admit(2 * count)
    for i in 0..<count {
      pending.append(i < left.count ? left[i] : 0)
      pending.append(i < right.count ? right[i] : 0)
    }
    try advance(count)
  }

  /// Appends samples of an array; with two channels left and right alternate.
  public func write(_ samples: [Int16]) throws(AudioError) {
    guard samples.count % channels == 0 else {
      throw AudioError(.parameter, "Cannot write \(samples.count) samples to the two channels of \(path).")
    }
    try admit(samples.count)
    pending.append(contentsOf: samples)
    try advance(samples.count / channels)
  }

  /// Writes what is pending and corrects the header.
  public func flush() throws(AudioError) {
    guard descriptor >= 0 else { throw AudioError(.unwritable, "Cannot write \(path): it is closed.") }
    for i in pending.indices { pending[i] = pending[i].littleEndian }
    try check(pending.withUnsafeBytes { write($0, at: 44 + dataBytes) })
    dataBytes += 2 * pending.count
    pending.removeAll(keepingCapacity: true)
    try writeHeader()
  }

  /// Corrects the header and closes the file. Writing afterwards is an error; closing twice is not.
  public func close() throws(AudioError) {
    if descriptor < 0 { return }
    defer {
      Glibc.close(descriptor)
      descriptor = -1
    }
    try flush()
  }

  private func admit(_ samples: Int) throws(AudioError) {
    guard descriptor >= 0 else { throw AudioError(.unwritable, "Cannot write \(path): it is closed.") }
    guard dataBytes + 2 * (pending.count + samples) <= WAVWriter.maximumDataBytes else {
      throw AudioError(.tooLarge, "\(path) is full: a WAV file holds at most 4 GB.")
    }
  }

  private func advance(_ frames: Int) throws(AudioError) {
    framesWritten += frames
    if pending.count >= sampleRate * channels { try flush() }
  }

  private func writeHeader() throws(AudioError) {
    var header: [UInt8] = []
    header.reserveCapacity(44)
    func number(_ value: Int, _ bytes: Int) {
      for i in 0..<bytes { header.append(UInt8(truncatingIfNeeded: value >> (8 * i))) }
    }
    header += "RIFF".utf8
    number(36 + dataBytes, 4)
    header += "WAVEfmt ".utf8
    number(16, 4)
    number(1, 2)
    number(channels, 2)
    number(sampleRate, 4)
    number(sampleRate * channels * 2, 4)
    number(channels * 2, 2)
    number(16, 2)
    header += "data".utf8
    number(dataBytes, 4)
    try check(header.withUnsafeBytes { write($0, at: 0) })
  }

  private func check(_ failure: String?) throws(AudioError) {
    if let failure { throw AudioError(.unwritable, "Cannot write \(path): \(failure).") }
  }

  /// Returns why it could not, or nil.
  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> String? {
    var done = 0
    while done < bytes.count, let base = bytes.baseAddress {
      let wrote = pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { return errnoText() }
      done += wrote
    }
    return nil
  }
}
