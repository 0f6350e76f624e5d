import Base
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Storage

/// Hands each live event to all who read, encoded once and written from the event loop of each connection. Any thread.
final class EventHub: Sendable {
  /// A reader's place in the hub.
  struct Seat: Sendable {
    fileprivate var id: Int
    fileprivate var floor: Floor
    /// Why the reader gets no more; succeeds exactly once.
    var ended: EventLoopFuture<StreamEnd>
    fileprivate var over = NIOLockedValueBox(false)
    var isOver: Bool { over.withLockedValue { $0 } }
  }

  /// All readers on one event loop.
  fileprivate final class Floor: Sendable {
    struct Inbox {
      var events: [EncodedEvent] = []
      var isScheduled = false
    }
    let loop: any EventLoop
    let inbox = NIOLockedValueBox(Inbox())
    let outlets: NIOLoopBoundBox<[Int: EventOutlet]>

    init(loop: any EventLoop) {
      self.loop = loop
      outlets = .makeBoxSendingValue([:], eventLoop: loop)
    }

    func deliver(_ event: EncodedEvent) {
      let schedule = inbox.withLockedValue { inbox in
        inbox.events.append(event)
        defer { inbox.isScheduled = true }
        return !inbox.isScheduled
      }
      if schedule { loop.execute { self.empty() } }
    }

    /// What came while the loop was busy goes out together.
    private func empty() {
      let events = inbox.withLockedValue { inbox in
        inbox.isScheduled = false
        defer { inbox.events = [] }
        return inbox.events
      }
      for outlet in outlets.value.values { outlet.take(events) }
    }
  }

  private struct State {
    var next = 0
    var count = 0
    var floors: [ObjectIdentifier: Floor] = [:]
    var tickers: [RepeatedTask] = []
    var source: Task<Void, Never>?
    var isStopping = false
  }

  private let log: any EventLog
  let keepAlive: Duration
  private let limit: Int
  private let seats: Int
  private let state = NIOLockedValueBox(State())

  /// - Parameters:
  ///   - limit: events that a reader may lag behind.
  ///   - seats: readers at once.
  init(log: any EventLog, keepAlive: Duration, limit: Int, seats: Int) {
    self.log = log
    self.keepAlive = keepAlive
    self.limit = limit
    self.seats = seats
  }

  var isFull: Bool { state.withLockedValue { $0.count >= seats } }

  /// A seat for a reader that has not read the record yet; nil: the hub is full or stops.
  func sit(_ channel: any Channel, filter: EventFilter, format: EventFormat) -> Seat? {
    let promise = channel.eventLoop.makePromise(of: StreamEnd.self)
    let seat: Seat? = state.withLockedValue { state in
      guard !state.isStopping, state.count < seats else { return nil }
      state.next += 1
      state.count += 1
      let key = ObjectIdentifier(channel.eventLoop)
      let floor = state.floors[key] ?? Floor(loop: channel.eventLoop)
      if state.floors.updateValue(floor, forKey: key) == nil { state.tickers.append(ticker(floor)) }
      if state.source == nil { state.source = follow(log.subscribe(bufferLimit: APILimits.hubBuffer)) }
      return Seat(id: state.next, floor: floor, ended: promise.futureResult)
    }
    guard let seat else {
      promise.succeed(.stopping)
      return nil
    }
    let limit = limit
    seat.ended.whenComplete { _ in seat.over.withLockedValue { $0 = true } }
    seat.floor.loop.execute {
      seat.floor.outlets.value[seat.id] = EventOutlet(
        channel: channel, filter: filter, format: format, limit: limit, ended: promise)
    }
    channel.closeFuture.whenComplete { _ in self.end(seat, .gone) }
    // A stop that came meanwhile has not seen the outlet.
    if state.withLockedValue({ $0.isStopping }) { end(seat, .stopping) }
    return seat
  }

  /// From here on live events are kept for the reader.
  func join(_ seat: Seat) async { await on(seat) { $0.join() } }

  func goLive(_ seat: Seat, without seen: Set<String>) async { await on(seat) { $0.goLive(without: seen) } }

  func set(_ filter: EventFilter, for seat: Seat) async { await on(seat) { $0.set(filter) } }

  func leave(_ seat: Seat) {
    state.withLockedValue { $0.count -= 1 }
    seat.floor.loop.execute { seat.floor.outlets.value.removeValue(forKey: seat.id)?.end(.gone) }
  }

  /// Ends all streams and lets no more begin.
  func stop() {
    let (floors, tickers, source) = state.withLockedValue { state in
      state.isStopping = true
      defer { state.tickers = [] }
      return (Array(state.floors.values), state.tickers, state.source)
    }
    source?.cancel()
    for ticker in tickers { ticker.cancel() }
    endAll(.stopping, floors)
  }

  func end(_ seat: Seat, _ reason: StreamEnd) {
    seat.floor.loop.execute { seat.floor.outlets.value[seat.id]?.end(reason) }
  }

  private func on(_ seat: Seat, _ body: @escaping @Sendable (EventOutlet) -> Void) async {
    let done: EventLoopFuture<Void> = seat.floor.loop.submit {
      if let outlet = seat.floor.outlets.value[seat.id] { body(outlet) }
    }
    // Only a loop that is shut down fails this, and nobody reads then.
    try? await done.get()
  }

  private func endAll(_ reason: StreamEnd, _ floors: [Floor]) {
    for floor in floors {
      floor.loop.execute { for outlet in floor.outlets.value.values { outlet.end(reason) } }
    }
  }

  private func ticker(_ floor: Floor) -> RepeatedTask {
    let interval = TimeAmount.nanoseconds(keepAlive.nanoseconds)
    return floor.loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
      let now = Instant.monotonic()
      for outlet in floor.outlets.value.values {
        outlet.tick(now, stallLimit: .seconds(APILimits.stalledWriteSeconds))
      }
    }
  }

  private func follow(_ events: AsyncStream<SessionEvent>) -> Task<Void, Never> {
    Task {
      for await event in events {
        let floors = state.withLockedValue { Array($0.floors.values) }
        let encoded = EncodedEvent(event)
        for floor in floors { floor.deliver(encoded) }
      }
      let floors = state.withLockedValue { state in
        state.source = nil
        return Array(state.floors.values)
      }
      if !Task.isCancelled { endAll(.log, floors) }
    }
  }
}
