import Audio
import Base
import CallLink
import Logging
import Storage
import Turns

/// Speech without a call: what a caller says goes through a voice, the telephone's codec, the voice detector, the endpointer and
/// the recogniser, and prompts are spoken, all as in a call but as fast as the machine can.
///
/// Where a call hears on while it recognises, this waits for the words, so that the same sound gives the same turn.
public final class SpeechRehearsal: Sendable {
  /// What one utterance was understood as.
  public struct Hearing: Sendable, Hashable {
    /// The first turn; nil where no speech was noticed at all.
    public var result: SpeechResult?
    /// Turns that the utterance fell into; a dialog would be told of each.
    public var turns: Int
  }

  /// The voice detector learns the line's silence first.
  private static let silenceBeforeMs = 600
  private static let sampleRate = 16_000

  private let configuration: SpeechGatewayConfiguration
  private let engine: VoiceDetector.Engine
  private let recognizer: PocketSphinxRecognizer
  private let maker: PromptMaker

  /// Loads models. Takes up to half a second.
  /// - Parameter sounds: see ``SpeechService``.
  /// - Throws: ``SpeechSetupError`` where a model is missing or unreadable.
  public init(
    configuration: SpeechGatewayConfiguration, sounds: ObjectShelf? = nil,
    logger: Logger = Logger(label: "parley.speech")
  ) throws(SpeechSetupError) {
    self.configuration = configuration
    engine = SpeechCheck.voiceEngine(configuration, logger: logger)
    recognizer = try PocketSphinxRecognizer(model: configuration.pocketSphinxModel, workers: 1, logger: logger)
    maker = PromptMaker(
      synthesizer: try FliteSynthesizer(voice: configuration.voice), cacheBytes: 64 << 20,
      audioRoot: configuration.audioRoot, sounds: sounds, threads: 1)
  }

  deinit { shutdown() }

  /// Ends the threads. What is being recognised is answered first.
  public func shutdown() {
    recognizer.shutdown()
    maker.shutdown()
  }

  /// A voice that is not the gateway's own, for the caller: the clearest one, or the next.
  public var callersVoice: String {
    let own = configuration.voice.isEmpty ? Voices.names[0] : configuration.voice
    return own == "rms" ? "awb" : "rms"
  }

  /// The caller says `utterance` to a gateway that listens in this way.
  /// - Parameter voice: a name of ``Voices/names``.
  /// - Throws: ``SynthesisError`` where the words cannot be spoken.
  public func hear(_ utterance: String, voice: String, listen: ListenSpec) async throws(SynthesisError) -> Hearing {
    let said = try Self.telephone(Voices.synthesize(utterance, voice: voice))
    let vad = configuration.vad
    // The turn ends in the silence that follows, however long that has to be.
    let after = max(vad.minSilenceMs, listen.minSilenceMs ?? 0, configuration.turn.maxSilenceMs) + 500
    let line = Self.silence(ms: Self.silenceBeforeMs) + said + Self.silence(ms: after)

    var detector = VoiceDetector(engine)
    var endpointer = Endpointer(settings: configuration.turnSettings)
    _ = endpointer.receive(
      .listening(Listening(minSilenceMs: listen.minSilenceMs, speech: listen.speech, bargeIn: listen.bargeIn)))
    var heard = Hearing(result: nil, turns: 0)
    var guess: (revision: Int, decoded: Decoded)?
    for start in stride(from: 0, to: line.count - VoiceDetector.frameSamples + 1, by: VoiceDetector.frameSamples) {
      let frame = line[start..<start + VoiceDetector.frameSamples]
      let probability = frame.withUnsafeBufferPointer { detector.probability($0) }
      var actions = endpointer.receive(
        .frame(position: Int64(start), samples: frame.count, probability: probability))
      while !actions.isEmpty {
        switch actions.removeFirst() {
        case .candidateEnd(let segment, _):
          let decoded = await decode(segment, of: line, listen)
          guess = (segment.revision, decoded)
          let notice: RecognitionNotice = decoded.words.complete ? .complete : .nothing
          actions += endpointer.receive(.recognition(revision: segment.revision, notice))
        case .speechEnded(let segment, _, let evidence):
          heard.turns += 1
          guard heard.result == nil else { break }
          let known = guess.flatMap { $0.revision == segment.revision ? $0.decoded : nil }
          let decoded: Decoded
          if let known { decoded = known } else { decoded = await decode(segment, of: line, listen) }
          heard.result = result(decoded, segment, at: evidence.position, listen)
        case .speechStarted, .interruption, .resumed, .falseStart: break
        }
      }
    }
    return heard
  }

  /// Speaks a prompt to its end (a loop once).
  /// - Returns: milliseconds of sound, pauses included; 0 where nothing can be heard.
  /// - Throws: ``SynthesisError``: the sentence with which the prompt would fail in a call.
  public func speak(_ prompt: Prompt) async throws(SynthesisError) -> Int {
    let pieces = try PromptPieces.of(
      prompt, maker: maker, voice: configuration.voice, speed: configuration.speed
    ).get()
    var samples = 0
    for piece in pieces {
      let maker = self.maker
      let events = AsyncStream<PieceEvent> { made in
        maker.make(piece, wanted: { true }) { event in
          made.yield(event)
          if case .chunk = event { return }
          made.finish()
        }
      }
      for await event in events {
        switch event {
        case .chunk(let sound, _): samples += sound.count
        case .done: break
        case .failed(let message): throw SynthesisError(message)
        }
      }
    }
    return samples * 1000 / Self.sampleRate
  }

  // MARK: The way of the sound

  private struct Decoded {
    var words = Recognition(transcript: "", confidence: 0, complete: false)
    var ms = 0
  }

  private func decode(_ segment: Segment, of line: [Int16], _ listen: ListenSpec) async -> Decoded {
    let sound = Array(line[Int(max(0, segment.start))..<Int(min(Int64(line.count), segment.end))])
    let began = Instant.monotonic()
    let outcome = await withCheckedContinuation { continuation in
      recognizer.recognize(RecognitionRequest(segment: sound, listen: listen)) { continuation.resume(returning: $0) }
    }
    var decoded = Decoded(ms: Int((Instant.monotonic() - began).milliseconds))
    if case .recognized(let words) = outcome { decoded.words = words }
    return decoded
  }

  private func result(
    _ decoded: Decoded, _ segment: Segment, at position: Int64, _ listen: ListenSpec
  ) -> SpeechResult {
    // The sound begins where the call would have been answered.
    let origin = Int64(Self.silenceBeforeMs * 16)
    return SpeechResult(
      transcript: decoded.words.transcript, confidence: decoded.words.confidence,
      language: listen.language.isEmpty ? configuration.language : listen.language,
      durationMs: Int(segment.speechEnd - segment.speechStart) / 16,
      startMs: Int(max(0, segment.speechStart - origin)) / 16, endMs: Int(max(0, segment.speechEnd - origin)) / 16,
      endpointMs: Int(max(0, position - segment.speechEnd)) / 16, recognizeMs: decoded.ms, model: recognizer.model)
  }

  private static func silence(ms: Int) -> [Int16] { [Int16](repeating: 0, count: ms * 16) }

  /// 8 kHz mu-law and back.
  private static func telephone(_ wide: [Int16]) throws(SynthesisError) -> [Int16] {
    do {
      let narrow = try Resampler.convert(wide, from: sampleRate, to: 8_000)
      let carried = narrow.map { G711.decode(G711.encode($0, law: .ulaw), law: .ulaw) }
      return try Resampler.convert(carried, from: 8_000, to: sampleRate)
    } catch {
      throw SynthesisError("\(error)")
    }
  }
}
