import Base
import CallLink
import Turns

/// Keeps apart what is being decoded for a guess (the caller may have finished) and for good (the turn is over), and
/// hands out the turns' results in the order of the turns.
struct Decodes {
  /// A turn that is over, and when that was decided.
  struct Final {
    var segment: Segment
    var listen: ListenSpec
    var endpointMs: Int
    var decided: Instant
  }

  /// A turn whose words are known.
  struct Ready {
    var final: Final
    var recognition: Recognition
    var recognizeMs: Int
  }

  private var count = 0
  /// Decodes under way.
  private var running: [RecognitionTicket: Instant] = [:]
  /// What the newest candidate was heard as.
  private var candidate: (revision: Int, outcome: RecognitionOutcome)?
  /// Turns that are over and wait for their words, oldest first.
  private var finals: [(final: Final, outcome: RecognitionOutcome?, at: Instant)] = []

  /// A turn begins.
  mutating func begin() { candidate = nil }

  /// The caller went on after the candidate.
  mutating func forgetCandidate() { candidate = nil }

  mutating func start(_ segment: Segment, at: Instant) -> RecognitionTicket {
    count += 1
    let ticket = RecognitionTicket(revision: segment.revision, number: count)
    running[ticket] = at
    return ticket
  }

  /// A turn is over: returns its result where the candidate's covers it and no earlier turn waits.
  mutating func end(_ final: Final) -> Ready? {
    var outcome: RecognitionOutcome?
    if let candidate, candidate.revision == final.segment.revision { outcome = candidate.outcome }
    candidate = nil
    finals.append((final, outcome, final.decided))
    return nextReady()
  }

  /// Whether nothing that is under way will tell the words of `segment`.
  func needsDecode(_ segment: Segment) -> Bool {
    !running.keys.contains { $0.revision == segment.revision }
      && finals.contains { $0.final.segment.revision == segment.revision && $0.outcome == nil }
  }

  /// A decode has ended. nil where nobody waits for it any more.
  mutating func finish(
    _ ticket: RecognitionTicket, _ outcome: RecognitionOutcome, at: Instant
  ) -> (isFinal: Bool, since: Instant)? {
    guard let since = running.removeValue(forKey: ticket) else { return nil }
    if let i = finals.firstIndex(where: { $0.final.segment.revision == ticket.revision && $0.outcome == nil }) {
      finals[i].outcome = outcome
      finals[i].at = at
      return (true, since)
    }
    candidate = (ticket.revision, outcome)
    return (false, since)
  }

  /// The oldest turn, where its words are known.
  mutating func nextReady() -> Ready? {
    guard let first = finals.first, let outcome = first.outcome else { return nil }
    finals.removeFirst()
    var recognition = Recognition(transcript: "", confidence: 0, complete: false)
    if case .recognized(let words) = outcome { recognition = words }
    let recognizeMs = Int(max(0, (first.at - first.final.decided).milliseconds))
    return Ready(final: first.final, recognition: recognition, recognizeMs: recognizeMs)
  }
}
