import Base
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Storage

/// The live event streams: server-sent events (WHATWG HTML section 9.2), or JSON in the texts of a WebSocket.
///
/// A stream first catches up with the record, page by page, then has live events kept for it, then reads what came between
/// the last page and that: so nothing is lost, and what was read twice is told apart by its identifier.
final class EventStreams: Sendable {
  enum Start: Sendable {
    case now
    case beginning
    case after(String)
  }

  private let log: any EventLog
  private let hub: EventHub
  private let traffic: Traffic
  private let logger: Logger

  init(log: any EventLog, hub: EventHub, traffic: Traffic, logger: Logger) {
    self.log = log
    self.hub = hub
    self.traffic = traffic
    self.logger = logger
  }

  /// Ends all streams and lets no more begin.
  func stop() { hub.stop() }

  private static var full: APIProblem {
    APIProblem(
      .serviceUnavailable, "too_many_streams", "as many event streams are open as the gateway serves",
      headers: [.retryAfter: "10"])
  }

  // MARK: Server-sent events

  /// - Parameter isWelcome: whether the reader's token is still good: asked as often as an idle stream says that it lives.
  func open(
    _ filter: EventFilter, start: Start, channel: any Channel, isWelcome: @escaping @Sendable () async -> Bool
  ) async throws -> ResponseBody {
    guard !hub.isFull else { throw Self.full }
    return ResponseBody { [self] writer in
      guard traffic.enter() else { return try await writer.finish(nil) }
      defer { traffic.leave() }
      guard let seat = hub.sit(channel, filter: filter, format: .serverSent) else {
        try await writer.write(ByteBuffer(string: Self.farewell(.stopping)))
        return try await writer.finish(nil)
      }
      let watch = watch(seat, isWelcome)
      defer {
        watch.cancel()
        hub.leave(seat)
      }
      // Two seconds before a client comes back.
      try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
      var record = RecordReader(log: log, tenant: filter.tenant, hub: hub, seat: seat, start: start)
      while let page = try await record.next() {
        var bytes = ByteBuffer()
        for event in page where filter.takes(event) { bytes.writeImmutableBuffer(EncodedEvent(event).block) }
        if bytes.readableBytes > 0 { try await writer.write(bytes) }
      }
      try await writer.write(ByteBuffer(string: ": live\n\n"))
      await hub.goLive(seat, without: record.seen)
      try await writer.write(ByteBuffer(string: Self.farewell(try await ending(of: seat))))
      try await writer.finish(nil)
    }
  }

  private static func farewell(_ reason: StreamEnd) -> String {
    switch reason {
    case .stopping, .gone: ": the gateway is stopping\n\n"
    case .denied: ": the token is not valid any more\n\n"
    case .slow, .log:
      // No id: the client's Last-Event-ID stays where it was, so that it resumes without loss.
      "event: stream_overflow\ndata: {\"detail\":\"the reader was too slow; reconnect with Last-Event-ID\"}\n\n"
    }
  }

  // MARK: WebSocket

  /// Each event is one text; what has a member `control` is about the stream itself. The client may send a new filter:
  /// `{"event_types": [], "session_id": "", "dialog_name": ""}`, all optional.
  func serve(
    _ filter: EventFilter, start: Start, socket: APISocket, isWelcome: @escaping @Sendable () async -> Bool
  ) async throws {
    guard let seat = hub.sit(socket.channel, filter: filter, format: .socket) else {
      return await socket.close(code: 1013, reason: Self.full.detail)
    }
    let watch = watch(seat, isWelcome)
    defer {
      watch.cancel()
      hub.leave(seat)
    }
    var record = RecordReader(log: log, tenant: filter.tenant, hub: hub, seat: seat, start: start)
    while let page = try await record.next() {
      for event in page where filter.takes(event) { try await socket.send(text: EncodedEvent(event).json) }
    }
    try await socket.send(.text("{\"control\":\"live\"}"))
    await hub.goLive(seat, without: record.seen)
    async let filters: Void = heedFilters(socket, seat, filter.tenant)
    switch try await ending(of: seat) {
    case .slow, .log: await socket.close(code: 1008, reason: "the reader was too slow; reconnect with last_event_id")
    case .stopping: await socket.close(code: 1001, reason: "the gateway is stopping")
    case .denied: await socket.close(code: 1008, reason: "the token is not valid any more")
    case .gone: break
    }
    await filters
  }

  private func heedFilters(_ socket: APISocket, _ seat: EventHub.Seat, _ tenant: String) async {
    do {
      for try await message in socket.messages {
        var answer: [String: Value] = ["control": "filter"]
        do {
          guard case .text(let text) = message else { throw APIProblem.badRequest("a filter is sent as text") }
          let members = try APIInput.body(Array(text.utf8), EventRoutes.filters)
          await hub.set(EventRoutes.filter(members, tenant: tenant), for: seat)
          answer["filter"] = .map(members)
        } catch let problem as APIProblem {
          answer = ["control": "problem", "detail": .string(problem.detail)]
        }
        try await socket.send(.text(JSON.encode(.map(answer))))
      }
    } catch {
      logger.debug("an event socket ended", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Both

  /// Ends the stream of a reader whose token has expired or was revoked: nobody reads on by a door that opened once.
  private func watch(_ seat: EventHub.Seat, _ isWelcome: @escaping @Sendable () async -> Bool) -> Task<Void, Never> {
    Task { [hub] in
      while !Task.isCancelled {
        do { try await Task.sleep(for: hub.keepAlive) } catch { return }
        if await !isWelcome() { return hub.end(seat, .denied) }
      }
    }
  }

  private func ending(of seat: EventHub.Seat) async throws -> StreamEnd {
    let reason = try await seat.ended.get()
    logger.debug("an event stream ended", metadata: ["reason": "\(reason.rawValue)"])
    return reason
  }
}

/// Reads the record for a stream that begins in the past, and joins it to what happens now.
private struct RecordReader {
  private static let page = 500
  /// Identifiers that are remembered; far more than the hub can be behind the record.
  private static let memory = 16_384

  private let log: any EventLog
  private let tenant: String
  private let hub: EventHub
  private let seat: EventHub.Seat
  private var last: String?
  private var wantsHistory = true
  private var hasJoined = false
  private var isDone = false
  private var recent: [String] = []

  init(log: any EventLog, tenant: String, hub: EventHub, seat: EventHub.Seat, start: EventStreams.Start) {
    self.log = log
    self.tenant = tenant
    self.hub = hub
    self.seat = seat
    switch start {
    case .now: wantsHistory = false
    case .beginning: break
    case .after(let id): last = id
    }
  }

  /// What was read of late.
  var seen: Set<String> { Set(recent) }

  /// nil: everything on record has been read, and live events are kept for the seat.
  mutating func next() async throws -> [SessionEvent]? {
    while !isDone, !seat.isOver {
      guard wantsHistory else {
        await hub.join(seat)
        isDone = true
        break
      }
      let events = try await log.events(tenant: tenant, after: last, limit: Self.page)
      if let newest = events.last { last = newest.eventID }
      recent += events.map(\.eventID)
      if recent.count > Self.memory { recent.removeFirst(recent.count - Self.memory) }
      if events.count < Self.page {
        if hasJoined { isDone = true } else { await hub.join(seat) }
        hasJoined = true
      }
      if !events.isEmpty { return events }
    }
    return nil
  }
}
