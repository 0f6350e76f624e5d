/// The voice of the caller of a kept call, by position, until a worker hears it: what a media role repeats to a successor comes
/// in one rush, and may begin anywhere. Pure.
struct CallerVoice {
  /// Forty seconds: more than anybody repeats. What is older is dropped.
  static let mostSamples = 640_000
  /// A gap of up to two seconds is heard as silence; behind a longer one hearing begins anew.
  static let longestSilence: Int64 = 32_000
  /// Memory that is kept for what comes next: half a second.
  private static let capacity = 8_192

  private var samples: [Int16] = []
  /// What is before has been heard.
  private var head = 0
  /// The position that comes next.
  private(set) var next: Int64
  private var hasBegun = false
  private(set) var dropped = 0

  /// - Parameter next: where the voice is wanted from; what is before is dropped.
  init(from next: Int64) { self.next = next }

  /// Samples that wait.
  var count: Int { samples.count - head }

  mutating func write(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
    let (end, isOverflow) = position.addingReportingOverflow(Int64(pcm.count))
    guard position >= 0, !isOverflow, end > next else { return }
    let gap = position - next
    if gap > Self.longestSilence || gap > 0 && !hasBegun {
      dropped += count
      clear()
      next = position
    } else if gap > 0 {
      samples.append(contentsOf: repeatElement(0, count: Int(gap)))
      next = position
    }
    hasBegun = true
    samples.append(contentsOf: pcm[Int(next - position)...])
    next = end
    let surplus = count - Self.mostSamples
    if surplus > 0 {
      head += surplus
      dropped += surplus
    }
    if head > Self.mostSamples { compact() }
  }

  /// Takes the next samples.
  /// - Returns: the position of the first; nil where there are not enough.
  mutating func read(into frame: UnsafeMutableBufferPointer<Int16>) -> Int64? {
    guard count >= frame.count else { return nil }
    let position = next - Int64(count)
    for i in 0..<frame.count { frame[i] = samples[head + i] }
    head += frame.count
    if head == samples.count || head >= Self.capacity { compact() }
    return position
  }

  mutating func clear() {
    head = samples.count
    compact()
  }

  private mutating func compact() {
    // The memory of a rush is given back once it has been heard.
    if samples.capacity > 4 * Self.capacity, count <= Self.capacity {
      samples = Array(samples[head...])
      samples.reserveCapacity(Self.capacity)
    } else {
      samples.removeFirst(head)
    }
    head = 0
  }
}
