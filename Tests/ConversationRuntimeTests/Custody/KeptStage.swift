import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Testing

/// One process with a runtime in it.
struct RuntimeProcess: Sendable {
  var store: MortalStore
  var backend: HeldBackend
  var model = HeldModel()
  var custodian: FakeCustodian
  var service: ConversationService
  var counted: Locked<[String]>
  var side: (any KeptSide<SpeechToRuntime>)?
}

/// A call whose runtime process can be killed between any two states, with everything around it that outlives one.
final class KeptStage {
  struct Texts: DialogVersions {
    var texts: [String: String] = [:]
    func source(digest: String, tenant: String) async throws -> String? { texts[digest] }
  }

  let clock = ManualClock()
  let store: SQLSessionStore
  let bus = MemoryCommandBus()
  let session = SessionID("S1")
  var catalog: DialogCatalog
  var versions = Texts()
  var told: [CallMoment: [CallMomentService]] = [:]
  var configuration = RuntimeConfiguration()
  /// Every message of the caller's side, in order: their numbers are their places from 1.
  private(set) var inputs: [SpeechToRuntime] = []
  /// Every message that came out, of all processes.
  let heard = Watched<[Numbered<RuntimeToSpeech>]>([])
  private(set) var process: RuntimeProcess
  private(set) var deaths = 0
  /// What the last process that kept anything left.
  private(set) var lastSafe: [UInt8]?
  private var lastHandled: UInt64 = 0
  private var wallMs: Int64 = 0
  private let called: String

  init(_ dialogs: [Dialog], called: String? = nil, told: [CallMoment: [CallMomentService]] = [:]) throws {
    store = try SQLSessionStore.inMemory()
    catalog = DialogCatalog(dialogs)
    self.called = called ?? dialogs[0].name
    self.told = told
    process = Self.process(
      clock: ShiftedClock(base: clock), store: store, bus: bus, catalog: catalog, versions: versions, told: told,
      configuration: configuration, heard: heard)
  }

  private static func process(
    clock: ShiftedClock, store: SQLSessionStore, bus: MemoryCommandBus, catalog: DialogCatalog, versions: Texts,
    told: [CallMoment: [CallMomentService]], configuration: RuntimeConfiguration,
    heard: Watched<[Numbered<RuntimeToSpeech>]>
  ) -> RuntimeProcess {
    let mortal = MortalStore(store)
    let backend = HeldBackend(told: told)
    let model = HeldModel()
    let counted = Locked<[String]>([])
    var metrics = RuntimeMetrics()
    metrics.callsActive = { _, calls in counted.with { $0.append("active \(calls)") } }
    metrics.callEnded = { _, status in counted.with { $0.append("ended \(status)") } }
    metrics.sessionResumed = { outcome in counted.with { $0.append(outcome) } }
    let dialog = catalog.dialogs.first?.name ?? ""
    let service = ConversationService(
      configuration: configuration, catalogs: TenantCatalogs(catalog), numbers: OneNumber(dialog: dialog),
      integration: backend, store: mortal, commands: bus, models: model, versions: versions, clock: clock,
      metrics: metrics)
    return RuntimeProcess(
      store: mortal, backend: backend, model: model,
      custodian: FakeCustodian { message in heard.with { $0.append(message) } }, service: service, counted: counted)
  }

  var info: CallInfo {
    CallInfo(
      session: session, direction: .inbound, callerID: "4930123", calledNumber: called,
      fromURI: "sip:4930123@branch.example", toURI: "sip:\(called)@gateway.example", source: "192.0.2.1:5060")
  }

  // MARK: The call

  func open() async throws {
    process.side = try process.service.open(
      info, speech: process.custodian, state: CallState(custodian: process.custodian))
    await settle()
  }

  func send(_ message: SpeechToRuntime) {
    inputs.append(message)
    process.side?.send(Numbered(UInt64(inputs.count), message))
  }

  /// Until everything sent so far has been handled, what came of it, too, and what was asked has arrived.
  /// - Parameter number: of the last message that has been sent; nil: of all.
  func settle(through number: UInt64? = nil) async {
    // A session that is over takes no fence, and may not have kept its last state yet.
    let count = number ?? UInt64(inputs.count)
    await process.custodian.handled.until { $0 >= count }
    // A mail may post another: each fence stands behind those that were posted before it.
    for _ in 0..<4 { await process.service.settle(session) }
    guard let kept = process.custodian.newest, let state = try? JSON.decode(kept.state) else { return }
    if state["over"]?.boolValue == true { return }
    let keys = Self.hooks(in: state)
    await process.backend.open.until { open in
      var left = open.map(\.key)
      for key in keys {
        guard let place = left.firstIndex(of: key) else { return false }
        left.remove(at: place)
      }
      return true
    }
    let tokens = Self.models(in: state)
    await process.model.asked.until { asked in tokens.allSatisfy { token in asked.contains { $0.token == token } } }
  }

  /// The same, and everything that came of it is safe.
  func rest() async {
    await settle()
    process.custodian.makeSafe()
    process.store.pass()
  }

  func pass(_ duration: Duration) async {
    await settle()
    clock.advance(by: duration)
    await rest()
  }

  func answer() async {
    await rest()
    send(.answered)
    await rest()
  }

  func hearOut(_ prompt: Prompt) async {
    send(.playbackStarted(prompt.id, atMs: 0))
    await pass(.seconds(1))
    send(.playbackFinished(prompt.id))
    await rest()
  }

  func say(_ words: String) async {
    send(.speechStarted(atMs: 1_000))
    send(Self.speech(words))
    await rest()
  }

  static func speech(_ words: String, confidence: Double = 0.9) -> SpeechToRuntime {
    .speechFinal(
      SpeechResult(
        transcript: words, confidence: confidence, language: "en", durationMs: 700, startMs: 1_000, endMs: 1_700,
        endpointMs: 300, recognizeMs: 40, model: "test"))
  }

  /// Hangs up and waits until nothing is to be done any more.
  func end(_ reason: HangupReason = .caller) async {
    send(.ended(reason))
    await settle()
    process.custodian.goDirect()
    await finish()
  }

  func finish() async {
    process.custodian.goDirect()
    await process.custodian.isFinished.until { $0 }
    process.store.pass()
  }

  /// Another process in the place of this one, before the call or between its death and what comes after it.
  func restart(_ prepare: (ConversationService) -> Void = { _ in }) {
    lastSafe = process.custodian.safe?.state ?? lastSafe
    lastHandled = process.custodian.safe?.handled ?? lastHandled
    process = Self.process(
      // No two machines count from the same instant.
      clock: ShiftedClock(base: clock, shift: .milliseconds(-937_000 * Int64(deaths)), wallMs: wallMs), store: store,
      bus: bus, catalog: catalog, versions: versions, told: told, configuration: configuration, heard: heard)
    prepare(process.service)
  }

  // MARK: Death

  /// `kill -9`: of what the process has kept since the last time that everything was safe, `safe` states are (nil: all); its
  /// queue to the database dies with it, but for the `written` oldest (nil: none is left in it).
  func kill(safe: Int? = nil, written: Int? = nil) {
    deaths += 1
    process.custodian.makeSafe(safe)
    process.store.pass(written)
    lastSafe = process.custodian.safe?.state ?? lastSafe
    lastHandled = process.custodian.safe?.handled ?? lastHandled
    process.custodian.die()
    process.store.die()
    process.side?.abandon()
    process.backend.drop()
  }

  /// Another process goes on.
  /// - Parameters:
  ///   - change: of what the state's bytes are.
  ///   - wallMs: how much its wall clock is ahead.
  ///   - here: whether there is a new process already.
  func resume(wallMs: Int64 = 0, here: Bool = false, change: ([UInt8]) -> [UInt8] = { $0 }) async throws {
    self.wallMs = wallMs
    if !here { restart() }
    process.side = try process.service.open(
      info, speech: process.custodian,
      state: CallState(custodian: process.custodian, kept: lastSafe.map { change($0) }))
    // One after the other, so that it is certain what comes before what.
    await settle(through: lastHandled)
    for number in lastHandled..<UInt64(inputs.count) {
      process.side?.send(Numbered(number + 1, inputs[Int(number)]))
      await settle(through: number + 1)
    }
  }

  // MARK: What can be seen

  static func hooks(in state: Value) -> [String] {
    guard case .list(let hooks)? = state["hooks"] else { return [] }
    return hooks.compactMap { $0["ask"] }.map { ask in
      HeldBackend.key(ask["service"]?.stringValue ?? "", ask["path"]?.stringValue ?? "", ask["body"] ?? .null)
    }
  }

  /// - Parameter called: also those that have asked for a tool, which nobody asks again.
  static func models(in state: Value, called: Bool = false) -> [ModelToken] {
    guard case .list(let models)? = state["models"] else { return [] }
    return models.compactMap { model in
      if !called, model["called"]?.boolValue == true { return nil }
      return model["ask"]?["token"]?.intValue.map { ModelToken(UInt32($0)) }
    }
  }

  var state: Value {
    (try? process.custodian.newest.map { try JSON.decode($0.state) } ?? .null) ?? .null
  }

  var messages: [RuntimeToSpeech] { heard.with { $0.map(\.message) } }
  var prompts: [Prompt] { messages.compactMap { if case .say(let prompt) = $0 { prompt } else { nil } } }
  var said: [String] { prompts.map(\.text) }

  func events() async throws -> [SessionEvent] {
    await store.flush()
    return try await store.events(of: session, tenant: nil, after: 0, limit: 1_000)
  }

  func summary() async throws -> SessionSummary? {
    await store.flush()
    return try await store.session(session, tenant: nil)
  }
}

/// Every number leads to one dialog.
struct OneNumber: NumberRouting {
  var dialog: String
  func destination(of number: String) -> NumberRecord? {
    NumberRecord(number: number, tenant: Tenant.standard, dialog: dialog, createdAtMs: 0, updatedAtMs: 0)
  }
}

extension SessionEvent {
  /// Without its name, which is given by chance.
  var nameless: SessionEvent {
    var event = self
    event.eventID = ""
    return event
  }
}
