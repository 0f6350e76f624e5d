import Base

/// What a scripted language model answers to one request.
public struct ModelScript: Sendable {
  public enum Step: Sendable {
    /// One chunk with these words.
    case text(String)
    /// One chunk per piece of the arguments; the first carries id and name.
    case toolCall(index: Int, id: String, name: String, arguments: [String])
    case finish(String)
    case usage(Int)
    /// `[DONE]`
    case done
    /// Any other chunk.
    case chunk(Value)
    /// Bytes as they are, server-sent events or not.
    case raw([UInt8])
    case pause(Duration)
    case hang
    case close
  }
  public var status: Int
  public var headers: [(String, String)]
  /// The body of an error, or of a whole answer; takes the place of `steps` where it is not empty.
  public var body: String
  public var steps: [Step]

  public init(
    status: Int = 200, headers: [(String, String)] = [("Content-Type", "text/event-stream")], body: String = "",
    steps: [Step] = []
  ) {
    self.status = status
    self.headers = headers
    self.body = body
    self.steps = steps
  }

  /// Streams `deltas` and ends properly.
  public static func says(_ deltas: String..., tokens: Int = 7) -> ModelScript {
    ModelScript(steps: deltas.map { .text($0) } + [.finish("stop"), .usage(tokens), .done])
  }

  /// Asks for one tool, its arguments in two pieces, after `text`.
  public static func calls(_ name: String, _ arguments: Value, id: String = "call_a", saying text: String = "")
    -> ModelScript
  {
    let json = JSON.encode(arguments)
    let middle = json.index(json.startIndex, offsetBy: json.count / 2)
    let call = Step.toolCall(
      index: 0, id: id, name: name, arguments: ["", String(json[..<middle]), String(json[middle...])])
    return ModelScript(steps: (text.isEmpty ? [] : [.text(text)]) + [call, .finish("tool_calls"), .usage(9), .done])
  }

  /// An error before any answer.
  public static func refuses(_ status: Int, _ headers: [(String, String)] = []) -> ModelScript {
    ModelScript(
      status: status, headers: headers + [("Content-Type", "application/json")],
      body: "{\"error\":{\"message\":\"scripted\",\"type\":\"scripted\"}}")
  }

  /// Takes the request and says nothing, not even a status.
  public static let hangs = ModelScript(status: 0, steps: [.hang])

  var answer: [ScriptedHTTPServer.Step] {
    if !body.isEmpty { return ScriptedHTTPServer.Step.answer(status, body, headers) }
    return (status == 0 ? [] : [.head(status, headers)]) + steps.flatMap(Self.bytes)
  }

  private static func bytes(_ step: Step) -> [ScriptedHTTPServer.Step] {
    func event(_ chunk: Value) -> ScriptedHTTPServer.Step { .text("data: \(JSON.encode(chunk))\n\n") }
    func delta(_ delta: Value) -> ScriptedHTTPServer.Step {
      event([
        "id": "chatcmpl-1", "object": "chat.completion.chunk",
        "choices": [["index": 0, "delta": delta, "finish_reason": nil]],
      ])
    }
    switch step {
    case .text(let text): return [delta(["content": .string(text)])]
    case .toolCall(let index, let id, let name, let pieces):
      return pieces.enumerated().map { at, piece in
        var call: [String: Value] = ["index": .int(Int64(index)), "function": ["arguments": .string(piece)]]
        if at == 0 {
          call["id"] = .string(id)
          call["type"] = "function"
          call["function"] = ["name": .string(name), "arguments": .string(piece)]
        }
        return delta(["tool_calls": [.map(call)]])
      }
    case .finish(let reason):
      return [event(["choices": [["index": 0, "delta": [:], "finish_reason": .string(reason)]]])]
    case .usage(let tokens):
      return [event(["choices": [], "usage": ["completion_tokens": .int(Int64(tokens)), "prompt_tokens": 1]])]
    case .done: return [.text("data: [DONE]\n\n")]
    case .chunk(let chunk): return [event(chunk)]
    case .raw(let bytes): return [.bytes(bytes)]
    case .pause(let duration): return [.pause(duration)]
    case .hang: return [.hang]
    case .close: return [.close]
    }
  }
}

/// An OpenAI-compatible server that answers chat completions from a script, and embeddings by a fixed rule.
public final class ScriptedModelServer: Sendable {
  public let http: ScriptedHTTPServer
  /// Of one embedding.
  public static let dimensions = 64

  /// - Parameter script: from the body of a request to its answer; called once for each, in order.
  public init(_ script: @escaping @Sendable (Value) -> ModelScript) {
    http = ScriptedHTTPServer { request in
      let path = request.uri.split(separator: "?").first.map(String.init) ?? ""
      if path.hasSuffix("/chat/completions") { return script(request.json).answer }
      if path.hasSuffix("/embeddings") { return Self.embed(request.json) }
      if path.hasSuffix("/models") {
        return ScriptedHTTPServer.Step.answer(
          200, "{\"object\":\"list\",\"data\":[{\"id\":\"scripted\",\"object\":\"model\"}]}",
          [("Content-Type", "application/json")])
      }
      return ScriptedHTTPServer.Step.answer(404, "{\"error\":{\"message\":\"no such path\"}}")
    }
  }

  /// One script after the other; the last is repeated for ever.
  public convenience init(_ scripts: [ModelScript]) {
    let order = ScriptOrder(scripts)
    self.init { _ in order.next() }
  }

  /// Listens; returns the address for `runtime.llm.url`.
  public func start(port: Int = 0) async throws -> String {
    "http://127.0.0.1:\(try await http.start(port: port))/v1"
  }

  public func stop() async { await http.stop() }

  /// The bodies of the chat completions that were asked for.
  public var conversations: [Value] {
    http.requests.filter { $0.uri.hasSuffix("/chat/completions") }.map(\.json)
  }

  /// Waits until `count` requests of any kind have come.
  public func requests(_ count: Int) async { await http.requests(count) }

  // MARK: Embeddings

  private static func embed(_ request: Value) -> [ScriptedHTTPServer.Step] {
    let inputs: [Value]
    switch request["input"] {
    case .list(let list): inputs = list
    case .some(let one): inputs = [one]
    case nil: inputs = []
    }
    let data = inputs.enumerated().map { at, input -> Value in
      [
        "object": "embedding", "index": .int(Int64(at)),
        "embedding": .list(vector(input.stringValue ?? "").map { .double($0) }),
      ]
    }
    return ScriptedHTTPServer.Step.answer(
      200, JSON.encode(["object": "list", "data": .list(data), "usage": ["prompt_tokens": 1, "total_tokens": 1]]),
      [("Content-Type", "application/json")])
  }

  /// Counts words into ``dimensions`` boxes and scales to length 1: texts that share words are near each other, always alike.
  public static func vector(_ text: String) -> [Double] {
    var boxes = [Double](repeating: 0, count: dimensions)
    for word in text.lowercased().split(whereSeparator: { !$0.isLetter && !$0.isNumber }) {
      // FNV-1a, because Swift's own hash differs from run to run.
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for byte in word.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      boxes[Int(hash % UInt64(dimensions))] += 1
    }
    let length = boxes.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return length == 0 ? boxes : boxes.map { $0 / length }
  }
}
