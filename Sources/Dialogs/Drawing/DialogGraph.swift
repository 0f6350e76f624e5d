import Base

/// A dialog as boxes and arrows: what `parley dialog graph` draws.
public struct DialogGraph: Sendable {
  struct Node: Sendable {
    enum Kind: Sendable { case state, agent, terminal, subDialog, anywhere }
    var name: String
    var kind: Kind
    /// What the state says, asks or is for; short.
    var details: [String]
    /// nil: coverage is not shown.
    var isTaken: Bool?
    var isInitial = false
  }

  struct Edge: Sendable {
    var from: String
    var to: String
    var label: String
    /// Dashed: what happens without the caller (time, a fallback), or leads into another dialog.
    var isDashed = false
    var isTaken: Bool?
  }

  let name: String
  var nodes: [Node] = []
  var edges: [Edge] = []

  /// Where transitions that hold in every state begin.
  static let anywhere = "(any state)"
  private static let detailLimit = 3
  private static let textLimit = 48

  /// - Parameter coverage: colours what calls have gone through; nil: not shown.
  public init(_ dialog: Dialog, coverage: DialogCoverage? = nil) {
    name = dialog.name
    func isTaken(
      _ kind: DialogCoverage.Item.Kind, _ state: String, _ event: String, _ target: String?, _ at: SourcePosition
    )
      -> Bool?
    {
      coverage?.isTaken(
        DialogCoverage.Item(kind: kind, state: state, event: event, target: target, position: at))
    }
    func add(_ transitions: [Transition], from: String, state: String) {
      for transition in transitions {
        // Without a target, and without going anywhere else, nothing is to be drawn.
        let ways = [transition.target].compactMap(\.self) + transition.actions.flatMap(\.gotos)
        for target in ways.isEmpty && !transition.actions.isEmpty ? [from] : ways {
          edges.append(
            Edge(
              from: from, to: target, label: transition.label,
              isDashed: ["timeout", "no_input", "tts_complete"].contains(transition.event),
              isTaken: isTaken(.transition, state, transition.event, transition.target, transition.position)))
        }
        addSubDialogs(transition.actions, from: from)
      }
    }
    for state in dialog.states {
      let kind: Node.Kind = state.isTerminal ? .terminal : state.agent != nil ? .agent : .state
      nodes.append(
        Node(
          name: state.name, kind: kind, details: Self.details(of: state),
          isTaken: isTaken(.state, state.name, "", nil, state.position), isInitial: state.name == dialog.initialState))
    }
    for state in dialog.states {
      for target in state.onEnter.flatMap(\.gotos) {
        edges.append(Edge(from: state.name, to: target, label: "goto", isDashed: true))
      }
      addSubDialogs(state.onEnter, from: state.name)
      for exit in state.agent?.exits ?? [] {
        edges.append(
          Edge(
            from: state.name, to: exit.target, label: "exit \(exit.name)",
            isTaken: isTaken(.exit, state.name, exit.name, exit.target, exit.position)))
      }
      if let fallback = state.agent?.fallback {
        edges.append(Edge(from: state.name, to: fallback, label: "fallback", isDashed: true))
      }
      add(state.transitions, from: state.name, state: state.name)
      if let next = state.timeoutNext {
        let label = "timeout" + (state.timeout.map { " " + Self.text($0) } ?? "")
        edges.append(
          Edge(
            from: state.name, to: next, label: label, isDashed: true,
            isTaken: isTaken(.timeout, state.name, "timeout", next, state.position)))
      }
    }
    if !dialog.transitions.isEmpty {
      nodes.append(Node(name: Self.anywhere, kind: .anywhere, details: []))
      add(dialog.transitions, from: Self.anywhere, state: "")
    }
  }

  private mutating func addSubDialogs(_ steps: [ActionStep], from: String) {
    for step in steps {
      guard case .runDialog(let run) = step.action else { continue }
      let name = "dialog \(run.name)"
      if !nodes.contains(where: { $0.name == name }) { nodes.append(Node(name: name, kind: .subDialog, details: [])) }
      edges.append(Edge(from: from, to: name, label: "run_dialog", isDashed: true))
    }
  }

  private static func details(of state: DialogState) -> [String] {
    var details: [String] = []
    if let agent = state.agent { details.append("agent: " + shortened(agent.prompt.source)) }
    for step in state.onEnter {
      switch step.action {
      case .playTTS(let speak): details.append("\u{201C}\(shortened(speak.text.source))\u{201D}")
      case .playAudio(let url, _, _, _): details.append("plays \(shortened(url.source))")
      case .callHook(let hook):
        details.append("asks \(hook.service.isEmpty ? shortened(hook.url.source) : hook.service)")
      case .collectDigits(let collect): details.append("collects up to \(collect.max) digits")
      case .transfer(let transfer): details.append("transfers to \(shortened(transfer.target.source))")
      case .hangup(let reason): details.append("hangs up (\(reason))")
      default: break
      }
    }
    guard details.count > detailLimit else { return details }
    return details.prefix(detailLimit - 1) + ["and \(details.count - detailLimit + 1) more"]
  }

  static func shortened(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    return line.count <= textLimit ? line : line.prefix(textLimit - 1) + "\u{2026}"
  }

  private static func text(_ duration: Duration) -> String {
    let ms = duration.milliseconds
    return ms % 1_000 == 0 ? "\(ms / 1_000) s" : "\(ms) ms"
  }
}

extension Transition {
  /// `dtmf 1`, `speech if ...`
  fileprivate var label: String {
    var label = event == "*" ? "any event" : event
    if let digits { label += " \(digits.source)" }
    if let confidenceBelow { label += " below \(confidenceBelow)" }
    if let condition { label += " if \(DialogGraph.shortened(condition.source))" }
    return label
  }
}

extension ActionStep {
  fileprivate var gotos: [String] { if case .goto(let target) = action { [target] } else { [] } }
}
