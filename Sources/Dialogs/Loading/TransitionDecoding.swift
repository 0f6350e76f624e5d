import Base

extension DialogDecoder {
  mutating func decodeTransitions(_ members: Members, _ key: String) -> [Transition] {
    source.items(members, key).compactMap { decodeTransition($0) }
  }

  private mutating func decodeTransition(_ node: SourceNode) -> Transition? {
    guard let members = source.members(of: node, Declarations.transition),
      let event = members["event"].flatMap({ event($0) })
    else { return nil }
    var transition = Transition(
      event: event, condition: nil, digits: nil, confidenceBelow: nil, actions: [], target: nil,
      position: node.position)
    if let when = members["when"], !source.isNull(when) { transition.condition = condition(when, of: event) }
    if let digits = members["digits"], let text = source.text(digits, "`digits`") {
      if event != "dtmf" {
        source.report(.conflictingKeys, digits.position, "`digits` belongs to the event `dtmf`, not to `\(event)`")
      }
      do {
        transition.digits = try DigitPattern(text)
      } catch {
        source.report(.badPattern, digits.position, "`digits`: \(error.message)")
      }
    }
    if let below = members["confidence_below"], event != "speech", event != "speech_partial" {
      source.report(
        .conflictingKeys, below.position, "`confidence_below` belongs to the event `speech`, not to `\(event)`")
    }
    transition.confidenceBelow = source.number(members, "confidence_below")
    transition.actions = decodeActions(members, "do")
    transition.target = target(members, "target")
    if transition.target == nil, transition.actions.isEmpty, event == "*" {
      source.report(
        .missingKey, node.position, "a transition for any event neither does anything nor leads anywhere",
        "give it a `target` or a `do`")
    }
    return transition
  }

  private mutating func event(_ node: SourceNode) -> String? {
    guard let name = source.text(node, "`event`", limit: 64) else { return nil }
    if name == "*" || Vocabulary.eventNames.contains(name) { return name }
    // Other names are the dialog's own events, sent by REST; but a slip of the pen must not become one.
    if let close = nearest(to: name, in: Vocabulary.events) {
      source.report(
        .unknownEvent, node.position, "there is no event `\(name)`",
        "did you mean `\(close)`? An event of your own needs a name that is less like it")
      return nil
    }
    guard Self.isName(name) else {
      source.report(
        .unknownEvent, node.position, "`\(name)` cannot be the name of an event",
        "use letters, digits, `-`, `_` and `.`")
      return nil
    }
    return name
  }

  // MARK: Expressions

  mutating func condition(_ node: SourceNode, of event: String) -> Expression? {
    guard let text = source.text(node, "a condition", limit: Expression.lengthLimit) else { return nil }
    do {
      let expression =
        try text.contains("{{") ? inBraces(text, GoContext(event: event, scope: scope)) : Expression(text)
      var types = ExpressionTypes(scope: scope)
      types.checkCondition(expression)
      note(expression.names, types.problems, node)
      return expression
    } catch {
      source.report(error, in: node)
      return nil
    }
  }

  /// A condition in braces: a habit of other systems, and harmless.
  private func inBraces(_ text: String, _ context: GoContext) throws(Expression.Problem) -> Expression {
    var found: [Expression] = []
    var hasText = false
    for part in try Template(text, context).parts {
      switch part {
      case .text(let text): if !text.allSatisfy(\.isWhitespace) { hasText = true }
      case .expression(let expression): found.append(expression)
      }
    }
    guard let expression = found.first, found.count == 1, !hasText else {
      throw Expression.Problem(
        offset: 0, code: .badExpression, message: "a condition is one expression, not a text with `{{ }}` in it",
        hint: "join conditions with `and` or `or`")
    }
    var types = ExpressionTypes(scope: scope)
    let type = types.check(expression.root)
    guard type != .bool, GoTemplate.isMeant(Array(text.unicodeScalars)) else { return expression }
    // There a condition holds where its text is "true".
    return Expression(
      source: expression.source,
      root: .binary(.equal, .call(.string, [expression.root], at: 0), .literal("true"), at: 0), names: expression.names)
  }

  mutating func template(_ node: SourceNode, _ what: String, limit: Int = Template.lengthLimit) -> Template? {
    guard let text = source.text(node, what, limit: limit) else { return nil }
    if isFromOutside { return Template(literal: text) }
    do {
      let template = try Template(text, GoContext(scope: scope))
      check(template, node)
      return template
    } catch {
      source.report(error, in: node)
      return nil
    }
  }

  private mutating func check(_ template: Template, _ node: SourceNode) {
    var types = ExpressionTypes(scope: scope)
    for part in template.parts { if case .expression(let expression) = part { types.check(expression.root) } }
    note(template.names, types.problems, node)
  }

  private mutating func note(_ names: Set<String>, _ problems: [Expression.Problem], _ node: SourceNode) {
    readNames.formUnion(names)
    for problem in problems { source.report(problem, in: node) }
  }

  /// The value of `set_variable`: an expression, a text with `{{ }}`, or plain data.
  ///
  /// Text that YAML shows as data (`"0000"`, `true`) is data. A single word that names nothing is that word, so that
  /// `issue: password` works. With `params`, which comes from another system, whatever is no expression is text.
  mutating func assignment(_ node: SourceNode, isParams: Bool) -> (source: ValueSource, type: StaticType)? {
    guard !isFromOutside, case .scalar(let text, let isQuoted) = node.content else {
      return valueSource(node).map { ($0, StaticType(of: node.value)) }
    }
    if isQuoted, text.isEmpty || SourceNode(.scalar(text, isQuoted: false), at: node.position).value != .string(text) {
      return (.constant(.string(text)), .string)
    }
    if !isQuoted, node.value != .string(text) { return (.constant(node.value), StaticType(of: node.value)) }
    if text.contains("{{") {
      guard let template = template(node, "a value") else { return nil }
      var types = ExpressionTypes(scope: scope)
      return (.template(template), template.soleExpression.map { types.check($0.root) } ?? .string)
    }
    let expression: Expression
    do {
      expression = try Expression(text)
    } catch {
      if isParams { return (.constant(.string(text)), .string) }
      var problem = error
      if problem.code == .badExpression, problem.hint.isEmpty || problem.hint.hasPrefix("put text") {
        problem.hint = "text needs quotes of its own: \"'...'\""
      }
      source.report(problem, in: node)
      return nil
    }
    if case .name(let name, _) = expression.root, scope[name] == nil {
      if let close = nearest(to: name, in: declarations.map(\.name)), !isParams {
        source.report(
          .wordAsText, node.position, "`\(name)` is taken as text",
          "did you mean the variable `\(close)`? For text write \"'\(name)'\"")
      }
      return (.constant(.string(text)), .string)
    }
    if isParams, !expression.names.allSatisfy({ scope[$0] != nil }) { return (.constant(.string(text)), .string) }
    var types = ExpressionTypes(scope: scope)
    let type = types.check(expression.root)
    note(expression.names, types.problems, node)
    return (.expression(expression), type)
  }

  /// Data with templates in its texts: payloads, event data.
  mutating func valueSource(_ node: SourceNode, depth: Int = 0) -> ValueSource? {
    if isFromOutside { return .constant(node.value) }
    guard depth < 32 else {
      source.report(.tooMany, node.position, "data is nested deeper than 32")
      return nil
    }
    switch node.content {
    case .scalar(let text, _):
      guard text.contains("{{"), case .string = node.value else { return .constant(node.value) }
      return template(node, "a value").map { .template($0) }
    case .sequence(let items): return .list(items.compactMap { valueSource($0, depth: depth + 1) })
    case .mapping(let pairs):
      return .map(
        pairs.compactMap { pair in valueSource(pair.value, depth: depth + 1).map { (pair.key.text ?? "", $0) } })
    }
  }
}
