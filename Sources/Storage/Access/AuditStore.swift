import Base

/// The audit log in the database: appends, pages and verifies. ``AuditLog`` queues in front of it.
public struct AuditStore: Sendable {
  private let database: any SQLDatabase

  public init(_ database: any SQLDatabase) { self.database = database }

  /// Any number that no other lock of ours has.
  private static let lock: Int64 = 0x7061_726C_6579_0004

  private static let columns =
    "sequence, at_ms, tenant, actor, action, object, outcome, status, peer, request_id, details, hash"

  /// Keeps the records in order, in one transaction.
  /// - Parameter known: the head that the caller last saw. Where the database ends before it, lines were cut off: the chain goes
  ///   on behind it, so that the gap stays for every verification to come.
  /// - Returns: the new head.
  public func append(_ records: [AuditRecord], after known: AuditHead = .none) async throws -> AuditHead {
    try await database.write { connection in
      if connection.dialect == .postgres {
        // Gateways that share the database write one chain: one at a time.
        _ = try connection.rows("SELECT pg_advisory_xact_lock(?)", [.int(Self.lock)])
      }
      var head = try Self.head(connection)
      if head.sequence < known.sequence { head = known }
      for record in records {
        var record = record.bounded()
        record.sequence = head.sequence + 1
        let details = JSON.encode(.map(record.details))
        head = AuditHead(
          sequence: record.sequence, hash: AuditChain.hash(after: head, record, details: details))
        try connection.run(
          "INSERT INTO audit (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          [
            .int(record.sequence), .int(record.atMs), .text(record.tenant), .text(record.actor), .text(record.action),
            .text(record.object), .text(record.outcome.rawValue), .int(Int64(record.status)), .text(record.peer),
            .text(record.requestID), .text(details), .bytes(head.hash),
          ])
      }
      return head
    }
  }

  public func head() async throws -> AuditHead { try await database.read { try Self.head($0) } }

  private static func head(_ connection: any SQLConnection) throws -> AuditHead {
    guard let row = try connection.row("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1") else {
      return .none
    }
    return AuditHead(sequence: try row.int("sequence"), hash: try row.bytes("hash"))
  }

  /// Which records somebody wants to see; empty texts: all.
  public struct Query: Sendable {
    public var tenant: String
    public var actor = ""
    public var action = ""
    public var outcome: AuditRecord.Outcome?
    public var fromMs: Int64?
    public var toMs: Int64?

    public init(tenant: String) { self.tenant = tenant }
  }

  /// Newest first, those before the record numbered `cursor`.
  public func records(_ query: Query, before cursor: Int64? = nil, limit: Int) async throws -> [AuditRecord] {
    var sql = "SELECT \(Self.columns) FROM audit WHERE tenant = ?"
    var arguments: [SQLValue] = [.text(query.tenant)]
    func filter(_ condition: String, _ value: SQLValue?) {
      guard let value else { return }
      sql += " AND \(condition)"
      arguments.append(value)
    }
    filter("sequence < ?", cursor.map { .int($0) })
    filter("actor = ?", query.actor.isEmpty ? nil : .text(query.actor))
    filter("action = ?", query.action.isEmpty ? nil : .text(query.action))
    filter("outcome = ?", query.outcome.map { .text($0.rawValue) })
    filter("at_ms >= ?", query.fromMs.map { .int($0) })
    filter("at_ms < ?", query.toMs.map { .int($0) })
    sql += " ORDER BY sequence DESC LIMIT ?"
    arguments.append(SQLValue(min(max(0, limit), StorageLimits.page)))
    return try await database.read { [sql, arguments] in
      try $0.rows(sql, arguments).map { try Self.record($0).record }
    }
  }

  private static func record(_ row: SQLRow) throws -> (record: AuditRecord, details: String, hash: [UInt8]) {
    let details = try row.text("details")
    var record = AuditRecord(
      atMs: try row.int("at_ms"), tenant: try row.text("tenant"), actor: try row.text("actor"),
      action: try row.text("action"), object: try row.text("object"),
      outcome: AuditRecord.Outcome(rawValue: try row.text("outcome")) ?? .failed, status: Int(try row.int("status")),
      peer: try row.text("peer"), requestID: try row.text("request_id"))
    record.sequence = try row.int("sequence")
    if case .map(let map)? = try? JSON.decode(details) { record.details = map }
    return (record, details, try row.bytes("hash"))
  }

  // MARK: Verification

  /// What a verification found.
  public struct Verdict: Sendable, Hashable {
    /// Where the log is not what was written.
    public struct Finding: Sendable, Hashable {
      public enum Kind: String, Sendable {
        /// The record is not what was written there: changed, or moved from its place.
        case changed
        /// Records are missing before this one.
        case missing
        /// The end of the log is missing: a head that was kept apart lies behind it.
        case truncated
        /// The log was written anew: the record that the head names is there, and is another.
        case replaced
      }
      public var kind: Kind
      /// The first and last record that it is about.
      public var first: Int64
      public var last: Int64

      public init(_ kind: Kind, _ first: Int64, _ last: Int64) {
        self.kind = kind
        self.first = first
        self.last = last
      }

      public var sentence: String {
        let range = first == last ? "record \(first)" : "records \(first) to \(last)"
        return switch kind {
        case .changed: "\(range): not what was written there; it was changed or moved"
        case .missing: "\(range): missing"
        case .truncated: "\(range): missing at the end of the log"
        case .replaced: "\(range): another record stands there than the head names; the log was written anew"
        }
      }
    }
    /// Records that were looked at.
    public var records: Int64 = 0
    public var head = AuditHead.none
    /// At most ``AuditLimits/findings``.
    public var findings: [Finding] = []
    public var isIntact: Bool { findings.isEmpty }
  }

  /// Walks through the whole log.
  /// - Parameter heads: what was kept outside of the database: the head file, a line of the log.
  public func verify(against heads: [AuditHead] = []) async throws -> Verdict {
    var verdict = Verdict()
    var head = AuditHead.none
    while verdict.findings.count < AuditLimits.findings {
      let after = head.sequence
      let page = try await database.read { connection in
        try connection.rows(
          "SELECT \(Self.columns) FROM audit WHERE sequence > ? ORDER BY sequence LIMIT ?",
          [.int(after), SQLValue(StorageLimits.page)]
        ).map { row in
          // What cannot even be read was changed.
          (sequence: try row.int("sequence"), content: try? Self.record(row))
        }
      }
      for line in page {
        let isNext = line.sequence == head.sequence + 1
        if !isNext { verdict.findings.append(.init(.missing, head.sequence + 1, line.sequence - 1)) }
        if let content = line.content {
          // Behind a gap the hash before is not known, so that record cannot be checked by itself.
          if isNext, AuditChain.hash(after: head, content.record, details: content.details) != content.hash {
            verdict.findings.append(.init(.changed, line.sequence, line.sequence))
          }
          head = AuditHead(sequence: line.sequence, hash: content.hash)
        } else {
          verdict.findings.append(.init(.changed, line.sequence, line.sequence))
          head = AuditHead(sequence: line.sequence, hash: [])
        }
        verdict.records += 1
        for kept in heads where kept.sequence == head.sequence && kept.hash != head.hash {
          verdict.findings.append(.init(.replaced, kept.sequence, kept.sequence))
        }
      }
      if page.count < StorageLimits.page { break }
    }
    verdict.head = head
    if let kept = heads.map(\.sequence).max(), kept > head.sequence {
      verdict.findings.append(.init(.truncated, head.sequence + 1, kept))
    }
    verdict.findings = Array(verdict.findings.prefix(AuditLimits.findings))
    return verdict
  }
}
