import Base

/// Lets made-up callers loose on a dialog, and reports what breaks. The same seed gives the same conversations.
public struct Exploration: Sendable {
  public let dialog: Dialog
  private let library: [String: Dialog]
  private let script: CallScript
  private let limits: DialogLimits
  private let variables: [String: Value]
  public let seed: UInt64

  /// A caller who has not come to an end after so many turns hangs up.
  public static let turnLimit = 60

  /// - Parameters:
  ///   - hooks: what backends answer, by service; others give anything, or fail.
  ///   - library: the dialogs that `run_dialog` can reach, by their names.
  public init(
    _ dialog: Dialog, library: [String: Dialog] = [:], hooks: [String: [CallScript.HookAnswer]] = [:],
    variables: [String: Value] = [:], limits: DialogLimits = DialogLimits(), seed: UInt64
  ) {
    self.dialog = dialog
    self.library = library
    script = CallScript(hooks: hooks)
    self.limits = limits
    self.variables = variables
    self.seed = seed
  }

  /// Something that a conversation ran into.
  public struct Finding: Sendable, Hashable {
    public enum Kind: String, Sendable {
      /// An expression, a hook's answer, a prompt that failed.
      case error
      /// Steps without the caller that only a limit stopped.
      case loop
      /// The dialog waits for ever, and nothing the caller does is of use.
      case deadEnd = "dead_end"
      /// The caller gave up after ``turnLimit`` turns.
      case endless
    }
    public var kind: Kind
    public var state: String
    /// The error's code; empty otherwise.
    public var code: String
    public var message: String
    /// In how many conversations.
    public var count: Int
    /// The first of them: `impatient/17`.
    public var example: String

    /// Whether the dialog has to be mended, whoever calls.
    public var isMistake: Bool { kind == .error || kind == .loop }
  }

  /// What callers of one kind met with.
  public struct Summary: Sendable {
    public var persona: Persona
    public var sessions = 0
    /// How the calls ended, and how often.
    public var endings: [String: Int] = [:]
    /// States in which the dialog gave up on the caller, and how often.
    public var exhausted: [String: Int] = [:]
    /// The longest time without a word of the gateway, and where.
    public var longestSilenceMs: Int64 = 0
    public var longestSilenceState = ""
    public var longestSilenceExample = ""
    public var longestCallMs: Int64 = 0
  }

  public struct Report: Sendable {
    public var seed: UInt64
    public var summaries: [Summary]
    /// Mistakes first, then by how often.
    public var findings: [Finding]
    public var coverage: DialogCoverage

    public var hasMistakes: Bool { findings.contains(where: \.isMistake) }
  }

  /// - Parameter sessions: conversations of each persona.
  public func run(personas: [Persona] = Persona.allCases, sessions: Int) -> Report {
    var coverage = DialogCoverage(dialog)
    var summaries: [Summary] = []
    var findings: [String: Finding] = [:]
    for persona in personas {
      var summary = Summary(persona: persona)
      for number in 0..<sessions {
        let call = converse(persona, number)
        coverage.add(call)
        let name = "\(persona.rawValue)/\(number)"
        Self.summarize(call, name, into: &summary)
        var seen: Set<String> = []
        for finding in Self.findings(in: call, name) {
          let key = "\(finding.kind) \(finding.state) \(finding.code)"
          guard seen.insert(key).inserted else { continue }
          if findings[key] != nil { findings[key]?.count += 1 } else { findings[key] = finding }
        }
      }
      summaries.append(summary)
    }
    let sorted = findings.values.sorted {
      ($0.isMistake ? 0 : 1, -$0.count, $0.state, $0.code) < ($1.isMistake ? 0 : 1, -$1.count, $1.state, $1.code)
    }
    return Report(seed: seed, summaries: summaries, findings: sorted, coverage: coverage)
  }

  /// One conversation, as ``Finding/example`` names it.
  public func converse(_ persona: Persona, _ number: Int) -> VirtualCall {
    // Far apart for neighbouring numbers, as the generator itself mixes its seed.
    var mixed = SeededRandom(seed: seed &+ UInt64(truncatingIfNeeded: number))
    let place = UInt64(Persona.allCases.firstIndex(of: persona) ?? 0)
    var random = SeededRandom(seed: mixed.next() &+ place &* 0x9E37_79B9_7F4A_7C15)
    var script = script
    script.improvisation = SeededRandom(seed: random.next())
    let events = Set((dialog.transitions + dialog.states.flatMap(\.transitions)).map(\.event))
      .filter { $0 != "*" && Event.Kind.named[$0] == nil }.sorted()
    let session = DialogSession(
      dialog: dialog, variables: variables, call: CallFacts(session: SessionID("exploration"), callerID: "5551234"),
      library: library, limits: limits)
    var call = VirtualCall(session: session, script: script, startMs: 1_767_348_000_000)
    var caller = PersonaCaller(persona: persona, random: random, customEvents: events)
    call.answer()
    var turns = 0
    while !call.isEnded {
      turns += 1
      guard turns <= Self.turnLimit else {
        call.noteTrouble("endless")
        break
      }
      // Whoever the caller was put through to is not this dialog's business.
      if call.session.isConnected { break }
      guard caller.act(in: &call) || call.session.isConnected else {
        call.noteTrouble("dead_end")
        break
      }
      if caller.chance(60) { call.settle() }
    }
    if !call.isEnded { call.receive(.hangup(by: "caller", reason: "caller")) }
    return call
  }

  // MARK: What came of it

  private static func findings(in call: VirtualCall, _ name: String) -> [Finding] {
    var findings: [Finding] = []
    var state = ""
    func add(_ kind: Finding.Kind, _ state: String, _ code: String, _ message: String) {
      findings.append(Finding(kind: kind, state: state, code: code, message: message, count: 1, example: name))
    }
    for happening in call.happenings {
      switch happening.what {
      case .trace(.stateTransition(_, let to, _)): state = to
      case .trace(.failure(let state, let code, let message)):
        switch code {
        case _ where DialogTrace.isOfTheWorld(code): break
        case "max_depth", "steps": add(.loop, state, code, message)
        default: add(.error, state, code, message)
        }
      case .trouble("endless"): add(.endless, state, "", "the caller gave up after \(turnLimit) turns")
      case .trouble("dead_end"): add(.deadEnd, state, "", "the dialog waits for ever")
      case .trouble(let message): add(.loop, state, "", message)
      default: break
      }
    }
    return findings
  }

  private static func summarize(_ call: VirtualCall, _ name: String, into summary: inout Summary) {
    summary.sessions += 1
    summary.longestCallMs = max(summary.longestCallMs, (call.now - .zero).milliseconds)
    var state = ""
    // Until when the caller hears or does something.
    var quietSince = Instant.zero
    var quietState = ""
    func sound(at: Instant, until: Instant) {
      let gap = (at - quietSince).milliseconds
      if gap > summary.longestSilenceMs {
        summary.longestSilenceMs = gap
        summary.longestSilenceState = quietState
        summary.longestSilenceExample = name
      }
      quietSince = max(quietSince, until)
      quietState = state
    }
    for happening in call.happenings {
      switch happening.what {
      case .trace(.stateTransition(_, let to, _)):
        state = to
        if happening.at == quietSince { quietState = to }
      case .trace(.failure(let state, let code, _)) where code == "no_input" || code == "no_match":
        summary.exhausted[state, default: 0] += 1
      case .trace(.ended(_, let reason)):
        summary.endings[reason, default: 0] += 1
        sound(at: happening.at, until: happening.at)
      case .said(let prompt):
        if case .silence = prompt.source { break }
        let length = SpeakingTime.milliseconds(of: prompt) ?? 0
        sound(at: happening.at, until: happening.at + .milliseconds(length))
      case .cut: quietSince = min(quietSince, happening.at)
      case .caller: sound(at: happening.at, until: happening.at)
      default: break
      }
    }
  }
}

extension Exploration.Report {
  public var lines: [String] {
    var lines = ["seed \(seed)"]
    for summary in summaries {
      let endings = summary.endings.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
      lines.append(
        "\(summary.persona.rawValue): \(summary.sessions) calls; ended: \(endings.joined(separator: ", ")); "
          + "longest silence \(summary.longestSilenceMs) ms in `\(summary.longestSilenceState)` "
          + "(\(summary.longestSilenceExample)); longest call \(summary.longestCallMs / 1_000) s")
      for (state, count) in summary.exhausted.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
        lines.append("  gave up on the caller in `\(state)`: \(count)")
      }
    }
    for finding in findings {
      let code = finding.code.isEmpty ? "" : " \(finding.code)"
      lines.append(
        "\(finding.kind.rawValue)\(code) in `\(finding.state)`: \(finding.message) "
          + "(\(finding.count) \(finding.count == 1 ? "call" : "calls"), first \(finding.example))")
    }
    for item in coverage.missing where item.kind == .state {
      lines.append("never reached: `\(item.state)` (\(coverage.file):\(item.position))")
    }
    return lines
  }

  public var json: Value {
    func counts(_ map: [String: Int]) -> Value { .map(map.mapValues { .int(Int64($0)) }) }
    return [
      "seed": .int(Int64(bitPattern: seed)), "ok": .bool(!hasMistakes),
      "personas": .list(
        summaries.map {
          [
            "persona": .string($0.persona.rawValue), "sessions": .int(Int64($0.sessions)),
            "endings": counts($0.endings), "exhausted": counts($0.exhausted),
            "longest_silence_ms": .int($0.longestSilenceMs), "longest_silence_state": .string($0.longestSilenceState),
            "longest_call_ms": .int($0.longestCallMs),
          ]
        }),
      "findings": .list(
        findings.map {
          [
            "kind": .string($0.kind.rawValue), "state": .string($0.state), "code": .string($0.code),
            "message": .string($0.message), "calls": .int(Int64($0.count)), "example": .string($0.example),
            "mistake": .bool($0.isMistake),
          ]
        }),
      "never_reached": .list(coverage.missing.filter { $0.kind == .state }.map { .string($0.state) }),
    ]
  }
}
