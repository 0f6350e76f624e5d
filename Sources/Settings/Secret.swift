/// A text that must not be seen: it prints as `***` everywhere, and only ``reveal()`` gives it away.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  private let text: String

  public init(_ text: String) { self.text = text }

  /// The text itself, for the one place that sends or compares it.
  public func reveal() -> String { text }

  public var isEmpty: Bool { text.isEmpty }
  public var description: String { text.isEmpty ? "" : "***" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Ports from `first` to `last`, both included.
public struct PortRange: Sendable, Hashable, CustomStringConvertible {
  public var first: Int
  public var last: Int

  public init(first: Int, last: Int) {
    self.first = first
    self.last = last
  }

  public var closedRange: ClosedRange<Int> { first...max(first, last) }
  public var description: String { "\(first)-\(last)" }
}
