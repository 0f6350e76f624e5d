import Base

/// What the world around a dialog answers in a test: backends and the language model.
public struct CallScript: Sendable, Hashable {
  /// One answer of a backend.
  public struct HookAnswer: Sendable, Hashable {
    public enum Outcome: Sendable, Hashable {
      case answer(Value)
      case error(String, status: Int, message: String)
    }
    public var outcome: Outcome
    public var delay: Duration

    public init(_ outcome: Outcome, delay: Duration = .zero) {
      self.outcome = outcome
      self.delay = delay
    }
  }

  /// One answer of the language model: what it says, what it asks for, and whether it breaks off.
  public struct ModelAnswer: Sendable, Hashable {
    public var text: String
    public var calls: [ModelCall]
    /// timeout, unreachable, status, invalid_answer or empty; nil: the answer is complete.
    public var failure: String?
    public var delay: Duration

    public init(text: String = "", calls: [ModelCall] = [], failure: String? = nil, delay: Duration = .zero) {
      self.text = text
      self.calls = calls
      self.failure = failure
      self.delay = delay
    }

    /// What the client of the model would say, in order.
    func inputs(for token: ModelToken) -> [DialogInput] {
      var inputs = VirtualCall.sentences(of: text).map { DialogInput.modelSentence(token, $0) }
      for (index, call) in calls.enumerated() {
        let asked = ModelToolCall(
          id: "\(token)-\(index + 1)", name: call.name, arguments: JSON.encode(call.arguments))
        inputs.append(.modelToolCall(token, asked))
      }
      if let failure {
        inputs.append(.modelFailed(token, error: failure, message: "as the test says"))
      } else {
        let reason = calls.isEmpty ? "stop" : "tool_calls"
        inputs.append(.modelFinished(token, reason: reason, tokens: max(1, text.utf8.count / 4)))
      }
      return inputs
    }
  }

  /// A tool or an exit that the model asks for.
  public struct ModelCall: Sendable, Hashable {
    public var name: String
    public var arguments: Value

    public init(name: String, arguments: Value) {
      self.name = name
      self.arguments = arguments
    }
  }

  /// By `service/path`, `service`, URL, `knowledge` (searches) or `*` (whatever has no answer of its own), in turn; the last
  /// one is given again and again.
  public var hooks: [String: [HookAnswer]]
  /// In turn, for the whole call.
  public var model: [ModelAnswer]
  private var used: [String: Int] = [:]
  private var modelUsed = 0

  public init(hooks: [String: [HookAnswer]] = [:], model: [ModelAnswer] = []) {
    self.hooks = hooks
    self.model = model
  }

  /// The next answer to such a hook; nil where none is written down.
  mutating func answer(to hook: DialogHook) -> HookAnswer? {
    guard let key = Self.keys(of: hook).first(where: { hooks[$0]?.isEmpty == false }), let answers = hooks[key] else {
      return nil
    }
    let index = min(used[key, default: 0], answers.count - 1)
    used[key] = index + 1
    return answers[index]
  }

  /// The next answer of the model; nil where all have been given.
  mutating func nextModelAnswer() -> ModelAnswer? {
    guard modelUsed < model.count else { return nil }
    modelUsed += 1
    return model[modelUsed - 1]
  }

  /// The names that an answer may be written down under, the closest first.
  static func keys(of hook: DialogHook) -> [String] {
    switch hook.kind {
    case .http:
      let path = hook.path.hasPrefix("/") ? hook.path : "/" + hook.path
      return hook.service.isEmpty ? [hook.url, "*"] : [hook.service + path, hook.service, "*"]
    case .callTool(let name, _): return [hook.service + "/" + name, hook.service, "*"]
    case .listTools: return [hook.service, "*"]
    case .searchKnowledge: return ["knowledge", "*"]
    }
  }

  /// How reports name the hook.
  static func name(of hook: DialogHook) -> String {
    switch hook.kind {
    case .searchKnowledge: "knowledge"
    case .http where hook.service.isEmpty: hook.url
    case .http, .callTool, .listTools: keys(of: hook)[0]
    }
  }
}
