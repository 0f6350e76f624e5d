import Base
import Dialogs

/// Reads the body of a streamed chat completion: server-sent events whose data are `chat.completion.chunk` objects, ended by
/// `[DONE]`. Reads a whole `chat.completion` too, for servers that do not stream.
///
/// A value that owns no socket: bytes in, events out. Everything is bounded; what is over a bound is an error.
public struct ChatStreamParser: Sendable {
  /// What an answer may hold. Spoken answers are a few hundred words; these stop a server that never ends.
  public enum Limits {
    public static let bytes = 4 << 20
    public static let eventBytes = 256 << 10
    public static let textBytes = 64 << 10
    public static let toolCalls = 16
    public static let argumentBytes = 64 << 10
    public static let nameBytes = 256
  }

  public enum Event: Hashable, Sendable {
    /// The next words.
    case text(String)
    /// A tool with its whole arguments; comes when the model has finished.
    case toolCall(ModelToolCall)
    /// The model has finished; usage may still follow.
    case finished(reason: String)
    /// Tokens of the answer.
    case usage(tokens: Int)
    /// Nothing follows.
    case done
    /// The body is no answer, or none any more; nothing follows.
    case failed(Failure)
  }

  /// Why the body is no answer.
  public enum Failure: Error, Hashable, Sendable {
    /// The server says so itself, in the middle of its stream.
    case refused(String)
    case invalid(String)
    case tooLarge(String)
  }

  private var bytes = 0
  private var stream = EventStreamReader(limit: Limits.eventBytes)

  private var textBytes = 0
  private var calls: [PartialCall] = []
  private var hasFinished = false
  private var isDone = false
  private var hasChunk = false

  private struct PartialCall: Sendable {
    var index: Int64?
    var id = ""
    var name = ""
    var arguments = ""
  }

  public init() {}

  /// Takes the next bytes of the body. What came whole before a failure is still told.
  public mutating func add(_ part: some Collection<UInt8>) -> [Event] {
    bytes += part.count
    if bytes > Limits.bytes { return [.failed(.tooLarge("more than \(Limits.bytes) bytes"))] }
    do {
      return read(try stream.add(part))
    } catch {
      return [.failed(Self.tooLarge)]
    }
  }

  /// The body has ended. Some servers end without a blank line, without `[DONE]`, or without both.
  public mutating func end() -> [Event] {
    var events: [Event]
    do {
      events = read(try stream.end())
    } catch {
      return [.failed(Self.tooLarge)]
    }
    if isDone { return events }
    isDone = true
    if !hasChunk {
      events.append(.failed(.invalid("the body holds no chunk of an answer")))
    } else if !hasFinished {
      events.append(.failed(.invalid("the answer broke off")))
    } else {
      events.append(.done)
    }
    return events
  }

  private static let tooLarge = Failure.tooLarge("an event of more than \(Limits.eventBytes) bytes")

  /// Reads a body that is one `chat.completion`.
  public static func readWhole(_ body: [UInt8]) -> [Event] {
    var parser = ChatStreamParser()
    var events: [Event] = []
    do {
      try parser.read(parser.decode(body), &events)
    } catch {
      return [.failed(error)]
    }
    if !parser.hasFinished { parser.finish("stop", &events) }
    return events + [.done]
  }

  // MARK: Chunks

  private mutating func read(_ stream: [[UInt8]]) -> [Event] {
    var events: [Event] = []
    for data in stream where !isDone {
      let text = data.drop { $0 == 0x20 || $0 == 0x0A }
      if text.isEmpty { continue }
      if text.elementsEqual("[DONE]".utf8) {
        if !hasFinished { finish("stop", &events) }
        isDone = true
        events.append(.done)
        continue
      }
      do {
        try read(decode(data), &events)
      } catch {
        isDone = true
        events.append(.failed(error))
      }
    }
    return events
  }

  private func decode(_ bytes: [UInt8]) throws(Failure) -> Value {
    do {
      return try JSON.decode(bytes)
    } catch {
      throw .invalid("a part of the answer is no JSON: \(error.reason)")
    }
  }

  private mutating func read(_ chunk: Value, _ events: inout [Event]) throws(Failure) {
    guard case .map = chunk else { throw .invalid("a part of the answer is no JSON object") }
    if let error = chunk["error"], error != .null {
      throw .refused(String((error["message"]?.stringValue ?? error.stringValue ?? "no reason given").prefix(200)))
    }
    hasChunk = true
    if case .list(let choices)? = chunk["choices"], let choice = choices.first {
      // A second choice was not asked for.
      try read(choice: choice, &events)
    }
    if let tokens = chunk["usage"]?["completion_tokens"]?.intValue, tokens >= 0 {
      events.append(.usage(tokens: Int(min(tokens, Int64(Int32.max)))))
    }
  }

  private mutating func read(choice: Value, _ events: inout [Event]) throws(Failure) {
    if let delta = choice["delta"] ?? choice["message"] {
      for member in ["content", "refusal"] {
        guard let text = delta[member]?.stringValue, !text.isEmpty else { continue }
        textBytes += text.utf8.count
        if textBytes > Limits.textBytes { throw .tooLarge("more than \(Limits.textBytes) bytes of text") }
        events.append(.text(text))
      }
      if case .list(let parts)? = delta["tool_calls"] {
        for part in parts { try read(toolCall: part) }
      }
    }
    if let reason = choice["finish_reason"]?.stringValue, !hasFinished {
      finish(reason, &events)
    }
  }

  /// A call comes in pieces: first its identity, then its arguments bit by bit, all with its index. Servers that send calls
  /// whole often leave the index out.
  private mutating func read(toolCall part: Value) throws(Failure) {
    let id = part["id"]?.stringValue ?? ""
    let name = part["function"]?["name"]?.stringValue ?? ""
    let index = part["index"]?.intValue
    let at: Int
    if let index, let found = calls.firstIndex(where: { $0.index == index }) {
      at = found
    } else if index == nil, id.isEmpty, name.isEmpty, !calls.isEmpty {
      at = calls.count - 1
    } else {
      guard calls.count < Limits.toolCalls else { throw .tooLarge("more than \(Limits.toolCalls) tool calls") }
      calls.append(PartialCall(index: index))
      at = calls.count - 1
    }
    if calls[at].id.isEmpty { calls[at].id = id }
    // Some repeat the name in every piece, none splits it.
    if calls[at].name.isEmpty { calls[at].name = name }
    switch part["function"]?["arguments"] {
    case .string(let text): calls[at].arguments += text
    case .map(let map): calls[at].arguments = JSON.encode(.map(map))
    default: break
    }
    if calls[at].arguments.utf8.count > Limits.argumentBytes {
      throw .tooLarge("a tool call with more than \(Limits.argumentBytes) bytes of arguments")
    }
    if max(calls[at].id.utf8.count, calls[at].name.utf8.count) > Limits.nameBytes {
      throw .tooLarge("a tool call with a name of more than \(Limits.nameBytes) bytes")
    }
  }

  private mutating func finish(_ reason: String, _ events: inout [Event]) {
    hasFinished = true
    for (at, call) in calls.enumerated() {
      events.append(
        .toolCall(
          ModelToolCall(
            id: call.id.isEmpty ? "call_\(at + 1)" : call.id, name: call.name,
            arguments: call.arguments.isEmpty ? "{}" : call.arguments)))
    }
    calls = []
    events.append(.finished(reason: String(reason.prefix(64))))
  }
}
