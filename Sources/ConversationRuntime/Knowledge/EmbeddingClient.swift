// Asks for the meaning of texts: OpenAI-compatible embeddings.

import AsyncHTTPClient
import Base
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Outbound
import Settings
import Storage

/// Makes vectors of texts. Safe to use from any thread.
public protocol Embedder: Sendable {
  /// Names the space that the vectors live in: those of another model cannot be compared with them.
  var model: String { get }
  /// One vector for each text, in their order.
  /// - Parameter timeout: for all of them.
  /// - Throws: ``EmbeddingError``.
  func embed(_ texts: [String], timeout: Duration) async throws -> [[Float]]
}

/// Why there are no vectors: one sentence.
public struct EmbeddingError: Error, Sendable, CustomStringConvertible {
  public var description: String
  public init(_ description: String) { self.description = description }
}

/// `runtime.llm.embeddings_url`, spoken to by HTTP.
public final class EmbeddingClient: Embedder {
  /// An answer with the vectors of a hundred texts, written out.
  static let answerBytes = 64 << 20
  /// The caller waits: later than this, words alone must do.
  static let queryTimeout: Duration = .seconds(2)

  public let model: String
  private let url: String
  private let apiKey: Secret
  private let client: OutboundClient
  private let logger: Logger
  private let isFailing = NIOLockedValueBox(false)

  /// - Parameters:
  ///   - settings: must name ``LanguageModelSettings/embeddingsURL``.
  ///   - outbound: the way to the server; not shut down here.
  public init(
    settings: LanguageModelSettings, outbound: OutboundClient, logger: Logger = Logger(label: "parley.runtime")
  ) {
    model = settings.embeddingsModel
    var base = Substring(settings.embeddingsURL)
    while base.hasSuffix("/") { base.removeLast() }
    url = base + "/embeddings"
    apiKey = settings.apiKey
    self.logger = logger
    client = outbound
  }

  /// A query's vector; nil where the server fails, which the log is told when it begins and when it ends.
  @Sendable public func vector(of query: String) async -> EmbeddingVector? {
    do {
      let vectors = try await embed([query], timeout: Self.queryTimeout)
      if isFailing.exchange(false) { logger.notice("embeddings answer again", metadata: ["url": "\(url)"]) }
      return vectors.first.map { EmbeddingVector(model: model, values: $0) }
    } catch {
      if !isFailing.exchange(true) {
        logger.warning(
          "embeddings fail; documents are searched by words alone", metadata: ["url": "\(url)", "reason": "\(error)"])
      }
      return nil
    }
  }

  public func embed(_ texts: [String], timeout: Duration) async throws -> [[Float]] {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "Accept", value: "application/json")
    let key = apiKey.reveal()
    if !key.isEmpty { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
    var body: [String: Value] = ["input": .list(texts.map { .string($0) }), "encoding_format": "float"]
    if !model.isEmpty { body["model"] = .string(model) }
    request.body = .bytes(ByteBuffer(string: JSON.encode(.map(body))))
    let bytes: [UInt8]
    do {
      let response = try await client.execute(request, timeout: timeout)
      guard response.status.code == 200 else { throw EmbeddingError("the server answered \(response.status.code)") }
      bytes = Array(buffer: try await response.body.collect(upTo: Self.answerBytes))
    } catch let error as EmbeddingError {
      throw error
    } catch is CancellationError {
      throw CancellationError()
    } catch {
      throw EmbeddingError("the server cannot be asked: \(error)")
    }
    return try Self.vectors(bytes, count: texts.count)
  }

  /// `{"data": [{"index": 0, "embedding": [...]}]}`, in any order.
  private static func vectors(_ bytes: [UInt8], count: Int) throws(EmbeddingError) -> [[Float]] {
    let answer: Value
    do { answer = try JSON.decode(bytes) } catch { throw EmbeddingError("the answer is \(error)") }
    guard case .list(let items)? = answer["data"], items.count == count else {
      throw EmbeddingError("the answer has no `data` of \(count) vectors")
    }
    var vectors = [[Float]](repeating: [], count: count)
    for (place, item) in items.enumerated() {
      let index = item["index"]?.intValue.flatMap { Int(exactly: $0) } ?? place
      guard vectors.indices.contains(index), vectors[index].isEmpty, case .list(let numbers)? = item["embedding"],
        (1...DocumentLimits.dimensions).contains(numbers.count)
      else { throw EmbeddingError("the answer has no vector for each text") }
      vectors[index] = numbers.compactMap { $0.doubleValue.map { Float($0) } }
      guard vectors[index].count == numbers.count, vectors[index].count == vectors[0].count || vectors[0].isEmpty else {
        throw EmbeddingError("the vectors of the answer are no numbers of one length")
      }
    }
    guard Set(vectors.map(\.count)).count <= 1 else {
      throw EmbeddingError("the vectors of the answer differ in length")
    }
    return vectors
  }
}

extension NIOLockedValueBox where Value == Bool {
  /// Sets the value and returns the one before.
  fileprivate func exchange(_ new: Bool) -> Bool {
    withLockedValue { value in
      defer { value = new }
      return value
    }
  }
}
