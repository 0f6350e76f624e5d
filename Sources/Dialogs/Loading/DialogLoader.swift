import Base

/// Reads dialogs from parsed YAML and checks them.
public enum DialogLoader {
  /// One file's dialog. `dialog` is nil where there is any error; warnings come beside a dialog.
  public struct Outcome: Sendable {
    public var dialog: Dialog?
    public var diagnostics: [Diagnostic]
  }

  /// - Parameters:
  ///   - file: the path that diagnostics name; its base name without extension is the default of `name`.
  public static func load(_ document: SourceNode, file: String) -> Outcome { Outcome(dialog: nil, diagnostics: []) }

  /// Complains of dialogs that share a name; each later one is left out of the result.
  public static func unique(_ dialogs: [Dialog]) -> (dialogs: [Dialog], diagnostics: [Diagnostic]) { (dialogs, []) }
}
