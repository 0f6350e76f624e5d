import Base
import CallLink
import Logging
import NIOCore
import Storage

/// One call's end of the hop from speech to runtime. Confined to one event loop.
final class RuntimeCall: AnsweredCall {
  typealias Outgoing = RuntimeToSpeech
  typealias Incoming = SpeechToRuntime
  typealias Driver = HopDriver<Outgoing, Incoming>
  typealias Visitors = Reception<Outgoing, Incoming>

  static let role = "runtime"
  static let stateVersion: UInt8 = 1
  /// The dialler may have to be replaced first.
  static let outage: Duration = .seconds(20)
  /// Attempts at reading a predecessor's state; the pauses between them double from 50 ms.
  private static let attempts = 5

  private enum Phase {
    /// Until the seat is ours and the predecessor's state is here.
    case waiting
    case open(Driver, any KeptSide<SpeechToRuntime>, StateKeeping)
    case over
  }

  private let info: CallInfo
  private let door: OnLoop<RuntimeCall>
  private let context: CustodyContext
  private let runtime: any KeptRuntimeHop
  private let onOver: () -> Void
  private let logger: Logger
  private var phase = Phase.waiting
  private var reception: Visitors?
  private var timer: LoopTimer?
  private var delivered: UInt64 = 0
  private var hasFinished = false
  private var isLeaving = false
  private var after = AfterKept()

  init(
    _ info: CallInfo, _ door: OnLoop<RuntimeCall>, _ context: CustodyContext, _ runtime: any KeptRuntimeHop,
    onOver: @escaping () -> Void
  ) {
    self.info = info
    self.door = door
    self.context = context
    self.runtime = runtime
    self.onOver = onOver
    logger = context.logger(info.session)
    timer = LoopTimer(door.eventLoop) { [weak self] in self?.wake() }
    reception = Visitors(CallSeat(info.session, role: Self.role), context, on: door.eventLoop) { [weak self] news in
      guard let self else { return }
      switch news {
      case .held(let token): self.load(token, attempt: 1)
      case .refused: self.vanish()
      case .lost: self.superseded()
      }
    }
  }

  // MARK: From the neighbour

  func accept(_ open: HopOpen, on link: HopLink, over wire: any HopWire<RuntimeToSpeech>) {
    let visitor = Visitors.Visitor(open: open, link: link, wire: wire)
    switch phase {
    case .waiting: reception?.receive(visitor, at: .monotonic())
    case .open(let driver, _, _): driver.accept(open, on: link, over: wire, at: .monotonic())
    case .over: Visitors.refuse(HopClose(.unavailable), visitor)
    }
    schedule()
  }

  func receive(_ event: HopWireEvent<SpeechToRuntime>) {
    switch phase {
    case .waiting: if case .broken(let link) = event, reception?.left(link) == false { vanish() }
    case .open(let driver, _, _): driver.receive(event, at: .monotonic())
    case .over: break
    }
    schedule()
  }

  func leave() {
    isLeaving = true
    if case .open(let driver, _, _) = phase { driver.leave(at: .monotonic()) }
  }

  // MARK: Where another process left off

  private func load(_ token: UInt64, attempt: Int) {
    let promise = door.eventLoop.makePromise(of: SessionCheckpoint?.self)
    promise.completeWithTask { [context, info] in
      try await context.checkpoints.takeOver(info.session, token: Int64(clamping: token))
    }
    promise.futureResult.assumeIsolated().whenComplete { [weak self] result in
      guard let self, case .waiting = self.phase, self.reception?.token == token else { return }
      switch result {
      case .success(let checkpoint): self.begin(token, checkpoint)
      case .failure(let error):
        guard attempt < Self.attempts else {
          self.reception?.refuse(HopClose(.unavailable, message: "the state of the call cannot be read: \(error)"))
          return self.vanish()
        }
        self.door.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(25 << Int64(attempt))) { [weak self] in
          if let self, case .waiting = self.phase { self.load(token, attempt: attempt + 1) }
        }
      }
    }
  }

  private func begin(_ token: UInt64, _ checkpoint: SessionCheckpoint?) {
    let visitors = reception?.admit() ?? []
    guard !visitors.isEmpty else { return vanish() }
    do {
      let now = Instant.monotonic()
      let (kept, snapshot) = try read(checkpoint, for: visitors)
      let end = HopEnd<RuntimeToSpeech, SpeechToRuntime>(
        .answering, session: info.session, me: HopParty(instance: context.holder.instance, fence: token),
        limits: HopLimits(outage: Self.outage), restoring: snapshot, at: now)
      let driver = Driver(end) { [weak self] in self?.act($0) }
      let keeping = StateKeeping(
        context.checkpoints, info.session, token: token, version: checkpoint?.snapshot.sequence ?? 0,
        on: door.eventLoop, logger: logger
      ) { [weak self] in self?.superseded() }
      delivered = snapshot?.received ?? 0
      let sender = RuntimeDoor(door: door, handled: CallPlace(left: delivered))
      let side = try runtime.open(info, speech: sender, state: CallState(custodian: sender, kept: kept))
      phase = .open(driver, side, keeping)
      for visitor in visitors { driver.accept(visitor.open, on: visitor.link, over: visitor.wire, at: now) }
      if isLeaving { driver.leave(at: now) }
      schedule()
    } catch {
      logger.error("a call cannot be gone on with", metadata: ["reason": "\(error)"])
      if error is StateDamage { context.metrics.unread(Self.role) }
      runtime.giveUp(info, reason: "\(error)")
      for visitor in visitors { Visitors.refuse(HopClose(.failed, message: "\(error)"), visitor) }
      vanish()
    }
  }

  private func read(
    _ checkpoint: SessionCheckpoint?, for visitors: [Visitors.Visitor]
  ) throws(StateDamage) -> ([UInt8]?, HopSnapshot<RuntimeToSpeech>?) {
    guard let checkpoint else {
      if visitors.contains(where: { isFresh($0.open) }) { return (nil, nil) }
      throw StateDamage(description: "nothing is kept of the call")
    }
    let bytes = try context.seal.open(checkpoint.snapshot.data, for: sealPlace)
    var reader = try StateReader(bytes, version: Self.stateVersion)
    return (try reader.part(), try reader.snapshot(context.codecs.runtimeToSpeech))
  }

  private var sealPlace: String { "\(Self.role) \(info.session)" }

  // MARK: What the hop wants

  private func act(_ action: HopEnd<RuntimeToSpeech, SpeechToRuntime>.Action) {
    guard case .open(_, let side, _) = phase else { return }
    switch action {
    case .deliver(let message):
      delivered = message.sequence
      side.send(message)
    case .ended(.superseded, _): superseded()
    case .ended(let ending, let close):
      if ending.mustEndCall {
        logger.hopEnded("speech", ending, close)
        delivered += 1
        side.send(Numbered(delivered, .ended(.error)))
      }
      if hasFinished { over() }
    case .lost: context.metrics.broken("runtime")
    case .met, .kept, .remember, .dial, .transmit, .drop: break
    }
  }

  // MARK: From the session

  func sent(_ message: RuntimeToSpeech) { if case .open(let driver, _, _) = phase { _ = driver.send(message) } }

  func keep(_ state: [UInt8], _ place: CallPlace) {
    guard case .open(let driver, _, let keeping) = phase else { return }
    var writer = StateWriter(version: Self.stateVersion)
    writer.write(state)
    writer.write(driver.end.snapshot(handled: place.left), context.codecs.runtimeToSpeech)
    guard let sealed = context.seal.seal(writer.bytes, for: sealPlace) else { return }
    let through = driver.end.lastSent
    let number = after.keep()
    keeping.put(sealed) { [weak self] in self?.isSafe(number, place.left, through) }
  }

  func whenSafe(_ act: @escaping @Sendable () -> Void) { after.add(act) }

  private func isSafe(_ number: UInt64, _ handled: UInt64, _ through: UInt64) {
    guard case .open(let driver, _, _) = phase else { return }
    after.isSafe(number)
    let now = Instant.monotonic()
    driver.settle(through: handled, at: now)
    driver.flush(through: through, at: now)
    schedule()
  }

  func finished() {
    guard case .open(let driver, _, let keeping) = phase, !hasFinished else { return }
    hasFinished = true
    if driver.end.hasEnded { return over() }
    keeping.whenIdle { [weak self] in
      guard let self, case .open(let driver, _, _) = self.phase else { return }
      let now = Instant.monotonic()
      driver.settle(through: self.delivered, at: now)
      driver.finish(at: now)
      self.schedule()
    }
  }

  // MARK: Time

  private func schedule() {
    var next = reception?.deadline
    if case .open(let driver, _, _) = phase { next = [next, driver.end.deadline].compactMap { $0 }.min() }
    timer?.set(next, now: .monotonic())
  }

  private func wake() {
    let now = Instant.monotonic()
    var isVouched = false
    if case .open(let driver, _, _) = phase {
      isVouched = driver.isHeard(at: now)
      driver.timeout(at: now)
    }
    reception?.timeout(at: now, vouched: isVouched)
    schedule()
  }

  // MARK: The end

  /// Another process has the call.
  private func superseded() {
    guard case .open(let driver, let side, let keeping) = phase else { return }
    logger.notice("another process has the call")
    side.abandon()
    keeping.close()
    driver.vanish()
    reception = nil
    vanish()
  }

  private func over() {
    if case .open(_, _, let keeping) = phase { keeping.remove() }
    vanish()
  }

  private func vanish() {
    phase = .over
    onOver()
    reception?.release()
    reception = nil
    timer?.cancel()
    timer = nil
    door.clear()
  }
}

/// The session's way to its call's end of the hop.
private struct RuntimeDoor: HopSink, CallCustodian {
  let door: OnLoop<RuntimeCall>
  let handled: CallPlace

  func send(_ message: Numbered<RuntimeToSpeech>) { door.post { $0.sent(message.message) } }
  func keep(_ state: [UInt8], handled place: CallPlace) { door.post { $0.keep(state, place) } }
  func afterKept(_ act: @escaping @Sendable () -> Void) { door.post { $0.whenSafe(act) } }
  func finished() { door.post { $0.finished() } }
}
