/// `Scheme name=value, name="value"` of WWW-Authenticate, Authorization and their proxy forms (RFC 3261 25.1, RFC 7235 2.1).
struct SIPAuthParameters {
  /// More parameters than this in one value are nobody's.
  static let limit = 32
  /// More challenges than this in one message neither.
  static let challengeLimit = 16

  var scheme: String
  private var parameters: [SIPParameter] = []

  var isDigest: Bool { equalsIgnoringCase(scheme, "Digest") }

  /// The value of a parameter, escapes undone; nil where it is absent.
  subscript(name: String) -> String? { parameters.first(named: name)?.value }

  /// Whether a parameter stands twice: credentials that two readers would understand differently are none.
  var hasDuplicates: Bool {
    var seen: Set<String> = []
    return !parameters.allSatisfy { seen.insert($0.name.asciiLowercased).inserted }
  }

  /// All values of one header line; several challenges in one line too. What cannot be read ends the reading: what came
  /// before it stays.
  static func list(_ line: String) -> [SIPAuthParameters] {
    var scanner = SIPScanner(line)
    var out: [SIPAuthParameters] = []
    scanner.skipSeparators()
    while out.count < challengeLimit, let scheme = scanner.token() {
      let mark = scanner.at
      scanner.skipSpace()
      guard scanner.isAtEnd || scanner.at > mark else { break }
      var value = SIPAuthParameters(scheme: scheme)
      let isWhole = value.read(&scanner)
      out.append(value)
      if !isWhole { break }
    }
    return out
  }

  private init(scheme: String) { self.scheme = scheme }

  /// Reads up to the next scheme or the end; false where the rest cannot be read.
  private mutating func read(_ scanner: inout SIPScanner) -> Bool {
    while !scanner.isAtEnd {
      let mark = scanner.at
      guard let name = scanner.token() else { return false }
      scanner.skipSpace()
      guard scanner.take("=") else {
        // A token without `=` begins the next challenge.
        scanner.at = mark
        return true
      }
      scanner.skipSpace()
      guard parameters.count < Self.limit else { return false }
      if scanner.peek == UInt8(ascii: "\"") {
        guard let value = scanner.quoted() else { return false }
        parameters.append(SIPParameter(name, value))
      } else {
        // Wider than a token: URIs and base64 stand here without quotes in the field.
        let value = scanner.run { !isSpace($0) && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") }
        parameters.append(SIPParameter(name, String(decoding: value, as: UTF8.self)))
      }
      let end = scanner.at
      scanner.skipSeparators()
      guard scanner.isAtEnd || scanner.at > end else { return false }
    }
    return true
  }
}

extension SIPScanner {
  /// Spaces and commas, empty list elements among them.
  mutating func skipSeparators() {
    while let byte = peek, isSpace(byte) || byte == UInt8(ascii: ",") { at += 1 }
  }
}
