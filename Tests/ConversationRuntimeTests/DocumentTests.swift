import Base
import ConversationRuntime
import FoundationEssentials
import Logging
import Outbound
import ScriptedServers
import Settings
import Storage
import Testing

/// How documents are cut into passages.
@Suite struct DocumentChunkTests {
  @Test func passagesStandUnderTheirHeadings() {
    let text = """
      ---
      title: not part of it
      ---
      Before any heading.
      # Plans
      ## Small ##
      It costs five euros. Is that much? No.
      ## Large
      - one line
      - another line
      ```
      # no heading
      ```
      # Opening
      At nine.
      """
    #expect(
      DocumentChunks.cut(text, isMarkdown: true) == [
        DocumentPassage(heading: "", text: "Before any heading."),
        DocumentPassage(heading: "Plans > Small", text: "It costs five euros. Is that much? No."),
        DocumentPassage(heading: "Plans > Large", text: "- one line\n- another line\n# no heading"),
        DocumentPassage(heading: "Opening", text: "At nine."),
      ])
    #expect(DocumentChunks.cut("# Not a heading", isMarkdown: false).map(\.text) == ["# Not a heading"])
  }

  @Test func longTextIsCutBetweenSentencesAndOverlaps() {
    let sentences = (1...60).map { "Sentence number \($0) says e.g. something about 3.5 of them." }
    let passages = DocumentChunks.cut(sentences.joined(separator: " "), isMarkdown: true)
    #expect(passages.count > 3)
    for passage in passages {
      #expect(passage.text.count <= DocumentChunks.size)
      #expect(passage.text.count > DocumentChunks.size / 2 || passage == passages.last)
      #expect(passage.text.hasPrefix("Sentence") && passage.text.hasSuffix("of them."))
    }
    for sentence in sentences { #expect(passages.contains { $0.text.contains(sentence) }) }
    for (one, next) in zip(passages, passages.dropFirst()) {
      let last = one.text.components(ending: "of them.").last ?? ""
      #expect(next.text.contains(last), "a thought across the border is found")
    }
  }

  @Test func whatHasNoSentencesIsCutAllTheSame() {
    let words = [String](repeating: "word", count: 1000).joined(separator: " ")
    let one = String(repeating: "x", count: 5000)
    for text in [words, one, words + "\n\n" + one] {
      let passages = DocumentChunks.cut(text, isMarkdown: false)
      #expect(passages.allSatisfy { $0.text.unicodeScalars.count <= DocumentChunks.size && !$0.text.isEmpty })
      let letters = { (text: String) in text.filter { !$0.isWhitespace }.count }
      #expect(passages.map { letters($0.text) }.reduce(0, +) >= letters(text))
    }
    for text in ["", " \n\n ", "# Only a heading", "```", "---\n", "\u{FEFF}"] {
      #expect(DocumentChunks.cut(text, isMarkdown: true).allSatisfy { !$0.text.isEmpty }, "\(text)")
    }
  }
}

/// Documents in step with their folder, and what happens when the embedding model does not answer.
@Suite struct KnowledgeTests {
  private struct Library {
    let path: String
    let store: SQLiteDocumentStore

    func write(_ name: String, _ text: String) throws {
      let file = "\(path)/\(name)"
      let folder = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)])
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try Data(text.utf8).write(to: URL(filePath: file))
    }

    func keeper(_ embedder: (any Embedder)? = nil) -> KnowledgeKeeper {
      KnowledgeKeeper(
        folder: path, store: store, embedder: embedder, logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
    }

    func find(_ words: String, vector: EmbeddingVector? = nil) async throws -> [String] {
      try await store.search(words, vector: vector, documents: [], limit: 5).passages.map(\.document)
    }
  }

  private func with(_ files: [String: String], _ body: (Library) async throws -> Void) async throws {
    let library = Library(
      path: FileManager.default.temporaryDirectory.path + "/parley-knowledge-\(UInt64.random(in: .min ... .max))",
      store: try SQLiteDocumentStore.inMemory())
    defer { try? FileManager.default.removeItem(atPath: library.path) }
    for (name, text) in files { try library.write(name, text) }
    try await body(library)
  }

  @Test func documentsFollowTheirFolder() async throws {
    try await with(["faq.md": "# Parking\nBehind the house.", "plans/mobile.txt": "Five euros."]) {
      library async throws in
      let keeper = library.keeper()
      await keeper.look(isForced: true)
      #expect(await keeper.names == ["faq", "plans/mobile"])
      #expect(try await library.find("parking") == ["faq"])
      try library.write("faq.md", "# Lunch\nAt noon.")
      try library.write("notes.pdf", "not a document")
      for _ in 0..<2 { await keeper.look() }
      #expect(try await library.find("parking").isEmpty)
      #expect(try await library.find("lunch") == ["faq"])
      try FileManager.default.removeItem(atPath: library.path + "/faq.md")
      for _ in 0..<2 { await keeper.look() }
      #expect(await keeper.names == ["plans/mobile"])
      // After a restart: what is known is not indexed again, what went away meanwhile goes.
      try FileManager.default.removeItem(atPath: library.path + "/plans")
      try library.write("new.md", "News.")
      let second = library.keeper()
      await second.look(isForced: true)
      #expect(await second.names == ["new"])
    }
  }

  @Test func aFolderThatIsNotThereHasNoDocuments() async throws {
    try await with([:]) { library async throws in
      let keeper = library.keeper()
      await keeper.look(isForced: true)
      #expect(await keeper.names == [])
    }
  }

  @Test func passagesGetVectorsFromTheModel() async throws {
    // Meaning, as this model sees it: the number of letters z in the text, and one.
    let server = ScriptedHTTPServer { request in
      guard case .list(let texts)? = request.json["input"] else { return ScriptedHTTPServer.Step.answer(400, "{}") }
      let data = texts.enumerated().reversed().map { place, text -> Value in
        let zs = (text.stringValue ?? "").filter { $0 == "z" }.count
        return ["index": .int(Int64(place)), "embedding": [.int(Int64(zs)), 1]]
      }
      return ScriptedHTTPServer.Step.answer(200, JSON.encode(["data": .list(data)]))
    }
    let port = try await server.start()
    var settings = LanguageModelSettings()
    settings.embeddingsURL = "http://127.0.0.1:\(port)/v1/"
    settings.embeddingsModel = "letters"
    settings.apiKey = Secret("key-0123456789abcdef")
    let client = EmbeddingClient(settings: settings, outbound: .loopback)
    try await with(["a.md": "zzzz", "b.md": "none of them"]) { library async throws in
      await library.keeper(client).look(isForced: true)
      #expect(try await library.store.unembedded(model: "letters", limit: 10).isEmpty)
      let query = await client.vector(of: "zzz zzz")
      #expect(query == EmbeddingVector(model: "letters", values: [6, 1]))
      #expect(try await library.find("buzz zoom", vector: query).first == "a")
    }
    #expect(server.requests.first?.uri == "/v1/embeddings")
    #expect(server.requests.first?.header("Authorization") == "Bearer key-0123456789abcdef")
    #expect(server.requests.first?.json["model"] == "letters")
    await server.stop()
  }

  @Test(arguments: [
    (500, "{}"), (200, "garbage"), (200, "{\"data\": []}"), (200, "{\"data\": [{\"embedding\": []}]}"),
    (200, "{\"data\": [{\"embedding\": [\"a\"]}]}"), (200, "{\"data\": [{\"index\": 7, \"embedding\": [1]}]}"),
    (200, "{\"data\": [{\"index\": -1, \"embedding\": [1]}]}"), (302, ""),
  ])
  func aModelThatFailsLeavesTheWords(status: Int, body: String) async throws {
    let server = ScriptedHTTPServer { _ in ScriptedHTTPServer.Step.answer(status, body) }
    let port = try await server.start()
    var settings = LanguageModelSettings()
    settings.embeddingsURL = "http://127.0.0.1:\(port)"
    let client = EmbeddingClient(
      settings: settings, outbound: .loopback,
      logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
    #expect(await client.vector(of: "anything") == nil)
    try await with(["a.md": "Parking is behind the house."]) { library async throws in
      let keeper = library.keeper(client)
      for _ in 0..<5 { await keeper.look(isForced: true) }
      #expect(try await library.find("parking", vector: await client.vector(of: "parking")) == ["a"])
    }
    // Two questions and one attempt at the document: it is not asked at every look.
    #expect(server.requests.count == 3)
    await server.stop()
  }
}

extension String {
  /// The parts that end so, each with its end.
  fileprivate func components(ending: String) -> [String] {
    var parts: [String] = [], rest = self[...]
    while let end = rest.firstRange(of: ending) {
      parts.append(String(rest[..<end.upperBound].drop(while: \.isWhitespace)))
      rest = rest[end.upperBound...]
    }
    return parts
  }
}
