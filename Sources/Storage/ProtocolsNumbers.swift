import Base

/// A number that people call, and the dialog that answers there.
public struct NumberRecord: Sendable, Hashable {
  /// As the call's request names it: `+4930123456`, `2000`, `helpdesk`.
  public var number: String
  public var tenant: String
  /// A dialog of the tenant.
  public var dialog: String
  /// For people.
  public var description: String
  /// Wall-clock milliseconds.
  public var createdAtMs: Int64
  public var updatedAtMs: Int64

  public init(
    number: String, tenant: String, dialog: String, description: String = "", createdAtMs: Int64, updatedAtMs: Int64
  ) {
    self.number = number
    self.tenant = tenant
    self.dialog = dialog
    self.description = description
    self.createdAtMs = createdAtMs
    self.updatedAtMs = updatedAtMs
  }
}

/// Which number is whose. A number belongs to one tenant.
public protocol NumberStore: NumberRouting {
  /// Keeps the number, in the place of what the tenant had under it. The next call goes by it.
  /// - Throws: ``StorageError`` `conflict` where it is another tenant's; `limit` for a text that is no number, a description
  ///   that is too long, or too many numbers.
  func put(
    _ number: String, tenant: String, dialog: String, description: String, nowMs: Int64
  ) async throws -> NumberRecord
  /// Whether the tenant had it.
  func remove(_ number: String, tenant: String) async throws -> Bool
  func number(_ number: String, tenant: String) async throws -> NumberRecord?
  /// By number, those after `cursor`.
  func numbers(tenant: String, limit: Int, after cursor: String?) async throws -> [NumberRecord]
}

/// Where calls go by their number. Looked at when a call comes in, so it answers at once.
public protocol NumberRouting: Sendable {
  /// nil: the number is nobody's.
  func destination(of number: String) -> NumberRecord?
}
