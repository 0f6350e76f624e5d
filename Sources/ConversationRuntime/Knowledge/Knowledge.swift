import Base
import CallLink
import Dialogs
import Storage

/// The documents that agent states answer from, found by words and, where there is an embedding model, by meaning.
public struct Knowledge: Sendable {
  /// The meaning of a text; nil where the embedding model fails: words alone must do then.
  public typealias Embedder = @Sendable (_ text: String) async -> EmbeddingVector?

  private let documents: any DocumentStore
  private let embed: Embedder

  public init(_ documents: any DocumentStore, embed: @escaping Embedder = { _ in nil }) {
    self.documents = documents
    self.embed = embed
  }

  /// What `DialogHook.Kind.searchKnowledge` is answered with.
  func answer(_ query: String, documents names: [String], limit: Int) async -> HookOutcome {
    do {
      let found = try await documents.search(query, vector: await embed(query), documents: names, limit: limit)
      let passages = found.passages.map { passage -> Value in
        [
          "document": .string(passage.document), "heading": .string(passage.heading), "text": .string(passage.text),
          "score": .double(passage.score),
        ]
      }
      var answer: [String: Value] = ["passages": .list(passages)]
      if !found.unknownDocuments.isEmpty {
        answer["unknown_documents"] = .list(found.unknownDocuments.map { .string($0) })
      }
      return .result(.map(answer), status: 200, durationMs: 0, attempts: 1)
    } catch {
      return Self.failure("the documents cannot be searched: \(error)")
    }
  }

  static func failure(_ message: String) -> HookOutcome {
    .failure(error: "unreachable", status: 0, message: message, durationMs: 0, attempts: 1)
  }
}
