import Base
import CallLink
import Logging
import NIOCore
import Storage

/// One call's end of the hop from media to speech. Confined to the call's event loop.
final class MediaEnd {
  typealias Driver = HopDriver<MediaToSpeech, SpeechToMedia>

  static let stateVersion: UInt8 = 1
  /// Twelve seconds: what a successor of speech wants to hear again, which is six seconds of silence or a long turn, and what is said
  /// while it is looked for.
  private static let voice = 192_000
  /// Samples in one frame of the caller's voice when much is repeated.
  private static let piece = 3_200
  /// How long a report of progress waits for something to be written with. There are ten a second, and a successor has its own.
  private static let company: Duration = .milliseconds(500)
  /// Messages that wait for the claim.
  private static let early = 256
  /// A new call is refused when the directory has not answered for so long.
  private static let claimLimit: TimeAmount = .milliseconds(1_500)

  private enum Phase {
    case claiming([MediaToSpeech])
    case open(Driver, StateKeeping)
    case over
  }

  /// A playback that is being heard.
  private struct Hearing {
    var playback: PlaybackID
    var hearing = AudioHearing()
    /// Heard and not taken by the media role yet.
    var waiting: [Int16] = []
    var told: Int64 = 0
    /// The first report of progress says that it is being heard.
    var isHeard = false
  }

  private let info: CallInfo
  private let door: OnLoop<MediaEnd>
  private let context: CustodyContext
  private let leases: MediaLeases
  private let dialer: any HopDialer<MediaToSpeech, SpeechToMedia>
  private let media: any KeptMediaSide
  private let inherited: MediaCustody.Inherited?
  private let onOver: () -> Void
  private let logger: Logger
  private let seat: CallSeat
  private var phase = Phase.claiming([])
  private var timer: LoopTimer?
  private var lane = AudioLane(capacity: MediaEnd.voice, whenFull: .skipOldest)
  private var isLanePaused = true
  /// What is added to the positions of the leg: that of a successor counts from zero again. nil: speech has not said how far it
  /// had heard.
  private var offset: Int64?
  /// Where the leg's next sample is, by its own count.
  private var legEnd: Int64 = 0
  private var hearings: [UInt64: Hearing] = [:]
  private var state: [UInt8] = []
  private var place = CallPlace()
  private var delivered: UInt64 = 0
  private var isDirty = false
  private var isWriting = false
  /// What has come since the last write is more than progress.
  private var isUrgent = true
  private var isLate = false
  private var lateWrite: LoopTimer?
  private var hasFinished = false
  private var after = AfterKept()

  init(
    _ info: CallInfo, _ door: OnLoop<MediaEnd>, _ context: CustodyContext, _ leases: MediaLeases,
    _ dialer: any HopDialer<MediaToSpeech, SpeechToMedia>, _ media: any KeptMediaSide,
    _ inherited: MediaCustody.Inherited?, onOver: @escaping () -> Void
  ) {
    self.info = info
    self.door = door
    self.context = context
    self.leases = leases
    self.dialer = dialer
    self.media = media
    self.inherited = inherited
    self.onOver = onOver
    offset = inherited == nil ? 0 : nil
    logger = context.logger(info.session)
    seat = CallSeat(info.session, role: MediaCustody.role)
    timer = LoopTimer(door.eventLoop) { [weak self] in self?.wake() }
    lateWrite = LoopTimer(door.eventLoop) { [weak self] in self?.write() }
  }

  /// The store keeps a call's media beside its session.
  static func key(_ session: SessionID) -> SessionID { SessionID("\(session).\(MediaCustody.role)") }
  static func sealPlace(_ session: SessionID) -> String { "\(MediaCustody.role) \(session)" }

  // MARK: The claim

  func start() {
    if let inherited {
      state = inherited.state
      place.right = inherited.snapshot.received
      return begin(inherited.lease)
    }
    leases.claim(seat) { [door] news in door.post { $0.receive(news) } }
    door.eventLoop.assumeIsolated().scheduleTask(in: Self.claimLimit) { [weak self] in
      guard let self, case .claiming = self.phase else { return }
      self.unclaimed("the call directory does not answer")
    }
  }

  private func receive(_ news: MediaLeases.News) {
    switch news {
    case .held(let lease): if case .claiming = phase { begin(lease) }
    case .refused(let reason): if case .claiming = phase { unclaimed(reason) }
    // The store knows whether somebody else has read what we would overwrite.
    case .disputed: write()
    case .lost: superseded()
    }
  }

  /// A call that nobody could be told of is not begun: the caller may try again.
  private func unclaimed(_ reason: String) {
    logger.warning("a new call is refused", metadata: ["reason": "\(reason)"])
    phase = .over
    delivered += 1
    media.send(Numbered(delivered, .reject(.unavailable)))
    vanish()
  }

  private func begin(_ lease: CallLease) {
    let now = Instant.monotonic()
    var early: [MediaToSpeech] = []
    if case .claiming(let waiting) = phase { early = waiting }
    if inherited != nil { leases.hold(lease) { [door] news in door.post { $0.receive(news) } } }
    let token = UInt64(clamping: lease.token)
    let end = HopEnd<MediaToSpeech, SpeechToMedia>(
      .dialing, session: info.session, me: HopParty(instance: context.holder.instance, fence: token),
      restoring: inherited?.snapshot, at: now)
    delivered = inherited?.snapshot.received ?? 0
    let driver = Driver(end) { [weak self] in self?.act($0) }
    let keeping = StateKeeping(
      context.checkpoints, Self.key(info.session), token: token, version: inherited?.version ?? 0, on: door.eventLoop,
      logger: logger
    ) { [weak self] in self?.superseded() }
    phase = .open(driver, keeping)
    for message in early { _ = driver.send(message) }
    driver.start(over: dialer.wire(for: info) { [door] event in door.post { $0.receive(event) } }, at: now)
    // What was kept before the call was claimed waits to be written.
    if inherited != nil || !state.isEmpty { write() }
    if hasFinished { finish() }
    schedule()
  }

  // MARK: From speech

  func receive(_ event: HopWireEvent<SpeechToMedia>) {
    guard case .open(let driver, _) = phase else { return }
    if case .sound(let sound, let link) = event, link == driver.end.link { receive(sound, driver) }
    driver.receive(event, at: .monotonic())
    schedule()
  }

  private func receive(_ sound: HopSound, _ driver: Driver) {
    switch sound {
    case .heard(HopSound.caller, let through, let mayReach):
      if offset == nil { offset = mayReach - HopSound.window - legEnd }
      if isLanePaused {
        isLanePaused = false
        lane.resume(from: through, mayReach: mayReach)
      } else {
        lane.heard(through: through, mayReach: mayReach)
      }
      pump(driver)
    case .samples(let number, let position, let pcm):
      guard var hearing = hearings[number],
        let (repeated, _) = hearing.hearing.receive(position: position, count: pcm.count)
      else { return }
      hearing.waiting += pcm.dropFirst(repeated)
      hearings[number] = hearing
      play(number, driver)
    case .heard: break
    }
  }

  /// Gives what was heard to the media role, as far as it takes it, and says how much more may come.
  private func play(_ number: UInt64, _ driver: Driver) {
    guard var hearing = hearings[number] else { return }
    let taken = hearing.waiting.withUnsafeBufferPointer { media.audio($0, playback: hearing.playback) }
    hearing.waiting.removeFirst(min(taken, hearing.waiting.count))
    if hearing.hearing.next - hearing.told >= Int64(PlaybackLanes.capacity / 4) { tell(number, &hearing, driver) }
    hearings[number] = hearing
  }

  private func tell(_ number: UInt64, _ hearing: inout Hearing, _ driver: Driver) {
    hearing.told = hearing.hearing.next
    let room = Int64(PlaybackLanes.capacity - hearing.waiting.count)
    driver.transmit(.heard(lane: number, through: hearing.hearing.next, mayReach: hearing.hearing.next + max(0, room)))
  }

  private func act(_ action: HopEnd<MediaToSpeech, SpeechToMedia>.Action) {
    guard case .open(let driver, _) = phase else { return }
    switch action {
    case .deliver(let message):
      delivered = message.sequence
      media.send(message)
      if case .play(let id) = message.message {
        var hearing = Hearing(playback: id)
        tell(message.sequence, &hearing, driver)
        hearings[message.sequence] = hearing
      }
    case .met:
      for number in hearings.keys {
        guard var hearing = hearings[number] else { continue }
        tell(number, &hearing, driver)
        hearings[number] = hearing
      }
    case .lost:
      lane.pause()
      isLanePaused = true
      context.metrics.broken("speech")
    case .remember: write()
    case .ended(.superseded, _): superseded()
    // Somebody else may have the call: to end it would be to end theirs. Where nobody has, it waits for whoever can.
    case .ended(.outage, _) where !leases.isProven(seat) && !hasFinished:
      giveUp("neither the call directory nor a speech role answers: a call is left to other processes")
    case .ended(let ending, let close):
      if ending.mustEndCall, !hasFinished {
        logger.hopEnded("speech", ending, close)
        delivered += 1
        media.send(Numbered(delivered, .hangup(.error)))
      }
      if hasFinished { over() }
    case .kept, .dial, .transmit, .drop: break
    }
  }

  // MARK: From the media role

  func hear(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
    legEnd = position + Int64(pcm.count)
    guard let offset else { return }
    _ = lane.write(pcm, position: position + offset)
    if case .open(let driver, _) = phase { pump(driver) }
  }

  private func pump(_ driver: Driver) {
    guard driver.end.isAttached else { return }
    while lane.next(
      limit: Self.piece,
      { position, pcm in
        driver.transmit(.samples(lane: HopSound.caller, position: position, Array(pcm)))
      })
    {}
  }

  func sent(_ message: MediaToSpeech) {
    switch phase {
    case .claiming(var early):
      guard early.count < Self.early else { return }
      early.append(message)
      phase = .claiming(early)
    case .open(let driver, _):
      _ = driver.send(message)
      switch message {
      case .playoutProgress(let id, _):
        for (number, hearing) in hearings where hearing.playback == id {
          if !hearing.isHeard {
            hearings[number]?.isHeard = true
            isUrgent = true
          }
          if !hearing.waiting.isEmpty { play(number, driver) }
        }
      case .playoutFinished(let id), .playoutCleared(let id, _):
        isUrgent = true
        if let number = hearings.filter({ $0.value.playback == id }).keys.min() { hearings[number] = nil }
      default: isUrgent = true
      }
    case .over: break
    }
  }

  func keep(_ state: [UInt8], _ place: CallPlace) {
    if place != self.place || state != self.state { isUrgent = true }
    self.state = state
    self.place = place
    _ = after.keep()
    if isUrgent { return write() }
    isLate = true
    lateWrite?.set(.monotonic() + Self.company, now: .monotonic())
  }

  /// One write at a time: what changes meanwhile goes with the next.
  private func write() {
    guard case .open(let driver, let keeping) = phase else { return }
    lateWrite?.cancel()
    (isUrgent, isLate) = (false, false)
    if isWriting {
      isDirty = true
      return
    }
    var writer = StateWriter(version: Self.stateVersion)
    writer.write(state)
    writer.write(context.codecs.call.encode(info))
    writer.write(driver.end.snapshot(handled: place.right), context.codecs.mediaToSpeech)
    guard let sealed = context.seal.seal(writer.bytes, for: Self.sealPlace(info.session)) else { return }
    let through = driver.end.lastSent, handled = place.right, memory = driver.end.latestMemory
    isWriting = true
    let number = after.kept
    keeping.put(sealed) { [weak self] in self?.isSafe(number, through, handled, memory) }
  }

  func whenSafe(_ act: @escaping @Sendable () -> Void) {
    after.add(act)
    if isLate { write() }
  }

  private func isSafe(_ number: UInt64, _ through: UInt64, _ handled: UInt64, _ memory: HopMemory.ID?) {
    isWriting = false
    guard case .open(let driver, _) = phase else { return }
    after.isSafe(number)
    let now = Instant.monotonic()
    driver.flush(through: through, at: now)
    driver.settle(through: handled, at: now)
    if let memory { driver.keptMemory(memory, at: now) }
    if isDirty {
      isDirty = false
      write()
    }
    schedule()
  }

  func finished() {
    guard !hasFinished else { return }
    hasFinished = true
    finish()
  }

  private func finish() {
    guard case .open(let driver, let keeping) = phase else { return }
    if driver.end.hasEnded { return over() }
    keeping.whenIdle { [weak self] in
      guard let self, case .open(let driver, _) = self.phase else { return }
      let now = Instant.monotonic()
      driver.settle(through: self.delivered, at: now)
      driver.finish(at: now)
      self.schedule()
    }
  }

  // MARK: Time

  private func schedule() {
    guard case .open(let driver, _) = phase else { return }
    timer?.set(driver.end.deadline, now: .monotonic())
  }

  private func wake() {
    guard case .open(let driver, _) = phase else { return }
    driver.timeout(at: .monotonic())
    schedule()
  }

  // MARK: The end

  func superseded() { giveUp("another process has the call") }

  private func giveUp(_ reason: Logger.Message) {
    guard case .open(let driver, let keeping) = phase else { return }
    logger.notice(reason)
    media.abandon()
    keeping.close()
    driver.vanish()
    leases.yield(seat)
    vanish()
  }

  /// Another process is to take the call, as if this one had died; until one does, it goes on here.
  func letGo() {
    guard case .open(_, let keeping) = phase, !hasFinished else { return }
    keeping.whenIdle { [weak self] in
      guard let self, case .open = self.phase else { return }
      self.leases.offer(self.seat)
    }
  }

  private func over() {
    if case .open(_, let keeping) = phase { keeping.remove() }
    vanish()
  }

  private func vanish() {
    phase = .over
    onOver()
    leases.leave(seat)
    timer?.cancel()
    lateWrite?.cancel()
    (timer, lateWrite) = (nil, nil)
    door.clear()
  }
}
