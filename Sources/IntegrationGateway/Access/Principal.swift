/// What a token may do. `docs/api/access.md` has the table; every route of the API names the roles that may use it.
public enum Role: String, Sendable, CaseIterable {
  /// Everything of its tenant, tokens and the audit log included.
  case admin
  /// Watches and steers calls.
  case operate = "operator"
  /// Writes dialogs and connects systems: webhooks, speech, trying things out.
  case developer
  /// Reads.
  case viewer
  /// Sends in: events for calls, contacts for campaigns. Reads nothing.
  case ingest
}

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

  /// The tenant of a gateway that serves nobody but its owner.
  public static let defaultTenant = "default"
}
