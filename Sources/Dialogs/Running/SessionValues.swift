import Base

/// Variables and texts, and how secrets among them stay secret.
extension DialogSession {
  mutating func set(_ slot: DialogPlan.Slot, _ value: Value) { frame.values[slot.rawValue] = value }

  mutating func setVariables(_ assignments: [(name: String, value: ValueSource)]) {
    var names: [Value] = []
    for assignment in assignments {
      guard let value = evaluate(assignment.value) else { continue }
      // A secret stays one under another name.
      if readsSecret(in: assignment.value) { mask(assignment.name) }
      if assign(assignment.name, value) { names.append(.string(assignment.name)) }
    }
    executed("set_variable", ["names": .list(names)])
  }

  /// Sets a variable if the value is of its type.
  @discardableResult
  mutating func assign(_ name: String, _ value: Value) -> Bool {
    guard let slot = frame.dialog.plan.slots[name] else { return false }
    let isMasked = frame.masked.contains(slot)
    if let wanted = frame.dialog.plan.type(at: slot), wanted != .null {
      let fits = decided(isMasked) { _ in value == .null || StaticType(of: value) == wanted }
      guard fits else {
        let given = isMasked ? "something else" : StaticType(of: value).description
        fail("type", "`\(name)` holds \(wanted.description), but was given \(given)")
        return false
      }
    }
    // Whether a secret has changed is one, too.
    guard isMasked || frame.values[slot] != value else { return true }
    frame.values[slot] = value
    trace(.variableChanged(name: name, value: isMasked ? Self.hidden : value))
    return true
  }

  // MARK: Evaluating

  private func evaluation(_ values: [Value]) -> Evaluation {
    Evaluation(values: values, plan: frame.dialog.plan, wallMs: wallMs)
  }

  /// - Parameter isMarkup: the text around is SSML, in which values may not become tags.
  mutating func render(_ template: Template, isMarkup: Bool = false) -> String? {
    if let constant = template.constant { return constant }
    let isSecret = readsSecret(in: template)
    var evaluation = evaluation(isSecret && isReplay ? frame.hiddenValues : frame.values)
    var problem: EvaluationError?
    var text: String?
    do {
      text = try evaluation.text(of: template, isMarkup: isMarkup)
    } catch {
      problem = error
    }
    guard !decided(isSecret, { _ in problem == nil }) else { return text ?? "***" }
    failExpression(template.source, isSecret, problem)
    return nil
  }

  mutating func evaluate(_ source: ValueSource) -> Value? {
    if case .constant(let value) = source { return value }
    let isSecret = readsSecret(in: source)
    var problem: EvaluationError?
    var value = Self.hidden
    if !(isSecret && isReplay) {
      var evaluation = evaluation(frame.values)
      do {
        value = try evaluation.value(of: source)
      } catch {
        problem = error
      }
    }
    guard !decided(isSecret, { _ in problem == nil }) else { return value }
    failExpression("", isSecret, problem)
    return nil
  }

  /// The message may quote a value, which must not be a secret.
  private mutating func failExpression(_ source: String, _ isSecret: Bool, _ problem: EvaluationError?) {
    let message = isSecret ? "an expression with a masked variable failed" : problem?.message ?? ""
    fail("expression", source.isEmpty ? message : "`\(source.prefix(80))`: \(message)")
  }

  // MARK: Secrets

  static let hidden: Value = "***"

  var isReplay: Bool { recordedSecretDecisions != nil }

  func isMasked(_ name: String) -> Bool {
    !frame.masked.isEmpty && frame.dialog.plan.slots[name].map { frame.masked.contains($0) } == true
  }

  func isMasked(_ slot: DialogPlan.Slot) -> Bool { frame.masked.contains(slot.rawValue) }

  mutating func mask(_ name: String) {
    if let slot = frame.dialog.plan.slots[name] { frame.masked.insert(slot) }
  }

  /// The names that hold secrets now.
  var masked: Set<String> {
    let plan = frame.dialog.plan
    return Set(frame.masked.slots.map { plan.names[$0] })
  }

  func readsSecret(_ names: Set<String>) -> Bool { !frame.masked.isEmpty && names.contains { isMasked($0) } }
  func readsSecret(in template: Template) -> Bool { !frame.masked.isEmpty && readsSecret(template.names) }
  func readsSecret(in source: ValueSource) -> Bool { !frame.masked.isEmpty && readsSecret(source.names) }

  /// What hangs on a secret is recorded, and comes from the record in a replay, which does not know the secret.
  mutating func decided(_ isSecret: Bool, _ decide: (inout DialogSession) -> Bool) -> Bool {
    guard isSecret else { return decide(&self) }
    var result: Bool
    if let recorded = recordedSecretDecisions {
      result = nextSecretDecision < recorded.count && recorded[nextSecretDecision]
      nextSecretDecision += 1
    } else {
      result = decide(&self)
    }
    trace(.secretDecision(result))
    return result
  }

  mutating func renderHidden(_ template: Template, isMarkup: Bool = false) -> String? {
    guard readsSecret(in: template) else { return render(template, isMarkup: isMarkup) }
    var evaluation = evaluation(frame.hiddenValues)
    // Arithmetic with a hidden value fails; then the whole text is hidden.
    return (try? evaluation.text(of: template, isMarkup: isMarkup)) ?? "***"
  }

  /// The text of a template as records may have it.
  mutating func renderHidden(_ template: Template, as text: String) -> String {
    readsSecret(in: template) ? renderHidden(template) ?? "***" : text
  }

  mutating func evaluateHidden(_ source: ValueSource) -> Value? {
    guard readsSecret(in: source) else { return evaluate(source) }
    var evaluation = evaluation(frame.hiddenValues)
    return (try? evaluation.value(of: source)) ?? Self.hidden
  }

  /// Text from a model or a caller as records may have it: what secret variables hold is replaced by `***`. Single
  /// characters are left, because every text has them.
  public func hidingSecrets(_ text: String) -> String {
    var secrets: [String] = []
    for frame in callers + [frame] where !frame.masked.isEmpty {
      for slot in frame.masked.slots {
        switch frame.values[slot] {
        case .string, .int, .double:
          let secret = Evaluation.text(frame.values[slot])
          guard secret.utf8.count > 1, secret != "***" else { continue }
          // As written, and as a voice reads digits out.
          secrets += [secret, secret.map(String.init).joined(separator: " ")]
        case .null, .bool, .list, .map: continue
        }
      }
    }
    var shown = text
    for secret in secrets.sorted(by: { $0.utf8.count > $1.utf8.count }) {
      shown = Evaluation.split(shown, by: secret).joined(separator: "***")
    }
    return shown
  }

  /// The same for data, at every depth.
  func hidingSecrets(_ value: Value) -> Value {
    guard callers.contains(where: { !$0.masked.isEmpty }) || !frame.masked.isEmpty else { return value }
    switch value {
    case .string(let text): return .string(hidingSecrets(text))
    case .int, .double:
      let text = Evaluation.text(value)
      return hidingSecrets(text) == text ? value : Self.hidden
    case .list(let items): return .list(items.map { hidingSecrets($0) })
    case .map(let members): return .map(members.mapValues { hidingSecrets($0) }).hiding(masked)
    case .null, .bool: return value
    }
  }
}

extension DialogPlan {
  /// The type of a declared variable.
  func type(at slot: Int) -> StaticType? {
    let index = slot - Self.firstVariable
    return types.indices.contains(index) ? types[index] : nil
  }
}

extension ValueSource {
  /// Every variable it reads.
  var names: Set<String> {
    switch self {
    case .constant: []
    case .expression(let expression): expression.names
    case .template(let template): template.names
    case .list(let items): items.reduce(into: []) { $0.formUnion($1.names) }
    case .map(let pairs): pairs.reduce(into: []) { $0.formUnion($1.value.names) }
    }
  }
}
