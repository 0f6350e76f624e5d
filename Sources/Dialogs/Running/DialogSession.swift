import Base

/// Bounds and defaults that the owner sets from the configuration.
public struct DialogLimits: Sendable, Hashable {
  /// `runtime.default_timeout`.
  public var timeout: Duration = .seconds(10)
  /// `runtime.max_dialog_depth`.
  public var maxDepth = 50
  /// `runtime.barge_in`.
  public var bargeIn = true
  public init(timeout: Duration = .seconds(10), maxDepth: Int = 50, bargeIn: Bool = true) {
    self.timeout = timeout
    self.maxDepth = maxDepth
    self.bargeIn = bargeIn
  }
}

/// Runs one dialog for one call. A pure value machine: the same inputs at the same instants give the same actions.
public struct DialogSession: Sendable {
  /// The reasons with which a dialog can end a call.
  public static let hangupReasons = ["normal", "busy", "rejected", "error"]

  public let dialog: Dialog

  /// - Parameter variables: values that replace the dialog's own at the start (unknown names are ignored and traced).
  public init(
    dialog: Dialog, variables: [String: Value] = [:], call: CallFacts, limits: DialogLimits = DialogLimits()
  ) {
    self.dialog = dialog
  }

  /// The current state; empty before the call is answered.
  public var currentState: String { "" }
  /// Whether the dialog is over (the call ended). No actions come after that.
  public var isEnded: Bool { false }
  /// The variables with masked ones hidden: what records, the API and logs may show.
  public var visibleVariables: [String: Value] { [:] }

  /// When ``timeout(at:wallMs:)`` wants to be called; nil: not at all.
  public var deadline: Instant? { nil }

  /// - Parameter wallMs: wall-clock milliseconds since 1970, for `now()`.
  public mutating func receive(_ input: DialogInput, at now: Instant, wallMs: Int64) -> [DialogAction] { [] }

  /// To be called when ``deadline`` has come. Too early: does nothing.
  public mutating func timeout(at now: Instant, wallMs: Int64) -> [DialogAction] { [] }
}
