import Base

/// What stands between `${` and `}`: where a value comes from, and what is made of it.
///
///     NAME   NAME:-default   env:NAME   env:NAME|uri   file:PATH   file:PATH|uri
extension Decoding {
  /// A secret that `${file:PATH}` reads is a key or a token, never a document.
  static let secretFileLimit = 64 * 1024

  private static let forms =
    "write ${NAME}, ${NAME:-default}, ${env:NAME|uri}, ${file:PATH} or ${file:PATH|uri}; a plain `${` is written `$${`"

  mutating func lookUp(_ inner: Substring, _ node: SourceNode) -> String? {
    for source in ["file:", "env:"] where inner.hasPrefix(source) {
      var name = inner.dropFirst(source.count)
      var filter: Substring?
      if let bar = name.lastIndex(of: "|") {
        filter = name[name.index(after: bar)...]
        name = name[..<bar]
      }
      if let filter, filter != "uri" {
        return fail(
          node, "`|\(filter)` is not known in `${\(inner)}`", code: ConfigurationCode.expansion,
          hint: "`|uri` writes a value for the user or password of an address")
      }
      let value = source == "file:" ? content(of: String(name), node) : variable(String(name), inner, node)
      return filter == nil ? value : value.map(Self.percentEncoded)
    }
    let parts = inner.firstRange(of: ":-").map { (inner[..<$0.lowerBound], inner[$0.upperBound...]) }
    return variable(String(parts?.0 ?? inner), inner, node, fallback: parts.map { String($0.1) })
  }

  private mutating func content(of path: String, _ node: SourceNode) -> String? {
    do {
      var text = try TextFile.read(path, limit: Self.secretFileLimit)
      while text.unicodeScalars.last == "\n" || text.unicodeScalars.last == "\r" { text.unicodeScalars.removeLast() }
      return text
    } catch {
      let reason = error.all.first.map { "\($0.file) \($0.message)" } ?? "the file cannot be read"
      return fail(node, reason, code: ConfigurationCode.expansion)
    }
  }

  /// - Parameter fallback: also in place of an empty value.
  private mutating func variable(
    _ name: String, _ inner: Substring, _ node: SourceNode, fallback: String? = nil
  ) -> String? {
    guard let first = name.utf8.first, !(0x30...0x39).contains(first),
      name.utf8.allSatisfy({
        $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
      })
    else {
      return fail(node, "`${\(inner)}` is not understood", code: ConfigurationCode.expansion, hint: Self.forms)
    }
    if let value = environment[name], !value.isEmpty || fallback == nil { return value }
    if let fallback { return fallback }
    return fail(
      node, "the environment variable \(name) is not set", code: ConfigurationCode.expansion,
      hint: "set it, or write ${\(name):-default}")
  }

  /// For the user info of a URL: all but the unreserved characters is written as `%40` (RFC 3986, sections 2.1 and 2.3).
  static func percentEncoded(_ text: String) -> String {
    var out: [UInt8] = []
    let digits = Array("0123456789ABCDEF".utf8)
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.append(byte)
      default: out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
