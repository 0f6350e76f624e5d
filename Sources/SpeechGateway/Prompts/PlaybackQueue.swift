import Base
import CallLink

/// What the caller is to hear, in order: keeps the line fed about a second ahead, and stops it.
///
/// Confined to its call's strand. Owns no thread: it is driven by what the media role, the makers of prompts and the
/// endpointer report.
struct PlaybackQueue {
  /// Samples kept ahead of what is heard: one second. More makes memory, less makes gaps when the machine is busy.
  static let ahead = 16_000
  /// Samples made ahead of what is fed: three seconds.
  static let madeAhead = 48_000
  /// Prompts that may wait; a dialog that queues more is broken.
  static let maxQueued = 64

  /// What happened, for the runtime.
  enum Report {
    case started(PlaybackID)
    case finished(PlaybackID)
    case interrupted(PlaybackID, heard: String, playedMs: Int, by: Interruption)
    case failed(PlaybackID, String)
    case firstAudio(seconds: Double, cached: Bool)
  }

  var queue: [Playback] = []
  /// Orders to the media role, and what to make next.
  private let media: any MediaSide
  private var sender: HopSender<SpeechToMedia>
  /// Orders given so far.
  private(set) var ordered = 0
  private let make: (PlaybackID, Piece) -> Bool

  init(media: any MediaSide, make: @escaping (PlaybackID, Piece) -> Bool) {
    self.media = media
    sender = HopSender(ClosureSink<SpeechToMedia> { media.send($0) })
    self.make = make
  }

  var isEmpty: Bool { queue.isEmpty }

  /// What the caller hears now: the first prompt that has been opened and is not being cut.
  var audible: Prompt? { queue.first { ($0.isOpened || $0.isResuming) && $0.stage == .live }?.prompt }

  /// Orders to the media role that are not about prompts go through the same numbering.
  mutating func order(_ message: SpeechToMedia) {
    ordered += 1
    sender.send(message)
  }

  // MARK: The runtime's side

  mutating func append(_ playback: Playback, now: Instant) -> [Report] {
    guard queue.count < Self.maxQueued else {
      return [.failed(playback.id, "more than \(Self.maxQueued) prompts are waiting")]
    }
    guard !queue.contains(where: { $0.id == playback.id }) else {
      return [.failed(playback.id, "a prompt of this number is already waiting")]
    }
    queue.append(playback)
    return pump(now: now)
  }

  /// Cuts one playback, or all, for good.
  mutating func stop(_ id: PlaybackID?, by cause: Interruption, now: Instant) -> [Report] {
    cut(now: now, to: .clearing(cause)) { id == nil || $0.id == id }
  }

  /// No loop goes round again: the call is to end after what is queued.
  mutating func endLoops(now: Instant) -> [Report] {
    for i in queue.indices { queue[i].endLoop() }
    return pump(now: now)
  }

  // MARK: Interruptions

  /// Cuts what may be interrupted. `tentative`: it may still turn out to have been nobody.
  mutating func interrupt(by cause: Interruption, tentative: Bool, now: Instant) -> [Report] {
    cut(now: now, to: tentative ? .suspended : .clearing(cause)) { $0.prompt.bargeIn }
  }

  /// It was somebody: what was cut stays cut.
  mutating func confirmInterruption(now: Instant) -> [Report] {
    for i in queue.indices where queue[i].stage == .suspended { queue[i].stage = .clearing(.speech) }
    return settle() + pump(now: now)
  }

  /// It was nobody: what was cut goes on where it stopped.
  mutating func resumeInterrupted(now: Instant) -> [Report] {
    for i in queue.indices where queue[i].stage == .suspended {
      if queue[i].isOpened && !awaitsClear(queue[i].id) { queue[i].rewind() } else { queue[i].stage = .live }
    }
    resumeAfterClear = !awaitedClears.isEmpty
    return pump(now: now)
  }

  var awaitedClears: Set<PlaybackID> = []
  private var resumeAfterClear = false
  /// Those that go on where they were once they are cleared.
  private var reopening: Set<PlaybackID> = []
  func awaitsClear(_ id: PlaybackID) -> Bool { awaitedClears.contains(id) }

  private mutating func cut(now: Instant, to stage: Playback.Stage, where chosen: (Playback) -> Bool) -> [Report] {
    for i in queue.indices where queue[i].stage != stage && chosen(queue[i]) {
      if case .clearing = queue[i].stage { continue }
      let wasLive = queue[i].stage == .live
      queue[i].stage = stage
      if wasLive, queue[i].isOpened, awaitedClears.insert(queue[i].id).inserted { order(.clear(queue[i].id)) }
    }
    return settle() + pump(now: now)
  }

  /// Removes from the head what is over: cut, and its end known.
  mutating func settle() -> [Report] {
    var reports: [Report] = []
    while let first = queue.first, case .clearing(let cause) = first.stage, !awaitsClear(first.id), !first.isLocating {
      queue.removeFirst()
      reports.append(.interrupted(first.id, heard: first.heard, playedMs: first.playedMs, by: cause))
    }
    return reports
  }

  // MARK: The media role's side

  mutating func playoutStarted(_ id: PlaybackID) -> [Report] {
    guard let i = index(id), !queue[i].hasStarted else { return [] }
    queue[i].hasStarted = true
    return [.started(id)]
  }

  mutating func playoutProgress(_ id: PlaybackID, samples: Int, now: Instant) -> [Report] {
    if let i = index(id) { queue[i].progress(samples) }
    return pump(now: now)
  }

  mutating func playoutFinished(_ id: PlaybackID, now: Instant) -> [Report] {
    awaitedClears.remove(id)
    reopening.remove(id)
    var reports: [Report] = []
    if let i = index(id) {
      let playback = queue.remove(at: i)
      if !playback.hasStarted { reports.append(.started(id)) }
      reports.append(.finished(id))
    }
    return reports + settle() + pump(now: now)
  }

  mutating func playoutCleared(_ id: PlaybackID, samples: Int, now: Instant) -> [Report] {
    guard let i = index(id) else { return [] }
    let expected = awaitedClears.remove(id) != nil
    let isReopened = reopening.remove(id) != nil
    queue[i].progress(samples)
    if queue[i].isOnPredecessorsLine {
      queue[i].goBack()
      return settle() + pump(now: now)
    }
    switch queue[i].stage {
    case .live where expected && (resumeAfterClear || isReopened): queue[i].rewind()
    case .live: queue[i].stage = .clearing(.command)
    case .suspended, .clearing: break
    }
    return settle() + pump(now: now)
  }

  /// Another media process has the line and knows nothing of what was open on it. From the last to the first, so that nothing
  /// of a later one is heard in between.
  mutating func lineReplaced() {
    for playback in queue.reversed() where playback.isOpened && awaitedClears.insert(playback.id).inserted {
      reopening.insert(playback.id)
      order(.clear(playback.id))
    }
  }

  // MARK: The makers' side

  mutating func receive(_ id: PlaybackID, _ event: PieceEvent, now: Instant) -> [Report] {
    guard let i = index(id) else { return [] }
    switch event {
    case .chunk(let samples, let words): queue[i].receive(samples, words)
    case .done: queue[i].pieceEnded()
    case .failed(let message):
      let playback = queue.remove(at: i)
      if playback.isOpened { order(.clear(id)) }
      awaitedClears.remove(id)
      return [.failed(id, message)] + settle() + pump(now: now)
    }
    return settle() + pump(now: now)
  }

  private func index(_ id: PlaybackID) -> Int? { queue.firstIndex { $0.id == id } }

  /// Asks for pieces and feeds the line as far as it takes.
  mutating func pump(now: Instant) -> [Report] {
    var reports: [Report] = []
    // Where a predecessor's prompt was is looked for even where it was cut: what had been heard of it is to be told.
    for i in queue.indices where queue[i].isLocating { askForPieces(i) }
    var room = Self.ahead
    var isBlocked = false
    var live = 0
    var i = 0
    while i < queue.count {
      guard queue[i].stage == .live, !awaitsClear(queue[i].id) else {
        // What is suspended holds back what comes after it: it may go on.
        if queue[i].stage == .suspended || queue[i].stage == .live { isBlocked = true }
        i += 1
        continue
      }
      if queue[i].waitingSince == nil, live == 0 { queue[i].waitingSince = now }
      live += 1
      // Two prompts are made at a time: the one that plays, and its successor.
      if live <= 2 { askForPieces(i) }
      if !isBlocked {
        let outstanding = queue[i].fed - queue[i].played
        if !feed(i, room: max(0, room - outstanding), now: now, &reports) { isBlocked = true }
        room -= queue[i].fed - queue[i].played
        if !queue[i].endIsSent { isBlocked = true }
      }
      if live >= 2 { break }
      i += 1
    }
    return reports
  }

  private mutating func askForPieces(_ i: Int) {
    while queue[i].wantsPiece(ahead: Self.madeAhead) {
      let piece = queue[i].nextPiece()
      if !make(queue[i].id, piece), case .text = piece { queue[i].cameFromCache = false }
    }
  }

  /// - Returns: false where the line takes no more for now.
  private mutating func feed(_ i: Int, room: Int, now: Instant, _ reports: inout [Report]) -> Bool {
    let id = queue[i].id
    if !queue[i].isOpened {
      // Opened with its first audio, or empty where it has none at all.
      guard !queue[i].isLocating, queue[i].buffered > 0 || queue[i].isMade else { return true }
      queue[i].isOpened = true
      queue[i].inherited = nil
      order(.play(id))
      if let since = queue[i].waitingSince, !queue[i].hasStarted {
        reports.append(
          .firstAudio(seconds: Double((now - since).nanoseconds) / 1e9, cached: queue[i].cameFromCache))
      }
    }
    let media = self.media
    let all = queue[i].feed(limit: room) { media.audio($0, playback: id) }
    // What has just been fed may have made room for the next piece.
    askForPieces(i)
    if queue[i].isMade, queue[i].buffered == 0, !queue[i].endIsSent {
      queue[i].endIsSent = true
      order(.endOfAudio(id))
    }
    return all
  }
}
