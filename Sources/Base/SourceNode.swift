/// A parsed document (YAML or JSON) that still knows where everything stood, so that every complaint about it can name a
/// line and a column. `Settings` reads one with libyaml; `Dialogs` and the configuration decode it.
public struct SourceNode: Sendable {
  public enum Content: Sendable {
    /// `isQuoted` scalars are text even where they look like a number.
    case scalar(String, isQuoted: Bool)
    case sequence([SourceNode])
    /// In document order. A repeated key is an error of the reader, so keys are unique here.
    case mapping([(key: SourceNode, value: SourceNode)])
  }

  public var content: Content
  public var position: SourcePosition

  public init(_ content: Content, at position: SourcePosition) {
    self.content = content
    self.position = position
  }

  /// The scalar's text, quoted or not; nil for collections.
  public var text: String? {
    if case .scalar(let text, _) = content { text } else { nil }
  }

  /// The value under `key`; nil for other content and absent keys.
  public subscript(key: String) -> SourceNode? {
    guard case .mapping(let pairs) = content else { return nil }
    return pairs.first { $0.key.text == key }?.value
  }

  /// The document as plain data, by YAML's core schema: unquoted `null`, `~`, `true`, `false` and numbers are typed.
  public var value: Value {
    switch content {
    case .scalar(let text, let isQuoted):
      if isQuoted { return .string(text) }
      switch text {
      case "", "~", "null", "Null", "NULL": return .null
      case "true", "True", "TRUE": return .bool(true)
      case "false", "False", "FALSE": return .bool(false)
      default: break
      }
      if let int = Int64(text) { return .int(int) }
      if let first = text.utf8.first, first == 0x2B || first == 0x2D || first == 0x2E || (0x30...0x39).contains(first),
        let double = Double(text), double.isFinite
      {
        return .double(double)
      }
      return .string(text)
    case .sequence(let items):
      return .list(items.map(\.value))
    case .mapping(let pairs):
      var map: [String: Value] = [:]
      for (key, value) in pairs { map[key.text ?? ""] = value.value }
      return .map(map)
    }
  }
}
