import Base

/// The reference of every key, action, event and function, for people: made from ``Declarations``.
public enum DialogReference {
  /// `docs/dialogs/reference.md`.
  public static var markdown: String {
    var page = """
      # Reference of the dialog language

      Every key of a dialog file, every action, event, name and function. This page is made from the table that the checker
      reads (`Sources/Dialogs/Language`), by `make reference`. For editors there is a JSON Schema of the same,
      `docs/dialog.schema.json` (also printed by `parley dialog schema`): with the YAML language server, begin a file with
      `# yaml-language-server: $schema=PATH/dialog.schema.json`. How it all works together stands in
      [the language](language.md), what can be wrong in [the codes](codes/README.md).

      Where a table says *text*, `{{ expression }}` in it is replaced by its value; *plain text* is taken as it stands.


      """
    page += Declarations.shapes.map { "- [\(heading($0))](#\(anchor($0)))" }.joined(separator: "\n")
    page += "\n- [Actions](#actions)\n- [Events](#events)\n- [Names](#names)\n- [Functions](#functions)\n"
    for shape in Declarations.shapes { page += "\n## \(heading(shape))\n\n\(shape.summary)\n\n\(table(shape.keys))" }
    page += actions + events + names + functions
    return page
  }

  private static func heading(_ shape: ShapeDeclaration) -> String {
    switch shape.name {
    case "dialog": "The file"
    case "variable": "Variable"
    case "rule": "Routing rule"
    case "state": "State"
    case "transition": "Transition"
    case "tool": "Tool"
    case "hook": "Hook of a tool"
    case "exit": "Exit"
    default: "`\(shape.name)`"
    }
  }

  private static func anchor(_ shape: ShapeDeclaration) -> String {
    heading(shape).filter { $0 != "`" }.lowercased().replacing(" ", with: "-")
  }

  /// A page gives a second heading of the same words a number.
  private static func anchor(_ action: ActionDeclaration) -> String {
    Declarations.shapes.contains { anchor($0) == action.name } ? "\(action.name)-1" : action.name
  }

  private static func table(_ keys: [KeyDeclaration]) -> String {
    var table = "| key | holds | default | meaning |\n|---|---|---|---|\n"
    for key in keys {
      let spellings = ([key.name] + key.aliases).map { "`\($0)`" }.joined(separator: ", ")
      let fallback =
        key.isRequired
        ? "*required*"
        : key.fallback.contains("`") || key.fallback.contains(" ") || key.fallback.isEmpty
          ? key.fallback : "`\(key.fallback)`"
      table += "| \(spellings) | \(kind(key.kind)) | \(fallback) | \(key.summary) |\n"
    }
    return table
  }

  private static func kind(_ kind: KeyKind) -> String {
    switch kind {
    case .text: "plain text"
    case .template: "text"
    case .condition: "condition"
    case .name(.state): "state"
    case .name(.event): "event"
    case .name(.variable): "variable"
    case .name(let kind): "name of \(kind.title)"
    case .word(let words): words.map { "`\($0)`" }.joined(separator: ", ")
    case .language: "tag such as `en-US`"
    case .bool: "`true`, `false`"
    case .int(let range): "\(range.lowerBound) to \(range.upperBound)"
    case .number(let range): "\(short(range.lowerBound)) to \(short(range.upperBound))"
    case .duration(let range):
      "duration, \(SourceDecoding.written(range.lowerBound)) to \(range.upperBound == .seconds(86_400) ? "24h" : SourceDecoding.written(range.upperBound))"
    case .digits: "pattern of keys"
    case .grammar: "JSGF"
    case .terminator: "one key, or `\"\"`"
    case .data: "any data"
    case .schema: "names and types, or a JSON Schema"
    case .list(.shape(let shape), _): "list of [\(heading(shape))](#\(anchor(shape)))"
    case .list(let element, _): "list of \(Self.kind(element))"
    case .oneOrList(let element, _): "\(Self.kind(element)), or a list"
    case .map(_, .shape(let shape), _): "names, and for each a [\(heading(shape))](#\(anchor(shape)))"
    case .map(.header, _, _): "header fields"
    case .map(.variable, .either(_, .shape(let shape)), _):
      "names and values, or a [\(heading(shape))](#\(anchor(shape)))"
    case .map: "names and values"
    case .shape(let shape): "[\(heading(shape))](#\(anchor(shape)))"
    case .actions: "list of [actions](#actions)"
    case .either(let a, let b): "\(Self.kind(a)) or \(Self.kind(b))"
    }
  }

  private static func short(_ number: Double) -> String { Int(exactly: number).map(String.init) ?? "\(number)" }

  private static var actions: String {
    var page = """

      ## Actions

      An action is written `action: NAME` with its arguments beside it, or `type: NAME` with its arguments under `params`.

      | action | does |
      |---|---|

      """
    for action in Declarations.actions {
      page += "| [`\(action.name)`](#\(anchor(action))) | \(action.shape.summary) |\n"
    }
    for action in Declarations.actions {
      page += "\n### `\(action.name)`\n\n\(action.shape.summary).\n"
      if !action.isCarriedOut {
        page += "\nThe gateway of this version answers it with `unsupported`; tests and simulations carry it out.\n"
      }
      if !action.shape.keys.isEmpty { page += "\n" + table(action.shape.keys) }
    }
    return page
  }

  private static var events: String {
    var page = """

      ## Events

      Any other name is an event of your own, sent by `POST /v1/calls/{id}/event`; it sets `data`. `"*"` stands for any event
      except `\(Vocabulary.progressEvents.sorted().joined(separator: "`, `"))`.

      | event | when | sets |
      |---|---|---|

      """
    for event in Declarations.events {
      page += "| `\(event.name)` | \(event.summary) | \(event.sets.map { "`\($0)`" }.joined(separator: ", ")) |\n"
    }
    return page
  }

  private static var names: String {
    var page = "\n## Names\n\nEvery expression can read these, and the variables of the dialog.\n\n"
    page += "| name | holds | set by |\n|---|---|---|\n"
    for (name, type) in Vocabulary.builtins {
      let events = Declarations.events.filter { $0.sets.contains(name) }.map { "`\($0.name)`" }
      let origin =
        name == "data"
        ? (events + ["events of your own"]).joined(separator: ", ")
        : events.isEmpty
          ? (["last_event", "current_state"].contains(name) ? "the dialog" : "the call")
          : events.joined(separator: ", ")
      page += "| `\(name)` | \(type.description) | \(origin) |\n"
    }
    return page
  }

  private static var functions: String {
    var page = """

      ## Functions

      `x | f(y)` is the same as `f(x, y)`. Operators, weakest first: `|`, `or`, `and`, `not`, `== != < <= > >= in not in contains
      startswith endswith matches`, `+ -`, `* / %`, unary `-`.

      | function | gives | example |
      |---|---|---|

      """
    for function in Declarations.functions {
      let example = "`\(function.example)` is `\(function.result)`".replacing("|", with: "\\|")
      page += "| `\(function.signature)` | \(function.summary) | \(example) |\n"
    }
    return page
  }
}
