import Base
struct AgentTalk: Sendable { var wayOut: Int?; var isBusy: Bool { false } }
extension DialogSession {
  var agentDeadlines: [Instant] { [] }
  mutating func agentWasInterrupted() {}
  mutating func agentWasHeard(_ id: PlaybackID, _ heard: String?) {}
  mutating func callerInterruptsModel() {}
  mutating func modelSaid(_ token: ModelToken, _ text: String) {}
  mutating func modelCalled(_ token: ModelToken, _ call: ModelToolCall) {}
  mutating func modelFinished(_ token: ModelToken, reason: String) {}
  mutating func modelFailed(_ token: ModelToken, error: String, message: String) {}
  mutating func agentTakes(_ event: Event) -> Bool { false }
  mutating func takeExit() {}
  mutating func agentEnds() {}
  mutating func agentPauses() {}
  mutating func enterAgent(answering: Bool) {}
  mutating func agentBegins() {}
  mutating func agentGoesOn() -> Bool { false }
  mutating func expireAgents() {}
  mutating func modelGets(_ digits: String, of step: CollectStep, isSecret: Bool, for call: String) {}
  mutating func toolAnswered(_ purpose: PendingHook.Purpose, _ answer: Value) {}
  mutating func toolFailed(_ purpose: PendingHook.Purpose, error: String, message: String) {}
}
