import Base

/// Reads dialogs from parsed YAML and checks them: the door of this room.
public enum DialogLoader {
  /// One file's dialog. `dialog` is nil where there is any error; warnings come beside a dialog.
  public struct Outcome: Sendable {
    public var dialog: Dialog?
    /// In the order of the file.
    public var diagnostics: [Diagnostic]
  }

  /// - Parameters:
  ///   - file: the path that diagnostics name; its base name without extension is the default of `name`.
  public static func load(_ document: SourceNode, file: String) -> Outcome {
    var decoder = DialogDecoder(file: file)
    let dialog = decoder.decode(document)
    if let dialog {
      var flow = FlowChecks(dialog: dialog, decoder: decoder)
      flow.run()
      decoder.source = flow.source
    }
    return Outcome(dialog: dialog, diagnostics: decoder.source.diagnostics.sortedByPlace())
  }

  /// Complains of dialogs that share a name; each later one is left out of the result.
  public static func unique(_ dialogs: [Dialog]) -> (dialogs: [Dialog], diagnostics: [Diagnostic]) {
    var kept: [Dialog] = []
    var diagnostics: [Diagnostic] = []
    var files: [String: String] = [:]
    for dialog in dialogs {
      if let first = files[dialog.name] {
        diagnostics.append(
          Diagnostic(
            code: DialogCode.duplicateDialog.rawValue, severity: .error, file: dialog.file, position: nil,
            message: "the dialog `\(dialog.name)` already exists in \(first)",
            hint: "give one of them another name"))
      } else {
        kept.append(dialog)
        files[dialog.name] = dialog.file
      }
    }
    return (kept, diagnostics)
  }

  /// Diagnostics as data, for `--json`, the API and editors.
  public static func report(_ diagnostics: [Diagnostic]) -> Value {
    .list(
      diagnostics.map { diagnostic in
        var members: [String: Value] = [
          "code": .string(diagnostic.code), "severity": .string(diagnostic.severity.rawValue),
          "file": .string(diagnostic.file), "message": .string(diagnostic.message), "hint": .string(diagnostic.hint),
        ]
        if let position = diagnostic.position {
          members["line"] = .int(Int64(position.line))
          members["column"] = .int(Int64(position.column))
        }
        return .map(members)
      })
  }
}

extension [Diagnostic] {
  fileprivate func sortedByPlace() -> [Diagnostic] {
    enumerated().sorted { a, b in
      let x = a.element.position ?? SourcePosition(line: 0, column: 0)
      let y = b.element.position ?? SourcePosition(line: 0, column: 0)
      return (x.line, x.column, a.offset) < (y.line, y.column, b.offset)
    }.map(\.element)
  }
}
