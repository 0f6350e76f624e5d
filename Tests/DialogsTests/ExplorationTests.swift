import Base
import Dialogs
import Settings
import Testing

@Suite struct ExplorationTests {
  private static let fragile = """
    name: fragile
    variables: { n: 0 }
    settings: { max_depth: 20 }
    states:
      start:
        on_enter: [{ action: play_tts, text: "Say blue or press one or two." }]
        transitions:
          - { event: speech, when: "transcript == 'blue'", do: [{ action: set_variable, n: "1 / n" }], target: stuck }
          - { event: dtmf, digits: "1", target: round }
          - { event: dtmf, digits: "2", target: done }
          - { event: dtmf, digits: "9", target: done }
          - { event: dtmf, digits: "#9#", target: hidden }
      round:
        on_enter: [{ action: goto, target: again }]
      again:
        on_enter: [{ action: goto, target: round }]
      stuck:
        on_enter: [{ action: play_tts, text: "Stuck." }]
        transitions:
          - { event: no_input, do: [{ action: log, message: "still here" }] }
          - { event: speech, do: [{ action: log, message: "still here" }] }
      hidden: { terminal: true }
      done:
        on_enter: [{ action: play_tts, text: "Good." }]
        terminal: true
    """

  @Test func conversationsFindWhatBreaks() throws {
    let report = Exploration(try dialog(Self.fragile), seed: 7).run(sessions: 40)
    #expect(report.hasMistakes)
    let errors = report.findings.filter { $0.kind == .error }
    #expect(errors.contains { $0.state == "start" && $0.code == "expression" }, "\(report.lines)")
    #expect(report.findings.contains { $0.kind == .loop && $0.code == "max_depth" }, "\(report.lines)")
    #expect(report.findings.contains { $0.kind == .endless && $0.state == "stuck" }, "\(report.lines)")
    #expect(report.summaries.map(\.persona) == Persona.allCases && report.summaries.allSatisfy { $0.sessions == 40 })
    let silent = try #require(report.summaries.first { $0.persona == .silent })
    #expect(silent.exhausted["start"] ?? 0 > 0 && silent.longestSilenceMs >= 10_000)
    #expect(report.summaries.first { $0.persona == .hangUpEarly }?.endings["caller"] ?? 0 > 10)
    #expect(report.lines.contains { $0.hasPrefix("error expression in `start`") })
  }

  @Test func theSameSeedGivesTheSameConversations() throws {
    let loaded = try dialog(Self.fragile)
    let first = Exploration(loaded, seed: 3).run(sessions: 10)
    #expect(JSON.encode(first.json) == JSON.encode(Exploration(loaded, seed: 3).run(sessions: 10).json))
    #expect(JSON.encode(first.json) != JSON.encode(Exploration(loaded, seed: 4).run(sessions: 10).json))
    // What a finding names can be looked at.
    let finding = try #require(first.findings.first)
    let parts = finding.example.split(separator: "/")
    let persona = try #require(Persona(rawValue: String(parts[0])))
    let call = Exploration(loaded, seed: 3).converse(persona, try #require(Int(parts[1])))
    #expect(DialogTranscript.lines(of: call.happenings).contains { $0.contains(finding.code) && $0.contains("!!") })
  }

  @Test func theExamplesHaveNoMistakes() throws {
    var dialogs: [String: Dialog] = [:]
    for name in ExampleTests.names {
      let path = "\(root)/examples/dialogs/\(name).yaml"
      dialogs[name] = DialogLoader.load(try YAML.load(path: path), file: path).dialog
    }
    for (name, loaded) in dialogs {
      let report = Exploration(loaded, library: dialogs, seed: 1).run(sessions: 8)
      #expect(!report.hasMistakes, "\(name): \(report.lines.joined(separator: "\n"))")
      #expect(!report.findings.contains { $0.kind == .deadEnd }, "\(name): \(report.lines.joined(separator: "\n"))")
    }
  }

  @Test func agentStatesAreExploredWithAMadeUpModel() throws {
    let yaml = """
      variables: { plan: "" }
      states:
        start:
          agent:
            prompt: "Help."
            tools:
              - { name: look_up, description: Looks up, parameters: { name: { type: string } }, hook: { service: plans } }
            exits:
              - { name: done, description: Chosen, extract: { plan: string }, target: bye }
            max_turns: 5
            fallback: sorry
        bye: { on_enter: [{ action: play_tts, text: "Your plan is {{ plan }}." }], terminal: true }
        sorry: { on_enter: [{ action: play_tts, text: "A person will call you." }], terminal: true }
      """
    let report = Exploration(try dialog(yaml), seed: 11).run(sessions: 40)
    #expect(report.coverage.missing.isEmpty, "\(report.coverage.lines)")
    let mistakes = report.findings.filter(\.isMistake)
    #expect(mistakes == [])
  }

  @Test func samplesOfGrammarsAreInThem() throws {
    let yaml = """
      states:
        start:
          listen: { grammar: "(book | cancel) [please] <day>+" }
          on_enter: [{ action: play_tts, text: "Go." }]
          transitions: [{ event: speech, when: "transcript matches '^(book|cancel)'", target: done }]
        done: { terminal: true }
      """
    let grammar = "#JSGF V1.0; grammar d; public <go> = (book | cancel) [please] <day>+; <day> = monday | friday;"
    let text = yaml.replacing("(book | cancel) [please] <day>+", with: grammar)
    let report = Exploration(try dialog(text), seed: 2).run(personas: [.cooperative], sessions: 30)
    #expect(report.summaries[0].endings == ["normal": 30], "\(report.lines)")
  }
}
