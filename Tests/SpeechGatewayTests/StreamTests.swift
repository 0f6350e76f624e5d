import Audio
import Base
import CallLink
import SpeechGateway
import Testing

/// Streams of sound without a call, with the embedded engines.
@Suite("Streams", .serialized) struct StreamTests {
  private static func with(
    _ configuration: SpeechGatewayConfiguration.Desk = .init(), metrics: any SpeechMetrics = NoSpeechMetrics(),
    _ body: (any SpeechDesk) async throws -> Void
  ) async throws {
    let service = try SpeechService(
      configuration: SpeechGatewayConfiguration(desk: configuration), runtime: FakeRuntime(),
      recognizer: MuteRecognizer(), metrics: metrics, now: { .zero })
    defer { service.shutdown() }
    try await body(service.desk)
  }

  private static func pcm(_ samples: [Int16]) -> [UInt8] {
    samples.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  /// Writes everything in pieces of 20 ms, and then what comes of it.
  private static func hear(
    _ desk: any SpeechDesk, _ request: SpeechStreamRequest, _ bytes: [UInt8]
  ) async throws -> [SpeechStreamEvent] {
    let stream = try desk.listen(request)
    let piece = request.sampleRate / 50 * request.encoding.bytesPerSample
    for start in stride(from: 0, to: bytes.count, by: piece) {
      await stream.inlet.write(Array(bytes[start..<min(bytes.count, start + piece)]))
    }
    stream.inlet.finish()
    return try await Array(stream.events)
  }

  private static func finals(_ events: [SpeechStreamEvent]) -> [TranscribedSegment] {
    events.compactMap { if case .final(let segment) = $0 { segment } else { nil } }
  }

  private static func partials(_ events: [SpeechStreamEvent]) -> [String] {
    events.compactMap { if case .partial(let text, _, _) = $0 { text } else { nil } }
  }

  private static func sentences() throws -> [Int16] {
    let pause = Sounds.silence(ms: 1_000)
    return pause + (try Voices.synthesize("please call me back tomorrow morning", voice: "rms")) + pause
      + (try Voices.synthesize("the weather is very good today", voice: "slt")) + pause
  }

  @Test func whatIsHeardInTheEndIsWhatARecordingGives() async throws {
    try await Self.with { desk in
      let samples = try Self.sentences()
      let events = try await Self.hear(desk, SpeechStreamRequest(), Self.pcm(samples))
      let encoder = try SoundEncoder(.wav, sampleRate: 16_000)
      var recorded: [TranscribedSegment] = []
      let file = encoder.write(samples) + encoder.finish()
      for try await event in try desk.transcribe(TranscriptionRequest(audio: file)) {
        if case .segment(let segment) = event { recorded.append(segment) }
      }
      #expect(recorded.count == 2)
      #expect(Self.finals(events) == recorded)
      #expect(events.last == .done(durationMs: samples.count / 16))
    }
  }

  @Test func partialResultsComeWhileSomebodySpeaks() async throws {
    try await Self.with { desk in
      let events = try await Self.hear(desk, SpeechStreamRequest(), Self.pcm(try Self.sentences()))
      let stretches = events.split { if case .final = $0 { true } else { false } }
      let finals = Self.finals(events)
      try #require(stretches.count == 3 && finals.count == 2, "\(events)")
      for (stretch, final) in zip(stretches, finals) {
        var lastEnd = 0
        #expect(stretch.count >= 3, "\(stretch)")
        for case .partial(let text, let startMs, let endMs) in stretch {
          #expect(!text.isEmpty && endMs > lastEnd)
          #expect(startMs == final.startMs && endMs < final.endMs + 600)
          lastEnd = endMs
        }
      }
      let said = Self.partials(Array(stretches[0]))
      #expect(said.last?.contains("call me back") == true, "\(said)")
      let silent = try await Self.hear(
        desk, SpeechStreamRequest(wantsPartials: false), Self.pcm(try Self.sentences()))
      #expect(Self.partials(silent).isEmpty)
      // What a decoder heard before shifts its times by a few frames.
      #expect(Self.finals(silent).map(\.text) == finals.map(\.text), "\(silent)\n\(finals)")
    }
  }

  @Test(arguments: [
    (SpeechStreamRequest.Encoding.ulaw, 8_000), (.pcm, 8_000), (.pcm, 24_000), (.pcm, 48_000),
  ]) func everyFormatIsUnderstood(_ encoding: SpeechStreamRequest.Encoding, _ rate: Int) async throws {
    try await Self.with { desk in
      let spoken = try Voices.synthesize("please call me back tomorrow morning", voice: "rms")
      let edge = Sounds.silence(ms: 500)
      let samples = try Resampler.convert(edge + spoken + edge, from: 16_000, to: rate)
      let bytes = encoding == .ulaw ? samples.map { G711.encode($0, law: .ulaw) } : Self.pcm(samples)
      let events = try await Self.hear(desk, SpeechStreamRequest(encoding: encoding, sampleRate: rate), bytes)
      #expect(Self.finals(events).first?.text.contains("call me back tomorrow") == true, "\(events)")
      guard case .done(let ms)? = events.last else {
        Issue.record("it did not end")
        return
      }
      #expect(abs(ms - samples.count * 1000 / rate) <= 20)
    }
  }

  @Test func aStretchCanBeEndedByHand() async throws {
    try await Self.with { desk in
      let stream = try desk.listen(SpeechStreamRequest())
      let speech = Sounds.silence(ms: 300) + (try Voices.synthesize("please call me back", voice: "rms"))
      for _ in 1...2 {
        await stream.inlet.write(Self.pcm(speech))
        await stream.inlet.finalize()
      }
      stream.inlet.finish()
      let events = try await Array(stream.events)
      let kinds = events.compactMap { event -> String? in
        switch event {
        case .partial: nil
        case .final: "final"
        case .finalized: "finalized"
        case .done: "done"
        }
      }
      #expect(kinds == ["final", "finalized", "final", "finalized", "done"], "\(events)")
      #expect(Self.finals(events).allSatisfy { $0.text.contains("call me back") }, "\(events)")
    }
  }

  @Test func expectedPhrasesAreToldWhileTheyAreSaid() async throws {
    try await Self.with { desk in
      let edge = Sounds.silence(ms: 500)
      let sound = edge + (try Voices.synthesize("i forgot my frobnitz and want a new one", voice: "rms")) + edge
      let events = try await Self.hear(desk, SpeechStreamRequest(phrases: ["frobnitz", "password"]), Self.pcm(sound))
      #expect(Self.partials(events).contains { $0.contains("frobnitz") }, "\(events)")
    }
  }

  @Test func silenceHasNoWords() async throws {
    try await Self.with { desk in
      let events = try await Self.hear(desk, SpeechStreamRequest(), Self.pcm(Sounds.silence(ms: 3_000)))
      #expect(events == [.done(durationMs: 3_000)])
    }
  }

  // MARK: Limits

  @Test func thereAreOnlySoManyStreamsAndALeaverMakesRoom() async throws {
    let metrics = FakeMetrics()
    try await Self.with(.init(maxStreams: 1), metrics: metrics) { desk in
      var ends = metrics.ends.makeAsyncIterator()
      do {
        let first = try desk.listen(SpeechStreamRequest())
        let refused = #expect(throws: SpeechDeskError.self) { try desk.listen(SpeechStreamRequest()) }
        #expect(refused?.code == .busy && refused?.message.contains("1 of 1 streams") == true)
        #expect(await ends.next()?.outcome == .busy)
        await first.inlet.write(Self.pcm(Sounds.silence(ms: 100)))
      }
      // It is gone, and so is its seat.
      #expect(await ends.next()?.outcome == .cancelled)
      let events = try await Self.hear(desk, SpeechStreamRequest(), Self.pcm(Sounds.silence(ms: 100)))
      #expect(events == [.done(durationMs: 100)])
      let last = await ends.next()
      #expect(last?.operation == .stream && last?.outcome == .ok && last?.seconds == 0.1)
      #expect(metrics.streams.current == [1, 0, 1, 0])
    }
  }

  @Test func aStreamThatIsTooLongIsToldAfterItsWords() async throws {
    try await Self.with(.init(maxAudioSeconds: 4)) { desk in
      let stream = try desk.listen(SpeechStreamRequest())
      let bytes = Self.pcm(try Self.sentences())
      for start in stride(from: 0, to: bytes.count, by: 3_200) {
        await stream.inlet.write(Array(bytes[start..<min(bytes.count, start + 3_200)]))
      }
      var texts: [String] = []
      do {
        for try await event in stream.events { if case .final(let segment) = event { texts.append(segment.text) } }
        Issue.record("it ended as if nothing were wrong")
      } catch let error as SpeechDeskError {
        #expect(error.code == .tooLong && error.message.contains("4 seconds"))
      }
      #expect(texts.first?.contains("call me back") == true)
    }
  }

  /// Whoever writes faster than the recogniser hears waits: at most ten seconds are ahead of it.
  @Test func aFastWriterWaits() async throws {
    let metrics = FakeMetrics()
    try await Self.with(metrics: metrics) { desk in
      var ends = metrics.ends.makeAsyncIterator()
      let sentence = Self.pcm(try Voices.synthesize("one two three four five six seven", voice: "slt"))
      var written = 0.0
      do {
        let stream = try desk.listen(SpeechStreamRequest())
        while written < 40 {
          await stream.inlet.write(sentence)
          written += Double(sentence.count) / 32_000
        }
      }
      let end = try #require(await ends.next())
      #expect(end.outcome == .cancelled)
      // A second more may wait in the step that made room.
      #expect(end.seconds >= written - 11.1, "of \(written) s only \(end.seconds) had been heard")
    }
  }

  /// A client that takes nothing of what is heard for it cannot fill the memory.
  @Test(.timeLimit(.minutes(5))) func aReaderWhoTakesNothingIsGivenUp() async throws {
    let metrics = FakeMetrics()
    try await Self.with(metrics: metrics) { desk in
      var ends = metrics.ends.makeAsyncIterator()
      let stream = try desk.listen(SpeechStreamRequest())
      for _ in 1...2_000 { await stream.inlet.finalize() }
      #expect(await ends.next()?.outcome == .tooSlow)
      await #expect(throws: SpeechDeskError.self) { _ = try await Array(stream.events) }
    }
  }

  @Test func whatCannotBeHeardIsSaid() async throws {
    try await Self.with { desk in
      for request in [
        SpeechStreamRequest(sampleRate: 11_025), SpeechStreamRequest(language: "de-DE"),
        SpeechStreamRequest(phrases: [String](repeating: "again", count: 201)),
      ] {
        let error = #expect(throws: SpeechDeskError.self) { try desk.listen(request) }
        #expect(error?.code == .unsupported && error?.message.isEmpty == false)
      }
    }
  }
}

extension Array {
  fileprivate init(_ sequence: AsyncThrowingStream<Element, any Error>) async throws {
    self.init()
    for try await element in sequence { append(element) }
  }
}
