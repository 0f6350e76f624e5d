import Base
import Storage
import Testing

/// What is kept, and for how long.
@Suite struct RetentionTests {
  private static let day: Int64 = 86_400_000
  private static func days(_ count: Int) -> Duration { .seconds(count * 86_400) }

  @Test func wordsGoByTheirOwnTime() {
    let now = 1_000 * Self.day
    let long = RetentionPlan(RetentionPolicy(transcripts: Self.days(90), events: Self.days(30)), nowMs: now)
    #expect(long.border(of: "speech_final") == now - 90 * Self.day)
    #expect(long.border(of: "quality") == now - 30 * Self.day)
    #expect(long.border(of: "speech_partial") == now - 30 * Self.day, "words that no transcript needs go first")
    #expect(long.sessionsBeforeMs == now - 90 * Self.day)
    let short = RetentionPlan(RetentionPolicy(transcripts: Self.days(7), events: Self.days(30)), nowMs: now)
    for type in ["speech_final", "speech_partial", "tts_started", "agent_message", "hook_result", "something_new"] {
      #expect(short.border(of: type) == now - 7 * Self.day, "\(type) may repeat what was said")
    }
    #expect(short.border(of: "quality") == now - 30 * Self.day)
    #expect(short.sessionsBeforeMs == now - 30 * Self.day)
    let forever = RetentionPlan(RetentionPolicy(transcripts: nil, events: Self.days(30)), nowMs: now)
    #expect(forever.border(of: "speech_final") == nil)
    #expect(forever.sessionsBeforeMs == nil)
  }

  @Test(arguments: Backend.allCases)
  func whatIsOldGoesAndNothingElse(backend: Backend) async throws {
    let stores = try await backend.open()
    let store = stores.sessions
    let now = 1_000 * Self.day
    // Ended 100, 60 and 10 days ago; the last one lives.
    for (name, age) in [("old", 100), ("middle", 60), ("young", 10), ("live", 200)] {
      let at = now - Int64(age) * Self.day
      var call = summary(name, startedAtMs: at)
      if name != "live" {
        call.state = .ended
        call.endedAtMs = at
      }
      store.put(call)
      for i in 1...700 {
        var event = event(i, session: name, type: i % 2 == 0 ? "speech_final" : "quality")
        event.timestampMs = at
        store.append(event)
      }
    }
    await store.flush()
    let job = RetentionJob(
      stores.database, policy: RetentionPolicy(transcripts: Self.days(90), events: Self.days(30)))
    let report = try await job.run(nowMs: now)
    #expect(report.sessions == 1)
    #expect(report.events == 700 + 350 + 700)
    func types(_ session: String) async throws -> Set<String> {
      Set(try await store.events(of: SessionID(session), tenant: nil, after: 0, limit: 1000).map(\.type))
    }
    #expect(try await types("old").isEmpty)
    #expect(try await types("middle") == ["speech_final"])
    #expect(try await types("young") == ["speech_final", "quality"])
    #expect(try await store.session(SessionID("old"), tenant: nil) == nil)
    #expect(try await store.session(SessionID("middle"), tenant: nil) != nil)
    #expect(try await store.session(SessionID("live"), tenant: nil) != nil)
    #expect(try await job.run(nowMs: now) == RetentionJob.Report())
    await stores.close()
  }
}
