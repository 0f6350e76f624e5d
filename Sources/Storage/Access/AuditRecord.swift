import Base

/// One thing that somebody did, or tried to do.
public struct AuditRecord: Sendable, Hashable {
  public enum Outcome: String, Sendable, CaseIterable {
    case ok
    /// It was not allowed.
    case denied
    /// It was allowed and came to nothing.
    case failed
  }

  /// From 1 without gaps over the whole database; 0 until it is kept.
  public var sequence: Int64 = 0
  /// Wall-clock milliseconds since 1970.
  public var atMs: Int64
  public var tenant: String
  /// The principal's identifier: a token, a JWT's subject, `gateway` or `command line`; empty: nobody whom we know.
  public var actor: String
  /// What: a method and route (`POST /v1/calls/{id}/hangup`), `hook`, `token.create`, `configuration`.
  public var action: String
  /// To what: a path or an identifier.
  public var object: String
  public var outcome: Outcome
  /// The HTTP status; 0 where there is none.
  public var status: Int
  /// From where: an IP address; empty for the gateway itself.
  public var peer: String
  public var requestID: String
  /// More, without secrets.
  public var details: [String: Value]

  public init(
    atMs: Int64, tenant: String = Tenant.standard, actor: String, action: String, object: String = "",
    outcome: Outcome = .ok, status: Int = 0, peer: String = "", requestID: String = "", details: [String: Value] = [:]
  ) {
    self.atMs = atMs
    self.tenant = tenant
    self.actor = actor
    self.action = action
    self.object = object
    self.outcome = outcome
    self.status = status
    self.peer = peer
    self.requestID = requestID
    self.details = details
  }

  /// The record with every text short enough to be kept: what comes from outside must not fill the disk.
  func bounded() -> AuditRecord {
    var record = self
    record.actor = Self.cut(actor)
    record.action = Self.cut(action)
    record.object = Self.cut(object)
    record.peer = Self.cut(peer)
    record.requestID = Self.cut(requestID)
    if !Value.map(details).fits(size: AuditLimits.detailBytes, depth: 8) { record.details = ["left_out": "too large"] }
    return record
  }

  private static func cut(_ text: String) -> String {
    guard text.utf8.count > AuditLimits.textBytes else { return text }
    return String(decoding: text.utf8.prefix(AuditLimits.textBytes), as: UTF8.self)
  }
}

/// Limits of the audit log.
public enum AuditLimits {
  /// Records that may wait for the database; more are dropped, counted, and the next one that is kept says how many.
  public static let pending = 10_000
  /// Records of one transaction.
  static let batch = 256
  /// Bytes of one text, and of all details.
  static let textBytes = 512
  static let detailBytes = 4096
  /// Breaks that a verification lists.
  public static let findings = 100
}

/// A place in the chain: the last record, by its number and hash.
public struct AuditHead: Sendable, Hashable {
  public var sequence: Int64
  /// 32 bytes.
  public var hash: [UInt8]

  /// Before the first record.
  public static let none = AuditHead(sequence: 0, hash: [UInt8](repeating: 0, count: 32))

  public init(sequence: Int64, hash: [UInt8]) {
    self.sequence = sequence
    self.hash = hash
  }

  /// `12 9f86d0...`: what stands in the head file and in the log.
  public var text: String { "\(sequence) \(hash.hexadecimal)" }

  /// nil for what is no head.
  public init?(_ text: String) {
    let parts = text.split(whereSeparator: \.isWhitespace)
    guard parts.count == 2, let sequence = Int64(parts[0]), sequence >= 0,
      let bytes = [UInt8](hexadecimal: parts[1]), bytes.count == 32
    else { return nil }
    self.init(sequence: sequence, hash: bytes)
  }
}

/// The chain that ties each record to all before it: `hash = SHA-256(hash of the record before || record)`.
public enum AuditChain {
  /// One record as it is hashed: a JSON list of its columns in their order, so that no two records give the same bytes.
  static func hash(after head: AuditHead, _ record: AuditRecord, details: String) -> [UInt8] {
    let columns: Value = [
      .int(record.sequence), .int(record.atMs), .string(record.tenant), .string(record.actor), .string(record.action),
      .string(record.object), .string(record.outcome.rawValue), .int(Int64(record.status)), .string(record.peer),
      .string(record.requestID), .string(details),
    ]
    return SHA256.digest(head.hash + Array(JSON.encode(columns).utf8))
  }
}
