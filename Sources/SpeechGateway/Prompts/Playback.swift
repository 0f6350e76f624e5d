import Base
import CallLink

/// One prompt on its way to the caller: its pieces, what has been made, offered and heard of it.
struct Playback {
  enum Stage: Equatable {
    /// Waits, is being made, or is playing.
    case live
    /// Cut on the wire because somebody seemed to speak; played on if that was nobody.
    case suspended
    /// Cut for good; the media role has yet to say how far it had come.
    case clearing(Interruption)
  }

  let prompt: Prompt
  let pieces: [Piece]
  var id: PlaybackID { prompt.id }
  var stage = Stage.live
  /// Pieces asked for so far; counts on where the prompt loops.
  var askedPieces = 0
  /// Pieces in all, where it does not loop.
  var pieceLimit: Int
  /// The piece being made, and whether it has ended.
  var isMaking = false
  /// Samples that were made and not yet taken by the media role, behind `fed`.
  var buffer: [[Int16]] = []
  /// Samples of `buffer[0]` that are taken already.
  var bufferOffset = 0
  var buffered = 0
  /// Samples of finished pieces and the one being made: where the next chunk begins.
  var made = 0
  var pieceStart = 0
  /// Words and where they end, counted from the start of the prompt.
  var words: [SpokenWord] = []
  /// Samples the media role has taken, and has played; from the start of the prompt.
  var fed = 0
  var played = 0
  /// Where the playback was opened (again), after a false alarm or by a successor.
  var playedBefore = 0
  /// How far it had been heard before a successor went back to the beginning of a sentence.
  var heardBefore = 0
  /// Recently fed samples, so that a prompt can go on where it was cut. At most what is ahead of the line.
  var recent: [Int16] = []
  /// The piece that is being heard, counted like `askedPieces`, and those after it, with where they begin.
  var places: [Place] = []
  /// What a predecessor had of it on the wire; nil for a prompt of one's own, and once that is known to be over.
  var inherited: Inherited?

  var isOpened = false
  var hasStarted = false
  var endIsSent = false
  var isLooping: Bool
  /// When it came to the head of the queue, for the time to its first audio.
  var waitingSince: Instant?
  var cameFromCache = true

  init(prompt: Prompt, pieces: [Piece]) {
    self.prompt = prompt
    self.pieces = pieces
    isLooping = prompt.loop && !pieces.isEmpty
    pieceLimit = pieces.count
  }

  /// Whether everything that belongs to it is made.
  var isMade: Bool { !isMaking && !isLooping && askedPieces >= pieceLimit }
  /// Whether another piece should be made now: there is one, and less than `ahead` samples wait.
  func wantsPiece(ahead: Int) -> Bool {
    !isMaking && buffered < ahead && (isLooping || askedPieces < pieceLimit)
  }

  mutating func nextPiece() -> Piece {
    let piece = pieces[askedPieces % pieces.count]
    places.append(Place(piece: askedPieces, start: made))
    askedPieces += 1
    isMaking = true
    pieceStart = made
    return piece
  }

  mutating func receive(_ samples: [Int16], _ ended: [SpokenWord]) {
    if !samples.isEmpty {
      buffer.append(samples)
      buffered += samples.count
      made += samples.count
    }
    // A loop without end must not gather words without end; what was heard of it is its text once.
    if askedPieces <= pieces.count {
      for word in ended { words.append(SpokenWord(text: word.text, endSample: pieceStart + word.endSample)) }
    }
    locate(pieceHasEnded: false)
  }

  mutating func pieceEnded() {
    isMaking = false
    locate(pieceHasEnded: true)
  }

  /// The round that is being made is the last.
  mutating func endLoop() {
    guard isLooping else { return }
    isLooping = false
    pieceLimit = max(pieces.count, askedPieces)
  }

  /// Offers what is buffered, at most `limit` samples; `take` says how many were taken.
  /// - Returns: whether all that was offered has been taken.
  mutating func feed(limit: Int, _ take: (UnsafeBufferPointer<Int16>) -> Int) -> Bool {
    var left = limit
    while left > 0, !buffer.isEmpty {
      let available = buffer[0].count - bufferOffset
      let offered = min(left, available)
      let offset = bufferOffset
      let taken = buffer[0].withUnsafeBufferPointer {
        min(offered, max(0, take(UnsafeBufferPointer(rebasing: $0[offset..<offset + offered]))))
      }
      recent.append(contentsOf: buffer[0][offset..<offset + taken])
      fed += taken
      buffered -= taken
      left -= taken
      bufferOffset += taken
      if bufferOffset == buffer[0].count {
        buffer.removeFirst()
        bufferOffset = 0
      }
      if taken < offered { return false }
    }
    return true
  }

  /// The media role has played so many samples since the playback was opened (again).
  mutating func progress(_ samples: Int) {
    guard !isOnPredecessorsLine else { return played = max(played, playedBefore + samples) }
    played = min(fed, max(played, playedBefore + samples))
    passPlaces()
    let keep = fed - played
    // Trimmed seldom, so that the memory is moved seldom.
    if recent.count > keep + 16_000 { recent.removeFirst(recent.count - keep) }
  }

  /// After a false alarm: what had been fed and not been heard is fed again, as a new opening.
  mutating func rewind() {
    let again = min(fed - played, recent.count)
    if bufferOffset > 0 {
      buffer[0].removeFirst(bufferOffset)
      bufferOffset = 0
    }
    if again > 0 { buffer.insert(Array(recent.suffix(again)), at: 0) }
    buffered += again
    fed -= again
    playedBefore = fed
    recent.removeAll()
    isOpened = false
    endIsSent = false
    stage = .live
  }

  /// The text that had been spoken when it was cut: the words that were out, give or take a twentieth of a second.
  var heard: String {
    let count = words.prefix { $0.endSample <= furthest + Self.wordTolerance }.count
    if count == 0 { return "" }
    // The voice's own words have lost their punctuation: the same number of the text's is what a person would read.
    let written = self.written.split(whereSeparator: \.isWhitespace)
    if written.count == words.count || isMade && written.count <= words.count {
      return written.prefix(count).joined(separator: " ")
    }
    return words.prefix(count).map(\.text).joined(separator: " ")
  }

  /// The words of the prompt as they were written, without markup.
  private var written: String {
    switch prompt.source {
    case .text(let text): text
    case .markup:
      pieces.compactMap { if case .text(let request, _) = $0 { request.text } else { nil } }.joined(separator: " ")
    case .audio, .silence: ""
    }
  }

  /// A word counts as heard when all but this much of it was: a twentieth of a second.
  static let wordTolerance = 800

  /// How far it has been heard.
  var furthest: Int { max(played, heardBefore) }
  var playedMs: Int { furthest / 16 }
}
