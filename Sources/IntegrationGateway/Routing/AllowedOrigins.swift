import HTTPTypes

/// Pages of which origins may read the answers (Fetch standard, section 3.2). None, unless the configuration names them.
struct AllowedOrigins: Sendable {
  static let headers =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, X-Request-Id"
  private static let exposed = "ETag, Retry-After, X-Request-Id"

  private let origins: Set<String>

  init(_ origins: [String]) { self.origins = Set(origins) }

  func isAllowed(_ origin: String?) -> Bool { origin.map(origins.contains) ?? false }

  /// The origin itself, never `*`: an answer belongs to a token.
  func allow(_ origin: String?, _ headers: inout HTTPFields) {
    if origins.isEmpty { return }
    headers.append(HTTPField(name: .vary, value: "Origin"))
    guard let origin, origins.contains(origin) else { return }
    headers[.accessControlAllowOrigin] = origin
    headers[.accessControlExposeHeaders] = Self.exposed
  }
}
