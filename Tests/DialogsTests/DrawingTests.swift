import Base
import Dialogs
import Testing

@Suite struct DrawingTests {
  private static let yaml = """
    name: "a \\"quoted\\" dialog"
    on: [{ event: dtmf, digits: "0", target: person }]
    states:
      start:
        on_enter:
          - { action: play_tts, text: "Say \\"yes\\" or <no> & wait \\\\ now." }
          - { action: run_dialog, name: pay }
        transitions:
          - { event: speech, when: "transcript == 'yes'", target: advisor }
          - { event: speech, do: [{ action: goto, target: person }] }
        timeout: 5s
        timeout_next: person
      advisor:
        agent:
          prompt: "Help."
          exits: [{ name: done, description: Chosen, target: person }]
          fallback: person
      person: { on_enter: [{ action: transfer, target: "sip:desk@x" }], terminal: true }
    """

  private func graph(_ coverage: Bool = false) throws -> DialogGraph {
    let loaded = try dialog(Self.yaml.replacing("name: \"a \\\"quoted\\\" dialog\"", with: "name: drawn"))
    guard coverage else { return DialogGraph(loaded) }
    var seen = DialogCoverage(loaded)
    let session = DialogSession(dialog: loaded, call: CallFacts())
    var call = VirtualCall(session: session)
    call.answer()
    call.settle()
    call.press("0")
    call.settle()
    seen.add(call)
    return DialogGraph(loaded, coverage: seen)
  }

  @Test func dotShowsStatesTransitionsAgentsAndSubDialogs() throws {
    let dot = try graph().dot
    for line in [
      "digraph \"drawn\" {", "\"start\" -> \"advisor\" [label=\"speech if transcript == 'yes'\"];",
      "\"start\" -> \"person\" [label=\"speech\"];", "\"start\" -> \"person\" [label=\"timeout 5 s\", style=dashed];",
      "\"advisor\" -> \"person\" [label=\"exit done\"];",
      "\"advisor\" -> \"person\" [label=\"fallback\", style=dashed];",
      "\"(any state)\" -> \"person\" [label=\"dtmf 0\"];", "\"start\" -> \"dialog pay\" [label=\"run_dialog\"",
      "\"\\n\" -> \"start\";", "peripheries=2", "shape=component",
    ] {
      #expect(dot.contains(line), "\(line) is not in \(dot)")
    }
    #expect(dot.contains("“Say \\\"yes\\\" or <no> & wait \\\\ now.”"), "\(dot)")
    #expect(dot.filter { $0 == "{" }.count == 1)
  }

  @Test func mermaidEscapesWhatItWouldTakeForMarkup() throws {
    let text = try graph().mermaid
    #expect(text.hasPrefix("flowchart TD\n"))
    #expect(text.contains("“Say #quot;yes#quot; or #lt;no#gt; #amp; wait #92; now.”"), "\(text)")
    #expect(text.contains("n0 -->|\"speech if transcript == 'yes'\"| n1"), "\(text)")
    #expect(text.contains("class n1 agent"))
  }

  @Test func coverageColours() throws {
    let graph = try graph(true)
    #expect(graph.dot.contains("-> \"person\" [label=\"dtmf 0\", color=\"#1f8a4c\"]"), "\(graph.dot)")
    #expect(graph.dot.contains("-> \"advisor\" [label=\"speech if transcript == 'yes'\", color=\"#c53030\"]"))
    #expect(
      graph.mermaid.contains("class n1 missing") && graph.mermaid.contains("class n0,n2 taken"), "\(graph.mermaid)")
  }
}
