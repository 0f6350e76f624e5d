/// A small, fast, seedable generator (SplitMix64). The same seed gives the same numbers, so a failing simulation prints
/// its seed and can be run again. Not for keys or secrets: owners seed protocol machines from `SystemRandomNumberGenerator`.
public struct SeededRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// A generator seeded by the operating system.
  public static func fromSystem() -> SeededRandom {
    var system = SystemRandomNumberGenerator()
    return SeededRandom(seed: system.next())
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// `count` characters of `a-z0-9`, for tags, branches and identifiers.
  public mutating func token(_ count: Int) -> String {
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
    return String(decoding: (0..<count).map { _ in alphabet[Int(next() % 36)] }, as: UTF8.self)
  }
}
