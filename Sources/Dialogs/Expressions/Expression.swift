import Base

/// A parsed, checked expression of the dialog language (docs/dialogs.md).
public struct Expression: Sendable {
  public let source: String
}

/// Text with `{{ expression }}` in it.
public struct Template: Sendable {
  public let source: String
}
