import Audio
import Base
import Glibc

/// Signals and measurements for the tests of this room.
enum Signals {
  static func sine(_ hertz: Double, dBFS: Double = -10, seconds: Double, rate: Int) -> [Int16] {
    let amplitude = 32768 * 2.0.squareRoot() * Level.gain(decibels: dBFS)
    return (0..<Int(seconds * Double(rate))).map { i in
      Int16((amplitude * sin(2 * Double.pi * hertz * Double(i) / Double(rate))).rounded())
    }
  }

  static func noise(dBFS: Double, count: Int, seed: UInt64 = 1) -> [Int16] {
    var random = SeededRandom(seed: seed)
    let peak = 32768 * 3.0.squareRoot() * Level.gain(decibels: dBFS)
    return (0..<count).map { _ in Int16(Double.random(in: -peak...peak, using: &random)) }
  }

  /// Signal to noise and distortion in dB: the best-fitting sine of that frequency against all the rest.
  static func snr(_ samples: some Collection<Int16>, hertz: Double, rate: Int) -> Double {
    var (ss, cc, sc, xs, xc, xx) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for (i, sample) in samples.enumerated() {
      let angle = 2 * Double.pi * hertz * Double(i) / Double(rate)
      let (s, c, x) = (sin(angle), cos(angle), Double(sample))
      ss += s * s
      cc += c * c
      sc += s * c
      xs += x * s
      xc += x * c
      xx += x * x
    }
    let determinant = ss * cc - sc * sc
    let a = (xs * cc - xc * sc) / determinant
    let b = (xc * ss - xs * sc) / determinant
    let signal = a * xs + b * xc
    return 10 * log10(signal / max(1e-9, xx - signal))
  }

  static func dBFS(_ samples: some Collection<Int16>) -> Double {
    Array(samples).withUnsafeBufferPointer { Level.dBFS($0) }
  }

  static func dBFS(_ samples: some Collection<Int16>, at hertz: Double, rate: Int) -> Double {
    Array(samples).withUnsafeBufferPointer { Level.dBFS(ofHertz: hertz, in: $0, sampleRate: rate) }
  }

  static func throughG711(_ samples: [Int16], _ law: G711.Law = .ulaw) -> [Int16] {
    samples.map { G711.decode(G711.encode($0, law: law), law: law) }
  }

  /// A file of Tests/Vectors/Audio.
  static func vector(_ name: String) throws -> [UInt8] {
    let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
    return try bytes(of: "/\(folder)/Vectors/Audio/\(name)")
  }

  struct CannotRead: Error { var path: String }

  static func bytes(of path: String) throws -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw CannotRead(path: path) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return bytes
  }

  /// Nine seconds of synthetic speech, pauses and noise at 16 kHz; see scripts/make-silero-vectors.
  static func speech() throws -> [Int16] { try vector("speech.ulaw").map { G711.decode($0, law: .ulaw) } }

  /// A path that no other test uses; the caller removes the file.
  static func temporaryPath(_ name: String) -> String { "/tmp/parley-audio-tests-\(getpid())-\(name)" }
}
