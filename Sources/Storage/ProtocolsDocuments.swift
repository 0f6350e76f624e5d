import Base

/// A piece of a document, small enough to be read to a language model.
public struct DocumentPassage: Sendable, Hashable {
  /// The headings above it, outermost first, with ` > ` between them; may be empty.
  public var heading: String
  public var text: String

  public init(heading: String, text: String) {
    self.heading = heading
    self.text = text
  }
}

/// A document that can be searched.
public struct DocumentRecord: Sendable, Hashable {
  /// Its file's path below the knowledge folder, without the extension: `faq`, `plans/mobile`.
  public var name: String
  /// SHA-256 of the text, lower-case hexadecimal.
  public var digest: String
  public var passages: Int
}

/// What was found.
public struct FoundPassage: Sendable, Hashable {
  public var document: String
  public var heading: String
  public var text: String
  /// Higher is better; only comparable within one answer.
  public var score: Double

  public init(document: String, heading: String, text: String, score: Double) {
    self.document = document
    self.heading = heading
    self.text = text
    self.score = score
  }
}

/// The answer to one question to the documents.
public struct DocumentAnswer: Sendable, Hashable {
  /// Best first.
  public var passages: [FoundPassage]
  /// Names that were asked for and are not there.
  public var unknownDocuments: [String]

  public init(passages: [FoundPassage], unknownDocuments: [String]) {
    self.passages = passages
    self.unknownDocuments = unknownDocuments
  }
}

/// A passage that has no vector of a model yet.
public struct UnembeddedPassage: Sendable, Hashable {
  public var id: Int64
  /// Heading and text, as the model reads them.
  public var text: String
}

/// Documents to answer from, in passages with a full-text index and, where there is an embedding model, a vector each.
public protocol DocumentStore: Sendable {
  /// Replaces a document with all its passages.
  func put(_ name: String, digest: String, passages: [DocumentPassage]) async throws
  /// Unknown names are ignored.
  func remove(_ names: [String]) async throws
  /// By name.
  func documents() async throws -> [DocumentRecord]

  /// The passages that fit best.
  /// - Parameters:
  ///   - words: any text; nothing in it is syntax.
  ///   - vector: the query's, with the model that made it; passages of that model near it are found, too, and the two lists
  ///     are joined (reciprocal rank fusion).
  ///   - documents: only these; empty: all.
  ///   - limit: 1 to ``DocumentLimits/results``.
  func search(_ words: String, vector: EmbeddingVector?, documents: [String], limit: Int) async throws -> DocumentAnswer

  /// Passages without a vector of `model`, in the order they were put.
  func unembedded(model: String, limit: Int) async throws -> [UnembeddedPassage]
  /// Keeps vectors; passages that are gone meanwhile are ignored. All vectors of a model have one length.
  func putVectors(_ vectors: [(passage: Int64, values: [Float])], model: String) async throws
}

/// A text as an embedding model sees it.
public struct EmbeddingVector: Sendable, Hashable {
  public var model: String
  public var values: [Float]

  public init(model: String, values: [Float]) {
    self.model = model
    self.values = values
  }
}

/// Limits of a search.
public enum DocumentLimits {
  /// Passages of one answer.
  public static let results = 50
  /// Words of a query that count; a caller's turn has fewer.
  public static let queryWords = 32
  /// Passages that either way of searching hands to the fusion.
  public static let candidates = 50
  /// The longest vector of a model.
  public static let dimensions = 8_192
}
