/// Decides when a caller's turn begins and ends. A value machine: the same inputs give the same actions.
public struct Endpointer: Sendable {
  public let settings: TurnSettings

  public init(settings: TurnSettings = TurnSettings()) { self.settings = settings }

  /// Feeds one input; the result is empty (and allocates nothing) for almost every frame.
  public mutating func receive(_ input: EndpointerInput) -> [EndpointerAction] { [] }

  /// Whether a turn is open: the caller speaks, or has paused within it.
  public var isInTurn: Bool { false }
}
