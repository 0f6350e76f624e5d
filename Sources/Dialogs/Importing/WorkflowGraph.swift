import Base

/// One node of a workflow.
struct WorkflowNode: Sendable {
  enum Kind: String, Sendable {
    case start = "startCall"
    case agent = "agentNode"
    case end = "endCall"
    case global = "globalNode"
    case webhook
    case trigger
    case review = "qa"

    /// Whether the conversation can be in it.
    var isConversation: Bool { self == .start || self == .agent || self == .end }
  }
  var id: String
  var kind: Kind
  var data: [String: Value]

  var name: String { data["name"]?.stringValue ?? "" }
  var place: String { name.isEmpty ? "node \(id)" : "node \(id) (\(name))" }

  func text(_ key: String) -> String { data[key]?.stringValue ?? "" }
  func flag(_ key: String) -> Bool? { data[key]?.boolValue }
}

struct WorkflowEdge: Sendable {
  var id: String
  var source: String
  var target: String
  var data: [String: Value]

  var place: String { "edge \(id)" }
  var label: String { data["label"]?.stringValue ?? "" }
  var condition: String { data["condition"]?.stringValue ?? "" }
}

/// A tool's definition, which stands outside of the workflow.
struct WorkflowTool: Sendable {
  var id: String
  var name: String
  var description: String
  var kind: String
  var config: [String: Value]

  var place: String { "tool \(id) (\(name))" }
}

/// A workflow as far as it makes sense: every node and edge in order, and notes about the rest.
struct WorkflowGraph: Sendable {
  var name = ""
  private(set) var nodes: [WorkflowNode] = []
  private(set) var edges: [WorkflowEdge] = []
  private(set) var tools: [String: WorkflowTool] = [:]
  /// First values of variables.
  private(set) var variables: [String: Value] = [:]
  private(set) var configurations: [String: Value] = [:]
  private(set) var start = ""
  var notes: [WorkflowImport.Note] = []

  /// What says nothing about the conversation: where things stand on the screen, when they were saved.
  private static let furniture: Set<String> = [
    "id", "uuid", "workflow_uuid", "workflow_id", "name", "description", "status", "created_at", "updated_at",
    "version",
    "version_number", "version_status", "current_definition_id", "total_runs", "user_id", "organization_id",
    "folder_id",
    "viewport", "nodes", "edges", "tools", "workflow_definition", "template_context_variables",
    "workflow_configurations",
  ]

  init(_ document: Value, tools: Value) throws(WorkflowImport.Failure) {
    guard case .map(let top) = document else {
      throw WorkflowImport.Failure("this is no workflow: the JSON must be an object with `nodes` and `edges`")
    }
    var definition = top
    if case .map(let inner)? = top["workflow_definition"] { definition = inner }
    guard case .list(let nodeList)? = definition["nodes"] else {
      throw WorkflowImport.Failure("this is no workflow: there is no list `nodes`")
    }
    guard !nodeList.isEmpty else { throw WorkflowImport.Failure("the workflow has no nodes") }
    guard nodeList.count <= WorkflowImport.nodeLimit else {
      throw WorkflowImport.Failure(
        "the workflow has \(nodeList.count) nodes; at most \(WorkflowImport.nodeLimit) can be imported")
    }
    name = top["name"]?.stringValue ?? ""
    if case .map(let values)? = top["template_context_variables"] { variables = values }
    if case .map(let values)? = top["workflow_configurations"] { configurations = values }
    for (key, value) in top.merging(definition, uniquingKeysWith: { a, _ in a }).sorted(by: { $0.key < $1.key })
    where !Self.furniture.contains(key) && !Self.isNothing(value) {
      note(.lost, "workflow", key, "has no counterpart in a dialog")
    }
    readTools(top["tools"] ?? .null)
    readTools(tools)
    for (index, node) in nodeList.enumerated() { readNode(node, number: index + 1) }
    try readEdges(definition["edges"] ?? .null)
    try findStart()
  }

  static func isNothing(_ value: Value) -> Bool {
    switch value {
    case .null: true
    case .string(let text): text.isEmpty
    case .list(let items): items.isEmpty
    case .map(let map): map.isEmpty
    default: false
    }
  }

  mutating func note(_ kind: WorkflowImport.Note.Kind, _ place: String, _ key: String, _ reason: String) {
    notes.append(WorkflowImport.Note(kind: kind, place: place, key: key, reason: reason))
  }

  /// Identifiers are texts, but numbers are seen as well.
  private static func identifier(_ value: Value?) -> String? {
    switch value {
    case .string(let text): text.isEmpty ? nil : text
    case .int(let number): String(number)
    default: nil
    }
  }

  private mutating func readNode(_ value: Value, number: Int) {
    guard case .map(let members) = value, let id = Self.identifier(members["id"]) else {
      return note(.lost, "node number \(number)", "", "it is no object with an `id`")
    }
    guard !nodes.contains(where: { $0.id == id }) else {
      return note(.lost, "node \(id)", "", "there is another node with this id; the first one is kept")
    }
    var data: [String: Value] = [:]
    if case .map(let own)? = members["data"] { data = own }
    let type = members["type"]?.stringValue ?? "agentNode"
    guard let kind = WorkflowNode.Kind(rawValue: type) else {
      return note(.lost, "node \(id)", "type", "nothing here does what a node of type `\(type)` does")
    }
    nodes.append(WorkflowNode(id: id, kind: kind, data: data))
  }

  private mutating func readEdges(_ value: Value) throws(WorkflowImport.Failure) {
    guard case .list(let list) = value else {
      if !Self.isNothing(value) { note(.lost, "workflow", "edges", "it is no list") }
      return
    }
    guard list.count <= WorkflowImport.edgeLimit else {
      throw WorkflowImport.Failure(
        "the workflow has \(list.count) edges; at most \(WorkflowImport.edgeLimit) can be imported")
    }
    let known = Dictionary(nodes.map { ($0.id, $0.kind) }, uniquingKeysWith: { first, _ in first })
    for (index, value) in list.enumerated() {
      guard case .map(let members) = value, let source = Self.identifier(members["source"]),
        let target = Self.identifier(members["target"])
      else {
        note(.lost, "edge number \(index + 1)", "", "it has no `source` and `target`")
        continue
      }
      var data: [String: Value] = [:]
      if case .map(let own)? = members["data"] { data = own }
      let edge = WorkflowEdge(
        id: Self.identifier(members["id"]) ?? "\(source)-\(target)", source: source, target: target, data: data)
      guard let from = known[source], let to = known[target] else {
        note(.lost, edge.place, "", "the node \(known[source] == nil ? source : target) does not exist or was left out")
        continue
      }
      guard from.isConversation, from != .end, to.isConversation else {
        note(.lost, edge.place, "", "a conversation cannot go from \(from.rawValue) to \(to.rawValue)")
        continue
      }
      edges.append(edge)
    }
  }

  private mutating func readTools(_ value: Value) {
    let list: [Value]
    switch value {
    case .list(let items): list = items
    case .map(let map):
      if case .list(let items)? = map["tools"] ?? map["items"] { list = items } else { list = [value] }
    default: return
    }
    for (index, item) in list.enumerated() {
      guard case .map(let members) = item,
        let id = Self.identifier(members["tool_uuid"] ?? members["uuid"] ?? members["id"]),
        case .map(let definition)? = members["definition"]
      else {
        note(.lost, "tool number \(index + 1)", "", "it has no `tool_uuid` and `definition`")
        continue
      }
      var config: [String: Value] = [:]
      if case .map(let own)? = definition["config"] { config = own }
      tools[id] = WorkflowTool(
        id: id, name: members["name"]?.stringValue ?? "", description: members["description"]?.stringValue ?? "",
        kind: definition["type"]?.stringValue ?? members["category"]?.stringValue ?? "", config: config)
    }
  }

  private mutating func findStart() throws(WorkflowImport.Failure) {
    let starts = nodes.filter { $0.kind == .start }
    for other in starts.dropFirst() {
      note(.changed, other.place, "type", "a call can begin in one place only; this node is kept as an agent")
    }
    if let first = starts.first {
      start = first.id
      return
    }
    let targets = Set(edges.map(\.target))
    let conversation = nodes.filter { $0.kind.isConversation }
    guard
      let first = conversation.first(where: { $0.flag("is_start") == true })
        ?? conversation.first(where: { !targets.contains($0.id) }) ?? conversation.first
    else { throw WorkflowImport.Failure("the workflow has no startCall, agentNode or endCall") }
    start = first.id
    note(.changed, first.place, "type", "there is no startCall, so the call begins here")
  }

  func node(_ id: String) -> WorkflowNode? { nodes.first { $0.id == id } }
}
