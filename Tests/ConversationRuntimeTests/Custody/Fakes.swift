import Base
import CallLink
import ConversationRuntime
import Dialogs
import Storage
import Synchronization
import Testing

/// A value that can be waited for.
final class Watched<Value: Sendable>: Sendable {
  private struct State {
    var value: Value
    var waiters: [(fits: @Sendable (Value) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

    mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
      // Each is asked once: what it looks at may change meanwhile.
      var met: [CheckedContinuation<Void, Never>] = []
      waiters.removeAll { waiter in
        guard waiter.fits(value) else { return false }
        met.append(waiter.continuation)
        return true
      }
      return met
    }
  }
  private let state: Mutex<State>
  init(_ value: Value) { state = Mutex(State(value: value)) }

  @discardableResult
  func with<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
    let (result, met) = state.withLock { state in
      let result = body(&state.value)
      return (result, state.takeWaiters())
    }
    for waiter in met { waiter.resume() }
    return result
  }

  func until(_ fits: @escaping @Sendable (Value) -> Bool) async {
    await withCheckedContinuation { continuation in
      let met = state.withLock { state in
        state.waiters.append((fits, continuation))
        return state.takeWaiters()
      }
      for waiter in met { waiter.resume() }
    }
  }
}

/// A machine's own clocks: both may show something else than everybody's.
struct ShiftedClock: RuntimeClock {
  var base: ManualClock
  var shift: Duration = .zero
  var wallMs: Int64 = 0

  func now() -> Instant { base.now() + shift }
  func unixMilliseconds() -> Int64 { base.unixMilliseconds() + wallMs }
  func schedule(at deadline: Instant, _ fire: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    base.schedule(at: deadline - shift, fire)
  }
}

/// Keeps the states of one process and lets its messages out when the test says that a state is safe.
final class FakeCustodian: CallCustodian, HopSink {
  struct Kept: Sendable {
    var state: [UInt8]
    var handled: UInt64
    /// What was sent before it.
    var messages: [Numbered<RuntimeToSpeech>]
    /// What waits for it.
    var acts: [@Sendable () -> Void] = []
  }
  private struct State {
    var sending: [Numbered<RuntimeToSpeech>] = []
    var unsafe: [Kept] = []
    var safe: Kept?
    var isDead = false
    var isDirect = false
    var sizes: [Int] = []
    /// Safe, and not let out yet.
    var leaving: [Kept] = []
    /// One thread lets out at a time: what was kept later leaves later.
    var isLeaving = false
  }
  private let state = Mutex(State())
  private let release: @Sendable (Numbered<RuntimeToSpeech>) -> Void
  let isFinished = Watched(false)
  /// How far the newest state has seen.
  let handled = Watched<UInt64>(0)

  init(release: @escaping @Sendable (Numbered<RuntimeToSpeech>) -> Void) { self.release = release }

  var safe: Kept? { state.withLock { $0.safe } }
  var newest: Kept? { state.withLock { $0.unsafe.last ?? $0.safe } }
  var unsafeCount: Int { state.withLock { $0.unsafe.count } }
  /// Bytes of every state.
  var sizes: [Int] { state.withLock { $0.sizes } }

  func send(_ message: Numbered<RuntimeToSpeech>) { state.withLock { $0.sending.append(message) } }

  func keep(_ kept: [UInt8], handled place: CallPlace) {
    let isDirect = state.withLock { state in
      state.sizes.append(kept.count)
      state.unsafe.append(Kept(state: kept, handled: place.left, messages: state.sending))
      state.sending = []
      return state.isDirect
    }
    if isDirect { makeSafe() }
    handled.with { $0 = place.left }
  }

  func afterKept(_ act: @escaping @Sendable () -> Void) {
    let isNow = state.withLock { state in
      if !state.unsafe.isEmpty {
        state.unsafe[state.unsafe.count - 1].acts.append(act)
        return false
      }
      if !state.isDead { state.leaving.append(Kept(state: [], handled: 0, messages: [], acts: [act])) }
      return !state.isDead
    }
    if isNow { letOut() }
  }

  func finished() { isFinished.with { $0 = true } }

  /// From now on every state is safe at once.
  func goDirect() {
    state.withLock { $0.isDirect = true }
    makeSafe()
  }

  /// The oldest states become safe; nil: all of them.
  func makeSafe(_ count: Int? = nil) {
    state.withLock { state in
      guard !state.isDead else { return }
      let ready = state.unsafe.prefix(count ?? state.unsafe.count)
      state.unsafe.removeFirst(ready.count)
      if let last = ready.last { state.safe = last }
      state.leaving += ready
    }
    letOut()
  }

  private func letOut() {
    while let kept = state.withLock({ state -> Kept? in
      guard !state.isLeaving, !state.leaving.isEmpty else { return nil }
      state.isLeaving = true
      return state.leaving.removeFirst()
    }) {
      for message in kept.messages { release(message) }
      for act in kept.acts { act() }
      state.withLock { $0.isLeaving = false }
    }
  }

  /// Until so many states wait to be made safe.
  func untilUnsafe(_ count: Int) async { await handled.until { [self] _ in unsafeCount >= count } }

  /// Until so many states have been kept, safe or not.
  func untilKept(_ count: Int) async { await handled.until { [self] _ in sizes.count >= count } }

  func die() { state.withLock { $0.isDead = true } }
}

/// A process's queue into the common database: what is in it dies with the process.
final class MortalStore: SessionStore {
  private enum Write: Sendable {
    case event(SessionEvent)
    case again(SessionEvent)
    case summary(SessionSummary)
  }
  private struct State {
    var queue: [Write] = []
    var queued = 0
    var isDead = false
    var isSlow = false
  }
  let real: SQLSessionStore
  private let state = Mutex(State())

  init(_ real: SQLSessionStore) { self.real = real }

  /// From now on writes wait for ``pass()``.
  func slowDown() { state.withLock { $0.isSlow = true } }
  func die() { state.withLock { $0.isDead = true } }

  private func add(_ write: Write) {
    let isSlow = state.withLock { state in
      guard !state.isDead else { return true }
      state.queue.append(write)
      state.queued += 1
      return state.isSlow
    }
    if !isSlow { pass() }
  }

  /// The database takes what waits, the oldest first; nil: all of it.
  func pass(_ count: Int? = nil) {
    state.withLock { state in
      guard !state.isDead else { return }
      let ready = state.queue.prefix(count ?? state.queue.count)
      for write in ready {
        switch write {
        case .event(let event): real.append(event)
        case .again(let event): real.appendAgain(event)
        case .summary(let summary): real.put(summary)
        }
      }
      state.queue.removeFirst(ready.count)
    }
  }

  var waiting: Int { state.withLock { $0.queue.count } }

  func append(_ event: SessionEvent) { add(.event(event)) }
  func appendAgain(_ event: SessionEvent) { add(.again(event)) }
  func put(_ summary: SessionSummary) { add(.summary(summary)) }
  var queuedWrites: Int { state.withLock { $0.queued } }
  var finishedWrites: Int { state.withLock { $0.queued - $0.queue.count } }
  func flush() async {
    pass()
    await real.flush()
  }
  func events(of session: SessionID, tenant: String?, after sequence: Int64, limit: Int) async throws -> [SessionEvent]
  {
    try await real.events(of: session, tenant: tenant, after: sequence, limit: limit)
  }
  func events(tenant: String?, after eventID: String?, limit: Int) async throws -> [SessionEvent] {
    try await real.events(tenant: tenant, after: eventID, limit: limit)
  }
  func subscribe(bufferLimit: Int) -> AsyncStream<SessionEvent> { real.subscribe(bufferLimit: bufferLimit) }
  func session(_ id: SessionID, tenant: String?) async throws -> SessionSummary? {
    try await real.session(id, tenant: tenant)
  }
  func sessions(_ query: SessionQuery) async throws -> [SessionSummary] { try await real.sessions(query) }
  func openSessions() async throws -> [SessionSummary] { try await real.openSessions() }
  var lostWrites: Int { real.lostWrites }
}

/// A backend whose questions lie open until the test answers them.
final class HeldBackend: IntegrationHop {
  struct Question: Sendable {
    var number: Int
    var request: HookRequest
    var answer: CheckedContinuation<HookOutcome, Never>

    /// What tells it from others, whoever asks it.
    var key: String { HeldBackend.key(request.service, request.path, request.body) }
  }
  let open = Watched<[Question]>([])
  /// Questions that nobody wants an answer to any more; they are left open, so that nothing comes of them.
  private let parked = Locked<[Question]>([])
  private let cancelled = Locked<Set<Int>>([])
  private let numbers = Locked(0)
  let told: [CallMoment: [CallMomentService]]

  init(told: [CallMoment: [CallMomentService]] = [:]) { self.told = told }

  static func key(_ service: String, _ path: String, _ body: Value) -> String {
    var body = body
    if case .map(var members) = body {
      members["timestamp"] = nil
      body = .map(members)
    }
    return "\(service) \(path) \(JSON.encode(body))"
  }

  func services(toldOf moment: CallMoment) -> [CallMomentService] { told[moment] ?? [] }

  func perform(_ request: HookRequest) async -> HookOutcome {
    let number = numbers.with { number in
      number += 1
      return number
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let question = Question(number: number, request: request, answer: continuation)
        open.with { open in
          if cancelled.with({ $0.contains(number) }) {
            parked.with { $0.append(question) }
          } else {
            open.append(question)
          }
        }
      }
    } onCancel: {
      cancelled.with { _ = $0.insert(number) }
      open.with { open in
        guard let place = open.firstIndex(where: { $0.number == number }) else { return }
        let question = open.remove(at: place)
        parked.with { $0.append(question) }
      }
    }
  }

  /// Answers the oldest question with that key, once it has come.
  @discardableResult
  func answer(_ key: String, _ outcome: HookOutcome) async -> HookRequest? {
    await open.until { $0.contains { $0.key == key } }
    let question = open.with { open -> Question? in
      guard let place = open.firstIndex(where: { $0.key == key }) else { return nil }
      return open.remove(at: place)
    }
    question?.answer.resume(returning: outcome)
    return question?.request
  }

  /// Answers the next question to that service.
  @discardableResult
  func answer(service: String, _ outcome: HookOutcome) async -> HookRequest? {
    await open.until { $0.contains { $0.request.service == service } }
    let question = open.with { open -> Question? in
      guard let place = open.firstIndex(where: { $0.request.service == service }) else { return nil }
      return open.remove(at: place)
    }
    question?.answer.resume(returning: outcome)
    return question?.request
  }

  /// Nobody is left waiting in a test that is over.
  func drop() {
    let left = open.with { open in
      defer { open = [] }
      return open
    }
    let parked = parked.with { parked in
      defer { parked = [] }
      return parked
    }
    for question in left + parked {
      question.answer.resume(
        returning: .failure(error: "timeout", status: 0, message: "the process is dead", durationMs: 0, attempts: 1))
    }
  }
}

/// A language model that says what the test says.
final class HeldModel: ModelService {
  let asked = Watched<[ModelRequest]>([])
  private let streams = Locked<[ModelToken: AsyncStream<ModelEvent>.Continuation]>([:])

  func answer(_ request: ModelRequest, session: SessionID) -> AsyncStream<ModelEvent> {
    let (stream, continuation) = AsyncStream.makeStream(of: ModelEvent.self)
    streams.with { $0[request.token] = continuation }
    asked.with { $0.append(request) }
    return stream
  }

  /// A fixed answer that fits a summary and a review.
  func complete(_ request: ModelRequest, session: SessionID) async -> ModelCompletion {
    .text(#"{"scores": {"tone": 7}, "notes": "Fine."}"#, tokens: 5)
  }

  /// Returns false where nobody in this process listens to it.
  @discardableResult
  func tell(_ token: ModelToken, _ event: ModelEvent) -> Bool {
    guard let stream = streams.with({ $0[token] }), case .enqueued = stream.yield(event) else { return false }
    return true
  }
}
