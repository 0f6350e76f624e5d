import Base

/// Why Redis did not do what it was asked, in one sentence. Never holds a password.
public struct RedisError: Error, Sendable, Hashable, CustomStringConvertible {
  /// A closed list, so that a caller can decide.
  public enum Code: Sendable, Hashable {
    /// The server refused: ``RESPError/code`` says as what.
    case refused(String)
    /// The command was never sent.
    case unavailable
    /// The command was sent and no answer came: it may have been carried out.
    case unanswered
    /// Too much waits for the server already. Nothing was sent.
    case overloaded
    /// The server answered what cannot be an answer to this.
    case unexpectedAnswer
    /// The client cannot be made: a certificate that cannot be read.
    case setup
    /// The client was closed.
    case closed
  }
  public var code: Code
  public var description: String

  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }

  init(_ error: RESPError) { self.init(.refused(error.code), "Redis refuses: \(error)") }

  /// The same, as stores say it.
  func asStorageError(_ fallback: StorageError.Code) -> StorageError {
    switch code {
    case .unavailable, .unanswered, .overloaded: StorageError(.unavailable, description)
    // No memory left, too few replicas, a server that cannot save: it may again.
    case .refused(let code) where ["OOM", "NOREPLICAS", "MISCONF", "READONLY", "LOADING", "MASTERDOWN"].contains(code):
      StorageError(.unavailable, description)
    case .closed: StorageError(.closed, description)
    case .refused, .unexpectedAnswer, .setup: StorageError(fallback, description)
    }
  }
}
