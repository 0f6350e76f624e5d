import Base

/// Turns a Dograh workflow (nodes and edges as JSON) into a dialog. Whatever has no counterpart here is said in a note: a
/// workflow never loses a part in silence.
public enum WorkflowImport {
  /// Something that is not the same afterwards.
  public struct Note: Hashable, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
      /// Not carried over.
      case lost
      /// Carried over, but it works in another way.
      case changed
      /// Not in the workflow, but needed here.
      case added
    }
    public var kind: Kind
    /// `node 3 (Greeting)`, `edge 1-2`, `tool 7f..` or `workflow`.
    public var place: String
    /// The key of its data that is meant; empty for the whole.
    public var key: String
    /// What happened and what to do about it.
    public var reason: String

    public var description: String {
      "\(place): \(kind.rawValue): " + (key.isEmpty ? "" : "`\(key)`: ") + reason
    }
    /// The form of `--json`.
    public var value: Value {
      ["kind": .string(kind.rawValue), "place": .string(place), "key": .string(key), "reason": .string(reason)]
    }
  }

  /// What came out.
  public struct Outcome: Sendable {
    /// The dialog as YAML text; the checker finds no errors in it.
    public var yaml: String
    /// The dialog's name.
    public var name: String
    public var stateCount: Int
    public var notes: [Note]
  }

  /// Why there is nothing to import.
  public struct Failure: Error, Hashable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
  }

  /// Workflows drawn by hand have some dozen nodes; a dialog has room for 1,000 states, and some nodes need several.
  public static let nodeLimit = 500
  static let edgeLimit = 5_000

  /// - Parameters:
  ///   - workflow: the workflow's JSON: what the API gives for one workflow, or only its `workflow_definition`.
  ///   - name: the dialog's name; empty: the workflow's.
  ///   - tools: a list of tool definitions as the API gives them, because a workflow only names its tools.
  public static func convert(
    _ workflow: Value, name: String = "", tools: Value = .null
  ) throws(Failure) -> Outcome {
    let graph = try WorkflowGraph(workflow, tools: tools)
    var conversion = WorkflowConversion(graph: graph, name: name)
    return try conversion.run()
  }
}
