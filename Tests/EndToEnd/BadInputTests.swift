import Foundation
import Testing

/// What strangers send: never a crash, an answer only where the RFC asks for one, and a count of it.
@Suite(.serialized) struct BadInputTests {
  private func send(_ bytes: [UInt8], to gateway: Gateway) throws {
    let file = try Tools.temporaryFolder() + "/datagram"
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    let result = try Tools.run(
      "python3",
      [
        "-c",
        """
        import socket, sys
        data = open(sys.argv[1], "rb").read()
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(data[:65507], ("127.0.0.1", int(sys.argv[2])))
        tcp = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
        tcp.sendall(data); tcp.close()
        """, file, "\(gateway.sipPort)",
      ])
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test func malformedSIPNeverStopsTheGateway() throws {
    let gateway = try Gateway()
    let line = "INVITE sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n"
    let rest = "From: <sip:a@b>;tag=1\r\nTo: <sip:echo@127.0.0.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n"
    let hostile: [[UInt8]] = [
      Array("INVITE sip:echo@127.0".utf8),
      Array((line + "X: " + String(repeating: "a", count: 65_000) + "\r\n\r\n").utf8),
      Array((line + rest + "Content-Length: 99999999\r\n\r\nv=0").utf8),
      Array((line + rest + "Content-Length: -5\r\n\r\n").utf8),
      Array((line + rest.replacingOccurrences(of: "1 INVITE", with: "1 BYE") + "Content-Length: 0\r\n\r\n").utf8),
      Array((line + rest.replacingOccurrences(of: "1 INVITE", with: "99999999999999 INVITE") + "\r\n").utf8),
      Array(line.utf8) + [0, 0, 0] + Array(rest.utf8) + Array("\r\n".utf8),
      [UInt8](repeating: 0, count: 3000), [0xFF, 0xFE] + (0..<500).map { UInt8($0 % 256) },
      Array(String(repeating: "\r\n", count: 2000).utf8),
    ]
    for message in hostile { try send(message, to: gateway) }
    // It still takes a call, and says how much rubbish came.
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("echo"), "--deaf", "--dtmf", "1", "--hangup"])
    #expect(result.status == 0, "\(result.errors)\n\(gateway.errors)")
    #expect(try gateway.metric(#"vg_sip_requests_total{method="OTHER",status="0"}"#) > 0)
    #expect(gateway.stop() == 0)
  }

  @Test func aWrongSequenceMethodIsAnsweredWith400() throws {
    let gateway = try Gateway()
    let result = try Tools.run(
      "python3",
      [
        "-c",
        """
        import socket, sys
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); s.settimeout(10)
        s.sendto(("OPTIONS sip:echo@127.0.0.1 SIP/2.0\\r\\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK2;rport\\r\\n"
          "From: <sip:a@b>;tag=1\\r\\nTo: <sip:echo@127.0.0.1>\\r\\nCall-ID: y\\r\\nCSeq: 1 INVITE\\r\\nMax-Forwards: 70\\r\\n"
          "Content-Length: 0\\r\\n\\r\\n" % s.getsockname()[1]).encode(), ("127.0.0.1", int(sys.argv[1])))
        print(s.recv(4096).decode().splitlines()[0])
        """, "\(gateway.sipPort)",
      ])
    #expect(result.output.hasPrefix("SIP/2.0 400"), "\(result.output)\(result.errors)")
  }

  @Test func aDialogWithMistakesIsRefusedWhileTheOthersServe() throws {
    let gateway = try Gateway(dialogs: [
      "broken.yaml": """
      name: broken
      states:
        start:
          on_enter:
            - action: play_ttts
              text: "Hello"
          terminal: true
      """
    ])
    #expect(gateway.errors.contains("broken.yaml:5:"), "no place in: \(gateway.errors)")
    #expect(gateway.errors.contains("play_tts"), "no hint in: \(gateway.errors)")
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("echo"), "--deaf", "--dtmf", "1", "--hangup"])
    #expect(result.status == 0, "\(result.errors)")
  }

  // MARK: Many clients of the API

  /// What Scenarios/crowd.py says of its connections.
  private struct Crowd: Decodable {
    var connected: Int
    /// By the gateway: without a word, and with a 408.
    var ended: Int
    var told: Int
    var left: Int

    /// The next line of a crowd; at its end what it said on stderr is thrown.
    static func next(_ process: Process, _ output: FileHandle) throws -> Crowd {
      var line = Data()
      while line.last != UInt8(ascii: "\n") {
        let chunk = output.availableData
        guard !chunk.isEmpty else { throw Gateway.Failed(description: "the crowd is gone") }
        line += chunk
      }
      return try JSONDecoder().decode(Crowd.self, from: line)
    }
  }

  /// Runs `body` beside a crowd; `next` waits for what it says.
  private func crowd(_ gateway: Gateway, _ arguments: Int..., body: (_ next: () throws -> Crowd) throws -> Void) throws
  {
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["timeout", "--signal=KILL", "120", "python3", "\(Tools.scenarios)/crowd.py", "\(gateway.apiPort)"]
      + ["end-to-end-token"] + arguments.map(String.init)
    process.standardOutput = output
    try process.run()
    // `timeout` leads a process group of its own, and the crowd is in it.
    defer { kill(-process.processIdentifier, SIGKILL) }
    try body { try Crowd.next(process, output.fileHandleForReading) }
  }

  /// Others are served: requests, and calls.
  private func expectService(_ gateway: Gateway) throws {
    for _ in 0..<20 { #expect(try gateway.api("GET", "/v1/calls").status == 200) }
    let (result, _) = try Tools.parleyJSON(["call", gateway.uri("echo"), "--deaf", "--dtmf", "1", "--hangup"])
    #expect(result.status == 0, "\(result.errors)\n\(gateway.errors)")
  }

  @Test func tenThousandConnectionsThatSayNothingKeepNobodyOut() throws {
    let gateway = try Gateway()
    let bound = 1024
    let before = try gateway.metric("vg_memory_resident_bytes")
    try crowd(gateway, 10_000, 0, 0, bound) { next in
      let all = try next()
      if all.connected < 10_000 { print("the limit of open files allows \(all.connected) connections") }
      #expect(all.connected > bound, "raise the limit of open files (ulimit -Hn)")
      let settled = try next()
      #expect(settled.left <= bound && settled.ended == all.connected - settled.left)
      // Some 9 KiB for each that is kept, and nothing for those that are gone.
      let grown = try gateway.metric("vg_memory_resident_bytes") - before
      #expect(grown < Double(bound) * 64 * 1024, "\(grown) bytes")
      try expectService(gateway)
    }
    #expect(gateway.stop() == 0)
  }

  @Test func clientsThatDribbleAreEndedAndKeepNobodyOut() throws {
    let gateway = try Gateway()
    try crowd(gateway, 0, 500, 500) { next in
      #expect(try next().left == 1000)
      try expectService(gateway)
      let end = try next()
      #expect(end.ended == 500, "a head that does not come is no request: there is nothing to answer")
      #expect(end.told == 500, "whoever sent a head is told")
      try expectService(gateway)
    }
    #expect(gateway.stop() == 0)
  }
}
