import Base
import CallLink
import Dialogs
import Storage
import Telemetry

// How the dialog machine's words become the hop's and the record's.

extension Prompt {
  /// The same prompt on the hop.
  public init(_ prompt: DialogPrompt) {
    let source: Source =
      switch prompt.source {
      case .text(let text): .text(text)
      case .markup(let text): .markup(text)
      case .audio(let url): .audio(url: url)
      case .silence(let ms): .silence(ms: ms)
      }
    self.init(
      id: prompt.id, source: source, voice: prompt.voice, speed: prompt.speed, language: prompt.language,
      bargeIn: prompt.bargeIn, cache: prompt.cache, loop: prompt.loop)
  }
}

extension ListenSpec {
  /// The same way of listening on the hop.
  public init(_ listen: DialogListen) {
    self.init(
      phrases: listen.phrases, grammar: listen.grammar, language: listen.language, minSilenceMs: listen.minSilenceMs,
      speech: listen.speech, isOpen: listen.isOpen, bargeIn: listen.bargeIn)
  }
}

extension RecordedLine {
  /// A line of a session's record as a replay reads it.
  public init(_ event: SessionEvent) {
    var fields = event.fields
    let atMs = fields.removeValue(forKey: "at_ms")?.intValue ?? 0
    fields[CallTracing.field] = nil
    self.init(sequence: event.sequence, entry: JournalEntry(type: event.type, atMs: atMs, fields: fields))
  }
}

extension HookRequest {
  /// The same question with the place in the call's trace that it belongs to.
  func traced(by trace: CallTracing?) -> HookRequest {
    guard let context = trace?.context else { return self }
    var request = self
    request.traceparent = context.traceparent
    request.tracestate = context.state.description
    return request
  }
}

extension SpeechResult {
  /// The fields of `speech_final`.
  var eventFields: [String: Value] {
    [
      "transcript": .string(transcript), "confidence": .double(confidence), "language": .string(language),
      "duration_ms": .int(Int64(durationMs)), "start_ms": .int(Int64(startMs)), "end_ms": .int(Int64(endMs)),
      "endpoint_ms": .int(Int64(endpointMs)), "recognize_ms": .int(Int64(recognizeMs)), "model": .string(model),
      "segments": .list([
        [
          "text": .string(transcript), "start_ms": .int(Int64(startMs)), "end_ms": .int(Int64(endMs)),
          "confidence": .double(confidence),
        ]
      ]),
    ]
  }
}

extension MediaQuality {
  /// The fields of `quality`. `loss` is a fraction, 0 to 1.
  var eventFields: [String: Value] {
    let expected = packetsReceived + packetsLost
    let loss = expected > 0 ? Double(packetsLost) / Double(expected) : 0
    return [
      "jitter_ms": .double(jitterMs), "loss": .double(loss), "mos": .double(Self.mos(loss: loss, jitterMs: jitterMs)),
      "packets_received": .int(Int64(packetsReceived)), "packets_lost": .int(Int64(packetsLost)),
      "packets_rejected": .int(Int64(packetsRejected)), "underruns": .int(Int64(underruns)),
    ]
  }

  /// An estimate of the mean opinion score by the E-model (ITU-T G.107) for G.711 with loss concealment (G.113: Bpl 25.1).
  /// The network's delay is not known here; the jitter buffer's is taken as twice the jitter.
  static func mos(loss: Double, jitterMs: Double) -> Double {
    let delayMs = 40 + 2 * jitterMs
    let delayImpairment = 0.024 * delayMs + (delayMs > 177.3 ? 0.11 * (delayMs - 177.3) : 0)
    let lossPercent = loss * 100
    let lossImpairment = 95 * lossPercent / (lossPercent + 25.1)
    let r = min(100, max(0, 93.2 - delayImpairment - lossImpairment))
    let score = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6
    return (min(4.5, max(1, score)) * 100).rounded() / 100
  }
}

extension HangupReason {
  /// Who ended the call, as the dialog's `hangup` event says it.
  var party: String {
    switch self {
    case .caller, .cancelled: "caller"
    case .normal, .busy, .rejected: "dialog"
    case .api: "api"
    case .mediaTimeout, .shutdown, .error: "system"
    }
  }
}
