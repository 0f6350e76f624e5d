import AsyncHTTPClient
import Base
import CallLink
import IntegrationGateway
import NIOCore
import NIOHTTP1
import Testing

/// The speech routes, the gateway's own and OpenAI's, before a speech role that says what is wanted.
@Suite struct SpeechAPITests {
  private static func form(_ fields: [(String, String)], file: String = "file") -> (body: String, type: String) {
    var body = "--b\r\nContent-Disposition: form-data; name=\"\(file)\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n"
    for (name, value) in fields {
      body += "--b\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }
    return (body + "--b--\r\n", "multipart/form-data; boundary=b")
  }

  private static func openAI(_ gateway: Gateway, _ fields: [(String, String)]) async throws -> Answer {
    let form = form([("model", "whisper-1")] + fields)
    return try await gateway.post("/v1/audio/transcriptions", form.body, headers: [("Content-Type", form.type)])
  }

  @Test func aRecordingIsTranscribed() async throws {
    try await Gateway.with { gateway in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      let raw = try await gateway.post(
        "/v1/speech/transcribe?word_timestamps=true&phrases=good,bye", "RIFF",
        headers: [("Content-Type", "audio/x-wav")])
      #expect(raw.status == 200)
      #expect(raw.json["text"]?.stringValue == "good morning goodbye")
      #expect(raw.json["duration_ms"]?.intValue == 3_662_500)
      #expect(raw.json["confidence"]?.doubleValue == 0.8)
      let segments = raw.json["segments"]?.items ?? []
      #expect(segments.count == 2 && segments[0]["start_ms"]?.intValue == 500)
      #expect(segments[0]["words"]?.items.last?["end_ms"]?.intValue == 1_250)
      #expect(desk.transcriptions[0].phrases == ["good", "bye"])

      let form = Self.form([], file: "audio")
      let plain = try await gateway.post("/v1/speech/transcribe", form.body, headers: [("Content-Type", form.type)])
      #expect(plain.json["segments"]?.items.first?["words"]?.items.isEmpty == true)
    }
  }

  @Test func aTextIsSpoken() async throws {
    try await Gateway.with { gateway in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      let answer = try await gateway.post(
        "/v1/speech/synthesize", #"{"text":"hello","format":"opus","speed":1.5,"sample_rate":24000,"ssml":true}"#)
      #expect(answer.status == 200 && answer.text == "sound and more")
      #expect(answer.headers.first(name: "Content-Type") == "audio/ogg")
      let asked = try #require(desk.texts.first)
      #expect(asked.isMarkup && asked.format == .opus && asked.speed == 1.5 && asked.sampleRate == 24_000)
      for (body, detail) in [
        (#"{"text":""}"#, "1 to 4096 characters"), (#"{"txt":"a"}"#, "did you mean `text`?"),
        ("{}", "`text` is missing"),
        (#"{"text":"a","format":"aiff"}"#, "`aiff` is unknown"), (#"{"text":"a","speed":9}"#, "between 0.5 and 2"),
        ("{\"text\":\"\(String(repeating: "a", count: 4_097))\"}", "1 to 4096 characters"),
      ] {
        let refused = try await gateway.post("/v1/speech/synthesize", body)
        #expect(refused.status == 400 && refused.text.contains(detail), "\(body.prefix(60)): \(refused.text)")
      }
    }
  }

  @Test func whatTheSpeechRoleRefusesIsAnsweredInItsWords() async throws {
    for (code, status, retry) in [
      (SpeechDeskError.Code.busy, 429, "7"), (.audio, 422, nil), (.tooLong, 413, nil), (.unsupported, 422, nil),
      (.unavailable, 503, "5"),
    ] as [(SpeechDeskError.Code, Int, String?)] {
      try await Gateway.with { gateway in
        gateway.service.connect(FakeDesk(error: SpeechDeskError(code, "its own words", retryAfterSeconds: 7)))
        for answer in [
          try await gateway.post("/v1/speech/transcribe", "RIFF", headers: [("Content-Type", "audio/wav")]),
          try await gateway.post("/v1/speech/synthesize", #"{"text":"hello"}"#),
        ] {
          #expect(answer.status == status && answer.json["detail"]?.stringValue == "its own words", "\(answer.text)")
          #expect(answer.headers.first(name: "Retry-After") == retry)
        }
        let answer = try await Self.openAI(gateway, [])
        #expect(answer.status == (status == 422 ? 400 : status), "\(answer.text)")
        #expect(answer.json["detail"]?.stringValue == "its own words", "\(answer.text)")
      }
    }
  }

  @Test func withoutASpeechRoleItIsUnavailable() async throws {
    try await Gateway.with { gateway in
      let answer = try await gateway.get("/v1/speech/voices")
      #expect(answer.status == 503 && answer.headers.first(name: "Retry-After") == "5")
    }
  }

  /// A client that leaves ends the work that is done for it.
  @Test func aClientThatLeavesIsNotWorkedFor() async throws {
    try await Gateway.with { gateway in
      let desk = FakeDesk(hangs: true)
      gateway.service.connect(desk)
      let client = HTTPClient(eventLoopGroupProvider: .singleton)
      var request = gateway.request("/v1/speech/transcribe", method: .POST)
      request.headers.add(name: "Content-Type", value: "audio/wav")
      request.body = .bytes(ByteBuffer(string: "RIFF"))
      let asking = Task { [request] in try await client.execute(request, timeout: .seconds(60)) }
      await desk.isAsked()
      asking.cancel()
      _ = await asking.result
      await desk.isLeft()
      try await client.shutdown()
    }
  }

  // MARK: OpenAI's form

  @Test func transcriptsComeInOpenAIsForms() async throws {
    try await Gateway.with { gateway in
      gateway.service.connect(FakeDesk())
      let brief = try await Self.openAI(gateway, [])
      #expect(brief.json["text"]?.stringValue == "good morning goodbye")
      #expect(brief.json["usage"]?["seconds"]?.intValue == 3_663)
      let text = try await Self.openAI(gateway, [("response_format", "text")])
      #expect(text.text == "good morning goodbye\n")
      let srt = try await Self.openAI(gateway, [("response_format", "srt")])
      #expect(
        srt.text
          == "1\n00:00:00,500 --> 00:00:01,250\ngood morning\n\n2\n01:01:01,000 --> 01:01:02,000\ngoodbye\n\n")
      let vtt = try await Self.openAI(gateway, [("response_format", "vtt")])
      #expect(vtt.text.hasPrefix("WEBVTT\n\n00:00:00.500 --> 00:00:01.250\ngood morning\n\n"))
      let verbose = try await Self.openAI(
        gateway,
        [
          ("response_format", "verbose_json"), ("timestamp_granularities[]", "word"),
          ("timestamp_granularities[]", "segment"),
        ])
      #expect(verbose.json["words"]?.items.count == 3 && verbose.json["segments"]?.items.count == 2)
      #expect(verbose.json["words"]?.items.first?["start"]?.doubleValue == 0.5)
      let words = try await Self.openAI(
        gateway, [("response_format", "verbose_json"), ("timestamp_granularities[]", "word")])
      #expect(words.json["segments"] == nil)
      let stream = try await Self.openAI(gateway, [("stream", "true")])
      let events = stream.text.split(separator: "\n").compactMap { try? JSON.decode(String($0.dropFirst(6))) }
      #expect(
        events.map { $0["type"]?.stringValue } == [
          "transcript.text.delta", "transcript.text.delta", "transcript.text.done",
        ])
      #expect(events.prefix(2).compactMap { $0["delta"]?.stringValue }.joined() == events[2]["text"]?.stringValue)
    }
  }

  @Test func voicesAndModelsOfOpenAIHaveStandIns() async throws {
    try await Gateway.with { gateway in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      for (voice, ours) in [("nova", "slt"), ("onyx", ""), ("slt", "slt")] {
        let answer = try await gateway.post(
          "/v1/audio/speech", #"{"model":"tts-1","input":"hello","voice":"\#(voice)","response_format":"pcm"}"#)
        #expect(answer.status == 200 && answer.headers.first(name: "Content-Type") == "audio/pcm")
        #expect(desk.texts.last?.voice == ours && desk.texts.last?.sampleRate == 24_000)
      }
      // What OpenAI's client says it accepts.
      let mp3 = try await gateway.post(
        "/v1/audio/speech", #"{"model":"mouth","input":"hello","voice":"alloy"}"#,
        headers: [("Accept", "application/octet-stream")])
      #expect(mp3.headers.first(name: "Content-Type") == "audio/mpeg")
      let names = try await gateway.get("/v1/models").json["data"]?.items.compactMap { $0["id"]?.stringValue } ?? []
      #expect(Set(["ear", "mouth", "whisper-1", "tts-1"]).isSubset(of: names))
      for name in names { #expect(try await gateway.get("/v1/models/\(name)").json["id"]?.stringValue == name) }
    }
  }

  @Test func errorsCarryOpenAIsShapeAndOurs() async throws {
    try await Gateway.with { gateway in
      gateway.service.connect(FakeDesk())
      let speech = #""model":"tts-1","input":"hello""#
      for (path, body, status, param, detail) in [
        ("/v1/audio/speech", "{\(speech)}", 400, "voice", "is missing"),
        ("/v1/audio/speech", "{\(speech),\"voice\":\"nobody\"}", 400, "voice", "`nobody` is unknown"),
        (
          "/v1/audio/speech", "{\(speech),\"voice\":\"nova\",\"response_format\":\"aac\"}", 400, "response_format",
          "aac"
        ),
        ("/v1/audio/speech", "{\(speech),\"voice\":\"nova\",\"instructions\":\"sing\"}", 400, "instructions", "empty"),
        ("/v1/audio/speech", #"{"model":"whisper-1","input":"hello","voice":"nova"}"#, 404, "model", "tts-1"),
      ] {
        let answer = try await gateway.post(path, body)
        #expect(answer.status == status, "\(answer.text)")
        let error = answer.json["error"]
        #expect(error?["param"]?.stringValue == param && error?["type"]?.stringValue == "invalid_request_error")
        #expect(error?["message"]?.stringValue?.contains(detail) == true, "\(answer.text)")
        #expect(answer.json["detail"] == error?["message"])
      }
      for fields in [
        [("temperature", "0.5")], [("prompt", "names")], [("response_format", "xml")],
        [("timestamp_granularities[]", "word")],
        [("stream", "true"), ("response_format", "srt")], [("include[]", "logprobs")],
      ] {
        let answer = try await Self.openAI(gateway, fields)
        #expect(answer.status == 400 && answer.json["error"]?["message"] != nil, "\(fields): \(answer.text)")
      }
      let stranger = try await gateway.send(gateway.request("/v1/models", token: "wrong-token-0123"))
      #expect(stranger.status == 401 && stranger.json["error"]?["type"]?.stringValue == "authentication_error")
      #expect(try await gateway.get("/v1/models/none").json["error"]?["code"]?.stringValue == "model_not_found")
      #expect(try await gateway.get("/v1/calls/none").json["error"] == nil)
    }
  }
}

extension Value {
  fileprivate var items: [Value] { if case .list(let items) = self { items } else { [] } }
}
