import Base
import Dialogs

/// The model's side of a call.
extension Call {
  var requests: [ModelRequest] {
    actions.compactMap { if case .askModel(let request) = $0 { request } else { nil } }
  }
  var cancelled: [ModelToken] {
    actions.compactMap { if case .cancelModel(let token) = $0 { token } else { nil } }
  }
  /// `role: text` of everything that joined the context.
  var messages: [String] {
    actions.compactMap {
      if case .trace(.agentMessage(_, let role, let text, _)) = $0 { "\(role): \(text)" } else { nil }
    }
  }
  var toolOutcomes: [String] {
    actions.compactMap {
      if case .trace(.toolCalled(_, let tool, _, let outcome)) = $0 { "\(tool) \(outcome)" } else { nil }
    }
  }

  mutating func modelSays(_ sentences: String..., finishes: Bool = true) {
    guard let token = requests.last?.token else { return }
    for sentence in sentences { give(.modelSentence(token, sentence)) }
    if finishes { give(.modelFinished(token, reason: "stop", tokens: 9)) }
  }

  mutating func modelCalls(_ calls: (name: String, arguments: String)...) {
    guard let token = requests.last?.token else { return }
    for (i, call) in calls.enumerated() {
      give(.modelToolCall(token, ModelToolCall(id: "c\(token.value)-\(i)", name: call.name, arguments: call.arguments)))
    }
    give(.modelFinished(token, reason: "tool_calls", tokens: 9))
  }
}

/// The context as text, without the instructions.
func context(_ request: ModelRequest?) -> [String] {
  (request?.messages ?? []).compactMap {
    switch $0 {
    case .system: nil
    case .user(let text): "user: \(text)"
    case .assistant(let text, let calls): "assistant: \(text)\(calls.isEmpty ? "" : " +\(calls.map(\.name))")"
    case .tool(_, let content): "tool: \(content)"
    }
  }
}
