import Base
import Hummingbird
import HummingbirdCore
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Storage

/// Which events a reader wants.
struct EventFilter: Sendable {
  /// Who reads.
  var tenant: String
  /// Empty: all types.
  var types: Set<String>
  var session: SessionID?
  var dialogName: String?

  func takes(_ event: SessionEvent) -> Bool {
    event.tenant == tenant && (types.isEmpty || types.contains(event.type))
      && (session.map { $0 == event.session } ?? true)
      && (dialogName.map { $0 == event.dialogName } ?? true)
  }
}

/// The live event streams (server-sent events, WHATWG HTML section 9.2).
///
/// A stream first catches up with the record, page by page, then subscribes, then reads what came between the last page and
/// the subscription: so nothing is lost, and what was read twice is told apart by its identifier.
final class EventStreams: Sendable {
  enum Start: Sendable {
    case now
    case beginning
    case after(String)
  }

  private enum Item: Sendable {
    case event(SessionEvent)
    case tick
  }

  /// Why a stream ended.
  private enum End: String, Sendable { case slow, stopping, log }

  private struct State {
    var next = 0
    var open: [Int: @Sendable () -> Void] = [:]
    var isStopping = false
  }

  private let log: any EventLog
  private let keepAlive: Duration
  private let buffer: Int
  private let traffic: Traffic
  private let logger: Logger
  private let state = NIOLockedValueBox(State())

  init(log: any EventLog, keepAlive: Duration, buffer: Int, traffic: Traffic, logger: Logger) {
    self.log = log
    self.keepAlive = keepAlive
    self.buffer = buffer
    self.traffic = traffic
    self.logger = logger
  }

  /// Ends all streams and lets no more begin.
  func stop() {
    let open = state.withLockedValue { state in
      state.isStopping = true
      return state.open.values
    }
    for end in open { end() }
  }

  func open(_ filter: EventFilter, start: Start, channel: any Channel) throws(APIProblem) -> ResponseBody {
    guard state.withLockedValue({ $0.open.count }) < APILimits.streams else {
      throw APIProblem(
        .serviceUnavailable, "too_many_streams", "\(APILimits.streams) event streams are open already",
        headers: [.retryAfter: "10"])
    }
    return ResponseBody { [self] writer in
      guard traffic.enter() else { return try await writer.finish(nil) }
      defer { traffic.leave() }
      try await run(filter, start, channel, &writer)
      try await writer.finish(nil)
    }
  }

  private func run(
    _ filter: EventFilter, _ start: Start, _ channel: any Channel, _ writer: inout any ResponseBodyWriter
  ) async throws {
    let watchdog = StalledWrite(channel: channel, limit: .seconds(APILimits.stalledWriteSeconds))
    let (items, mailbox) = AsyncStream<Item>.makeStream(bufferingPolicy: .bufferingOldest(buffer))
    let end = NIOLockedValueBox<End?>(nil)
    @Sendable func finish(_ reason: End) {
      end.withLockedValue { $0 = $0 ?? reason }
      mailbox.finish()
    }
    let id = state.withLockedValue { state -> Int? in
      if state.isStopping { return nil }
      state.next += 1
      state.open[state.next] = { finish(.stopping) }
      return state.next
    }
    guard let id else { return try await writer.write(ByteBuffer(string: ": the gateway is stopping\n\n")) }
    defer { state.withLockedValue { _ = $0.open.removeValue(forKey: id) } }

    let keepAlive = keepAlive
    let ticker = Task {
      while !Task.isCancelled {
        do { try await Task.sleep(for: keepAlive) } catch { return }
        watchdog.check()
        if case .terminated = mailbox.yield(.tick) { return }
      }
    }
    defer { ticker.cancel() }

    // Two seconds before a client comes back.
    try await watchdog.write("retry: 2000\n\n", to: &writer)
    var last: String?
    var wantsHistory = true
    switch start {
    case .now: wantsHistory = false
    case .beginning: break
    case .after(let id): last = id
    }
    while wantsHistory {
      let page = try await log.events(tenant: filter.tenant, after: last, limit: 500)
      guard let newest = page.last else { break }
      last = newest.eventID
      try await write(page, filter, watchdog, &writer)
      if end.withLockedValue({ $0 }) != nil { break }
    }

    let live = log.subscribe(bufferLimit: buffer)
    var seen: Set<String> = []
    while wantsHistory {
      let page = try await log.events(tenant: filter.tenant, after: last, limit: 500)
      guard let newest = page.last else { break }
      last = newest.eventID
      seen.formUnion(page.map(\.eventID))
      try await write(page, filter, watchdog, &writer)
      if end.withLockedValue({ $0 }) != nil { break }
    }
    let forwarder = Task { [seen] in
      for await event in live where filter.takes(event) && !seen.contains(event.eventID) {
        if case .enqueued = mailbox.yield(.event(event)) { continue }
        return finish(.slow)
      }
      // Cancelled: the stream is over already. Otherwise the log let go: we were too slow for it, or it closed.
      if !Task.isCancelled { finish(.log) }
    }
    defer { forwarder.cancel() }
    try await watchdog.write(": live\n\n", to: &writer)

    for await item in items {
      switch item {
      case .event(let event): try await watchdog.write(Self.text(event), to: &writer)
      case .tick: try await watchdog.write(": keep-alive\n\n", to: &writer)
      }
    }
    let reason = end.withLockedValue { $0 } ?? .stopping
    logger.debug("an event stream ended", metadata: ["reason": "\(reason.rawValue)"])
    switch reason {
    case .stopping: try await watchdog.write(": the gateway is stopping\n\n", to: &writer)
    case .slow, .log:
      // No id: the client's Last-Event-ID stays where it was, so that it resumes without loss.
      try await watchdog.write(
        "event: stream_overflow\ndata: {\"detail\":\"the reader was too slow; reconnect with Last-Event-ID\"}\n\n",
        to: &writer)
    }
  }

  private func write(
    _ events: [SessionEvent], _ filter: EventFilter, _ watchdog: StalledWrite, _ writer: inout any ResponseBodyWriter
  ) async throws {
    var text = ""
    for event in events where filter.takes(event) { text += Self.text(event) }
    if !text.isEmpty { try await watchdog.write(text, to: &writer) }
  }

  /// JSON has no line breaks, so one `data` line holds it.
  private static func text(_ event: SessionEvent) -> String {
    "id: \(event.eventID)\nevent: \(event.type)\ndata: \(JSON.encode(EventShape.value(event)))\n\n"
  }
}

/// Closes the connection of a reader that does not take what is written to it: the write would wait for ever.
private final class StalledWrite: Sendable {
  private let channel: any Channel
  private let limit: Duration
  private let began = NIOLockedValueBox<Instant?>(nil)

  init(channel: any Channel, limit: Duration) {
    self.channel = channel
    self.limit = limit
  }

  func write(_ text: String, to writer: inout any ResponseBodyWriter) async throws {
    began.withLockedValue { $0 = .monotonic() }
    defer { began.withLockedValue { $0 = nil } }
    try await writer.write(ByteBuffer(string: text))
  }

  func check() {
    guard let began = began.withLockedValue({ $0 }), Instant.monotonic() - began > limit else { return }
    channel.close(promise: nil)
  }
}
