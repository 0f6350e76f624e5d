import Base

/// Everything that is wrong with a document, at once. Never empty.
public struct Diagnostics: Error, Sendable, CustomStringConvertible {
  public var all: [Diagnostic]

  public init(_ all: [Diagnostic]) { self.all = all }

  /// One line for each.
  public var description: String { all.map(\.description).joined(separator: "\n") }
}

/// The codes of ``Diagnostic`` that this room gives; `docs/configuration.md` explains them.
public enum ConfigurationCode {
  public static let syntax = "C001"
  public static let duplicateKey = "C002"
  public static let unknownKey = "C003"
  public static let wrongType = "C004"
  public static let badValue = "C005"
  public static let notSupported = "C006"
  public static let expansion = "C007"
  public static let unreadable = "C008"
  public static let limit = "C009"
  public static let contradiction = "C010"

  /// What each code means, in order.
  public static let meanings: [(code: String, meaning: String)] = [
    (syntax, "the text is no YAML"),
    (duplicateKey, "a key stands twice in one mapping"),
    (unknownKey, "no such key; the nearest known one is named"),
    (wrongType, "the value has the wrong shape (a list where a text belongs, and so on)"),
    (badValue, "the value is out of its range or not one of the known ones"),
    (notSupported, "the key or value belongs to a later version"),
    (expansion, "`${NAME}` is not set, `${file:PATH}` cannot be read, or what stands in `${}` is not understood"),
    (unreadable, "the file cannot be read"),
    (limit, "the document is too large, too deep, or expands to too much"),
    (contradiction, "two settings exclude each other"),
  ]
}
