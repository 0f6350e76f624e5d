import AsyncHTTPClient
import Base
import CallLink
import IntegrationGateway
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import Outbound
import ScriptedServers
import Settings
import Storage
import Telemetry
import Testing

extension OutboundClient {
  /// Reaches the scripted servers, which listen on the loopback.
  static let loopback = OutboundClient(
    settings: OutboundSettings(allowPrivate: [OutboundRule("127.0.0.0/8")].compactMap { $0 }),
    group: MultiThreadedEventLoopGroup.singleton, logger: quiet)
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A real gateway on a free port, with everything behind it in memory.
struct Gateway {
  static let token = "test-token-0123456789"

  let service: IntegrationService
  let port: Int
  let store: SQLSessionStore
  /// Of tokens, the audit log and remembered answers.
  let database: SQLiteDatabase
  let library: SQLDialogLibrary
  var dialogs: any DialogStore { library.scoped(to: Tenant.standard) }
  let bus: MemoryCommandBus
  let metrics: VoiceMetrics
  let numbers: SQLNumberStore
  let contract: Contract
  /// What the tracer was given so far.
  let spans: NIOLockedValueBox<[Span]>

  /// Starts one for `body` and stops it afterwards.
  static func with(
    settings: IntegrationSettings = IntegrationSettings(), access: APIAccess? = nil, keepAlive: Duration = .seconds(15),
    streamBuffer: Int = 1024, redact: [PersonalData] = [], clock: @escaping @Sendable () -> Instant = Instant.monotonic,
    limits: (inout ConnectionLimits) -> Void = { _ in },
    _ body: (Gateway) async throws -> Void
  ) async throws {
    var settings = settings
    settings.listenAddress = "127.0.0.1"
    settings.apiPort = 0
    var configuration = IntegrationConfiguration(
      settings: settings, tokens: [Secret("other-token-01234567"), Secret(token)])
    if let access { configuration.access = access }
    configuration.keepAliveInterval = keepAlive
    configuration.streamBuffer = streamBuffer
    configuration.redactor = Redactor(redact)
    configuration.clock = clock
    limits(&configuration.limits)
    let spans = NIOLockedValueBox<[Span]>([])
    configuration.tracer = Tracer(ratio: 1, directory: TraceDirectory()) { span in
      spans.withLockedValue { $0.append(span) }
    }
    let store = try SQLSessionStore.inMemory()
    let library = try SQLDialogLibrary.inMemory()
    let numbers = try SQLNumberStore.inMemory()
    let database = try SQLiteDatabase.inMemory()
    let bus = MemoryCommandBus()
    let metrics = VoiceMetrics()
    let service = IntegrationService(
      configuration: configuration, eventLog: store, directory: store, commands: bus, dialogs: library,
      numbers: numbers, database: database, webhooks: try WebhookDesk.forTests(),
      outbound: .loopback, metrics: metrics,
      group: MultiThreadedEventLoopGroup.singleton, logger: quiet)
    let port = try await service.start()
    do {
      try await body(
        Gateway(
          service: service, port: port, store: store, database: database, library: library, bus: bus, metrics: metrics,
          numbers: numbers, contract: Contract(service.openAPI), spans: spans))
    } catch {
      await service.stop()
      throw error
    }
    await service.stop()
  }

  func request(_ path: String, method: HTTPMethod = .GET, token: String? = Gateway.token) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
    request.method = method
    if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
    return request
  }

  func send(_ request: HTTPClientRequest) async throws -> Answer {
    await store.flush()
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
    let body = try await response.body.collect(upTo: 1 << 24)
    let answer = Answer(status: Int(response.status.code), headers: response.headers, text: String(buffer: body))
    let path =
      request.url.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: true).last.map { "/" + $0 } ?? "/"
    let wrong = contract.violations(
      method: request.method.rawValue, path: path, status: answer.status,
      type: answer.headers.first(name: "Content-Type") ?? "", text: answer.text)
    #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))")
    return answer
  }

  func get(_ path: String) async throws -> Answer { try await send(request(path)) }

  func post(_ path: String, _ body: String, headers: [(String, String)] = []) async throws -> Answer {
    var request = request(path, method: .POST)
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    request.body = .bytes(ByteBuffer(string: body))
    return try await send(request)
  }

  /// Opens the event stream; its reader goes on where the last call stopped.
  func stream(_ query: String = "", lastEventID: String? = nil) async throws -> EventReader {
    await store.flush()
    var request = request("/v1/calls/events\(query)")
    if let lastEventID { request.headers.add(name: "Last-Event-ID", value: lastEventID) }
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    #expect(response.status == .ok)
    #expect(response.headers.first(name: "Content-Type") == "text/event-stream")
    return EventReader(response.body)
  }
}

struct Answer {
  var status: Int
  var headers: HTTPHeaders
  var text: String
  var json: Value { (try? JSON.decode(text)) ?? .null }
  var items: [Value] { if case .list(let items)? = json["items"] { items } else { [] } }
}

/// Reads server-sent events block by block.
final class EventReader {
  /// One block: comments have only `comment`.
  struct Block: Equatable {
    var id: String?
    var event: String?
    var data: String?
    var comment: String?
    var sequence: Int64? { data.flatMap { try? JSON.decode($0) }?["sequence"]?.intValue }
  }

  private var parts: HTTPClientResponse.Body.AsyncIterator
  private var text = ""

  init(_ body: HTTPClientResponse.Body) { parts = body.makeAsyncIterator() }

  /// The next block; nil when the stream has ended.
  func next() async throws -> Block? {
    while true {
      if let end = text.firstRange(of: "\n\n") {
        let lines = text[..<end.lowerBound].split(separator: "\n")
        text = String(text[end.upperBound...])
        var block = Block()
        for line in lines {
          if line.hasPrefix("id: ") { block.id = String(line.dropFirst(4)) }
          if line.hasPrefix("event: ") { block.event = String(line.dropFirst(7)) }
          if line.hasPrefix("data: ") { block.data = String(line.dropFirst(6)) }
          if line.hasPrefix(": ") { block.comment = String(line.dropFirst(2)) }
        }
        return block
      }
      guard let part = try await parts.next() else { return nil }
      text += String(buffer: part)
    }
  }

  /// Reads events until the stream is live, and gives them back.
  func untilLive() async throws -> [Block] {
    var blocks: [Block] = []
    while let block = try await next() {
      if block.comment == "live" { return blocks }
      if block.event != nil { blocks.append(block) }
    }
    Issue.record("the stream ended before it was live")
    return blocks
  }

  func events(_ count: Int) async throws -> [Block] {
    var blocks: [Block] = []
    while blocks.count < count, let block = try await next() {
      if block.event != nil { blocks.append(block) }
    }
    return blocks
  }
}

func event(
  _ number: Int, session: String = "S1", type: String = "quality", dialog: String = "helpdesk",
  fields: [String: Value] = [:]
) -> SessionEvent {
  let digits = String(number)
  return SessionEvent(
    eventID: "01E" + String(repeating: "0", count: 6 - digits.count) + digits + session, type: type,
    sequence: Int64(number), session: SessionID(session), timestampMs: 1_700_000_000_000 + Int64(number) * 1000,
    dialogName: dialog, fields: fields)
}

func call(_ session: String, startedAtMs: Int64 = 1_700_000_000_000, ended: Bool = false) -> SessionSummary {
  SessionSummary(
    session: SessionID(session), state: ended ? .ended : .active, direction: "inbound", callerID: "1000",
    calledNumber: "2000", dialogName: "helpdesk", currentState: "start", variables: ["issue": "printer"],
    startedAtMs: startedAtMs, answeredAtMs: startedAtMs + 500, endedAtMs: ended ? startedAtMs + 60_500 : nil,
    endReason: ended ? "caller" : nil)
}

/// A customer's backend that answers from a script and remembers what it was asked.
final class Backend: Sendable {
  enum Step: Sendable {
    case answer(Int, String, headers: [(String, String)] = [])
    /// Closes the connection without a word.
    case close
    /// Never answers.
    case hang
  }

  private let http: ScriptedHTTPServer

  /// The last step is repeated for ever.
  init(_ steps: [Step]) {
    let order = ScriptOrder(steps)
    http = ScriptedHTTPServer { _ in
      switch order.next() {
      case .answer(let status, let text, let headers): ScriptedHTTPServer.Step.answer(status, text, headers)
      case .close: [.close]
      case .hang: [.hang]
      }
    }
  }

  var seen: [ScriptedHTTPServer.Request] { http.requests }

  func start() async throws -> Int { try await http.start() }

  func stop() async throws { await http.stop() }
}
