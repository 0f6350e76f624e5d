import Foundation

/// Makes WAV files of one loudness, 8 kHz, out of voices that share nothing with each other but the text.
struct UtteranceMaker {
  var folder: String

  /// Root mean square of the speech (its louder parts), -26 dBFS as telephone speech is levelled (ITU-T P.56), and of the noise.
  private static let speechRMS = 32768 * pow(10, -26.0 / 20)
  private static let noiseRMS = speechRMS * pow(10, -20.0 / 20)

  /// Every item in every voice: the item, the voice, and the file.
  func make(_ items: [SpokenItem], voices: [Recognition.Voice]) throws -> [(SpokenItem, Recognition.Voice, String)] {
    var commands: [String] = []
    var festival = ""
    var wanted: [(SpokenItem, Recognition.Voice, String)] = []
    for voice in voices {
      let parts = voice.name.split(separator: " ").map(String.init)
      for item in items {
        let name =
          "\(item.meant == nil ? "other" : "phrase")-\(item.number)-\(parts.joined(separator: "-").replacing("+", with: "-"))"
        let raw = "\(folder)/\(name).voice.wav"
        switch parts[0] {
        case "flite": commands.append("flite -voice \(parts[1]) -t '\(item.text)' -o \(raw)")
        case "espeak": commands.append("espeak-ng -v en-\(parts[1]) -w \(raw) '\(item.text)'")
        default: festival += "(utt.save.wave (utt.synth (Utterance Text \"\(item.text)\")) \"\(raw)\" 'riff)\n"
        }
        wanted.append((item, voice, "\(folder)/\(name).wav"))
      }
    }
    let script = "\(folder)/festival.scm"
    try Data(festival.utf8).write(to: URL(fileURLWithPath: script))
    commands.insert("festival -b \(script)", at: 0)
    // One shell command a line, two at a time.
    try shell(commands)
    try shell(
      wanted.map { _, _, wav in
        let raw = wav.replacing(".wav", with: ".voice.wav")
        return "sox \(raw) -t raw -r 8000 -e signed -b 16 -c 1 \(wav).raw"
      })
    for (_, _, wav) in wanted {
      try Self.write(scaled(try samples("\(wav).raw"), to: Self.speechRMS, loudOnly: true), to: wav)
    }
    return wanted
  }

  /// Half a minute of pink noise, 20 dB below the speech; returns the file.
  func makeNoise() throws -> String {
    let wav = "\(folder)/noise.wav"
    // -R: the same noise every time.
    try shell(["sox -R -n -t raw -r 8000 -e signed -b 16 -c 1 \(wav).raw synth 30 pinknoise"])
    try Self.write(scaled(try samples("\(wav).raw"), to: Self.noiseRMS, loudOnly: false), to: wav)
    return wav
  }

  private func shell(_ commands: [String]) throws {
    let file = "\(folder)/commands"
    // None of them holds a double quote, which xargs could not be given.
    try Data(commands.map { "\"\($0)\"\n" }.joined().utf8).write(to: URL(fileURLWithPath: file))
    let result = try Tools.run("xargs", ["-P", "2", "-n", "1", "-a", file, "sh", "-c"], limit: 600)
    guard result.status == 0 else {
      throw Gateway.Failed(description: "a voice could not be made: \(result.errors.prefix(500))")
    }
  }

  private func samples(_ path: String) throws -> [Int16] {
    try Data(contentsOf: URL(fileURLWithPath: path)).withUnsafeBytes { bytes in
      (0..<bytes.count / 2).map { Int16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2 * $0, as: Int16.self)) }
    }
  }

  /// - Parameter loudOnly: measure the 20 ms frames within 30 dB of the loudest one, so that pauses do not count.
  private func scaled(_ samples: [Int16], to rms: Double, loudOnly: Bool) throws -> [Int16] {
    let powers = stride(from: 0, to: max(0, samples.count - 159), by: 160).map { start in
      samples[start..<start + 160].reduce(0.0) { $0 + Double($1) * Double($1) } / 160
    }
    let least = loudOnly ? (powers.max() ?? 0) / 1000 : -1
    let counted = powers.filter { $0 > least }
    let power = counted.reduce(0, +) / Double(max(1, counted.count))
    guard power > 0 else { throw Gateway.Failed(description: "a voice made silence") }
    let gain = rms / power.squareRoot()
    return samples.map { Int16(clamping: Int((Double($0) * gain).rounded())) }
  }

  /// A WAV file: mono, 8 kHz, 16 bits.
  private static func write(_ samples: [Int16], to path: String) throws {
    var data = Data("RIFF".utf8)
    func append<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
    }
    append(UInt32(36 + samples.count * 2))
    data.append(Data("WAVEfmt ".utf8))
    append(UInt32(16))
    for field in [1, 1] as [UInt16] { append(field) }
    for field in [8000, 16_000] as [UInt32] { append(field) }
    for field in [2, 16] as [UInt16] { append(field) }
    data.append(Data("data".utf8))
    append(UInt32(samples.count * 2))
    for sample in samples { append(sample) }
    try data.write(to: URL(fileURLWithPath: path))
  }
}
