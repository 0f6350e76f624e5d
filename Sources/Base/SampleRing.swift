import Synchronization

/// A fixed ring of 16-bit samples between one writing and one reading thread, without locks or allocation after `init`.
///
/// The media event loop writes what the caller says and a speech worker reads it (and the other way round for prompts).
/// A writer that finds the ring full drops what does not fit and counts it; it never waits.
public final class SampleRing: Sendable {
  // The buffer is written only in [head, head + free) by the writer and read only in [tail, head) by the reader; the
  // releasing store of `head` or `tail` hands a region over. That is the whole proof for `nonisolated(unsafe)`.
  private nonisolated(unsafe) let buffer: UnsafeMutablePointer<Int16>
  /// Samples the ring holds: a power of two.
  public let capacity: Int
  private let head = Atomic<Int>(0)
  private let tail = Atomic<Int>(0)
  private let droppedSamples = Atomic<Int>(0)

  /// - Parameter capacity: samples, rounded up to a power of two.
  public init(capacity: Int) {
    var size = 1
    while size < max(1, capacity) { size <<= 1 }
    self.capacity = size
    buffer = .allocate(capacity: size)
    buffer.initialize(repeating: 0, count: size)
  }

  deinit { buffer.deallocate() }

  /// Samples that can be read now.
  public var count: Int { head.load(ordering: .acquiring) &- tail.load(ordering: .acquiring) }

  /// Samples lost so far because the ring was full.
  public var dropped: Int { droppedSamples.load(ordering: .relaxed) }

  /// Appends `samples`; returns how many fitted. Only the writing thread may call this.
  @discardableResult
  public func write(_ samples: UnsafeBufferPointer<Int16>) -> Int {
    let h = head.load(ordering: .relaxed)
    let fit = min(samples.count, capacity - (h &- tail.load(ordering: .acquiring)))
    for i in 0..<fit { buffer[(h &+ i) & (capacity - 1)] = samples[i] }
    head.store(h &+ fit, ordering: .releasing)
    if fit < samples.count { droppedSamples.add(samples.count - fit, ordering: .relaxed) }
    return fit
  }

  /// Takes up to `destination.count` samples; returns how many. Only the reading thread may call this.
  public func read(into destination: UnsafeMutableBufferPointer<Int16>) -> Int {
    let t = tail.load(ordering: .relaxed)
    let take = min(destination.count, head.load(ordering: .acquiring) &- t)
    for i in 0..<take { destination[i] = buffer[(t &+ i) & (capacity - 1)] }
    tail.store(t &+ take, ordering: .releasing)
    return take
  }
}
