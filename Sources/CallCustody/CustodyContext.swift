// Keeps what a call needs to outlive each of the processes that serve it, and owns the ends of its hops.

import Base
import CallLink
import Logging
import NIOCore
import Storage

/// What the custody of calls needs of its process.
public struct CustodyContext: Sendable {
  /// This run of this process.
  public var holder: CallHolder
  public var directory: any CallDirectory
  /// Where the runtime's and the media role's states are.
  public var checkpoints: any CheckpointStore
  public var seal: StateSeal
  public var codecs: MessageCodecs
  public var group: any EventLoopGroup
  public var logger: Logger
  public var metrics: CustodyMetrics
  /// Is told of every call that comes here, before anything is logged of it. Any thread.
  public var noticed: @Sendable (CallInfo) -> Void = { _ in }

  public init(
    holder: CallHolder, directory: any CallDirectory, checkpoints: any CheckpointStore, seal: StateSeal,
    codecs: MessageCodecs, group: any EventLoopGroup, metrics: CustodyMetrics = CustodyMetrics(), logger: Logger
  ) {
    self.holder = holder
    self.directory = directory
    self.checkpoints = checkpoints
    self.seal = seal
    self.codecs = codecs
    self.group = group
    self.metrics = metrics
    self.logger = logger
  }

  /// What the right-hand roles' leases last: nobody waits for their end, because the neighbour says whom it has left.
  static let seatLength: Duration = .seconds(30)

  func logger(_ session: SessionID) -> Logger {
    var logger = logger
    logger[metadataKey: "session_id"] = "\(session)"
    return logger
  }
}

/// Where the custody counts; any thread.
public struct CustodyMetrics: Sendable {
  /// `vg_sessions_resumed_total{role,outcome="unread"}`: what was kept of a call cannot be read.
  public var unread: @Sendable (_ role: String) -> Void = { _ in }
  /// `vg_sessions_resumed_total{role="media",outcome="lost"}`: a process died with a call of which nothing, or too little, was kept.
  public var lost: @Sendable () -> Void = {}
  /// `vg_hop_breaks_total{hop}`: a transport between two processes was lost.
  public var broken: @Sendable (_ hop: String) -> Void = { _ in }

  public init() {}
}

/// Whether a stream may begin without anything that was kept: nothing has ever been settled in it.
func isFresh(_ open: HopOpen) -> Bool { open.place.map { $0.received == 0 && $0.oldest == 1 } ?? false }

extension HopDriver {
  /// Whom the claim to the other side belongs to is vouched for by whoever talks to us.
  func isHeard(at now: Instant) -> Bool { end.lastHeard.map { now - $0 < .seconds(2) } ?? false }
}

extension Logger {
  /// The call has to be ended without its neighbour.
  func hopEnded(_ role: String, _ ending: HopEnding, _ close: HopClose?) {
    warning(
      "the hop to the call's \(role) role has ended",
      metadata: ["ending": "\(ending.rawValue)", "reason": "\(close?.message ?? "")"])
  }
}
