// Audio turns samples into other samples (codecs, resampling, concealment, tones, files) and says what is in them
// (voice, digits, levels); it owns no thread, clock or socket.

/// Why an audio file, model or parameter cannot be used: a closed code for metrics and a sentence for a person.
public struct AudioError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable {
    /// The file cannot be opened or read.
    case unreadable
    /// The file cannot be created or written.
    case unwritable
    /// The content is not of the expected kind, or contradicts itself.
    case malformed
    /// Well-formed, but of a form that is not handled here.
    case unsupported
    /// Beyond a limit of this room.
    case tooLarge = "too_large"
    /// A parameter is outside its documented range.
    case parameter
  }

  public var code: Code
  /// One sentence that says what is wrong and with which file.
  public var message: String
  public var description: String { message }

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }
}
