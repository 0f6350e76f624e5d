/// One key of the language: how it is written, what it may hold, and what it is for. The decoder, the JSON Schema for editors
/// and the reference of every key are made from these, so that none of them can fall behind.
public struct KeyDeclaration: Sendable {
  public var name: String
  /// Other spellings.
  public var aliases: [String]
  public var kind: KeyKind
  public var isRequired: Bool
  /// As a person would write it; empty where absence means "none" or "as configured".
  public var fallback: String
  /// One sentence, without a full stop.
  public var summary: String

  init(
    _ name: String, _ kind: KeyKind, _ summary: String, aliases: [String] = [], fallback: String = "",
    isRequired: Bool = false
  ) {
    self.name = name
    self.kind = kind
    self.summary = summary
    self.aliases = aliases
    self.fallback = fallback
    self.isRequired = isRequired
  }
}

/// What a key may hold.
public indirect enum KeyKind: Sendable {
  /// Plain text of at most so many bytes.
  case text(limit: Int)
  /// Text with `{{ expression }}` in it.
  case template(limit: Int)
  /// An expression that is true or false.
  case condition
  /// A name of this kind.
  case name(NameKind)
  case word([String])
  /// A tag of BCP 47.
  case language
  case bool
  case int(ClosedRange<Int>)
  case number(ClosedRange<Double>)
  case duration(ClosedRange<Duration>)
  /// A pattern of keys: `1`, `[1-5]X.`, `/[0-9]{4}/`.
  case digits
  /// A grammar in JSGF.
  case grammar
  /// One key of the telephone, or nothing.
  case terminator
  /// Any data; texts in it may be templates.
  case data
  /// A JSON Schema of an object, or its short form: names and types.
  case schema
  case list(KeyKind, limit: Int)
  /// One, or a list of them.
  case oneOrList(KeyKind, limit: Int)
  /// Names and what they stand for.
  case map(NameKind, KeyKind, limit: Int)
  /// A mapping with keys of its own.
  case shape(ShapeDeclaration)
  /// A list of ``ShapeDeclaration/actions``, written as `on_enter` is.
  case actions
  case either(KeyKind, KeyKind)

  /// What may stand where a name is wanted.
  public enum NameKind: String, Sendable, CaseIterable {
    case dialog, state, event, variable, header, tool, parameter, criterion, document, service
  }
}

/// A mapping of the language: its keys, and what they are together.
public struct ShapeDeclaration: Sendable {
  /// One word, unique: `state`, `play_tts`.
  public var name: String
  /// In sentences: ``a state``.
  public var title: String
  public var summary: String
  public var keys: [KeyDeclaration]
  /// Exactly one of these must be there; empty where there is no such choice.
  var choice: [String]
  /// Every spelling of every key.
  private let index: [String: Int]

  init(_ name: String, title: String? = nil, _ summary: String, _ keys: [KeyDeclaration], choice: [String] = []) {
    self.name = name
    self.choice = choice
    self.title = title ?? "`\(name)`"
    self.summary = summary
    self.keys = keys
    var index: [String: Int] = [:]
    for (at, key) in keys.enumerated() { for name in [key.name] + key.aliases { index[name] = at } }
    self.index = index
  }

  /// The place in ``keys`` of a key by any of its spellings.
  func place(of name: String) -> Int? { index[name] }

  subscript(name: String) -> KeyDeclaration? { index[name].map { keys[$0] } }

  /// For hints.
  var spellings: [String] { keys.flatMap { [$0.name] + $0.aliases } }
}

/// One action: its name is that of its shape.
public struct ActionDeclaration: Sendable {
  public var shape: ShapeDeclaration
  /// False where the gateway of this version answers it with `unsupported`.
  public var isCarriedOut: Bool
  /// Spellings that are only understood under `params`: there they cannot be taken for something else.
  var aliasesInParams: [String: String]
  /// Whether any further key is allowed: `set_variable`.
  var isOpen: Bool

  public var name: String { shape.name }

  init(
    _ name: String, _ summary: String, _ keys: [KeyDeclaration], isCarriedOut: Bool = true,
    aliasesInParams: [String: String] = [:], isOpen: Bool = false, choice: [String] = []
  ) {
    shape = ShapeDeclaration(name, summary, keys, choice: choice)
    self.isCarriedOut = isCarriedOut
    self.aliasesInParams = aliasesInParams
    self.isOpen = isOpen
  }
}

/// One event, and the names it gives values to.
public struct EventDeclaration: Sendable {
  public var name: String
  public var summary: String
  public var sets: [String]
}
