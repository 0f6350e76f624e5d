/// A graph in the languages that drawing programs read.
extension DialogGraph {
  // MARK: Graphviz

  /// DOT, for Graphviz.
  public var dot: String {
    var out = "digraph \(Self.dotText(name)) {\n  rankdir=TB;\n"
    out +=
      "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f5f7fa\", color=\"#52606d\", fontname=\"Helvetica\", "
    out += "fontsize=11];\n  edge [color=\"#52606d\", fontname=\"Helvetica\", fontsize=9];\n"
    out += "  \"\\n\" [label=\"\", shape=circle, style=filled, fillcolor=\"#52606d\", width=0.15, fixedsize=true];\n"
    for node in nodes {
      var look = ["label=\(Self.dotText(([node.name] + node.details).joined(separator: "\n")))"]
      switch node.kind {
      case .state: break
      case .agent: look.append("fillcolor=\"#e6f0ff\", color=\"#2f6fde\"")
      case .terminal: look.append("peripheries=2")
      case .subDialog: look.append("shape=component, fillcolor=\"#fff8e1\"")
      case .anywhere: look.append("shape=plaintext, style=\"\"")
      }
      if node.isTaken == true { look.append("fillcolor=\"#dcf5e3\", color=\"#1f8a4c\"") }
      if node.isTaken == false { look.append("fillcolor=\"#fde3e3\", color=\"#c53030\"") }
      out += "  \(Self.dotText(node.name)) [\(look.joined(separator: ", "))];\n"
      if node.isInitial { out += "  \"\\n\" -> \(Self.dotText(node.name));\n" }
    }
    for edge in edges {
      var look = ["label=\(Self.dotText(edge.label))"]
      if edge.isDashed { look.append("style=dashed") }
      if edge.isTaken == true { look.append("color=\"#1f8a4c\"") }
      if edge.isTaken == false { look.append("color=\"#c53030\"") }
      out += "  \(Self.dotText(edge.from)) -> \(Self.dotText(edge.to)) [\(look.joined(separator: ", "))];\n"
    }
    return out + "}\n"
  }

  /// A quoted identifier: in DOT only the quote and the backslash mean something there.
  private static func dotText(_ text: String) -> String {
    var out = "\""
    for character in text {
      switch character {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case let c where c.isNewline: out += "\\n"
      default: out.append(character)
      }
    }
    return out + "\""
  }

  // MARK: Mermaid

  /// A Mermaid flowchart, as GitHub and many wikis draw it.
  public var mermaid: String {
    var out = "flowchart TD\n"
    let ids = Dictionary(
      nodes.enumerated().map { ($1.name, "n\($0)") }, uniquingKeysWith: { first, _ in first })
    for node in nodes {
      guard let id = ids[node.name] else { continue }
      let label = Self.mermaidText(([node.name] + node.details).joined(separator: "\n"))
      switch node.kind {
      case .state, .agent: out += "  \(id)(\(label))\n"
      case .terminal: out += "  \(id)([\(label)])\n"
      case .subDialog: out += "  \(id)[[\(label)]]\n"
      case .anywhere: out += "  \(id)>\(label)]\n"
      }
      if node.isInitial { out += "  begin((\" \")) --> \(id)\n" }
    }
    for edge in edges {
      guard let from = ids[edge.from], let to = ids[edge.to] else { continue }
      out += "  \(from) \(edge.isDashed ? "-.->" : "-->")|\(Self.mermaidText(edge.label))| \(to)\n"
    }
    out += "  classDef agent fill:#e6f0ff,stroke:#2f6fde\n"
    out += Self.classed("agent", nodes.filter { $0.kind == .agent && $0.isTaken == nil }.compactMap { ids[$0.name] })
    if nodes.contains(where: { $0.isTaken != nil }) {
      out += "  classDef taken fill:#dcf5e3,stroke:#1f8a4c\n  classDef missing fill:#fde3e3,stroke:#c53030\n"
      out += Self.classed("taken", nodes.filter { $0.isTaken == true }.compactMap { ids[$0.name] })
      out += Self.classed("missing", nodes.filter { $0.isTaken == false }.compactMap { ids[$0.name] })
      for (i, edge) in edges.enumerated() where edge.isTaken != nil {
        out +=
          "  linkStyle \(i + (nodes.contains(where: \.isInitial) ? 1 : 0)) stroke:"
          + (edge.isTaken == true ? "#1f8a4c" : "#c53030") + "\n"
      }
    }
    return out
  }

  private static func classed(_ name: String, _ ids: [String]) -> String {
    ids.isEmpty ? "" : "  class \(ids.joined(separator: ",")) \(name)\n"
  }

  /// In quotes, where entities stand for whatever could end them or be taken for markup.
  private static func mermaidText(_ text: String) -> String {
    var out = "\""
    for character in text {
      switch character {
      case "\"": out += "#quot;"
      case "#": out += "#35;"
      case "&": out += "#amp;"
      case "<": out += "#lt;"
      case ">": out += "#gt;"
      case "`": out += "#96;"
      case "\\": out += "#92;"
      case let c where c.isNewline: out += "<br/>"
      default: out.append(character)
      }
    }
    return out + "\""
  }
}
