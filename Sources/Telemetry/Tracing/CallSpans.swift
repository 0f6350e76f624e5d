import Base

/// Makes the spans of one call from the lines of its record: `call` over everything, `setup` up to the answer, a `turn` for each
/// time the caller has spoken, and below it the stages of its latency. Pure. What was said, and who the parties are, stays out.
package struct CallSpans: Sendable {
  package let root: TraceContext
  private let parent: SpanID?
  private let startedAtMs: Int64
  private let common: [String: Value]
  private var random: SeededRandom
  private var turns: Int64 = 0
  private var turn: Turn?
  private var direction: String?
  private var isSetUp = false
  private var isOver = false

  private struct Turn {
    var context: TraceContext
    var number: Int64
    var heardAtMs: Int64
    var endpointMs: Int64
    var recognizeMs: Int64
  }

  package init(_ place: CallPlace, session: SessionID, dialogName: String, startedAtMs: Int64, random: SeededRandom) {
    root = place.root
    parent = place.parent
    self.startedAtMs = startedAtMs
    self.random = random
    common = ["session_id": .string(session.value), "dialog_name": .string(dialogName)]
  }

  /// What is asked of others now belongs to this.
  package var current: TraceContext { turn?.context ?? root }

  package mutating func observe(_ type: String, _ fields: [String: Value], atMs: Int64) -> [Span] {
    guard !isOver else { return [] }
    switch type {
    case "call_started":
      direction = fields["direction"]?.stringValue
      return []
    case "call_answered": return setUp(atMs, .ok)
    case "speech_final":
      let abandoned = abandon(atMs)
      turns += 1
      turn = Turn(
        context: child(), number: turns, heardAtMs: atMs, endpointMs: fields["endpoint_ms"]?.intValue ?? 0,
        recognizeMs: fields["recognize_ms"]?.intValue ?? 0)
      return abandoned
    case "turn_latency": return answered(fields)
    // The caller does something else before the answer comes.
    case "speech_started", "dtmf_received": return abandon(atMs)
    case "call_terminated": return over(fields, atMs)
    default: return []
    }
  }

  private mutating func child() -> TraceContext {
    var child = root
    if let id = SpanID(random.next() | 1) { child.spanID = id }
    return child
  }

  private func ns(_ atMs: Int64) -> Int64 { (startedAtMs + atMs) * 1_000_000 }

  private func span(
    _ name: String, _ context: TraceContext, below parent: SpanID?, from: Int64, to: Int64,
    _ more: [String: Value] = [:], kind: Span.Kind = .inside, status: Span.Status = .unset
  ) -> Span {
    Span(
      name, context: context, parent: parent, kind: kind, startNs: ns(from), endNs: ns(to),
      attributes: common.merging(more) { $1 }, status: status)
  }

  private mutating func setUp(_ atMs: Int64, _ status: Span.Status) -> [Span] {
    guard !isSetUp else { return [] }
    isSetUp = true
    return [span("setup", child(), below: root.spanID, from: 0, to: atMs, status: status)]
  }

  /// The answer's first sample is on the wire: the turn's stages lie one behind the other from the end of the caller's speech.
  private mutating func answered(_ fields: [String: Value]) -> [Span] {
    guard let turn else { return [] }
    self.turn = nil
    func ms(_ name: String) -> Int64 { max(0, fields[name]?.intValue ?? 0) }
    let began = turn.heardAtMs - turn.endpointMs - turn.recognizeMs
    var at = began
    var spans: [Span] = []
    for stage in ["endpoint", "recognize", "think", "synthesize"] {
      let end = at + ms("\(stage)_ms")
      spans.append(span(stage, child(), below: turn.context.spanID, from: at, to: end))
      at = end
    }
    spans.append(
      span(
        "turn", turn.context, below: root.spanID, from: began, to: max(at, began + ms("total_ms")),
        ["turn": .int(turn.number), "outcome": "answered"]))
    return spans
  }

  private mutating func abandon(_ atMs: Int64) -> [Span] {
    guard let turn else { return [] }
    self.turn = nil
    let heard = turn.heardAtMs - turn.recognizeMs, began = heard - turn.endpointMs
    let id = turn.context.spanID
    return [
      span("endpoint", child(), below: id, from: began, to: heard),
      span("recognize", child(), below: id, from: heard, to: turn.heardAtMs),
      span(
        "turn", turn.context, below: root.spanID, from: began, to: atMs,
        ["turn": .int(turn.number), "outcome": "no_answer"]),
    ]
  }

  private mutating func over(_ fields: [String: Value], _ atMs: Int64) -> [Span] {
    let reason = fields["reason"]?.stringValue ?? ""
    let hasFailed = ["error", "media_timeout", "shutdown"].contains(reason)
    var spans = abandon(atMs) + setUp(atMs, .error("not answered"))
    var more: [String: Value] = ["end_reason": .string(reason), "turns": .int(turns)]
    if let direction { more["direction"] = .string(direction) }
    spans.append(
      span(
        "call", root, below: parent, from: 0, to: atMs, more, kind: .server,
        status: hasFailed ? .error(reason) : .ok))
    isOver = true
    return spans
  }
}
