import Base
import FoundationEssentials
import GRDB

extension Schema {
  static let documentTables = [
    "CREATE TABLE documents (name TEXT PRIMARY KEY NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE passages (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      document TEXT NOT NULL,
      heading TEXT NOT NULL,
      text TEXT NOT NULL
    )
    """,
    "CREATE INDEX passages_by_document ON passages (document)",
    """
    CREATE VIRTUAL TABLE passage_index USING fts5(
      heading, text, content = 'passages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2')
    """,
    """
    CREATE TABLE passage_vectors (
      passage INTEGER NOT NULL,
      model TEXT NOT NULL,
      vector BLOB NOT NULL,
      PRIMARY KEY (passage, model)
    ) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER passage_added AFTER INSERT ON passages BEGIN
      INSERT INTO passage_index (rowid, heading, text) VALUES (new.id, new.heading, new.text);
    END
    """,
    """
    CREATE TRIGGER passage_removed AFTER DELETE ON passages BEGIN
      INSERT INTO passage_index (passage_index, rowid, heading, text)
      VALUES ('delete', old.id, old.heading, old.text);
      DELETE FROM passage_vectors WHERE passage = old.id;
    END
    """,
  ]
}

/// Documents in SQLite with FTS5 (BM25) and, where there is an embedding model, vectors that are compared one by one: some
/// ten thousand passages take milliseconds. Any thread.
public final class SQLiteDocumentStore: DocumentStore {
  private let database: any DatabaseWriter

  /// - Parameter database: has the schema already.
  init(_ database: any DatabaseWriter) { self.database = database }

  /// A store that lives in memory and forgets everything.
  public static func inMemory() throws(StorageError) -> SQLiteDocumentStore {
    SQLiteDocumentStore(try SQLiteDatabase.inMemory([Schema.documents]).writer)
  }

  // MARK: Changing

  public func put(_ name: String, digest: String, passages: [DocumentPassage]) async throws {
    try await StorageError.explained(.writeFailed) { [database] in
      try await database.write { database in
        try Self.remove(name, database)
        try database.execute(sql: "INSERT INTO documents (name, digest) VALUES (?, ?)", arguments: [name, digest])
        let insert = try database.cachedStatement(
          sql: "INSERT INTO passages (document, heading, text) VALUES (?, ?, ?)")
        for passage in passages { try insert.execute(arguments: [name, passage.heading, passage.text]) }
        let documents = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM documents") ?? 0
        let count = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM passages") ?? 0
        guard documents <= StorageLimits.documents, count <= StorageLimits.passages else {
          throw StorageError(
            .limit,
            "with `\(name)` there would be \(documents) documents of \(count) passages; the limits are "
              + "\(StorageLimits.documents) and \(StorageLimits.passages)")
        }
      }
    }
  }

  public func remove(_ names: [String]) async throws {
    try await StorageError.explained(.writeFailed) { [database] in
      try await database.write { database in
        for name in names { try Self.remove(name, database) }
      }
    }
  }

  private static func remove(_ name: String, _ database: Database) throws {
    try database.execute(sql: "DELETE FROM passages WHERE document = ?", arguments: [name])
    try database.execute(sql: "DELETE FROM documents WHERE name = ?", arguments: [name])
  }

  public func putVectors(_ vectors: [(passage: Int64, values: [Float])], model: String) async throws {
    try await StorageError.explained(.writeFailed) { [database] in
      try await database.write { database in
        let insert = try database.cachedStatement(
          sql: """
            INSERT OR REPLACE INTO passage_vectors (passage, model, vector)
            SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM passages WHERE id = ?1)
            """)
        for vector in vectors {
          guard (1...DocumentLimits.dimensions).contains(vector.values.count) else {
            throw StorageError(.limit, "a vector has 1 to \(DocumentLimits.dimensions) numbers")
          }
          try insert.execute(arguments: [vector.passage, model, Vectors.data(vector.values)])
        }
      }
    }
  }

  // MARK: Reading

  public func documents() async throws -> [DocumentRecord] {
    try await read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT name, digest, (SELECT COUNT(*) FROM passages WHERE document = name) AS passages
          FROM documents ORDER BY name
          """
      ).map { DocumentRecord(name: $0["name"], digest: $0["digest"], passages: $0["passages"]) }
    }
  }

  public func unembedded(model: String, limit: Int) async throws -> [UnembeddedPassage] {
    try await read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT id, heading, text FROM passages p
          WHERE NOT EXISTS (SELECT 1 FROM passage_vectors WHERE passage = p.id AND model = ?) ORDER BY id LIMIT ?
          """, arguments: [model, min(max(0, limit), StorageLimits.page)]
      ).map { row in
        let heading: String = row["heading"], text: String = row["text"]
        return UnembeddedPassage(id: row["id"], text: heading.isEmpty ? text : heading + "\n" + text)
      }
    }
  }

  public func search(
    _ words: String, vector: EmbeddingVector?, documents: [String], limit: Int
  ) async throws -> DocumentAnswer {
    let limit = min(max(1, limit), DocumentLimits.results)
    return try await read { database in
      var unknown: [String] = []
      for name in documents {
        let isKnown = try Bool.fetchOne(
          database, sql: "SELECT EXISTS (SELECT 1 FROM documents WHERE name = ?)", arguments: [name])
        if isKnown != true { unknown.append(name) }
      }
      let known = documents.filter { !unknown.contains($0) }
      if known.isEmpty, !documents.isEmpty { return DocumentAnswer(passages: [], unknownDocuments: unknown) }
      var ranked = try Self.matches(words, in: known, database)
      if let vector {
        let near = try Self.neighbours(of: vector, in: known, database)
        if !near.isEmpty { ranked = RankFusion.join([ranked.map(\.id), near.map(\.id)]) }
      }
      let passages = try ranked.prefix(limit).compactMap { entry in
        try Row.fetchOne(database, sql: "SELECT * FROM passages WHERE id = ?", arguments: [entry.id]).map { row in
          FoundPassage(document: row["document"], heading: row["heading"], text: row["text"], score: entry.score)
        }
      }
      return DocumentAnswer(passages: passages, unknownDocuments: unknown)
    }
  }

  private static func matches(
    _ words: String, in documents: [String], _ database: Database
  ) throws -> [(id: Int64, score: Double)] {
    guard let query = SearchWords.query(words) else { return [] }
    // A heading that names the thing is worth more than the thing mentioned.
    return try Row.fetchAll(
      database,
      sql: """
        SELECT rowid, bm25(passage_index, 2.0, 1.0) AS rank FROM passage_index
        WHERE passage_index MATCH ? \(restriction("rowid", documents)) ORDER BY rank, rowid LIMIT ?
        """,
      arguments: [query] + StatementArguments(documents) + [DocumentLimits.candidates]
    ).map { ($0["rowid"], -($0["rank"] as Double)) }
  }

  private static func neighbours(
    of vector: EmbeddingVector, in documents: [String], _ database: Database
  ) throws -> [(id: Int64, score: Double)] {
    let wanted = Vectors.normalized(vector.values)
    var near: [(id: Int64, score: Double)] = []
    let rows = try Row.fetchCursor(
      database,
      sql: "SELECT passage, vector FROM passage_vectors WHERE model = ? \(restriction("passage", documents))",
      arguments: [vector.model] + StatementArguments(documents))
    while let row = try rows.next() {
      let score = try row.withUnsafeData(named: "vector") { $0.flatMap { Vectors.product(wanted, $0) } }
      // At a right angle or beyond it, two texts have nothing in common.
      if let score, score > 0 { near.append((row["passage"], Double(score))) }
    }
    return Array(near.sorted { ($1.score, $0.id) < ($0.score, $1.id) }.prefix(DocumentLimits.candidates))
  }

  private static func restriction(_ column: String, _ documents: [String]) -> String {
    if documents.isEmpty { return "" }
    let marks = [String](repeating: "?", count: documents.count).joined(separator: ", ")
    return "AND \(column) IN (SELECT id FROM passages WHERE document IN (\(marks)))"
  }

  private func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
    try await StorageError.explained(.readFailed) { [database] in try await database.read(body) }
  }
}

/// Joins ranked lists: each place counts 1 / (60 + place), so that what several ways of searching agree on comes first
/// (Cormack, Clarke and Buettcher 2009).
enum RankFusion {
  static func join(_ lists: [[Int64]]) -> [(id: Int64, score: Double)] {
    var scores: [Int64: Double] = [:]
    for list in lists {
      for (place, id) in list.enumerated() { scores[id, default: 0] += 1 / Double(61 + place) }
    }
    return scores.map { (id: $0.key, score: $0.value) }.sorted { ($1.score, $0.id) < ($0.score, $1.id) }
  }
}

/// Vectors of one length, kept with length 1 so that their product is the cosine of their angle.
enum Vectors {
  static func normalized(_ values: [Float]) -> [Float] {
    var sum: Float = 0
    for value in values { sum += value * value }
    guard sum > 0, sum.isFinite else { return values.map { _ in 0 } }
    let length = sum.squareRoot()
    return values.map { $0 / length }
  }

  static func data(_ values: [Float]) -> Data {
    normalized(values).withUnsafeBytes { Data($0) }
  }

  /// nil where the lengths differ: the model was changed behind its name.
  static func product(_ vector: [Float], _ data: Data) -> Float? {
    guard data.count == vector.count * MemoryLayout<Float>.size else { return nil }
    return data.withUnsafeBytes { bytes in
      var sum: Float = 0
      for i in vector.indices {
        sum += vector[i] * bytes.loadUnaligned(fromByteOffset: i * MemoryLayout<Float>.size, as: Float.self)
      }
      return sum
    }
  }
}
