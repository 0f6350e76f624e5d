import Base

/// How many calls there are of something at once: of a trunk, of a tenant. Over all processes.
///
/// A place that is not renewed runs out by the store's clock: what a process that died has counted is free again without
/// anybody's help. Every call may be repeated where its answer was lost, and throws ``StorageError``.
public protocol ConcurrencyCounters: Sendable {
  /// Takes a place in each of the counters, or in none of them.
  /// - Parameter place: the call. A place that it has already is kept.
  func acquire(_ place: String, in limits: [CounterLimit], for duration: Duration) async throws -> Admission
  /// Keeps places, and gives back those that have run out, also above the limit: the calls live.
  func renew(_ places: [CounterPlace], for duration: Duration) async throws
  func release(_ places: [CounterPlace]) async throws
  func count(_ counter: String) async throws -> Int
}

/// How many places a counter has.
public struct CounterLimit: Sendable, Hashable {
  /// `trunk:main`, `tenant:acme`
  public var counter: String
  public var limit: Int

  public init(_ counter: String, limit: Int) {
    self.counter = counter
    self.limit = limit
  }
}

/// One call in one counter.
public struct CounterPlace: Sendable, Hashable {
  public var counter: String
  public var place: String

  public init(_ counter: String, _ place: String) {
    self.counter = counter
    self.place = place
  }
}

public enum Admission: Sendable, Hashable {
  case admitted
  /// The first of the counters that has no place left.
  case full(counter: String)
}
