/// Why a message could not be read, and what that means for the sender.
public struct SIPParseError: Error, Sendable {
  /// Closed, so that a metric can label by it.
  public enum Reason: String, Hashable, Sendable, CaseIterable {
    case tooLarge = "too_large"
    case startLine = "start_line"
    case version
    /// A NUL or another control character outside the body.
    case controlCharacter = "control_character"
    /// A CR without LF or the other way round.
    case lineEnding = "line_ending"
    /// The end came before the empty line.
    case truncated
    case headerSyntax = "header_syntax"
    case headerTooLong = "header_too_long"
    case tooManyHeaders = "too_many_headers"
    /// A header that must stand once stands twice.
    case duplicateHeader = "duplicate_header"
    case missingHeader = "missing_header"
    case requestURI = "request_uri"
    case via, from, to
    case callID = "call_id"
    case cseq
    case maxForwards = "max_forwards"
    /// Not a number, or more than there is.
    case contentLength = "content_length"
  }

  /// How far the damage reaches.
  public enum Scope: Sendable {
    /// Nothing can be said to anybody: drop it.
    case silent
    /// A request with enough in order for an answer with this status (400, 505 ...). Its From, To and CSeq may be stand-ins.
    case answerable(SIPMessage, status: Int)
  }

  public let reason: Reason
  public let scope: Scope
}
