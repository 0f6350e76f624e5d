#if Cluster
  import Base
  import CallLink
  import SwiftProtobuf
  import GRPCCore
  import Logging
  import NIOConcurrencyHelpers

  /// The integration role in other processes: a question goes to one of them, and to another where that one is gone.
  public final class RemoteIntegration: IntegrationHop {
    /// Processes that are asked one after the other. A hook may have been performed by one that then died, as after a lost answer of the
    /// customer's backend: hooks are repeated.
    private static let attempts = 4
    /// How often the services of moments are asked for.
    private static let interval: Duration = .seconds(15)
    /// Over what the hook's own time allows: its retries and the way there.
    private static let longest: Duration = .seconds(120)

    private let pool: PeerPool
    private let logger: Logger
    private let moments = NIOLockedValueBox<[CallMoment: [CallMomentService]]>([:])

    public init(_ pool: PeerPool, logger: Logger) {
      self.pool = pool
      self.logger = logger
    }

    public func services(toldOf moment: CallMoment) -> [CallMomentService] {
      moments.withLockedValue { $0[moment] ?? [] }
    }

    /// Keeps in mind which services are told of calls, until the task is cancelled.
    public func run() async {
      while !Task.isCancelled {
        let isKnown = await learn()
        do { try await Task.sleep(for: isKnown ? Self.interval : .milliseconds(100)) } catch { return }
      }
    }

    private func learn() async -> Bool {
      guard let peer = pool.choose() else { return false }
      let link = Parley_Calllink_V1_IntegrationLink.Client(wrapping: peer.client)
      do {
        let answer = try await link.moments(.init(), options: Self.options(.seconds(5)))
        var found: [CallMoment: [CallMomentService]] = [:]
        for entry in answer.moments {
          guard let moment = CallMoment(rawValue: entry.moment) else { continue }
          found[moment, default: []].append(
            CallMomentService(name: entry.service, timeout: .milliseconds(Int64(entry.timeoutMs))))
        }
        moments.withLockedValue { [found] in $0 = found }
        return true
      } catch {
        logger.debug("the integration role cannot be asked", metadata: ["reason": "\(error)"])
        return false
      }
    }

    private static func options(_ timeout: Duration) -> CallOptions {
      var options = CallOptions.defaults
      options.waitForReady = false
      options.timeout = timeout
      return options
    }

    public func perform(_ request: HookRequest) async -> HookOutcome {
      let start = Instant.monotonic()
      var tried: Set<String> = []
      var reason = "no process of the integration role answers"
      for attempt in 1...Self.attempts {
        if Task.isCancelled { break }
        guard let peer = pool.choose(not: tried) else {
          tried = []
          do { try await Task.sleep(for: .milliseconds(100 << attempt)) } catch { break }
          continue
        }
        do {
          let link = Parley_Calllink_V1_IntegrationLink.Client(wrapping: peer.client)
          return HookOutcome(try await link.perform(.init(request), options: Self.options(Self.longest)))
        } catch let error as RPCError where error.code == .unavailable || error.code == .cancelled {
          reason = error.message
          tried.insert(peer.address)
          pool.failed(peer.address)
        } catch {
          reason = "\(error)"
          break
        }
      }
      return .failure(
        error: "unreachable", status: 0, message: "the integration role cannot be asked: \(reason)",
        durationMs: Int((Instant.monotonic() - start).milliseconds), attempts: 0)
    }
  }

  struct IntegrationLinkService: Parley_Calllink_V1_IntegrationLink.SimpleServiceProtocol {
    let guardian: RoleGuard
    let integration: any IntegrationHop

    func perform(request: Parley_Calllink_V1_Hook, context: ServerContext) async throws -> Parley_Calllink_V1_HookAnswer
    {
      try guardian.check(context, role: "runtime")
      guard let hook = HookRequest(request) else {
        throw RPCError(code: .invalidArgument, message: "the hook's body is no JSON")
      }
      return .init(await integration.perform(hook))
    }

    func moments(
      request: Parley_Calllink_V1_MomentsRequest, context: ServerContext
    ) async throws -> Parley_Calllink_V1_MomentsAnswer {
      try guardian.check(context, role: "runtime")
      return .with { answer in
        for moment in CallMoment.allCases {
          for service in integration.services(toldOf: moment) {
            answer.moments.append(
              .with {
                $0.moment = moment.rawValue
                $0.service = service.name
                $0.timeoutMs = UInt32(clamping: service.timeout.milliseconds)
              })
          }
        }
      }
    }
  }

  extension Parley_Calllink_V1_Hook {
    init(_ request: HookRequest) {
      self.init()
      session = request.session.value
      tenant = request.tenant
      service = request.service
      url = request.url
      path = request.path
      method = request.method
      headers = request.headers
      if let timeout = request.timeout { timeoutMs = UInt32(clamping: max(1, timeout.milliseconds)) }
      body = JSON.encode(request.body)
      traceparent = request.traceparent
      tracestate = request.tracestate
      switch request.kind {
      case .http: break
      case .listTools: listTools = true
      case .callTool(let name, let arguments):
        tool = name
        self.arguments = JSON.encode(arguments)
      }
    }
  }

  extension HookRequest {
    /// nil: what should be JSON is none.
    init?(_ hook: Parley_Calllink_V1_Hook) {
      guard let body = try? JSON.decode(hook.body) else { return nil }
      var kind = Kind.http
      if hook.listTools { kind = .listTools }
      if !hook.tool.isEmpty {
        guard let arguments = try? JSON.decode(hook.arguments) else { return nil }
        kind = .callTool(name: hook.tool, arguments: arguments)
      }
      self.init(
        session: SessionID(hook.session), tenant: hook.tenant, service: hook.service, kind: kind, url: hook.url,
        path: hook.path, method: hook.method, headers: hook.headers,
        timeout: hook.timeoutMs == 0 ? nil : .milliseconds(Int64(hook.timeoutMs)), body: body)
      traceparent = hook.traceparent
      tracestate = hook.tracestate
    }
  }

  extension Parley_Calllink_V1_HookAnswer {
    init(_ outcome: HookOutcome) {
      self.init()
      switch outcome {
      case .result(let value, let status, let durationMs, let attempts):
        result = JSON.encode(value)
        (self.status, self.durationMs, self.attempts) = (
          UInt32(clamping: status), UInt32(clamping: durationMs), UInt32(clamping: attempts)
        )
      case .failure(let error, let status, let message, let durationMs, let attempts):
        (self.error, self.message) = (error, message)
        (self.status, self.durationMs, self.attempts) = (
          UInt32(clamping: status), UInt32(clamping: durationMs), UInt32(clamping: attempts)
        )
      }
    }
  }

  extension HookOutcome {
    init(_ answer: Parley_Calllink_V1_HookAnswer) {
      if answer.hasResult, let value = try? JSON.decode(answer.result) {
        self = .result(
          value, status: Int(answer.status), durationMs: Int(answer.durationMs), attempts: Int(answer.attempts))
      } else {
        self = .failure(
          error: answer.error.isEmpty ? "invalid_answer" : answer.error, status: Int(answer.status),
          message: answer.message, durationMs: Int(answer.durationMs), attempts: Int(answer.attempts))
      }
    }
  }
#endif
