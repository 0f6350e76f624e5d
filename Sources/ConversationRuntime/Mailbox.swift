import Base
import CallLink
import Dialogs
import NIOConcurrencyHelpers
import Storage

/// Everything that can happen to a session, in the order in which its one task handles it.
enum SessionMail: Sendable {
  case speech(Numbered<SpeechToRuntime>)
  case hook(HookToken, HookOutcome)
  /// A service's word on the call before it is answered.
  case start(CallMomentService, HookOutcome)
  case model(ModelToken, ModelEvent)
  /// What the runtime itself has to tell the dialog, in its turn.
  case input(DialogInput)
  case command(CallCommand, @Sendable (CommandOutcome) -> Void)
  case wake
  case end(HangupReason)
  /// Answers when everything before it has been handled.
  case fence(@Sendable () -> Void)
}

/// A session's queue: any thread puts in without waiting, the session's task takes out in the same order.
///
/// Bounded: a peer that sends faster than the session can handle for this long is broken, and the session ends with an
/// error instead of growing without limit.
struct Mailbox: Sendable {
  /// A talking caller makes about ten messages a second; this is over a minute of them.
  static let limit = 1_024

  let mail: AsyncStream<SessionMail>
  private let continuation: AsyncStream<SessionMail>.Continuation
  private let overflowed = NIOLockedValueBox(false)
  private let leaving = NIOLockedValueBox(Leaving())

  private struct Leaving {
    var isAbandoned = false
    var acts: [@Sendable () -> Void] = []
  }

  init() {
    (mail, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.limit))
  }

  /// Whether mail was lost because the queue was full: the record would have a hole, so the session must end.
  var hasOverflowed: Bool { overflowed.withLockedValue { $0 } }

  /// Returns false where the session no longer takes mail.
  @discardableResult
  func put(_ item: SessionMail) -> Bool {
    switch continuation.yield(item) {
    case .enqueued: return true
    case .dropped:
      overflowed.withLockedValue { $0 = true }
      return false
    case .terminated: return false
    @unknown default: return false
    }
  }

  /// What is queued is still handed out; nothing new is taken.
  func close() { continuation.finish() }

  // MARK: Another process has the call

  var isAbandoned: Bool { leaving.withLockedValue { $0.isAbandoned } }

  /// Nothing is handled any more.
  func abandon() {
    let acts = leaving.withLockedValue { leaving in
      leaving.isAbandoned = true
      defer { leaving.acts = [] }
      return leaving.acts
    }
    continuation.finish()
    for act in acts { act() }
  }

  /// Calls `act` when the session is abandoned; at once where it has been.
  func onAbandon(_ act: @escaping @Sendable () -> Void) {
    let isLate = leaving.withLockedValue { leaving in
      if !leaving.isAbandoned { leaving.acts.append(act) }
      return leaving.isAbandoned
    }
    if isLate { act() }
  }
}
