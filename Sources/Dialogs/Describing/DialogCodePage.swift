import Base

/// The user's pages on codes, made from the table of ``DialogCode`` so that they cannot fall behind.
public enum DialogCodePage {
  /// `docs/dialogs/codes/README.md`.
  public static var index: String {
    var page = """
      # Codes of dialog diagnostics

      `parley dialog check` prints one line per finding, `file:line:column: severity: code message (hint)`; with `--json` the
      same as data. Errors keep a dialog from being loaded (the others are not affected); warnings do not. Codes never change
      their meaning. These pages are made by `make reference` from the table in `Sources/Dialogs/Checking/DialogCode.swift`.

      A file that is no YAML has a code that begins with `C`: `C001` for the syntax, `C002` for a key that stands twice, `C008`
      for what is no text, `C009` for what is too large or too deep. [Configuration](../../configuration.md) lists them.

      """
    for severity in ["error", "warning"] {
      page += "\n## \(severity == "error" ? "Errors" : "Warnings")\n\n| code | what |\n|---|---|\n"
      for code in DialogCode.allCases where code.severity.rawValue == severity {
        page += "| [`\(code.rawValue)`](\(code.rawValue).md) | \(code.title) |\n"
      }
    }
    return page
  }

  /// `docs/dialogs/codes/D001.md`, and so on.
  /// - Parameter printed: what `parley dialog check` prints for the wrong files of the code's example.
  public static func page(of code: DialogCode, printed: [Diagnostic]) -> String {
    """
    # \(code.rawValue): \(code.title)

    \(code.explanation)

    \(code.severity == .error ? "An error: the dialog is not loaded." : "A warning: the dialog is loaded.")

    ## Wrong

    \(blocks(code.example.wrong))
    ```text
    \(printed.map(\.description).joined(separator: "\n"))
    ```

    ## Right

    \(blocks(code.example.right))
    [All codes](README.md)

    """
  }

  private static func blocks(_ files: [DialogExample.File]) -> String {
    files.map { file in
      (files.count > 1 ? "`\(file.name)`:\n\n" : "") + "```yaml\n\(shortened(file.yaml))```\n"
    }.joined(separator: "\n")
  }

  /// Nobody wants to read the hundred lines that are too many.
  private static func shortened(_ yaml: String) -> String {
    var lines = yaml.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 40 else { return yaml }
    lines.replaceSubrange(6..<(lines.count - 4), with: ["      # and so on, \(lines.count - 10) times more"])
    return lines.joined(separator: "\n")
  }
}

extension DialogCode {
  /// Why it is a problem and what to do about it, for the page.
  public var explanation: String {
    switch self {
    case .notAMapping:
      "The file is empty, or its top is not a mapping. A dialog begins with `states:` and what stands beside it."
    case .unknownKey: "Nothing reads this key, so it would have no effect. The hint names the nearest key that exists."
    case .missingKey: "Without this key the entry means nothing: a transition needs an `event`, `play_tts` a `text`."
    case .badType:
      "A list stands where text is expected, or the like. Quoted text is text even if it looks like a number."
    case .badValue:
      "The value has the right type but cannot be meant. The message names the range or the possible words."
    case .unknownEvent:
      "The name is close to an event of the language but is none. Events of your own (sent by REST) need names that are not."
    case .unknownAction: "There is no such action in `on_enter` or `do`."
    case .unknownFunction: "There is no such function in an expression."
    case .unknownTarget: "`target`, `goto` or `timeout_next` names a state that does not exist."
    case .unknownName: "An expression reads a variable that is neither declared, nor set anywhere, nor built in."
    case .badExpression:
      "The text is no expression. Text inside an expression needs quotes of its own: `\"'printer'\"`."
    case .typeMismatch:
      "The types of a comparison, a calculation or an assignment can never fit. Convert with `int()` or `string()`."
    case .noInitialState: "The dialog does not know where to begin: name a state `start`, or set `initial_state`."
    case .duplicateDialog: "Two files give the same name; the first one is kept."
    case .badGrammar: "The `grammar` is no JSGF: a bracket is open, a rule is missing, a rule contains itself."
    case .badDuration: "Durations are `250ms`, `8s`, `1m30s`, `1h`: a number and a unit."
    case .badPattern:
      "A regular expression or a `digits` pattern does not compile. Look-around and back-references do not exist."
    case .notSupported:
      "The language has no such thing, on purpose; the hint says what there is instead. It is refused rather than ignored."
    case .reservedName: "The name belongs to the language (`transcript`, `digits` ...) and cannot be declared or set."
    case .conflictingKeys: "Two keys say different things, or a key stands where it has no meaning."
    case .tooMany: "A list is longer than any dialog needs; it was probably made by a program gone wrong."
    case .duplicateName: "To the model, the tools and exits of a state are one list. Each needs a name of its own."
    case .badSchema:
      "What the model has to hand over is described by names and types, or by a JSON Schema with keywords that are checked."
    case .unreachableState:
      "No transition, `goto` or `timeout_next` leads there. Fine where only a hook's `next_state` does."
    case .deadEnd: "The caller can never leave this state except by hanging up."
    case .noSilenceHandler:
      "Nothing is said about silence. By default the prompt is repeated `no_input_retries` times, then the call ends."
    case .noUnmatchedHandler:
      "Every `speech` transition has a condition and there is no `no_match`. By default the prompt is repeated, then the call ends."
    case .shadowedTransition:
      "An earlier transition takes every event that this one would. Order them from special to general."
    case .loopWithoutInput:
      "These states follow each other without the caller. `max_depth` would stop the call with an `error`."
    case .unusedVariable: "The variable is neither read nor set. Remove it."
    case .unmaskedSecret:
      "The digits look like a card number, a PIN or a password. `mask: true` keeps them out of logs, events and storage."
    case .wordAsText: "A single unknown word in `set_variable` is that word; this one looks like a misspelt variable."
    case .unreachableAction: "After `goto` and `hangup` nothing else of the list runs."
    case .hookErrorUnhandled:
      "A hook can fail or be late. Without a transition for `hook_error` the dialog just goes on."
    case .undeclaredVariable: "The variable works, but has no first value and no type. Declare it under `variables`."
    case .nothingToRecognize: "The embedded recogniser listens for the phrases of the state; this one names none."
    case .undescribed:
      "A model decides by the descriptions what to use. Say in one sentence what the tool does, or when the exit is to be taken."
    case .agentWithoutExit:
      "Without `exits` the model can only talk: the state ends by a transition, or with the fallback after `max_turns`."
    case .agentWithoutFallback:
      "A model can be unreachable or run over its limits. Without a `fallback` the caller hears an apology, and the call ends."
    case .transferUnhandled:
      "The other party may be busy or not answer. Without a transition for `transfer_result` the caller stays where they are."
    case .notCarriedOut:
      "The language knows it, but the gateway of this version answers it with `unsupported`. Tests and simulations carry it out."
    case .unknownDialog:
      "`run_dialog` names a dialog that is not among those that were loaded together. When it is reached, it raises `error`."
    case .dialogCallsItself:
      "By way of `run_dialog` the dialog comes back to itself. Sub-dialogs may only be nested to a small depth."
    case .unknownParameter:
      "`run_dialog` gives a first value to a variable that the other dialog does not declare, or one of another type."
    case .sameRouting:
      "Two dialogs have the same rule. The first file answers, the other never does."
    case .impossibleEvent:
      "Nothing in this state raises the event, so its transition is never taken."
    case .afterTheEnd:
      "After a hangup nothing can be said and no state entered. Setting variables, `emit`, `log` and hooks still work."
    case .uselessListening:
      "The state tells the recogniser what to expect, or how keys end, but has no transition for it. It may be in the wrong state."
    case .impossibleRule:
      "Addresses of calls look like `sip:sales@example.com`, so a bare name fits none. `*` stands for the rest."
    }
  }
}
