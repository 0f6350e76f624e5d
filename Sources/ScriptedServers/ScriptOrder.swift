import NIOConcurrencyHelpers

/// Hands scripts out one after the other; the last is repeated for ever.
public final class ScriptOrder<Script: Sendable>: Sendable {
  private let scripts: [Script]
  private let position = NIOLockedValueBox(0)

  /// - Parameter scripts: not empty.
  public init(_ scripts: [Script]) {
    precondition(!scripts.isEmpty, "a server needs a script")
    self.scripts = scripts
  }

  public func next() -> Script {
    let at = position.withLockedValue { at in
      defer { at += 1 }
      return at
    }
    return scripts[min(at, scripts.count - 1)]
  }
}
