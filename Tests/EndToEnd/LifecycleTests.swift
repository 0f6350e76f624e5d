import Foundation
import Testing

@Suite(.serialized) struct LifecycleTests {
  /// SIGTERM: new calls are refused, the live one is finished, then the process ends with status 0.
  @Test func stoppingFinishesLiveCallsAndRefusesNewOnes() throws {
    let gateway = try Gateway()
    let caller = Process()
    caller.executableURL = URL(fileURLWithPath: Tools.parley)
    caller.arguments = ["call", gateway.uri("helpdesk"), "--deaf", "--json", "--dtmf", "1", "--hangup"]
    let output = Pipe()
    caller.standardOutput = output
    try caller.run()
    #expect(try gateway.events("call_answered").count == 1)
    gateway.terminate()
    // The signal is handled in another process: its readiness says when.
    let ready = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:\(gateway.metricsPort)/readyz"
    let draining = try Tools.run("bash", ["-c", "until [ \"$(\(ready))\" = 503 ]; do :; done"], limit: 20)
    #expect(draining.status == 0, "SIGTERM did not make the gateway unready")
    let refused = try Tools.run(
      "sipp",
      [
        "127.0.0.1:\(gateway.sipPort)", "-sf", "\(Tools.scenarios)/uac-draining.xml", "-s", "echo", "-m", "1", "-i",
        "127.0.0.1",
        "-timeout", "20", "-timeout_error", "-nostdin",
      ], in: gateway.folder)
    #expect(refused.status == 0, "a new call was not refused with 503\n\(refused.output.suffix(800))")
    caller.waitUntilExit()
    let json =
      try JSONSerialization.jsonObject(with: output.fileHandleForReading.readDataToEndOfFile()) as? [String: Any] ?? [:]
    #expect(json["answered"] as? Bool == true)
    #expect(json["status"] as? Int == 200, "the live call was cut off: \(json)")
    #expect(gateway.waitUntilExit() == 0)
  }

  @Test func healthAndMetricsAreThere() throws {
    let gateway = try Gateway()
    for path in ["livez", "readyz", "startupz"] {
      let answer = try Tools.run(
        "curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(gateway.metricsPort)/\(path)"])
      #expect(answer.output == "200", "\(path): \(answer.output)")
    }
    _ = try Tools.parleyJSON(["call", gateway.uri("echo"), "--deaf", "--dtmf", "1", "--hangup"])
    for name in ["vg_calls_total", "vg_sip_requests_total", "vg_rtp_packets_received_total", "vg_uptime_seconds"] {
      #expect(try gateway.metric(name) > 0, "\(name)")
    }
  }

  @Test func theAPIWantsAToken() throws {
    let gateway = try Gateway()
    #expect(try gateway.api("GET", "/v1/calls", token: nil).status == 401)
    #expect(try gateway.api("GET", "/v1/calls", token: "wrong").status == 401)
    #expect(try gateway.api("GET", "/v1/calls").status == 200)
    let missing = try gateway.api("GET", "/v1/calls/01ARZ3NDEKTSV4RRFFQ69G5FAV")
    #expect(missing.status == 404)
    #expect(missing.text.contains("title"), "no problem document: \(missing.text)")
  }
}
