import Base
import Dialogs
import Telemetry

/// Asks a language model and streams what it says. Safe to use from any thread.
public protocol ModelService: Sendable {
  /// Starts one request; its events come as the model streams. The stream ends after ``ModelEvent/finished(reason:tokens:)``
  /// or ``ModelEvent/failed(error:message:)``, exactly one of which comes, last. Ending the iteration cancels the request.
  func answer(_ request: ModelRequest, session: SessionID) -> AsyncStream<ModelEvent>

  /// The same as a part of a trace, which the request carries on.
  func answer(_ request: ModelRequest, session: SessionID, trace: TraceContext?) -> AsyncStream<ModelEvent>

  /// The whole answer as the model wrote it, for uses without a listener: a summary or a review after the call. Tools of the
  /// request are not offered to the model.
  func complete(_ request: ModelRequest, session: SessionID) async -> ModelCompletion
}

extension ModelService {
  public func answer(_ request: ModelRequest, session: SessionID, trace: TraceContext?) -> AsyncStream<ModelEvent> {
    answer(request, session: session)
  }
}

/// One thing that comes of a request to a language model.
public enum ModelEvent: Sendable, Hashable {
  /// One whole sentence, or a piece of a long one, as it can be spoken: without markdown and emoji.
  case sentence(String)
  /// The model asks for a tool; its arguments are complete.
  case toolCall(ModelToolCall)
  /// The answer is complete: `reason` is stop, length, tool_calls or content_filter.
  /// - Parameter tokens: of the answer, as the server counts them; 0 where it does not say.
  case finished(reason: String, tokens: Int)
  /// No (further) answer; what came before stands. `error` is timeout, unreachable, status, invalid_answer or empty.
  case failed(error: String, message: String)
}

/// What came of ``ModelService/complete(_:session:)``; the members are those of ``ModelEvent``.
public enum ModelCompletion: Sendable, Hashable {
  case text(String, tokens: Int)
  case failed(error: String, message: String)
}

/// Stands where no model is configured: every request fails at once.
public struct NoModelService: ModelService {
  public init() {}

  public func answer(_ request: ModelRequest, session: SessionID) -> AsyncStream<ModelEvent> {
    AsyncStream { continuation in
      continuation.yield(.failed(error: Self.error, message: Self.message))
      continuation.finish()
    }
  }

  public func complete(_ request: ModelRequest, session: SessionID) async -> ModelCompletion {
    .failed(error: Self.error, message: Self.message)
  }

  private static let error = "unreachable"
  private static let message = "no language model is configured (runtime.llm.url)"
}
