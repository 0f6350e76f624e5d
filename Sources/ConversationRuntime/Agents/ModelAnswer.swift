import Base
import Dialogs

/// One answer of a language model, from the first request to the last word: which model is asked when, when it is given up,
/// what may be said. Fallbacks, retries and hedging are decided here.
///
/// A value without socket, clock or task: what happened and `now` go in, actions come out. Nothing is asked again once
/// anything was released, so the caller never hears two beginnings.
package struct ModelAnswer: Sendable {
  package struct Plan: Sendable {
    /// How many models there are; the first is the one that was meant, the others stand in for it, in order.
    package var endpoints: Int
    /// To the first word over all attempts, and from word to word.
    package var timeout: Duration
    /// When the next model is asked beside one that has not spoken; nil: never.
    package var hedgeAfter: Duration?
    /// Rounds over the models after the first.
    package var maxRetries: Int
    /// Sentences as they come, or else the whole text at its end.
    package var spoken: Bool

    package init(endpoints: Int, timeout: Duration, hedgeAfter: Duration?, maxRetries: Int, spoken: Bool) {
      self.endpoints = endpoints
      self.timeout = timeout
      self.hedgeAfter = hedgeAfter
      self.maxRetries = maxRetries
      self.spoken = spoken
    }
  }

  /// What can happen to one attempt.
  package enum Input: Sendable {
    /// A 2xx answer begins. `isWhole`: its body is one JSON document, not a stream.
    case accepted(isWhole: Bool)
    case bytes([UInt8])
    case end
    case refused(status: Int, retryAfter: Duration?)
    /// The connection failed. `wasIdle`: it had been kept from a request before, and the server had just closed it.
    case broken(wasIdle: Bool)
  }

  package enum Action: Hashable, Sendable {
    case ask(attempt: Int, endpoint: Int)
    /// Cancel its request; what still comes of it is ignored.
    case drop(attempt: Int)
    /// Its answer is whole: let the connection end in peace, so that the next request finds it open.
    case finish(attempt: Int)
    case emit(ModelEvent)
    /// The first word of this endpoint came so long after it was asked.
    case firstToken(endpoint: Int, Duration)
    /// For the metrics: ok, cancelled, timeout, unreachable, status, invalid_answer or empty.
    case ended(endpoint: Int, outcome: String)
  }

  /// No answer is longer: nobody listens that long.
  package static let wholeLimit: Duration = .seconds(120)
  /// How long usage may follow the end of the text.
  static let usageLimit: Duration = .seconds(1)
  /// The wait before the second round; it doubles.
  static let backoff: Duration = .milliseconds(250)

  private struct Attempt: Sendable {
    var endpoint: Int
    var askedAt: Instant
    /// Until its first word, then until its next.
    var deadline: Instant
    var parser = ChatStreamParser()
    var thoughts = ThoughtFilter()
    /// The body so far, where it is one document.
    var whole: [UInt8]?
    var hasSpoken = false
  }

  private struct Failure: Sendable {
    var error: String
    var message: String
    /// Whether the same model may be asked again.
    var isPassing = true
    var wait: Duration = ModelAnswer.backoff
  }

  private let plan: Plan
  private let startedAt: Instant
  private var attempts: [Int: Attempt] = [:]
  private var lastAttempt = 0
  /// The attempt that spoke first.
  private var winner: Int?
  /// Models that this round has not asked.
  private var queue: [Int]
  /// Models that will not answer: a wrong key does not mend itself.
  private var barred: Set<Int> = []
  private var round = 0
  private var nextRoundAt: Instant?
  private var hedgeAt: Instant?

  private var splitter = SentenceSplitter()
  private var text = ""
  private var calls: [ModelToolCall] = []
  private var tokens = 0
  private var reason: String?
  /// Something has left: from here on there is no second beginning.
  private var hasReleased = false
  package private(set) var isOver = false

  package init(plan: Plan, at now: Instant) {
    self.plan = plan
    startedAt = now
    queue = Array(0..<max(1, plan.endpoints))
  }

  /// The first request.
  package mutating func start() -> [Action] {
    var actions: [Action] = []
    _ = askNext(at: startedAt, &actions)
    return actions
  }

  /// When ``timeout(at:)`` wants to be called; nil when it is over.
  package var deadline: Instant? {
    if isOver { return nil }
    var first = startedAt + Self.wholeLimit
    for attempt in attempts.values { first = min(first, attempt.deadline) }
    if let nextRoundAt { first = min(first, nextRoundAt) }
    if let hedgeAt { first = min(first, hedgeAt) }
    return first
  }

  package mutating func receive(_ input: Input, of id: Int, at now: Instant) -> [Action] {
    guard !isOver, attempts[id] != nil else { return [] }
    var actions: [Action] = []
    switch input {
    case .accepted(let isWhole):
      if isWhole { attempts[id]?.whole = [] }
    case .bytes(let bytes): take(bytes, of: id, at: now, &actions)
    case .end: end(id, at: now, &actions)
    case .refused(let status, let retryAfter):
      var failure = Failure(error: "status", message: "the model answered \(status)")
      failure.isPassing = status == 408 || status == 425 || status == 429 || status >= 500
      failure.wait = max(failure.wait, retryAfter ?? .zero)
      fail(id, failure, at: now, &actions)
    case .broken(let wasIdle):
      var failure = Failure(error: "unreachable", message: "the connection to the model failed")
      if wasIdle { failure.wait = .zero }
      fail(id, failure, at: now, &actions)
    }
    return actions
  }

  package mutating func timeout(at now: Instant) -> [Action] {
    var actions: [Action] = []
    if let hedgeAt, hedgeAt <= now, !isOver {
      self.hedgeAt = nil
      _ = askNext(at: now, &actions)
    }
    for id in attempts.keys.sorted() {
      guard !isOver, let attempt = attempts[id], attempt.deadline <= now else { continue }
      if reason != nil, id == winner {
        close(id, &actions)
      } else {
        fail(
          id,
          Failure(
            error: "timeout",
            message: attempt.hasSpoken ? "the model fell silent in mid-answer" : "the model said nothing in time"),
          at: now, &actions)
      }
    }
    if let nextRoundAt, nextRoundAt <= now, !isOver {
      self.nextRoundAt = nil
      _ = askNext(at: now, &actions)
    }
    if !isOver, startedAt + Self.wholeLimit <= now {
      giveUp(Failure(error: "timeout", message: "the answer took longer than \(Self.wholeLimit)"), &actions)
    }
    return actions
  }

  /// Nobody listens any more.
  package mutating func abandon() -> [Action] {
    var actions: [Action] = []
    dropAll(&actions)
    isOver = true
    return actions
  }

  // MARK: Who is asked

  private var budgetEnd: Instant { startedAt + plan.timeout }

  /// Asks the next model of this round; false where there is none or no time.
  private mutating func askNext(at now: Instant, _ actions: inout [Action]) -> Bool {
    guard !queue.isEmpty, now < budgetEnd else { return false }
    let endpoint = queue.removeFirst()
    lastAttempt += 1
    var deadline = budgetEnd
    if plan.hedgeAfter == nil {
      // Those who stand in must have their share of the time, or a model that hangs would be the end.
      deadline = now + (budgetEnd - now) / (1 + queue.count)
    } else if !queue.isEmpty {
      hedgeAt = plan.hedgeAfter.map { now + $0 }
    }
    attempts[lastAttempt] = Attempt(endpoint: endpoint, askedAt: now, deadline: deadline)
    actions.append(.ask(attempt: lastAttempt, endpoint: endpoint))
    return true
  }

  private mutating func fail(_ id: Int, _ failure: Failure, at now: Instant, _ actions: inout [Action]) {
    guard let attempt = attempts.removeValue(forKey: id) else { return }
    actions.append(.drop(attempt: id))
    actions.append(.ended(endpoint: attempt.endpoint, outcome: failure.error))
    if hasReleased { return giveUp(failure, &actions) }
    if !failure.isPassing { barred.insert(attempt.endpoint) }
    if winner == id {
      winner = nil
      splitter = SentenceSplitter()
      text = ""
      calls = []
      reason = nil
      tokens = 0
    }
    // Another one is at it already.
    guard attempts.isEmpty else { return }
    hedgeAt = nil
    if askNext(at: now, &actions) { return }
    queue = (0..<max(1, plan.endpoints)).filter { !barred.contains($0) }
    let wait = failure.wait * (1 << min(round, 8))
    guard round < plan.maxRetries, !queue.isEmpty, now + wait < budgetEnd else { return giveUp(failure, &actions) }
    round += 1
    nextRoundAt = now + wait
  }

  private mutating func giveUp(_ failure: Failure, _ actions: inout [Action]) {
    dropAll(&actions)
    isOver = true
    actions.append(.emit(.failed(error: failure.error, message: failure.message)))
  }

  private mutating func dropAll(except kept: Int? = nil, _ actions: inout [Action]) {
    for id in attempts.keys.sorted() where id != kept {
      guard let attempt = attempts.removeValue(forKey: id) else { continue }
      actions.append(.drop(attempt: id))
      actions.append(.ended(endpoint: attempt.endpoint, outcome: "cancelled"))
    }
  }

  // MARK: What it says

  private mutating func take(_ bytes: [UInt8], of id: Int, at now: Instant, _ actions: inout [Action]) {
    if let size = attempts[id]?.whole?.count {
      guard size + bytes.count <= ChatStreamParser.Limits.bytes else {
        return fail(id, Self.failure(.tooLarge("more than \(ChatStreamParser.Limits.bytes) bytes")), at: now, &actions)
      }
      attempts[id]?.whole? += bytes
      return
    }
    handle(attempts[id]?.parser.add(bytes) ?? [], of: id, at: now, &actions)
  }

  private mutating func end(_ id: Int, at now: Instant, _ actions: inout [Action]) {
    // The text was whole already; only its usage is missing.
    if reason != nil, id == winner { return close(id, &actions) }
    let events = attempts[id]?.whole.map(ChatStreamParser.readWhole) ?? attempts[id]?.parser.end() ?? []
    handle(events, of: id, at: now, &actions)
  }

  private static func failure(_ problem: ChatStreamParser.Failure) -> Failure {
    switch problem {
    case .refused(let reason): Failure(error: "invalid_answer", message: "the model refused in mid-answer: \(reason)")
    case .invalid(let reason): Failure(error: "invalid_answer", message: reason)
    case .tooLarge(let what):
      Failure(error: "invalid_answer", message: "the answer is too large: \(what)", isPassing: false)
    }
  }

  private mutating func handle(
    _ events: [ChatStreamParser.Event], of id: Int, at now: Instant, _ actions: inout [Action]
  ) {
    for event in events {
      guard !isOver, attempts[id] != nil else { return }
      switch event {
      case .text(let delta):
        let heard = attempts[id]?.thoughts.add(delta) ?? ""
        say(heard, of: id, at: now, &actions)
      case .toolCall(let call):
        claim(id, at: now, &actions)
        calls.append(call)
      case .finished(let reason):
        let rest = attempts[id]?.thoughts.flush() ?? ""
        say(rest, of: id, at: now, &actions)
        finish(id, reason, at: now, &actions)
      case .usage(let tokens): if id == winner { self.tokens = tokens }
      case .done: close(id, &actions)
      case .failed(let problem): fail(id, Self.failure(problem), at: now, &actions)
      }
    }
  }

  private mutating func say(_ heard: String, of id: Int, at now: Instant, _ actions: inout [Action]) {
    guard winner == id || heard.contains(where: { !$0.isWhitespace }) else { return }
    claim(id, at: now, &actions)
    attempts[id]?.deadline = now + plan.timeout
    guard plan.spoken else {
      text += heard
      return
    }
    for sentence in splitter.add(heard) { release(.sentence(sentence), &actions) }
  }

  /// The first to speak is the one that is heard.
  private mutating func claim(_ id: Int, at now: Instant, _ actions: inout [Action]) {
    guard winner == nil, let attempt = attempts[id] else { return }
    winner = id
    hedgeAt = nil
    attempts[id]?.hasSpoken = true
    dropAll(except: id, &actions)
    actions.append(.firstToken(endpoint: attempt.endpoint, now - attempt.askedAt))
  }

  private mutating func release(_ event: ModelEvent, _ actions: inout [Action]) {
    hasReleased = true
    actions.append(.emit(event))
  }

  /// The model has said all it wanted, or all it was allowed.
  private mutating func finish(_ id: Int, _ reason: String, at now: Instant, _ actions: inout [Action]) {
    guard id == winner else {
      return fail(id, Failure(error: "empty", message: "the model answered nothing (\(reason))"), at: now, &actions)
    }
    self.reason = reason
    attempts[id]?.deadline = now + Self.usageLimit
    guard plan.spoken else { return }
    // A sentence that was cut off by a limit is half a sentence; better to leave it out, unless it is all there is.
    let isCut = (reason == "length" || reason == "content_filter") && hasReleased
    if !isCut {
      for sentence in splitter.flush() { release(.sentence(sentence), &actions) }
    }
    for call in calls { release(.toolCall(call), &actions) }
    if !hasReleased {
      fail(id, Failure(error: "empty", message: "the model answered nothing that can be said"), at: now, &actions)
    }
  }

  private mutating func close(_ id: Int, _ actions: inout [Action]) {
    guard let reason, let attempt = attempts.removeValue(forKey: id) else { return }
    if !plan.spoken { actions.append(.emit(.sentence(text))) }
    actions.append(.finish(attempt: id))
    actions.append(.ended(endpoint: attempt.endpoint, outcome: "ok"))
    actions.append(.emit(.finished(reason: reason, tokens: tokens)))
    isOver = true
  }
}
