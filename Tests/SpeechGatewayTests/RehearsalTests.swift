import Base
import CallLink
import SpeechGateway
import Testing

/// A caller's words through voice, codec, voice detector, endpointer and recogniser, without a call.
@Suite("Rehearsals") struct RehearsalTests {
  private func rehearse<Result>(_ body: (SpeechRehearsal) async throws -> Result) async throws -> Result {
    let rehearsal = try SpeechRehearsal(configuration: .init())
    defer { rehearsal.shutdown() }
    return try await body(rehearsal)
  }

  @Test func whatIsSaidComesOutAsWords() async throws {
    let listen = ListenSpec(phrases: ["password", "printer"])
    let heard = try await rehearse {
      try await $0.hear("I forgot my password.", voice: $0.callersVoice, listen: listen)
    }
    let result = try #require(heard.result)
    #expect(heard.turns == 1)
    #expect(result.transcript.contains("password") && result.confidence > 0.5)
    // A complete phrase ends the turn early.
    #expect(result.endpointMs < 400)
    #expect(result.durationMs > 500 && result.durationMs < 3_000)
  }

  @Test func whatTheStateDoesNotExpectIsNotUnderstood() async throws {
    let listen = ListenSpec(phrases: ["password", "printer"])
    let heard = try await rehearse {
      try await $0.hear("Purple elephants dance at midnight.", voice: "rms", listen: listen)
    }
    #expect(heard.result?.transcript == "")
  }

  @Test func anOpenStateUnderstandsAnyWords() async throws {
    let listen = ListenSpec(phrases: ["password", "printer"], isOpen: true)
    try await rehearse { rehearsal in
      let free = try await rehearsal.hear("Let's watch a movie tonight.", voice: "rms", listen: listen)
      #expect(free.result?.transcript == "let's watch a movie tonight")
      #expect((free.result?.confidence ?? 0) > 0.5)
      // The expected phrases are still preferred, and no phrase cuts a caller short who may go on.
      let phrase = try await rehearsal.hear("My printer is broken", voice: "rms", listen: listen)
      #expect(phrase.result?.transcript == "my printer is broken")
      #expect((phrase.result?.endpointMs ?? 0) >= 500)
    }
  }

  @Test func aStateWithoutEarsHearsNothing() async throws {
    let heard = try await rehearse { try await $0.hear("Hello there", voice: "rms", listen: ListenSpec(speech: false)) }
    #expect(heard.turns == 0 && heard.result == nil)
  }

  @Test func promptsAreSpokenAndBrokenOnesSaySo() async throws {
    try await rehearse { rehearsal in
      let id = PlaybackID(1)
      let text = try await rehearsal.speak(Prompt(id: id, source: .text("Good morning.")))
      #expect(text > 400 && text < 3_000)
      let markup = "Good morning.<break time='2s'/>"
      let paused = try await rehearsal.speak(Prompt(id: id, source: .markup(markup)))
      #expect(abs(paused - text - 2_000) < 100)
      for source in [
        Prompt.Source.markup("<p>"), .audio(url: "/no/such.wav"), .text(String(repeating: "a ", count: 20_000)),
      ] {
        await #expect(throws: SynthesisError.self) { try await rehearsal.speak(Prompt(id: id, source: source)) }
      }
      await #expect(throws: SynthesisError.self) {
        try await rehearsal.speak(Prompt(id: id, source: .text("hello"), voice: "nobody"))
      }
    }
  }
}
