import Foundation
import Testing

/// Whole calls through the gateway: speech and keys in, speech out, as a caller hears them.
@Suite(.serialized) struct CallTests {
  private let hints = ["--hints", "\(Tools.root)/examples/dialogs/helpdesk.yaml"]

  @Test func aSpokenRequestChangesThePath() throws {
    let gateway = try Gateway()
    let (result, json) = try Tools.parleyJSON(
      ["call", gateway.uri("helpdesk"), "--say", "please reset my password", "--hangup"] + hints)
    #expect(result.status == 0, "\(result.errors)")
    #expect(json["answered"] as? Bool == true)
    let states = try gateway.lastCall().states
    #expect(states.contains("password"), "\(states) \(json)")
  }

  @Test func aDigitChangesThePath() throws {
    let gateway = try Gateway()
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(try gateway.lastCall().states.contains("password"))
  }

  @Test func nonsenseIsNoMatch() throws {
    let gateway = try Gateway()
    _ = try Tools.parleyJSON([
      "call", gateway.uri("helpdesk"), "--deaf", "--hangup", "--say",
      "purple elephants dance slowly under the ancient bridge",
    ])
    let call = try gateway.lastCall()
    #expect(!call.states.contains("password") && !call.states.contains("printer"), "\(call.states)")
    let events = try gateway.json("/v1/calls/\(call.id)/events")["items"] as? [[String: Any]] ?? []
    let finals = events.filter { $0["type"] as? String == "speech_final" }
    #expect(!finals.isEmpty, "nothing was recognised at all")
  }

  @Test func silenceIsAskedAgainAndThenLeft() throws {
    let gateway = try Gateway()
    let (_, json) = try Tools.parleyJSON(["call", gateway.uri("echo"), "--deaf", "--patience", "60000"], limit: 120)
    #expect(json["ended_by"] as? String == "gateway", "\(json)")
  }

  @Test func bothDirectionsAreRecorded() throws {
    let gateway = try Gateway()
    let file = "\(gateway.folder)/call.wav"
    let result = try Tools.run(
      Tools.parley, ["call", gateway.uri("echo"), "--say", "yes", "--record", file, "--hangup", "--deaf"])
    #expect(result.status == 0, "\(result.errors)")
    for channel in 1...2 {
      let stats = try Tools.run("sox", [file, "-n", "remix", "\(channel)", "stat"])
      let rms = stats.errors.split(separator: "\n").first { $0.contains("RMS     amplitude") }?.split(separator: " ")
        .last
      #expect(Double(rms ?? "0") ?? 0 > 0.005, "channel \(channel) is silent: \(stats.errors)")
    }
  }

  @Test func theTranscriptIsWhatWasSaid() throws {
    let gateway = try Gateway()
    _ = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--say", "the printer is jammed", "--hangup", "--deaf"])
    let call = try gateway.lastCall()
    let transcript = try gateway.api("GET", "/v1/calls/\(call.id)/transcript").text
    #expect(transcript.contains("printer"), "\(transcript)")
    #expect(transcript.contains("Welcome"), "\(transcript)")
  }

  @Test func theAPIHangsUp() throws {
    let gateway = try Gateway()
    let caller = Process()
    caller.executableURL = URL(fileURLWithPath: Tools.parley)
    caller.arguments = ["call", gateway.uri("echo"), "--deaf", "--json", "--patience", "30000"]
    let output = Pipe()
    caller.standardOutput = output
    try caller.run()
    let id = try #require(gateway.events("call_answered").first?["session_id"] as? String)
    let answer = try gateway.api("POST", "/v1/calls/\(id)/hangup", body: #"{"reason":"normal"}"#)
    #expect(answer.status == 200, "\(answer.text)")
    caller.waitUntilExit()
    let json =
      try JSONSerialization.jsonObject(with: output.fileHandleForReading.readDataToEndOfFile()) as? [String: Any] ?? [:]
    #expect(json["ended_by"] as? String == "gateway")
  }

  @Test func anExpectationThatIsNotMetFailsTheCommand() throws {
    let gateway = try Gateway()
    let result = try Tools.run(
      Tools.parley, ["call", gateway.uri("echo"), "--say", "yes", "--hangup", "--expect", "rhinoceros"])
    #expect(result.status == 3)
    #expect(result.errors.contains("rhinoceros"))
  }
}
