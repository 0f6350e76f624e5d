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
  private(set) var askedPieces = 0
  /// The piece being made, and whether it has ended.
  private(set) var isMaking = false
  /// Samples that were made and not yet taken by the media role, behind `fed`.
  private var buffer: [[Int16]] = []
  /// Samples of `buffer[0]` that are taken already.
  private var bufferOffset = 0
  private(set) var buffered = 0
  /// Samples of finished pieces and the one being made: where the next chunk begins.
  private var made = 0
  private var pieceStart = 0
  /// Words and where they end, counted from the start of the prompt.
  private(set) var words: [SpokenWord] = []
  /// Samples the media role has taken, and has played; from the start of the prompt.
  private(set) var fed = 0
  private(set) var played = 0
  /// What was played before the playback was opened again after a false alarm.
  private var playedBefore = 0
  /// Recently fed samples, so that a prompt can go on where it was cut. At most what is ahead of the line.
  private var recent: [Int16] = []

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
  }

  /// Whether everything that belongs to it is made.
  var isMade: Bool { !isMaking && !isLooping && askedPieces >= pieces.count }
  /// Whether another piece should be made now: there is one, and less than `ahead` samples wait.
  func wantsPiece(ahead: Int) -> Bool {
    !isMaking && buffered < ahead && (isLooping || askedPieces < pieces.count)
  }

  mutating func nextPiece() -> Piece {
    let piece = pieces[askedPieces % pieces.count]
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
    guard askedPieces <= pieces.count else { return }
    for word in ended { words.append(SpokenWord(text: word.text, endSample: pieceStart + word.endSample)) }
  }

  mutating func pieceEnded() { isMaking = false }

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
    played = min(fed, max(played, playedBefore + samples))
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
    let count = words.prefix { $0.endSample <= played + 800 }.count
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

  var playedMs: Int { played / 16 }
}
