import Base

/// A part of one call that exactly one process plays at a time.
public struct CallSeat: Sendable, Hashable {
  public var session: SessionID
  /// What the process does for the call: `runtime`, `media` ...
  public var role: String

  public init(_ session: SessionID, role: String) {
    self.session = session
    self.role = role
  }
}

/// A process that calls live in.
public struct CallHolder: Sendable, Hashable {
  /// Unlike that of every other process, and of the same process after a restart.
  public var instance: String
  /// Where other processes reach it; empty where they need not.
  public var address: String

  public init(instance: String, address: String = "") {
    self.instance = instance
    self.address = address
  }
}

/// Who holds a seat, until the lease runs out or is given back.
public struct CallLease: Sendable, Hashable {
  public var seat: CallSeat
  public var holder: CallHolder
  /// Greater than that of every lease on the seat before. Whoever writes for the call shows it, and a store that has seen a
  /// greater one refuses.
  public var token: Int64

  public init(seat: CallSeat, holder: CallHolder, token: Int64) {
    self.seat = seat
    self.holder = holder
    self.token = token
  }
}

/// Calls whose process is gone.
public struct CallOrphans: Sendable, Hashable {
  /// Oldest first.
  public var leases: [CallLease]
  /// What the directory's clock showed, to the millisecond; only its progress means something.
  public var clock: Instant

  public init(_ leases: [CallLease], clock: Instant) {
    self.leases = leases
    self.clock = clock
  }

  init(_ leases: [CallLease], clockMs: Int64) {
    // 292 years after 1970 it stands still.
    self.init(leases, clock: .zero + .milliseconds(clockMs))
  }
}

/// Which process holds which call. Leases run out by the clock of the store, so the clocks of processes may differ.
///
/// Every call may be repeated where its answer was lost. All of them throw ``StorageError``: `unavailable` while the store does
/// not answer.
public protocol CallDirectory: Sendable {
  /// Takes a seat that nobody holds, or whose lease has run out; the holder's own lease is prolonged.
  /// - Returns: the lease that counts now: the holder's, or that of the process that holds the seat.
  func claim(_ seat: CallSeat, by holder: CallHolder, for duration: Duration) async throws -> CallLease
  /// Prolongs leases, also such as have run out and were taken by nobody.
  /// - Returns: those that belong to somebody else now, or to nobody.
  func renew(_ leases: [CallLease], for duration: Duration) async throws -> [CallLease]
  /// Gives a seat back. One that is somebody else's stays theirs.
  func release(_ lease: CallLease) async throws
  /// nil: nobody holds the seat.
  func lease(of seat: CallSeat) async throws -> CallLease?
  /// Leases that ran out without being given back.
  func orphans(role: String, limit: Int) async throws -> CallOrphans
}

/// What is written of a lease, and for how long.
enum CallLeases {
  /// How long an orphan is remembered.
  static let orphanMs: Int64 = 24 * 3600 * 1000
  /// Leases that one question to the store prolongs.
  static let batch = 200
}

extension Array {
  /// The same elements, at most `size` at a time.
  func pieces(of size: Int) -> [ArraySlice<Element>] {
    stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
  }
}
