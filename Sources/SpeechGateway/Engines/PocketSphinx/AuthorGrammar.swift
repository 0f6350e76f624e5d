/// An author's JSGF, taken apart so that it can stand beside the phrases in one search.
struct AuthorGrammar: Sendable {
  /// Its rules without header and without `public`.
  var rules: String
  /// The rules a caller's answer may be, `<name>`.
  var publicRules: [String]
  var words: Set<String>
  /// Whether it repeats something without end.
  var isOpenEnded: Bool { rules.contains("+ ") || rules.contains("* ") }

  /// nil for an empty text. A text without a rule is taken as the right side of one: `yes | no | maybe later`.
  /// - Throws: ``SpeechSetupError`` where it is too long, imports other grammars, or has no rule to start from.
  init?(_ source: String) throws(SpeechSetupError) {
    guard source.utf8.count <= SearchGrammar.maxGrammarBytes else {
      throw SpeechSetupError(
        "a grammar is \(source.utf8.count) bytes long; the limit is \(SearchGrammar.maxGrammarBytes)")
    }
    let text = Self.withoutComments(source)
    guard text.contains(where: { !$0.isWhitespace }) else { return nil }
    rules = ""
    publicRules = []
    words = []
    guard text.contains("=") else {
      rules = "<parley_author> = \(Self.spoken(text, into: &words)) ;\n"
      publicRules = ["<parley_author>"]
      return
    }
    for statement in text.split(separator: ";") {
      var rest = statement.drop(while: \.isWhitespace)
      if rest.isEmpty || rest.hasPrefix("#JSGF") || rest.hasPrefix("grammar ") { continue }
      if rest.hasPrefix("import") {
        throw SpeechSetupError("a grammar imports another one, which is not supported", hint: "copy the rules into it")
      }
      let isPublic = rest.hasPrefix("public")
      if isPublic { rest = rest.dropFirst(6).drop(while: \.isWhitespace) }
      guard let equals = rest.firstIndex(of: "=") else {
        throw SpeechSetupError("a grammar has a rule without '='", hint: "write <name> = words ;")
      }
      var name = rest[..<equals]
      while name.last?.isWhitespace == true { name.removeLast() }
      guard name.hasPrefix("<"), name.hasSuffix(">"), !name.hasPrefix("<parley"), name.count > 2 else {
        throw SpeechSetupError("a grammar has a rule named '\(name)'", hint: "write <name> = words ;")
      }
      rules += "\(name) = \(Self.spoken(String(rest[rest.index(after: equals)...]), into: &words)) ;\n"
      if isPublic { publicRules.append(String(name)) }
    }
    if publicRules.isEmpty {
      throw SpeechSetupError("a grammar has no public rule", hint: "write public <name> = words ;")
    }
    if !text.contains("<digit> =") && text.contains("<digit>") {
      rules += "<digit> = \(Self.digits.joined(separator: " | ")) ;\n"
      words.formUnion(Self.digits)
    }
  }

  private static let digits = [
    "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
  ]

  private static func withoutComments(_ source: String) -> String {
    var text = ""
    var rest = Substring(source)
    while let slash = rest.firstIndex(of: "/") {
      let next = rest.index(after: slash)
      text += rest[..<slash]
      guard next < rest.endIndex, rest[next] == "/" || rest[next] == "*" else {
        text += "/"
        rest = rest[next...]
        continue
      }
      if rest[next] == "/" {
        rest = rest[next...].drop { !$0.isNewline }
      } else {
        rest = rest[next...].dropFirst()
        while !rest.isEmpty, !rest.hasPrefix("*/") { rest.removeFirst() }
        rest = rest.dropFirst(2)
      }
      text += " "
    }
    return text + rest
  }

  /// The right side of a rule with its words as they are said; tags, weights and rule names are kept or dropped whole.
  private static func spoken(_ expansion: String, into words: inout Set<String>) -> String {
    var text = ""
    var literal = ""
    func flush() {
      if literal.isEmpty { return }
      let spoken = SpokenForm.words(of: literal)
      words.formUnion(spoken)
      text += spoken.joined(separator: " ") + " "
      literal = ""
    }
    var rest = Substring(expansion)
    while let character = rest.first {
      switch character {
      case "<", "/", "{":
        flush()
        let close: Character = character == "<" ? ">" : character == "{" ? "}" : "/"
        let end = rest.dropFirst().firstIndex(of: close) ?? rest.index(before: rest.endIndex)
        if character != "{" { text += "\(rest[...end]) " }
        rest = rest[rest.index(after: end)...]
        continue
      case "|", "(", ")", "[", "]", "*", "+":
        flush()
        text += "\(character) "
      default:
        if character.isWhitespace || character == "\"" { flush() } else { literal.append(character) }
      }
      rest.removeFirst()
    }
    flush()
    return text
  }
}
