import Base
import CallLink
import ConversationRuntime
import Dialogs
import Settings
import Storage
import Telemetry
import Testing

/// A dialog that uses what calls need: prompts, speech, digits, a hook, silence, an end.
let helpdesk = """
  name: helpdesk
  version: "1.0"
  variables: { issue: "", ticket: "", pin: { value: "", mask: true } }
  routing:
    match:
      - sip_to: "sip:helpdesk@*"
  settings: { timeout: 5s, no_input_retries: 1 }
  states:
    start:
      on_enter:
        - action: play_tts
          text: "Welcome to IT support. Say what is wrong."
      listen: { hints: [password, printer] }
      transitions:
        - event: dtmf
          digits: "1"
          target: reset
        - event: speech
          when: "matches(transcript, 'password')"
          target: reset
        - event: speech
          when: "matches(transcript, 'printer')"
          do:
            - action: set_variable
              issue: transcript
          target: ticket
      timeout: 8s
      timeout_next: bye
    ticket:
      on_enter:
        - action: call_hook
          service: ticketing
          payload: { issue: "{{ issue }}" }
      transitions:
        - event: hook_result
          do:
            - action: set_variable
              ticket: result.ticket_id
          target: done
        - event: hook_error
          target: sorry
    done:
      on_enter:
        - action: play_tts
          text: "Your ticket is {{ ticket }}."
        - action: goto
          target: bye
    sorry:
      on_enter:
        - action: play_tts
          text: "No ticket could be made."
        - action: goto
          target: bye
    reset:
      on_enter:
        - action: play_tts
          text: "Type your PIN."
        - action: collect_digits
          max: 4
          min: 4
          into: pin
          mask: true
      transitions:
        - event: dtmf
          target: bye
      timeout: 8s
      timeout_next: bye
    bye:
      on_enter:
        - action: play_tts
          text: "Goodbye."
        - action: hangup
      terminal: true
  """

/// Reads one dialog; a mistake in it fails the test.
func dialog(_ text: String, file: String = "test.yaml") throws -> Dialog {
  let outcome = DialogLoader.load(try YAML.read(text, file: file), file: file)
  return try #require(outcome.dialog, "\(outcome.diagnostics)")
}

/// A runtime with everything around it under the test's control.
struct Bench {
  let clock = ManualClock()
  let store: SQLSessionStore = {
    do { return try SQLSessionStore.inMemory() } catch { fatalError("\(error)") }
  }()
  let bus = MemoryCommandBus()
  let backend: FakeBackend
  let counted = Locked<[String]>([])
  let service: ConversationService

  init(
    _ dialogs: [Dialog], catalogs: TenantCatalogs? = nil, numbers: any NumberRouting = NoNumbers(),
    configuration: RuntimeConfiguration = RuntimeConfiguration(),
    models: any ModelService = NoModelService(), told: [CallMoment: [CallMomentService]] = [:],
    tracer: Tracer = .disabled
  ) {
    backend = FakeBackend(told: told)
    var metrics = RuntimeMetrics()
    let counted = counted
    metrics.callEnded = { dialog, status in counted.with { $0.append("ended \(dialog) \(status)") } }
    metrics.callsActive = { dialog, calls in counted.with { $0.append("active \(dialog) \(calls)") } }
    metrics.stateTransition = { _, from, to in counted.with { $0.append("state \(from) \(to)") } }
    metrics.turnLatency = { stage, seconds, _ in counted.with { $0.append("turn \(stage) \(seconds)") } }
    service = ConversationService(
      configuration: configuration, catalogs: catalogs ?? TenantCatalogs(DialogCatalog(dialogs)), numbers: numbers,
      integration: backend,
      store: store,
      commands: bus, models: models, clock: clock, metrics: metrics, tracer: tracer)
  }

  /// Offers a call; the speech role's end of it comes back.
  func dial(_ user: String = "helpdesk", session: String = "S1", headers: [(name: String, value: String)] = [])
    -> TestCall
  {
    let info = CallInfo(
      session: SessionID(session), direction: .inbound, callerID: "4930123", calledNumber: user,
      fromURI: "sip:4930123@branch.example", toURI: "sip:\(user)@gateway.example", headers: headers,
      source: "192.0.2.1:5060")
    return TestCall(info: info, bench: self)
  }

  func summary(_ session: SessionID) async throws -> SessionSummary? {
    await store.flush()
    return try await store.session(session, tenant: nil)
  }

  func events(_ session: String = "S1") async throws -> [SessionEvent] {
    await store.flush()
    return try await store.events(of: SessionID(session), tenant: nil, after: 0, limit: 1_000)
  }
}

/// One call as the speech role lives it.
final class TestCall: Sendable {
  let speech = FakeSpeech()
  let session: SessionID
  private let bench: Bench
  private let runtime: any HopSink<SpeechToRuntime>
  private let sequence = Locked<UInt64>(0)

  init(info: CallInfo, bench: Bench) {
    session = info.session
    self.bench = bench
    runtime = bench.service.open(info, speech: speech)
  }

  func send(_ message: SpeechToRuntime) {
    let number = sequence.with { sequence in
      sequence += 1
      return sequence
    }
    runtime.send(Numbered(number, message))
  }

  /// The runtime's answer to the offer, then the call is up.
  func answer() async throws {
    guard case .answer = await speech.next() else { throw Unexpected(message: "the call was not answered") }
    send(.answered)
  }

  /// Plays a prompt from its first sample to its last.
  func hearOut(_ prompt: Prompt, for duration: Duration = .seconds(1)) async {
    send(.playbackStarted(prompt.id, atMs: 0))
    await pass(duration)
    send(.playbackFinished(prompt.id))
  }

  func say(_ words: String, confidence: Double = 0.9) {
    send(.speechStarted(atMs: 1_000))
    send(
      .speechFinal(
        SpeechResult(
          transcript: words, confidence: confidence, language: "en", durationMs: 700, startMs: 1_000, endMs: 1_700,
          endpointMs: 300, recognizeMs: 40, model: "test")))
  }

  /// Lets time pass, once everything sent so far has been handled.
  func pass(_ duration: Duration) async {
    await bench.service.settle(session)
    bench.clock.advance(by: duration)
    await bench.service.settle(session)
  }

  /// Hangs up and waits until the record is complete.
  func end(_ reason: HangupReason = .caller) async {
    send(.ended(reason))
    await over()
  }

  /// Waits until the session is over.
  func over() async {
    let log = bench.store.subscribe(bufferLimit: 1_000)
    let recorded = try? await bench.events(session.value)
    if recorded?.last?.type != "call_terminated" {
      for await event in log where event.session == session && event.type == "call_terminated" { break }
    }
    // The record is told of before the end is counted.
    await bench.service.settle(session)
  }
}

extension SessionEvent {
  func text(_ field: String) -> String { fields[field]?.stringValue ?? "" }
  func number(_ field: String) -> Int64? { fields[field]?.intValue }
}
