/// The language as data: every key of every mapping of a dialog.
public enum Declarations {
  /// Waiting for less than 100 ms would not let the caller breathe; a day is longer than any call.
  static let wait: KeyKind = .duration(.milliseconds(100) ... .seconds(86_400))
  static let digitCount: KeyKind = .int(1...DigitPattern.lengthLimit)
  static let text: KeyKind = .template(limit: Template.lengthLimit)
  static let address: KeyKind = .template(limit: 2_048)
  static let small: KeyKind = .template(limit: 256)
  static let headers: KeyKind = .map(.header, .template(limit: 1_024), limit: 50)

  public static let dialog = ShapeDeclaration(
    "dialog", title: "a dialog", "One file is one dialog.",
    [
      KeyDeclaration(
        "name", .name(.dialog), "How calls, metrics and the API name the dialog", fallback: "the file's name"),
      KeyDeclaration("version", .text(limit: 64), "For people"),
      KeyDeclaration("description", .text(limit: 4_096), "For people"),
      KeyDeclaration(
        "language", .language, "What caller and prompts speak, such as `en` or `en-US`", fallback: "as configured"),
      KeyDeclaration(
        "variables", .map(.variable, .either(.data, .shape(variable)), limit: DialogDecoder.variableLimit),
        "Names and first values; the first value fixes the type"),
      KeyDeclaration("routing", .shape(routing), "Which calls the dialog answers", fallback: "calls to its name"),
      KeyDeclaration("initial_state", .name(.state), "Where the dialog begins", fallback: "start"),
      KeyDeclaration("settings", .shape(settings), "What holds for the whole dialog"),
      KeyDeclaration(
        "on", .list(.shape(transition), limit: DialogDecoder.transitionLimit),
        "Transitions that hold in every state, looked at after the state's own"),
      KeyDeclaration(
        "states", .map(.state, .shape(state), limit: DialogDecoder.stateLimit), "The states", isRequired: true),
      KeyDeclaration("outcome", .shape(outcome), "What is kept of a call when it is over"),
    ])

  static let variable = ShapeDeclaration(
    "variable", title: "a variable", "A variable about which more is said than its first value.",
    [
      KeyDeclaration("value", .data, "The first value", fallback: "\"\""),
      KeyDeclaration("mask", .bool, "Whether the value stays out of logs, events and storage", isRequired: true),
    ])

  static let routing = ShapeDeclaration(
    "routing", "Which calls the dialog answers.",
    [
      KeyDeclaration(
        "match", .list(.shape(rule), limit: 100), "Rules; of all dialogs the most specific rule decides",
        isRequired: true)
    ])

  static let rule = ShapeDeclaration(
    "rule", title: "a routing rule", "Every part that is given must fit; `*` stands for any characters.",
    [
      KeyDeclaration("sip_to", .text(limit: 1_024), "The address that was called"),
      KeyDeclaration("sip_from", .text(limit: 1_024), "The address of the caller"),
      KeyDeclaration("trunk", .text(limit: 1_024), "The trunk that the call came in by"),
      KeyDeclaration(
        "headers", .map(.header, .text(limit: 1_024), limit: 50),
        "Header fields of the call and patterns of their values"),
    ])

  static let settings = ShapeDeclaration(
    "settings", "What holds for the whole dialog.",
    [
      KeyDeclaration("barge_in", .bool, "Whether the caller may talk over prompts", fallback: "`runtime.barge_in`"),
      KeyDeclaration(
        "timeout", wait, "How long the caller may stay silent", fallback: "`runtime.default_timeout`"),
      KeyDeclaration(
        "max_depth", .int(1...1_000), "Steps without the caller before the dialog is taken for a loop",
        fallback: "`runtime.max_dialog_depth`"),
      KeyDeclaration("voice", .text(limit: 128), "The voice of all prompts", fallback: "as configured"),
      KeyDeclaration(
        "record", .word(RecordedAudio.allCases.map(\.rawValue)), "What of the call is recorded from its answer on",
        fallback: "none"),
      KeyDeclaration(
        "no_input_retries", .int(0...20),
        "How often a state is said again after silence or unknown words, before the call ends", fallback: "2"),
    ])

  static let state = ShapeDeclaration(
    "state", title: "a state", "Says something, listens, and leads on.",
    [
      KeyDeclaration("on_enter", .actions, "Actions that run when the state is entered"),
      KeyDeclaration("listen", .shape(listen), "How the caller is listened to"),
      KeyDeclaration(
        "transitions", .list(.shape(transition), limit: DialogDecoder.transitionLimit),
        "Where events lead; the first one that fits is taken"),
      KeyDeclaration("timeout", wait, "How long the caller may stay silent in this state"),
      KeyDeclaration("timeout_next", .name(.state), "The state to enter at the end of `timeout`, or of the usual time"),
      KeyDeclaration("terminal", .bool, "Whether the call ends after the state's prompts", fallback: "false"),
      KeyDeclaration("agent", .shape(agent), "A language model that leads the conversation in this state"),
    ])

  /// What the action `listen` knows as well.
  private static let listenKeys = [
    KeyDeclaration(
      "hints", .oneOrList(.text(limit: 256), limit: DialogDecoder.hintLimit), "Phrases the caller may say"),
    KeyDeclaration("grammar", .grammar, "A grammar in JSGF; without its header, the right-hand side of one rule"),
    KeyDeclaration("language", .language, "What the caller speaks", fallback: "the dialog's"),
    KeyDeclaration("min_silence_ms", .int(50...10_000), "Silence that ends a turn", fallback: "as configured"),
    KeyDeclaration("timeout", wait, "How long the caller may stay silent"),
    KeyDeclaration("barge_in", .bool, "Whether the caller may talk over the prompts"),
  ]

  static let listen = ShapeDeclaration(
    "listen", "How a state listens.",
    listenKeys + [KeyDeclaration("dtmf", .shape(dtmf), "How keys become one `dtmf` event")])

  static let dtmf = ShapeDeclaration(
    "dtmf", "How keys become one `dtmf` event.",
    [
      KeyDeclaration("max_digits", digitCount, "So many keys are complete", fallback: "as the patterns need"),
      KeyDeclaration("terminator", .terminator, "A key that ends the entry"),
      KeyDeclaration("inter_digit_timeout", wait, "The pause that ends the entry", fallback: "3s"),
    ])

  static let transition = ShapeDeclaration(
    "transition", title: "a transition", "What an event does.",
    [
      KeyDeclaration("event", .name(.event), "The event; `\"*\"` for any", isRequired: true),
      KeyDeclaration("when", .condition, "A condition", aliases: ["condition"]),
      KeyDeclaration("digits", .digits, "Which keys; only for `dtmf`", fallback: "any"),
      KeyDeclaration("confidence_below", .number(0...1), "Only speech that was understood less surely than this"),
      KeyDeclaration("do", .actions, "Actions that run before the target is entered", aliases: ["actions"]),
      KeyDeclaration("target", .name(.state), "The state to enter", fallback: "stay, without entering again"),
    ])

  static let outcome = ShapeDeclaration(
    "outcome", "What is kept of a call when it is over.",
    [
      KeyDeclaration(
        "disposition", small, "A word for reports, such as `resolved`", fallback: "as the call ended"),
      KeyDeclaration("summary", .template(limit: 4_096), "What the call was about"),
      KeyDeclaration("tags", .oneOrList(small, limit: 50), "Words to find the call by"),
      KeyDeclaration(
        "variables", .oneOrList(.name(.variable), limit: DialogDecoder.variableLimit),
        "Variables whose last values are kept"),
      KeyDeclaration(
        "summarize", .bool, "Whether the language model writes the summary after the call", fallback: "false"),
      KeyDeclaration("review", .shape(review), "What the language model looks for in the transcript after the call"),
    ])

  static let review = ShapeDeclaration(
    "review", "A review of the call by the language model after its end.",
    [
      KeyDeclaration("prompt", .text(limit: 16_384), "Instructions for the review", isRequired: true),
      KeyDeclaration("model", .text(limit: 128), "The model", fallback: "`runtime.llm.model`"),
      KeyDeclaration(
        "criteria", .oneOrList(.name(.criterion), limit: 50), "Names of what is scored from 0 to 10"),
    ])

  static let listenAction = ActionDeclaration("listen", "Listens to the caller in this way from here on", listenKeys)

  /// Every shape with a heading of its own, in the order of the reference. Actions are apart.
  public static let shapes = [
    dialog, variable, routing, rule, settings, state, listen, dtmf, transition, agent, tool, toolHook, exit, outcome,
    review,
  ]
}
