import Foundation
import Testing

/// SIPp, which nobody here wrote, on the other side of the wire, in both roles.
@Suite(.serialized) struct SIPpTests {
  /// Runs a scenario once and returns the messages that SIPp saw.
  @discardableResult
  private func sipp(
    _ scenario: String, _ gateway: Gateway, service: String = "echo", transport: String = "u1"
  ) throws -> String {
    let folder = try Tools.temporaryFolder()
    let result = try Tools.run(
      "sipp",
      [
        "127.0.0.1:\(gateway.sipPort)", "-sf", "\(Tools.scenarios)/\(scenario).xml", "-s", service, "-m", "1", "-i",
        "127.0.0.1", "-t", transport, "-timeout", "40", "-timeout_error", "-trace_err", "-error_file",
        "\(folder)/errors",
        "-nostdin", "-trace_msg", "-message_file", "\(folder)/messages",
      ], in: folder)
    let errors = (try? String(contentsOfFile: "\(folder)/errors", encoding: .utf8)) ?? ""
    #expect(result.status == 0, "\(scenario): \(errors)\n\(result.output.suffix(1500))")
    return (try? String(contentsOfFile: "\(folder)/messages", encoding: .utf8)) ?? ""
  }

  @Test(arguments: ["uac-bye", "uac-cancel", "uac-hold"])
  func callsTheGateway(_ scenario: String) throws {
    let gateway = try Gateway()
    try sipp(scenario, gateway)
    #expect(try gateway.lastCall().reason == "caller")
    #expect(gateway.stop() == 0)
  }

  @Test(arguments: ["uac-options", "uac-no-codec"])
  func asksTheGateway(_ scenario: String) throws {
    let gateway = try Gateway()
    try sipp(scenario, gateway)
    #expect(gateway.stop() == 0)
  }

  @Test func tcpWorksLikeUDP() throws {
    let gateway = try Gateway()
    try sipp("uac-bye", gateway, transport: "t1")
    try sipp("uac-hold", gateway, transport: "t1")
    #expect(try gateway.terminations(2).count == 2)
  }

  @Test func theAnswerIsRepeatedUntilTheACK() throws {
    let gateway = try Gateway()
    let messages = try sipp("uac-lost-ack", gateway)
    // 500 ms, then 1 s after the first: two copies in the 1.8 s without an ACK.
    #expect(messages.components(separatedBy: "SIP/2.0 200 OK").count - 1 >= 3, "\(messages)")
    #expect(try gateway.lastCall().reason == "caller")
  }

  @Test func retransmissionsMakeOneCall() throws {
    let gateway = try Gateway()
    try sipp("uac-retransmitted-invite", gateway)
    #expect(try gateway.lastCall().reason == "caller")
    #expect(try gateway.metric("vg_calls_total") == 1)
  }

  @Test func theGatewayHangsUp() throws {
    let gateway = try Gateway(dialogs: [
      "short.yaml": """
      name: short
      routing: { match: [{ sip_to: "sip:short@*" }] }
      states:
        start:
          on_enter:
            - action: play_tts
              text: "Goodbye."
            - action: hangup
          terminal: true
      """
    ])
    try sipp("uac-hungup", gateway, service: "short")
    #expect(try gateway.lastCall().reason == "normal")
  }

  @Test func nobodyLivesThere() throws {
    let gateway = try Gateway()
    try sipp("uac-unknown", gateway, service: "nobody-at-all")
  }

  // MARK: SIPp is called

  @Test(arguments: [
    ("uas-bye", true), ("uas-cancelled", false), ("uas-busy", false), ("uas-hold", true),
  ])
  func isCalled(_ scenario: String, isAnswered: Bool) throws {
    let folder = try Tools.temporaryFolder()
    let port = Int.random(in: 16_000...19_000)
    let sipp = Process()
    sipp.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    sipp.arguments = [
      "timeout", "--signal=KILL", "60", "sipp", "-sf", "\(Tools.scenarios)/\(scenario).xml", "-m", "1", "-i",
      "127.0.0.1", "-p",
      "\(port)",
      "-timeout", "40", "-timeout_error", "-trace_err", "-error_file", "\(folder)/errors", "-nostdin", "-rtp_echo",
    ]
    sipp.currentDirectoryURL = URL(fileURLWithPath: folder)
    sipp.standardOutput = FileHandle.nullDevice
    sipp.standardError = FileHandle.nullDevice
    sipp.standardInput = FileHandle.nullDevice
    try sipp.run()
    // Retransmissions bridge the moment until SIPp listens.
    let (result, json) = try Tools.parleyJSON([
      "call", "sip:anyone@127.0.0.1:\(port)", "--deaf", "--say", "hello", "--patience", "1500", "--limit",
      scenario == "uas-cancelled" ? "3" : "20",
    ])
    sipp.waitUntilExit()
    let errors = (try? String(contentsOfFile: "\(folder)/errors", encoding: .utf8)) ?? ""
    #expect(sipp.terminationStatus == 0, "\(scenario): \(errors)")
    #expect(json["answered"] as? Bool == isAnswered, "\(result.errors)")
    if scenario == "uas-busy" { #expect(json["status"] as? Int == 486) }
    if scenario == "uas-cancelled" { #expect(json["status"] as? Int == 487) }
  }
}
