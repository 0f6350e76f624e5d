import Base

/// The numbers of one end of a hop.
public struct HopLimits: Sendable {
  /// Messages that may be under way without having been settled. A talking caller makes about ten a second: a minute
  /// and a half of them, so that a store may be away for a minute.
  public var window: UInt64 = 1_024
  /// Own messages that are kept to be repeated; one more ends the hop with ``HopEnding/overflow``: a control message is
  /// never dropped.
  public var kept = 2_048
  /// Nothing has been heard for so long: ask.
  public var pingAfter: Duration = .milliseconds(500)
  /// Nothing has been heard for so long: the transport is broken. Three times what a stall of a busy process may take.
  public var silence: Duration = .milliseconds(1_500)
  /// From dialling to a transport, and from there to the answer.
  public var opening: Duration = .seconds(1)
  /// Without a peer for so long: the hop is given up. The answering end is given longer, because its dialler may have
  /// to be replaced first.
  public var outage: Duration
  /// The first pause between attempts; it doubles up to `retryAtMost`. The first two attempts come at once.
  public var retry: Duration = .milliseconds(50)
  public var retryAtMost: Duration = .seconds(1)
  /// Whether this end is a machine that makes the same messages again from the same input, so that its successor may
  /// start behind what the peer has already seen. Otherwise that is ``HopEnding/diverged``.
  public var replays = false
  /// Whether the peer's successor may come without memory, which repeats what the peer had not settled and tells
  /// the owner (``HopMeeting/forgetful``). Otherwise that is ``HopEnding/tooOld``.
  public var takesForgetful = false

  public init(outage: Duration = .seconds(10)) { self.outage = outage }
}

/// Why an end has stopped.
public enum HopEnding: String, Sendable, CaseIterable {
  /// Both have said everything.
  case over
  /// Somebody else owns this side of the call now. Nothing may be done for the call any more, not even ending it.
  case superseded
  /// No peer within ``HopLimits/outage``.
  case outage
  /// What would have to be repeated is no longer there.
  case tooOld = "too_old"
  /// The ends remember different calls.
  case diverged
  /// More than ``HopLimits/kept`` messages could not be delivered.
  case overflow
  /// The peer broke the rules of the protocol.
  case violation
  /// The peer cannot go on.
  case failed
  /// The owner wanted it: ``HopEnd/close(_:at:)``.
  case closed

  /// Whether this end's owner still owns the call, and has to end it politely.
  public var mustEndCall: Bool {
    switch self {
    case .over, .superseded, .closed: false
    case .outage, .tooOld, .diverged, .overflow, .violation, .failed: true
    }
  }
}

/// Whom an end has met on a new transport.
public enum HopMeeting: Sendable, Hashable {
  /// The first peer of the call.
  case first
  /// The peer that it knew, with its memory.
  case resumed
  /// A successor that goes on where the old peer's last safe state was.
  case replaced
  /// A successor without memory: what had been ordered of the old peer and is not settled comes again, what had been
  /// settled and still stands must be said again by the owner.
  case forgetful
}

/// What an end has been through.
public struct HopCounts: Sendable, Hashable {
  /// Messages that came again and were dropped.
  public var duplicates = 0
  /// Messages that were sent again.
  public var repeated = 0
  /// Transports that skipped a number, and were given up for it.
  public var gaps = 0
  /// Transports that broke or fell silent.
  public var breaks = 0
  public var resumed = 0
  public var replaced = 0
  /// Diallers or answers of owners that had been replaced.
  public var stale = 0

  public init() {}
}

/// What a successor needs to go on with a hop: part of its owner's safe state.
public struct HopSnapshot<Outgoing: Sendable>: Sendable {
  /// Everything through this number has been handled.
  public var received: UInt64
  /// The number of the next new message.
  public var next: UInt64
  /// Messages that the peer has not settled; the last has number `next - 1`.
  public var kept: [Outgoing]
  /// The peer when the snapshot was made.
  public var peer: HopParty?
  /// What the peer gave to keep.
  public var memory: HopMemory?

  public init(received: UInt64, next: UInt64, kept: [Outgoing], peer: HopParty?, memory: HopMemory?) {
    self.received = received
    self.next = next
    self.kept = kept
    self.peer = peer
    self.memory = memory
  }
}

extension HopSnapshot: Equatable where Outgoing: Equatable {}
extension HopSnapshot: Hashable where Outgoing: Hashable {}
