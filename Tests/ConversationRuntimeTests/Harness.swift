import Base
import CallLink
import ConversationRuntime
import Logging
import NIOPosix
import Outbound
import Settings
import Storage
import Synchronization
import Testing

extension OutboundClient {
  /// Reaches the scripted servers, which listen on the loopback.
  static let loopback = OutboundClient(
    settings: OutboundSettings(allowPrivate: [OutboundRule("127.0.0.0/8")].compactMap { $0 }),
    group: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

/// A clock that a test counts up by hand: nothing happens between two calls of ``advance(by:)``.
final class ManualClock: RuntimeClock {
  private struct Timer {
    var deadline: Instant
    var fire: @Sendable () -> Void
  }
  private struct State {
    var now = Instant(nanoseconds: 5_000_000_000)
    var timers: [Int: Timer] = [:]
    var nextTimer = 0
    var waiters: [(deadline: Instant, continuation: CheckedContinuation<Void, Never>)] = []

    /// Those who wait for a timer that is there by now.
    mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
      guard let first = timers.values.map(\.deadline).min() else { return [] }
      let met = waiters.filter { first <= $0.deadline }.map(\.continuation)
      waiters.removeAll { first <= $0.deadline }
      return met
    }
  }
  private let state = Locked(State())

  func now() -> Instant { state.with { $0.now } }
  func unixMilliseconds() -> Int64 { 1_700_000_000_000 + state.with { $0.now.nanoseconds / 1_000_000 } }

  func schedule(at deadline: Instant, _ fire: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    let (id, waiters) = state.with { state in
      state.nextTimer += 1
      state.timers[state.nextTimer] = Timer(deadline: deadline, fire: fire)
      return (state.nextTimer, state.takeWaiters())
    }
    for waiter in waiters { waiter.resume() }
    return { [self] in state.with { _ = $0.timers.removeValue(forKey: id) } }
  }

  /// Waits until a timer is set that ``advance(by:)`` with `duration` would fire.
  func waitForTimer(within duration: Duration) async {
    await withCheckedContinuation { continuation in
      let met = state.with { state in
        state.waiters.append((state.now + duration, continuation))
        return state.takeWaiters()
      }
      for waiter in met { waiter.resume() }
    }
  }

  /// Moves time on and fires what has become due, earliest first.
  func advance(by duration: Duration) {
    let due = state.with { state in
      state.now += duration
      let due = state.timers.filter { $0.value.deadline <= state.now }.sorted { $0.value.deadline < $1.value.deadline }
      for timer in due { state.timers[timer.key] = nil }
      return due.map(\.value.fire)
    }
    for fire in due { fire() }
  }
}

/// A value behind a lock.
final class Locked<Value: Sendable>: Sendable {
  private let mutex: Mutex<Value>
  init(_ value: Value) { mutex = Mutex(value) }
  func with<Result: Sendable>(_ body: (inout Value) -> Result) -> Result { mutex.withLock { body(&$0) } }
}

/// The speech role's end of a call: the test says what the caller does and takes what the runtime asks for, one by one.
final class FakeSpeech: HopSink {
  private let stream: AsyncStream<Numbered<RuntimeToSpeech>>
  private let continuation: AsyncStream<Numbered<RuntimeToSpeech>>.Continuation
  private let all = Locked<[Numbered<RuntimeToSpeech>]>([])

  init() { (stream, continuation) = AsyncStream.makeStream() }

  func send(_ message: Numbered<RuntimeToSpeech>) {
    all.with { $0.append(message) }
    continuation.yield(message)
  }

  /// The numbers of all messages so far.
  var sentSequences: [UInt64] { all.with { $0.map(\.sequence) } }

  /// How many of all messages so far fit.
  func countAsked(_ fits: (RuntimeToSpeech) -> Bool) -> Int { all.with { $0 }.count { fits($0.message) } }

  /// The next thing that the runtime asks for; waits for it.
  func next() async -> RuntimeToSpeech? {
    for await message in stream { return message.message }
    return nil
  }

  /// The next prompt, skipping whatever sets up listening before it.
  func nextSay() async throws -> Prompt {
    while let message = await next() {
      switch message {
      case .say(let prompt): return prompt
      case .listen, .stop: continue
      default: throw Unexpected(message: "expected say, got \(message)")
      }
    }
    throw Unexpected(message: "the stream ended")
  }

  /// Takes messages until one fits.
  func until(_ fits: (RuntimeToSpeech) -> Bool) async throws -> [RuntimeToSpeech] {
    var seen: [RuntimeToSpeech] = []
    while let message = await next() {
      seen.append(message)
      if fits(message) { return seen }
    }
    throw Unexpected(message: "the stream ended")
  }
}

struct Unexpected: Error { var message: String }

/// A customer's backend that answers when the test says so.
final class FakeBackend: IntegrationHop {
  private let stream: AsyncStream<(HookRequest, CheckedContinuation<HookOutcome, Never>)>
  private let continuation: AsyncStream<(HookRequest, CheckedContinuation<HookOutcome, Never>)>.Continuation

  private let told: [CallMoment: [CallMomentService]]

  /// - Parameter told: services that are told of moments.
  init(told: [CallMoment: [CallMomentService]] = [:]) {
    self.told = told
    (stream, continuation) = AsyncStream.makeStream()
  }

  func services(toldOf moment: CallMoment) -> [CallMomentService] { told[moment] ?? [] }

  func perform(_ request: HookRequest) async -> HookOutcome {
    await withCheckedContinuation { continuation.yield((request, $0)) }
  }

  /// Waits for the next question, answers it, and returns it.
  func answer(_ outcome: HookOutcome) async throws -> HookRequest {
    for await (request, reply) in stream {
      reply.resume(returning: outcome)
      return request
    }
    throw Unexpected(message: "no hook came")
  }
}

extension Prompt {
  var text: String {
    switch source {
    case .text(let text), .markup(let text): text
    case .audio(let url): url
    case .silence: ""
    }
  }
}
