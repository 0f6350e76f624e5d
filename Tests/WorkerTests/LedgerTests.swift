import Base
import NIOConcurrencyHelpers
import ScriptedServers
import Settings
import Storage
import Testing
import Worker

@Suite struct LedgerTests {
  private func checkpoint(_ claim: WebhookLedger.Claim, reached: Int64) -> WebhookLedger.Checkpoint {
    WebhookLedger.Checkpoint(
      webhook: claim.webhook.id, fence: claim.fence, reached: reached, lastSuccessMs: nil, failingSinceMs: nil,
      parked: [WebhookLedger.Parked(place: 2, session: "S1", timestampMs: 1, attempts: 1, begunMs: 5, dueMs: 9)],
      settled: [], dead: [], deliveries: [])
  }

  @Test(arguments: Backend.allCases)
  func whoLostAWebhookChangesNothingMore(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...5)
    let standing = try #require(try await site.ledger.webhooks().first?.standing)
    let old = try #require(try await site.ledger.take(standing, owner: "P1"))
    #expect(try await site.ledger.take(standing, owner: "P2") == nil, "somebody was faster")
    let now = try #require(try await site.ledger.webhooks().first?.standing)
    let new = try #require(try await site.ledger.take(now, owner: "P2"))
    #expect(new.reached == 0 && new.fence > old.fence)
    #expect(try await site.ledger.keep([checkpoint(old, reached: 4)], nowMs: 1) == ["W1"])
    #expect(try await site.ledger.keep([checkpoint(new, reached: 3)], nowMs: 1).isEmpty)
    #expect(try await site.ledger.renew(owner: "P1").isEmpty)
    #expect(try await site.ledger.renew(owner: "P2") == ["W1": new.fence])

    // What the next one finds is what was kept.
    let last = try #require(try await site.ledger.webhooks().first?.standing)
    let claim = try #require(try await site.ledger.take(last, owner: "P3"))
    #expect(claim.reached == 3 && claim.parked == checkpoint(new, reached: 3).parked)
    #expect(try await site.database.read { try WebhookLedger.firstOwedPlace($0) } == 2)
    _ = try await site.store.update("W1", tenant: "default", nowMs: 2) { $0.isEnabled = false }
    #expect(try await site.database.read { try WebhookLedger.firstOwedPlace($0) } == nil, "what is off is owed nothing")
  }

  @Test(arguments: Backend.allCases)
  func theHistoryIsBoundedByAgeAndByCount(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    try await site.store.create(site.webhook())
    func attempt(_ number: Int, atMs: Int64) -> WebhookDelivery {
      WebhookDelivery(
        webhook: "W1", eventID: "E\(number)", type: "quality", session: "S1", sequence: 1, attempt: 1,
        outcome: "delivered", status: 200, error: "", response: "", durationMs: 1, atMs: atMs)
    }
    let day: Int64 = 86_400_000
    for number in 0..<(WebhookLimits.deliveries + 700) { try await site.store.keep(attempt(number, atMs: 100 * day)) }
    try await site.ledger.clean(nowMs: 101 * day)
    let kept = try await site.store.deliveries(of: "W1", limit: 5000, before: nil)
    #expect(kept.count == WebhookLimits.deliveries && kept.first?.eventID == "E\(WebhookLimits.deliveries + 699)")
    try await site.ledger.clean(nowMs: 108 * day)
    #expect(try await site.store.deliveries(of: "W1", limit: 5000, before: nil).isEmpty)
  }

  @Test(arguments: Backend.allCases)
  func aTenantHasALimitedNumberOfWebhooks(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    for number in 0..<WebhookLimits.perTenant { try await site.store.create(site.webhook("W\(number)")) }
    await #expect(throws: StorageError.self) { try await site.store.create(site.webhook("more")) }
    var other = site.webhook("other")
    other.tenant = "other"
    try await site.store.create(other)
  }

  @Test(arguments: Backend.allCases)
  func skippingLeavesNothingOwed(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...5)
    _ = try await site.store.update("W1", tenant: "default", nowMs: 2, skipsMissed: true) { _ in }
    try await site.record("S1", 6...6)
    try await site.delivering { await site.receiver.requests(1) }
    #expect(site.received.map(\.sequence) == [6])
  }

  @Test(arguments: Backend.allCases)
  func aJobRunsOncePerIntervalWhoeverIsFirst(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    let runs = NIOLockedValueBox(0)
    let job = Job("test", every: .seconds(10)) { _ in runs.withLockedValue { $0 += 1 } }
    let runners = ["P1", "P2"].map { owner in
      JobRunner(database: site.openDatabase(), jobs: [job], owner: owner, metrics: site.metrics, logger: quiet)
    }
    for nowMs in [1_000, 1_500, 10_999, 11_000, 11_001] as [Int64] {
      for runner in runners { _ = try await runner.attempt(job, nowMs: nowMs) }
    }
    #expect(runs.withLockedValue { $0 } == 2)
    let broken = Job("broken", every: .seconds(3600)) { _ in
      runs.withLockedValue { $0 += 1 }
      throw StorageError(.unavailable, "away")
    }
    _ = try? await runners[0].attempt(broken, nowMs: 1_000)
    _ = try await runners[1].attempt(job, nowMs: 1_000)
    #expect(
      try await site.database.read { try $0.row("SELECT due_ms FROM jobs WHERE name = 'broken'")?.int("due_ms") }
        == 61_000)
  }
}
