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

  /// Reads PCM16, mu-law or A-law WAV, 8 to 48 kHz, one or two channels.
  public static func read(path: String) throws(AudioError) -> WAVClip { throw AudioError(.unsupported, "") }

  /// Reads the bytes of a WAV file; `name` is what errors call it.
  public static func parse(_ bytes: [UInt8], name: String) throws(AudioError) -> WAVClip {
    throw AudioError(.unsupported, "")
  }

  /// Seconds of sound.
  public var duration: Double { Double(samples.count / max(1, channels)) / Double(max(1, sampleRate)) }

  /// One channel's samples: 0 is left, 1 right. Empty where there is no such channel.
  public func channel(_ index: Int) -> [Int16] { [] }

  /// Both channels mixed into one; the samples themselves where there is only one.
  public func mono() -> [Int16] { [] }

  /// Mono, at another sample rate.
  public func mono(at rate: Int) throws(AudioError) -> [Int16] {
    try Resampler.convert(mono(), from: sampleRate, to: rate)
  }
}
