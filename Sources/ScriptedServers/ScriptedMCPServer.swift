import Base
import NIOConcurrencyHelpers

/// A server of tools: Model Context Protocol over streamable HTTP, with a session that a test can make it forget.
public final class ScriptedMCPServer: Sendable {
  /// How answers are sent.
  public enum Style: Sendable {
    case json
    /// Server-sent events, with a notification before the answer.
    case events
  }

  /// What comes of one call of a tool.
  public enum Outcome: Sendable {
    case text(String)
    case structure(Value)
    /// The tool itself failed.
    case failed(String)
    /// The server refuses the call.
    case refused(code: Int, message: String)
    /// These steps of HTTP instead of an answer.
    case steps([ScriptedHTTPServer.Step])
  }

  public let http: ScriptedHTTPServer
  private let sessions: Sessions

  private final class Sessions: Sendable {
    private let state = NIOLockedValueBox<(count: Int, live: Set<String>)>((0, []))
    func begin() -> String {
      state.withLockedValue { state in
        state.count += 1
        state.live.insert("session-\(state.count)")
        return "session-\(state.count)"
      }
    }
    func isLive(_ id: String?) -> Bool { state.withLockedValue { $0.live.contains(id ?? "") } }
    func forgetAll() { state.withLockedValue { $0.live = [] } }
  }

  /// - Parameters:
  ///   - tools: as the protocol names their members: `name`, `description`, `inputSchema`.
  ///   - pageSize: tools on one page of the list.
  ///   - call: name and arguments to the outcome.
  public init(
    tools: [Value], pageSize: Int = 50, style: Style = .json, revision: String = "2025-06-18",
    call: @escaping @Sendable (String, Value) -> Outcome
  ) {
    let sessions = Sessions()
    self.sessions = sessions
    http = ScriptedHTTPServer { request in
      let message = request.json
      let id = message["id"] ?? .null
      func answer(_ member: String, _ value: Value, _ headers: [(String, String)] = []) -> [ScriptedHTTPServer.Step] {
        let json = JSON.encode(.map(["jsonrpc": "2.0", "id": id, member: value]))
        switch style {
        case .json: return ScriptedHTTPServer.Step.answer(200, json, headers + [("Content-Type", "application/json")])
        case .events:
          let progress = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}"
          return [
            .head(200, headers + [("Content-Type", "text/event-stream")]),
            .text("id: 1\nevent: message\ndata: \(progress)\n\n"), .text("event: message\ndata: \(json)\n\n"),
          ]
        }
      }
      let method = message["method"]?.stringValue ?? ""
      if method == "initialize" {
        return answer(
          "result",
          [
            "protocolVersion": .string(revision), "capabilities": ["tools": [:]],
            "serverInfo": ["name": "scripted", "version": "1"],
          ], [("Mcp-Session-Id", sessions.begin())])
      }
      guard sessions.isLive(request.header("Mcp-Session-Id")) else { return ScriptedHTTPServer.Step.answer(404, "") }
      switch method {
      case "notifications/initialized": return ScriptedHTTPServer.Step.answer(202, "")
      case "tools/list":
        let first = message["params"]?["cursor"]?.stringValue.flatMap { Int($0) } ?? 0
        var result: [String: Value] = ["tools": .list(Array(tools.dropFirst(first).prefix(pageSize)))]
        if first + pageSize < tools.count { result["nextCursor"] = .string(String(first + pageSize)) }
        return answer("result", .map(result))
      case "tools/call":
        switch call(message["params"]?["name"]?.stringValue ?? "", message["params"]?["arguments"] ?? .null) {
        case .text(let text): return answer("result", ["content": [["type": "text", "text": .string(text)]]])
        case .structure(let value):
          return answer(
            "result",
            ["content": [["type": "text", "text": .string(JSON.encode(value))]], "structuredContent": value])
        case .failed(let text):
          return answer("result", ["content": [["type": "text", "text": .string(text)]], "isError": true])
        case .refused(let code, let message):
          return answer("error", ["code": .int(Int64(code)), "message": .string(message)])
        case .steps(let steps): return steps
        }
      default: return answer("error", ["code": -32601, "message": "no such method"])
      }
    }
  }

  /// Listens; returns the address for a service of `type: mcp`.
  public func start() async throws -> String { "http://127.0.0.1:\(try await http.start())/mcp" }

  public func stop() async { await http.stop() }

  /// Every session is unknown from now on, as after a restart.
  public func forgetSessions() { sessions.forgetAll() }

  /// The methods that were asked for, in order.
  public var methods: [String] { http.requests.map { $0.json["method"]?.stringValue ?? "" } }
}
