import Base
import Dialogs
import Settings
import Testing

@Suite struct ExampleTests {
  static let names = [
    "helpdesk", "appointment", "echo", "adviser", "authenticate", "card_block", "languages", "order_status",
    "reception", "reminder", "support_queue", "survey", "voicemail",
  ]

  private func example(_ name: String) throws -> DialogLoader.Outcome {
    let path = "\(root)/examples/dialogs/\(name).yaml"
    return DialogLoader.load(try YAML.load(path: path), file: path)
  }

  @Test(arguments: names) func examplesAreClean(_ name: String) throws {
    let outcome = try example(name)
    // D047 says that this version of the gateway does not transfer and record; the examples show it all the same.
    #expect(outcome.diagnostics.filter { $0.code != "D047" }.map(\.description) == [])
    #expect(outcome.dialog?.name == name)
  }

  private func simulator(_ name: String, hook: Value? = nil) throws -> DialogSimulator {
    DialogSimulator(
      dialog: try #require(try example(name).dialog), call: CallFacts(callerID: "alice"), hooks: { _ in hook })
  }

  @Test func helpdeskByVoiceOpensATicket() throws {
    var simulator = try simulator("helpdesk", hook: ["data": ["ticket_id": "4711"]])
    #expect(simulator.start().contains("<< Welcome to the help desk."))
    #expect(simulator.take("I forgot my password").contains("-> password (speech)"))
    #expect(simulator.currentState == "identify")
    let lines = simulator.take("#1234")
    #expect(lines.contains("   employee = \"1234\""))
    #expect(lines.contains { $0.contains("ticket 4 7 1 1 for your password reset request") })
    #expect(simulator.take("no thank you").contains("-- end of call"))
    #expect(simulator.isEnded)
  }

  @Test func helpdeskByKeysSurvivesAFailedHook() throws {
    var simulator = try simulator("helpdesk")
    _ = simulator.start()
    #expect(simulator.take("#2").contains("-> printer (dtmf)"))
    let lines = simulator.take("#1234")
    #expect(lines.contains("-> trouble (hook_error)"))
    #expect(lines.contains("-- emit callback_requested {\"employee\":\"1234\",\"issue\":\"printer\"}"))
    #expect(simulator.isEnded)
  }

  @Test func helpdeskGivesUpOnSilenceAndOnNonsense() throws {
    var silent = try simulator("helpdesk")
    _ = silent.start()
    #expect(silent.take("").contains("-- no_input: says it again (1)"))
    _ = silent.take("")
    #expect(silent.take("").contains("-> goodbye (no_input)"))
    #expect(silent.isEnded)
    var nonsense = try simulator("helpdesk")
    _ = nonsense.start()
    _ = nonsense.take("purple elephants")
    _ = nonsense.take("?mumble")
    #expect(nonsense.take("purple elephants").contains("-> person (no_match)"))
    #expect(nonsense.isEnded)
  }

  @Test func helpdeskHasEnoughPhrases() throws {
    let dialog = try #require(try example("helpdesk").dialog)
    let menu = try #require(dialog.state(named: "menu"))
    let phrases = dialog.listenPhrases(for: menu)
    for phrase in [
      "i forgot my password", "please reset my password", "the printer is jammed", "the network is down",
      "the internet is very slow", "talk to an agent", "the wireless is not working",
    ] {
      #expect(phrases.contains(phrase))
    }
    #expect((15...40).contains(phrases.count))
    // Everything the recogniser is told to hear leads somewhere.
    for phrase in phrases {
      var simulator = try simulator("helpdesk")
      _ = simulator.start()
      _ = simulator.take(phrase)
      #expect(simulator.currentState != "menu", "\(phrase)")
    }
  }

  @Test func appointmentIsBookedAndKeepsThePatientSecret() throws {
    var simulator = try simulator("appointment")
    var lines = simulator.start()
    lines += simulator.take("#123456")
    lines += simulator.take("on thursday please")
    lines += simulator.take("in the afternoon")
    lines += simulator.take("yes that is right")
    #expect(lines.contains("   weekday = \"thursday\""))
    #expect(lines.contains("<< Your appointment on thursday at 3 in the afternoon is booked. Goodbye."))
    #expect(simulator.isEnded)
    #expect(!lines.contains { $0.contains("123456") })
    #expect(simulator.variables["patient"] == "***")
  }

  @Test func appointmentAsksAgainForAShortNumber() throws {
    var simulator = try simulator("appointment")
    _ = simulator.start()
    #expect(simulator.take("#12#").contains("<< A patient number has six digits. Please try again."))
    #expect(simulator.take("#123456").contains("-> ask_day (dtmf)"))
  }

  @Test func echoRepeats() throws {
    var simulator = try simulator("echo")
    _ = simulator.start()
    #expect(simulator.take("Yellow").contains("<< You said yellow."))
    #expect(simulator.take("#*").contains("<< You pressed star."))
    #expect(simulator.take("goodbye").contains("<< I understood you 1 times. Goodbye."))
    #expect(simulator.isEnded)
  }
}
