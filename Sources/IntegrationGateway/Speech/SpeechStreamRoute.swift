import Base
import CallLink
import HTTPTypes

// A stream of sound over a WebSocket: its declaration, and its messages.

extension CallAPI {
  var speechStreamRoute: APIRoute {
    APIRoute(
      method: .get, path: "/v1/speech/stream",
      summary: "Sound into words while it comes: a WebSocket (docs/api/speech.md)", roles: [.operate, .developer],
      answer: "A WebSocket", statuses: [.switchingProtocols],
      socket: { [self] request, socket in
        try await SpeechSession(
          request, socket, limits: configuration.limits,
          welcome: (configuration.keepAliveInterval, isWelcome(request))
        ) { [self] () throws(APIProblem) in try speechDesk() }.run()
      },
      messages: APIRoute.Messages(
        ofClient: [SpeechMessage.configuration, SpeechMessage.command],
        ofServer: [
          SpeechMessage.ready, SpeechMessage.partial, SpeechMessage.final, SpeechMessage.finalized, SpeechMessage.done,
          SpeechMessage.error,
        ]), leavesTrace: true)
  }
}

/// The texts of `/v1/speech/stream`.
enum SpeechMessage {
  static let configuration = APIRoute.Shape(
    name: "SpeechStreamConfiguration", explanation: "The first message. Binary messages follow, mono samples.",
    fields: [
      .init(name: "type", kind: .string, explanation: "What it is", fallback: "config", choices: ["config"]),
      .init(
        name: "encoding", kind: .string, explanation: "16-bit little-endian samples, or G.711 mu-law",
        fallback: "pcm_s16le",
        choices: SpeechStreamRequest.Encoding.allCases.map(\.rawValue)),
      .init(
        name: "sample_rate", kind: .integer,
        explanation: "Hz: 8000, 16000, 24000 or 48000; without it 16000, and 8000 for ulaw", range: 8_000...48_000),
      .init(
        name: "language", kind: .string, explanation: "A language tag; empty: the configured language", fallback: ""),
      .init(
        name: "phrases", kind: .strings,
        explanation: "Words and phrases that are expected, which are heard far better than others", count: 0...200),
      .init(
        name: "partial_results", kind: .boolean, explanation: "Whether what has been said so far is told",
        fallback: true),
      .init(
        name: "word_timestamps", kind: .boolean, explanation: "Whether every word comes with its time", fallback: false),
    ])

  static let command = APIRoute.Shape(
    name: "SpeechStreamCommand", explanation: "What a client says among its sound.",
    fields: [
      .init(
        name: "type", kind: .string,
        explanation: "finalize: tell what has been said up to here; end: no more sound comes",
        isRequired: true, choices: ["finalize", "end"])
    ])

  static let ready = shape(
    "SpeechStreamReady", "ready", "The configuration was taken.",
    [
      .init(name: "encoding", kind: .string, explanation: "What the sound is taken for", isRequired: true),
      .init(name: "sample_rate", kind: .integer, explanation: "Hz", isRequired: true),
    ])

  private static let start = APIRoute.Field(
    name: "start_ms", kind: .integer, explanation: "Where it begins in the stream", isRequired: true)
  private static let end = APIRoute.Field(
    name: "end_ms", kind: .integer, explanation: "Where it ends", isRequired: true)
  private static let confidence = APIRoute.Field(
    name: "confidence", kind: .number, explanation: "0 to 1: about the share of the words that is right",
    isRequired: true)

  static let partial = shape(
    "SpeechStreamPartial", "partial", "What the speech that goes on holds so far; the next may correct it.",
    [.init(name: "text", kind: .string, explanation: "Lower case words", isRequired: true), start, end])

  static let final = shape(
    "SpeechStreamFinal", "final", "A stretch of speech that is over.",
    [
      .init(
        name: "text", kind: .string, explanation: "Lower case words; empty: the partial results came to nothing",
        isRequired: true), confidence, start, end,
      .init(
        name: "words",
        kind: .records(
          .init(
            name: "SpeechStreamWord",
            fields: [
              .init(name: "text", kind: .string, explanation: "The word", isRequired: true), confidence, start, end,
            ])), explanation: "Empty without `word_timestamps`", isRequired: true),
    ])

  static let finalized = shape(
    "SpeechStreamFinalized", "finalized", "Everything before a `finalize` has been told.",
    [.init(name: "at_ms", kind: .integer, explanation: "Where it came in the stream", isRequired: true)])

  static let done = shape(
    "SpeechStreamDone", "done", "Everything has been told.",
    [.init(name: "duration_ms", kind: .integer, explanation: "The sound that came", isRequired: true)])

  static let error = shape(
    "SpeechStreamError", "error", "What is wrong; the connection ends.",
    [
      .init(name: "status", kind: .integer, explanation: "The status that HTTP has for it", isRequired: true),
      .init(name: "code", kind: .string, explanation: "The last part of the problem's type", isRequired: true),
      .init(name: "detail", kind: .string, explanation: "One sentence for a person", isRequired: true),
    ])

  private static func shape(
    _ name: String, _ type: String, _ explanation: String, _ fields: [APIRoute.Field]
  ) -> APIRoute.Shape {
    .init(
      name: name, explanation: explanation,
      fields: [
        .init(name: "type", kind: .string, explanation: "What it is", isRequired: true, choices: [type])
      ] + fields)
  }

  // MARK: Reading and writing

  /// What the first message asks for, and whether words come with their times.
  static func request(_ text: String) throws(APIProblem) -> (SpeechStreamRequest, words: Bool) {
    let members = try APIInput.body(Array(text.utf8), configuration.fields)
    var request = SpeechStreamRequest(
      encoding: members["encoding"]?.stringValue.flatMap(SpeechStreamRequest.Encoding.init) ?? .pcm,
      language: members["language"]?.stringValue ?? "", phrases: members["phrases"]?.texts ?? [],
      wantsPartials: members["partial_results"] != false)
    request.sampleRate =
      members["sample_rate"]?.intValue.map { Int($0) } ?? (request.encoding == .ulaw ? 8_000 : 16_000)
    guard SpeechStreamRequest.sampleRates.contains(request.sampleRate) else {
      let known = SpeechStreamRequest.sampleRates.map(String.init).joined(separator: ", ")
      throw .badRequest("`sample_rate` is one of \(known), not \(request.sampleRate)")
    }
    return (request, members["word_timestamps"] == true)
  }

  static func ready(_ request: SpeechStreamRequest) -> Value {
    [
      "type": "ready", "encoding": .string(request.encoding.rawValue), "sample_rate": .int(Int64(request.sampleRate)),
    ]
  }

  static func value(_ event: SpeechStreamEvent, words: Bool) -> Value {
    switch event {
    case .partial(let text, let startMs, let endMs):
      return [
        "type": "partial", "text": .string(text), "start_ms": .int(Int64(startMs)), "end_ms": .int(Int64(endMs)),
      ]
    case .final(let segment):
      guard case .map(var members) = RecordedSpeech.value(segment, words: words) else { return .null }
      members["type"] = "final"
      return .map(members)
    case .finalized(let ms): return ["type": "finalized", "at_ms": .int(Int64(ms))]
    case .done(let ms): return ["type": "done", "duration_ms": .int(Int64(ms))]
    }
  }

  static func error(_ problem: APIProblem) -> Value {
    [
      "type": "error", "status": .int(Int64(problem.status.code)), "code": .string(problem.code),
      "detail": .string(problem.detail),
    ]
  }
}
