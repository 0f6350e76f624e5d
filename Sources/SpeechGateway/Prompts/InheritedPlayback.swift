import Base
import CallLink

// How a prompt that was playing when its process died goes on: it is cleared on the line, which tells how far it had come,
// made again from the last place that is known, and opened again at the sentence in which it was.

extension Playback {
  /// Where a piece begins.
  struct Place: Hashable {
    /// Counts on where the prompt loops.
    var piece = 0
    /// Samples before it, from the start of the prompt.
    var start = 0
  }

  /// A predecessor's playback.
  enum Inherited: Equatable {
    /// Still on the line, until the media role says how far it had come.
    case onLine
    /// Made again, up to so many samples from the start of the prompt, to see in which piece that is.
    case locating(Int)
    /// Ready to be opened again.
    case located
  }

  var isOnPredecessorsLine: Bool { inherited == .onLine }
  var isLocating: Bool { if case .locating = inherited { true } else { false } }
  /// Whether it had been on the line and will be again.
  var isResuming: Bool { inherited != nil }

  /// What was passed is not gone back to.
  mutating func passPlaces() {
    while places.count > 1, places[1].start <= played { places.removeFirst() }
  }

  /// It is off the line: everything is made again from the piece that was being heard when the predecessor's state was kept.
  mutating func goBack() {
    let place = places.first ?? Place()
    heardBefore = furthest
    (askedPieces, made, pieceStart) = (place.piece, place.start, place.start)
    (fed, played, playedBefore) = (place.start, place.start, place.start)
    (buffer, bufferOffset, buffered, recent, places) = ([], 0, 0, [], [])
    words.removeAll { $0.endSample > place.start }
    (isMaking, isOpened, endIsSent) = (false, false, false)
    inherited = heardBefore > place.start && !isMade ? .locating(heardBefore) : .located
  }

  /// Looks whether what has been made reaches the place that was being heard. A sentence begins anew, unless all its words had
  /// been heard; sounds and silence go on where they were.
  mutating func locate(pieceHasEnded: Bool) {
    guard case .locating(let target) = inherited, askedPieces > 0 else { return }
    var isSentence = false
    if case .text = pieces[(askedPieces - 1) % pieces.count] { isSentence = true }
    if made > target + (isSentence ? Self.wordTolerance : 0) {
      if !isSentence { skip(target - fed) }
      inherited = .located
    } else if pieceHasEnded {
      skip(buffered)
      if isMade { inherited = .located }
    }
  }

  /// Drops samples that were made and not yet fed.
  private mutating func skip(_ count: Int) {
    var left = min(max(0, count), buffered)
    buffered -= left
    fed += left
    (played, playedBefore) = (fed, fed)
    while left > 0, let first = buffer.first {
      if first.count > left {
        buffer[0].removeFirst(left)
        left = 0
      } else {
        left -= first.count
        buffer.removeFirst()
      }
    }
    passPlaces()
  }
}

/// What a successor needs of a ``Playback``.
struct KeptPlayback {
  /// What the media role has of it.
  enum Line: String {
    case unopened, open, clearing
    /// It had been open, and is not any more.
    case cleared
  }

  /// What a damaged state may add to the pieces of a prompt: more than are ever made ahead.
  private static let piecesAhead = 256

  var prompt: Prompt
  var stage = Playback.Stage.live
  var line = Line.unopened
  var hasStarted = false
  var isLooping: Bool
  var pieceLimit = 0
  var played = 0
  var playedBefore = 0
  var heardBefore = 0
  /// Of the piece that was being heard.
  var place = Playback.Place()
  /// The words before it, where the prompt has words.
  var words: [String] = []

  init(prompt: Prompt, isLooping: Bool) {
    self.prompt = prompt
    self.isLooping = isLooping
  }

  init(_ playback: Playback, awaitsClear: Bool) {
    self.init(prompt: playback.prompt, isLooping: playback.isLooping)
    stage = playback.stage
    hasStarted = playback.hasStarted
    pieceLimit = playback.pieceLimit
    if !playback.isOpened {
      // What was made of a prompt that nobody has heard is simply made again.
      guard playback.isResuming else { return }
      line = .cleared
    } else if awaitsClear {
      line = .clearing
    } else {
      line = stage == .live ? .open : .cleared
    }
    place = playback.places.first ?? Playback.Place(piece: playback.askedPieces, start: playback.made)
    played = line == .cleared ? playback.furthest : playback.played
    playedBefore = playback.playedBefore
    heardBefore = playback.heardBefore
    words = playback.words.prefix { $0.endSample <= place.start }.map(\.text)
  }

  /// The same prompt in a successor.
  func playback(_ pieces: [Piece]) -> Playback {
    var playback = Playback(prompt: prompt, pieces: pieces)
    playback.stage = stage
    playback.hasStarted = hasStarted
    playback.isLooping = isLooping && playback.isLooping
    playback.pieceLimit = max(pieces.count, min(pieceLimit, place.piece + Self.piecesAhead))
    guard line != .unopened else { return playback }
    playback.isOpened = true
    playback.inherited = .onLine
    playback.places = [place]
    (playback.played, playback.playedBefore, playback.heardBefore) = (played, playedBefore, heardBefore)
    playback.words = words.map { SpokenWord(text: $0, endSample: place.start) }
    if line == .cleared { playback.goBack() }
    return playback
  }

}

extension PlaybackQueue {
  var kept: [KeptPlayback] { queue.map { KeptPlayback($0, awaitsClear: awaitsClear($0.id)) } }

  /// Bytes of the texts that wait or play.
  var textBytes: Int { queue.reduce(0) { $0 + $1.prompt.source.bytes } }

  /// Takes over a predecessor's prompts and clears the line of them.
  /// - Parameter pieces: of a prompt.
  mutating func restore(
    _ kept: [KeptPlayback], now: Instant, pieces: (Prompt) -> Result<[Piece], SynthesisError>
  ) -> [Report] {
    var reports: [Report] = []
    var cleared: [PlaybackID] = []
    for inherited in kept {
      let id = inherited.prompt.id
      switch pieces(inherited.prompt) {
      case .success(let pieces):
        queue.append(inherited.playback(pieces))
        switch inherited.line {
        case .open:
          awaitedClears.insert(id)
          cleared.append(id)
        case .clearing: awaitedClears.insert(id)
        case .unopened, .cleared: break
        }
      case .failure(let error):
        if inherited.line == .open { cleared.append(id) }
        reports.append(.failed(id, error.message))
      }
    }
    // The last first: between two orders the line may begin what comes next.
    for id in cleared.reversed() { order(.clear(id)) }
    return reports + settle() + pump(now: now)
  }
}

extension Prompt.Source {
  var bytes: Int {
    switch self {
    case .text(let text), .markup(let text), .audio(let text): text.utf8.count
    case .silence: 0
    }
  }
}
