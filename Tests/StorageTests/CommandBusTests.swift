import Base
import Storage
import Testing

/// Commands find the session that they are for.
@Suite struct CommandBusTests {
  @Test func aCommandReachesItsSessionAndNoOther() async {
    let bus = MemoryCommandBus()
    _ = bus.register(SessionID("a"), tenant: Tenant.standard) { command in
      .done(fields: ["heard": .string("\(command)")])
    }
    _ = bus.register(SessionID("b"), tenant: Tenant.standard) { _ in .refused("not now") }
    #expect(
      await bus.send(.hangup(reason: "normal"), to: SessionID("a"), tenant: Tenant.standard)
        == .done(fields: ["heard": "hangup(reason: \"normal\")"]))
    #expect(
      await bus.send(.hangup(reason: "normal"), to: SessionID("b"), tenant: Tenant.standard) == .refused("not now"))
    #expect(await bus.send(.hangup(reason: "normal"), to: SessionID("c"), tenant: Tenant.standard) == .noSuchSession)
  }

  @Test func aSessionThatLeftIsNotFound() async {
    let bus = MemoryCommandBus()
    let leave = bus.register(SessionID("a"), tenant: Tenant.standard) { _ in .done(fields: [:]) }
    leave()
    #expect(await bus.send(.hangup(reason: "normal"), to: SessionID("a"), tenant: Tenant.standard) == .noSuchSession)
  }

  @Test func anOldHolderDoesNotTakeTheNewOneAway() async {
    let bus = MemoryCommandBus()
    let leave = bus.register(SessionID("a"), tenant: Tenant.standard) { _ in .refused("old") }
    _ = bus.register(SessionID("a"), tenant: Tenant.standard) { _ in .done(fields: [:]) }
    leave()
    #expect(
      await bus.send(.hangup(reason: "normal"), to: SessionID("a"), tenant: Tenant.standard) == .done(fields: [:]))
  }

  @Test func aSessionThatNeverAnswersHoldsNobody() async {
    let bus = MemoryCommandBus(answerTimeout: .milliseconds(1))
    let (never, _) = AsyncStream<Void>.makeStream()
    _ = bus.register(SessionID("a"), tenant: Tenant.standard) { _ in
      for await _ in never {}
      return .done(fields: [:])
    }
    #expect(
      await bus.send(.hangup(reason: "normal"), to: SessionID("a"), tenant: Tenant.standard)
        == .refused("the session did not answer in time"))
  }
}
