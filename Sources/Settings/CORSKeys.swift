extension IntegrationKeys {
  /// The keys of `integration.cors`.
  static let cors: [Field<IntegrationSettings.CORS>] = [
    .key(
      "allowed_origins", \.allowedOrigins,
      .list(
        of: .checked("an origin like https://console.example.com", isOrigin), "list of origins", count: 0...100,
        distinct: true),
      "Origins whose pages may use the API and open WebSockets; none: no page may.")
  ]

  /// `scheme://host[:port]` and nothing behind it: what browsers send as `Origin` (RFC 6454 section 6.1).
  private static func isOrigin(_ text: String) -> Bool {
    guard text.utf8.count <= 300, text == text.lowercased() else { return false }
    for scheme in ["https://", "http://"] where text.hasPrefix(scheme) {
      let host = text.dropFirst(scheme.count)
      return !host.isEmpty
        && host.utf8.allSatisfy { byte in
          (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || ".-:[]".utf8.contains(byte)
        }
    }
    return false
  }
}
