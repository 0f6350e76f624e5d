/// The little XML that S3 answers with, read within limits. Pure.
///
/// Elements, text and the five entities of XML and numbers of characters; attributes and what stands in `<?...?>` and `<!--...-->`
/// are passed over. A document type, which could declare more, and CDATA are refused: no store sends them.
package struct S3XML {
  enum Token: Equatable {
    case open(String)
    case close(String)
    /// With its entities replaced; empty text between elements comes too.
    case text(String)
  }

  package struct Malformed: Error, Equatable {}

  /// Bytes of a document: a thousand keys of full length, every byte of them an entity.
  static let documentLimit = 8 << 20
  /// Bytes of a name and of a text.
  static let nameLimit = 64
  static let textLimit = 8 << 10

  private let bytes: [UInt8]
  private var at = 0
  /// `<a/>` is an opening and a closing.
  private var pendingClose: String?

  init(_ bytes: [UInt8]) throws(Malformed) {
    guard bytes.count <= Self.documentLimit else { throw Malformed() }
    self.bytes = bytes
  }

  /// nil at the end of the document.
  mutating func next() throws(Malformed) -> Token? {
    if let name = pendingClose {
      pendingClose = nil
      return .close(name)
    }
    while at < bytes.count {
      guard bytes[at] == UInt8(ascii: "<") else { return .text(try text()) }
      if starts("<?") {
        try skip(past: "?>")
      } else if starts("<!--") {
        try skip(past: "-->")
      } else {
        return try tag()
      }
    }
    return nil
  }

  private mutating func tag() throws(Malformed) -> Token {
    at += 1
    let isClosing = at < bytes.count && bytes[at] == UInt8(ascii: "/")
    if isClosing { at += 1 }
    let start = at
    while at < bytes.count, Self.isName(bytes[at]) { at += 1 }
    guard at > start, at - start <= Self.nameLimit else { throw Malformed() }
    let name = String(decoding: bytes[start..<at], as: UTF8.self)
    // Attributes: a `>` within quotes ends nothing.
    var quote: UInt8?
    var last: UInt8 = 0
    while at < bytes.count {
      let byte = bytes[at]
      at += 1
      if let open = quote {
        if byte == open { quote = nil }
      } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
        quote = byte
      } else if byte == UInt8(ascii: "<") {
        throw Malformed()
      } else if byte == UInt8(ascii: ">") {
        if isClosing { return .close(name) }
        if last == UInt8(ascii: "/") { pendingClose = name }
        return .open(name)
      }
      last = byte
    }
    throw Malformed()
  }

  private mutating func text() throws(Malformed) -> String {
    var out: [UInt8] = []
    while at < bytes.count, bytes[at] != UInt8(ascii: "<") {
      if bytes[at] == UInt8(ascii: "&") {
        out += Array(String(try entity()).utf8)
      } else {
        out.append(bytes[at])
        at += 1
      }
      guard out.count <= Self.textLimit else { throw Malformed() }
    }
    guard let text = String(validating: out, as: UTF8.self) else { throw Malformed() }
    return text
  }

  private mutating func entity() throws(Malformed) -> Unicode.Scalar {
    // `&#x10FFFF;` is the longest.
    let window = bytes[at..<min(bytes.count, at + 10)]
    guard let end = window.firstIndex(of: UInt8(ascii: ";")) else { throw Malformed() }
    let name = String(decoding: bytes[(at + 1)..<end], as: UTF8.self)
    at = end + 1
    switch name {
    case "amp": return "&"
    case "lt": return "<"
    case "gt": return ">"
    case "quot": return "\""
    case "apos": return "'"
    default: break
    }
    let digits = name.hasPrefix("#x") ? name.dropFirst(2) : name.dropFirst()
    guard name.hasPrefix("#"), digits.allSatisfy(\.isHexDigit),
      let number = UInt32(digits, radix: name.hasPrefix("#x") ? 16 : 10), number > 0,
      let scalar = Unicode.Scalar(number)
    else { throw Malformed() }
    return scalar
  }

  private func starts(_ text: String) -> Bool { bytes[at...].starts(with: text.utf8) }

  private mutating func skip(past text: String) throws(Malformed) {
    while at < bytes.count {
      if starts(text) {
        at += text.utf8.count
        return
      }
      at += 1
    }
    throw Malformed()
  }

  private static func isName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: ":"):
      true
    default: false
    }
  }

  /// Every text with the names of the elements around it. The document is well nested, or this throws.
  static func read(_ bytes: [UInt8], _ body: (_ path: [String], _ text: String) throws(Malformed) -> Void)
    throws(Malformed)
  {
    var reader = try S3XML(bytes)
    var path: [String] = []
    var text: [String] = []
    var isOver = false
    while let token = try reader.next() {
      switch token {
      case .open(let name):
        // S3 nests four deep.
        guard path.count < 16, !isOver else { throw Malformed() }
        path.append(name)
        text.append("")
      case .text(let more):
        guard !path.isEmpty else {
          guard more.allSatisfy(\.isWhitespace) || more == "\u{FEFF}" else { throw Malformed() }
          continue
        }
        text[text.count - 1] += more
        guard text[text.count - 1].utf8.count <= textLimit else { throw Malformed() }
      case .close(let name):
        guard path.last == name, let said = text.popLast() else { throw Malformed() }
        try body(path, said)
        path.removeLast()
        isOver = path.isEmpty
      }
    }
    guard isOver else { throw Malformed() }
  }
}

/// What `ListObjectsV2` answers. Pure.
package struct S3Listing: Equatable {
  package struct Entry: Equatable {
    package var key = ""
    package var size = 0
    package var etag = ""
  }
  package var entries: [Entry] = []
  /// nil: this is the last page.
  package var next: String?

  package init(_ bytes: [UInt8]) throws(S3XML.Malformed) {
    var entry = Entry()
    var hasSize = false
    var isTruncated = false
    var token: String?
    var entries: [Entry] = []
    var isListing = false
    try S3XML.read(bytes) { path, text throws(S3XML.Malformed) in
      guard path.first == "ListBucketResult" else { throw S3XML.Malformed() }
      isListing = true
      switch path.dropFirst().joined(separator: "/") {
      case "Contents/Key": entry.key = text
      case "Contents/Size":
        guard let size = Int(text), size >= 0 else { throw S3XML.Malformed() }
        entry.size = size
        hasSize = true
      case "Contents/ETag": entry.etag = text
      case "Contents":
        guard !entry.key.isEmpty, hasSize, entries.count < ObjectPage.limit else { throw S3XML.Malformed() }
        entries.append(entry)
        entry = Entry()
        hasSize = false
      case "IsTruncated": isTruncated = text == "true"
      case "NextContinuationToken": token = text
      default: break
      }
    }
    guard isListing, !isTruncated || token?.isEmpty == false else { throw S3XML.Malformed() }
    self.entries = entries
    next = isTruncated ? token : nil
  }
}

/// Why S3 did not do what was asked. Pure.
package struct S3Failure: Equatable {
  /// Such as `AccessDenied`; empty where the answer does not say.
  package var code = ""
  /// For a person: at most ``messageLimit`` visible characters.
  package var message = ""

  static let messageLimit = 200

  /// An answer that is no XML gives no code.
  package init(_ bytes: [UInt8]) {
    var found = S3Failure()
    try? S3XML.read(bytes) { path, text throws(S3XML.Malformed) in
      if path == ["Error", "Code"] { found.code = Self.plain(text, limit: 64) }
      if path == ["Error", "Message"] { found.message = Self.plain(text, limit: Self.messageLimit) }
    }
    self = found
  }

  private init() {}

  private static func plain(_ text: String, limit: Int) -> String {
    String(text.unicodeScalars.prefix(limit).map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) })
  }
}
