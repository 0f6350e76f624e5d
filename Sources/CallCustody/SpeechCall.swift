import Base
import CallLink
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Storage

/// One call's ends of the hops from media to speech and from speech to runtime. Confined to one event loop.
///
/// What the service must remember is given to the media role with `keep`; only what media has made safe is let out to the runtime
/// and settled. What goes back to media travels behind the memory of it and needs no wait.
final class SpeechCall: AnsweredCall {
  typealias Outgoing = SpeechToMedia
  typealias Incoming = MediaToSpeech
  typealias Left = HopDriver<Outgoing, Incoming>
  typealias Right = HopDriver<SpeechToRuntime, RuntimeToSpeech>
  typealias Visitors = Reception<Outgoing, Incoming>

  static let role = "speech"
  static let stateVersion: UInt8 = 1
  /// How long media may take to come back before its process is taken for dead.
  private static let absence: TimeAmount = .milliseconds(300)
  /// Told to the sender at least so often.
  private static let heardEvery: Int64 = 4_800

  private struct Open {
    var left: Left
    var right: Right
    var side: any KeptSpeechSide
  }
  private enum Phase {
    /// Until the seat is ours.
    case waiting
    case open(Open)
    case over
  }

  /// What is safe once a memory is.
  private struct Waiting {
    var number: UInt64
    /// Among all that this process kept.
    var order: UInt64
    var place: CallPlace
    var rightThrough: UInt64
  }

  private let info: CallInfo
  private let door: OnLoop<SpeechCall>
  private let context: CustodyContext
  private let speech: any KeptSpeechHop
  private let dialer: any HopDialer<SpeechToRuntime, RuntimeToSpeech>
  private let onOver: () -> Void
  private let logger: Logger
  private var phase = Phase.waiting
  private var reception: Visitors?
  private var timer: LoopTimer?
  private let lanes = PlaybackLanes()
  private var hearing = AudioHearing()
  private var toldHeard: Int64 = 0
  private var waiting: [Waiting] = []
  private var delivered = CallPlace()
  private var hasFinished = false
  private var isRightOver = false
  private var isLeaving = false
  private var after = AfterKept()

  init(
    _ info: CallInfo, _ door: OnLoop<SpeechCall>, _ context: CustodyContext, _ speech: any KeptSpeechHop,
    _ dialer: any HopDialer<SpeechToRuntime, RuntimeToSpeech>, onOver: @escaping () -> Void
  ) {
    self.info = info
    self.door = door
    self.context = context
    self.speech = speech
    self.dialer = dialer
    self.onOver = onOver
    context.noticed(info)
    logger = context.logger(info.session)
    timer = LoopTimer(door.eventLoop) { [weak self] in self?.wake() }
    reception = Visitors(CallSeat(info.session, role: Self.role), context, on: door.eventLoop) { [weak self] news in
      guard let self else { return }
      switch news {
      case .held(let token): self.begin(token)
      case .refused: self.vanish()
      case .lost: self.superseded()
      }
    }
  }

  // MARK: From media

  func accept(_ open: HopOpen, on link: HopLink, over wire: any HopWire<SpeechToMedia>) {
    let visitor = Visitors.Visitor(open: open, link: link, wire: wire)
    switch phase {
    case .waiting: reception?.receive(visitor, at: .monotonic())
    case .open(let call): call.left.accept(open, on: link, over: wire, at: .monotonic())
    case .over: Visitors.refuse(HopClose(.unavailable), visitor)
    }
    schedule()
  }

  func receive(_ event: HopWireEvent<MediaToSpeech>) {
    switch phase {
    case .waiting: if case .broken(let link) = event, reception?.left(link) == false { vanish() }
    case .open(let call):
      if case .sound(let sound, let link) = event, link == call.left.end.link { receive(sound, call) }
      call.left.receive(event, at: .monotonic())
      pump(call)
    case .over: break
    }
    schedule()
  }

  private func receive(_ sound: HopSound, _ call: Open) {
    switch sound {
    case .samples(HopSound.caller, let position, let pcm):
      guard let (repeated, _) = hearing.receive(position: position, count: pcm.count) else { return }
      pcm.withUnsafeBufferPointer {
        if repeated < $0.count {
          call.side.audio(UnsafeBufferPointer(rebasing: $0[repeated...]), position: position + Int64(repeated))
        }
      }
      if hearing.next - toldHeard >= Self.heardEvery { tellHeard(call) }
    case .samples: break
    case .heard(let lane, let through, let mayReach): lanes.heard(lane, through: through, mayReach: mayReach)
    }
  }

  /// Says what of the caller's voice is needed no more, by us or by a successor, and how much may come.
  private func tellHeard(_ call: Open) {
    toldHeard = hearing.next
    call.left.transmit(
      .heard(
        lane: HopSound.caller, through: min(hearing.next, call.side.heardFrom),
        mayReach: hearing.next + HopSound.window))
  }

  private func pump(_ call: Open) {
    guard call.left.end.isAttached else { return }
    while let sound = lanes.next() { call.left.transmit(sound) }
  }

  func leave() {
    isLeaving = true
    if case .open(let call) = phase { call.left.leave(at: .monotonic()) }
  }

  // MARK: From the runtime

  private func receive(_ event: HopWireEvent<RuntimeToSpeech>) {
    guard case .open(let call) = phase else { return }
    call.right.receive(event, at: .monotonic())
    schedule()
  }

  // MARK: Where another process left off

  private func begin(_ token: UInt64) {
    let visitors = reception?.admit() ?? []
    guard !visitors.isEmpty else { return vanish() }
    do {
      let now = Instant.monotonic()
      let me = HopParty(instance: context.holder.instance, fence: token)
      let kept = try read(visitors)
      let left = Left(
        HopEnd(
          .answering, session: info.session, me: me, limits: HopLimits(outage: RuntimeCall.outage),
          restoring: kept?.left, at: now)
      ) { [weak self] in self?.act($0) }
      let right = Right(HopEnd(.dialing, session: info.session, me: me, restoring: kept?.right, at: now)) {
        [weak self] in self?.act($0)
      }
      delivered = CallPlace(left: kept?.left.received ?? 0, right: kept?.right.received ?? 0)
      let ways = SpeechWays(door: door, lanes: lanes, handled: delivered)
      let side = try speech.open(
        info, media: ways, runtime: ClosureSink { [door] message in door.post { $0.sent(message.message) } },
        state: CallState(custodian: ways, kept: kept?.state))
      let call = Open(left: left, right: right, side: side)
      phase = .open(call)
      hearing = AudioHearing(from: side.heardFrom)
      for visitor in visitors { left.accept(visitor.open, on: visitor.link, over: visitor.wire, at: now) }
      let wire = dialer.wire(for: info) { [door] event in door.post { $0.receive(event) } }
      right.start(over: wire, at: now)
      // Nothing of a predecessor's goes on before media has kept that it is ours.
      if let kept { keep(kept.state, delivered) }
      if isLeaving { left.leave(at: now) }
      schedule()
    } catch {
      logger.error("a call cannot be gone on with", metadata: ["reason": "\(error)"])
      if error is StateDamage { context.metrics.unread(Self.role) }
      for visitor in visitors { Visitors.refuse(HopClose(.failed, message: "\(error)"), visitor) }
      vanish()
    }
  }

  private struct Kept {
    var state: [UInt8]
    var left: HopSnapshot<SpeechToMedia>
    var right: HopSnapshot<SpeechToRuntime>
  }

  private func read(_ visitors: [Visitors.Visitor]) throws(StateDamage) -> Kept? {
    // The newest transport has the newest memory.
    guard let memory = visitors.last(where: { $0.open.memory != nil })?.open.memory else {
      if visitors.contains(where: { isFresh($0.open) }) { return nil }
      throw StateDamage(description: "nothing is kept of the call")
    }
    var reader = try StateReader(memory.bytes, version: Self.stateVersion)
    return Kept(
      state: try reader.part(), left: try reader.snapshot(context.codecs.speechToMedia),
      right: try reader.snapshot(context.codecs.speechToRuntime))
  }

  // MARK: What the hops want

  private func act(_ action: HopEnd<SpeechToMedia, MediaToSpeech>.Action) {
    guard case .open(let call) = phase else { return }
    switch action {
    case .deliver(let message):
      delivered.left = message.sequence
      switch message.message {
      case .playoutFinished(let id), .playoutCleared(let id, _): lanes.close(id)
      default: break
      }
      call.side.send(message)
    case .met(let meeting, _):
      tellHeard(call)
      if meeting == .replaced || meeting == .forgetful { call.side.mediaReplaced() }
    case .lost:
      lanes.pause()
      context.metrics.broken("speech")
      awaitMedia(call)
    case .kept(let number): kept(number, call)
    case .ended(.superseded, _): superseded()
    case .ended(let ending, let close):
      if ending.mustEndCall {
        logger.hopEnded("media", ending, close)
        delivered.left += 1
        call.side.send(Numbered(delivered.left, .ended(.error)))
        // Nobody keeps anything of the call any more, so there is nothing to wait for.
        letOut(call)
      }
      if hasFinished, isRightOver { vanish() }
    case .remember, .dial, .transmit, .drop: break
    }
  }

  private func act(_ action: HopEnd<SpeechToRuntime, RuntimeToSpeech>.Action) {
    guard case .open(let call) = phase else { return }
    switch action {
    case .deliver(let message):
      delivered.right = message.sequence
      call.side.fromRuntime.send(message)
    case .lost: context.metrics.broken("runtime")
    case .ended(.superseded, _): superseded()
    case .ended(let ending, let close):
      isRightOver = true
      if ending.mustEndCall {
        logger.hopEnded("runtime", ending, close)
        delivered.right += 1
        call.side.fromRuntime.send(Numbered(delivered.right, .hangup(.error, afterPlayback: false)))
      }
      if hasFinished { finishLeft(call) }
    case .met, .remember, .kept, .dial, .transmit, .drop: break
    }
  }

  /// The connections of a process that was killed break long before its lease runs out: others may have its calls then. A process
  /// that lives and has lost only this connection prolongs its lease again, unless somebody was faster, and then it stops.
  private func awaitMedia(_ call: Open) {
    guard !hasFinished, let peer = call.left.end.peer else { return }
    door.eventLoop.assumeIsolated().scheduleTask(in: Self.absence) { [weak self] in
      guard let self, case .open(let call) = self.phase, !self.hasFinished, call.left.end.peer == peer,
        !call.left.end.isAttached, !call.left.end.hasEnded
      else { return }
      let ours = CallSeat(self.info.session, role: Self.role)
      let theirs = CallLease(
        seat: CallSeat(self.info.session, role: MediaCustody.role), holder: CallHolder(instance: peer.instance),
        token: Int64(clamping: peer.fence))
      let directory = self.context.directory, instance = self.context.holder.instance
      Task {
        // Where another speech process has the call, media may be there. What cannot be asked is left to the lease.
        guard let lease = try? await directory.lease(of: ours), lease.holder.instance == instance else { return }
        _ = try? await directory.renew([theirs], for: .milliseconds(1))
      }
    }
  }

  // MARK: From the service

  func sent(_ message: SpeechToMedia) {
    guard case .open(let call) = phase else { return }
    let number = call.left.send(message)
    if case .play(let id) = message { lanes.number(id, number) }
  }

  func sent(_ message: SpeechToRuntime) {
    guard case .open(let call) = phase else { return }
    _ = call.right.send(message)
    if call.left.end.hasEnded { letOut(call) }
  }

  func hasSound() {
    guard case .open(let call) = phase else { return }
    pump(call)
  }

  func keep(_ state: [UInt8], _ place: CallPlace) {
    guard case .open(let call) = phase else { return }
    let now = Instant.monotonic()
    var writer = StateWriter(version: Self.stateVersion)
    writer.write(state)
    writer.write(call.left.end.snapshot(handled: place.left), context.codecs.speechToMedia)
    writer.write(call.right.end.snapshot(handled: place.right), context.codecs.speechToRuntime)
    let through = call.right.end.lastSent
    let number = call.left.keep(writer.bytes, at: now)
    call.left.flush(at: now)
    _ = after.keep()
    waiting.append(Waiting(number: number, order: after.kept, place: place, rightThrough: through))
    if call.left.end.hasEnded { letOut(call) }
    pump(call)
    schedule()
  }

  private func kept(_ number: UInt64, _ call: Open) {
    guard let last = waiting.last(where: { $0.number <= number }) else { return }
    waiting.removeAll { $0.number <= number }
    after.isSafe(last.order)
    let now = Instant.monotonic()
    call.right.flush(through: last.rightThrough, at: now)
    call.right.settle(through: last.place.right, at: now)
    // The last message of a call is settled when its end has arrived further right: until then our memory is needed.
    if !hasFinished { call.left.settle(through: last.place.left, at: now) }
    if hasFinished, waiting.isEmpty { call.right.finish(at: now) }
  }

  func whenSafe(_ act: @escaping @Sendable () -> Void) { after.add(act) }

  private func letOut(_ call: Open) {
    waiting = []
    after.isSafe(after.kept)
    let now = Instant.monotonic()
    call.right.flush(at: now)
    call.right.settle(through: delivered.right, at: now)
    if hasFinished { call.right.finish(at: now) }
  }

  func finished() {
    guard case .open(let call) = phase, !hasFinished else { return }
    hasFinished = true
    if isRightOver { return finishLeft(call) }
    if waiting.isEmpty || call.left.end.hasEnded { call.right.finish(at: .monotonic()) }
    schedule()
  }

  private func finishLeft(_ call: Open) {
    let now = Instant.monotonic()
    if call.left.end.hasEnded { return vanish() }
    call.left.settle(through: delivered.left, at: now)
    call.left.finish(at: now)
    schedule()
  }

  // MARK: Time

  private func schedule() {
    var next = reception?.deadline
    if case .open(let call) = phase {
      next = [next, call.left.end.deadline, call.right.end.deadline].compactMap { $0 }.min()
    }
    timer?.set(next, now: .monotonic())
  }

  private func wake() {
    let now = Instant.monotonic()
    var isVouched = false
    if case .open(let call) = phase {
      isVouched = call.left.isHeard(at: now)
      call.left.timeout(at: now)
      call.right.timeout(at: now)
    }
    reception?.timeout(at: now, vouched: isVouched)
    schedule()
  }

  // MARK: The end

  /// Another process has the call.
  private func superseded() {
    guard case .open(let call) = phase else { return }
    logger.notice("another process has the call")
    call.side.abandon()
    reception = nil
    vanish()
  }

  private func vanish() {
    if case .open(let call) = phase {
      call.left.vanish()
      call.right.vanish()
    }
    phase = .over
    onOver()
    reception?.release()
    reception = nil
    timer?.cancel()
    timer = nil
    door.clear()
  }
}

/// The service's ways out of a kept call.
private struct SpeechWays: MediaSide, CallCustodian {
  let door: OnLoop<SpeechCall>
  let lanes: PlaybackLanes
  let handled: CallPlace

  func send(_ message: Numbered<SpeechToMedia>) {
    if case .play(let id) = message.message { lanes.open(id) }
    door.post { $0.sent(message.message) }
  }

  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int {
    let taken = lanes.write(pcm, to: playback)
    if taken > 0 { door.post { $0.hasSound() } }
    return taken
  }

  func keep(_ state: [UInt8], handled place: CallPlace) { door.post { $0.keep(state, place) } }
  func afterKept(_ act: @escaping @Sendable () -> Void) { door.post { $0.whenSafe(act) } }
  func finished() { door.post { $0.finished() } }
}
