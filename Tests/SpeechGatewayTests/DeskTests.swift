import Audio
import Base
import CallLink
import SpeechGateway
import Testing

/// The speech role without a call, with the embedded engines.
@Suite("Desk", .serialized) struct DeskTests {
  private static func with(
    _ configuration: SpeechGatewayConfiguration.Desk = .init(), _ body: (any SpeechDesk) async throws -> Void
  ) async throws {
    let service = try SpeechService(
      configuration: SpeechGatewayConfiguration(desk: configuration), runtime: FakeRuntime(),
      recognizer: MuteRecognizer(), now: { .zero })
    defer { service.shutdown() }
    try await body(service.desk)
  }

  private static func wav(_ samples: [Int16]) throws -> [UInt8] {
    let encoder = try SoundEncoder(.wav, sampleRate: 16_000)
    return encoder.write(samples) + encoder.finish()
  }

  private static func transcribe(
    _ desk: any SpeechDesk, _ audio: [UInt8], phrases: [String] = []
  ) async throws -> (durationMs: Int, segments: [TranscribedSegment]) {
    var duration = 0
    var segments: [TranscribedSegment] = []
    for try await event in try desk.transcribe(TranscriptionRequest(audio: audio, phrases: phrases)) {
      switch event {
      case .read(let ms): duration = ms
      case .segment(let segment): segments.append(segment)
      }
    }
    return (duration, segments)
  }

  @Test func aRecordingBecomesWordsWithTheirTimes() async throws {
    try await Self.with { desk in
      let first = try Voices.synthesize("please call me back tomorrow morning", voice: "rms")
      let second = try Voices.synthesize("the weather is very good today", voice: "slt")
      let pause = Sounds.silence(ms: 1_000)
      let samples = pause + first + pause + second + pause
      let heard = try await Self.transcribe(desk, try Self.wav(samples))
      #expect(heard.durationMs == samples.count / 16)
      try #require(heard.segments.count == 2, "\(heard.segments)")
      #expect(heard.segments[0].text.contains("call me back tomorrow"), "\(heard.segments[0].text)")
      #expect(heard.segments[1].text.contains("weather"), "\(heard.segments[1].text)")
      for (segment, start, length) in [
        (heard.segments[0], 1_000, first.count / 16), (heard.segments[1], 2_000 + first.count / 16, second.count / 16),
      ] {
        #expect(abs(segment.startMs - start) < 200 && abs(segment.endMs - start - length) < 300, "\(segment)")
        #expect((0.2...1).contains(segment.confidence))
        #expect(segment.words.map(\.text).joined(separator: " ") == segment.text)
        for (word, next) in zip(segment.words, segment.words.dropFirst()) { #expect(word.endMs <= next.startMs) }
        for word in segment.words {
          #expect(word.startMs < word.endMs && (0...1).contains(word.confidence), "\(word)")
          #expect(word.startMs >= start - 100 && word.endMs <= start + length + 150, "\(word)")
        }
      }
    }
  }

  @Test func expectedPhrasesAreHeardBetter() async throws {
    try await Self.with { desk in
      let edge = Sounds.silence(ms: 300)
      let audio = try Self.wav(edge + Voices.synthesize("frobnitz", voice: "rms") + edge)
      let heard = try await Self.transcribe(desk, audio, phrases: ["frobnitz", "password"])
      #expect(heard.segments.map(\.text) == ["frobnitz"])
      await #expect(throws: SpeechDeskError.self) {
        _ = try await Self.transcribe(desk, audio, phrases: [String](repeating: "again", count: 201))
      }
    }
  }

  @Test func silenceHasNoWords() async throws {
    try await Self.with { desk in
      let heard = try await Self.transcribe(desk, try Self.wav(Sounds.silence(ms: 3_000)))
      #expect(heard.durationMs == 3_000 && heard.segments.isEmpty)
    }
  }

  @Test func whatCannotBeHeardIsSaid() async throws {
    try await Self.with(.init(maxAudioSeconds: 2)) { desk in
      for (audio, code) in [
        (try Self.wav(Sounds.silence(ms: 2_500)), SpeechDeskError.Code.tooLong), (Array("no sound".utf8), .audio),
      ] {
        do {
          _ = try await Self.transcribe(desk, audio)
          Issue.record("it was heard")
        } catch let error as SpeechDeskError {
          #expect(error.code == code)
        }
      }
      let german = #expect(throws: SpeechDeskError.self) {
        try desk.transcribe(TranscriptionRequest(audio: [], language: "de-DE"))
      }
      #expect(german?.code == .unsupported)
    }
  }

  /// What is full says so at once, and a client that leaves makes room.
  @Test func thereAreOnlySoManySeats() async throws {
    try await Self.with(.init(queueDepth: 2)) { desk in
      let long = try Self.wav(
        (0..<10).flatMap { _ in try Voices.synthesize("one two three four five six seven", voice: "slt") })
      var open = [
        try desk.transcribe(TranscriptionRequest(audio: long)), try desk.transcribe(TranscriptionRequest(audio: long)),
      ]
      let refused = #expect(throws: SpeechDeskError.self) { try desk.transcribe(TranscriptionRequest(audio: long)) }
      #expect(refused?.code == .busy)
      #expect((refused?.retryAfterSeconds ?? 0) > 0)
      #expect(open.count == 2)
      open = []
      var isFree = false
      // Every refusal costs a moment; the step that is under way ends within it.
      for _ in 0..<10_000_000 where !isFree {
        do {
          let audio = try Self.wav(Sounds.silence(ms: 100))
          let again = try await Self.transcribe(desk, audio)
          #expect(again.segments.isEmpty)
          isFree = true
        } catch let error as SpeechDeskError where error.code == .busy {
          await Task.yield()
        }
      }
      #expect(isFree)
    }
  }

  @Test(arguments: SpeakingRequest.Format.allCases) func aTextBecomesAFile(_ format: SpeakingRequest.Format)
    async throws
  {
    try await Self.with { desk in
      var bytes: [UInt8] = []
      let request = SpeakingRequest(text: "Good morning. This is a test.", format: format)
      for try await part in try desk.speak(request) { bytes += part }
      switch format {
      case .pcm: #expect((40_000...160_000).contains(bytes.count))
      case .ulaw: #expect((10_000...40_000).contains(bytes.count))
      case .wav, .mp3, .opus, .flac:
        let sound = try SoundFile.decode(bytes, limits: .init(seconds: 60))
        #expect((20_000...80_000).contains(sound.samples.count))
      }
    }
  }

  @Test func whatCannotBeSpokenIsSaid() async throws {
    try await Self.with { desk in
      for request in [
        SpeakingRequest(text: ""), SpeakingRequest(text: "?!"), SpeakingRequest(text: "hello", voice: "nobody"),
        SpeakingRequest(text: "<speak>hello", isMarkup: true), SpeakingRequest(text: "hello", sampleRate: 12_345),
      ] {
        let error = #expect(throws: SpeechDeskError.self) { try desk.speak(request) }
        #expect(error?.code == .unsupported && error?.message.isEmpty == false)
      }
      let markup = SpeakingRequest(text: #"<speak>One<break time="1s"/>two</speak>"#, isMarkup: true, format: .pcm)
      let plain = SpeakingRequest(text: "One two", format: .pcm)
      var lengths: [Int] = []
      for request in [markup, plain] {
        var count = 0
        for try await part in try desk.speak(request) { count += part.count }
        lengths.append(count)
      }
      #expect(lengths[0] > lengths[1] + 20_000, "the pause was not spoken")
    }
  }
}
