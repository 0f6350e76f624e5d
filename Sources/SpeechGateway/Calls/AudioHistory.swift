/// The last seconds of the caller's voice, by position, so that a segment can be cut out once the endpointer has
/// decided.
struct AudioHistory {
  /// Forty seconds: more than the longest turn with its pre-roll. What is older is forgotten whatever happens.
  static let maxSamples = 640_000

  private var samples: [Int16] = []
  /// Position of the first sample that is kept.
  private(set) var start: Int64 = 0
  /// One past the last.
  var end: Int64 { start + Int64(samples.count) }

  /// - Parameter position: of the first sample; nil: behind the last. Anywhere else everything before is forgotten.
  mutating func append(_ frame: UnsafeBufferPointer<Int16>, at position: Int64? = nil) {
    if let position, position != end {
      samples.removeAll()
      start = position
    }
    samples.append(contentsOf: frame)
    if samples.count > Self.maxSamples { drop(samples.count - Self.maxSamples / 2) }
  }

  /// Forgets all but the last samples; moves memory only when twice as much has gathered.
  mutating func trim(keeping count: Int) {
    if samples.count > 2 * count { drop(samples.count - count) }
  }

  /// Forgets what lies before `position`.
  mutating func trim(before position: Int64) { drop(Int(min(Int64(samples.count), max(0, position - start)))) }

  private mutating func drop(_ count: Int) {
    guard count > 0 else { return }
    samples.removeFirst(count)
    start += Int64(count)
  }

  /// What is kept of `[from, to)`.
  func samples(_ from: Int64, _ to: Int64) -> [Int16] {
    let low = Int(min(Int64(samples.count), max(0, from - start)))
    let high = Int(min(Int64(samples.count), max(0, to - start)))
    return low < high ? Array(samples[low..<high]) : []
  }
}
