import Base
import Dialogs
import Testing

@Suite struct BargeInTests {
  static let yaml = """
    settings: { timeout: 5s, no_input_retries: 1 }
    states:
      start:
        on_enter:
          - { action: play_tts, text: "One." }
          - { action: play_tts, text: "Two." }
          - { action: play_tts, text: "Three." }
        transitions:
          - { event: speech, when: "transcript == 'help'", target: help }
          - { event: dtmf, digits: "1", target: help }
          - { event: tts_complete, target: done }
      help: { on_enter: [{ action: play_tts, text: "Help." }], transitions: [{ event: tts_complete, target: end }] }
      done: { on_enter: [{ action: play_tts, text: "Done." }], terminal: true }
      end: { terminal: true }
    """

  /// How many prompts have ended when the caller interrupts.
  @Test(arguments: 0...2) func speechAtEveryPrompt(_ ended: Int) throws {
    var call = try Call(Self.yaml)
    for _ in 0..<ended { call.promptEnds() }
    let before = call.said.count
    call.bargeIn()
    #expect(call.said.count == before, "nothing more is said into the caller's sentence")
    #expect(call.states == ["start"], "the end of a cut prompt is no tts_complete")
    call.give(.speech(HeardSpeech(transcript: "help")))
    #expect(call.states == ["start", "help"])
    #expect(call.said.last == "Help.")
  }

  @Test(arguments: 0...2) func keysAtEveryPrompt(_ ended: Int) throws {
    // Either order of the key and the end of the prompt.
    for keyFirst in [true, false] {
      var call = try Call(Self.yaml)
      for _ in 0..<ended { call.promptEnds() }
      let id = try #require(call.playing.first).id
      if keyFirst { call.give(.digit("1")) }
      call.give(.playbackInterrupted(id, heard: "On", byCaller: true))
      if !keyFirst { call.give(.digit("1")) }
      #expect(call.states == ["start", "help"])
      #expect(call.said.last == "Help.")
    }
  }

  @Test func aCoughRepeatsThePrompt() throws {
    var call = try Call(Self.yaml)
    call.bargeIn()
    call.give(.noMatch)
    #expect(call.said == ["One.", "One."])
    call.promptsEnd()
    #expect(call.said == ["One.", "One.", "Two.", "Three.", "Done."])
  }

  @Test func speechInTheVeryMomentThatTheLastPromptEnds() throws {
    var call = try Call(Self.yaml)
    call.promptEnds()
    call.promptEnds()
    call.give(.speechStarted)
    // The prompt ended by itself, so tts_complete stands; the sentence belongs to the next state.
    call.promptEnds()
    #expect(call.states == ["start", "done"])
  }

  @Test func aPromptWithoutBargeInIsSpokenToTheEnd() throws {
    var call = try Call(
      """
      states:
        start:
          on_enter:
            - { action: play_tts, text: "Legal notice.", barge_in: false }
            - { action: play_tts, text: "Menu." }
          transitions: [{ event: speech, when: "transcript == 'help'", target: end }, { event: no_input, target: end }]
        end: { terminal: true }
      """)
    #expect(call.playing.first?.bargeIn == false)
    call.say("blah")
    #expect(call.said == ["Legal notice."], "unmatched speech does not start it again")
    call.promptEnds()
    #expect(call.said == ["Legal notice.", "Menu."])
    call.say("help")
    #expect(call.states == ["start", "end"])
  }

  @Test func whatWasHeardIsKnown() throws {
    var call = try Call(
      """
      variables: { got: "" }
      states:
        start:
          on_enter: [{ action: play_tts, text: "A long sentence." }]
          transitions:
            - { event: tts_interrupted, do: [{ action: set_variable, got: heard }] }
            - { event: speech, target: start }
      """)
    call.give(.speechStarted)
    call.give(.playbackInterrupted(PlaybackID(1), heard: "A long", byCaller: true))
    #expect(call.variable("got") == "A long")
  }

  @Test func aStopFromOutsideCountsAsTheEndOfThePrompt() throws {
    var call = try Call(Self.yaml)
    call.give(.playbackInterrupted(PlaybackID(1), heard: "", byCaller: false))
    #expect(call.said == ["One.", "Two."])
  }

  @Test func aStateThatHearsNothingGoesOnAfterAnInterruption() throws {
    var call = try Call(
      """
      states:
        start:
          on_enter: [{ action: play_tts, text: "News." }]
          transitions: [{ event: tts_complete, target: end }]
        end: { terminal: true }
      """)
    #expect(call.listens.first?.speech == false)
    call.give(.playbackInterrupted(PlaybackID(1), heard: "", byCaller: true))
    #expect(call.states == ["start", "end"])
  }

  @Test func theWordInTheMiddleOfATransition() throws {
    var call = try Call(
      """
      states:
        start:
          transitions: [{ event: dtmf, digits: "1", do: [{ action: play_tts, text: "One moment." }], target: ask }]
        ask:
          on_enter: [{ action: play_tts, text: "Which one?" }]
          transitions: [{ event: speech, when: "transcript == 'blue'", target: end }]
        end: { terminal: true }
      """)
    call.press("1")
    call.bargeIn()
    #expect(call.states == ["start", "ask"])
    #expect(call.said == ["One moment."], "the question is not said into the answer")
    call.give(.speech(HeardSpeech(transcript: "blue")))
    #expect(call.states == ["start", "ask", "end"])
  }

  @Test func aWrongKeyRepeatsThePromptInEitherOrder() throws {
    for keyFirst in [true, false] {
      var call = try Call(Self.yaml)
      let id = try #require(call.playing.first).id
      if keyFirst { call.give(.digit("7")) }
      call.give(.playbackInterrupted(id, heard: "On", byCaller: true))
      if !keyFirst { call.give(.digit("7")) }
      #expect(call.said == ["One.", "One."], "key first: \(keyFirst)")
    }
  }

  @Test func theNextSentenceIsHeardAgainAfterAPartialDecided() throws {
    var call = try Call(
      """
      states:
        start: { transitions: [{ event: speech_partial, when: "transcript == 'stop'", target: next }] }
        next: { transitions: [{ event: speech, target: end }] }
        end: { terminal: true }
      """)
    call.give(.speechStarted)
    call.give(.speechPartial(transcript: "stop"))
    // The end of that sentence never comes; a new one begins.
    call.give(.speechStarted)
    call.give(.speech(HeardSpeech(transcript: "hello")))
    #expect(call.states == ["start", "next", "end"])
  }
}
