import Base

extension DialogLoader {
  /// What is wrong among dialogs that are loaded together: sub-dialogs that do not exist, run each other in circles or do not
  /// have the variables they are given, and rules that two dialogs share. Warnings only, because each dialog works by itself.
  ///
  /// - Parameter dialogs: with different names; see ``unique(_:)``.
  public static func link(_ dialogs: [Dialog]) -> [Diagnostic] {
    var checks = CatalogChecks(dialogs)
    checks.run()
    return checks.diagnostics
  }
}

private struct CatalogChecks {
  let dialogs: [Dialog]
  /// By name.
  let index: [String: Dialog]
  private(set) var diagnostics: [Diagnostic] = []

  init(_ dialogs: [Dialog]) {
    self.dialogs = dialogs
    index = Dictionary(dialogs.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  private mutating func report(
    _ code: DialogCode, _ dialog: Dialog, _ position: SourcePosition, _ message: String, _ hint: String
  ) {
    diagnostics.append(
      Diagnostic(
        code: code.rawValue, severity: code.severity, file: dialog.file, position: position, message: message,
        hint: hint))
  }

  mutating func run() {
    let runs = Dictionary(
      dialogs.map { ($0.name, $0.runs) }, uniquingKeysWith: { first, _ in first })
    for dialog in dialogs {
      for step in runs[dialog.name] ?? [] {
        if let other = index[step.name] { check(step, of: dialog, runs: other) } else { reportUnknown(step, dialog) }
      }
    }
    checkCircles(runs)
    checkRouting()
  }

  private mutating func reportUnknown(_ step: RunDialogStep, _ dialog: Dialog) {
    let close = nearest(to: step.name, in: index.keys.sorted())
    report(
      .unknownDialog, dialog, step.position, "there is no dialog `\(step.name)`",
      close.map { "did you mean `\($0)`?" } ?? "put its file beside this one")
  }

  private mutating func check(_ step: RunDialogStep, of dialog: Dialog, runs other: Dialog) {
    for (name, value) in step.variables {
      guard let declared = other.variables.first(where: { $0.name == name }) else {
        let close = nearest(to: name, in: other.variables.map(\.name))
        report(
          .unknownParameter, dialog, step.position, "the dialog `\(other.name)` declares no variable `\(name)`",
          close.map { "did you mean `\($0)`?" } ?? "declare it there under `variables`")
        continue
      }
      let wanted = StaticType(of: declared.initial), type = value.type(in: dialog.scope)
      if wanted != .null, type != .null, !type.fits(wanted) {
        report(
          .unknownParameter, dialog, step.position,
          "`\(name)` of the dialog `\(other.name)` holds \(wanted.description), but is given \(type.description)",
          "its type follows from its first value there")
      }
    }
  }

  // MARK: Circles

  private mutating func checkCircles(_ runs: [String: [RunDialogStep]]) {
    var finished: Set<String> = []
    for start in dialogs.map(\.name) where !finished.contains(start) {
      var path: [(name: String, rest: [RunDialogStep])] = [(start, runs[start] ?? [])]
      var onPath: [String: Int] = [start: 0]
      while let (name, rest) = path.popLast() {
        guard let step = rest.last else {
          finished.insert(name)
          onPath[name] = nil
          continue
        }
        path.append((name, rest.dropLast()))
        if let from = onPath[step.name], let dialog = index[name] {
          let circle = path[from...].map(\.name) + [step.name]
          report(
            .dialogCallsItself, dialog, step.position,
            "the dialog runs itself: \(circle.joined(separator: " -> "))",
            "let one of them end instead, or use `goto` within one dialog")
        } else if !finished.contains(step.name), index[step.name] != nil {
          onPath[step.name] = path.count
          path.append((step.name, runs[step.name] ?? []))
        }
      }
    }
  }

  // MARK: Routing

  private struct Rule: Hashable {
    var to: String?
    var from: String?
    var trunk: String?
    var headers: [String: String]
  }

  private mutating func checkRouting() {
    var owners: [Rule: Dialog] = [:]
    for dialog in dialogs {
      for rule in dialog.routing {
        let key = Rule(
          to: rule.to?.lowercased(), from: rule.from?.lowercased(), trunk: rule.trunk?.lowercased(),
          headers: rule.headers)
        if let owner = owners[key], owner.name != dialog.name {
          report(
            .sameRouting, dialog, rule.position,
            "the dialog `\(owner.name)` (\(owner.file)) has the same rule and answers these calls",
            "make one of the rules more specific")
        } else {
          owners[key] = dialog
        }
      }
    }
  }
}

extension Dialog {
  /// Every `run_dialog` in the order of the file.
  public var runs: [RunDialogStep] {
    func inside(_ actions: [ActionStep]) -> [RunDialogStep] {
      actions.compactMap { if case .runDialog(let step) = $0.action { step } else { nil } }
    }
    return transitions.flatMap { inside($0.actions) }
      + states.flatMap { inside($0.onEnter) + $0.transitions.flatMap { inside($0.actions) } }
  }
}

extension ValueSource {
  /// What it holds, as far as that can be told without running the dialog.
  func type(in scope: [String: StaticType]) -> StaticType {
    switch self {
    case .constant(let value): return StaticType(of: value)
    case .expression(let expression):
      var types = ExpressionTypes(scope: scope)
      return types.check(expression.root)
    case .template(let template):
      guard let sole = template.soleExpression else { return .string }
      var types = ExpressionTypes(scope: scope)
      return types.check(sole.root)
    case .list: return .list
    case .map: return .map
    }
  }
}
