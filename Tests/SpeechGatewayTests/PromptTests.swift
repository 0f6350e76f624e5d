import Base
import CallLink
import SpeechGateway
import Testing

@Suite("Prompts") struct PromptTests {
  private static func finished(_ id: UInt32) -> @Sendable ([SpeechToRuntime]) -> Bool {
    { $0.contains { if case .playbackFinished(PlaybackID(id)) = $0 { true } else { false } } }
  }

  private static func playbackEvents(_ messages: [SpeechToRuntime]) -> [String] {
    messages.compactMap {
      switch $0 {
      case .playbackStarted(let id, _): "started \(id)"
      case .playbackFinished(let id): "finished \(id)"
      case .playbackInterrupted(let id, _, _, let by): "interrupted \(id) \(by)"
      case .playbackFailed(let id, _): "failed \(id)"
      default: nil
      }
    }
  }

  @Test func promptsPlayInTheOrderTheyWereQueued() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("one two three"))))
    rig.runtime.order(.say(Prompt(id: PlaybackID(2), source: .silence(ms: 200))))
    rig.runtime.order(.say(Prompt(id: PlaybackID(3), source: .text("four"))))
    await rig.playOut(until: Self.finished(3))
    #expect(
      Self.playbackEvents(rig.told) == [
        "started p1", "finished p1", "started p2", "finished p2", "started p3", "finished p3",
      ])
    let heard = rig.media.line.current.heard
    #expect(heard.count == 3 * FakeVoice.wordSamples + 3_200 + FakeVoice.wordSamples)
    #expect(heard[0..<4_800].allSatisfy { $0 == 1_000 })
    #expect(heard[4_800..<8_000].allSatisfy { $0 == 0 })
    #expect(rig.runtime.inbox.isGapFree && rig.media.orders.isGapFree)
    await rig.end()
  }

  @Test func aSlowLineIsNeverOverfilledAndLosesNothing() async throws {
    let words = (1...60).map { "w\($0)" }.joined(separator: " ")
    for room in [3_000, 1_000_000] {
      let rig = try Rig(room: room)
      await rig.answer()
      rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text(words))))
      await rig.playOut(until: Self.finished(1))
      let line = rig.media.line.current
      #expect(line.heard.count == 60 * FakeVoice.wordSamples)
      #expect(line.largestBacklog <= min(room, 16_000))
      await rig.end()
    }
  }

  @Test func hangingUpWaitsForWhatIsQueued() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("good bye"))))
    rig.runtime.order(.hangup(.normal, afterPlayback: true))
    await rig.playOut(until: Self.finished(1))
    _ = await rig.media.orders.wait { $0.contains { if case .hangup(.normal) = $0 { true } else { false } } }
    #expect(rig.media.line.current.heard.count == 2 * FakeVoice.wordSamples)
    await rig.end()
  }

  @Test func hangingUpAtOnceSilencesTheLine() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("a b c d e f g h i j k l m n o p q r s t"))))
    rig.runtime.order(.hangup(.api, afterPlayback: false))
    _ = await rig.media.orders.wait { $0.contains { if case .hangup(.api) = $0 { true } else { false } } }
    #expect(rig.media.line.current.order.isEmpty)
    await rig.end()
  }

  @Test func aPromptThatCannotBeMadeFailsAndTheNextPlays() async throws {
    let rig = try Rig()
    await rig.answer()
    let bad: [Prompt.Source] = [
      .text("unspeakable"), .audio(url: "https://example.com/a.wav"), .audio(url: "/etc/passwd"),
      .text(String(repeating: "long ", count: 20_000)),
    ]
    for (n, source) in bad.enumerated() {
      rig.runtime.order(.say(Prompt(id: PlaybackID(UInt32(n + 1)), source: source)))
    }
    rig.runtime.order(.say(Prompt(id: PlaybackID(9), source: .text("fine"))))
    await rig.playOut(until: Self.finished(9))
    let events = Self.playbackEvents(rig.told)
    for n in 1...4 { #expect(events.contains("failed p\(n)")) }
    #expect(events.suffix(2) == ["started p9", "finished p9"])
    #expect(rig.media.line.current.heard.count == FakeVoice.wordSamples)
    await rig.end()
  }

  @Test func aLoopPlaysUntilItIsStopped() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("la"), loop: true)))
    await rig.playOut { _ in rig.media.line.current.heard.count >= 10 * FakeVoice.wordSamples }
    rig.runtime.order(.stop(nil))
    let by = await rig.runtime.inbox.first { message -> Interruption? in
      if case .playbackInterrupted(_, _, _, let by) = message { by } else { nil }
    }
    #expect(by == .command)
    await rig.end()
  }

  @Test func whatIsStoppedTellsHowMuchOfItWasHeard() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("Alpha, bravo charlie delta echo foxtrot."))))
    await rig.playOut { _ in rig.media.line.current.heard.count >= 3 * FakeVoice.wordSamples }
    rig.runtime.order(.stop(PlaybackID(1)))
    let (heard, ms) = await rig.runtime.inbox.first { message -> (String, Int)? in
      if case .playbackInterrupted(_, let heard, let ms, _) = message { (heard, ms) } else { nil }
    }
    #expect(heard == "Alpha, bravo charlie")
    #expect(ms == 300)
    await rig.end()
  }

  @Test func twoSentencesAreSpokenWithAPauseBetween() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("Good morning. Who is it?"))))
    await rig.playOut(until: Self.finished(1))
    let heard = rig.media.line.current.heard
    #expect(heard.count > 5 * FakeVoice.wordSamples)
    #expect(heard[2 * FakeVoice.wordSamples] == 0)
    await rig.end()
  }

  @Test func theNextPromptIsOnTheLineBeforeTheLastOneEnds() async throws {
    let rig = try Rig(room: 16_000)
    await rig.answer()
    for n in 1...3 {
      rig.runtime.order(.say(Prompt(id: PlaybackID(UInt32(n)), source: .text("one two three"))))
    }
    // Nothing has been played yet, and the second waits behind the first already.
    _ = await rig.media.orders.wait {
      $0.contains { if case .endOfAudio(PlaybackID(2)) = $0 { true } else { false } }
    }
    #expect(rig.media.line.current.played.values.allSatisfy { $0 == 0 })
    // The third follows as soon as the first is over, while the second still plays.
    rig.media.play(4_800)
    _ = await rig.media.orders.wait {
      $0.contains { if case .endOfAudio(PlaybackID(3)) = $0 { true } else { false } }
    }
    #expect(rig.media.line.current.waiting[PlaybackID(2)]?.count == 4_800)
    await rig.playOut(until: Self.finished(3))
    #expect(rig.media.line.current.heard.count == 9 * FakeVoice.wordSamples)
    await rig.end()
  }

  @Test func markupSaysWhenToPauseAndWhatToSay() async throws {
    let rig = try Rig()
    await rig.answer()
    let source = """
      <speak>Your code is <say-as interpret-as="digits">42</say-as>.<break time="300ms"/>
      <sub alias="kilo byte">kB</sub> <prosody rate="slow">bye</prosody></speak>
      """
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .markup(source))))
    await rig.playOut(until: Self.finished(1))
    let heard = rig.media.line.current.heard
    // your code is four two . kilo byte bye: eight words, and the pause after the fifth.
    #expect(heard.count == 8 * FakeVoice.wordSamples + 4_800)
    #expect(heard[5 * FakeVoice.wordSamples..<5 * FakeVoice.wordSamples + 4_800].allSatisfy { $0 == 0 })
    await rig.end()
  }

  @Test func whatWasHeardOfMarkupIsItsWords() async throws {
    let rig = try Rig()
    await rig.answer()
    let source =
      "<s>Alpha, <emphasis>bravo</emphasis></s><break time='200ms'/><s><voice name='nobody'>charlie</voice> delta echo</s>"
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .markup(source), loop: true)))
    await rig.playOut { _ in rig.media.line.current.heard.count >= 3 * FakeVoice.wordSamples + 3_200 }
    rig.runtime.order(.stop(PlaybackID(1)))
    let heard = await rig.runtime.inbox.first { message -> String? in
      if case .playbackInterrupted(_, let heard, _, _) = message { heard } else { nil }
    }
    #expect(heard == "Alpha, bravo charlie")
    await rig.end()
  }

  @Test func malformedMarkupFailsWithASentence() async throws {
    let rig = try Rig()
    await rig.answer()
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .markup("<speak>hello"))))
    let message = await rig.runtime.inbox.first { message -> String? in
      if case .playbackFailed(PlaybackID(1), let message) = message { message } else { nil }
    }
    #expect(message == "the prompt's markup cannot be read: line 1, column 13: <speak> is not closed")
    await rig.end()
  }

  @Test func whatDoesNotConcernTheVoicePassesThrough() async throws {
    let rig = try Rig()
    rig.runtime.order(.ringing)
    rig.runtime.order(.answer)
    await rig.answer()
    rig.runtime.order(.sendDigits("42#", durationMs: 100))
    rig.media.tell(.held)
    rig.media.tell(.resumed)
    rig.media.tell(.digit("5", durationMs: 80))
    await rig.end()
    let told = rig.told.map { "\($0)" }
    #expect(told.contains { $0.hasPrefix("held") } && told.contains { $0.hasPrefix("resumed") })
    #expect(rig.told.contains { if case .digit("5", durationMs: 80, atMs: _) = $0 { true } else { false } })
    let orders = rig.media.orders.messages
    #expect(orders.contains { if case .ringing = $0 { true } else { false } })
    #expect(orders.contains { if case .answer = $0 { true } else { false } })
    #expect(orders.contains { if case .sendDigits("42#", durationMs: 100) = $0 { true } else { false } })
    #expect(rig.service.activeCalls == 0)
  }
}
