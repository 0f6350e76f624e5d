import Base

/// What `storage.database` can say.
enum DatabaseAddress {
  static let codec = Codec<String>(
    kind: "`sqlite:///path`, `postgres://user:password@host/database` or `memory:`",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "a database URL") else { return nil }
      if isPostgres(text) {
        let rest = text.drop { $0 != ":" }.dropFirst(3)
        // The text may hold a password: no message repeats it.
        guard !rest.isEmpty, text.utf8.count <= 4_096, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
          return decoding.fail(
            node, "is not a PostgreSQL address", hint: "write postgres://user:password@host:5432/database")
        }
        return text
      }
      guard text == "memory:" || (text.hasPrefix("sqlite:///") && text.count > 10) else {
        return decoding.fail(node, "is not a database URL", hint: "write sqlite:///var/lib/voice-gateway/parley.db")
      }
      return text
    }, show: { .string(masked($0)) })

  static func isPostgres(_ text: String) -> Bool { text.hasPrefix("postgres://") || text.hasPrefix("postgresql://") }

  /// Without user and password, wherever they stand.
  static func masked(_ text: String) -> String {
    guard isPostgres(text) else { return text }
    let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    var shown = String(parts[0])
    if let at = shown.lastIndex(of: "@") { shown = "postgres://***" + shown[at...] }
    guard parts.count > 1 else { return shown }
    let query = parts[1].split(separator: "&").map { pair in
      let name = pair.prefix { $0 != "=" }
      return name.contains("password") ? "\(name)=***" : String(pair)
    }
    return shown + "?" + query.joined(separator: "&")
  }
}
