import Base

/// What a language model and the caller have to do with each other in one agent state: the context, the request under way,
/// and what is still to be said. Pure data; ``DialogSession`` moves it.
struct AgentTalk: Sendable {
  /// One sentence on its way to the caller.
  struct Piece: Sendable, Hashable {
    var id: PlaybackID
    var text: String
    /// What reached the caller; nil while it plays or waits.
    var heard: String?
  }

  /// An answer of the model under way: from the request to its end.
  struct Request: Sendable, Hashable {
    var token: ModelToken
    /// The owner's answer is given up then; every piece of an answer moves it on.
    var deadline: Instant
  }

  /// What the model asked for and has not been told yet.
  struct ToolCall: Sendable, Hashable {
    var call: ModelToolCall
    var arguments: Value
    /// The result; nil while it is waited for.
    var result: String?
    /// Keys of the caller are the result.
    var collects = false
  }

  /// A tool of an MCP server.
  struct Offered: Sendable, Hashable {
    /// The number of the dialog's tool it belongs to.
    var tool: Int
    var model: ModelTool
  }

  /// How the state is left as soon as everything is said.
  enum WayOut: Sendable, Hashable {
    case exit(Int, data: Value)
    case fallback(code: String, message: String)
  }

  /// The instructions, as the model gets them.
  var prompt = ""
  /// Without the instructions, oldest first.
  var messages: [ModelMessage] = []
  /// The state's own actions are done, and the conversation is on.
  var hasBegun = false
  /// What the caller did since the last request: user messages to come.
  var words: [String] = []
  /// The caller, or a tool's result, is owed an answer.
  var owesAnswer = false
  var request: Request?
  /// The sentences of the last answer.
  var pieces: [Piece] = []
  /// Where the last answer stands in `messages`; nil where it is not there.
  var answerAt: Int?
  /// The last answer has joined the context and the record.
  var isRecorded = true
  /// What the model asked for in the answer that is under way.
  var calls: [ModelToolCall] = []
  var tools: [ToolCall] = []
  var offered: [Offered] = []
  /// Passages of the documents for the caller's last words; nil: not looked up.
  var passages: String?
  var isLookingUp = false
  var listsPending = 0
  /// Answers to the caller so far, requests for the present one, and answers in a row that called tools wrongly.
  var turns = 0
  var rounds = 0
  var mistakes = 0
  var askedAboutSilence = false
  /// The end of `max_duration`; nil before the conversation has begun.
  var endsAt: Instant?
  var fillerDue: Instant?
  var nextFiller = 0
  var wayOut: WayOut?
  /// The exit that the event `agent_exit` is about.
  var exit: Int?

  /// It is not the caller's turn: an answer is under way, or is about to be.
  var isBusy: Bool {
    request != nil || owesAnswer && hasBegun || isLookingUp || listsPending > 0 || wayOut != nil
      || tools.contains { $0.result == nil && !$0.collects }
  }

  var waitsForTools: Bool { tools.contains { $0.result == nil } }

  // MARK: Context

  /// Instructions and messages together, in characters: what a telephone call of half an hour needs, and what small models
  /// can take.
  static let contextLimit = 24_000
  /// Of one message of a caller, a tool or a document.
  static let messageLimit = 4_000
  /// Of one sentence; the voice would take minutes for more.
  static let sentenceLimit = 4_000
  /// Sentences of one answer.
  static let pieceLimit = 100
  /// Requests for one answer to the caller: a model that keeps calling tools comes to no end.
  static let roundLimit = 8
  /// Tool calls of one answer.
  static let callLimit = 8
  /// Answers in a row whose tool calls were all wrong.
  static let mistakeLimit = 3
  /// Tools of MCP servers in one state.
  static let offerLimit = 64

  /// Adds the caller's words; a second message in a row joins the first, because some models insist on turns.
  mutating func addUser(_ text: String) {
    if case .user(let earlier)? = messages.last {
      // The last words matter most.
      messages[messages.count - 1] = .user(String((earlier + "\n" + Self.cut(text)).suffix(Self.messageLimit)))
    } else {
      messages.append(.user(Self.cut(text)))
    }
    keepWithinLimit()
  }

  mutating func addTool(_ call: ModelToolCall, _ result: String) {
    messages.append(.tool(callID: call.id, content: Self.cut(result)))
    keepWithinLimit()
  }

  /// What reached the caller of the last answer: sentences that are still to come count as heard.
  var heard: String {
    pieces.map { $0.heard ?? $0.text }.filter { !$0.isEmpty }.joined(separator: " ")
  }

  /// Puts the last answer into the context. One of which nothing was heard is left out.
  mutating func addAnswer(calls: [ModelToolCall]) {
    let text = heard
    guard !text.isEmpty || !calls.isEmpty else { return }
    messages.append(.assistant(text, calls: calls))
    answerAt = messages.count - 1
    keepWithinLimit()
  }

  /// Less of it was heard than it seemed when it joined the context.
  mutating func correctAnswer() {
    guard let at = answerAt, messages.indices.contains(at), case .assistant(_, let calls) = messages[at] else { return }
    messages[at] = .assistant(heard, calls: calls)
  }

  /// Forgets whole exchanges, the oldest first; an exchange begins with a message of the caller. Where one alone is too
  /// long, what its tools said first is shortened.
  private mutating func keepWithinLimit() {
    var size = prompt.count + messages.reduce(0) { $0 + $1.size }
    while size > Self.contextLimit {
      guard let next = messages.indices.dropFirst().first(where: { messages[$0].isUser }) else { break }
      for message in messages[..<next] { size -= message.size }
      messages.removeSubrange(..<next)
      answerAt = answerAt.flatMap { $0 >= next ? $0 - next : nil }
    }
    for i in messages.indices where size > Self.contextLimit {
      guard case .tool(let id, let content) = messages[i], content.count > 200 else { continue }
      size -= content.count - 200
      messages[i] = .tool(callID: id, content: String(content.prefix(199)) + "…")
    }
  }

  static func cut(_ text: String) -> String {
    text.utf8.count <= messageLimit || text.count <= messageLimit ? text : String(text.prefix(messageLimit - 1)) + "…"
  }
}

extension ModelMessage {
  /// In characters, as far as they count.
  var size: Int {
    switch self {
    case .system(let text), .user(let text), .tool(_, let text): text.count
    case .assistant(let text, let calls): text.count + calls.reduce(0) { $0 + $1.arguments.count }
    }
  }

  var isUser: Bool { if case .user = self { true } else { false } }
}
