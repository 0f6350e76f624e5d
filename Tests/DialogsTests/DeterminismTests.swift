import Base
import Dialogs
import Settings
import Testing

@Suite struct DeterminismTests {
  private static let fancy = """
    settings: { timeout: 3s, max_depth: 30 }
    variables: { n: 0, card: { value: "", mask: true }, map: {} }
    on:
      - { event: dtmf, digits: "0", target: start }
      - { event: error, do: [{ action: log, message: "{{ error }} {{ error_message }}" }] }
      - { event: hangup, do: [{ action: emit, name: gone, data: { n: "{{ n }}" } }] }
      - { event: poke, do: [{ action: play_tts, text: "Ouch {{ json(data) }}", wait: false }] }
    states:
      start:
        on_enter:
          - { action: set_variable, n: "n + 1" }
          - { action: play_tts, text: "{{ n }} {{ format_time(now(), '%T') }} {{ 6 / (n - 3) }}" }
          - { action: play_audio, url: "music.wav", loop: true }
          - { action: collect_digits, max: 3, into: card, inter_digit_timeout: 700ms }
          - { action: call_hook, service: a, filler_text: "Wait.", payload: { n: "{{ n }}" }, result_into: map }
          - { action: silence, duration: 300ms }
        transitions:
          - { event: speech, when: "transcript contains 'a'", do: [{ action: call_hook, service: b, async: true }], target: two }
          - { event: speech_partial, when: "transcript matches '^b+$'", target: two }
          - { event: hook_result, when: "result.go", target: two }
          - { event: tts_complete, target: two }
      two:
        on_enter: [{ action: listen, hints: [abc], timeout: 1s }, { action: play_tts, text: "{{ map }}" }]
        listen: { dtmf: { max_digits: 3, terminator: "#" } }
        transitions:
          - { event: speech, confidence_below: 0.5, do: [{ action: play_tts, text: "Hm." }] }
          - { event: dtmf, digits: "12X", do: [{ action: play_tts, text: "Going.", barge_in: false }], target: three }
          - { event: tts_interrupted, do: [{ action: silence, duration: 200ms }] }
          - { event: timeout, target: three }
        timeout: 4s
      three:
        on_enter: [{ action: goto, target: start }]
    """

  private static func random(_ seed: UInt64, in call: DialogSession, _ random: inout SeededRandom) -> DialogInput {
    let words = ["a", "b", "bbb", "help", "", "password", "yes", "no", "monday", "at noon"]
    func pick() -> Int { Int(random.next() >> 33) }
    let playback = PlaybackID(UInt32(pick() % 40))
    let token = HookToken(UInt32(pick() % 12))
    let values: [Value] = [
      [:], ["go": true], ["data": 5], ["next_state": "two", "variables": ["n": 3]], ["variables": ["n": "text"]],
      ["actions": [["action": "play_tts", "text": "Hook {{ n }}"], ["action": "goto", "target": "two"]]], .null, "text",
      ["actions": [["action": "hangup"]]],
    ]
    switch pick() % 40 {
    case 0...2: return .speechStarted
    case 3: return .speechPartial(transcript: words[pick() % words.count])
    case 4...8:
      return .speech(HeardSpeech(transcript: words[pick() % words.count], confidence: Double(pick() % 11) / 10))
    case 9: return .noMatch
    case 10...15: return .digit(Array("0123456789*#ABx")[pick() % 15])
    case 16...24: return .playbackFinished(playback)
    case 25...27: return .playbackInterrupted(playback, heard: "so far", byCaller: pick() % 2 == 0)
    case 28: return .playbackFailed(playback, message: "broken")
    case 29...32: return .hookResult(token, values[pick() % values.count])
    case 33: return .hookError(token, error: "status", status: 500, message: "no")
    case 34: return .custom(name: ["poke", "other", "speech", "*"][pick() % 4], data: values[pick() % values.count])
    case 35: return pick() % 20 == 0 ? .hangup(by: "caller", reason: "caller") : .callAnswered
    default: return .callAnswered
    }
  }

  /// Plays `count` random inputs with random pauses; checks what must always hold.
  private static func play(_ dialog: Dialog, seed: UInt64, count: Int) -> [DialogAction] {
    var random = SeededRandom(seed: seed)
    var session = DialogSession(dialog: dialog, call: CallFacts(callerID: "x"))
    var now = Instant.zero
    var all = session.receive(.callAnswered, at: now, wallMs: 0)
    var ids: Set<PlaybackID> = []
    var hangups = 0
    for _ in 0..<count {
      now += .milliseconds(Int64(random.next() % 900))
      while let deadline = session.deadline, deadline <= now {
        let actions = session.timeout(at: deadline, wallMs: deadline.nanoseconds / 1_000_000)
        // A deadline that is not served would make its owner spin.
        #expect(session.deadline != deadline || !actions.isEmpty, "seed \(seed)")
        all += actions
      }
      all += session.receive(Self.random(seed, in: session, &random), at: now, wallMs: now.nanoseconds / 1_000_000)
      if let deadline = session.deadline { #expect(deadline >= now, "seed \(seed)") }
    }
    all += session.receive(.hangup(by: "caller", reason: "caller"), at: now, wallMs: 0)
    #expect(session.isEnded && session.deadline == nil)
    for action in all {
      switch action {
      case .say(let prompt):
        #expect(ids.insert(prompt.id).inserted, "seed \(seed): a playback was named twice")
        #expect(hangups == 0, "seed \(seed): something is said after the end")
      case .stop(let id): #expect(ids.contains(id), "seed \(seed)")
      case .hangup: hangups += 1
      default: break
      }
    }
    #expect(hangups <= 1, "seed \(seed)")
    return all
  }

  private func dialogs() throws -> [Dialog] {
    var dialogs = [try dialog(Self.fancy), try dialog(SessionTests.menu), try dialog(HookTests.ticket)]
    for name in ExampleTests.names {
      let path = "\(root)/examples/dialogs/\(name).yaml"
      dialogs.append(try #require(DialogLoader.load(try YAML.load(path: path), file: path).dialog))
    }
    return dialogs
  }

  @Test func randomInputsNeverCrashNorLoop() throws {
    for dialog in try dialogs() {
      for seed in 1...120 as ClosedRange<UInt64> { _ = Self.play(dialog, seed: seed, count: 150) }
    }
  }

  @Test func theSameInputsGiveTheSameActions() throws {
    for dialog in try dialogs() {
      for seed in 1_000...1_010 as ClosedRange<UInt64> {
        let first = Self.play(dialog, seed: seed, count: 200)
        #expect(first == Self.play(dialog, seed: seed, count: 200))
        #expect(first.count > 3)
      }
    }
  }

  @Test func aCopyOfASessionGoesOnLikeTheOriginal() throws {
    let loaded = try dialog(Self.fancy)
    var random = SeededRandom(seed: 5)
    var session = DialogSession(dialog: loaded, call: CallFacts())
    _ = session.receive(.callAnswered, at: .zero, wallMs: 0)
    var now = Instant.zero
    for _ in 0..<200 {
      now += .milliseconds(200)
      let input = Self.random(5, in: session, &random)
      var copy = session
      #expect(copy.receive(input, at: now, wallMs: 9) == session.receive(input, at: now, wallMs: 9))
      #expect(copy.deadline == session.deadline)
      #expect(copy.visibleVariables == session.visibleVariables)
    }
  }

  @Test func randomLinesNeverBreakTheSimulator() throws {
    let lines = [
      "", "hello", "#1", "#", "#1234", "yes", "?x", "!poke", "!poke {\"a\":1}", "!poke {", "!", "/vars", "/x", "a",
    ]
    var random = SeededRandom(seed: 3)
    for dialog in try dialogs() {
      for _ in 0..<20 {
        var simulator = DialogSimulator(
          dialog: dialog, hooks: { hook in hook.token.value % 2 == 0 ? ["go": true] : nil })
        _ = simulator.start()
        for _ in 0..<30 { _ = simulator.take(lines[Int(random.next() % UInt64(lines.count))]) }
        _ = simulator.take("/hangup")
        #expect(simulator.isEnded)
        #expect(simulator.take("hello") == ["-- the call is over"])
      }
    }
  }
}
