import Base
import CallLink
import HTTPTypes
import HummingbirdCore
import NIOCore

// The speech API in OpenAI's form, for clients that exist: paths, fields, answers and errors are theirs. What they have and this
// gateway has not is refused by name, never passed over.

extension CallAPI {
  var openAIRoutes: [APIRoute] {
    [
      APIRoute(
        method: .post, path: "/v1/audio/transcriptions", summary: "A recording into words, in OpenAI's form",
        roles: [.operate, .developer], body: Self.openAITranscriptionFields,
        payload: Self.openAIUpload.payload, answer: "text; in verbose_json also duration, segments, words",
        answerTypes: ["application/json", "text/plain", "text/vtt", "application/x-subrip", "text/event-stream"],
        handle: openAITranscribe),
      APIRoute(
        method: .post, path: "/v1/audio/speech", summary: "A text into sound, in OpenAI's form",
        roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "model", kind: .string, explanation: "tts-1, or a model of GET /v1/models that speaks",
            isRequired: true),
          APIRoute.Field(
            name: "input", kind: .string, explanation: "1 to \(APILimits.speechCharacters) characters", isRequired: true
          ),
          APIRoute.Field(
            name: "voice", kind: .string,
            explanation: "One of GET /v1/speech/voices, or a voice of OpenAI's, which one of them stands in for",
            isRequired: true),
          APIRoute.Field(
            name: "response_format", kind: .string, explanation: "What the answer is; aac is not made here",
            fallback: "mp3", choices: ["mp3", "opus", "flac", "wav", "pcm"]),
          APIRoute.Field(
            name: "speed", kind: .number, explanation: "1 is the voice's own pace", fallback: .double(1), range: 0.5...2
          ),
          APIRoute.Field(name: "instructions", kind: .string, explanation: "Must be empty: the voices take none"),
          APIRoute.Field(
            name: "stream_format", kind: .string, explanation: "The sound comes as it is made", fallback: "audio",
            choices: ["audio"]),
        ], answer: "the sound",
        // OpenAI's clients accept `application/octet-stream` only, whatever sound they ask for.
        answerTypes: ["audio/mpeg", "audio/ogg", "audio/flac", "audio/wav", "audio/pcm", "application/octet-stream"],
        handle: openAISpeak),
      APIRoute(
        method: .get, path: "/v1/models", summary: "The speech models, in OpenAI's form", answer: "object, data",
        handle: openAIModels),
      APIRoute(
        method: .get, path: "/v1/models/{model}", summary: "One speech model, in OpenAI's form",
        answer: "id, object, created, owned_by", handle: openAIModel),
    ]
  }

  private static let openAITranscriptionFields = [
    APIRoute.Field(
      name: "model", kind: .string, explanation: "whisper-1, or a model of GET /v1/models that hears", isRequired: true),
    APIRoute.Field(name: "language", kind: .string, explanation: "A language tag", fallback: ""),
    APIRoute.Field(
      name: "response_format", kind: .string, explanation: "What the answer is", fallback: "json",
      choices: ["json", "text", "srt", "vtt", "verbose_json"]),
    APIRoute.Field(
      name: "timestamp_granularities[]", kind: .strings,
      explanation: "For verbose_json: times of segments, of words, or both",
      choices: ["segment", "word"], count: 0...2),
    APIRoute.Field(
      name: "stream", kind: .boolean, explanation: "Server-sent events, one for every stretch of speech",
      fallback: false),
    APIRoute.Field(
      name: "temperature", kind: .number, explanation: "0: decoding leaves nothing to chance", range: 0...0),
    APIRoute.Field(name: "prompt", kind: .string, explanation: "Must be empty; `phrases` says what is expected"),
    APIRoute.Field(
      name: "phrases", kind: .strings, explanation: "Words and phrases that are expected (not OpenAI's)",
      count: 0...200),
    APIRoute.Field(
      name: "chunking_strategy", kind: .string, explanation: "Recordings are always divided at silence",
      choices: ["auto"]),
  ]

  private static let openAIUpload = Upload.Shape(
    part: "file", types: [], limit: SpeechLimits.audioBytes, fields: openAITranscriptionFields)

  /// Names that clients ask for without thinking, and what they get.
  private static let modelAliases: [(name: String, kind: SpeechModel.Kind)] = [
    ("whisper-1", .recognition), ("gpt-4o-transcribe", .recognition), ("gpt-4o-mini-transcribe", .recognition),
    ("tts-1", .synthesis), ("tts-1-hd", .synthesis), ("gpt-4o-mini-tts", .synthesis),
  ]

  /// OpenAI's voices, and whether a woman's or a man's voice stands in for them.
  private static let voiceAliases = [
    "alloy": "slt", "ash": "rms", "ballad": "awb", "cedar": "rms", "coral": "slt", "echo": "rms", "fable": "awb",
    "marin": "slt", "nova": "slt", "onyx": "rms", "sage": "slt", "shimmer": "slt", "verse": "rms",
  ]

  // MARK: Handlers

  private func openAITranscribe(_ request: APIRequest) async throws -> APIAnswer {
    let upload = try await upload(request, Self.openAIUpload)
    let fields = upload.fields
    try check(model: fields["model"]?.stringValue ?? "", .recognition)
    guard fields["prompt"]?.stringValue ?? "" == "" else {
      throw APIProblem.badRequest(
        "`prompt` must be empty: the recogniser takes none; name what you expect in `phrases`")
    }
    let asked = TranscriptionRequest(
      audio: upload.file, language: fields["language"]?.stringValue ?? "", phrases: fields["phrases"]?.texts ?? [])
    let granularities = fields["timestamp_granularities[]"]?.texts ?? []
    let format = fields["response_format"]?.stringValue ?? "json"
    guard granularities.isEmpty || format == "verbose_json" else {
      throw APIProblem.badRequest("`timestamp_granularities[]` needs `response_format` verbose_json")
    }
    if fields["stream"] == true {
      guard format == "json" || format == "text" else {
        throw APIProblem.badRequest("`stream` needs `response_format` json or text")
      }
      return try await stream(asked, request)
    }
    let transcript = try await transcript(of: asked, request)
    switch format {
    case "text": return .bytes(ByteBuffer(string: transcript.text + "\n"), type: "text/plain; charset=utf-8")
    case "srt": return .bytes(ByteBuffer(string: transcript.srt), type: "application/x-subrip")
    case "vtt": return .bytes(ByteBuffer(string: transcript.vtt), type: "text/vtt")
    case "verbose_json":
      return .json(
        transcript.verbose(
          words: granularities.contains("word"), segments: granularities.isEmpty || granularities.contains("segment")))
    default: return .json(transcript.brief)
    }
  }

  private func stream(_ asked: TranscriptionRequest, _ request: APIRequest) async throws -> APIAnswer {
    let desk = try speechDesk()
    // A recording that cannot be read is told before the stream begins.
    let (first, rest) = try await whileConnected(request.channel) {
      do {
        let events = try desk.transcribe(asked)
        for try await first in events { return (first, events) }
        throw CancellationError()
      } catch let error as SpeechDeskError {
        throw APIProblem(error)
      }
    }
    request.note(first)
    return .stream(
      ResponseBody { writer in
        var transcript = RecordedSpeech(language: asked.language)
        transcript.take(first)
        do {
          for try await event in rest {
            transcript.take(event)
            guard case .segment(let segment) = event else { continue }
            let text = transcript.segments.count > 1 ? " " + segment.text : segment.text
            try await writer.write(Self.event(["type": "transcript.text.delta", "delta": .string(text)]))
          }
          try await writer.write(
            Self.event([
              "type": "transcript.text.done", "text": .string(transcript.text), "usage": transcript.usage,
            ]))
        } catch let error as SpeechDeskError {
          try await writer.write(Self.event(["error": OpenAIErrors.error(APIProblem(error))]))
        }
        try await writer.finish(nil)
      })
  }

  private static func event(_ value: Value) -> ByteBuffer { ByteBuffer(string: "data: \(JSON.encode(value))\n\n") }

  private func openAISpeak(_ request: APIRequest) async throws -> APIAnswer {
    try check(model: request.text("model") ?? "", .synthesis)
    guard (request.text("instructions") ?? "").isEmpty else {
      throw APIProblem.badRequest("`instructions` must be empty: the voices take none")
    }
    let format = SpeakingRequest.Format(rawValue: request.text("response_format") ?? "") ?? .mp3
    let known = try speechDesk().voices.map(\.name)
    let asked = request.text("voice") ?? ""
    guard let voice = known.contains(asked) ? asked : Self.voiceAliases[asked].map({ known.contains($0) ? $0 : "" })
    else {
      let names = known + Self.voiceAliases.keys.sorted()
      throw APIProblem.badRequest("`voice`: `\(asked)` is unknown; it is one of \(names.joined(separator: ", "))")
    }
    return try await speech(
      SpeakingRequest(
        text: request.text("input") ?? "", voice: voice, speed: request.body["speed"]?.doubleValue ?? 1, format: format,
        // OpenAI's headless samples have 24 kHz, which their clients take for granted.
        sampleRate: format == .pcm ? 24_000 : nil), request)
  }

  private func openAIModels(_ request: APIRequest) async throws -> APIAnswer {
    .json(["object": "list", "data": .list(try modelNames().map { Self.model($0.name) })])
  }

  private func openAIModel(_ request: APIRequest) async throws -> APIAnswer {
    let name = request.path["model"] ?? ""
    guard try modelNames().contains(where: { $0.name == name }) else { throw Self.unknownModel(name) }
    return .json(Self.model(name))
  }

  private func modelNames() throws -> [(name: String, kind: SpeechModel.Kind)] {
    try speechDesk().models.map { ($0.name, $0.kind) } + Self.modelAliases
  }

  private func check(model: String, _ kind: SpeechModel.Kind) throws {
    let fitting = try modelNames().filter { $0.kind == kind }.map(\.name)
    if !fitting.contains(model) { throw Self.unknownModel(model, known: fitting) }
  }

  private static func unknownModel(_ name: String, known: [String] = []) -> APIProblem {
    let hint = known.isEmpty ? "" : "; here it is one of \(known.joined(separator: ", "))"
    return APIProblem(.notFound, "model_not_found", "`model`: there is no `\(name)`\(hint)")
  }

  private static func model(_ name: String) -> Value {
    ["id": .string(name), "object": "model", "created": 0, "owned_by": "parley"]
  }
}

/// Errors as OpenAI's clients read them: a member `error` beside those of RFC 9457, so that one answer serves both.
enum OpenAIErrors {
  /// The problem as a client of this path expects it.
  static func dressed(_ problem: APIProblem, path: String) -> APIProblem {
    guard path.hasPrefix("/v1/audio/") || path == "/v1/models" || path.hasPrefix("/v1/models/") else { return problem }
    var problem = problem
    // Their clients know 400 for a recording or a wish that is no good.
    if problem.status == .unprocessableContent { problem.status = .badRequest }
    problem.more["error"] = error(problem)
    return problem
  }

  static func error(_ problem: APIProblem) -> Value {
    let type =
      switch problem.status.code {
      case 401: "authentication_error"
      case 403: "permission_error"
      case 429: "rate_limit_error"
      case 500...: "server_error"
      default: "invalid_request_error"
      }
    // A sentence about a field begins with its name.
    let quoted = problem.detail.split(separator: "`", maxSplits: 2, omittingEmptySubsequences: false)
    let field = quoted.count == 3 && quoted[0].isEmpty ? Value.string(String(quoted[1])) : .null
    return [
      "message": .string(problem.detail), "type": .string(type), "param": field, "code": .string(problem.code),
    ]
  }
}
