import Base
import CallLink
import NIOCore
import SIP

/// What the signalling tells a call.
enum SignallingEvent: Sendable {
  /// The ACK came; `body` is the answer where our 200 made the offer.
  case acknowledged(SIPBody?)
  /// nil: the peer wants our offer.
  case reinvite(SIPBody?)
  case reinviteCancelled
  /// Of our own re-INVITE.
  case reinviteAnswered(SIPBody?), reinviteFailed(Int)
  /// INFO with a digit.
  case info(SIPBody)
  /// What a successor would have to know of the dialog.
  case dialog(SIPDialogState)
  case ended(SIPEnd)
  /// The gateway ends the call.
  case hangup(HangupReason)
  /// The gateway wants another process to have the call.
  case handOver
}

/// A call's address: takes messages from any thread and hands them to the call on its event loop, in order.
final class CallMailbox: KeptMediaSide, Sendable {
  let eventLoop: any EventLoop
  /// Where the voice's audio goes without a hop.
  let playbacks = PlaybackRegistry()
  private let call: NIOLoopBoundBox<MediaCall?>

  init(eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
    call = .makeEmptyBox(valueType: MediaCall.self, eventLoop: eventLoop)
  }

  /// On the event loop.
  func attach(_ call: MediaCall?) { self.call.value = call }

  func send(_ message: Numbered<SpeechToMedia>) {
    // A playback takes audio as soon as its `play` has been sent, not when the loop gets round to it.
    var buffer: PlaybackBuffer?
    if case .play(let id) = message.message { buffer = playbacks.open(id) }
    eventLoop.execute { [buffer] in self.call.value?.receive(message, buffer: buffer) }
  }

  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int { playbacks.write(pcm, to: playback) }

  func abandon() {
    eventLoop.execute { self.call.value?.abandon() }
  }

  func post(_ event: SignallingEvent) {
    eventLoop.execute { self.call.value?.receive(event) }
  }
}
