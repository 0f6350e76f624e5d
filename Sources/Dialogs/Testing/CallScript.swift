import Base

extension DialogTrace {
  /// Whether a failure's code speaks of the caller, a backend or a model, not of a mistake in the dialog.
  static func isOfTheWorld(_ code: String) -> Bool {
    ["no_input", "no_match", "model", "tool", "tools", "knowledge", "agent_limit", "playback", "transfer"].contains(
      code)
  }
}

/// What the world around a dialog answers in a test: backends and the language model.
public struct CallScript: Sendable {
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
  /// Makes up what is not written down; nil: it fails.
  var improvisation: SeededRandom?
  private var used: [String: Int] = [:]
  private var modelUsed = 0

  public init(hooks: [String: [HookAnswer]] = [:], model: [ModelAnswer] = []) {
    self.hooks = hooks
    self.model = model
  }

  /// The next answer to such a hook; nil where none is written down.
  mutating func answer(to hook: DialogHook) -> HookAnswer? {
    guard let key = Self.keys(of: hook).first(where: { hooks[$0]?.isEmpty == false }), let answers = hooks[key] else {
      return improviseHook(hook)
    }
    let index = min(used[key, default: 0], answers.count - 1)
    used[key] = index + 1
    return answers[index]
  }

  /// The next answer of the model; nil where all have been given.
  mutating func nextModelAnswer(to request: ModelRequest) -> ModelAnswer? {
    guard modelUsed < model.count else { return improviseModel(request) }
    modelUsed += 1
    return model[modelUsed - 1]
  }

  private mutating func improviseHook(_ hook: DialogHook) -> HookAnswer? {
    guard var random = improvisation else { return nil }
    defer { improvisation = random }
    let delay = Duration.milliseconds(Int64.random(in: 0...1_500, using: &random))
    switch Int.random(in: 0..<10, using: &random) {
    case 0: return HookAnswer(.error("timeout", status: 0, message: "made up"), delay: delay)
    case 1: return HookAnswer(.error("status", status: 500, message: "made up"), delay: delay)
    case 2: return HookAnswer(.answer(.map([:])), delay: delay)
    default: return HookAnswer(.answer(["data": .map([:])]), delay: delay)
    }
  }

  mutating func improviseTransfer() -> (status: String, delay: Duration)? {
    guard var random = improvisation else { return nil }
    defer { improvisation = random }
    let status = ["connected", "connected", "busy", "no_answer", "failed"].randomElement(using: &random) ?? "failed"
    return (status, .milliseconds(Int64.random(in: 500...20_000, using: &random)))
  }

  private mutating func improviseModel(_ request: ModelRequest) -> ModelAnswer? {
    guard var random = improvisation else { return nil }
    defer { improvisation = random }
    let delay = Duration.milliseconds(Int64.random(in: 0...1_500, using: &random))
    let roll = Int.random(in: 0..<20, using: &random)
    if roll < 7, let tool = request.tools.randomElement(using: &random) {
      let arguments = Self.example(of: tool.parameters, using: &random)
      return ModelAnswer(
        text: roll < 3 ? "Let me see." : "", calls: [ModelCall(name: tool.name, arguments: arguments)], delay: delay)
    }
    switch roll {
    case 7: return ModelAnswer(text: "Well,", failure: "timeout", delay: delay)
    case 8: return ModelAnswer(failure: "unreachable", delay: delay)
    case 9: return ModelAnswer(calls: [ModelCall(name: "no_such_tool", arguments: .map([:]))], delay: delay)
    case 10: return ModelAnswer(delay: delay)
    default: return ModelAnswer(text: "I see. What else can I do for you?", delay: delay)
    }
  }

  /// Something that fits a JSON Schema, as far as tools use it.
  private static func example(of schema: Value, using random: inout SeededRandom, depth: Int = 0) -> Value {
    if case .list(let choices)? = schema["enum"], let choice = choices.randomElement(using: &random) { return choice }
    guard depth < 8 else { return .null }
    switch schema["type"]?.stringValue {
    case "string": return .string(["gold", "monday", "4711", ""].randomElement(using: &random) ?? "")
    case "integer": return .int(Int64.random(in: 0...20, using: &random))
    case "number": return .double(Double(Int.random(in: 0...200, using: &random)) / 10)
    case "boolean": return .bool(Bool.random(using: &random))
    case "array": return .list([example(of: schema["items"] ?? .null, using: &random, depth: depth + 1)])
    case "object":
      guard case .map(let properties)? = schema["properties"] else { return .map([:]) }
      var members: [String: Value] = [:]
      for name in properties.keys.sorted() {
        members[name] = example(of: properties[name] ?? .null, using: &random, depth: depth + 1)
      }
      return .map(members)
    default: return "something"
    }
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
