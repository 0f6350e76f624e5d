import Base

/// What an operator and the owner of a webhook decide of its deliveries.
public struct DeliveryPolicy: Sendable, Hashable {
  /// Attempts at one event, the first included.
  public var maxAttempts: Int
  /// The longest wait after the first failed attempt; each wait is drawn between zero and twice the last one's longest.
  public var backoffInitial: Duration
  public var backoffMax: Duration
  /// Requests under way at once, each of another session.
  public var concurrency: Int
  /// Requests per second; nil: as fast as the receiver answers.
  public var ratePerSecond: Double?

  public init(
    maxAttempts: Int = 8, backoffInitial: Duration = .seconds(1), backoffMax: Duration = .seconds(300),
    concurrency: Int = 8, ratePerSecond: Double? = nil
  ) {
    self.maxAttempts = max(1, maxAttempts)
    self.backoffInitial = backoffInitial
    self.backoffMax = backoffMax
    self.concurrency = max(1, concurrency)
    self.ratePerSecond = ratePerSecond
  }

  /// Requests that may go out at once after a pause: a second's worth.
  var burst: Double { max(1, ratePerSecond ?? 1) }
}

/// Limits of one webhook's deliveries.
public enum DeliveryLimits {
  /// Events that were read and are not settled: some hundred kilobytes, and more than a thousand requests per second at
  /// answers of a quarter of a second.
  public static let window = 512
  /// Events that may be owed behind the settled place: rows of the outbox, and metadata in memory of about a megabyte.
  public static let parked = 10_000
  /// Attempts that fail one after the other before the circuit opens: a full round of the usual concurrency.
  public static let circuitThreshold = 10
  /// The longest `Retry-After` that is honoured.
  public static let retryAfter: Duration = .seconds(3600)
  /// How long one event may be deferred by a receiver that asks for time, before it is given up.
  public static let deferral: Duration = .seconds(24 * 3600)
  /// How long a webhook may fail without one success before it is disabled.
  public static let giveUp: Duration = .seconds(5 * 86_400)
}

/// A line that is served from the front; taking from it costs no move of the rest.
struct Queue<Element: Sendable>: Sendable {
  private var items: [Element] = []
  private var head = 0

  var count: Int { items.count - head }
  var isEmpty: Bool { head == items.count }
  var first: Element? { isEmpty ? nil : items[head] }

  subscript(index: Int) -> Element {
    get { items[head + index] }
    set { items[head + index] = newValue }
  }

  mutating func append(_ item: Element) { items.append(item) }

  mutating func prepend(_ item: Element) {
    if head > 0 {
      head -= 1
      items[head] = item
    } else {
      items.insert(item, at: 0)
    }
  }

  mutating func popFirst() -> Element? {
    guard let item = first else { return nil }
    head += 1
    if head == items.count {
      items.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 64, head * 2 > items.count {
      items.removeFirst(head)
      head = 0
    }
    return item
  }

  mutating func replaceFirst(_ item: Element) { if !isEmpty { items[head] = item } }
}

/// The first of `count` indices, which are sorted by it, for which `isBefore` does not hold.
func partition(_ count: Int, _ isBefore: (Int) -> Bool) -> Int {
  var low = 0, high = count
  while low < high {
    let middle = (low + high) / 2
    if isBefore(middle) { low = middle + 1 } else { high = middle }
  }
  return low
}
