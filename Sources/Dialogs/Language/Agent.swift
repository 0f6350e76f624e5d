import Base

/// A state that a language model leads: `agent:`. The model only speaks, calls the tools listed here, and chooses one of the
/// exits; it never decides what the machine may do.
public struct AgentSettings: Sendable {
  /// The instructions; evaluated when the state is entered.
  public var prompt: Template
  /// Empty: `runtime.llm.model`.
  public var model: String
  public var temperature: Double?
  /// Of one answer.
  public var maxTokens: Int
  public var tools: [AgentTool]
  public var exits: [AgentExit]
  /// Answers of the model to the caller before the fallback.
  public var maxTurns: Int
  /// Time in the state before the fallback.
  public var maxDuration: Duration
  /// How long one answer may take to begin, and to go on; nil: `runtime.llm.timeout`.
  public var timeout: Duration?
  /// The state for a model that is unreachable, empty or over its limits; nil: the call ends with a spoken apology.
  public var fallback: String?
  /// One of them, in turn, is spoken when an answer takes longer than ``DialogSession/fillerDelay``.
  public var fillers: [Template]
  /// Names of documents to answer from.
  public var knowledge: [String]
  public var position: SourcePosition

  public static let defaultMaxTurns = 12
  public static let defaultMaxDuration: Duration = .seconds(180)
  public static let defaultMaxTokens = 400
}

/// Something the model may ask for.
public struct AgentTool: Sendable {
  public enum Work: Sendable {
    /// The customer's backend answers; the arguments become the hook's payload.
    case hook(HookStep)
    /// `builtin: collect_digits`
    case collectDigits(CollectStep)
    /// `builtin: search_knowledge`: looks into ``AgentSettings/knowledge`` for a query of the model's own.
    case searchKnowledge
    /// The tools of an MCP server, a name of `integration.services`. Their names and parameters come from the server when
    /// the state is entered; `allow` (empty: all) says which of them the model may see.
    case mcp(service: String, allow: [String])
  }
  /// Letters, digits, `_` and `-`, at most 64; empty for `mcp`.
  public var name: String
  public var description: String
  /// JSON Schema of the arguments: an object.
  public var parameters: Value
  public var work: Work
  public var position: SourcePosition
}

/// A way out of an agent state: the model calls it like a tool, and the machine goes.
public struct AgentExit: Sendable {
  public var name: String
  public var description: String
  /// What the model has to hand over, by name; JSON Schema of the whole object. Each becomes the declared variable of its
  /// name, and all of them `data` of the event `agent_exit`.
  public var extract: Value
  public var target: String
  public var position: SourcePosition
}

/// What is kept of a call when it is over: `outcome:`.
public struct OutcomeSettings: Sendable {
  /// A word for reports, such as `resolved`; empty: as the call ended (`completed`, `failed` ...).
  public var disposition: Template
  /// Empty: none, unless `summarize` is set.
  public var summary: Template
  public var tags: [Template]
  /// Variables whose last values belong to the outcome.
  public var variables: [String]
  /// Whether the language model writes the summary from the transcript after the call.
  public var summarize: Bool
  /// Instructions for a review of the call by the language model after its end; nil: none.
  public var review: ReviewSettings?
}

/// `outcome.review`: what a language model looks for in the transcript after the call.
public struct ReviewSettings: Hashable, Sendable {
  public var prompt: String
  /// Empty: `runtime.llm.model`.
  public var model: String
  /// Names of what is scored from 0 to 10.
  public var criteria: [String]
}
