import Base
import Dispatch
import FoundationEssentials
import Logging
import Storage
import Testing

/// What every store promises, shown on each of them.
@Suite struct StoreTests {
  /// One store and its way out.
  private struct Fixture {
    var store: SQLSessionStore
    var close: () async -> Void
  }

  private func make(_ kind: Backend) async throws -> Fixture {
    let stores = try await kind.open()
    return Fixture(store: stores.sessions, close: stores.close)
  }

  @Test(arguments: Backend.allCases)
  func eventsComeBackAsTheyWere(kind: Backend) async throws {
    let fixture = try await make(kind)
    let event = SessionEvent(
      eventID: "01E", type: "speech_final", sequence: 1, session: SessionID("s"), timestampMs: 1_700_000_000_123,
      dialogName: "help \"desk\"", tenant: "t",
      fields: ["transcript": "naïve\n\u{1F600}", "confidence": 0.5, "n": .null, "list": [1, true, ["k": "v"]]])
    fixture.store.append(event)
    await fixture.store.flush()
    #expect(try await fixture.store.events(of: SessionID("s"), tenant: nil, after: 0, limit: 10) == [event])
    #expect(try await fixture.store.events(tenant: nil, after: nil, limit: 10) == [event])
    #expect(try await fixture.store.events(of: SessionID("other"), tenant: nil, after: 0, limit: 10).isEmpty)
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func aSessionsEventsArePaged(kind: Backend) async throws {
    let fixture = try await make(kind)
    for i in 1...25 {
      fixture.store.append(event(i, session: "a"))
      fixture.store.append(event(i, session: "b"))
    }
    await fixture.store.flush()
    var seen: [Int64] = []
    while true {
      let page = try await fixture.store.events(of: SessionID("a"), tenant: nil, after: seen.last ?? 0, limit: 10)
      if page.isEmpty { break }
      #expect(page.count <= 10)
      seen += page.map(\.sequence)
    }
    #expect(seen == Array(1...25))
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func theLogResumesAfterAnEventWithoutLossOrDuplicates(kind: Backend) async throws {
    let fixture = try await make(kind)
    let all = (1...30).map { event($0, session: $0 % 2 == 0 ? "a" : "b") }
    for event in all { fixture.store.append(event) }
    await fixture.store.flush()
    #expect(try await fixture.store.events(tenant: nil, after: all[11].eventID, limit: 100) == Array(all[12...]))
    #expect(try await fixture.store.events(tenant: nil, after: all[29].eventID, limit: 100).isEmpty)
    #expect(try await fixture.store.events(tenant: nil, after: all[11].eventID, limit: 3) == Array(all[12..<15]))
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func anEventThatIsGoneResumesByItsTime(kind: Backend) async throws {
    let fixture = try await make(kind)
    let all = (1...10).map { event($0, session: "a") }
    for event in all where event.sequence != 5 { fixture.store.append(event) }
    await fixture.store.flush()
    #expect(try await fixture.store.events(tenant: nil, after: all[4].eventID, limit: 100) == Array(all[5...]))
    #expect(try await fixture.store.events(tenant: nil, after: "ZZZ", limit: 100).isEmpty)
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func subscribersSeeEveryEventInOrderAndOnlyAfterItCanBeRead(kind: Backend) async throws {
    let fixture = try await make(kind)
    let first = fixture.store.subscribe(bufferLimit: 2000)
    let second = fixture.store.subscribe(bufferLimit: 2000)
    for i in 1...1500 { fixture.store.append(event(i, session: "a")) }
    for stream in [first, second] {
      var seen: [Int64] = []
      for await event in stream {
        seen.append(event.sequence)
        if seen.count == 1 {
          #expect(try await !fixture.store.events(of: SessionID("a"), tenant: nil, after: 0, limit: 1).isEmpty)
        }
        if seen.count == 1500 { break }
      }
      #expect(seen == Array(1...1500))
    }
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func aSlowSubscriberIsCutOffAndHoldsNobody(kind: Backend) async throws {
    let fixture = try await make(kind)
    let slow = fixture.store.subscribe(bufferLimit: 4)
    let quick = fixture.store.subscribe(bufferLimit: 100)
    for i in 1...50 { fixture.store.append(event(i, session: "a")) }
    await fixture.store.flush()
    var seen: [Int64] = []
    for await event in slow { seen.append(event.sequence) }
    #expect(seen == [1, 2, 3, 4], "the stream ends after what it held")
    var count = 0
    for await _ in quick {
      count += 1
      if count == 50 { break }
    }
    #expect(count == 50)
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func closingEndsTheSubscriptions(kind: Backend) async throws {
    let fixture = try await make(kind)
    let stream = fixture.store.subscribe(bufferLimit: 10)
    fixture.store.append(event(1, session: "a"))
    await fixture.close()
    var count = 0
    for await _ in stream { count += 1 }
    #expect(count == 1)
  }

  @Test(arguments: Backend.allCases)
  func summariesAreReplacedAndComeBackWhole(kind: Backend) async throws {
    let fixture = try await make(kind)
    var call = summary("s", startedAtMs: 5)
    fixture.store.put(call)
    call.state = .ended
    call.answeredAtMs = 7
    call.endedAtMs = 9
    call.endReason = "caller"
    call.variables = ["name": "Ann", "n": 3]
    call.quality = ["mos": 4.2]
    call.latency = ["total_ms": 420]
    call.dialogVersion = "1.2"
    call.dialogNumber = 3
    call.dialogDigest = "abc"
    call.outcome = ["disposition": "resolved", "tags": ["vip"]]
    fixture.store.put(call)
    await fixture.store.flush()
    #expect(try await fixture.store.session(SessionID("s"), tenant: nil) == call)
    #expect(try await fixture.store.session(SessionID("t"), tenant: nil) == nil)
    #expect(
      try await fixture.store.sessions(SessionQuery(tenant: Tenant.standard, ended: false, limit: 10, cursor: nil))
        .isEmpty)
    #expect(
      try await fixture.store.sessions(SessionQuery(tenant: Tenant.standard, ended: true, limit: 10, cursor: nil)) == [
        call
      ]
    )
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func sessionsArePagedNewestFirst(kind: Backend) async throws {
    let fixture = try await make(kind)
    for i in 0..<20 { fixture.store.put(summary("s\(i % 7)-\(i)", startedAtMs: Int64(i / 2))) }
    await fixture.store.flush()
    var seen: [SessionSummary] = []
    while true {
      let page = try await fixture.store.sessions(
        SessionQuery(tenant: Tenant.standard, ended: false, limit: 6, cursor: seen.last?.session))
      if page.isEmpty { break }
      seen += page
    }
    #expect(seen.count == 20)
    #expect(Set(seen.map(\.session)).count == 20)
    #expect(seen.map(\.startedAtMs) == seen.map(\.startedAtMs).sorted(by: >))
    await #expect(throws: StorageError.self) {
      _ = try await fixture.store.sessions(
        SessionQuery(tenant: Tenant.standard, ended: false, limit: 6, cursor: SessionID("nobody")))
    }
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func aNumberThatTheSessionHasIsRefusedAndCounted(kind: Backend) async throws {
    let fixture = try await make(kind)
    for i in 1...3 { fixture.store.append(event(i, session: "a")) }
    var other = event(2, session: "a", type: "error")
    other.eventID = "01EZZZ"
    fixture.store.append(other)
    fixture.store.append(event(4, session: "a"))
    await fixture.store.flush()
    let record = try await fixture.store.events(of: SessionID("a"), tenant: nil, after: 0, limit: 10)
    #expect(record.map(\.sequence) == [1, 2, 3, 4])
    #expect(record[1].type == "quality", "what was written first stays")
    #expect(fixture.store.lostWrites == 1)
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func manyWritersLeaveNoGapInAnySession(kind: Backend) async throws {
    let fixture = try await make(kind)
    let store = fixture.store
    await withTaskGroup(of: Void.self) { group in
      for session in 0..<6 {
        group.addTask {
          for i in 1...200 {
            store.append(event(i, session: "s\(session)"))
            store.put(summary("s\(session)", startedAtMs: Int64(i)))
          }
        }
      }
    }
    await store.flush()
    for session in 0..<6 {
      let id = SessionID("s\(session)")
      #expect(try await store.events(of: id, tenant: nil, after: 0, limit: 1000).map(\.sequence) == Array(1...200))
      #expect(try await store.session(id, tenant: nil)?.startedAtMs == 200)
    }
    #expect(store.lostWrites == 0)
    await fixture.close()
  }

  @Test(arguments: Backend.allCases)
  func openSessionsAreToldOldestFirst(kind: Backend) async throws {
    let fixture = try await make(kind)
    for (name, at) in [("c", 3), ("a", 1), ("b", 2)] { fixture.store.put(summary(name, startedAtMs: Int64(at))) }
    var over = summary("b", startedAtMs: 2)
    over.state = .ended
    fixture.store.put(over)
    await fixture.store.flush()
    #expect(try await fixture.store.openSessions().map(\.session.value) == ["a", "c"])
    await fixture.close()
  }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func event(_ number: Int, session: String, type: String = "quality") -> SessionEvent {
  let digits = String(number)
  return SessionEvent(
    eventID: "01E" + String(repeating: "0", count: 6 - digits.count) + digits + session, type: type,
    sequence: Int64(number), session: SessionID(session), timestampMs: Int64(1000 + number), dialogName: "d",
    fields: ["n": .int(Int64(number))])
}

func summary(_ session: String, startedAtMs: Int64) -> SessionSummary {
  SessionSummary(
    session: SessionID(session), state: .active, direction: "inbound", callerID: "1000", calledNumber: "2000",
    dialogName: "d", startedAtMs: startedAtMs)
}

/// A folder that is there for one test.
struct TemporaryFolder {
  let path: String

  init() {
    path = FileManager.default.temporaryDirectory.path(percentEncoded: false) + "parley-test-" + UUID().uuidString
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}
