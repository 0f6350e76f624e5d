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
    try gateway.wait(for: 503, at: "/readyz")
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

  /// Kubernetes sends SIGTERM behind a preStop hook that has drained already: no call may be cut by it.
  @Test func aSecondSIGTERMChangesNothing() throws {
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog])
    let call = try LiveCalls(gateway, count: 1)
    gateway.terminate()
    try gateway.wait(for: 503, at: "/readyz")
    gateway.terminate()
    #expect(try gateway.waitUntilSaid("is stopping already"))
    #expect(try gateway.json("/v1/calls/\(call.ids[0])")["state"] as? String != "ended")
    #expect(try gateway.api("POST", "/v1/calls/\(call.ids[0])/hangup", body: #"{"reason":"normal"}"#).status < 300)
    #expect(gateway.waitUntilExit() == 0, "\(gateway.errors)")
    call.stop()
  }

  @Test func ctrlCTwiceEndsItAtOnce() throws {
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog], arguments: ["--drain-timeout", "1h"])
    let call = try LiveCalls(gateway, count: 1)
    kill(gateway.pid, SIGINT)
    try gateway.wait(for: 503, at: "/readyz")
    kill(gateway.pid, SIGINT)
    #expect(gateway.waitUntilExit() == 130, "\(gateway.errors)")
    call.stop()
  }

  /// Whoever sends a pod calls hears seconds late that it goes.
  @Test func drainingCanBeginLater() throws {
    let gateway = try Gateway()
    let file = "\(gateway.folder)/ready.json"
    let drain = Process(), output = Pipe(), errors = Pipe()
    drain.executableURL = URL(fileURLWithPath: Tools.parley)
    drain.arguments = ["drain", "--ready-file", file, "--delay", "1h"]
    drain.standardOutput = output
    drain.standardError = errors
    try drain.run()
    let said = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
    #expect(said == "parley: process \(gateway.pid) serves on for 1h before it is asked to stop\n")
    let (_, json) = try Tools.parleyJSON(["call", gateway.uri("helpdesk"), "--dtmf", "1", "--hangup", "--deaf"])
    #expect(json["answered"] as? Bool == true, "\(gateway.errors)")
    #expect(try gateway.metric("vg_draining") == 0)
    // Somebody else ends it meanwhile.
    #expect(gateway.stop() == 0)
    drain.waitUntilExit()
    let told = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    #expect(drain.terminationStatus == 0 && told == "process \(gateway.pid) had stopped before it was asked to\n")

    let next = try Gateway()
    let drained = try Tools.run(
      Tools.parley, ["drain", "--ready-file", "\(next.folder)/ready.json", "--delay", "200ms"])
    #expect(drained.status == 0 && drained.output.hasPrefix("process \(next.pid) has stopped after "), "\(drained)")
    #expect(next.waitUntilExit() == 0)
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
