/// What a transition's `digits` says.
public struct DigitPattern: Sendable {
  public let source: String
}
