import Base
import CallLink
import SpeechGateway
import Testing

/// The embedded engines on the sound of a telephone: 8 kHz mu-law, made wide again.
@Suite("Engines") struct EngineTests {
  private static let helpdesk = ListenSpec(phrases: ["password", "locked", "printer", "network"])

  private static func recognize(_ text: String, voice: String, _ listen: ListenSpec) async throws -> Recognition? {
    let recognizer = try PocketSphinxRecognizer(workers: 1)
    defer { recognizer.shutdown() }
    let edge = Sounds.silence(ms: 150)
    let segment = try edge + Sounds.telephone(text, voice: voice) + edge
    let outcome = await withCheckedContinuation { continuation in
      recognizer.recognize(RecognitionRequest(segment: segment, listen: listen)) { continuation.resume(returning: $0) }
    }
    if case .recognized(let recognition) = outcome { return recognition }
    return nil
  }

  @Test(arguments: [
    ("password", "slt", "password"), ("my printer is broken", "rms", "printer"),
    ("i forgot my password", "awb", "password"), ("the network is down", "kal16", "network"),
  ])
  func hintsAreHeardInsideSentences(_ text: String, _ voice: String, _ hint: String) async throws {
    let heard = try #require(try await Self.recognize(text, voice: voice, Self.helpdesk))
    #expect(heard.transcript.split(separator: " ").contains(Substring(hint)))
    #expect(heard.confidence > 0.4 && heard.complete)
  }

  @Test(arguments: [
    ("purple elephants dance at midnight", "slt"), ("the train leaves at seven", "rms"),
    ("she sells sea shells by the sea shore", "kal16"),
  ])
  func otherSpeechIsNoMatch(_ text: String, _ voice: String) async throws {
    let heard = try #require(try await Self.recognize(text, voice: voice, Self.helpdesk))
    #expect(heard.transcript.isEmpty && heard.confidence < 0.42 && !heard.complete)
  }

  @Test func wordsThatNoDictionaryHasAreHeardByRule() async throws {
    let listen = ListenSpec(phrases: ["frobnitz", "password"])
    let heard = try #require(try await Self.recognize("frobnitz", voice: "rms", listen))
    #expect(heard.transcript.contains("frobnitz"))
  }

  @Test func anAuthorsGrammarIsSearchedBesideThePhrases() async throws {
    let grammar = """
      #JSGF V1.0; // colours
      grammar colours;
      public <colour> = [dark] (yellow | orange) {colour} ;
      """
    let listen = ListenSpec(phrases: ["password"], grammar: grammar)
    let colour = try #require(try await Self.recognize("dark yellow", voice: "rms", listen))
    #expect(colour.transcript == "dark yellow")
    let phrase = try #require(try await Self.recognize("password", voice: "rms", listen))
    #expect(phrase.transcript == "password")
  }

  @Test(arguments: ["public <a> = b", "<a> = no public rule ;", "#JSGF V1.0; import <x>; public <a> = b;"])
  func aGrammarIsCheckedBeforeItIsUsed(_ grammar: String) throws {
    let recognizer = try PocketSphinxRecognizer(workers: 1)
    defer { recognizer.shutdown() }
    let problem = recognizer.problem(with: ListenSpec(grammar: grammar))
    #expect((problem == nil) == grammar.hasPrefix("public"))
  }

  @Test func tooManyRecognitionsAreRefusedAndTheOthersAnswered() async throws {
    let recognizer = try PocketSphinxRecognizer(workers: 1, queueDepth: 2)
    defer { recognizer.shutdown() }
    let segment = try Sounds.telephone("i forgot my password", voice: "rms")
    let outcomes = await withTaskGroup(of: RecognitionOutcome.self) { group in
      for _ in 0..<12 {
        group.addTask {
          await withCheckedContinuation { continuation in
            recognizer.recognize(RecognitionRequest(segment: segment, listen: Self.helpdesk)) {
              continuation.resume(returning: $0)
            }
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    let refused = outcomes.count { if case .overflow = $0 { true } else { false } }
    let words = outcomes.compactMap { if case .recognized(let words) = $0 { words.transcript } else { nil } }
    #expect(outcomes.count == 12 && refused > 0 && refused + words.count == 12)
    #expect(!words.isEmpty && words.allSatisfy { $0.contains("password") })
  }

  @Test func whatWaitsAndWorksIsReportedDownToNothing() async throws {
    let metrics = FakeMetrics()
    let recognizer = try PocketSphinxRecognizer(workers: 2, queueDepth: 3, metrics: metrics)
    defer { recognizer.shutdown() }
    let segment = try Sounds.telephone("password", voice: "rms")
    await withTaskGroup(of: Void.self) { group in
      for n in 0..<10 {
        let listen = n.isMultiple(of: 2) ? Self.helpdesk : ListenSpec(isOpen: true)
        group.addTask {
          _ = await withCheckedContinuation { continuation in
            recognizer.recognize(RecognitionRequest(segment: segment, listen: listen)) {
              continuation.resume(returning: $0)
            }
          }
        }
      }
    }
    #expect(metrics.depths.current.last == 0 && metrics.depths.current.allSatisfy { $0 >= 0 })
    #expect(metrics.depths.current.contains { $0 > 0 })
    #expect(metrics.active.current.last == 0 && metrics.active.current.contains { $0 > 0 })
  }

  @Test func whatNobodyWantsAnyMoreIsDropped() async throws {
    let recognizer = try PocketSphinxRecognizer(workers: 1)
    defer { recognizer.shutdown() }
    let segment = try Sounds.telephone("password", voice: "rms")
    for isOpen in [false, true] {
      let listen = ListenSpec(phrases: ["password"], isOpen: isOpen)
      let outcome = await withCheckedContinuation { continuation in
        recognizer.recognize(RecognitionRequest(segment: segment, listen: listen, isWanted: { false })) {
          continuation.resume(returning: $0)
        }
      }
      #expect({ if case .dropped = outcome { true } else { false } }())
    }
  }

  @Test(arguments: [("i think therefore i am", "rms"), ("my printer doesn't work", "rms")])
  func anOpenStateHearsFreeSpeech(_ text: String, _ voice: String) async throws {
    let heard = try #require(try await Self.recognize(text, voice: voice, ListenSpec(isOpen: true)))
    #expect(heard.transcript == text)
    #expect(heard.confidence > 0.6 && !heard.complete)
  }

  @Test(arguments: [400, 1_500]) func noiseIsNoFreeSpeech(ms: Int) async throws {
    let recognizer = try PocketSphinxRecognizer(workers: 1)
    defer { recognizer.shutdown() }
    var random = SeededRandom(seed: 3)
    let noise = (0..<ms * 16).map { _ in Int16.random(in: -1_500...1_500, using: &random) }
    let hum = (0..<ms * 16).map { Int16(clamping: ($0 / 20).isMultiple(of: 2) ? 2_000 : -2_000) }
    for sound in [noise, hum] {
      let segment = Sounds.silence(ms: 200) + sound + Sounds.silence(ms: 100)
      let outcome = await withCheckedContinuation { continuation in
        recognizer.recognize(RecognitionRequest(segment: segment, listen: ListenSpec(isOpen: true))) {
          continuation.resume(returning: $0)
        }
      }
      guard case .recognized(let heard) = outcome else {
        Issue.record("the engine failed")
        return
      }
      #expect(heard.transcript.isEmpty, "\(heard.transcript) \(heard.confidence)")
    }
  }

  @Test(arguments: Voices.names)
  func everyVoiceSpeaksAtTheLevelOfTheLine(_ voice: String) throws {
    let sound = try Voices.synthesize("Welcome to support. Please say what is wrong.", voice: voice)
    #expect(sound.count > 16_000 && sound.count < 96_000)
    let energies = stride(from: 0, to: sound.count - 320, by: 320).map { start in
      sound[start..<start + 320].reduce(0.0) { $0 + Double($1) * Double($1) } / 320
    }
    let loudest = try #require(energies.max())
    let active = energies.filter { $0 > loudest / 3_000 }
    let level = (active.reduce(0, +) / Double(active.count)).squareRoot()
    // -20 dBFS is 3277; 3 dB either way.
    #expect(level > 2_300 && level < 4_650)
    #expect(sound.allSatisfy { abs(Int($0)) < 28_000 })
    // The voice begins at once.
    #expect(sound.prefix(480).contains { abs(Int($0)) > 200 })
  }

  @Test func speedChangesTheLengthAndAWrongVoiceIsNamed() throws {
    let slow = try Voices.synthesize("good morning", voice: "rms", speed: 0.5)
    let fast = try Voices.synthesize("good morning", voice: "rms", speed: 2)
    #expect(slow.count > fast.count * 2)
    #expect(throws: SynthesisError.self) { try Voices.synthesize("hello", voice: "nobody") }
    #expect(try Voices.synthesize("", voice: "rms").isEmpty)
  }

  @Test func theDoctorNamesWhatIsMissing() {
    var configuration = SpeechGatewayConfiguration()
    configuration.pocketSphinxModel = "/nonexistent"
    let findings = SpeechCheck.findings(configuration)
    for subject in ["recogniser model", "dictionary"] {
      let finding = findings.first { $0.subject == subject }
      #expect(finding?.severity == .error && finding?.hint.contains("pocketsphinx-en-us") == true)
    }
    #expect(findings.first { $0.subject == "voice activity" }?.severity == .warning)
    #expect(throws: SpeechSetupError.self) {
      try SpeechService(configuration: configuration, runtime: FakeRuntime())
    }
    #expect(SpeechCheck.findings().allSatisfy { $0.severity != .error })
  }

  @Test func aWholeTurnIsUnderstoodByTheRealEngines() async throws {
    let rig = try Rig(recognizer: nil, synthesizer: nil)
    await rig.answer()
    rig.runtime.order(.listen(Self.helpdesk))
    await rig.hear(Sounds.silence(ms: 1_000))
    await rig.hear(try Sounds.telephone("my printer is broken", voice: "rms"))
    await rig.hear(Sounds.silence(ms: 1_000))
    let result: SpeechResult = await rig.runtime.inbox.first {
      if case .speechFinal(let result) = $0 { result } else { nil }
    }
    #expect(result.transcript.contains("printer"))
    #expect(result.model == "pocketsphinx-en-us")
    rig.runtime.order(.say(Prompt(id: PlaybackID(1), source: .text("A colleague will call you."))))
    await rig.playOut { $0.contains { if case .playbackFinished = $0 { true } else { false } } }
    #expect(rig.media.line.current.heard.count > 16_000)
    await rig.end()
  }
}
