import Base
import Dialogs

/// The body of a chat completion request.
enum ChatRequest {
  /// - Parameters:
  ///   - model: empty: the server's own default.
  ///   - stream: whether the answer comes word by word.
  static func body(_ request: ModelRequest, model: String, offersTools: Bool) -> [UInt8] {
    var members: [String: Value] = [
      "messages": .list(request.messages.map(message)), "stream": true, "stream_options": ["include_usage": true],
      "max_tokens": .int(Int64(max(1, request.maxTokens))),
    ]
    if !model.isEmpty { members["model"] = .string(model) }
    if let temperature = request.temperature { members["temperature"] = .double(temperature) }
    if offersTools, !request.tools.isEmpty { members["tools"] = .list(request.tools.map(tool)) }
    var bytes: [UInt8] = []
    JSON.write(.map(members), to: &bytes)
    return bytes
  }

  private static func message(_ message: ModelMessage) -> Value {
    switch message {
    case .system(let text): return ["role": "system", "content": .string(text)]
    case .user(let text): return ["role": "user", "content": .string(text)]
    case .assistant(let text, let calls):
      var members: [String: Value] = [
        "role": "assistant", "content": text.isEmpty && !calls.isEmpty ? nil : .string(text),
      ]
      if !calls.isEmpty { members["tool_calls"] = .list(calls.map(call)) }
      return .map(members)
    case .tool(let id, let content): return ["role": "tool", "tool_call_id": .string(id), "content": .string(content)]
    }
  }

  private static func call(_ call: ModelToolCall) -> Value {
    // Servers put the arguments into their prompt as JSON, and fail on what is none; the model wrote that, so say it empty.
    var arguments = call.arguments
    if case .map? = try? JSON.decode(arguments) {} else { arguments = "{}" }
    return [
      "id": .string(call.id), "type": "function",
      "function": ["name": .string(call.name), "arguments": .string(arguments)],
    ]
  }

  private static func tool(_ tool: ModelTool) -> Value {
    [
      "type": "function",
      "function": [
        "name": .string(tool.name), "description": .string(tool.description), "parameters": tool.parameters,
      ],
    ]
  }
}
