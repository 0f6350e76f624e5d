// Speaks to language models by HTTP: OpenAI-compatible chat completions, streamed.

import AsyncHTTPClient
import Base
import Dialogs
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Outbound
import Settings
import Telemetry

/// The configured language model and those that stand in for it. One for the process; its connections are kept warm.
///
/// ``ModelAnswer`` decides who is asked, how long, and what is heard; this performs it. Safe to use from any thread.
public final class OpenAIModelService: ModelService {
  /// How much of an error's body is read for the log.
  static let errorBytes = 16 << 10

  private let endpoints: [Endpoint]
  private let settings: LanguageModelSettings
  private let client: OutboundClient
  private let clock: any RuntimeClock
  private let metrics: RuntimeMetrics
  private let tracer: Tracer
  private let logger: Logger

  struct Endpoint: Sendable {
    /// Without a slash at its end.
    var url: String
    var model: String
    var apiKey: Secret
  }

  /// - Parameters:
  ///   - settings: must name a URL; see ``NoModelService`` for where it does not.
  ///   - outbound: the way to the models; not shut down here.
  public init(
    settings: LanguageModelSettings, outbound: OutboundClient, clock: any RuntimeClock = SystemRuntimeClock(),
    metrics: RuntimeMetrics = RuntimeMetrics(), tracer: Tracer = .disabled,
    logger: Logger = Logger(label: "parley.runtime")
  ) {
    self.tracer = tracer
    self.settings = settings
    self.clock = clock
    self.metrics = metrics
    self.logger = logger
    let main = Endpoint(url: Self.trimmed(settings.url), model: settings.model, apiKey: settings.apiKey)
    endpoints =
      [main]
      + settings.fallbacks.map { fallback in
        fallback.url.isEmpty
          ? Endpoint(url: main.url, model: fallback.model, apiKey: main.apiKey)
          : Endpoint(url: Self.trimmed(fallback.url), model: fallback.model, apiKey: fallback.apiKey)
      }
    client = outbound
  }

  private static func trimmed(_ url: String) -> String {
    var url = Substring(url)
    while url.hasSuffix("/") { url.removeLast() }
    return String(url)
  }

  /// Opens connections to all models, so that the first caller does not wait for it. A model that cannot be reached now may
  /// be later: the log says so, nothing fails.
  public func warmUp() async {
    await withTaskGroup { group in
      for endpoint in endpoints {
        group.addTask { [self] in
          var request = HTTPClientRequest(url: endpoint.url + "/models")
          addHeaders(to: &request, endpoint)
          do {
            let response = try await client.execute(request, timeout: .seconds(5))
            for try await _ in response.body.prefix(64) {}
          } catch {
            logger.warning(
              "a language model cannot be reached", metadata: ["url": "\(endpoint.url)", "error": "\(error)"])
          }
        }
      }
    }
  }

  // MARK: Asking

  public func answer(_ request: ModelRequest, session: SessionID) -> AsyncStream<ModelEvent> {
    stream(request, session: session, spoken: true)
  }

  public func answer(_ request: ModelRequest, session: SessionID, trace: TraceContext?) -> AsyncStream<ModelEvent> {
    stream(request, session: session, spoken: true, trace: trace)
  }

  public func complete(_ request: ModelRequest, session: SessionID) async -> ModelCompletion {
    var whole = ""
    for await event in stream(request, session: session, spoken: false) {
      switch event {
      case .sentence(let text): whole += text
      case .toolCall: break
      case .finished(_, let tokens): return .text(whole, tokens: tokens)
      case .failed(let error, let message): return .failed(error: error, message: message)
      }
    }
    return .failed(error: "timeout", message: "the answer was not waited for")
  }

  private func stream(
    _ request: ModelRequest, session: SessionID, spoken: Bool, trace: TraceContext? = nil
  ) -> AsyncStream<ModelEvent> {
    // Both streams are bounded by what an answer may hold.
    AsyncStream { events in
      let task = Task { await Conversation(self, request, session, spoken: spoken, trace, events).run() }
      events.onTermination = { _ in task.cancel() }
    }
  }

  private enum Signal: Sendable {
    case input(attempt: Int, ModelAnswer.Input)
    case wake
  }

  /// One answer under way. Confined to the task that runs ``run()``.
  private final class Conversation {
    private let service: OpenAIModelService
    private let request: ModelRequest
    private let session: SessionID
    private let events: AsyncStream<ModelEvent>.Continuation
    private let signals: AsyncStream<Signal>
    private let post: AsyncStream<Signal>.Continuation
    private var machine: ModelAnswer
    private let spoken: Bool
    private let trace: TraceContext?
    private var attempts: [Int: Task<Void, Never>] = [:]
    private var timer: (deadline: Instant, cancel: @Sendable () -> Void)?

    init(
      _ service: OpenAIModelService, _ request: ModelRequest, _ session: SessionID, spoken: Bool,
      _ trace: TraceContext?, _ events: AsyncStream<ModelEvent>.Continuation
    ) {
      self.service = service
      self.request = request
      self.session = session
      self.spoken = spoken
      self.trace = trace
      self.events = events
      (signals, post) = AsyncStream.makeStream()
      let settings = service.settings
      machine = ModelAnswer(
        plan: .init(
          endpoints: service.endpoints.count, timeout: request.timeout ?? settings.timeout,
          hedgeAfter: settings.hedgeAfter > .zero ? settings.hedgeAfter : nil, maxRetries: settings.maxRetries,
          spoken: spoken), at: service.clock.now())
    }

    /// Ends when the answer is over or nobody listens any more.
    func run() async {
      perform(machine.start())
      for await signal in signals {
        let now = service.clock.now()
        switch signal {
        case .input(let attempt, let input): perform(machine.receive(input, of: attempt, at: now))
        case .wake:
          timer = nil
          perform(machine.timeout(at: now))
        }
        if machine.isOver { break }
      }
      if !machine.isOver { perform(machine.abandon()) }
      timer?.cancel()
      post.finish()
      events.finish()
    }

    private func perform(_ actions: [ModelAnswer.Action]) {
      for action in actions {
        switch action {
        case .ask(let attempt, let endpoint):
          attempts[attempt] = service.ask(
            request, endpoint: modelled(endpoint), session, spoken, trace, attempt: attempt, post)
        case .drop(let attempt): attempts.removeValue(forKey: attempt)?.cancel()
        case .finish(let attempt):
          guard let task = attempts.removeValue(forKey: attempt) else { break }
          _ = service.clock.schedule(at: service.clock.now() + .seconds(1)) { task.cancel() }
        case .emit(let event): events.yield(event)
        case .firstToken(let endpoint, let after):
          service.metrics.modelFirstToken(modelled(endpoint).model, Double(after.nanoseconds) / 1e9)
        case .ended(let endpoint, let outcome): count(endpoint, outcome)
        }
      }
      guard let deadline = machine.deadline else { return }
      if let timer {
        // A timer that is too early finds out and sets itself again.
        if timer.deadline <= deadline { return }
        timer.cancel()
      }
      let post = post
      timer = (deadline, service.clock.schedule(at: deadline) { post.yield(.wake) })
    }

    private func count(_ endpoint: Int, _ outcome: String) {
      let model = modelled(endpoint).model
      service.metrics.modelRequest(model, outcome)
      if outcome != "ok", outcome != "cancelled" {
        service.logger.notice(
          "a request to a language model failed",
          metadata: ["session_id": "\(session)", "model": "\(model)", "error": "\(outcome)"])
      }
    }

    /// A dialog may name another model of the main server.
    private func modelled(_ index: Int) -> Endpoint {
      var endpoint = service.endpoints[index]
      if index == 0, !request.model.isEmpty { endpoint.model = request.model }
      return endpoint
    }
  }

  // MARK: One request

  private func ask(
    _ request: ModelRequest, endpoint: Endpoint, _ session: SessionID, _ spoken: Bool, _ trace: TraceContext?,
    attempt: Int, _ post: AsyncStream<Signal>.Continuation
  ) -> Task<Void, Never> {
    Task {
      var asking = trace.map {
        OutgoingSpan(
          "model", below: $0, tracer, ["session_id": .string(session.value), "model": .string(endpoint.model)])
      }
      defer { asking?.end() }
      var http = HTTPClientRequest(url: endpoint.url + "/chat/completions")
      http.method = .POST
      addHeaders(to: &http, endpoint)
      http.headers.add(name: "Content-Type", value: "application/json")
      http.headers.add(name: "Accept", value: "text/event-stream")
      for (name, value) in asking?.headers ?? [] { http.headers.add(name: name, value: value) }
      http.body = .bytes(ByteBuffer(bytes: ChatRequest.body(request, model: endpoint.model, offersTools: spoken)))
      do {
        let limit = ModelAnswer.wholeLimit + .seconds(1)
        let response = try await client.execute(http, timeout: limit)
        let status = Int(response.status.code)
        asking?.answered(status)
        guard (200..<300).contains(status) else {
          await logRefusal(response, session, endpoint)
          let wait = response.headers.first(name: "Retry-After").flatMap { Int64($0) }
            .map { Duration.seconds(min(max($0, 0), 3600)) }
          post.yield(.input(attempt: attempt, .refused(status: status, retryAfter: wait)))
          return
        }
        let type = response.headers.first(name: "Content-Type")?.lowercased() ?? ""
        post.yield(.input(attempt: attempt, .accepted(isWhole: type.hasPrefix("application/json"))))
        var size = 0
        for try await part in response.body {
          size += part.readableBytes
          post.yield(.input(attempt: attempt, .bytes(Array(part.readableBytesView))))
          // The machine has given it up by now, or will.
          if size > ChatStreamParser.Limits.bytes { return }
        }
        post.yield(.input(attempt: attempt, .end))
      } catch {
        asking?.failed("unreachable")
        logger.debug(
          "a connection to a language model failed",
          metadata: ["session_id": "\(session)", "model": "\(endpoint.model)", "error": "\(error)"])
        post.yield(
          .input(attempt: attempt, .broken(wasIdle: OutboundError(error, host: endpoint.url).kind == .closed)))
      }
    }
  }

  private func addHeaders(to request: inout HTTPClientRequest, _ endpoint: Endpoint) {
    request.headers.add(name: "User-Agent", value: "Parley")
    if !endpoint.apiKey.isEmpty {
      request.headers.add(name: "Authorization", value: "Bearer \(endpoint.apiKey.reveal())")
    }
  }

  /// Why a server says no is for the operator who asks for it: it may quote the conversation.
  private func logRefusal(_ response: HTTPClientResponse, _ session: SessionID, _ endpoint: Endpoint) async {
    guard logger.logLevel <= .debug else { return }
    var reason = ""
    if let body = try? await response.body.collect(upTo: Self.errorBytes) { reason = String(buffer: body) }
    logger.debug(
      "a language model refused",
      metadata: [
        "session_id": "\(session)", "model": "\(endpoint.model)", "status": "\(response.status.code)",
        "reason": "\(reason)",
      ])
  }
}
