import Base
import Dialogs
import Testing

/// What the caller hears while a backend thinks.
@Suite struct FillerTests {
  private static func dialog(async: Bool) -> String {
    """
    name: desk
    variables: { ticket: {} }
    settings: { timeout: 8s }
    states:
      start:
        on_enter:
          - action: call_hook
            service: ticketing
            async: \(async)
            timeout: 40s
            filler_text: "One moment."
            result_into: ticket
          - { action: play_tts, text: "Meanwhile: say stop to end it." }
        listen: { hints: [stop] }
        transitions:
          - { event: hook_result, target: done }
          - { event: hook_error, target: late }
          - { event: speech, when: "transcript == 'stop'", target: stopped }
          - { event: no_input, target: silent }
      done: { on_enter: [{ action: play_tts, text: "Ticket {{ ticket.id }}." }], terminal: true }
      late: { on_enter: [{ action: play_tts, text: "Late." }], terminal: true }
      stopped: { on_enter: [{ action: play_tts, text: "Stopped." }, { action: silence, duration: 30s }], terminal: true }
      silent: { on_enter: [{ action: play_tts, text: "Silence." }], terminal: true }
    """
  }

  private static let hook = dialog(async: false)
  private static let background = dialog(async: true)

  @Test func itIsSaidAgainUntilTheAnswerComes() throws {
    var call = try Call(Self.hook)
    call.wait(.milliseconds(500))
    #expect(call.said == ["One moment."])
    call.wait(.seconds(20))
    #expect(call.said == ["One moment."], "it is still being said")
    call.promptEnds()
    call.wait(.milliseconds(4_999))
    #expect(call.said.count == 1)
    call.wait(.milliseconds(1))
    #expect(call.said == ["One moment.", "One moment."])
    call.promptEnds()
    call.answerHook(["id": 7])
    call.wait(.seconds(20))
    #expect(call.said == ["One moment.", "One moment.", "Ticket 7."])
  }

  @Test func whoCutsItHasHeardEnough() throws {
    var call = try Call(Self.hook)
    call.wait(.milliseconds(500))
    call.bargeIn()
    call.give(.noMatch)
    call.wait(.seconds(20))
    #expect(call.said == ["One moment."])
    call.answerHook(["id": 7])
    #expect(call.said == ["One moment.", "Ticket 7."])
  }

  @Test func inTheBackgroundTheDialogGoesOn() throws {
    var call = try Call(Self.background)
    #expect(call.said == ["Meanwhile: say stop to end it."], "nothing waits for the hook")
    call.wait(.seconds(3))
    #expect(call.said.count == 1, "no filler into a prompt")
    call.promptEnds()
    call.wait(.milliseconds(500))
    #expect(call.said.last == "One moment.")
    call.promptEnds()
    // Whoever was asked for patience is expected to be silent, far beyond the 8 s of the dialog.
    call.wait(.seconds(5))
    call.promptEnds()
    call.wait(.seconds(5))
    call.promptEnds()
    call.wait(.seconds(4))
    #expect(call.states == ["start"])
    #expect(call.said.filter { $0 == "One moment." }.count == 3)
    call.answerHook(["id": 8])
    #expect(call.states == ["start", "done"], "its answer is an event")
    #expect(call.said.last == "Ticket 8.")
  }

  @Test func inTheBackgroundTheCallerIsHeard() throws {
    var call = try Call(Self.background)
    call.promptEnds()
    call.wait(.milliseconds(500))
    call.say("stop")
    #expect(call.states == ["start", "stopped"])
    call.wait(.seconds(20))
    #expect(call.said.filter { $0 == "One moment." }.count == 1, "the filler belonged to the state")
  }

  @Test func aFillerWaitsForTheEndOfTheCallersSentence() throws {
    var call = try Call(Self.background)
    call.promptEnds()
    call.give(.speechStarted)
    call.wait(.seconds(4))
    #expect(!call.said.contains("One moment."))
    call.give(.speech(HeardSpeech(transcript: "hm")))
    call.promptsEnd()
    call.wait(.seconds(6))
    #expect(call.said.contains("One moment."))
  }

  @Test func aHookThatNeverAnswersEndsThePatience() throws {
    var call = try Call(Self.background)
    call.promptEnds()
    for _ in 0..<20 {
      call.wait(.seconds(3))
      call.promptsEnd()
    }
    #expect(call.states == ["start", "late"])
  }

  /// A snapshot in the middle of it goes on in the same way.
  @Test func aSnapshotKeepsIt() throws {
    var call = try Call(Self.background)
    call.promptEnds()
    call.wait(.milliseconds(500))
    let loaded = call.session.dialog
    call.session = try DialogSession(
      restoring: JSON.decode(JSON.encode(call.session.snapshot())), dialog: loaded, call: CallFacts())
    call.promptEnds()
    call.wait(.seconds(5))
    #expect(call.said.filter { $0 == "One moment." }.count == 2)
  }
}
