import Base
import Foundation
import ScriptedServers
import Testing

/// Calls that a language model leads, with a scripted model that behaves well or badly.
@Suite(.serialized) struct AgentCallTests {
  private func dialog(backend: String) -> String {
    """
    name: plans
    variables: { plan: "" }
    states:
      start:
        agent:
          prompt: "You help the caller choose a plan."
          timeout: 1s
          tools:
            - name: look_up_plan
              description: Finds a plan by its name
              parameters: { name: string }
              hook: { url: "\(backend)", path: /lookup, timeout: 2s }
          exits:
            - name: chosen
              description: The caller has chosen a plan
              extract: { plan: string }
              target: confirm
          fallback: sorry
      confirm:
        on_enter:
          - action: play_tts
            text: "You have chosen the {{ plan }} plan. Goodbye."
        terminal: true
      sorry:
        on_enter:
          - action: play_tts
            text: "I cannot help you with that now. Please call again later."
        terminal: true
    outcome:
      disposition: "{{ plan | default('none') }}"
    """
  }

  private func configuration(_ model: String) -> String {
    "runtime: { llm: { url: \"\(model)\", model: scripted, timeout: 2s, max_retries: 0 } }\n"
  }

  /// One call to the dialog, with keys pressed after the first prompt.
  private func call(_ server: ScriptedModelServer, dtmf: String? = nil, backend: String = "http://127.0.0.1:1")
    async throws -> (gateway: Gateway, call: (states: [String], reason: String, id: String), spoken: [String])
  {
    let gateway = try Gateway(
      dialogs: ["plans.yaml": dialog(backend: backend)], configuration: configuration(try await server.start()))
    var arguments = ["call", gateway.uri("plans"), "--deaf", "--patience", "30000"]
    if let dtmf { arguments += ["--dtmf", dtmf] }
    let (result, _) = try Tools.parleyJSON(arguments)
    #expect(result.status == 0, "\(result.errors)")
    let call = try gateway.lastCall()
    let spoken = try gateway.recordedEvents(of: call.id).filter { $0["type"] as? String == "tts_started" }
      .compactMap { $0["text"] as? String }
    return (gateway, call, spoken)
  }

  @Test func aModelTalksAsksABackendAndLeavesByAnExit() async throws {
    let backend = ScriptedHTTPServer { _ in
      ScriptedHTTPServer.Step.answer(
        200, #"{"data": {"name": "gold", "price": 10}}"#, [("Content-Type", "application/json")])
    }
    let backendPort = try await backend.start()
    let server = ScriptedModelServer([
      .says("Hello. ", "Press one for the gold ", "plan."),
      .calls("look_up_plan", ["name": "gold"], saying: "Let me look."),
      .calls("chosen", ["plan": "gold"]),
    ])
    let (gateway, call, spoken) = try await call(server, dtmf: "1", backend: "http://127.0.0.1:\(backendPort)")
    #expect(call.states == ["start", "confirm"], "\(gateway.errors)")
    #expect(
      spoken == [
        "Hello.", "Press one for the gold plan.", "Let me look.", "You have chosen the gold plan. Goodbye.",
      ])
    #expect(backend.requests.first?.json["payload"]?["name"] == "gold")
    let conversations = server.conversations
    #expect(conversations.count == 3, "an exit must not cost another request")
    #expect(JSON.encode(conversations[1]).contains("pressed 1"))
    #expect(JSON.encode(conversations[2]).contains("price"))
    let end = try gateway.terminations(1)
    #expect(end.first?["disposition"] as? String == "gold")
    await server.stop()
    await backend.stop()
  }

  /// Whatever a model does wrong, the caller hears something and the call goes the way that the dialog's author wrote.
  @Test(arguments: Misbehaviour.allCases) func aBrokenModelLeadsToTheFallback(_ what: Misbehaviour) async throws {
    let server = ScriptedModelServer(what.scripts)
    let (gateway, call, spoken) = try await call(server)
    #expect(call.states == ["start", "sorry"], "\(what): \(gateway.errors)")
    #expect(call.reason == "normal")
    #expect(spoken.last == "I cannot help you with that now. Please call again later.")
    if what == .breaksOffInTheSecondSentence {
      #expect(spoken == ["The gold plan is good.", "I cannot help you with that now. Please call again later."])
    }
    await server.stop()
  }

  enum Misbehaviour: String, CaseIterable, Sendable {
    case hangsAtOnce, refuses, talksGarbage, breaksOffInTheSecondSentence, hangsInTheFirstSentence, saysNothing
    case callsWhatIsNotThere

    var scripts: [ModelScript] {
      switch self {
      case .hangsAtOnce: [.hangs]
      case .refuses: [.refuses(500)]
      case .talksGarbage: [ModelScript(steps: [.raw(Array("data: {{{\n\n\u{0}garbage".utf8)), .close])]
      case .breaksOffInTheSecondSentence:
        [ModelScript(steps: [.text("The gold plan is good. "), .text("And the silver plan co"), .close])]
      case .hangsInTheFirstSentence: [ModelScript(steps: [.text("The gold pl"), .hang])]
      case .saysNothing: [ModelScript(steps: [.finish("stop"), .done])]
      case .callsWhatIsNotThere: [.calls("delete_everything", [:])]
      }
    }
  }

  @Test func withoutAModelTheFallbackIsTaken() throws {
    let gateway = try Gateway(dialogs: ["plans.yaml": dialog(backend: "http://127.0.0.1:1")])
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("plans"), "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try gateway.lastCall().states == ["start", "sorry"])
  }
}
