import Base
import CallLink
import Synchronization
import Turns

/// Keeps apart what is being decoded for a guess (the caller may have finished) and for good (the turn is over), and
/// hands out the turns' results in the order of the turns.
struct Decodes {
  /// A turn that is over, and when that was decided.
  struct Final {
    var segment: Segment
    var listen: ListenSpec
    /// From the end of the speech to the decision.
    var endpointMs: Int
    var decided: Instant
    /// Whether the decision waited for the words, so that the time they took is the recognition's.
    var isByWords: Bool
  }

  /// A decode that has ended.
  struct Decoded {
    var outcome: RecognitionOutcome
    var since: Instant
    var at: Instant

    /// Waiting for a decoder included.
    var seconds: Double { Double((at - since).nanoseconds) / 1e9 }
  }

  /// A turn whose words are known.
  struct Ready {
    var final: Final
    var decoded: Decoded
    var recognizeMs: Int
    /// From the end of the speech to the decision.
    var sinceSpeechMs: Int

    var recognition: Recognition {
      if case .recognized(let words) = decoded.outcome { return words }
      return Recognition(transcript: "", confidence: 0, complete: false)
    }
  }

  /// What became of a decode.
  enum Finished {
    /// Nobody waits for it any more.
    case forgotten
    /// The newest guess.
    case candidate(Decoded)
    /// Turns may be ready now.
    case final
  }

  /// Says across threads whether a decode is still of use.
  final class Wish: Sendable {
    private let state = Atomic(true)
    var holds: Bool { state.load(ordering: .relaxed) }
    func end() { state.store(false, ordering: .relaxed) }
  }

  private var count = 0
  /// Decodes under way.
  private var running: [RecognitionTicket: (since: Instant, wish: Wish)] = [:]
  /// What the newest candidate was heard as.
  private var candidate: (revision: Int, decoded: Decoded)?
  /// Turns that are over and wait for their words, oldest first.
  private var finals: [(final: Final, decoded: Decoded?)] = []

  /// A turn begins.
  mutating func begin() { candidate = nil }

  /// The caller went on after the candidate: what is being decoded of it is of no use.
  /// - Returns: the guess that has come to nothing.
  mutating func forgetCandidate() -> Decoded? {
    for (ticket, work) in running where !finals.contains(where: { $0.final.segment.revision == ticket.revision }) {
      work.wish.end()
    }
    defer { candidate = nil }
    return candidate?.decoded
  }

  /// A predecessor's turn, which is to be decoded again.
  mutating func restore(_ final: Final) { finals.append((final, nil)) }

  /// Turns that are over and wait for their words, oldest first.
  var waiting: [Final] { finals.map(\.final) }

  /// Nobody wants any of it any more.
  func abandon() {
    for work in running.values { work.wish.end() }
  }

  mutating func start(_ segment: Segment, at: Instant) -> (ticket: RecognitionTicket, wish: Wish) {
    count += 1
    let ticket = RecognitionTicket(revision: segment.revision, number: count)
    let wish = Wish()
    running[ticket] = (at, wish)
    return (ticket, wish)
  }

  /// A turn is over: returns its result where the candidate's covers it and no earlier turn waits.
  mutating func end(_ final: Final) -> Ready? {
    let known = candidate.flatMap { $0.revision == final.segment.revision ? $0.decoded : nil }
    candidate = nil
    finals.append((final, known))
    return nextReady()
  }

  /// Whether nothing that is under way will tell the words of `segment`.
  func needsDecode(_ segment: Segment) -> Bool {
    !running.keys.contains { $0.revision == segment.revision }
      && finals.contains { $0.final.segment.revision == segment.revision && $0.decoded == nil }
  }

  /// A decode has ended.
  mutating func finish(_ ticket: RecognitionTicket, _ outcome: RecognitionOutcome, at: Instant) -> Finished {
    guard let work = running.removeValue(forKey: ticket) else { return .forgotten }
    let decoded = Decoded(outcome: outcome, since: work.since, at: at)
    if let i = finals.firstIndex(where: { $0.final.segment.revision == ticket.revision && $0.decoded == nil }) {
      finals[i].decoded = decoded
      return .final
    }
    guard work.wish.holds else { return .forgotten }
    candidate = (ticket.revision, decoded)
    return .candidate(decoded)
  }

  /// The oldest turn, where its words are known.
  mutating func nextReady() -> Ready? {
    guard let first = finals.first, let decoded = first.decoded else { return nil }
    finals.removeFirst()
    var final = first.final
    var waited = max(0, (decoded.at - final.decided).milliseconds)
    if final.isByWords {
      waited = max(0, (decoded.at - decoded.since).milliseconds)
      final.endpointMs = max(0, final.endpointMs - Int(waited))
    }
    return Ready(
      final: final, decoded: decoded, recognizeMs: Int(waited), sinceSpeechMs: first.final.endpointMs)
  }
}
