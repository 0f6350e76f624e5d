/// What a body may hold. A call's description is under 2 KiB; these bounds stop a hostile one early.
public enum SDPLimits {
  /// A UDP datagram's worth.
  public static let maxOctets = 65_535
  /// WebRTC offers reach 300 lines.
  public static let maxLines = 2_000
  public static let maxLineOctets = 4_096
  /// An answer repeats every section, so an offer must not make us write thousands.
  public static let maxMedia = 32
  /// There are 128 payload types.
  public static let maxFormats = 128
}

/// Why a body is no session description, and where.
public struct SDPError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: String, Sendable, Hashable, CaseIterable {
    case empty, tooLarge = "too_large", tooManyLines = "too_many_lines", lineTooLong = "line_too_long"
    case tooManyMedia = "too_many_media", tooManyFormats = "too_many_formats"
    case badLine = "bad_line", badVersion = "bad_version", badOrigin = "bad_origin"
    case badConnection = "bad_connection", badMedia = "bad_media", badText = "bad_text"
    case missingOrigin = "missing_origin"
  }
  public var code: Code
  /// Both count from 1.
  public var line: Int
  public var column: Int

  public init(_ code: Code, line: Int, column: Int = 1) {
    self.code = code
    self.line = line
    self.column = column
  }
  public var description: String { "SDP \(code.rawValue) at \(line):\(column)" }
}

extension SessionDescription {
  /// Reads a body. Tolerant where the meaning is clear: bare LF or CR, missing last newline, lines out of order, missing
  /// `s=` and `t=`, unknown lines and attributes, trailing blanks. The first error ends it.
  public init(parsing bytes: some Sequence<UInt8>) throws(SDPError) {
    throw SDPError(.empty, line: 1)
  }

  /// As above, from text.
  public init(parsing text: String) throws(SDPError) { try self.init(parsing: Array(text.utf8)) }

  /// The text form, lines ended by CRLF, ready to be a body.
  public func serialized() -> String { "" }
}
