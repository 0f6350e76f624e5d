/// The own messages of one end: numbered, let out by the owner, kept until the peer has settled them.
struct HopOutbox<Message: Sendable>: Sendable {
  /// Numbers `oldest..<next`.
  private(set) var kept: [Message] = []
  /// Beyond `next` where a predecessor had come further than this owner remembers.
  private(set) var oldest: UInt64 = 1
  private(set) var next: UInt64 = 1
  /// The owner has let out everything through this number.
  private(set) var released: UInt64 = 0
  /// The peer has, or is being sent on this transport, everything through this number.
  private(set) var sent: UInt64 = 0
  /// The highest number that has ever been sent: what is below is sent again.
  private(set) var everSent: UInt64 = 0
  private var mayReach: UInt64 = 0

  init() {}

  init(restoring kept: [Message], next: UInt64) {
    let next = max(1, next)
    self.kept = kept.suffix(Int(clamping: next - 1))
    self.next = next
    oldest = next - UInt64(self.kept.count)
    released = oldest - 1
    everSent = next - 1
  }

  var isSettled: Bool { oldest >= next }

  mutating func append(_ message: Message) -> UInt64 {
    if next >= oldest { kept.append(message) }
    next += 1
    return next - 1
  }

  mutating func release(through number: UInt64) { released = max(released, min(number, next - 1)) }

  /// - Returns: false where the peer cannot have seen that much.
  mutating func settle(through number: UInt64) -> Bool {
    guard number <= sent else { return false }
    guard number >= oldest else { return true }
    kept.removeFirst(min(kept.count, Int(clamping: number + 1 - oldest)))
    oldest = number + 1
    return true
  }

  mutating func allow(through number: UInt64) { mayReach = max(mayReach, number) }

  /// A new transport: the peer has everything through `received`.
  mutating func begin(after received: UInt64, mayReach: UInt64) {
    sent = max(received, oldest - 1)
    self.mayReach = mayReach
  }

  /// For an owner without memory: goes on behind what the peer has.
  mutating func adopt(next: UInt64) {
    let early = kept
    self = HopOutbox(restoring: [], next: next)
    for message in early { _ = append(message) }
  }

  /// The next message to be put on the transport; nil where none may be.
  mutating func take() -> (message: Numbered<Message>, isRepeated: Bool)? {
    guard sent < min(released, mayReach) else { return nil }
    sent += 1
    let isRepeated = sent <= everSent
    everSent = max(everSent, sent)
    return (Numbered(sent, kept[Int(sent - oldest)]), isRepeated)
  }
}
