import Base
import Dialogs
import Testing

@Suite struct SimulatorTests {
  @Test func aConversationWithAModelInText() throws {
    var simulator = DialogSimulator(
      dialog: try dialog(AgentStateTests.advisor), hooks: { _ in ["data": ["price": 9]] },
      models: { request in
        switch request.messages.last {
        case .user(let text) where text.contains("price"):
          CallScript.ModelAnswer(calls: [CallScript.ModelCall(name: "look_up_plan", arguments: ["name": "xl"])])
        case .tool: CallScript.ModelAnswer(text: "It costs nine. Anything else?")
        case .user(let text) where text.contains("take it"):
          CallScript.ModelAnswer(calls: [CallScript.ModelCall(name: "done", arguments: ["plan": "xl"])])
        default: CallScript.ModelAnswer(text: "Hello.")
        }
      })
    #expect(simulator.start() == ["-> start", "<< Hello."])
    let lines = simulator.take("what is the price")
    #expect(lines.contains("-- model: look_up_plan {\"name\":\"xl\"} (called)"))
    #expect(lines.suffix(2) == ["<< It costs nine.", "<< Anything else?"])
    #expect(simulator.take("I take it").suffix(2) == ["-> confirm (agent_exit)", "<< Plan xl."])
  }

  @Test func whatIsNotSimulatedIsSaidSo() throws {
    var simulator = DialogSimulator(dialog: try dialog(AgentStateTests.advisor))
    #expect(simulator.start().contains("-- model: unreachable"))
    #expect(simulator.currentState == "handover")
    var transfer = DialogSimulator(dialog: try dialog(CallControlTests.handover))
    #expect(transfer.start().contains("<< Nobody is there."))
  }

  @Test func dialogsRunEachOther() throws {
    var simulator = DialogSimulator(
      dialog: try dialog(SubDialogTests.main), library: ["ask": try dialog(SubDialogTests.ask)])
    #expect(simulator.start().contains("-> ask/start (run_dialog)"))
    #expect(simulator.take("blue").contains("-> start (return)"))
  }
}
