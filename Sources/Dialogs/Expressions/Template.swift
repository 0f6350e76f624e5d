import Base

/// Text with `{{ expression }}` in it. `{{ '{{' }}` writes braces.
public struct Template: Sendable {
  public let source: String
  enum Part: Sendable {
    case text(String)
    /// Offsets inside it count from the start of the whole text.
    case expression(Expression)
  }
  let parts: [Part]

  /// A prompt of that size would speak for an hour.
  public static let lengthLimit = 64 * 1_024

  public init(_ source: String) throws(Expression.Problem) { try self.init(source, GoContext()) }

  /// A text in our own language, or in that of Go, which is translated.
  init(_ source: String, _ context: GoContext) throws(Expression.Problem) {
    guard source.utf8.count <= Self.lengthLimit else {
      throw Expression.Problem(offset: 0, code: .badValue, message: "a text is longer than 64 KiB")
    }
    self.source = source
    guard source.utf8.contains(UInt8(ascii: "{")) else {
      parts = source.isEmpty ? [] : [.text(source)]
      return
    }
    let scalars = Array(source.unicodeScalars)
    if GoTemplate.isMeant(scalars) {
      parts = try GoTemplate.parts(of: scalars, context)
      return
    }
    var parts: [Part] = []
    var textStart = 0
    var at = 0
    func text(_ range: Range<Int>) -> String {
      var text = ""
      text.unicodeScalars.append(contentsOf: scalars[range])
      return text
    }
    while at < scalars.count {
      guard scalars[at] == "{", at + 1 < scalars.count, scalars[at + 1] == "{" else {
        at += 1
        continue
      }
      if at > textStart { parts.append(.text(text(textStart..<at))) }
      var parser = try ExpressionParser(scalars: scalars, at: at + 2)
      let (node, end) = try parser.parseInTemplate()
      parts.append(.expression(Expression(source: text(at + 2..<end - 2), root: node, names: parser.names)))
      at = end
      textStart = end
    }
    if at > textStart { parts.append(.text(text(textStart..<at))) }
    self.parts = parts
  }

  /// Text without expressions.
  init(literal: String) {
    source = literal
    parts = literal.isEmpty ? [] : [.text(literal)]
  }

  /// Whether there is nothing to evaluate.
  public var isConstant: Bool {
    parts.allSatisfy { if case .text = $0 { true } else { false } }
  }

  var isEmpty: Bool { parts.isEmpty }

  /// Every variable it reads.
  var names: Set<String> {
    parts.reduce(into: []) { if case .expression(let expression) = $1 { $0.formUnion(expression.names) } }
  }

  /// The expression where the text is nothing else: its value keeps its type.
  var soleExpression: Expression? {
    if parts.count == 1, case .expression(let expression) = parts[0] { expression } else { nil }
  }
}
