import Base
import CallLink
import SpeechGateway
import Testing

@Suite("Turns") struct TurnTests {
  private static let words = RecognitionOutcome.recognized(
    Recognition(transcript: "my password", confidence: 0.9, complete: true))
  private static let nothing = RecognitionOutcome.recognized(
    Recognition(transcript: "", confidence: 0.1, complete: false))

  private static let isOver: @Sendable ([SpeechToRuntime]) -> Bool = {
    $0.contains {
      switch $0 {
      case .playbackFinished, .playbackInterrupted: true
      default: false
      }
    }
  }

  private static func final(_ rig: Rig) async -> SpeechResult {
    await rig.runtime.inbox.first { if case .speechFinal(let result) = $0 { result } else { nil } }
  }

  private func rig(
    _ outcomes: [RecognitionOutcome], _ configuration: SpeechGatewayConfiguration = .init()
  ) async throws -> (Rig, FakeRecognizer) {
    let recognizer = FakeRecognizer(outcomes)
    let rig = try Rig(configuration, recognizer: recognizer)
    await rig.answer()
    rig.runtime.order(.listen(ListenSpec(phrases: ["password"])))
    // The detector learns the line's silence first.
    await rig.hear(Sounds.silence(ms: 1_000))
    return (rig, recognizer)
  }

  @Test func aCompletePhraseEndsTheTurnBeforeTheConfiguredSilence() async throws {
    let (rig, _) = try await rig([Self.words])
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 1_200), ahead: 320)
    let result = await Self.final(rig)
    #expect(result.transcript == "my password")
    #expect(result.endpointMs < 300)
    #expect(result.durationMs > 500 && result.endMs - result.startMs == result.durationMs)
    #expect(result.startMs > 800 && result.startMs < 1_400)
    #expect(result.model == "fake" && result.language == "en")
    await rig.end()
  }

  @Test func speechThatFitsNothingWaitsForTheConfiguredSilenceAndComesBackEmpty() async throws {
    let (rig, recognizer) = try await rig([Self.nothing])
    await rig.hear(try Sounds.telephone("bananas are yellow"))
    await rig.hear(Sounds.silence(ms: 1_200))
    let result = await Self.final(rig)
    #expect(result.transcript.isEmpty && result.confidence < 0.3)
    #expect(result.endpointMs >= 500)
    // The segment that was decoded begins before the speech and ends soon after it.
    let segment = try #require(recognizer.asked.current.last?.segment.count)
    #expect(abs(segment / 16 - result.durationMs - 300) <= 60)
    await rig.end()
  }

  @Test func aRecogniserWithoutRoomStillEndsTheTurn() async throws {
    let (rig, _) = try await rig([.overflow])
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 1_200))
    let result = await Self.final(rig)
    #expect(result.transcript.isEmpty && result.confidence == 0)
    await rig.end()
  }

  @Test func speechInterruptsAPromptThatAllowsIt() async throws {
    let (rig, _) = try await rig([Self.words])
    let text = (1...40).map { "word\($0)" }.joined(separator: " ")
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text(text))))
    await rig.playOut { _ in rig.media.line.current.heard.count >= 5 * FakeVoice.wordSamples }
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 800))
    _ = await Self.final(rig)
    let told = rig.told
    let interrupted = try #require(
      told.firstIndex { if case .playbackInterrupted(_, _, _, .speech) = $0 { true } else { false } })
    let spoke = try #require(told.firstIndex { if case .speechStarted = $0 { true } else { false } })
    #expect(interrupted < spoke)
    if case .playbackInterrupted(_, let heard, let playedMs, _) = told[interrupted] {
      #expect(heard == "word1 word2 word3 word4 word5")
      #expect(playedMs == 500)
    }
    #expect(rig.media.line.current.order.isEmpty)
    await rig.end()
  }

  @Test func speechDoesNotInterruptAProtectedPrompt() async throws {
    let (rig, _) = try await rig([Self.words])
    let text = (1...10).map { "word\($0)" }.joined(separator: " ")
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text(text), bargeIn: false)))
    await rig.playOut { _ in rig.media.line.current.heard.count >= FakeVoice.wordSamples }
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 800))
    await rig.playOut(until: Self.isOver)
    #expect(rig.media.line.current.heard.count == 10 * FakeVoice.wordSamples)
    await rig.end()
  }

  @Test func aDigitInterruptsAndIsReportedAfterwards() async throws {
    let (rig, _) = try await rig([Self.words])
    let text = (1...40).map { "word\($0)" }.joined(separator: " ")
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text(text))))
    await rig.playOut { _ in rig.media.line.current.heard.count >= FakeVoice.wordSamples }
    rig.media.tell(.digit("1", durationMs: 100))
    let by = await rig.runtime.inbox.first { message -> Interruption? in
      if case .playbackInterrupted(_, _, _, let by) = message { by } else { nil }
    }
    #expect(by == .digit)
    #expect(rig.told.contains { if case .digit("1", _, _) = $0 { true } else { false } })
    await rig.end()
  }

  @Test func aCoughStopsThePromptOnlyForAMoment() async throws {
    // The built-in detector holds on for a while, which must not make a turn of the cough.
    let vad = SpeechGatewayConfiguration.VoiceActivity(minSpeechMs: 500)
    let (rig, recognizer) = try await rig([Self.nothing], SpeechGatewayConfiguration(vad: vad))
    let text = (1...40).map { "word\($0)" }.joined(separator: " ")
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text(text))))
    await rig.playOut { _ in rig.media.line.current.heard.count >= 5 * FakeVoice.wordSamples }
    // 150 ms out of the middle of a vowel: an interruption, but no turn.
    let word = try Sounds.telephone("forgot")
    await rig.hear(Array(word[2_400..<4_800]))
    await rig.hear(Sounds.silence(ms: 800))
    await rig.playOut(until: Self.isOver)
    #expect(!rig.told.contains { if case .playbackInterrupted = $0 { true } else { false } })
    #expect(recognizer.asked.current.isEmpty)
    #expect(rig.media.orders.messages.contains { if case .clear = $0 { true } else { false } })
    // Every word was heard, once.
    #expect(rig.media.line.current.heard.count == 40 * FakeVoice.wordSamples)
    await rig.end()
  }

  @Test func whoIsNotListenedToIsNotHeard() async throws {
    let (rig, recognizer) = try await rig([Self.words])
    rig.runtime.order(.listen(ListenSpec(speech: false)))
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 1_000))
    #expect(recognizer.asked.current.isEmpty)
    #expect(!rig.told.contains { if case .speechStarted = $0 { true } else { false } })
    await rig.end()
  }

  @Test func everyTurnIsCountedOnceWithWhatBecameOfIt() async throws {
    let partial = RecognitionOutcome.recognized(Recognition(transcript: "my", confidence: 0.9, complete: false))
    let metrics = FakeMetrics()
    let recognizer = FakeRecognizer([Self.words, partial, Self.words, .overflow])
    let rig = try Rig(.init(), recognizer: recognizer, metrics: metrics)
    await rig.answer()
    rig.runtime.order(.listen(ListenSpec(phrases: ["password"])))
    await rig.hear(Sounds.silence(ms: 1_000))
    let speech = try Sounds.telephone("i forgot my password")
    // A turn that its words end; one that pauses, goes on and then is complete; one without a decoder.
    for sound in [speech, speech + Sounds.silence(ms: 300) + speech, speech] {
      await rig.hear(sound)
      await rig.hear(Sounds.silence(ms: 1_200))
    }
    #expect(metrics.recognized.current == [.final, .partial, .final, .overflow])
    await rig.end()
  }

  @Test func aGuessIsUnwantedOnceTheCallerGoesOn() async throws {
    let recognizer = MuteRecognizer()
    let rig = try Rig(.init(), recognizer: recognizer)
    await rig.answer()
    rig.runtime.order(.listen(ListenSpec(phrases: ["password"])))
    await rig.hear(Sounds.silence(ms: 1_000))
    let speech = try Sounds.telephone("i forgot my password")
    await rig.hear(speech + Sounds.silence(ms: 300))
    let guess = try #require(recognizer.asked.current.first)
    #expect(guess.isWanted())
    await rig.hear(speech)
    #expect(!guess.isWanted())
    await rig.hear(Sounds.silence(ms: 1_200))
    #expect(recognizer.asked.current.last?.isWanted() == true)
    await rig.end()
  }

  @Test func whatIsSaidSoFarIsToldWhileTheCallerSpeaks() async throws {
    let soFar = ["my", "my", "my pass"].map {
      RecognitionOutcome.recognized(Recognition(transcript: $0, confidence: 0.9, complete: true))
    }
    let recognizer = FakeRecognizer(soFar + [.dropped, Self.words])
    let rig = try Rig(SpeechGatewayConfiguration(partialIntervalMs: 200), recognizer: recognizer)
    await rig.answer()
    rig.runtime.order(.listen(ListenSpec(phrases: ["password"])))
    await rig.hear(Sounds.silence(ms: 1_000))
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 1_200))
    let result = await Self.final(rig)
    #expect(result.transcript == "my password")
    let partials = rig.told.compactMap { if case .speechPartial(let text, _) = $0 { text } else { nil } }
    #expect(partials.prefix(2) == ["my", "my pass"])
    // Each look hears a little more, and the last request is the turn's own.
    let asked = recognizer.asked.current
    let looks = asked.filter(\.isPartial).map(\.segment.count)
    let growth = zip(looks, looks.dropFirst()).map { $1 - $0 }
    #expect(growth.count >= 2 && growth.allSatisfy { $0 >= 3_200 })
    #expect(asked.last?.isPartial == false)
    await rig.end()
  }

  @Test func nobodyLooksAheadUnlessAskedTo() async throws {
    let (rig, recognizer) = try await rig([Self.words])
    await rig.hear(try Sounds.telephone("i forgot my password"))
    await rig.hear(Sounds.silence(ms: 1_200))
    _ = await Self.final(rig)
    let looks = recognizer.asked.current.filter(\.isPartial)
    #expect(looks.isEmpty)
    await rig.end()
  }
}
