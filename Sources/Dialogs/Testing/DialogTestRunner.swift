import Base

/// Runs the cases of a test file in virtual time: each is a call of its own.
public struct DialogTestRunner: Sendable {
  public let tests: DialogTestFile
  public let dialog: Dialog
  private let library: [String: Dialog]

  /// - Parameter library: the dialogs that `run_dialog` can reach, by their names.
  public init(_ tests: DialogTestFile, dialog: Dialog, library: [String: Dialog] = [:]) {
    self.tests = tests
    self.dialog = dialog
    self.library = library
  }

  /// Runs one case.
  public func run(_ test: DialogTestCase, coverage: inout DialogCoverage) -> DialogTestResult {
    var run = CaseRun(test, file: tests.file, session: session(for: test))
    for step in test.steps where run.failure == nil { run.perform(step) }
    return run.finish(&coverage)
  }

  /// Runs one case with real speech: what the caller says is what `voice` understands, and every prompt is listened to.
  public func run(
    _ test: DialogTestCase, voice: inout some DialogTestVoice, coverage: inout DialogCoverage
  ) async -> DialogTestResult {
    var run = CaseRun(test, file: tests.file, session: session(for: test))
    for step in test.steps where run.failure == nil {
      var step = step
      if case .say(let words, let at) = step.kind, run.prepare(step), let listening = run.call.listening {
        do {
          let heard = try await voice.hear(words.transcript, listening: listening)
          step.kind = heard.map { .say($0, at: at) } ?? .mumble(at: at)
        } catch {
          run.fail(step, "the caller's words cannot be heard: \(error)")
          break
        }
      }
      run.perform(step)
      for prompt in run.newPrompts() where run.failure == nil {
        do {
          if let problem = try await voice.check(prompt) {
            run.fail(step, "the prompt \"\(prompt.spokenText)\": \(problem)")
          }
        } catch {
          run.fail(step, "the prompt \"\(prompt.spokenText)\" cannot be heard: \(error)")
        }
      }
    }
    return run.finish(&coverage)
  }

  /// Runs every case whose name contains `filter`.
  public func run(filter: String = "", coverage: inout DialogCoverage) -> [DialogTestResult] {
    cases(filter: filter).map { run($0, coverage: &coverage) }
  }

  public func cases(filter: String) -> [DialogTestCase] {
    filter.isEmpty ? tests.cases : tests.cases.filter { $0.name.lowercased().contains(filter.lowercased()) }
  }

  private func session(for test: DialogTestCase) -> DialogSession {
    DialogSession(
      dialog: dialog, variables: test.variables, call: test.call, library: library, limits: test.limits)
  }
}

/// One case on its way.
private struct CaseRun {
  var call: VirtualCall
  private let test: DialogTestCase
  private let file: String
  private(set) var failure: DialogTestFailure?
  /// Where in the call's happenings the caller's last deed stands: `heard` looks at what came after it.
  private var mark = 0
  /// What `heard` has found so far, so that a list of expectations is one in order.
  private var heardUpTo = 0
  private var hooksUpTo = 0
  private var emitsUpTo = 0
  private var transfersUpTo = 0
  private var errorsUpTo = 0
  private var promptsUpTo = 0
  private var expectedErrors: Set<Int> = []

  init(_ test: DialogTestCase, file: String, session: DialogSession) {
    self.test = test
    self.file = file
    call = VirtualCall(
      session: session, script: test.script, startMs: test.startMs, instantPrompts: test.instantPrompts)
    call.answer()
  }

  /// Brings the call to where the step's deed belongs; false where that failed.
  @discardableResult
  mutating func prepare(_ step: DialogTestStep) -> Bool {
    guard failure == nil, step.isDeed else { return failure == nil }
    let at: Duration? =
      switch step.kind {
      case .say(_, let at), .mumble(let at), .press(_, let at), .event(_, _, let at): at
      default: nil
      }
    switch (step.kind, at) {
    case (_, .some): break
    // What happens to the call happens when it happens; time passes after its end, too.
    case (.wait, nil): return true
    case (.hangup, nil): break
    case (.transferResult, nil): call.settle { $0.isTransferring }
    default: call.settle()
    }
    if call.isEnded {
      fail(step, "the call is over")
    } else if let at {
      interrupt(step, at: at)
    }
    return failure == nil
  }

  /// Waits until the prompt that is heard now has been heard for so long.
  private mutating func interrupt(_ step: DialogTestStep, at: Duration) {
    if call.audible == nil { call.settle { $0.audible != nil } }
    guard let audible = call.audible else { return fail(step, "no prompt is playing that could be interrupted") }
    let end = call.now + (at - audible.since)
    guard end >= call.now else {
      return fail(step, "the prompt has been playing for \(audible.since.milliseconds) ms already")
    }
    while call.audible?.prompt.id == audible.prompt.id, call.advance(until: end) {}
    guard call.audible?.prompt.id == audible.prompt.id else {
      return fail(step, "the prompt \"\(audible.prompt.spokenText)\" was over before \(at.milliseconds) ms")
    }
    call.wait(end - call.now)
  }

  mutating func perform(_ step: DialogTestStep) {
    guard prepare(step) else { return }
    if step.isDeed {
      mark = call.happenings.count
      heardUpTo = mark
    }
    switch step.kind {
    case .say(let heard, _): call.say(heard)
    case .mumble: call.say(nil)
    case .press(let keys, _): for key in keys where !call.isEnded { call.press(key) }
    case .wait(let duration): call.wait(duration)
    case .silence: if !call.silence() { fail(step, "the dialog waits for ever: no timer is running") }
    case .event(let name, let data, _): call.receive(.custom(name: name, data: data))
    case .transferResult(let status): call.receive(.transferResult(status: status))
    case .held: call.receive(.callHeld)
    case .resumed: call.receive(.callResumed)
    case .recordingComplete: call.receive(.recordingComplete)
    case .answeredBy(let who): call.receive(.answeredBy(who))
    case .hangup(let reason):
      let who = reason == "caller" || reason == "api" ? reason : "system"
      call.receive(.hangup(by: who, reason: reason))
    case .heard, .notHeard, .state, .variables, .hook, .emitted, .transfer, .error, .ended, .outcome: expect(step)
    }
  }

  // MARK: Expectations

  private mutating func expect(_ step: DialogTestStep) {
    switch step.kind {
    case .heard(let patterns):
      for pattern in patterns {
        guard let place = find(from: heardUpTo, { $0.isPrompt(pattern) }) else {
          return fail(
            step, "not heard: \(pattern)", expected: pattern.description, actual: said(from: mark), what: "heard")
        }
        heardUpTo = place
      }
    case .notHeard(let patterns):
      call.settle()
      for pattern in patterns {
        if call.happenings[mark...].contains(where: { $0.what.isPrompt(pattern) }) {
          return fail(
            step, "heard, but should not be: \(pattern)", expected: "not \(pattern)", actual: said(from: mark),
            what: "heard")
        }
      }
    case .state(let name):
      call.settle { $0.session.currentState == name }
      guard call.session.currentState != name else { return }
      fail(
        step, "the state is `\(call.session.currentState)`, not `\(name)`", expected: name,
        actual: [call.session.currentState], what: "state")
    case .variables(let wanted):
      call.settle { call in wanted.allSatisfy { call.session.variable($0.name)?.fits($0.value) ?? false } }
      for (name, value) in wanted {
        let actual = call.session.variable(name)
        if actual?.fits(value) ?? false { continue }
        let shown = actual.map(JSON.encode) ?? "not set"
        return fail(
          step, "`\(name)` is \(shown), not \(JSON.encode(value))", expected: JSON.encode(value), actual: [shown],
          what: "value")
      }
    case .hook(let name, let payload):
      let place = find(from: hooksUpTo) { what in
        guard case .hookCalled(let hook) = what, CallScript.keys(of: hook).dropLast().contains(name) else {
          return false
        }
        return payload.map { Self.payload(of: hook).fits($0) } ?? true
      }
      guard let place else {
        let wanted = name + (payload.map { " \(JSON.encode($0))" } ?? "")
        let actual = call.happenings[hooksUpTo...].compactMap { happening -> String? in
          guard case .hookCalled(let hook) = happening.what else { return nil }
          return "\(CallScript.name(of: hook)) \(JSON.encode(Self.payload(of: hook)))"
        }
        return fail(step, "the hook was not called so", expected: wanted, actual: actual, what: "called")
      }
      hooksUpTo = place + 1
    case .emitted(let name, let data):
      let place = find(from: emitsUpTo) { what in
        guard case .emitted(let emitted, let value) = what, emitted == name else { return false }
        return data.map { value.fits($0) } ?? true
      }
      guard let place else {
        let actual = call.happenings[emitsUpTo...].compactMap { happening -> String? in
          guard case .emitted(let name, let data) = happening.what else { return nil }
          return "\(name) \(JSON.encode(data))"
        }
        let wanted = name + (data.map { " \(JSON.encode($0))" } ?? "")
        return fail(step, "nothing like that was emitted", expected: wanted, actual: actual, what: "emitted")
      }
      emitsUpTo = place + 1
    case .transfer(let pattern):
      let place = find(from: transfersUpTo) { what in
        if case .transferAsked(let transfer) = what { pattern.matches(transfer.target) } else { false }
      }
      guard let place else {
        let actual = call.happenings[transfersUpTo...].compactMap { happening -> String? in
          if case .transferAsked(let transfer) = happening.what { transfer.target } else { nil }
        }
        return fail(
          step, "no transfer to \(pattern)", expected: pattern.description, actual: actual, what: "transferred")
      }
      transfersUpTo = place + 1
    case .error(let code):
      let place = find(from: errorsUpTo) { $0.errorCode == code }
      guard let place else {
        let actual = call.happenings[errorsUpTo...].compactMap(\.what.errorCode)
        return fail(step, "the error `\(code)` did not happen", expected: code, actual: actual, what: "errors")
      }
      expectedErrors.insert(place)
      errorsUpTo = place + 1
    case .ended(let reason):
      call.settle()
      guard call.isEnded else {
        return fail(
          step, "the call goes on in the state `\(call.session.currentState)`", expected: "the end",
          actual: ["state \(call.session.currentState)"], what: "got")
      }
      let actual =
        call.happenings.lazy.compactMap { happening -> String? in
          if case .trace(.ended(_, let reason)) = happening.what { reason } else { nil }
        }.first ?? ""
      if let reason, reason != actual {
        fail(
          step, "the call ended with `\(actual)`, not with `\(reason)`", expected: reason, actual: [actual], what: "got"
        )
      }
    case .outcome(let wanted):
      call.settle()
      let outcome = call.happenings.lazy.compactMap { happening -> DialogOutcome? in
        if case .outcome(let outcome) = happening.what { outcome } else { nil }
      }.first
      guard let outcome else {
        return fail(step, call.isEnded ? "the dialog keeps no outcome" : "the call is not over")
      }
      let actual: [String: Value] = [
        "disposition": .string(outcome.disposition), "summary": .string(outcome.summary),
        "tags": .list(outcome.tags.map { .string($0) }), "variables": .map(outcome.variables),
      ]
      for (name, value) in wanted where !(actual[name] ?? .null).fits(value) {
        let shown = JSON.encode(actual[name] ?? .null)
        return fail(
          step, "the outcome's \(name) is \(shown)", expected: JSON.encode(value), actual: [shown], what: "outcome")
      }
    case .say, .mumble, .press, .wait, .silence, .event, .transferResult, .held, .resumed, .recordingComplete,
      .answeredBy, .hangup:
      break
    }
  }

  /// The place of the first happening that fits; lets the call go on until the caller has the word.
  private mutating func find(from start: Int, _ fits: (VirtualCall.What) -> Bool) -> Int? {
    var next = start
    var found: Int?
    call.settle { call in
      while next < call.happenings.count {
        if fits(call.happenings[next].what) {
          found = next
          return true
        }
        next += 1
      }
      return false
    }
    while found == nil, next < call.happenings.count {
      if fits(call.happenings[next].what) { found = next }
      next += 1
    }
    return found
  }

  private func said(from place: Int) -> [String] {
    call.happenings[place...].compactMap { if case .said(let prompt) = $0.what { prompt.label } else { nil } }
  }

  private static func payload(of hook: DialogHook) -> Value {
    switch hook.kind {
    case .http: hook.body["payload"] ?? .null
    case .callTool(_, let arguments): arguments
    case .searchKnowledge(let query, _, _): ["query": .string(query)]
    case .listTools: .null
    }
  }

  /// The prompts that have begun since the last question.
  mutating func newPrompts() -> [DialogPrompt] {
    defer { promptsUpTo = call.happenings.count }
    return call.happenings[promptsUpTo...].compactMap { if case .said(let prompt) = $0.what { prompt } else { nil } }
  }

  // MARK: The verdict

  mutating func fail(
    _ step: DialogTestStep?, _ message: String, expected: String? = nil, actual: [String] = [], what: String = "got"
  ) {
    guard failure == nil else { return }
    failure = DialogTestFailure(
      step: step?.label ?? "the whole call", position: step?.position ?? test.position, message: message,
      expected: expected, actual: actual, actualWord: what)
  }

  /// What went wrong without a step that asked for it fails the case, too.
  mutating func finish(_ coverage: inout DialogCoverage) -> DialogTestResult {
    if failure == nil { call.settle() }
    if failure == nil {
      for (place, happening) in call.happenings.enumerated() {
        switch happening.what {
        case .trouble(let message): fail(nil, message)
        case .trace(.failure(let state, let code, let message)) where !DialogTrace.isOfTheWorld(code):
          if !expectedErrors.contains(place) {
            fail(nil, "an error in the state `\(state)`: \(code): \(message); expect it with `error: \(code)`")
          }
        default: break
        }
      }
      if call.unscriptedModelRequests > 0 {
        fail(nil, "the dialog asked the model for more answers than `model` has (\(test.script.model.count))")
      }
    }
    coverage.add(call)
    return DialogTestResult(
      file: file, name: test.name, position: test.position, failure: failure,
      durationMs: (call.now - .zero).milliseconds,
      transcript: failure == nil ? [] : DialogTranscript.lines(of: call.happenings))
  }
}

extension VirtualCall.What {
  fileprivate func isPrompt(_ pattern: TextPattern) -> Bool {
    if case .said(let prompt) = self { pattern.matches(prompt.label) } else { false }
  }

  fileprivate var errorCode: String? {
    if case .trace(.failure(_, let code, _)) = self { code } else { nil }
  }
}

extension DialogSession {
  /// A variable of the call's own dialog as it is, also where it is masked: tests have no secrets.
  fileprivate func variable(_ name: String) -> Value? {
    let own = callers.first ?? frame
    return own.dialog.plan.slots[name].map { own.values[$0] }
  }
}

extension DialogPrompt {
  /// What `heard` looks at: the words, or the address of a recording.
  var label: String {
    switch source {
    case .text, .markup: spokenText
    case .audio(let url): url
    case .silence: ""
    }
  }
}
