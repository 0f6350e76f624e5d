import CFlite

/// The embedded voice maker: Flite's US English voices, one object per voice and process.
///
/// Safe from several threads: a voice is only read while it speaks, everything that changes lives in the utterance.
public final class FliteSynthesizer: Synthesizer {
  public let name = "flite"
  public var voices: [String] { Voices.names }
  /// The voice that an empty name means.
  public let defaultVoice: String

  /// Longest text of one prompt in bytes of UTF-8: about a quarter of an hour of speech.
  public static let maxTextBytes = 16 << 10
  /// Samples that Flite gathers before it hands them over: 20 ms.
  private static let chunkSamples: Int32 = 320

  /// - Throws: ``SpeechSetupError`` for a voice that does not exist.
  public init(voice: String = "") throws(SpeechSetupError) {
    defaultVoice = voice.isEmpty ? Voices.names[0] : voice
    guard Voices.names.contains(defaultVoice) else {
      throw SpeechSetupError(
        "there is no voice '\(voice)'", hint: "speech.tts.voice is one of \(Voices.names.joined(separator: ", "))")
    }
  }

  public func synthesize(
    _ request: SynthesisRequest, chunk: (UnsafeBufferPointer<Int16>, [SpokenWord]) -> Bool
  ) throws(SynthesisError) {
    guard request.text.utf8.count <= Self.maxTextBytes else {
      throw SynthesisError(
        "the text is \(request.text.utf8.count) bytes long; a prompt may have \(Self.maxTextBytes)")
    }
    let name = request.voice.isEmpty ? defaultVoice : request.voice
    guard let voice = FliteVoice.named(name) else {
      throw SynthesisError("there is no voice '\(name)'; there are \(Voices.names.joined(separator: ", "))")
    }
    let speed = request.speed.isFinite ? min(2, max(0.5, request.speed)) : 1
    var spoken = 0
    for sentence in Sentences.split(request.text) {
      guard try Self.speak(sentence, voice: voice, speed: speed, from: &spoken, chunk: chunk) else { return }
    }
  }

  /// Speaks one sentence; returns false where the taker wants no more.
  private static func speak(
    _ sentence: String, voice: FliteVoice, speed: Double, from spoken: inout Int,
    chunk: (UnsafeBufferPointer<Int16>, [SpokenWord]) -> Bool
  ) throws(SynthesisError) -> Bool {
    guard let streaming = new_audio_streaming_info() else { throw SynthesisError("the voice has no memory left") }
    guard let utterance = new_utterance() else {
      delete_audio_streaming_info(streaming)
      throw SynthesisError("the voice has no memory left")
    }
    let state = StreamState(gain: voice.gain)
    streaming.pointee.min_buffsize = chunkSamples
    streaming.pointee.asc = fliteChunk
    var outcome: (made: Int, stopped: Bool, failed: Bool) = (0, false, false)
    let start = spoken
    withoutActuallyEscaping(chunk) { chunk in
      state.take = { samples, timings in
        chunk(samples, timings.map { SpokenWord(text: $0.text, endSample: start + $0.endSample) })
      }
      withExtendedLifetime(state) {
        streaming.pointee.userdata = Unmanaged.passUnretained(state).toOpaque()
        flite_prepare_utterance(utterance, sentence, Float(1 / speed), streaming)
        // On failure flite_do_synth deletes the utterance itself.
        let done = flite_do_synth(utterance, voice.pointer, utt_synth)
        outcome = (state.made, state.stopped, done == nil)
        if let done { delete_utterance(done) }
      }
      state.take = nil
    }
    spoken += outcome.made
    if outcome.failed { throw SynthesisError("the voice could not speak a sentence") }
    return !outcome.stopped
  }
}

/// What travels through Flite's C callback while one sentence is spoken; lives on the speaking thread's stack frame.
private final class StreamState {
  var take: ((UnsafeBufferPointer<Int16>, [SpokenWord]) -> Bool)?
  var words: [SpokenWord]?
  var handedOver = 0
  var made = 0
  var stopped = false
  private let gain: Float
  private var buffer: [Int16] = []
  /// Samples of leading silence left out. Every voice begins a sentence with about 200 ms of it, which a caller who
  /// waits for an answer would hear as a slow machine.
  private var skipped = 0
  private var hasBegun = false
  /// -44 dBFS: below it nothing is heard on a telephone.
  private static let audible: Int16 = 200
  /// Samples kept before the first audible one: 10 ms, so that no onset is bitten off.
  private static let lead = 160

  init(gain: Float) { self.gain = gain }

  func receive(_ samples: UnsafeBufferPointer<Int16>, utterance: UnsafePointer<cst_utterance>?) -> Bool {
    if words == nil, let utterance { words = Self.timings(utterance) }
    buffer.removeAll(keepingCapacity: true)
    for sample in samples { buffer.append(Loudness.limited(Float(sample) * gain)) }
    if !hasBegun {
      let onset = buffer.firstIndex { $0 > Self.audible || $0 < -Self.audible }
      hasBegun = onset != nil
      let silence = onset.map { max(0, $0 - Self.lead) } ?? buffer.count
      buffer.removeFirst(silence)
      skipped += silence
      if buffer.isEmpty { return true }
    }
    made += buffer.count
    var ended: [SpokenWord] = []
    if let words {
      while handedOver < words.count, words[handedOver].endSample - skipped <= made {
        let word = words[handedOver]
        ended.append(SpokenWord(text: word.text, endSample: max(0, word.endSample - skipped)))
        handedOver += 1
      }
    }
    let goOn = buffer.withUnsafeBufferPointer { take?($0, ended) ?? false }
    if !goOn { stopped = true }
    return goOn
  }

  private static func timings(_ utterance: UnsafePointer<cst_utterance>) -> [SpokenWord] {
    var words: [SpokenWord] = []
    var token = flite_first_token(utterance)
    while let current = token {
      let seconds = flite_token_end(current)
      if let name = flite_token_text(current) {
        let end = seconds > 0 ? Int(seconds * 16_000) : words.last?.endSample ?? 0
        words.append(SpokenWord(text: String(cString: name), endSample: end))
      }
      token = item_next(current)
    }
    return words
  }
}

private func fliteChunk(
  wave: UnsafePointer<cst_wave>?, start: Int32, size: Int32, last: Int32,
  info: UnsafeMutablePointer<cst_audio_streaming_info>?
) -> Int32 {
  guard let wave, let info, let userdata = info.pointee.userdata, let samples = wave.pointee.samples,
    start >= 0, size >= 0, start + size <= wave.pointee.num_samples
  else { return CST_AUDIO_STREAM_STOP }
  let state = Unmanaged<StreamState>.fromOpaque(userdata).takeUnretainedValue()
  let piece = UnsafeBufferPointer(start: samples + Int(start), count: Int(size))
  return state.receive(piece, utterance: info.pointee.utt) ? CST_AUDIO_STREAM_CONT : CST_AUDIO_STREAM_STOP
}

/// One of Flite's compiled-in voices.
struct FliteVoice: Sendable {
  // A process-wide singleton that Flite only reads after registration.
  nonisolated(unsafe) let pointer: UnsafeMutablePointer<cst_voice>
  /// Brings the voice to about -20 dBFS over its speech; measured with a paragraph.
  let gain: Float

  private init?(_ pointer: UnsafeMutablePointer<cst_voice>?, gain: Float) {
    guard let pointer else { return nil }
    self.pointer = pointer
    self.gain = gain
  }

  /// nil where there is no such voice.
  static func named(_ name: String) -> FliteVoice? { all[name] }

  /// Registered once: registration is not thread-safe, `static let` makes it so.
  private static let all: [String: FliteVoice] = {
    flite_init()
    return [
      "slt": FliteVoice(register_cmu_us_slt(nil), gain: 0.53),
      "rms": FliteVoice(register_cmu_us_rms(nil), gain: 1.04),
      "awb": FliteVoice(register_cmu_us_awb(nil), gain: 0.9),
      "kal16": FliteVoice(register_cmu_us_kal16(nil), gain: 2.3),
    ].compactMapValues { $0 }
  }()
}
