import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// Whose a call is.
@Suite struct TenantTests {
  private struct Numbers: NumberRouting {
    var records: [String: NumberRecord]
    func destination(of number: String) -> NumberRecord? { records[number] }
  }

  private func greeting(_ name: String, _ words: String) throws -> Dialog {
    try dialog(
      """
      name: \(name)
      states:
        start:
          on_enter:
            - { action: play_tts, text: "\(words)" }
            - { action: hangup }
          terminal: true
      """)
  }

  private func bench() throws -> Bench {
    let catalogs = TenantCatalogs([
      Tenant.standard: DialogCatalog([try greeting("menu", "Ours.")]),
      "acme": DialogCatalog([try greeting("menu", "Theirs."), try greeting("sales", "Sales.")]),
    ])
    func number(_ number: String, _ dialog: String) -> (String, NumberRecord) {
      (number, NumberRecord(number: number, tenant: "acme", dialog: dialog, createdAtMs: 1, updatedAtMs: 1))
    }
    let numbers = Numbers(
      records: Dictionary(uniqueKeysWithValues: [number("2000", "menu"), number("3000", "gone")]))
    return Bench([], catalogs: catalogs, numbers: numbers)
  }

  @Test func aNumberPicksTheDialogOfItsTenant() async throws {
    let bench = try bench()
    let call = bench.dial("2000")
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Theirs.")
    await call.end()
    #expect(try await bench.summary(call.session)?.tenant == "acme")
    let events = try await bench.events()
    #expect(!events.isEmpty && events.allSatisfy { $0.tenant == "acme" })
    #expect(
      await bench.bus.send(.hangup(reason: "normal"), to: call.session, tenant: Tenant.standard) == .noSuchSession)
  }

  @Test func everyOtherCallIsTheOwners() async throws {
    let bench = try bench()
    let call = bench.dial("menu")
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Ours.")
    #expect(await bench.bus.send(.hangup(reason: "normal"), to: call.session, tenant: "acme") == .noSuchSession)
    await call.end()
    #expect(try await bench.summary(call.session)?.tenant == Tenant.standard)
  }

  /// The owner's only dialog would take any call that is left over.
  @Test func aNumberWhoseDialogIsGoneReachesNobodyElse() async throws {
    let bench = try bench()
    let call = bench.dial("3000")
    guard case .reject(.notFound) = await call.speech.next() else {
      Issue.record("the call was not refused")
      return
    }
    #expect(try await bench.summary(call.session)?.tenant == "acme")
  }

  @Test func aTenantsDialogsDrawNoCallsByTheirNames() async throws {
    let bench = try bench()
    let call = bench.dial("sales")
    try await call.answer()
    #expect(try await call.speech.nextSay().text == "Ours.")
    await call.end()
  }
}
