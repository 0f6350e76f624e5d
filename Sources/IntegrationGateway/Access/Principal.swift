import Base

/// Who asks: made of a token, once per request.
public struct Principal: Sendable, Hashable {
  /// The token's identifier, or the subject of a JWT: what the audit log names.
  public var id: String
  /// What may be seen and changed; nothing else exists for this principal.
  public var tenant: String
  public var roles: Set<Role>

  public init(id: String, tenant: String, roles: Set<Role>) {
    self.id = id
    self.tenant = tenant
    self.roles = roles
  }

  /// Whether this principal may do what `roles` may; an admin may everything.
  public func may(_ allowed: Set<Role>) -> Bool { roles.contains(.admin) || !roles.isDisjoint(with: allowed) }
}
