import Base
import Storage
import Testing

/// Searching documents: by words, by meaning, and never by syntax.
@Suite struct DocumentStoreTests {
  private func filled() async throws -> SQLiteDocumentStore {
    let store = try SQLiteDocumentStore.inMemory()
    try await store.put(
      "plans", digest: "1",
      passages: [
        DocumentPassage(heading: "Plans > Small", text: "The small plan costs five euros a month."),
        DocumentPassage(heading: "Plans > Large", text: "The large plan costs nine euros and includes roaming."),
        DocumentPassage(heading: "Plans > Cancelling", text: "You may cancel any plan at the end of the month."),
      ])
    try await store.put(
      "opening", digest: "2",
      passages: [DocumentPassage(heading: "Opening hours", text: "Our café in Zürich opens at nine.")])
    return store
  }

  @Test func theBestPassageComesFirst() async throws {
    let store = try await filled()
    let answer = try await store.search("how do I cancel my plan", vector: nil, documents: [], limit: 3)
    #expect(answer.passages.first?.heading == "Plans > Cancelling")
    #expect(answer.passages.map(\.score) == answer.passages.map(\.score).sorted(by: >))
    #expect(try await store.search("roaming", vector: nil, documents: [], limit: 3).passages.count == 1)
    #expect(try await store.search("what does it cost", vector: nil, documents: [], limit: 1).passages.count == 1)
  }

  @Test func wordsMatchByStemBeginningAndWithoutAccents() async throws {
    let store = try await filled()
    for words in ["cancellation", "cancelled", "CANCEL", "canc"] {
      let found = try await store.search(words, vector: nil, documents: [], limit: 1).passages.first
      #expect(found?.heading == "Plans > Cancelling", "\(words)")
    }
    #expect(
      try await store.search("cafe zurich", vector: nil, documents: [], limit: 1).passages.first?.document == "opening")
  }

  @Test func onlyTheNamedDocumentsAreSearched() async throws {
    let store = try await filled()
    let answer = try await store.search("nine", vector: nil, documents: ["opening", "no such"], limit: 9)
    #expect(answer.passages.map(\.document) == ["opening"])
    #expect(answer.unknownDocuments == ["no such"])
    let none = try await store.search("nine", vector: nil, documents: ["no such"], limit: 9)
    #expect(none.passages.isEmpty, "an unknown name does not stand for all documents")
  }

  @Test(arguments: [
    "\"", "\" OR text:\"", "NEAR(a b)", "*", "plan*", "-plan", "heading : plan", "(plan", "plan AND NOT plan", "^plan",
    "'; DROP TABLE passages; --", "\u{0}", "plan\u{0}\"", "{heading text} : plan", "a + b", "", "   ", "\u{1F600}",
    "plan OR", "NOT", "AND OR NOT NEAR", "\u{301}", "col:\"x\" \\ %",
  ])
  func whatACallerSaysIsNeverSyntax(words: String) async throws {
    let store = try await filled()
    _ = try await store.search(words, vector: nil, documents: [], limit: 5)
    #expect(try await store.documents().count == 2)
  }

  @Test func operatorsAreWordsLikeAnyOther() async throws {
    let store = try await filled()
    let plain = try await store.search("small roaming", vector: nil, documents: [], limit: 5)
    let dressed = try await store.search("small NOT roaming", vector: nil, documents: [], limit: 5)
    #expect(plain.passages.map(\.heading) == dressed.passages.map(\.heading))
    #expect(plain.passages.count == 2)
  }

  @Test func aVeryLongQueryIsCut() async throws {
    let store = try await filled()
    let words = (0..<50_000).map { "w\($0)" }.joined(separator: " ")
    #expect(try await store.search(words, vector: nil, documents: [], limit: 5).passages.isEmpty)
  }

  @Test func aDocumentIsReplacedWhole() async throws {
    let store = try await filled()
    try await store.put("plans", digest: "3", passages: [DocumentPassage(heading: "", text: "There are no plans.")])
    #expect(try await store.search("roaming", vector: nil, documents: [], limit: 5).passages.isEmpty)
    #expect(try await store.documents().map(\.passages) == [1, 1])
    #expect(try await store.documents().map(\.digest) == ["2", "3"])
    try await store.remove(["plans", "nobody"])
    #expect(try await store.documents().map(\.name) == ["opening"])
    #expect(try await store.search("plans", vector: nil, documents: [], limit: 5).passages.isEmpty)
  }

  // MARK: Vectors

  @Test func whatWordsMissIsFoundByMeaning() async throws {
    let store = try await filled()
    let waiting = try await store.unembedded(model: "m", limit: 10)
    #expect(waiting.count == 4)
    #expect(waiting[0].text == "Plans > Small\nThe small plan costs five euros a month.")
    // Each passage points along an axis of its own.
    let vectors = waiting.enumerated().map { place, passage in
      (passage: passage.id, values: (0..<4).map { Float($0 == place ? 2 : 0) })
    }
    try await store.putVectors(vectors, model: "m")
    #expect(try await store.unembedded(model: "m", limit: 10).isEmpty)
    #expect(try await store.unembedded(model: "other", limit: 10).count == 4)

    let near = EmbeddingVector(model: "m", values: [0, 0.1, 0, 0.9])
    let found = try await store.search("zzz", vector: near, documents: [], limit: 2)
    #expect(found.passages.map(\.heading) == ["Opening hours", "Plans > Large"])
    let restricted = try await store.search("zzz", vector: near, documents: ["plans"], limit: 1)
    #expect(restricted.passages.map(\.heading) == ["Plans > Large"])
    // What both ways agree on comes first.
    let both = try await store.search("euros", vector: near, documents: [], limit: 1)
    #expect(both.passages.map(\.heading) == ["Plans > Large"])
    // Another model's vectors, or a model that changed its length, are no help and no harm.
    for odd in [EmbeddingVector(model: "x", values: [1, 0, 0, 0]), EmbeddingVector(model: "m", values: [1])] {
      #expect(try await store.search("roaming", vector: odd, documents: [], limit: 5).passages.count == 1)
    }
    try await store.put("plans", digest: "9", passages: [])
    try await store.putVectors([(passage: waiting[0].id, values: [1, 0, 0, 0])], model: "m")
    #expect(try await store.search("zzz", vector: near, documents: ["plans"], limit: 5).passages.isEmpty)
  }
}
