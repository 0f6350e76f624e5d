import Base
import HTTPTypes
import HummingbirdCore
import NIOCore
import NIOHTTPTypes
import Storage
import Telemetry

/// Which events a reader wants. Nobody ever gets those of another tenant.
struct EventFilter: Sendable {
  var tenant: String
  /// Empty: all types.
  var types: Set<String> = []
  var session: SessionID?
  var dialogName: String?

  func takes(_ event: SessionEvent) -> Bool {
    event.tenant == tenant && (types.isEmpty || types.contains(event.type))
      && (session.map { $0 == event.session } ?? true)
      && (dialogName.map { $0 == event.dialogName } ?? true)
  }
}

/// An event as bytes, made once for all who read it.
struct EncodedEvent: Sendable {
  var event: SessionEvent
  /// What a WebSocket carries.
  var json: ByteBuffer
  /// What a stream of server-sent events carries. JSON has no line breaks, so one `data` line holds it.
  var block: ByteBuffer

  init(_ event: SessionEvent) {
    self.event = event
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512)
    bytes += "id: \(event.eventID)\nevent: \(event.type)\ndata: ".utf8
    let start = bytes.count
    JSON.write(EventShape.value(event), to: &bytes)
    let end = bytes.count
    bytes += "\n\n".utf8
    block = ByteBuffer(bytes: bytes)
    json = block.getSlice(at: start, length: end - start) ?? ByteBuffer()
  }
}

/// How a reader takes its events.
enum EventFormat: Sendable {
  case serverSent
  case socket

  func part(_ event: EncodedEvent) -> NIOAny {
    switch self {
    case .serverSent: NIOAny(HTTPResponsePart.body(event.block))
    case .socket: NIOAny(SocketOutput.text(event.json))
    }
  }
}

/// Why a reader gets no more.
enum StreamEnd: String, Sendable {
  /// It lags behind by more than its buffer.
  case slow
  case stopping
  /// Its token is not valid any more.
  case denied
  /// The log let go of us: we were too slow for it, or it closed.
  case log
  /// The connection is over.
  case gone
}

/// One reader of the live events. Lives on the event loop of its connection.
final class EventOutlet {
  private enum Phase {
    /// Still reads the record; what happens now will be read there.
    case reading
    /// Reads the last of the record; what happens now waits.
    case joining([EncodedEvent])
    case live
    case over
  }

  let channel: any Channel
  private let format: EventFormat
  private let limit: Int
  private let ended: EventLoopPromise<StreamEnd>
  private var filter: EventFilter
  private var phase = Phase.reading
  /// Events that the connection has not taken yet. Their bytes are those of every other reader.
  private var waiting = 0
  private var taken = 0
  private var takenAtLastCheck = 0
  private var checkedAt: Instant?

  init(
    channel: any Channel, filter: EventFilter, format: EventFormat, limit: Int, ended: EventLoopPromise<StreamEnd>
  ) {
    self.channel = channel
    self.filter = filter
    self.format = format
    self.limit = limit
    self.ended = ended
  }

  func set(_ filter: EventFilter) { self.filter = filter }

  func join() {
    if case .reading = phase { phase = .joining([]) }
  }

  /// - Parameter seen: events that were read from the record already.
  func goLive(without seen: Set<String>) {
    guard case .joining(let held) = phase else { return }
    phase = .live
    write(held.filter { !seen.contains($0.event.eventID) })
  }

  func take(_ events: [EncodedEvent]) {
    switch phase {
    case .reading, .over: return
    case .joining(var held):
      held += events.filter { filter.takes($0.event) }
      phase = .joining(held)
      if held.count > limit { end(.slow) }
    case .live: write(events.filter { filter.takes($0.event) })
    }
  }

  /// Says that the stream lives; cuts off a reader that takes nothing of what waits for it.
  func tick(_ now: Instant, stallLimit: Duration) {
    if channel.isWritable || taken != takenAtLastCheck {
      checkedAt = now
    } else if let checkedAt, now - checkedAt > stallLimit {
      return channel.close(promise: nil)
    }
    takenAtLastCheck = taken
    checkedAt = checkedAt ?? now
    if case .live = phase, case .serverSent = format, channel.isWritable {
      channel.pipeline.syncOperations.writeAndFlush(
        NIOAny(HTTPResponsePart.body(ByteBuffer(string: ": keep-alive\n\n"))), promise: nil)
    }
  }

  func end(_ reason: StreamEnd) {
    if case .over = phase { return }
    phase = .over
    ended.succeed(reason)
  }

  private func write(_ events: [EncodedEvent]) {
    guard !events.isEmpty else { return }
    let room = max(0, limit - waiting)
    let fitting = events.prefix(room)
    if !fitting.isEmpty {
      waiting += fitting.count
      let pipeline = channel.pipeline.syncOperations
      for event in fitting.dropLast() { pipeline.write(format.part(event), promise: nil) }
      if let last = fitting.last {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        let count = fitting.count
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        promise.futureResult.whenComplete { _ in
          bound.value.waiting -= count
          bound.value.taken += count
        }
        pipeline.writeAndFlush(format.part(last), promise: promise)
      }
    }
    if fitting.count < events.count { end(.slow) }
  }
}
