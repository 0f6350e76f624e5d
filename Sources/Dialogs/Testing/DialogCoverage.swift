import Base

/// Which states, transitions and exits of a dialog calls have gone through.
public struct DialogCoverage: Sendable {
  /// Something of a dialog that a call can go through.
  public struct Item: Hashable, Sendable {
    public enum Kind: String, Sendable { case state, transition, timeout, exit }
    public var kind: Kind
    /// Empty for transitions that hold in every state.
    public var state: String
    /// The event, or the exit's name; empty for states.
    public var event: String
    /// nil: stay.
    public var target: String?
    public var position: SourcePosition

    /// `start -[dtmf]-> reset`
    public var description: String {
      switch kind {
      case .state: "state \(state)"
      case .transition, .timeout, .exit:
        "\(state.isEmpty ? "every state" : state) -[\(event)]-> \(target ?? "(stays)")"
      }
    }
  }

  public let dialog: String
  public let file: String
  /// In the order of the file.
  public let items: [Item]
  /// How many calls went through each of ``items``.
  public private(set) var counts: [Int]
  private let places: [Item: Int]
  /// Where each of the machine's ways stands in ``items``.
  private let wayPlaces: [Int]

  public init(_ dialog: Dialog) {
    self.dialog = dialog.name
    file = dialog.file
    var items: [Item] = []
    func add(_ transitions: [Transition], in state: String) {
      for transition in transitions {
        items.append(
          Item(
            kind: .transition, state: state, event: transition.event, target: transition.target,
            position: transition.position))
      }
    }
    add(dialog.transitions, in: "")
    for state in dialog.states {
      items.append(Item(kind: .state, state: state.name, event: "", target: nil, position: state.position))
      for exit in state.agent?.exits ?? [] {
        items.append(
          Item(kind: .exit, state: state.name, event: exit.name, target: exit.target, position: exit.position))
      }
      add(state.transitions, in: state.name)
      if let next = state.timeoutNext {
        items.append(Item(kind: .timeout, state: state.name, event: "timeout", target: next, position: state.position))
      }
    }
    self.items = items
    counts = Array(repeating: 0, count: items.count)
    places = Dictionary(items.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    wayPlaces = items.indices.filter { items[$0].kind == .transition }
  }

  /// Counts what a call went through.
  public mutating func add(_ call: VirtualCall) {
    var seen: Set<Int> = []
    for taken in call.session.waysTaken ?? [] where taken.dialog == dialog && taken.way < wayPlaces.count {
      seen.insert(wayPlaces[taken.way])
    }
    for happening in call.happenings {
      guard case .trace(let trace) = happening.what else { continue }
      switch trace {
      case .stateTransition(let from, let to, let trigger):
        for (i, item) in items.enumerated() {
          switch item.kind {
          case .state where item.state == to: seen.insert(i)
          case .timeout where trigger == "timeout" && item.state == from && item.target == to: seen.insert(i)
          default: break
          }
        }
      case .toolCalled(let state, let tool, _, "exit"):
        for (i, item) in items.enumerated() where item.kind == .exit && item.state == state && item.event == tool {
          seen.insert(i)
        }
      default: break
      }
    }
    for place in seen { counts[place] += 1 }
  }

  public mutating func add(_ other: DialogCoverage) {
    guard other.items == items else { return }
    for i in counts.indices { counts[i] += other.counts[i] }
  }

  /// What no call went through, in the order of the file.
  public var missing: [Item] { zip(items, counts).filter { $0.1 == 0 }.map(\.0) }

  /// How many of `kind` there are, and how many of them some call went through. `transition` stands for timeouts and exits,
  /// too.
  public func share(of kind: Item.Kind) -> (taken: Int, all: Int) {
    var taken = 0
    var all = 0
    for (item, count) in zip(items, counts) where (item.kind == .state) == (kind == .state) {
      all += 1
      if count > 0 { taken += 1 }
    }
    return (taken, all)
  }

  /// Whether some call took the item; nil where the dialog has no such item.
  func isTaken(_ item: Item) -> Bool? { places[item].map { counts[$0] > 0 } }

  public var lines: [String] {
    let states = share(of: .state)
    let transitions = share(of: .transition)
    var lines = [
      "\(dialog): \(states.taken) of \(states.all) states, \(transitions.taken) of \(transitions.all) transitions taken"
    ]
    for item in missing.sorted(by: { ($0.position.line, $0.position.column) < ($1.position.line, $1.position.column) })
    {
      lines.append("\(file):\(item.position): never taken: \(item.description)")
    }
    return lines
  }

  public var json: Value {
    func members(_ item: Item) -> [String: Value] {
      [
        "kind": .string(item.kind.rawValue), "state": .string(item.state), "event": .string(item.event),
        "target": item.target.map { .string($0) } ?? .null, "line": .int(Int64(item.position.line)),
        "column": .int(Int64(item.position.column)),
      ]
    }
    return [
      "dialog": .string(dialog), "file": .string(file),
      "items": .list(
        zip(items, counts).map { item, count in
          .map(members(item).merging(["calls": .int(Int64(count))]) { a, _ in a })
        }),
    ]
  }
}
