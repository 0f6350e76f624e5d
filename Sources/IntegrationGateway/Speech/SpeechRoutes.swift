import Base
import CallLink
import HTTPTypes
import HummingbirdCore
import NIOConcurrencyHelpers
import NIOCore

/// Limits of the speech API, enforced at its edge; those of the work itself are `speech.api` of the configuration.
enum SpeechLimits {
  /// A file: what OpenAI takes, so that clients meet no other limit here. An hour of Opus, a quarter of an hour of WAV.
  static let audioBytes = 25 << 20
  /// Files that are on their way in at once; each is held in memory.
  static let uploads = 8
  /// Ten minutes of speech take a decoder one and a half, and others may be before them.
  static let answerTime = Duration.seconds(600)
  /// One message of a stream: two seconds at 16 kHz. Larger ones would make its words late.
  static let soundBytes = 64 << 10
  static let audioTypes = [
    "audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/flac", "audio/x-flac", "audio/ogg", "audio/opus", "audio/mpeg",
    "audio/mp3",
  ]
}

extension CallAPI {
  var speechRoutes: [APIRoute] {
    [
      APIRoute(
        method: .post, path: "/v1/speech/transcribe", summary: "A recording into words", roles: [.operate, .developer],
        query: Self.transcriptionFields, body: Self.transcriptionFields,
        payload: Self.transcriptionUpload.payload,
        answer: "text, confidence, language, duration_ms, segments of text, start_ms, end_ms, confidence, words",
        handle: transcribe),
      APIRoute(
        method: .post, path: "/v1/speech/synthesize", summary: "A text into sound", roles: [.operate, .developer],
        body: [
          APIRoute.Field(
            name: "text", kind: .string, explanation: "What is said", isRequired: true,
            length: 1...APILimits.speechCharacters),
          APIRoute.Field(
            name: "ssml", kind: .boolean, explanation: "Whether the text is SSML (docs/ssml.md)", fallback: false),
          APIRoute.Field(
            name: "voice", kind: .string, explanation: "One of GET /v1/speech/voices; empty: the configured voice",
            fallback: ""),
          APIRoute.Field(
            name: "speed", kind: .number, explanation: "1 is the voice's own pace", fallback: .double(1), range: 0.5...2
          ),
          APIRoute.Field(
            name: "format", kind: .string, explanation: "What the answer is: pcm and ulaw have no head",
            fallback: "wav",
            choices: SpeakingRequest.Format.allCases.map(\.rawValue)),
          APIRoute.Field(
            name: "sample_rate", kind: .integer,
            explanation: "Hz; without it 16000, and 8000 for ulaw. Opus has 8000, 16000, 24000 or 48000",
            range: 8_000...48_000),
        ], answer: "the sound", answerTypes: SpeakingRequest.Format.allCases.map(\.mediaType), handle: synthesize),
      speechStreamRoute,
      APIRoute(
        method: .get, path: "/v1/speech/models", summary: "The models that hear and speak",
        answer: "items of name, kind, languages", handle: listSpeechModels),
      APIRoute(
        method: .get, path: "/v1/speech/voices", summary: "The voices, the default first",
        answer: "items of name, language, model, description", handle: listVoices),
    ] + openAIRoutes
  }

  private static let transcriptionFields = [
    APIRoute.Field(
      name: "language", kind: .string, explanation: "A language tag; empty: the configured language", fallback: ""),
    APIRoute.Field(
      name: "word_timestamps", kind: .boolean, explanation: "Whether every word comes with its time", fallback: false),
    APIRoute.Field(
      name: "phrases", kind: .strings,
      explanation: "Words and phrases that are expected, which are heard far better than others", count: 0...200),
  ]

  private static let transcriptionUpload = Upload.Shape(
    part: "audio", types: SpeechLimits.audioTypes, limit: SpeechLimits.audioBytes, fields: transcriptionFields)

  // MARK: Handlers

  private func transcribe(_ request: APIRequest) async throws -> APIAnswer {
    let upload = try await upload(request, Self.transcriptionUpload)
    let transcript = try await transcript(
      of: TranscriptionRequest(
        audio: upload.file, language: upload.fields["language"]?.stringValue ?? "",
        phrases: upload.fields["phrases"]?.texts ?? []), request)
    return .json(transcript.value(words: upload.fields["word_timestamps"] == true))
  }

  private func synthesize(_ request: APIRequest) async throws -> APIAnswer {
    let format = SpeakingRequest.Format(rawValue: request.text("format") ?? "") ?? .wav
    return try await speech(
      SpeakingRequest(
        text: request.text("text") ?? "", isMarkup: request.body["ssml"] == true, voice: request.text("voice") ?? "",
        speed: request.body["speed"]?.doubleValue ?? 1, format: format, sampleRate: request.integer("sample_rate")),
      request)
  }

  private func listSpeechModels(_ request: APIRequest) async throws -> APIAnswer {
    let items = try speechDesk().models.map { model -> Value in
      [
        "name": .string(model.name), "kind": .string(model.kind.rawValue),
        "languages": .list(model.languages.map { .string($0) }),
      ]
    }
    return .json(["items": .list(items), "next_cursor": .null])
  }

  private func listVoices(_ request: APIRequest) async throws -> APIAnswer {
    let items = try speechDesk().voices.map { voice -> Value in
      [
        "name": .string(voice.name), "language": .string(voice.language), "model": .string(voice.model),
        "description": .string(voice.description),
      ]
    }
    return .json(["items": .list(items), "next_cursor": .null])
  }

  // MARK: The desk

  /// - Throws: 503 where this process has no speech role.
  func speechDesk() throws(APIProblem) -> any SpeechDesk {
    if let desk = desk.withLockedValue({ $0 }) { return desk }
    throw APIProblem(
      .serviceUnavailable, "speech_unavailable", "the speech role does not run here, or has not started yet",
      headers: [.retryAfter: "5"])
  }

  /// Reads a file, while there is room for it.
  func upload(_ request: APIRequest, _ shape: Upload.Shape) async throws -> Upload {
    guard uploads.enter(limit: SpeechLimits.uploads) else {
      throw APIProblem(
        .tooManyRequests, "busy", "\(SpeechLimits.uploads) files are being received already; try again",
        headers: [.retryAfter: "2", .connection: "close"])
    }
    defer { uploads.leave() }
    let upload = try await Upload.read(request, shape)
    // Counts from now on: a route's own time would have begun with the head.
    let time = ConnectionGuard.AnswerTime(duration: SpeechLimits.answerTime)
    try await request.channel.triggerUserOutboundEvent(time).get()
    return upload
  }

  /// The whole transcript; the work ends when the client leaves.
  func transcript(of recording: TranscriptionRequest, _ request: APIRequest) async throws -> RecordedSpeech {
    let desk = try speechDesk()
    let language = recording.language.isEmpty ? "en" : recording.language
    return try await whileConnected(request.channel) {
      do {
        var transcript = RecordedSpeech(language: language)
        for try await event in try desk.transcribe(recording) {
          transcript.take(event)
          request.note(event)
        }
        try Task.checkCancellation()
        return transcript
      } catch let error as SpeechDeskError {
        throw APIProblem(error)
      }
    }
  }

  /// The sound as it is made. What is wrong with the request is told before the first byte.
  func speech(_ text: SpeakingRequest, _ request: APIRequest) async throws -> APIAnswer {
    let desk = try speechDesk()
    request.details.withLockedValue { $0["characters"] = .int(Int64(text.text.count)) }
    let (first, rest) = try await whileConnected(request.channel) {
      do {
        let sound = try desk.speak(text)
        for try await first in sound { return (first, sound) }
        try Task.checkCancellation()
        throw APIProblem(.serviceUnavailable, "speech_unavailable", "the voice made no sound")
      } catch let error as SpeechDeskError {
        throw APIProblem(error)
      }
    }
    return .stream(
      ResponseBody { writer in
        try await writer.write(ByteBuffer(bytes: first))
        for try await bytes in rest { try await writer.write(ByteBuffer(bytes: bytes)) }
        try await writer.finish(nil)
      }, type: text.format.mediaType)
  }
}

extension APIRequest {
  /// Tells the audit log how much was heard.
  func note(_ event: TranscriptionEvent) {
    if case .read(let ms) = event { details.withLockedValue { $0["audio_ms"] = .int(Int64(ms)) } }
  }
}

extension APIProblem {
  init(_ error: SpeechDeskError) {
    switch error.code {
    case .busy:
      self.init(
        .tooManyRequests, "busy", error.message, headers: [.retryAfter: "\(error.retryAfterSeconds)"])
    case .audio: self.init(.unprocessableContent, "unreadable_audio", error.message)
    case .tooLong: self.init(.contentTooLarge, "audio_too_long", error.message)
    case .tooSlow: self.init(.requestTimeout, "too_slow", error.message)
    case .unsupported: self.init(.unprocessableContent, "unsupported", error.message)
    case .unavailable: self.init(.serviceUnavailable, "speech_unavailable", error.message, headers: [.retryAfter: "5"])
    }
  }
}

extension Value {
  /// The texts of a list.
  var texts: [String] { if case .list(let items) = self { items.compactMap(\.stringValue) } else { [] } }
}
