extension Declarations {
  static let agent = ShapeDeclaration(
    "agent", "A language model that leads the conversation in a state.",
    [
      KeyDeclaration(
        "prompt", .template(limit: 32_768), "Instructions for the model, rendered when the state is entered",
        isRequired: true),
      KeyDeclaration("model", .text(limit: 128), "The model", fallback: "`runtime.llm.model`"),
      KeyDeclaration("temperature", .number(0...2), "How freely the model chooses its words", fallback: "the model's"),
      KeyDeclaration(
        "max_tokens", .int(1...4_096), "The longest answer", fallback: "\(AgentSettings.defaultMaxTokens)"),
      KeyDeclaration("tools", .list(.shape(tool), limit: DialogDecoder.toolLimit), "What the model may ask for"),
      KeyDeclaration(
        "exits", .list(.shape(exit), limit: DialogDecoder.toolLimit), "The ways out that the model may choose"),
      KeyDeclaration(
        "max_turns", .int(1...200), "Answers to the caller before the fallback",
        fallback: "\(AgentSettings.defaultMaxTurns)"),
      KeyDeclaration(
        "max_duration", .duration(.seconds(1) ... .seconds(86_400)), "Time in the state before the fallback",
        fallback: "3m"),
      KeyDeclaration(
        "timeout", wait, "How long an answer may take to begin, and to go on", fallback: "`runtime.llm.timeout`"),
      KeyDeclaration(
        "fallback", .name(.state), "The state for a model that is unreachable, empty or over its limits",
        fallback: "an apology, and the call ends"),
      KeyDeclaration(
        "filler", .oneOrList(.template(limit: 1_024), limit: 20), "Said, in turn, when an answer takes long"),
      KeyDeclaration("knowledge", .oneOrList(.name(.document), limit: 100), "Names of documents to answer from"),
    ])

  static let builtinTools = ["collect_digits", "search_knowledge"]

  static let tool = ShapeDeclaration(
    "tool", title: "a tool", "Something the model may ask for: one of `hook`, `builtin` and `mcp`.",
    [
      KeyDeclaration(
        "name", .name(.tool), "How the model names it; a `builtin` has a name already, `mcp` brings names"),
      KeyDeclaration("description", .text(limit: 1_024), "What it does, for the model"),
      KeyDeclaration("parameters", .schema, "What the model has to hand over"),
      KeyDeclaration("hook", .shape(toolHook), "The customer's backend answers"),
      KeyDeclaration("builtin", .word(builtinTools), "A tool of the gateway"),
      KeyDeclaration("mcp", .name(.service), "All tools of an MCP server of `integration.services`"),
      KeyDeclaration(
        "allow", .oneOrList(.name(.tool), limit: 100), "Only these tools of the MCP server", fallback: "all"),
    ] + collectKeys, choice: ["hook", "builtin", "mcp"])

  static let toolHook = ShapeDeclaration(
    "hook", "Where a tool of the model is answered; its arguments are the `payload` of the request.", hookKeys,
    choice: ["service", "url"])

  static let exit = ShapeDeclaration(
    "exit", title: "an exit", "A way out of an agent state that the model may choose.",
    [
      KeyDeclaration("name", .name(.tool), "How the model names it", isRequired: true),
      KeyDeclaration("description", .text(limit: 1_024), "When to take it, for the model"),
      KeyDeclaration(
        "extract", .schema, "What the model has to hand over; each becomes the variable of its name"),
      KeyDeclaration("target", .name(.state), "The state to enter", isRequired: true),
    ])
}
