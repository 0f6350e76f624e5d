import Base
import Storage
import Testing

/// Which processes live, and what becomes of the sessions of the others.
@Suite struct InstanceLeaseTests {
  @Test(arguments: Backend.allCases)
  func sessionsOfAProcessThatIsGoneAreEndedOnceItCanBeJudged(backend: Backend) async throws {
    let stores = try await backend.open(), database = stores.database
    func silence() async throws { try await database.write { _ = try $0.run("UPDATE instances SET seen_at_ms = 1") } }
    let gone = InstanceLease(database, nowMs: 1, logger: quiet),
      judge = InstanceLease(database, nowMs: 2, logger: quiet)
    let sessions = SQLSessionStore(database, instance: gone.id, logger: quiet)
    let start = Instant.zero
    try await gone.beat(at: start)
    sessions.put(summary("a", startedAtMs: 1))
    sessions.append(event(1, session: "a", type: "call_started"))
    await sessions.flush()

    // A process judges others once its own word has stood for as long as theirs may be missing.
    try await judge.beat(at: start)
    try await judge.beat(at: start + .seconds(20))
    try await silence()
    try await judge.beat(at: start + .seconds(25))
    #expect(try await sessions.openSessions().count == 1, "too early to judge")
    try await gone.beat(at: start + .seconds(30))
    try await judge.beat(at: start + .seconds(35))
    #expect(try await sessions.openSessions().count == 1, "it has spoken again")
    try await silence()
    try await judge.beat(at: start + .seconds(45))
    #expect(try await sessions.openSessions().isEmpty)
    let record = try await sessions.events(of: SessionID("a"), tenant: nil, after: 0, limit: 9)
    #expect(record.map(\.type) == ["call_started", "call_terminated"])

    // Whoever takes the call over now is too late for its record: it has one end, and nothing behind it.
    let late = SQLSessionStore(database, instance: "late", logger: quiet)
    late.appendAgain(event(1, session: "a", type: "call_started"))
    late.appendAgain(event(2, session: "a", type: "transcript"))
    late.append(event(3, session: "a", type: "call_terminated"))
    late.put(summary("a", startedAtMs: 1))
    await late.flush()
    #expect(try await late.events(of: SessionID("a"), tenant: nil, after: 0, limit: 9) == record)
    #expect(try await late.openSessions().isEmpty)
    #expect(late.lostWrites == 1)
    await late.close()

    // After a time without the database nobody is judged at once.
    sessions.put(summary("b", startedAtMs: 1))
    await sessions.flush()
    try await silence()
    try await judge.beat(at: start + .seconds(300))
    #expect(try await sessions.openSessions().map(\.session.value) == ["b"])
    await sessions.close()

    // One that comes before the judge is seen by it.
    let successor = SQLSessionStore(database, instance: judge.id, logger: quiet)
    successor.put(summary("b", startedAtMs: 1))
    await successor.flush()
    for after in stride(from: 305, through: 345, by: 20) { try await judge.beat(at: start + .seconds(after)) }
    #expect(try await successor.openSessions().map(\.session.value) == ["b"])
    await successor.close()
    await stores.close()
  }
}
