import Base
import Logging
import NIOConcurrencyHelpers
import Outbound

/// Objects that are needed again and again, kept in memory: many callers hear the same few sounds. Safe to use from any thread.
///
/// An object is fetched when it is first asked for, once for all who ask meanwhile. After ``ObjectShelfLimits/freshFor`` the store
/// is asked whether it has changed; while the store cannot be reached, what is kept goes on being used.
public final class ObjectShelf: Sendable {
  private struct State {
    var shelf: ShelfState
    var flights: [ObjectKey: Task<[UInt8], any Error>] = [:]
    var trouble: String?
  }

  private enum Way {
    case have([UInt8])
    case wait(Task<[UInt8], any Error>)
    case fail(ObjectError)
  }

  private let store: any ObjectStore
  private let limits: ObjectShelfLimits
  private let clock: @Sendable () -> Instant
  private let logger: Logger
  private let state: NIOLockedValueBox<State>

  public init(
    _ store: any ObjectStore, limits: ObjectShelfLimits = ObjectShelfLimits(),
    clock: @escaping @Sendable () -> Instant = Instant.monotonic, logger: Logger
  ) {
    self.store = store
    self.limits = limits
    self.clock = clock
    self.logger = logger
    state = NIOLockedValueBox(State(shelf: ShelfState(limits)))
  }

  public var place: String { store.place }

  /// Why the last request failed, where that was the store's doing; nil: it did not.
  public var trouble: String? { state.withLockedValue { $0.trouble } }

  /// Bytes that are kept.
  public var size: Int { state.withLockedValue { $0.shelf.bytes } }

  /// An object's bytes: from memory, or fetched within the store's time.
  public func bytes(of key: ObjectKey) async throws(ObjectError) -> [UInt8] {
    let now = clock()
    let way = state.withLockedValue { state -> Way in
      if let flight = state.flights[key] { return .wait(flight) }
      switch state.shelf.ask(key, now: now) {
      case .have(let bytes): return .have(bytes)
      case .away(let error): return .fail(error)
      case .fetch(let kept):
        guard state.flights.count < limits.fetches else {
          return .fail(ObjectError(.unavailable, "\(limits.fetches) objects of \(place) are being fetched already"))
        }
        // A task of its own: the one who asked first may hang up, the others still wait.
        let task = Task { try await self.fetch(key, kept).get() }
        state.flights[key] = task
        return .wait(task)
      }
    }
    do {
      switch way {
      case .have(let bytes): return bytes
      case .fail(let error): throw error
      case .wait(let flight): return try await flight.value
      }
    } catch {
      throw error as? ObjectError ?? ObjectError(.failed, "\(place): \(error)")
    }
  }

  /// Asks the store whether it lets us in, for the log and ``trouble``.
  public func check() async {
    do {
      try await store.check()
      state.withLockedValue { $0.trouble = nil }
    } catch {
      logger.warning(
        "The object store is not as it should be; sounds of dialogs may be missing",
        metadata: ["store": "\(place)", "error": "\(error)"])
      state.withLockedValue { $0.trouble = "\(error)" }
    }
  }

  /// Ends what is under way. Idempotent.
  public func close() async { await store.close() }

  private func fetch(_ key: ObjectKey, _ kept: ShelfState.Entry?) async -> Result<[UInt8], ObjectError> {
    let outcome = await ask(key, kept)
    let now = clock()
    let result = state.withLockedValue { state in
      state.flights[key] = nil
      if case .failure(let error) = outcome, error.kind != .missing, error.kind != .tooLarge {
        state.trouble = "\(error)"
      } else {
        state.trouble = nil
      }
      return state.shelf.settle(key, outcome, kept: kept, now: now)
    }
    if case .failure(let error) = outcome {
      var isKept = false
      if case .success = result { isKept = true }
      logger.warning(
        "An object cannot be fetched",
        metadata: [
          "store": "\(place)", "object": "\(key)", "error": "\(error)", "reason": "\(error.kind.rawValue)",
          "kept_copy": "\(isKept)",
        ])
    }
    return result
  }

  private func ask(_ key: ObjectKey, _ kept: ShelfState.Entry?) async -> Result<StoredObject?, ObjectError> {
    let request = Task { () async throws in
      try await store.get(key, limit: limits.objectBytes, unless: kept?.etag)
    }
    let limit = kept == nil ? limits.fetchTime : limits.validationTime
    let late = ObjectError(.unavailable, "\(place): no answer within \(limit)")
    do {
      let object = try await firstOf(
        request, limit: limit, late: late, left: ObjectError(.unavailable, "\(place): nobody waits any more"))
      return .success(object)
    } catch {
      request.cancel()
      return .failure(error as? ObjectError ?? ObjectError(.failed, "\(place): \(error)"))
    }
  }
}

/// How much a shelf keeps, and for how long.
public struct ObjectShelfLimits: Sendable, Hashable {
  /// Of all objects together: some hundred greetings.
  public var bytes = 64 << 20
  /// Of one: a quarter of an hour at 16 kHz.
  public var objectBytes = 32 << 20
  /// How long an object is used before the store is asked again.
  public var freshFor: Duration = .seconds(300)
  /// How long a copy is used, without asking, after the store could not be asked.
  public var keptFor: Duration = .seconds(30)
  /// How long nothing new is fetched after that: a caller would only wait in silence.
  public var awayFor: Duration = .seconds(5)
  /// Of a caller who waits for an object that is not here.
  public var fetchTime: Duration = .seconds(10)
  /// Of a caller whose object is here, and may be old.
  public var validationTime: Duration = .seconds(2)
  /// Objects that are fetched at once.
  public var fetches = 32

  public init() {}
}

/// What a shelf holds and decides. Pure.
struct ShelfState {
  struct Entry: Sendable {
    var bytes: [UInt8]
    var etag: String
    var freshUntil: Instant
    var used: UInt64
  }

  enum Answer {
    case have([UInt8])
    /// The entry: what is here and may be old.
    case fetch(Entry?)
    /// The store was away a moment ago.
    case away(ObjectError)
  }

  private let limits: ObjectShelfLimits
  private var entries: [ObjectKey: Entry] = [:]
  private var uses: UInt64 = 0
  private var away: (until: Instant, why: ObjectError)?
  private(set) var bytes = 0
  /// Memory of an entry beside its bytes, roughly.
  private static let overhead = 1_024

  init(_ limits: ObjectShelfLimits) { self.limits = limits }

  mutating func ask(_ key: ObjectKey, now: Instant) -> Answer {
    uses += 1
    entries[key]?.used = uses
    let entry = entries[key]
    if let entry, now < entry.freshUntil { return .have(entry.bytes) }
    if let away, now < away.until { return entry.map { .have($0.bytes) } ?? .away(away.why) }
    return .fetch(entry)
  }

  /// - Parameters:
  ///   - outcome: of the store; nil: the object is as it was.
  ///   - kept: what ``ask(_:now:)`` gave.
  mutating func settle(
    _ key: ObjectKey, _ outcome: Result<StoredObject?, ObjectError>, kept: Entry?, now: Instant
  ) -> Result<[UInt8], ObjectError> {
    switch outcome {
    case .success(let object?):
      away = nil
      keep(key, object.bytes, object.info.etag, freshUntil: now + limits.freshFor)
      return .success(object.bytes)
    case .success(nil):
      away = nil
      guard let kept else { return .failure(ObjectError(.failed, "the store sends nothing for '\(key)'")) }
      keep(key, kept.bytes, kept.etag, freshUntil: now + limits.freshFor)
      return .success(kept.bytes)
    case .failure(let error) where error.kind == .unavailable:
      away = (now + limits.awayFor, error)
      guard let kept else { return .failure(error) }
      keep(key, kept.bytes, kept.etag, freshUntil: now + limits.keptFor)
      return .success(kept.bytes)
    case .failure(let error):
      drop(key)
      return .failure(error)
    }
  }

  /// Keeps an object that takes no more than half of the shelf; the least recently used go for it.
  private mutating func keep(_ key: ObjectKey, _ content: [UInt8], _ etag: String, freshUntil: Instant) {
    drop(key)
    let size = content.count + Self.overhead
    guard size <= limits.bytes / 2 else { return }
    while bytes + size > limits.bytes, let oldest = entries.min(by: { $0.value.used < $1.value.used })?.key {
      drop(oldest)
    }
    uses += 1
    entries[key] = Entry(bytes: content, etag: etag, freshUntil: freshUntil, used: uses)
    bytes += size
  }

  private mutating func drop(_ key: ObjectKey) {
    guard let old = entries.removeValue(forKey: key) else { return }
    bytes -= old.bytes.count + Self.overhead
  }
}
