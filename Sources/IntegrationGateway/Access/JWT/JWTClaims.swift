import Base
import Settings

/// Makes a principal of the claims of a token whose signature is right.
struct JWTClaims {
  let settings: SecuritySettings.JWT

  /// - Parameter nowMs: wall-clock milliseconds since 1970.
  /// - Returns: nil where the token is for another service, of another provider, not of this time, or names nobody.
  func principal(_ claims: [String: Value], nowMs: Int64) -> Principal? {
    let now = Double(nowMs) / 1000, leeway = Double(settings.leeway.milliseconds) / 1000
    // RFC 7519 section 4.1. A token without an end is one that could never be taken back.
    guard let end = claims["exp"]?.doubleValue, now < end + leeway else { return nil }
    if let start = claims["nbf"] {
      guard let start = start.doubleValue, now >= start - leeway else { return nil }
    }
    guard claims["iss"]?.stringValue == settings.issuer else { return nil }
    guard texts(claims["aud"]).contains(settings.audience) else { return nil }
    guard let subject = claims["sub"]?.stringValue, !subject.isEmpty, subject.utf8.count <= 256 else { return nil }
    var tenant = Tenant.standard
    if !settings.tenantClaim.isEmpty {
      guard let name = claim(settings.tenantClaim, in: claims)?.stringValue, Tenant.isName(name) else { return nil }
      tenant = name
    }
    let named = texts(claim(settings.rolesClaim, in: claims)).flatMap { $0.split(separator: " ") }
    // No subject of a provider can pass for a token of ours.
    return Principal(id: "jwt:\(subject)", tenant: tenant, roles: Set(named.compactMap { Role(rawValue: String($0)) }))
  }

  /// `resource_access.parley.roles`. A claim whose own name has dots, such as `https://example.com/roles`, is found by it.
  private func claim(_ path: String, in claims: [String: Value]) -> Value? {
    if let value = claims[path] { return value }
    var rest = Substring(path)
    var value = Value.map(claims)
    while !rest.isEmpty {
      let name = rest.prefix { $0 != "." }
      guard let next = value[String(name)] else { return nil }
      value = next
      rest = rest.dropFirst(name.count + 1)
    }
    return value
  }

  /// A text, or a list of them.
  private func texts(_ value: Value?) -> [String] {
    switch value {
    case .string(let text)?: [text]
    case .list(let items)?: items.compactMap(\.stringValue)
    default: []
    }
  }
}
