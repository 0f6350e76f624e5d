import Base

/// Names that the language accepts, each given once.
struct WorkflowNames: Sendable {
  private var taken: Set<String> = []
  private let limit: Int

  /// - Parameter limit: the longest name, in bytes.
  init(limit: Int, reserved: Set<String> = []) {
    self.limit = limit
    taken = reserved
  }

  /// A name like `text`, with `_` for whatever cannot be in a name; `fallback` where nothing is left of it.
  mutating func take(_ text: String, fallback: String) -> String {
    let base = Self.slug(text, limit: limit - 4) ?? Self.slug(fallback, limit: limit - 4) ?? "x"
    var name = base
    var number = 2
    while taken.contains(name) {
      name = "\(base)_\(number)"
      number += 1
    }
    taken.insert(name)
    return name
  }

  /// Lower-case letters and digits of ASCII, with single `_` between them, not beginning with a digit; nil where that is
  /// empty.
  static func slug(_ text: String, limit: Int) -> String? {
    var out = ""
    for scalar in text.lowercased().unicodeScalars where out.utf8.count < limit {
      switch scalar {
      case "a"..."z": out.unicodeScalars.append(scalar)
      case "0"..."9":
        if out.isEmpty { out = "_" }
        out.unicodeScalars.append(scalar)
      default: if !out.isEmpty, out.last != "_" { out += "_" }
      }
    }
    while out.last == "_" { out.removeLast() }
    return out.isEmpty ? nil : out
  }
}

/// The variables of the new dialog: those that texts mention, those that are extracted, those with values.
struct WorkflowVariables: Sendable {
  /// What is known of one.
  private struct Entry {
    var name: String
    var initial: Value?
    /// Kinds of use: a text that mentions it alone, or one of its members.
    var isAlone = false
    var hasMembers = false
  }
  private var entries: [String: Entry] = [:]
  private var order: [String] = []
  private static let reserved = Vocabulary.builtinNames.union(Vocabulary.expressionWords)
    .union(WorkflowConversion.goWords)
  private var names = WorkflowNames(limit: 64, reserved: reserved)

  var count: Int { order.count }

  /// The dialog's name for the workflow's variable `key`.
  mutating func name(of key: String) -> String {
    if let entry = entries[key] { return entry.name }
    let isUsable = DialogDecoder.isIdentifier(key) && key.utf8.count <= 60 && key.utf8.allSatisfy { $0 < 0x80 }
    // Names keep their upper-case letters where they can.
    let name =
      isUsable && names.takeExactly(key)
      ? key : names.take(Self.reserved.contains(key) ? "the_\(key)" : key, fallback: "value")
    entries[key] = Entry(name: name)
    order.append(key)
    return name
  }

  mutating func use(_ key: String, asMap: Bool) -> String {
    let name = name(of: key)
    if asMap { entries[key]?.hasMembers = true } else { entries[key]?.isAlone = true }
    return name
  }

  /// - Returns: whether the new first value has the type of the one before.
  mutating func declare(_ key: String, initial: Value) -> Bool {
    _ = name(of: key)
    guard let old = entries[key]?.initial else {
      entries[key]?.initial = initial
      return true
    }
    if StaticType(of: old) == StaticType(of: initial) { return true }
    entries[key]?.initial = .null
    return false
  }

  /// `variables:` of the dialog.
  var declarations: [(key: String, value: YAMLNode)] {
    order.compactMap { entries[$0] }.map { entry in
      if let initial = entry.initial { return (key: entry.name, value: .value(initial)) }
      return (key: entry.name, value: .value(entry.hasMembers ? (entry.isAlone ? .null : [:]) : ""))
    }
  }
}

extension WorkflowNames {
  /// Takes the name as it stands; false where somebody has it.
  mutating func takeExactly(_ name: String) -> Bool { taken.insert(name).inserted }
}
