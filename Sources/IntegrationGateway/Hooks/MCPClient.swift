// Speaks to servers of tools: Model Context Protocol over streamable HTTP, revision 2025-06-18.

import AsyncHTTPClient
import Base
import CallLink
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Settings
import Telemetry

/// Lists and calls the tools of MCP servers. All calls share one session per server; a session that the server has forgotten
/// is begun anew. Safe to use from any thread.
final class MCPClient: Sendable {
  /// What a server may send.
  enum Limits {
    static let answerBytes = HookClient.answerBytes
    /// A model reads them all at every turn; nobody means to send it more.
    static let tools = 128
    static let pages = 16
    static let descriptionCharacters = 4_096
    static let sessionBytes = 1_024
  }

  /// The revision that is asked for first, and those that are spoken as well.
  static let revision = "2025-06-18"
  static let revisions: Set<String> = ["2025-11-25", "2025-06-18", "2025-03-26"]

  private let client: ServiceClient
  private let metrics: VoiceMetrics
  private let logger: Logger
  private let state = NIOLockedValueBox(State())

  private struct State {
    var sessions: [String: Task<Session, any Error>] = [:]
    var lastID: Int64 = 0
  }

  /// What an initialised server is spoken to with.
  private struct Session: Sendable, Equatable {
    /// Empty: the server keeps none.
    var id: String
    var revision: String
  }

  /// The server does not know the session any more (its answer was 404).
  private struct SessionLost: Error {}

  init(client: ServiceClient, metrics: VoiceMetrics, logger: Logger) {
    self.client = client
    self.metrics = metrics
    self.logger = logger
  }

  /// Performs `listTools` or `callTool`; see ``HookRequest/Kind``.
  /// - Parameter timeout: of everything, the beginning of a session included.
  func perform(_ request: HookRequest, _ target: HookTarget, timeout: Duration) async -> Result<Value, HookFailure> {
    await within(timeout, target.label) { [self] in
      // Twice, because a session may be lost at any time; a call that the server did not take may be made again.
      for attempt in 1...2 {
        let (task, session) = try await session(target, timeout: timeout)
        do {
          return switch request.kind {
          case .listTools, .http: try await listTools(target, session, timeout: timeout)
          case .callTool(let name, let arguments):
            try await callTool(name, arguments, target, session, timeout: timeout)
          }
        } catch is SessionLost {
          forget(task, target)
          if attempt == 2 { break }
        }
      }
      throw HookFailure("status", status: 404, "\(target.label) forgets its sessions")
    }
  }

  // MARK: Sessions

  /// The server's session, begun where there is none. All who ask meanwhile wait for the same beginning.
  private func session(_ target: HookTarget, timeout: Duration) async throws -> (Task<Session, any Error>, Session) {
    let task = state.withLockedValue { state in
      if let task = state.sessions[target.label] { return task }
      // A task of its own: the caller who asked first may hang up, the others still want it.
      let task = Task { [self] in
        switch await within(timeout, target.label, { try await self.initialize(target, timeout: timeout) }) {
        case .success(let session): return session
        case .failure(let failure): throw failure
        }
      }
      state.sessions[target.label] = task
      return task
    }
    do {
      return (task, try await task.value)
    } catch {
      forget(task, target)
      throw error
    }
  }

  private func forget(_ task: Task<Session, any Error>, _ target: HookTarget) {
    state.withLockedValue { state in
      if state.sessions[target.label] == task { state.sessions[target.label] = nil }
    }
  }

  private func initialize(_ target: HookTarget, timeout: Duration) async throws -> Session {
    let (result, headers) = try await ask(
      "initialize",
      [
        "protocolVersion": .string(Self.revision), "capabilities": [:],
        "clientInfo": ["name": "Parley", "version": "1"],
      ], target, nil, timeout: timeout)
    let revision = result["protocolVersion"]?.stringValue ?? ""
    guard Self.revisions.contains(revision) else {
      throw HookFailure(
        "invalid_answer", status: 200,
        "\(target.label) speaks another revision of the protocol (\(revision.prefix(32)))")
    }
    let id = headers.first(name: "Mcp-Session-Id") ?? ""
    guard id.utf8.count <= Limits.sessionBytes, id.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw HookFailure(
        "invalid_answer", status: 200, "\(target.label) named its session in a way that no header carries")
    }
    let session = Session(id: id, revision: revision)
    _ = try await post(["jsonrpc": "2.0", "method": "notifications/initialized"], target, session, timeout: timeout)
    return session
  }

  // MARK: Tools

  private func listTools(_ target: HookTarget, _ session: Session, timeout: Duration) async throws -> Value {
    var tools: [Value] = []
    var cursor: String?
    for _ in 0..<Limits.pages {
      let (result, _) = try await ask(
        "tools/list", cursor.map { ["cursor": .string($0)] } ?? [:], target, session, timeout: timeout)
      guard case .list(let page)? = result["tools"] else {
        throw HookFailure("invalid_answer", status: 200, "\(target.label) listed no tools")
      }
      for tool in page {
        guard let tool = Self.tool(tool) else {
          logger.debug("a tool was left out", metadata: ["service": "\(target.label)"])
          continue
        }
        tools.append(tool)
      }
      guard tools.count <= Limits.tools else {
        throw HookFailure("too_large", status: 200, "\(target.label) has more than \(Limits.tools) tools")
      }
      cursor = result["nextCursor"]?.stringValue
      if cursor == nil { return ["tools": .list(tools)] }
    }
    throw HookFailure("too_large", status: 200, "\(target.label) has more than \(Limits.pages) pages of tools")
  }

  /// nil for a tool whose name models cannot say.
  private static func tool(_ tool: Value) -> Value? {
    guard let name = tool["name"]?.stringValue, (1...64).contains(name.utf8.count),
      name.utf8.allSatisfy({ byte in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
          || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
      })
    else { return nil }
    var parameters: Value = ["type": "object"]
    if let schema = tool["inputSchema"], case .map = schema { parameters = schema }
    let description = tool["description"]?.stringValue ?? tool["title"]?.stringValue ?? ""
    return [
      "name": .string(name), "description": .string(String(description.prefix(Limits.descriptionCharacters))),
      "parameters": parameters,
    ]
  }

  private func callTool(
    _ name: String, _ arguments: Value, _ target: HookTarget, _ session: Session, timeout: Duration
  ) async throws -> Value {
    let (result, _) = try await ask(
      "tools/call", ["name": .string(name), "arguments": arguments], target, session, timeout: timeout)
    // A tool that failed says so to the model, which may try another way.
    let hasFailed = result["isError"]?.boolValue ?? false
    if let structure = result["structuredContent"], case .map = structure, !hasFailed { return structure }
    var texts: [String] = []
    if case .list(let blocks)? = result["content"] {
      for block in blocks {
        if let text = block["text"]?.stringValue ?? block["resource"]?["text"]?.stringValue
          ?? block["uri"]?.stringValue
        {
          texts.append(text)
        } else if let type = block["type"]?.stringValue {
          texts.append("[\(type)]")
        }
      }
    }
    let text = Value.string(texts.joined(separator: "\n"))
    return hasFailed ? ["text": text, "is_error": true] : ["text": text]
  }

  // MARK: JSON-RPC over HTTP

  /// One request; its result and the headers of the answer.
  private func ask(
    _ method: String, _ params: Value, _ target: HookTarget, _ session: Session?, timeout: Duration
  ) async throws -> (Value, HTTPHeaders) {
    let id = state.withLockedValue { state in
      state.lastID += 1
      return state.lastID
    }
    let message: Value = ["jsonrpc": "2.0", "id": .int(id), "method": .string(method), "params": params]
    let response = try await post(message, target, session, timeout: timeout)
    guard let answer = try await answer(to: id, in: response, target) else {
      throw HookFailure("invalid_answer", status: 200, "\(target.label) did not answer `\(method)`")
    }
    if let error = answer["error"], error != .null {
      let reason = error["message"]?.stringValue ?? "no reason given"
      throw HookFailure("tool_error", status: 200, "\(target.label) refused `\(method)`: \(reason.prefix(200))")
    }
    guard let result = answer["result"], case .map = result else {
      throw HookFailure("invalid_answer", status: 200, "\(target.label) answered `\(method)` without a result")
    }
    return (result, response.headers)
  }

  private func post(
    _ message: Value, _ target: HookTarget, _ session: Session?, timeout: Duration
  ) async throws -> HTTPClientResponse {
    let began = Instant.monotonic()
    var request = HTTPClientRequest(url: target.url)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/json")
    request.headers.add(name: "Accept", value: "application/json, text/event-stream")
    request.headers.add(name: "User-Agent", value: "Parley")
    if let session {
      request.headers.replaceOrAdd(name: "MCP-Protocol-Version", value: session.revision)
      if !session.id.isEmpty { request.headers.replaceOrAdd(name: "Mcp-Session-Id", value: session.id) }
    }
    var status = 0
    defer {
      metrics.integrationRequests.with(target.label, "POST", String(status)).add()
      metrics.integrationLatency.with(target.label, "POST").observe(Instant.monotonic() - began)
    }
    let response = try await client.send(request, body: JSON.encode(message), to: target, timeout: timeout)
    status = Int(response.status.code)
    if status == 404, let session, !session.id.isEmpty { throw SessionLost() }
    guard (200..<300).contains(status) else { throw HookFailure(response, target.label) }
    return response
  }

  /// The message with this id; nil where the body ends without it. Others, such as progress, are passed over.
  private func answer(to id: Int64, in response: HTTPClientResponse, _ target: HookTarget) async throws -> Value? {
    let type = response.headers.first(name: "Content-Type")?.lowercased() ?? ""
    guard type.hasPrefix("text/event-stream") else {
      return find(id, try decode(try await response.bytes(upTo: Limits.answerBytes, target.label), target))
    }
    var reader = EventStreamReader(limit: Limits.answerBytes)
    var size = 0
    let tooLarge = HookFailure(
      "too_large", status: 200, "\(target.label) answered with more than \(Limits.answerBytes) bytes")
    do {
      for try await part in response.body {
        size += part.readableBytes
        if size > Limits.answerBytes { throw tooLarge }
        for event in try reader.add(part.readableBytesView) {
          if let answer = find(id, try decode(event, target)) { return answer }
        }
      }
      for event in try reader.end() {
        if let answer = find(id, try decode(event, target)) { return answer }
      }
    } catch is EventStreamReader.TooLarge {
      throw tooLarge
    }
    return nil
  }

  private func decode(_ bytes: [UInt8], _ target: HookTarget) throws(HookFailure) -> Value {
    do {
      return try JSON.decode(bytes)
    } catch {
      throw HookFailure("invalid_answer", status: 200, "\(target.label) answered no JSON: \(error)")
    }
  }

  /// `message`, or one of a batch (revision 2025-03-26), if it answers `id`.
  private func find(_ id: Int64, _ message: Value) -> Value? {
    let candidates: [Value]
    if case .list(let batch) = message { candidates = batch } else { candidates = [message] }
    return candidates.first { $0["id"]?.intValue == id && $0["method"] == nil }
  }
}
