import AsyncHTTPClient
import Base
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import Outbound
import ScriptedServers
import Settings
import Testing

/// A name server whose answers a test writes, in order; the last one stays.
private final class ScriptedResolver: AddressResolver {
  private let answers: NIOLockedValueBox<[String: [[String]]]>
  private let asked = NIOLockedValueBox<[String]>([])

  init(_ answers: [String: [[String]]]) { self.answers = NIOLockedValueBox(answers) }

  var lookups: [String] { asked.withLockedValue { $0 } }

  func addresses(of name: String) async throws -> [IPAddress] {
    asked.withLockedValue { $0.append(name) }
    let next = answers.withLockedValue { answers -> [String] in
      guard let all = answers[name], let first = all.first else { return [] }
      if all.count > 1 { answers[name] = Array(all.dropFirst()) }
      return first
    }
    let found = next.compactMap { IPAddress($0) }
    guard !found.isEmpty else { throw OutboundError(.unresolved, "\(name) has no address") }
    return found
  }
}

/// A resolver that never answers, until it is let go.
private final class SilentResolver: AddressResolver {
  private let gate = AsyncStream<Void>.makeStream()
  func release() { gate.continuation.finish() }
  func addresses(of name: String) async throws -> [IPAddress] {
    for await _ in gate.stream {}
    throw OutboundError(.unresolved, "\(name) has no address")
  }
}

/// The client against scripted servers on several loopback addresses, with name servers that lie.
@Suite struct OutboundClientTests {
  private static func client(
    allow: [String] = ["127.0.0.0/8"], deny: [String] = [], _ resolver: any AddressResolver,
    clock: @escaping @Sendable () -> Instant = Instant.monotonic
  ) -> OutboundClient {
    OutboundClient(
      settings: OutboundSettings(
        allowPrivate: allow.compactMap { OutboundRule($0) }, deny: deny.compactMap { OutboundRule($0) }),
      group: MultiThreadedEventLoopGroup.singleton, resolver: resolver, clock: clock)
  }

  private static func with(
    _ answer: @escaping @Sendable (ScriptedHTTPServer.Request) -> [ScriptedHTTPServer.Step] = { _ in
      ScriptedHTTPServer.Step.answer(200, "hello")
    }, _ body: (ScriptedHTTPServer, Int) async throws -> Void
  ) async throws {
    let server = ScriptedHTTPServer(answer)
    let port = try await server.start()
    var failure: (any Error)?
    do { try await body(server, port) } catch { failure = error }
    await server.stop()
    if let failure { throw failure }
  }

  private static func get(_ client: OutboundClient, _ url: String, redirects: Int = 0) async throws -> String {
    let response = try await client.execute(HTTPClientRequest(url: url), timeout: .seconds(10), redirects: redirects)
    return String(buffer: try await response.body.collect(upTo: 1 << 16))
  }

  private static func refusal(_ client: OutboundClient, _ url: String, redirects: Int = 0) async -> OutboundError? {
    await #expect(throws: OutboundError.self) { try await get(client, url, redirects: redirects) }
  }

  @Test func theNameStaysAndTheAddressIsTheOneThatWasJudged() async throws {
    try await Self.with { server, port async throws in
      let resolver = ScriptedResolver(["crm.test": [["127.0.0.1"]]])
      let client = Self.client(resolver)
      #expect(try await Self.get(client, "http://crm.test:\(port)/x?y=1") == "hello")
      #expect(try await Self.get(client, "http://crm.test:\(port)/z") == "hello")
      #expect(server.requests.map(\.uri) == ["/x?y=1", "/z"])
      #expect(server.requests.first?.header("Host") == "crm.test:\(port)")
      #expect(server.requests.map(\.connection) == [1, 1], "the connection is kept for the next request")
      #expect(resolver.lookups == ["crm.test"], "the address is kept for seconds")
      await client.shutdown()
    }
  }

  @Test func aNameThatChangesItsAnswerLeadsNowhere() async throws {
    // The first answer may be asked, the second may not: the classic rebinding. 127.0.0.1 is what would be reached.
    try await Self.with { server, port async throws in
      let resolver = ScriptedResolver(["rebind.test": [["127.0.0.2"], ["127.0.0.1"]]])
      let clock = NIOLockedValueBox(Instant.zero)
      let client = Self.client(allow: ["127.0.0.2"], resolver, clock: { clock.withLockedValue { $0 } })
      // Judged as 127.0.0.2, so connected to 127.0.0.2, where nobody listens: not looked up a second time.
      #expect(await Self.refusal(client, "http://rebind.test:\(port)/")?.kind == .unreachable)
      #expect(resolver.lookups.count == 1)
      clock.withLockedValue { $0 += .seconds(6) }
      let second = await Self.refusal(client, "http://rebind.test:\(port)/")
      #expect(second?.kind == .refused)
      #expect(
        second?.description
          == "rebind.test leads to a loopback address; name it in integration.outbound.allow_private to allow it")
      #expect(server.requests.isEmpty)
      await client.shutdown()
    }
  }

  @Test func oneBadAddressSpoilsTheName() async throws {
    try await Self.with { server, port async throws in
      let client = Self.client(
        allow: ["127.0.0.1"], ScriptedResolver(["mixed.test": [["127.0.0.1", "169.254.169.254"]]]))
      #expect(await Self.refusal(client, "http://mixed.test:\(port)/")?.kind == .refused)
      #expect(server.requests.isEmpty)
      await client.shutdown()
    }
  }

  @Test func theNextAddressIsTriedAndRemembered() async throws {
    try await Self.with { server, port async throws in
      let client = Self.client(ScriptedResolver(["two.test": [["127.0.0.2", "127.0.0.1"]]]))
      #expect(try await Self.get(client, "http://two.test:\(port)/") == "hello")
      #expect(try await Self.get(client, "http://two.test:\(port)/") == "hello")
      #expect(server.requests.map(\.connection) == [1, 1])
      await client.shutdown()
    }
  }

  @Test(arguments: [
    "http://127.0.0.1:PORT/", "http://[::ffff:127.0.0.1]:PORT/", "http://localhost:PORT/", "http://localhost.:PORT/",
  ])
  func theLoopbackIsClosedUnlessItIsNamed(url: String) async throws {
    try await Self.with { server, port async throws in
      let url = url.replacing("PORT", with: String(port))
      let closed = Self.client(allow: [], SystemAddressResolver())
      let error = await Self.refusal(closed, url)
      #expect(error?.kind == .refused)
      #expect(error?.description.contains("integration.outbound.allow_private") == true)
      #expect(server.requests.isEmpty)
      let open = Self.client(allow: ["127.0.0.0/8", "localhost"], SystemAddressResolver())
      #expect(try await Self.get(open, url) == "hello")
      let denied = Self.client(
        allow: ["127.0.0.0/8", "localhost"], deny: ["127.0.0.0/8", "localhost"], SystemAddressResolver())
      #expect(await Self.refusal(denied, url)?.kind == .refused)
      #expect(server.requests.count == 1)
      await closed.shutdown()
      await open.shutdown()
      await denied.shutdown()
    }
  }

  @Test func redirectsAreJudgedHopByHop() async throws {
    try await Self.with({ request in
      switch request.uri {
      case "/here": ScriptedHTTPServer.Step.answer(302, "", [("Location", "/there")])
      case "/away":
        ScriptedHTTPServer.Step.answer(
          307, "", [("Location", "http://other.test:\(request.header("X-Port") ?? "")/there")])
      case "/metadata":
        ScriptedHTTPServer.Step.answer(302, "", [("Location", "http://169.254.169.254/latest/meta-data/")])
      case "/round": ScriptedHTTPServer.Step.answer(301, "", [("Location", "/round")])
      default: ScriptedHTTPServer.Step.answer(200, "arrived")
      }
    }) { server, port async throws in
      let client = Self.client(ScriptedResolver(["first.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]]))
      let base = "http://first.test:\(port)"
      func go(_ path: String, redirects: Int, method: String = "GET") async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: base + path)
        request.method = .init(rawValue: method)
        request.headers.add(name: "Authorization", value: "Bearer secret")
        request.headers.add(name: "X-Port", value: "\(port)")
        request.headers.add(name: "Accept", value: "text/plain")
        return try await client.execute(request, timeout: .seconds(10), redirects: redirects)
      }
      #expect(try await go("/here", redirects: 0).status == .found, "off unless asked for")
      #expect(try await go("/here", redirects: 3, method: "POST").status == .found)
      #expect(try await go("/here", redirects: 3).status == .ok)
      #expect(server.requests.last?.header("Authorization") == "Bearer secret", "the same origin")
      #expect(try await go("/away", redirects: 3).status == .ok)
      let away = try #require(server.requests.last)
      #expect(away.header("Host") == "other.test:\(port)")
      #expect(away.header("Authorization") == nil, "credentials stay at home")
      #expect(away.header("Accept") == "text/plain")
      let error = await #expect(throws: OutboundError.self) { try await go("/metadata", redirects: 3) }
      #expect(error?.kind == .refused)
      #expect(try await go("/round", redirects: 99).status == .movedPermanently)
      #expect(server.requests.filter { $0.uri == "/round" }.count == 1 + OutboundClient.redirectLimit)
      await client.shutdown()
    }
  }

  @Test func aSilentNameServerIsNotWaitedForLongerThanAsked() async throws {
    let resolver = SilentResolver()
    let client = Self.client(resolver)
    let error = await #expect(throws: OutboundError.self) {
      try await client.execute(HTTPClientRequest(url: "http://slow.test/"), timeout: .milliseconds(20))
    }
    #expect(error?.kind == .timeout)
    let waiting = Task { try await client.execute(HTTPClientRequest(url: "http://slow.test/"), timeout: .seconds(600)) }
    waiting.cancel()
    await #expect(throws: OutboundError.self) { try await waiting.value }
    resolver.release()
    await client.shutdown()
  }

  @Test func failuresHaveTheirKinds() async throws {
    let client = Self.client(ScriptedResolver(["nobody.test": [["127.0.0.3"]]]))
    #expect(await Self.refusal(client, "http://missing.test/")?.kind == .unresolved)
    #expect(await Self.refusal(client, "http://nobody.test:9/")?.kind == .unreachable)
    #expect(await Self.refusal(client, "gopher://nobody.test:9/")?.kind == .invalidURL)
    try await Self.with({ _ in [.close] }) { _, port async throws in
      #expect(await Self.refusal(client, "http://127.0.0.1:\(port)/")?.kind == .closed)
    }
    await client.shutdown()
    #expect(await Self.refusal(client, "http://127.0.0.1:9/")?.kind == .failed, "after the stop")
  }

  @Test func literalsCanBeCheckedBeforeAnythingRuns() throws {
    var settings = OutboundSettings()
    #expect(throws: OutboundError.self) { try OutboundClient.check("http://10.0.0.1/x", settings) }
    #expect(throws: OutboundError.self) { try OutboundClient.check("http://localhost@x/", settings) }
    #expect(throws: OutboundError.self) { try OutboundClient.check("http://localhost:8090/", settings) }
    try OutboundClient.check("http://crm.internal/x", settings)
    settings.deny = [.host("crm.internal")]
    #expect(throws: OutboundError.self) { try OutboundClient.check("http://crm.internal/x", settings) }
  }
}
