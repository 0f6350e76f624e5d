import Base
import ConversationRuntime
import Dialogs
import Logging
import Outbound
import ScriptedServers
import Settings
import Telemetry
import Testing

/// The client against a scripted server, over real connections, with time counted by hand.
@Suite struct AgentsServiceTests {
  private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  private static let question = ModelRequest(
    token: ModelToken(1), messages: [.system("Be short."), .user("Hello?")],
    tools: [ModelTool(name: "look_up", description: "Finds it.", parameters: ["type": "object"])], temperature: 0.25,
    maxTokens: 99)

  /// A service with its models, and the clock that its timeouts follow.
  private struct World {
    var servers: [ScriptedModelServer]
    var service: OpenAIModelService
    var clock: ManualClock
    var metrics: VoiceMetrics

    /// Everything that comes of one request.
    func ask(_ request: ModelRequest = question) async -> [ModelEvent] {
      var events: [ModelEvent] = []
      for await event in service.answer(request, session: SessionID("S1")) { events.append(event) }
      return events
    }

    /// Moves time on, once the service has set the timer that ends there.
    func advance(_ duration: Duration) async {
      await clock.waitForTimer(within: duration)
      clock.advance(by: duration)
    }

    func counted(_ line: String) -> Bool { metrics.registry.exposition().contains(line + "\n") }
  }

  private static func with(
    _ scripts: [ModelScript]..., change: (inout LanguageModelSettings) -> Void = { _ in },
    _ body: (World) async throws -> Void
  ) async throws {
    let servers = scripts.map { ScriptedModelServer($0) }
    var settings = LanguageModelSettings()
    for (at, server) in servers.enumerated() {
      let url = try await server.start()
      if at == 0 {
        settings.url = url + "/"
        settings.model = "m0"
        settings.apiKey = Secret("key-0")
      } else {
        var fallback = LanguageModelSettings.Fallback()
        fallback.url = url
        fallback.model = "m\(at)"
        settings.fallbacks.append(fallback)
      }
    }
    settings.maxRetries = 0
    change(&settings)
    let clock = ManualClock()
    let metrics = VoiceMetrics()
    let service = OpenAIModelService(
      settings: settings, outbound: .loopback, clock: clock, metrics: RuntimeMetrics(metrics),
      logger: quiet)
    let world = World(servers: servers, service: service, clock: clock, metrics: metrics)
    var failure: (any Error)?
    do { try await body(world) } catch { failure = error }
    for server in servers { await server.stop() }
    if let failure { throw failure }
  }

  @Test func anAnswerStreamsInSentences() async throws {
    try await Self.with([.says("Hello", " there. How", " are you?", tokens: 6)]) { world in
      #expect(
        await world.ask() == [
          .sentence("Hello there."), .sentence("How are you?"), .finished(reason: "stop", tokens: 6),
        ])
      let seen = try #require(world.servers[0].http.requests.first)
      #expect(seen.method == "POST" && seen.uri == "/v1/chat/completions")
      #expect(seen.header("Authorization") == "Bearer key-0")
      let expected: Value = [
        "model": "m0", "stream": true, "stream_options": ["include_usage": true], "temperature": 0.25, "max_tokens": 99,
        "messages": [["role": "system", "content": "Be short."], ["role": "user", "content": "Hello?"]],
        "tools": [
          [
            "type": "function",
            "function": ["name": "look_up", "description": "Finds it.", "parameters": ["type": "object"]],
          ]
        ],
      ]
      #expect(seen.json == expected)
      #expect(world.counted("vg_llm_requests_total{model=\"m0\",outcome=\"ok\"} 1"))
      #expect(world.counted("vg_llm_first_token_seconds_count{model=\"m0\"} 1"))
    }
  }

  @Test func theContextIsSentAsTheModelKnowsIt() async throws {
    try await Self.with([.says("Yes.")]) { world in
      var request = Self.question
      request.model = "other"
      request.tools = []
      request.messages = [
        .assistant("", calls: [ModelToolCall(id: "c1", name: "look_up", arguments: "{\"a\":1}")]),
        .tool(callID: "c1", content: "42"),
        .assistant("So.", calls: [ModelToolCall(id: "c2", name: "look_up", arguments: "{oops")]),
      ]
      _ = await world.ask(request)
      let sent = try #require(world.servers[0].conversations.first)
      #expect(sent["model"] == "other")
      #expect(sent["tools"] == nil)
      func call(_ id: String, _ arguments: String) -> Value {
        [
          "id": .string(id), "type": "function",
          "function": ["name": "look_up", "arguments": .string(arguments)],
        ]
      }
      let expected: Value = [
        ["role": "assistant", "content": nil, "tool_calls": [call("c1", "{\"a\":1}")]],
        ["role": "tool", "tool_call_id": "c1", "content": "42"],
        ["role": "assistant", "content": "So.", "tool_calls": [call("c2", "{}")]],
      ]
      #expect(sent["messages"] == expected)
    }
  }

  @Test func aToolIsAskedFor() async throws {
    try await Self.with([.calls("unheard_of", ["plan": "gold"], saying: "One moment.")]) { world in
      #expect(
        await world.ask() == [
          .sentence("One moment."),
          .toolCall(ModelToolCall(id: "call_a", name: "unheard_of", arguments: "{\"plan\":\"gold\"}")),
          .finished(reason: "tool_calls", tokens: 9),
        ])
    }
  }

  @Test func connectionsAreKeptWarm() async throws {
    try await Self.with([.says("Yes.")]) { world in
      await world.service.warmUp()
      for _ in 0..<3 { _ = await world.ask() }
      let requests = world.servers[0].http.requests
      #expect(requests.map(\.uri) == ["/v1/models"] + Array(repeating: "/v1/chat/completions", count: 3))
      #expect(world.servers[0].http.brokenOffCount == 0, "an answer that was whole breaks no connection")
    }
  }

  @Test func aModelThatHangsIsLeftInTime() async throws {
    for script in [
      ModelScript.hangs, ModelScript(steps: [.hang]), ModelScript(steps: [.raw(Array(": hi\n\n".utf8)), .hang]),
    ] {
      try await Self.with([script], change: { $0.timeout = .seconds(4) }) { world in
        async let events = world.ask()
        await world.servers[0].requests(1)
        await world.advance(.seconds(4))
        #expect(await events == [.failed(error: "timeout", message: "the model said nothing in time")])
        await world.servers[0].http.brokenOff(1)
        #expect(world.counted("vg_llm_requests_total{model=\"m0\",outcome=\"timeout\"} 1"))
      }
    }
  }

  @Test func theDialogsTimeoutIsTheRequests() async throws {
    try await Self.with([.hangs]) { world in
      var request = Self.question
      request.timeout = .seconds(1)
      async let events = world.ask(request)
      await world.servers[0].requests(1)
      await world.advance(.seconds(1))
      #expect(await events == [.failed(error: "timeout", message: "the model said nothing in time")])
    }
  }

  @Test func aFallbackAnswersForAModelThatFails() async throws {
    let broken: [ModelScript] = [
      .refuses(500), .refuses(429), .refuses(401), .refuses(302), ModelScript(steps: [.close]),
      ModelScript(steps: [.raw(Array("garbage\u{0}\n\n".utf8))]),
      ModelScript(steps: [.raw(Array("data: {]\n\n".utf8))]), ModelScript(steps: [.finish("stop"), .done]),
      ModelScript(steps: [.text("Half a"), .close]), ModelScript(steps: [.chunk(["error": ["message": "no"]])]),
      ModelScript(headers: [("Content-Type", "application/json")], body: "[]"),
    ]
    for script in broken {
      try await Self.with([script], [.says("I stand in.")]) { world in
        #expect(await world.ask() == [.sentence("I stand in."), .finished(reason: "stop", tokens: 7)], "\(script)")
        #expect(world.servers[1].conversations.first?["model"] == "m1")
        #expect(
          world.servers[1].http.requests.first?.header("Authorization") == nil, "a key goes only to its own server")
      }
    }
  }

  @Test func aFallbackWithoutAddressIsAnotherModelOfTheSameServer() async throws {
    try await Self.with(
      [.refuses(503), .says("Here.")],
      change: {
        var fallback = LanguageModelSettings.Fallback()
        fallback.model = "small"
        $0.fallbacks = [fallback]
      }
    ) { world in
      #expect(await world.ask() == [.sentence("Here."), .finished(reason: "stop", tokens: 7)])
      #expect(world.servers[0].conversations.map { $0["model"] } == ["m0", "small"])
      #expect(world.servers[0].http.requests.allSatisfy { $0.header("Authorization") == "Bearer key-0" })
    }
  }

  @Test func aModelThatIsNotThereIsUnreachable() async throws {
    try await Self.with([.says("Never.")], change: { $0.url = "http://127.0.0.1:1/v1" }) { world in
      #expect(
        await world.ask() == [.failed(error: "unreachable", message: "the connection to the model failed")])
    }
  }

  @Test func halfASentenceIsNotSaidAndNobodyElseIsAsked() async throws {
    let scripts = [ModelScript(steps: [.text("This stands. This is ha"), .close]), ModelScript.says("Never heard.")]
    try await Self.with([scripts[0]], [scripts[1]], change: { $0.maxRetries = 2 }) { world in
      let events = await world.ask()
      #expect(events.first == .sentence("This stands."))
      guard events.count == 2, case .failed(_, _) = events[1] else {
        Issue.record("\(events)")
        return
      }
      #expect(world.servers[1].http.requests.isEmpty)
    }
  }

  @Test func silenceInMidAnswerIsAFailure() async throws {
    try await Self.with([ModelScript(steps: [.text("This stands. This is ha"), .hang])]) { world in
      var events: [ModelEvent] = []
      for await event in world.service.answer(Self.question, session: SessionID("S1")) {
        events.append(event)
        if events.count == 1 { await world.advance(.seconds(10)) }
      }
      #expect(
        events == [
          .sentence("This stands."), .failed(error: "timeout", message: "the model fell silent in mid-answer"),
        ])
    }
  }

  @Test func theFirstToSpeakIsHeardAndTheOtherIsLeft() async throws {
    try await Self.with([.hangs], [.says("I was faster.")], change: { $0.hedgeAfter = .milliseconds(800) }) { world in
      async let events = world.ask()
      await world.servers[0].requests(1)
      #expect(world.servers[1].http.requests.isEmpty)
      await world.advance(.milliseconds(800))
      #expect(await events == [.sentence("I was faster."), .finished(reason: "stop", tokens: 7)])
      await world.servers[0].http.brokenOff(1)
      #expect(world.counted("vg_llm_requests_total{model=\"m0\",outcome=\"cancelled\"} 1"))
      #expect(world.counted("vg_llm_requests_total{model=\"m1\",outcome=\"ok\"} 1"))
    }
  }

  @Test func aListenerThatLeavesEndsTheRequest() async throws {
    try await Self.with([ModelScript(steps: [.text("One. "), .hang])]) { world in
      for await event in world.service.answer(Self.question, session: SessionID("S1")) {
        #expect(event == .sentence("One."))
        break
      }
      await world.servers[0].http.brokenOff(1)
    }
    try await Self.with([.hangs]) { world in
      let task = Task { await world.ask() }
      await world.servers[0].requests(1)
      task.cancel()
      #expect(await task.value == [])
      await world.servers[0].http.brokenOff(1)
    }
  }

  @Test func aHugeAnswerIsCutOff() async throws {
    let word = String(repeating: "x", count: 1_000)
    let endless = ModelScript(steps: Array(repeating: .text(word), count: 200) + [.hang])
    try await Self.with([endless]) { world in
      let events = await world.ask()
      #expect(
        events.last
          == .failed(error: "invalid_answer", message: "the answer is too large: more than 65536 bytes of text"))
      await world.servers[0].http.brokenOff(1)
    }
  }

  @Test func aServerThatDoesNotStreamIsUnderstood() async throws {
    let whole = "{\"choices\":[{\"message\":{\"content\":\"One. Two.\"},\"finish_reason\":\"stop\"}]}"
    try await Self.with([ModelScript(headers: [("Content-Type", "application/json")], body: whole)]) { world in
      #expect(await world.ask() == [.sentence("One."), .sentence("Two."), .finished(reason: "stop", tokens: 0)])
    }
  }

  @Test func aWholeTextIsNotCutUp() async throws {
    try await Self.with([.refuses(500), .says("{\"score\":", " 8}\n", tokens: 4)], change: { $0.maxRetries = 1 }) {
      world in
      async let answer = world.service.complete(Self.question, session: SessionID("S1"))
      await world.servers[0].requests(1)
      await world.advance(.milliseconds(250))
      #expect(await answer == .text("{\"score\": 8}\n", tokens: 4))
      #expect(world.servers[0].conversations.allSatisfy { $0["tools"] == nil })
    }
    try await Self.with([.refuses(401)]) { world in
      #expect(
        await world.service.complete(Self.question, session: SessionID("S1"))
          == .failed(error: "status", message: "the model answered 401"))
    }
  }

  @Test func withoutAModelEveryRequestFails() async {
    var events: [ModelEvent] = []
    for await event in NoModelService().answer(Self.question, session: SessionID("S1")) { events.append(event) }
    #expect(
      events == [
        .failed(error: "unreachable", message: "no language model is configured (runtime.llm.url)")
      ])
  }
}
