import Base

extension Expression {
  /// The expression's value by itself, outside a session.
  /// - Parameters:
  ///   - variables: every name it reads; one that is missing is an error.
  ///   - wallMs: wall-clock milliseconds since 1970, for `now()`.
  public func value(_ variables: [String: Value], wallMs: Int64 = 0) throws(EvaluationError) -> Value {
    var evaluation = Evaluation(variables: variables, wallMs: wallMs)
    return try evaluation.value(of: self)
  }
}

extension Template {
  /// The text by itself, outside a session; see ``Expression/value(_:wallMs:)``.
  public func text(_ variables: [String: Value], wallMs: Int64 = 0) throws(EvaluationError) -> String {
    var evaluation = Evaluation(variables: variables, wallMs: wallMs)
    return try evaluation.text(of: self)
  }
}
