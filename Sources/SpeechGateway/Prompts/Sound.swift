import Base
import CallLink
import Storage

/// A finished piece of a prompt: mono, 16 kHz. Shared by all calls that say the same.
struct Sound: Sendable {
  var samples: [Int16]
  var words: [SpokenWord]
}

/// One thing a prompt is made of, in the order it is heard. Pieces are made one or two ahead of the line, so that a
/// long prompt takes no more memory than a short one.
enum Piece: Sendable, Hashable {
  /// A sentence.
  case text(SynthesisRequest, cached: Bool)
  /// A file below the audio folder.
  case file(String)
  /// A file of the object store.
  case object(ObjectKey)
  /// Samples of silence.
  case silence(Int)
}

/// What becomes of a piece while it is made.
enum PieceEvent: Sendable {
  /// The next samples, and the words that end within what has come so far (positions count from the piece's start).
  case chunk([Int16], [SpokenWord])
  /// No more comes.
  case done
  case failed(String)
}
