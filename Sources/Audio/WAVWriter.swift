/// Writes a 16-bit PCM WAV file as a stream. The header is corrected every second of sound and at the end, so that the file
/// is valid, short of its last second, even if the process dies. Confined to its owner; blocks on the disk.
public final class WAVWriter {
  public let sampleRate: Int
  public let channels: Int
  public let path: String
  /// Sample frames (one sample per channel) written so far.
  public private(set) var framesWritten = 0

  /// Creates or replaces the file.
  public init(path: String, sampleRate: Int, channels: Int = 1) throws(AudioError) {
    self.path = path
    self.sampleRate = sampleRate
    self.channels = channels
  }

  /// Appends samples; with two channels left and right alternate.
  public func write(_ samples: UnsafeBufferPointer<Int16>) throws(AudioError) {}

  /// Appends to a two-channel file; the shorter side is filled up with silence.
  public func write(left: UnsafeBufferPointer<Int16>, right: UnsafeBufferPointer<Int16>) throws(AudioError) {}

  /// Appends samples of an array; see ``write(_:)-(UnsafeBufferPointer<Int16>)``.
  public func write(_ samples: [Int16]) throws(AudioError) {}

  /// Corrects the header and closes the file. Writing afterwards is an error; closing twice is not.
  public func close() throws(AudioError) {}
}
