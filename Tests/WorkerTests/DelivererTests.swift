import Base
import NIOConcurrencyHelpers
import Outbound
import ScriptedServers
import Settings
import Storage
import Testing
import Worker

/// Real requests to a real server on the loopback, from a record in a real database.
@Suite struct DelivererTests {
  @Test(arguments: Backend.allCases)
  func everyEventArrivesOnceSignedAndInOrder(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    try await site.record("S0", 1...3)
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...40)
    try await site.record("S2", 1...40)
    try await site.delivering {
      await site.receiver.requests(80)
      try await site.record("S1", 41...50)
      await site.receiver.requests(90)
    }
    for session in ["S1", "S2"] {
      let sequences = site.received.filter { $0.session == session }.map(\.sequence)
      #expect(sequences == Array(1...(session == "S1" ? 50 : 40)))
    }
    #expect(!site.received.contains { $0.session == "S0" }, "events of before the webhook")
    for request in site.receiver.requests {
      let signature = try #require(request.header(PayloadSignature.header))
      let stamp = try #require(request.header("X-Parley-Timestamp").flatMap { Int64($0) })
      #expect(PayloadSignature(secrets: [Site.secret]).accepts(signature, body: Array(request.body.utf8), now: stamp))
      #expect(!PayloadSignature(secrets: [Site.secret]).accepts(signature, body: Array("{}".utf8), now: stamp))
      #expect(request.header("X-Parley-Event") == request.json["type"]?.stringValue)
      #expect(request.header("X-Parley-Delivery") == "\(request.json["event_id"]?.stringValue ?? "").W1")
      #expect(request.json["loss"] == .double(0.5))
    }
    // A later start finds nothing owed.
    try await site.record("S3", 1...1)
    try await site.delivering { await site.receiver.requests(91) }
    #expect(site.received.count == 91)
    #expect(site.received.last?.session == "S3")
  }

  @Test(arguments: Backend.allCases)
  func whatFailsIsTriedAgainAndThenADeadLetterWhileOthersGoOn(backend: Backend) async throws {
    let site = try await Site(backend) { request in
      request.json["session_id"]?.stringValue == "bad" && request.json["sequence"]?.intValue == 2
        ? ScriptedHTTPServer.Step.answer(500, "no\u{1}") : ok
    }
    try await site.store.create(site.webhook())
    try await site.record("bad", 1...3)
    try await site.record("good", 1...20)
    try await site.delivering {
      await site.receiver.requests(25)
    }
    #expect(site.received.filter { $0.session == "bad" }.map(\.sequence) == [1, 2, 2, 2, 3])
    let letter = try #require(try await site.store.deadLetters(tenant: "default", limit: 10, before: nil).first)
    #expect(letter.event.eventID == "E-bad-2" && letter.attempts == 3 && letter.reason.contains("500"))
    #expect(letter.event.fields["loss"] == .double(0.5), "a dead letter holds its event")
    #expect(try await site.store.deadLetters(tenant: "other", limit: 10, before: nil).isEmpty)
    let history = try await site.store.deliveries(of: "W1", limit: 100, before: nil)
    #expect(history.count == 25)
    #expect(history.filter { $0.outcome == "failed" }.map(\.attempt) == [3, 2, 1])
    #expect(history.filter { $0.outcome == "failed" }.allSatisfy { $0.status == 500 && $0.response == "no " })
    #expect(try await site.store.progress("W1")?.waiting == 0)
  }

  @Test(arguments: Backend.allCases)
  func redirectsSilenceAndBrokenConnectionsAreFailures(backend: Backend) async throws {
    let order = ScriptOrder<[ScriptedHTTPServer.Step]>([
      [.head(302, [("Location", "http://127.0.0.1/elsewhere")])], [.close], [.hang], ok,
    ])
    let site = try await Site(backend) { _ in order.next() }
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...1)
    try await site.delivering(
      policy: DeliveryPolicy(maxAttempts: 5, backoffInitial: .milliseconds(5), backoffMax: .milliseconds(5)),
      timeout: .milliseconds(300)
    ) {
      await site.receiver.requests(4)
    }
    #expect(try await site.store.progress("W1")?.lastSuccessMs != nil)
    let errors = try await site.store.deliveries(of: "W1", limit: 10, before: nil).map(\.error)
    #expect(errors.count == 4 && errors.last?.contains("redirects are not followed") == true, "\(errors)")
    #expect(site.receiver.requests.allSatisfy { $0.uri == "/in/W1" })
  }

  @Test(arguments: Backend.allCases)
  func aReceiverThatAsksForTimeGetsItAndLosesNothing(backend: Backend) async throws {
    let order = ScriptOrder<[ScriptedHTTPServer.Step]>([
      ScriptedHTTPServer.Step.answer(429, "", [("Retry-After", "1")]),
      ScriptedHTTPServer.Step.answer(503, "", [("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")]), ok,
    ])
    let site = try await Site(backend) { _ in order.next() }
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...3)
    // One attempt only, which being deferred does not use up.
    try await site.delivering(policy: DeliveryPolicy(maxAttempts: 1)) { await site.receiver.requests(5) }
    #expect(site.received.map(\.sequence) == [1, 1, 1, 2, 3])
    #expect(try await site.store.deadLetters(tenant: "default", limit: 10, before: nil).isEmpty)
  }

  @Test(arguments: Backend.allCases)
  func goneDisablesAndEnablingGoesOnWhereItStopped(backend: Backend) async throws {
    let isGone = NIOLockedValueBox(true)
    let site = try await Site(backend) { _ in
      isGone.withLockedValue { $0 } ? ScriptedHTTPServer.Step.answer(410, "bye") : ok
    }
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...3)
    // Who stops finishes what it has begun.
    try await site.delivering { await site.receiver.requests(1) }
    let off = try #require(try await site.store.webhook("W1", tenant: "default"))
    #expect(!off.isEnabled && off.disabledReason.contains("410"))
    isGone.withLockedValue { $0 = false }
    try await site.delivering {
      _ = try await site.store.update("W1", tenant: "default", nowMs: 2) { $0.isEnabled = true }
      await site.receiver.requests(4)
    }
    #expect(site.received.map(\.sequence) == [1, 1, 2, 3])
  }

  @Test(arguments: Backend.allCases)
  func aStalledReceiverHoldsUpNoOther(backend: Backend) async throws {
    let site = try await Site(backend) { request in request.uri == "/in/W1" ? [.hang] : ok }
    try await site.store.create(site.webhook("W1"))
    try await site.store.create(site.webhook("W2"))
    try await site.record("S1", 1...600)
    try await site.delivering(timeout: .seconds(60)) {
      await site.receiver.requests(601)
      // What hangs need not be waited for at the stop.
      await site.receiver.stop()
    }
    #expect(site.receiver.requests.filter { $0.uri == "/in/W1" }.count == 1, "one request of a session at a time")
    #expect(site.received.filter { $0.sequence == 600 }.count == 1, "the other has all")
  }

  @Test func twoProcessesDeliverEachEventOnceAndTakeOverFromEachOther() async throws {
    let site = try await Site(.postgres) { _ in ok }
    for number in 1...4 { try await site.store.create(site.webhook("W\(number)")) }
    try await site.record("S1", 1...25)
    let first = site.deliverer(owner: "P1")
    let second = site.deliverer(owner: "P2")
    await site.receiver.requests(100)
    first.cancel()
    await first.value
    try await site.record("S2", 1...25)
    await site.receiver.requests(200)
    second.cancel()
    await second.value
    #expect(site.received.count == 200)
    for number in 1...4 {
      let sequences = site.receiver.requests.filter { $0.uri == "/in/W\(number)" }.map {
        "\($0.json["session_id"]?.stringValue ?? "")\($0.json["sequence"]?.intValue ?? 0)"
      }
      #expect(sequences == (1...25).map { "S1\($0)" } + (1...25).map { "S2\($0)" })
    }
  }

  @Test func whoShowsNoSignOfLifeIsTakenForDead() async throws {
    let site = try await Site(.postgres) { _ in ok }
    try await site.store.create(site.webhook())
    try await site.record("S1", 1...2)
    let standing = try #require(try await site.ledger.webhooks().first?.standing)
    let dead = try #require(try await site.ledger.take(standing, owner: "dead"))
    var timing = Site.timing
    timing.validity = .seconds(2)
    let task = site.deliverer(timeout: .milliseconds(100), timing: timing, owner: "heir")
    await site.receiver.requests(2)
    #expect(try await site.ledger.webhooks().first?.standing.owner == "heir")
    #expect(try await site.ledger.webhooks().first?.standing.fence == dead.fence + 1)
    task.cancel()
    await task.value
    #expect(try await site.ledger.webhooks().first?.standing.owner == "", "who stops leaves it to the next")
  }

  @Test(arguments: Backend.allCases)
  func aSecretThatIsExchangedSignsBesideTheNewOne(backend: Backend) async throws {
    let site = try await Site(backend) { _ in ok }
    var webhook = site.webhook()
    webhook.secrets = [
      WebhookSecret(secret: Secret("new")), WebhookSecret(secret: Secret("old"), validUntilMs: .max),
      WebhookSecret(secret: Secret("older"), validUntilMs: 1),
    ]
    try await site.store.create(webhook)
    try await site.record("S1", 1...1)
    try await site.delivering { await site.receiver.requests(1) }
    let request = try #require(site.receiver.requests.first)
    let signature = try #require(request.header(PayloadSignature.header))
    let stamp = try #require(request.header("X-Parley-Timestamp").flatMap { Int64($0) })
    let body = Array(request.body.utf8)
    func accepts(_ secret: String) -> Bool {
      PayloadSignature(secrets: [Secret(secret)]).accepts(signature, body: body, now: stamp)
    }
    #expect(accepts("new") && accepts("old") && !accepts("older"))
  }
}
