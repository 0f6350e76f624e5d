extension Declarations {
  private static let bargeIn = KeyDeclaration(
    "barge_in", .bool, "Whether the caller may talk over it", fallback: "the state's")

  static let collectKeys = [
    KeyDeclaration("max", digitCount, "So many keys are complete", fallback: "\(DigitPattern.lengthLimit)"),
    KeyDeclaration("min", digitCount, "Fewer keys raise `no_match`", fallback: "1"),
    KeyDeclaration("terminator", .terminator, "A key that ends the entry", fallback: "\"#\""),
    KeyDeclaration("inter_digit_timeout", wait, "The pause that ends the entry", fallback: "3s"),
    KeyDeclaration("timeout", wait, "How long to wait for the first key", fallback: "the state's"),
    KeyDeclaration("into", .name(.variable), "The variable that takes the keys"),
    KeyDeclaration("mask", .bool, "Whether the keys stay out of logs, events and storage", fallback: "false"),
  ]

  /// What a hook needs to be reached; agent tools know the same.
  static let hookKeys = [
    KeyDeclaration("service", .name(.service), "A service of `integration.services`"),
    KeyDeclaration("url", address, "A full address, instead of `service`"),
    KeyDeclaration("path", address, "Below the service's address", fallback: "/on-intent"),
    KeyDeclaration("method", .word(["GET", "POST", "PUT", "PATCH", "DELETE"]), "The HTTP method", fallback: "POST"),
    KeyDeclaration("headers", headers, "Header fields beside those of the service"),
    KeyDeclaration("timeout", wait, "How long the answer may take", fallback: "the service's"),
  ]

  private static let speech: [ActionDeclaration] = [
    ActionDeclaration(
      "play_tts", "Says a text",
      [
        KeyDeclaration("text", text, "What is said", isRequired: true),
        KeyDeclaration("voice", small, "The voice", fallback: "`settings.voice`"),
        KeyDeclaration("speed", .number(0.5...2), "1 is the voice's own pace", fallback: "1"),
        KeyDeclaration("language", small, "The language of the text", fallback: "the dialog's"),
        bargeIn,
        KeyDeclaration("cache", .bool, "Whether the sound may be kept for the next time", fallback: "true"),
        KeyDeclaration("wait", .bool, "Whether the next action waits for the end", fallback: "true"),
        KeyDeclaration("ssml", .bool, "Whether the text is SSML 1.1", fallback: "false"),
      ]),
    ActionDeclaration(
      "play_audio", "Plays a WAV file",
      [
        KeyDeclaration(
          "url", address, "Where the file is; `object` names one in the object store", aliases: ["object"],
          isRequired: true),
        bargeIn,
        KeyDeclaration("loop", .bool, "Whether it begins anew until the state is left", fallback: "false"),
        KeyDeclaration("wait", .bool, "Whether the next action waits for the end", fallback: "true, unless it loops"),
      ]),
    ActionDeclaration(
      "silence", "Says nothing for a while",
      [
        KeyDeclaration(
          "duration", .duration(.milliseconds(1) ... .seconds(60)), "For how long", isRequired: true)
      ]),
  ]

  private static let input: [ActionDeclaration] = [
    ActionDeclaration("collect_digits", "Waits for keys, and raises `dtmf` with all of them", collectKeys),
    listenAction,
  ]

  private static let data: [ActionDeclaration] = [
    ActionDeclaration(
      "set_variable", "Sets variables: any number of `name: expression`", [], isOpen: true),
    ActionDeclaration(
      "call_hook", "Asks the customer's backend, and raises `hook_result` or `hook_error`",
      hookKeys + [
        KeyDeclaration("payload", .data, "Data of your own for the request"),
        KeyDeclaration("async", .bool, "Whether the dialog goes on without the answer", fallback: "false"),
        KeyDeclaration(
          "filler_text", text, "Said when the answer takes longer than half a second, and again until it comes"),
        KeyDeclaration("result_into", .name(.variable), "The variable that takes the answer's `data`"),
      ], choice: ["service", "url"]),
    ActionDeclaration(
      "emit", "Sends an event to the API and to webhooks",
      [
        KeyDeclaration("name", .name(.event), "The event's name", isRequired: true),
        KeyDeclaration("data", .data, "What it carries"),
      ]),
    ActionDeclaration(
      "log", "Writes a line into the log",
      [
        KeyDeclaration("message", .template(limit: 4_096), "The line", isRequired: true),
        KeyDeclaration("level", .word(["debug", "info", "warning", "error"]), "How much it matters", fallback: "info"),
      ]),
  ]

  private static let call: [ActionDeclaration] = [
    ActionDeclaration(
      "transfer", "Connects the caller with somebody else, and raises `transfer_result`",
      [
        KeyDeclaration("target", .template(limit: 1_024), "A SIP URI, a `tel:` URI or a number", isRequired: true),
        KeyDeclaration(
          "mode", .word(TransferStep.Mode.allCases.map(\.rawValue)),
          "`blind` lets go at once, `attended` when the other party answers, `warm` after `brief` was said to them",
          fallback: "blind"),
        KeyDeclaration(
          "timeout", .duration(.seconds(1) ... .seconds(600)), "How long the other party may take to answer",
          fallback: "30s"),
        KeyDeclaration("headers", headers, "Header fields for the other party"),
        KeyDeclaration("hold_audio", address, "What the caller hears meanwhile", fallback: "the configured music"),
        KeyDeclaration(
          "brief", .template(limit: 4_096), "Said to the other party before the caller joins; only for `warm`"),
      ], isCarriedOut: false),
    ActionDeclaration("hold", "Puts the caller on hold, and raises `call_held`", [], isCarriedOut: false),
    ActionDeclaration("unhold", "Takes the caller back, and raises `call_resumed`", [], isCarriedOut: false),
    ActionDeclaration(
      "send_dtmf", "Sends keys to the other side",
      [
        KeyDeclaration("digits", .template(limit: 256), "The keys: `0-9 * # A-D`", isRequired: true),
        KeyDeclaration("duration_ms", .int(40...2_000), "How long each key is held", fallback: "100"),
      ]),
    ActionDeclaration(
      "record", "Begins, ends or interrupts the recording of the call",
      [
        KeyDeclaration(
          "operation", .word(RecordStep.Operation.allCases.map(\.rawValue)), "What to do; in `params` also `action`",
          isRequired: true),
        KeyDeclaration(
          "channels", .word(RecordedAudio.allCases.filter { $0 != .none }.map(\.rawValue)),
          "Which side is recorded, and how", fallback: "`settings.record`, else mono"),
      ], isCarriedOut: false, aliasesInParams: ["action": "operation"]),
  ]

  private static let flow: [ActionDeclaration] = [
    ActionDeclaration(
      "run_dialog", "Runs another dialog, and goes on when that has reached a terminal state",
      [
        KeyDeclaration("name", .name(.dialog), "The other dialog", aliases: ["dialog"], isRequired: true),
        KeyDeclaration(
          "variables", .map(.variable, .data, limit: DialogDecoder.variableLimit),
          "First values of its variables, as in `set_variable`"),
        KeyDeclaration("into", .name(.variable), "The variable that takes a map of its variables at the end"),
      ]),
    ActionDeclaration(
      "goto", "Enters a state",
      [KeyDeclaration("target", .name(.state), "The state", aliases: ["state"], isRequired: true)]),
    ActionDeclaration(
      "hangup", "Ends the call after what is playing",
      [KeyDeclaration("reason", .word(DialogSession.hangupReasons), "Why", fallback: "normal")]),
  ]

  /// In the order of the reference.
  public static let actions = speech + input + data + call + flow
  static let actionNames = actions.map(\.name)
  private static let actionIndex = Dictionary(
    actions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  static func action(named name: String) -> ActionDeclaration? { actionIndex[name] }
}
