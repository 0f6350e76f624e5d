import Audio
import Base
import CallLink
import NIOConcurrencyHelpers
import Synchronization

// Calls that outlive the process: docs/decisions/2026-11-22-hops.md.

extension SpeechService: KeptSpeechHop {
  public func open(
    _ call: CallInfo, media: any MediaSide, runtime: any HopSink<SpeechToRuntime>, state: CallState
  ) throws(CallStateError) -> any KeptSpeechSide {
    var inherited: SpeechState?
    if let kept = state.kept {
      do { inherited = try SpeechState(kept) } catch {
        metrics.sessionResumed(.failed)
        throw error
      }
      metrics.sessionResumed(.resumed)
    }
    let workers = self.workers
    let session = call.session
    let speech = CallSpeech(heardFrom: inherited?.heardFrom ?? 0, now: now) { _ = workers.submit($0) }
    speech.gate.whenClosed { [weak self, weak speech] in if let speech { self?.forget(speech, session) } }
    let custodian = GatedCustodian(custodian: state.custodian, gate: speech.gate)
    let keeping = Keeping(custodian, place: inherited?.place ?? CallPlace(), at: now()) { [weak speech] in
      speech?.wantVoice(from: $0)
    }
    calls.withLockedValue { $0[session] = speech }
    speech.start(
      CallPipeline(
        detector: VoiceDetector(engine), media: GatedMedia(side: media, gate: speech.gate),
        runtime: GatedSink(sink: runtime, gate: speech.gate), around: surroundings(of: speech, session),
        keeping: keeping, inherited: inherited))
    return speech
  }
}

/// Stands between a call and its neighbours. Once closed, nothing passes: what a worker is in the middle of stays without effect.
final class CallGate: Sendable {
  private let closed = Atomic<Bool>(false)
  private let onClose = NIOLockedValueBox<(@Sendable () -> Void)?>(nil)

  var isClosed: Bool { closed.load(ordering: .acquiring) }

  func whenClosed(_ body: @escaping @Sendable () -> Void) { onClose.withLockedValue { $0 = body } }

  func close() {
    closed.store(true, ordering: .releasing)
    onClose.withLockedValue { body in
      defer { body = nil }
      return body
    }?()
  }
}

private struct GatedMedia: MediaSide {
  let side: any MediaSide
  let gate: CallGate

  func send(_ message: Numbered<SpeechToMedia>) { if !gate.isClosed { side.send(message) } }
  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int {
    gate.isClosed ? 0 : side.audio(pcm, playback: playback)
  }
}

private struct GatedSink<Message: Sendable>: HopSink {
  let sink: any HopSink<Message>
  let gate: CallGate

  func send(_ message: Numbered<Message>) { if !gate.isClosed { sink.send(message) } }
}

private struct GatedCustodian: CallCustodian {
  let custodian: any CallCustodian
  let gate: CallGate

  func keep(_ state: [UInt8], handled place: CallPlace) { if !gate.isClosed { custodian.keep(state, handled: place) } }
  func afterKept(_ act: @escaping @Sendable () -> Void) { if !gate.isClosed { custodian.afterKept(act) } }
  func finished() { if !gate.isClosed { custodian.finished() } }
}
