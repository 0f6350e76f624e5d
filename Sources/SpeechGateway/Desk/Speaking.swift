import Audio
import CallLink

/// A text on its way to a file, sentence by sentence.
final class Speaking: Sendable {
  typealias Bytes = AsyncThrowingStream<[UInt8], any Error>.Continuation

  private struct State {
    /// What is left, the next last.
    var pieces: [Piece]
    var encoder: SoundEncoder?
    /// At 16 kHz.
    var samples = 0
  }

  // Only `step` touches it, and the queue gives a text to one thread at a time.
  private nonisolated(unsafe) var state: State
  private let synthesizer: any Synthesizer
  private let format: SoundEncoder.Format
  private let sampleRate: Int
  private let bytes: Bytes
  private let isCancelled: DeskFlag
  private let end: DeskEnd

  init(
    _ pieces: [Piece], synthesizer: any Synthesizer, format: SoundEncoder.Format, sampleRate: Int, bytes: Bytes,
    isCancelled: DeskFlag, end: @escaping DeskEnd
  ) {
    state = State(pieces: pieces.reversed())
    self.synthesizer = synthesizer
    self.format = format
    self.sampleRate = sampleRate
    self.bytes = bytes
    self.isCancelled = isCancelled
    self.end = end
  }

  /// Speaks the next piece; false: it is finished, or nobody wants it any more.
  func step() -> Bool {
    guard !isCancelled.isRaised else { return finish(nil) }
    do throws(SpeechDeskError) {
      return try speakNext() || finish(nil)
    } catch {
      return finish(error)
    }
  }

  func fail(_ error: SpeechDeskError) { _ = finish(error) }

  private func finish(_ error: SpeechDeskError?) -> Bool {
    end(SpeechRequestOutcome(error, isCancelled: isCancelled.isRaised), Double(state.samples) / 16_000)
    bytes.finish(throwing: error)
    return false
  }

  private func speakNext() throws(SpeechDeskError) -> Bool {
    let encoder: SoundEncoder
    if let made = state.encoder {
      encoder = made
    } else {
      do { encoder = try SoundEncoder(format, sampleRate: sampleRate) } catch {
        throw SpeechDeskError(.unavailable, error.message)
      }
      state.encoder = encoder
    }
    guard let piece = state.pieces.popLast() else {
      hand(encoder.finish())
      return false
    }
    switch piece {
    case .silence(let samples):
      state.samples += samples
      hand(encoder.write([Int16](repeating: 0, count: samples)))
    case .file, .object: break
    case .text(let request, _):
      var sound: [Int16] = []
      do {
        try synthesizer.synthesize(request) { samples, _ in
          sound.append(contentsOf: samples)
          return !isCancelled.isRaised
        }
      } catch {
        throw SpeechDeskError(.unavailable, error.message)
      }
      state.samples += sound.count
      hand(encoder.write(sound))
    }
    return true
  }

  private func hand(_ made: [UInt8]) {
    if !made.isEmpty { bytes.yield(made) }
  }
}
