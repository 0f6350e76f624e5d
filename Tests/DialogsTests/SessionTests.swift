import Base
import Dialogs
import Testing

@Suite struct SessionTests {
  static let menu = """
    variables: { issue: "", attempts: 0 }
    settings: { timeout: 5s, no_input_retries: 2 }
    states:
      start:
        on_enter:
          - { action: set_variable, attempts: attempts + 1 }
          - { action: play_tts, text: "Welcome." }
          - { action: play_tts, text: "Say what is wrong." }
        transitions:
          - { event: dtmf, digits: "1", target: reset }
          - event: speech
            when: "matches(transcript, 'password|locked') and confidence > 0.4"
            do: [{ action: set_variable, issue: password }]
            target: reset
          - { event: speech, confidence_below: 0.2, target: unsure }
      reset:
        on_enter: [{ action: play_tts, text: "Resetting your {{ issue | default('login') }}." }]
        transitions: [{ event: tts_complete, target: goodbye }]
      unsure:
        on_enter: [{ action: play_tts, text: "Unsure." }]
        transitions: [{ event: no_input, target: goodbye }, { event: speech, when: "transcript == 'yes'", target: start }]
      goodbye:
        on_enter: [{ action: play_tts, text: "Bye." }, { action: hangup }]
        terminal: true
    """

  @Test func aWayWithoutATimeIsTakenAfterTheUsualOne() throws {
    var call = try Call(
      """
      settings: { timeout: 4s }
      states:
        start: { timeout_next: end }
        end: { terminal: true }
      """)
    call.wait(.seconds(3))
    #expect(call.states == ["start"])
    call.wait(.seconds(1))
    #expect(call.states == ["start", "end"])
  }

  @Test func promptsFollowEachOther() throws {
    var call = try Call(Self.menu)
    #expect(call.said == ["Welcome."])
    call.promptEnds()
    #expect(call.said == ["Welcome.", "Say what is wrong."])
    #expect(call.hangups == [])
  }

  @Test func speechChangesTheWayAndSetsVariables() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    call.say("my password is locked")
    #expect(call.states == ["start", "reset"])
    #expect(call.said.last == "Resetting your password.")
    call.promptsEnd()
    #expect(call.states == ["start", "reset", "goodbye"])
    #expect(call.hangups == ["normal"])
    #expect(!call.session.isEnded)
    call.give(.hangup(by: "dialog", reason: "normal"))
    #expect(call.session.isEnded)
  }

  @Test func firstMatchInOrderWinsAndConfidenceCounts() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    call.say("password", confidence: 0.1)
    #expect(call.states == ["start", "unsure"])
  }

  @Test func listeningIsAnnouncedBeforeThePromptWithThePhrasesOfTheState() throws {
    let call = try Call(Self.menu)
    let listen = try #require(call.listens.first)
    #expect(listen.phrases == ["password", "locked"])
    #expect(listen.speech && listen.bargeIn)
    let listenAt = try #require(call.actions.firstIndex { if case .listen = $0 { true } else { false } })
    let sayAt = try #require(call.actions.firstIndex { if case .say = $0 { true } else { false } })
    #expect(listenAt < sayAt)
  }

  @Test func aDigitLeavesTheStateAndSilencesIt() throws {
    var call = try Call(Self.menu)
    call.give(.digit("1"))
    #expect(call.actions.contains(.stop(PlaybackID(1))))
    #expect(call.states == ["start", "reset"])
    #expect(call.said == ["Welcome.", "Resetting your login."])
  }

  @Test func aWrongDigitIsNoMatch() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    call.give(.digit("7"))
    #expect(call.actions.contains(.trace(.reprompt(state: "start", event: "no_match", attempt: 1))))
  }

  @Test func silenceRepeatsThePromptThenEndsTheCall() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    call.wait(.seconds(4))
    #expect(call.said.count == 2)
    call.wait(.seconds(1))
    #expect(call.said.count == 3)
    call.promptsEnd()
    call.wait(.seconds(5))
    call.promptsEnd()
    #expect(call.said.count == 6)
    #expect(call.hangups == [])
    call.wait(.seconds(5))
    #expect(call.hangups == ["normal"])
    // Only what speaks is repeated: the counter was not touched again.
    #expect(call.variable("attempts") == 1)
  }

  @Test func nonsenseRepeatsThePromptThenEndsTheCall() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    for attempt in 1...3 {
      call.say("purple elephants")
      #expect(call.hangups.count == (attempt == 3 ? 1 : 0))
      call.promptsEnd()
    }
  }

  @Test func patienceOnlyRunsWhenItIsTheCallersTurn() throws {
    var call = try Call(Self.menu)
    call.wait(.seconds(60))
    #expect(call.said.count == 1, "no timer runs while a prompt plays")
    call.promptsEnd()
    call.wait(.seconds(4))
    call.give(.speechStarted)
    call.wait(.seconds(30))
    #expect(call.said.count == 2, "no timer runs while the caller speaks")
    call.give(.speech(HeardSpeech(transcript: "yes", confidence: 0.9)))
    call.promptsEnd()
    call.wait(.milliseconds(4_999))
    #expect(call.said.count == 4)
    call.wait(.milliseconds(1))
    #expect(call.said.count == 5)
  }

  @Test func endlessSpeechDoesNotHoldTheCallForEver() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    call.give(.speechStarted)
    call.wait(.seconds(300))
    #expect(call.said.count > 2)
  }

  // MARK: Timers

  @Test func aStatesTimeoutLeadsOn() throws {
    var call = try Call(
      """
      states:
        start:
          on_enter: [{ action: play_tts, text: "Hello." }]
          timeout: 8s
          timeout_next: late
        late: { terminal: true }
      """)
    call.wait(.seconds(20))
    call.promptsEnd()
    call.wait(.milliseconds(7_999))
    #expect(call.states == ["start"])
    call.wait(.milliseconds(1))
    #expect(call.states == ["start", "late"])
    #expect(call.hangups == ["normal"])
    #expect(call.session.deadline == nil)
  }

  @Test func listenTimeAndStateTimeAreTwoThings() throws {
    var call = try Call(
      """
      states:
        start:
          listen: { timeout: 3s, hints: [yes] }
          transitions:
            - { event: no_input, do: [{ action: play_tts, text: "Hm?" }] }
            - { event: timeout, target: late }
          timeout: 8s
        late: { terminal: true }
      """)
    call.wait(.seconds(3))
    call.promptsEnd()
    call.wait(.seconds(3))
    call.promptsEnd()
    #expect(call.said == ["Hm?", "Hm?"])
    call.wait(.seconds(2))
    #expect(call.states == ["start", "late"])
  }

  @Test func tooEarlyTimeoutsDoNothing() throws {
    var call = try Call(Self.menu)
    call.promptsEnd()
    let before = call.actions.count
    #expect(call.session.timeout(at: call.now, wallMs: 0) == [])
    #expect(call.actions.count == before)
  }

  // MARK: Actions

  @Test func waitFalseDoesNotWait() throws {
    var call = try Call(
      """
      variables: { done: false }
      states:
        start:
          on_enter:
            - { action: play_audio, url: "hold.wav", loop: true }
            - { action: play_tts, text: "One", wait: false }
            - { action: set_variable, done: true }
          transitions: [{ event: tts_complete, target: next }]
        next: { terminal: true }
      """)
    #expect(call.variable("done") == true)
    #expect(call.playing.count == 2)
    call.promptsEnd()
    #expect(call.states == ["start", "next"])
    #expect(call.actions.contains(.stop(PlaybackID(1))), "the music stops with its state")
  }

  @Test func silenceActionAndVoiceSettings() throws {
    let call = try Call(
      """
      settings: { voice: rms, barge_in: false }
      language: en
      states:
        start:
          on_enter:
            - { action: play_tts, text: "a", speed: 1.5, cache: false, wait: false }
            - { action: silence, duration: 1500ms }
          transitions: [{ event: "*", target: start }]
      """)
    #expect(call.playing.map(\.source) == [.text("a"), .silence(ms: 1_500)])
    let prompt = try #require(call.playing.first)
    #expect(prompt.voice == "rms" && prompt.speed == 1.5 && prompt.language == "en" && !prompt.bargeIn && !prompt.cache)
  }

  @Test func transitionWithoutTargetStays() throws {
    var call = try Call(
      """
      variables: { volume: 5 }
      states:
        start:
          on_enter: [{ action: play_tts, text: "Long text.", barge_in: false }]
          transitions:
            - { event: dtmf, digits: "9", do: [{ action: set_variable, volume: volume + 1 }] }
            - { event: tts_complete, target: next }
        next: { terminal: true }
      """)
    call.press("99")
    #expect(call.variable("volume") == 7)
    #expect(call.states == ["start"])
    #expect(call.said == ["Long text."])
    call.promptsEnd()
    #expect(call.states == ["start", "next"])
  }

  @Test func actionsOfATransitionRunBeforeItsTargetAndWhatHappensMeanwhileIsKept() throws {
    var call = try Call(
      """
      states:
        start:
          transitions:
            - { event: go, do: [{ action: play_tts, text: "On my way.", barge_in: false }], target: next }
            - { event: dtmf, target: wrong }
        next:
          transitions: [{ event: dtmf, digits: "5", target: right }]
        wrong: { terminal: true }
        right: { terminal: true }
      """)
    call.give(.custom(name: "go", data: .null))
    call.press("5")
    #expect(call.states == ["start"])
    call.promptsEnd()
    #expect(call.states == ["start", "next", "right"])
  }

  @Test func keysDuringAWelcomeReachTheMenuBehindIt() throws {
    var call = try Call(
      """
      states:
        start:
          on_enter: [{ action: play_tts, text: "Welcome." }, { action: goto, target: menu }]
        menu:
          on_enter: [{ action: play_tts, text: "Press one." }]
          transitions: [{ event: dtmf, digits: "1", target: one }]
        one: { terminal: true }
      """)
    // The key comes before the word of the interruption.
    call.give(.digit("1"))
    #expect(call.states == ["start"])
    let prompt = try #require(call.playing.first)
    call.give(.playbackInterrupted(prompt.id, heard: "", byCaller: true))
    #expect(call.states == ["start", "menu", "one"])
  }

  @Test func customEventsCarryData() throws {
    var call = try Call(
      """
      variables: { who_paid: "" }
      states:
        start:
          transitions:
            - event: payment.done
              when: data.amount > 10
              do: [{ action: set_variable, who_paid: data.name }]
              target: end
        end: { terminal: true }
      """)
    call.give(.custom(name: "payment.done", data: ["amount": 5]))
    #expect(call.states == ["start"])
    call.give(.custom(name: "payment.done", data: ["amount": 50, "name": "Ada"]))
    #expect(call.states == ["start", "end"])
    #expect(call.variable("who_paid") == "Ada")
    #expect(call.actions.contains(.trace(.eventIgnored(state: "start", event: "payment.done"))))
  }

  @Test func anyEventIsAnyButProgress() throws {
    var call = try Call(
      """
      states:
        start: { transitions: [{ event: "*", target: end }] }
        end: { terminal: true }
      """)
    call.give(.speechStarted)
    call.give(.speechPartial(transcript: "hel"))
    #expect(call.states == ["start"])
    call.give(.speech(HeardSpeech(transcript: "hello")))
    #expect(call.states == ["start", "end"])
  }

  @Test func partialSpeechCanDecideAndItsRestIsDropped() throws {
    var call = try Call(
      """
      states:
        start: { transitions: [{ event: speech_partial, when: "transcript contains 'stop'", target: next }] }
        next: { transitions: [{ event: speech, target: wrong }, { event: no_match, target: wrong }] }
        wrong: { terminal: true }
      """)
    call.give(.speechStarted)
    call.give(.speechPartial(transcript: "please"))
    call.give(.speechPartial(transcript: "please stop"))
    call.give(.speech(HeardSpeech(transcript: "please stop it")))
    #expect(call.states == ["start", "next"])
    call.give(.speech(HeardSpeech(transcript: "hello")))
    #expect(call.states == ["start", "next", "wrong"])
  }

  @Test func globalTransitionsComeAfterTheStatesOwn() throws {
    let yaml = """
      on: [{ event: dtmf, digits: "0", target: operator }]
      states:
        start: { transitions: [{ event: dtmf, digits: "1", target: own }] }
        own: { transitions: [{ event: dtmf, digits: "0", target: start }] }
        operator: { terminal: true }
      """
    var call = try Call(yaml)
    call.press("1")
    call.press("0")
    #expect(call.states == ["start", "own", "start"])
    call.press("0")
    #expect(call.states.last == "operator")
  }

  @Test func emitAndLog() throws {
    let call = try Call(
      """
      variables: { pin: { value: "1234", mask: true }, n: 2 }
      states:
        start:
          on_enter:
            - { action: emit, name: ticket.opened, data: { n: "{{ n }}", pin: "{{ pin }}", list: [1, "{{ n }} x"] } }
            - { action: log, message: "pin {{ pin }} n {{ n }}", level: warning }
          terminal: true
      """)
    #expect(
      call.actions.contains(.emit(name: "ticket.opened", data: ["n": 2, "pin": "***", "list": [1, "2 x"]])))
    #expect(call.actions.contains(.log(level: "warning", message: "pin *** n 2")))
  }

  @Test func hangUpByTheCallerRunsLastActionsWithoutAVoice() throws {
    var call = try Call(
      """
      variables: { left: "" }
      on:
        - event: hangup
          do:
            - { action: play_tts, text: "Nobody hears this." }
            - { action: set_variable, left: "who + '/' + current_state" }
            - { action: call_hook, service: crm, path: /gone }
            - { action: emit, name: gone }
          target: start
      states:
        start: { on_enter: [{ action: play_tts, text: "Hi." }], transitions: [{ event: "*", do: [{ action: log, message: x }] }] }
      """)
    call.give(.hangup(by: "caller", reason: "caller"))
    // The state's own `*` comes before the dialog's `hangup`.
    #expect(call.session.isEnded)
    #expect(call.actions.contains(.log(level: "info", message: "x")))
    #expect(call.said == ["Hi."])
    #expect(call.actions.last == .trace(.ended(state: "start", reason: "caller")))
    let count = call.actions.count
    call.give(.digit("1"))
    call.give(.hangup(by: "caller", reason: "caller"))
    #expect(call.actions.count == count)
  }

  @Test func hangUpHandlerOfTheDialog() throws {
    var call = try Call(
      """
      variables: { left: "" }
      on:
        - event: hangup
          do:
            - { action: set_variable, left: "who + '/' + current_state" }
            - { action: call_hook, service: crm, path: /gone, payload: { left: "{{ left }}" } }
            - { action: emit, name: gone }
      states:
        start: { on_enter: [{ action: play_tts, text: "Hi." }], transitions: [{ event: bye, target: start }] }
      """)
    call.give(.hangup(by: "caller", reason: "caller"))
    #expect(call.variable("left") == "caller/start")
    #expect(call.hooks.first?.path == "/gone")
    #expect(call.hooks.first?.body["payload"] == ["left": "caller/start"])
    #expect(call.actions.contains(.emit(name: "gone", data: .null)))
  }

  @Test func nothingHappensBeforeTheAnswer() throws {
    var call = try Call(Self.menu, answered: false)
    call.give(.digit("1"))
    call.give(.speech(HeardSpeech(transcript: "password")))
    #expect(call.actions == [])
    #expect(call.session.currentState == "" && call.session.deadline == nil)
    call.give(.hangup(by: "caller", reason: "cancelled"))
    #expect(call.session.isEnded)
  }

  // MARK: What goes wrong

  @Test func errorsRaiseAnEventAndTheDialogGoesOn() throws {
    var call = try Call(
      """
      variables: { problem: "" }
      states:
        start:
          on_enter:
            - { action: play_tts, text: "You have {{ 1 / no_input_count }}." }
            - { action: play_tts, text: "Still here." }
          transitions:
            - { event: error, do: [{ action: set_variable, problem: error_message }] }
            - { event: bye, target: start }
      """)
    #expect(call.failures == ["expression"])
    #expect(call.variable("problem")?.stringValue?.contains("division by zero") == true)
    #expect(call.said == ["Still here."])
    call.promptsEnd()
    #expect(call.hangups == [])
  }

  @Test func aBrokenErrorHandlerCannotSpin() throws {
    let call = try Call(
      """
      states:
        start:
          on_enter: [{ action: play_tts, text: "{{ 1 / no_input_count }}" }]
          transitions: [{ event: error, do: [{ action: log, message: "{{ 1 / no_input_count }}" }] }, { event: bye, target: start }]
      """)
    #expect(call.failures.count < 10)
  }

  @Test func loopsAreStopped() throws {
    var call = try Call(
      """
      settings: { max_depth: 20 }
      states:
        start: { on_enter: [{ action: goto, target: b }] }
        b: { on_enter: [{ action: goto, target: start }] }
      """)
    #expect(call.failures == ["max_depth"])
    #expect(call.hangups == ["error"])
    #expect(call.states.count == 21)
    call.give(.hangup(by: "dialog", reason: "error"))
    #expect(call.session.isEnded)
  }

  @Test func aLoopCanBeHandledAndPromptsCountAsSteps() throws {
    var call = try Call(
      """
      settings: { max_depth: 12 }
      states:
        start:
          on_enter: [{ action: play_tts, text: "Again." }]
          transitions: [{ event: tts_complete, target: start }, { event: error, when: "error == 'max_depth'", target: sorry }]
        sorry: { on_enter: [{ action: play_tts, text: "Sorry." }], terminal: true }
      """)
    call.promptsEnd()
    #expect(call.said.filter { $0 == "Again." }.count == 13)
    #expect(call.said.last == "Sorry.")
    #expect(call.hangups == ["normal"])
  }

  @Test func aHandlerThatLoopsAgainEndsTheCall() throws {
    let call = try Call(
      """
      settings: { max_depth: 20 }
      on: [{ event: error, target: start }]
      states:
        start: { on_enter: [{ action: goto, target: b }] }
        b: { on_enter: [{ action: goto, target: start }] }
      """)
    #expect(call.failures == ["max_depth"])
    #expect(call.hangups == ["error"])
    #expect(call.states.count < 40)
  }

  @Test func aTimeoutThatNobodyTakesIsSilence() throws {
    var call = try Call(
      """
      states:
        start:
          on_enter: [{ action: play_tts, text: "Hello?" }]
          transitions: [{ event: speech, when: "transcript == 'yes'", target: start }]
          timeout: 2s
      """)
    for _ in 0..<3 {
      call.promptsEnd()
      call.wait(.seconds(2))
    }
    #expect(call.said == ["Hello?", "Hello?", "Hello?"])
    #expect(call.hangups == ["normal"])
  }

  @Test func aFailedPromptDoesNotHoldTheDialog() throws {
    var call = try Call(Self.menu)
    call.give(.playbackFailed(PlaybackID(1), message: "no such voice"))
    #expect(call.failures == ["playback"])
    #expect(call.said.last == "Say what is wrong.")
  }

  @Test func variablesOfTheCallReplaceDefaultsAndFactsAreKnown() throws {
    let call = try Call(
      """
      name: facts
      variables: { plan: basic }
      states:
        start:
          on_enter:
            - action: play_tts
              text: "{{ plan }} {{ caller_id }} {{ called_number }} {{ dialog_name }} {{ session_id }} {{ trunk }} {{ sip_headers['X-Queue'] }} {{ current_state }}"
          terminal: true
      """, variables: ["plan": "gold", "unknown": 1],
      facts: CallFacts(
        session: SessionID("S1"), callerID: "alice", calledNumber: "100", trunk: "main",
        headers: [("X-Queue", "it"), ("X-Queue", "vip")]))
    #expect(call.said == ["gold alice 100 facts S1 main it, vip start"])
    #expect(call.variable("unknown") == nil)
  }
}
