/// What a token of the API may do. `docs/api/access.md` has the table; every route names the roles that may use it.
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

/// Who owns calls, dialogs and tokens. Nothing of one tenant can be seen or changed by another.
public enum Tenant {
  /// The tenant of a gateway that serves nobody but its owner. Its admins may make tokens for other tenants.
  public static let standard = "default"

  /// 1 to 64 lower-case letters, digits, `-` and `_`, a letter or digit first: fit for logs, paths and metric labels.
  public static func isName(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, bytes.count <= 64, isPlain(first) else { return false }
    return bytes.allSatisfy { isPlain($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
