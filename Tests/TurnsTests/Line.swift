import Base
import Turns

/// A telephone line in the audio's own time: says things into an ``Endpointer`` and keeps what it decided, with the
/// position of each decision in milliseconds.
struct Line {
  var endpointer: Endpointer
  var positionMs = 0
  var log: [(atMs: Int, action: EndpointerAction)] = []

  init(_ settings: TurnSettings = TurnSettings()) { endpointer = Endpointer(settings: settings) }

  mutating func tell(_ input: EndpointerInput) {
    for action in endpointer.receive(input) { log.append((positionMs, action)) }
  }

  /// Frames of 32 ms at one probability, as many as fit into `ms` (rounded up).
  mutating func hear(_ probability: Float, ms: Int) {
    for _ in 0..<(ms + 31) / 32 {
      let start = Int64(positionMs) * 16
      positionMs += 32
      tell(.frame(position: start, samples: 512, probability: probability))
    }
  }

  mutating func speak(ms: Int) { hear(0.95, ms: ms) }
  mutating func pause(ms: Int) { hear(0.02, ms: ms) }

  /// The actions' names in order.
  var story: [String] {
    log.map { entry in
      switch entry.action {
      case .speechStarted: "started"
      case .interruption(let cause, _): "interrupted by \(cause.rawValue)"
      case .candidateEnd: "candidate"
      case .resumed: "resumed"
      case .speechEnded(_, let end, _): "ended by \(end.rawValue)"
      case .falseStart(let interrupted, _): interrupted ? "false interruption" : "false start"
      }
    }
  }

  func atMs(_ name: String) -> Int? { zip(story, log).first { $0.0 == name }?.1.atMs }

  var segments: [Segment] {
    log.compactMap { if case .speechEnded(let segment, _, _) = $0.action { segment } else { nil } }
  }

  var candidates: [Segment] {
    log.compactMap { if case .candidateEnd(let segment, _) = $0.action { segment } else { nil } }
  }
}
