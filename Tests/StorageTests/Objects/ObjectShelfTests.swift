import Base
import NIOConcurrencyHelpers
import Storage
import Testing

/// What is kept of a store, with a clock that a test moves.
@Suite(.timeLimit(.minutes(1))) struct ObjectShelfTests {
  /// A store that a test fills, takes away and holds up.
  private final class FakeStore: ObjectStore {
    struct State {
      var objects: [String: [UInt8]] = [:]
      var failure: ObjectError?
      /// `get a.wav`, `validate a.wav`
      var asked: [String] = []
      var isHeld = false
      var held: [CheckedContinuation<Void, Never>] = []
    }
    let state = NIOLockedValueBox(State())
    var place: String { "s3://fake" }
    var asked: [String] { state.withLockedValue { $0.asked } }

    func change(_ body: (inout State) -> Void) { state.withLockedValue(body) }

    func release() {
      let held = state.withLockedValue { state in
        state.isHeld = false
        defer { state.held = [] }
        return state.held
      }
      for waiter in held { waiter.resume() }
    }

    func get(_ key: ObjectKey, limit: Int, unless etag: String?) async throws(ObjectError) -> StoredObject? {
      await withCheckedContinuation { continuation in
        let goesOn = state.withLockedValue { state in
          state.asked.append("\(etag == nil ? "get" : "validate") \(key)")
          if state.isHeld { state.held.append(continuation) }
          return !state.isHeld
        }
        if goesOn { continuation.resume() }
      }
      let now = state.withLockedValue { $0 }
      if let failure = now.failure { throw failure }
      guard let bytes = now.objects["\(key)"] else { throw ObjectError(.missing, "there is no object '\(key)'") }
      let info = ObjectInfo(key: key, size: bytes.count, etag: "\(bytes.hashValue)")
      return info.etag == etag ? nil : StoredObject(info: info, bytes: bytes)
    }

    func head(_ key: ObjectKey) async throws(ObjectError) -> ObjectInfo? { nil }
    func put(_ key: ObjectKey, _ bytes: [UInt8], type: String) async throws(ObjectError) -> ObjectInfo {
      ObjectInfo(key: key, size: 0, etag: "")
    }
    func delete(_ key: ObjectKey) async throws(ObjectError) {}
    func list(_ prefix: String, from mark: String?, limit: Int) async throws(ObjectError) -> ObjectPage {
      ObjectPage(objects: [])
    }
    func check() async throws(ObjectError) { if let failure = state.withLockedValue({ $0.failure }) { throw failure } }
    func close() async {}
  }

  private struct Rig {
    let store = FakeStore()
    let clock = NIOLockedValueBox(Instant.zero)
    let shelf: ObjectShelf

    init(_ change: (inout ObjectShelfLimits) -> Void = { _ in }) {
      var limits = ObjectShelfLimits()
      change(&limits)
      let clock = self.clock
      shelf = ObjectShelf(store, limits: limits, clock: { clock.withLockedValue { $0 } }, logger: quiet)
    }

    func pass(_ time: Duration) { clock.withLockedValue { $0 += time } }

    /// The bytes, or the kind of failure.
    func ask(_ name: String) async -> Result<[UInt8], ObjectError> {
      do throws(ObjectError) {
        return .success(try await shelf.bytes(of: try ObjectKey(name)))
      } catch {
        return .failure(error)
      }
    }

    func bytes(_ name: String) async -> [UInt8]? { try? await ask(name).get() }

    func failure(_ name: String) async -> ObjectError.Kind? {
      if case .failure(let error) = await ask(name) { error.kind } else { nil }
    }
  }

  private static let away = ObjectError(.unavailable, "the store is away")

  @Test func anObjectIsFetchedOnceAndThenValidated() async {
    let rig = Rig()
    rig.store.change { $0.objects["a"] = [1] }
    for _ in 0..<3 { #expect(await rig.bytes("a") == [1]) }
    #expect(rig.store.asked == ["get a"])
    rig.pass(.seconds(299))
    #expect(await rig.bytes("a") == [1])
    #expect(rig.store.asked == ["get a"])
    rig.pass(.seconds(2))
    #expect(await rig.bytes("a") == [1])
    #expect(await rig.bytes("a") == [1])
    #expect(rig.store.asked == ["get a", "validate a"])
    rig.store.change { $0.objects["a"] = [2, 2] }
    #expect(await rig.bytes("a") == [1], "it is fresh")
    rig.pass(.seconds(301))
    #expect(await rig.bytes("a") == [2, 2])
  }

  @Test func manyCallersShareOneFetch() async {
    let rig = Rig()
    rig.store.change {
      $0.objects["a"] = [1]
      $0.isHeld = true
    }
    await withTaskGroup(of: [UInt8]?.self) { group in
      for _ in 0..<50 { group.addTask { await rig.bytes("a") } }
      // All of them have asked when the others have nothing left to do.
      while rig.store.state.withLockedValue({ $0.held.isEmpty }) { await Task.yield() }
      for _ in 0..<1_000 { await Task.yield() }
      rig.store.release()
      for await bytes in group { #expect(bytes == [1]) }
    }
    #expect(rig.store.asked == ["get a"])
  }

  @Test func aStoreThatIsAwayIsNotAskedForAWhile() async {
    let rig = Rig()
    rig.store.change {
      $0.objects["a"] = [1]
      $0.failure = Self.away
    }
    #expect(await rig.failure("a") == .unavailable)
    #expect(await rig.failure("a") == .unavailable)
    #expect(await rig.failure("b") == .unavailable)
    #expect(rig.store.asked == ["get a"])
    #expect(rig.shelf.trouble == "the store is away")
    rig.store.change { $0.failure = nil }
    rig.pass(.seconds(6))
    #expect(await rig.bytes("a") == [1])
    #expect(rig.shelf.trouble == nil)
  }

  @Test func whatIsKeptPlaysWhileTheStoreIsAway() async {
    let rig = Rig()
    rig.store.change { $0.objects["a"] = [1] }
    #expect(await rig.bytes("a") == [1])
    rig.store.change {
      $0.objects["a"] = [2]
      $0.failure = Self.away
    }
    rig.pass(.seconds(301))
    #expect(await rig.bytes("a") == [1])
    #expect(await rig.bytes("a") == [1])
    #expect(rig.store.asked == ["get a", "validate a"])
    #expect(rig.shelf.trouble != nil)
    rig.store.change { $0.failure = nil }
    rig.pass(.seconds(31))
    #expect(await rig.bytes("a") == [2])
    #expect(rig.shelf.trouble == nil)
  }

  @Test func whatIsGoneOrForbiddenIsNotPlayedAnyMore() async {
    let rig = Rig()
    rig.store.change { $0.objects = ["a": [1], "b": [2]] }
    #expect(await rig.bytes("a") == [1])
    #expect(await rig.bytes("b") == [2])
    rig.pass(.seconds(301))
    rig.store.change { $0.objects["a"] = nil }
    #expect(await rig.failure("a") == .missing)
    #expect(rig.shelf.trouble == nil, "the store is well")
    rig.store.change { $0.failure = ObjectError(.refused, "no") }
    #expect(await rig.failure("b") == .refused)
    #expect(rig.shelf.trouble == "no")
    rig.store.change { $0.failure = nil }
    #expect(await rig.bytes("b") == [2])
    #expect(rig.store.asked.last == "get b")
  }

  @Test func memoryIsBoundedAndTheOldestGo() async {
    let rig = Rig { $0.bytes = 100_000 }
    rig.store.change { state in
      for name in ["a", "b", "c", "d"] { state.objects[name] = [UInt8](repeating: 1, count: 30_000) }
      state.objects["large"] = [UInt8](repeating: 1, count: 60_000)
    }
    for name in ["a", "b", "c", "a", "d"] { #expect(await rig.bytes(name)?.count == 30_000) }
    #expect(rig.shelf.size <= 100_000)
    #expect(await rig.bytes("a")?.count == 30_000)
    #expect(rig.store.asked == ["get a", "get b", "get c", "get d"], "a was used since, b was not")
    #expect(await rig.bytes("b")?.count == 30_000)
    #expect(rig.store.asked.last == "get b")
    for _ in 0..<2 { #expect(await rig.bytes("large")?.count == 60_000) }
    #expect(rig.store.asked.suffix(2) == ["get large", "get large"], "it would push out too many")
  }

  @Test func aSilentStoreIsNotWaitedForTooLong() async {
    let rig = Rig {
      $0.fetchTime = .milliseconds(1)
      $0.validationTime = .milliseconds(1)
    }
    rig.store.change {
      $0.objects["a"] = [1]
      $0.isHeld = true
    }
    #expect(await rig.failure("a") == .unavailable)
    rig.store.release()
  }

  @Test func tooManyFetchesAtOnceAreRefused() async {
    let rig = Rig { $0.fetches = 2 }
    rig.store.change {
      $0.objects = ["a": [1], "b": [1], "c": [1]]
      $0.isHeld = true
    }
    async let first = rig.bytes("a")
    async let second = rig.bytes("b")
    while rig.store.asked.count < 2 { await Task.yield() }
    #expect(await rig.failure("c") == .unavailable)
    rig.store.release()
    #expect(await [first, second] == [[1], [1]])
    #expect(await rig.bytes("c") == [1])
  }
}
