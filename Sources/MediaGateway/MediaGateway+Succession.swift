import Base
import CallLink
import Logging
import MediaIO
import NIOConcurrencyHelpers
import NIOCore

/// What came of a call that another process had begun.
public enum ResumeOutcome: String, Sendable, CaseIterable {
  /// The peer sends here now.
  case resumed
  /// The peer refused, or did not answer: the call has ended.
  case refused
  /// It had not been answered: it was lost with its process and has ended.
  case unanswered
  /// The kept state could not be read: the call has ended.
  case damaged
  /// No room here, or the call lives here already: it is left as it was.
  case unavailable
}

/// Calls of a process that is gone, and calls that are to go on in another (`docs/decisions/2026-11-22-media-takeover.md`).
extension MediaGateway: MediaSuccessor {
  /// Calls that this process can still take: below `media.max_calls`, and with a free pair of RTP ports. Zero while it is
  /// draining or does not run.
  public var room: Int {
    guard let running, !running.isDraining else { return 0 }
    let ports = running.context.ports.withLockedValue { $0.available(at: .monotonic()) }
    return max(0, min(configuration.maxCalls - activeCalls, ports))
  }

  /// Goes on with a call of a process that is gone; see ``ResumeOutcome``. Where the call cannot go on, the speech role is told
  /// `ended(.error)` over the hop that is opened for it, unless this process has no room: then nothing has been touched.
  ///
  /// The answer of a peer that is gone too is waited for as long as a SIP transaction lasts (32 s).
  public func takeOver(_ call: CallInfo, state: [UInt8]) async -> Bool {
    var logger = logger
    logger[metadataKey: "session_id"] = "\(call.session)"
    guard let running, let hop = running.context.kept else {
      logger.error("a call cannot be taken over: the media role does not run, or keeps no calls")
      return false
    }
    let outcome = await takeOver(call, state, running, hop, logger)
    metrics.sessionResumed(outcome.rawValue)
    logger.info("picked up a call of another process", metadata: ["outcome": "\(outcome.rawValue)"])
    return outcome == .resumed
  }

  private func takeOver(
    _ call: CallInfo, _ state: [UInt8], _ running: Running, _ hop: any KeptMediaHop, _ logger: Logger
  ) async -> ResumeOutcome {
    let kept: MediaCallState
    do { kept = try MediaCallState(state, of: call.session) } catch {
      logger.error("a call of another process cannot be gone on with", metadata: ["error": "\(error)"])
      await giveUp(call, hop)
      return .damaged
    }
    guard kept.phase != .offered, let dialog = kept.dialog else {
      await giveUp(call, hop)
      return .unanswered
    }
    let taken = running.signalling.submit { service in service?.takeOver(call, kept, dialog, hop: hop) }
    // Both fail only where the loops are shutting down.
    guard let outcome = try? await taken.get() else { return .unavailable }
    return (try? await outcome.get()) ?? .unavailable
  }

  /// Ends a call for the other roles. The peer cannot be told: nothing is known of its dialog.
  private func giveUp(_ call: CallInfo, _ hop: any KeptMediaHop) async {
    let loop = group.next()
    try? await loop.submit {
      let opened = hop.open(call, media: CallMailbox(eventLoop: loop), resuming: true)
      opened.speech.send(Numbered(1, .ended(.error)))
      opened.custodian.finished()
    }.get()
  }

  /// Refuses new calls from now on, and lets other processes have the answered ones: each call's state is kept a last time and
  /// released (``CallCustodian/release()``). Calls are served until a successor has them; ``drain(limit:)`` waits for that.
  /// - Returns: the live calls, those included that are not answered yet: they follow when they are.
  @discardableResult
  public func handOver() async -> Int {
    guard let signalling = running?.signalling else { return 0 }
    beginDraining()
    return (try? await signalling.submit { service in service?.handOver() ?? 0 }.get()) ?? 0
  }
}
