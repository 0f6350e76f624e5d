import Base
import IntegrationGateway
import Storage
import Testing

/// WebSockets as a client on the wire sees them.
@Suite struct SocketTests {
  private static let path = "/v1/calls/events"

  private func live(_ gateway: Gateway, _ query: String = "") async throws -> SocketPeer {
    let peer = try await SocketPeer(gateway, Self.path + query)
    while let frame = await peer.message(), frame.text != "{\"control\":\"live\"}" {}
    return peer
  }

  // MARK: Events

  @Test func eventsArriveAsTexts() async throws {
    try await Gateway.with { gateway async throws in
      let peer = try await live(gateway)
      #expect(peer.head.hasPrefix("HTTP/1.1 101"))
      // The example of RFC 6455 section 1.3.
      #expect(peer.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
      gateway.store.append(event(1, type: "call_started"))
      let json = try JSON.decode(await peer.message()?.text ?? "")
      #expect(json["type"] == "call_started" && json["sequence"] == 1)
    }
  }

  @Test func aSocketResumesAndTakesANewFilter() async throws {
    try await Gateway.with { gateway async throws in
      for i in 1...700 { gateway.store.append(event(i)) }
      let peer = try await SocketPeer(gateway, "\(Self.path)?last_event_id=\(event(3).eventID)&session_id=S1")
      for i in 4...700 { #expect(try JSON.decode(await peer.message()?.text ?? "")["sequence"] == .int(Int64(i))) }
      #expect(await peer.message()?.text == "{\"control\":\"live\"}")
      try await peer.send("{\"event_types\": [\"call_started\"]}")
      #expect(try JSON.decode(await peer.message()?.text ?? "")["control"] == "filter")
      gateway.store.append(event(701))
      gateway.store.append(event(702, session: "S2", type: "call_started"))
      #expect(try JSON.decode(await peer.message()?.text ?? "")["sequence"] == 702)
      try await peer.send("{\"event_type\": []}")
      let problem = try JSON.decode(await peer.message()?.text ?? "")
      #expect(problem["detail"] == "unknown key `event_type`; did you mean `event_types`?")
    }
  }

  @Test func aReaderThatIsTooSlowIsTold() async throws {
    try await Gateway.with(streamBuffer: 8) { gateway async throws in
      let peer = try await live(gateway)
      let other = try await live(gateway)
      try await peer.wire.read(false)
      // More than the sockets between the two hold.
      let big = String(repeating: "x", count: 200_000)
      for i in 1...40 {
        gateway.store.append(event(i, fields: ["pad": .string(big)]))
        #expect(try JSON.decode(await other.message()?.text ?? "")["sequence"] == .int(Int64(i)))
      }
      try await peer.wire.read(true)
      var last: Int64 = 0
      var end: SocketPeer.Frame?
      while let frame = await peer.message() {
        end = frame
        if frame.code != nil { break }
        last = try JSON.decode(frame.text)["sequence"]?.intValue ?? 0
      }
      #expect(end?.code == 1008)
      #expect(end?.text.contains("last_event_id") == true)
      #expect(last > 0 && last < 40)
    }
  }

  @Test func stoppingSaysGoodbye() async throws {
    try await Gateway.with { gateway async throws in
      let peer = try await live(gateway)
      async let stopped: Void = gateway.service.stop()
      let end = await peer.message()
      #expect(end?.code == 1001)
      try await peer.send(8, end?.payload ?? [])
      await stopped
      #expect(await peer.next() == nil)
    }
  }

  // MARK: Who may

  @Test func aBrowsersTokenComesAsASubprotocol() async throws {
    try await Gateway.with { gateway async throws in
      let peer = try await SocketPeer(
        gateway, Self.path, token: nil,
        headers: [
          "Sec-WebSocket-Protocol: parley, bearer.\(Gateway.token)", "Origin: http://127.0.0.1:\(gateway.port)",
        ])
      #expect(peer.head.hasPrefix("HTTP/1.1 101"))
      #expect(peer.head.lowercased().contains("sec-websocket-protocol: parley\r\n"))
      #expect(!peer.head.contains(Gateway.token))
    }
  }

  @Test(
    arguments: [
      ("/v1/calls/events", nil, "", 401), ("/v1/calls/events", "wrong-token-of-nobody", "", 401),
      ("/v1/calls/events", Gateway.token, "Origin: https://evil.example", 403),
      ("/v1/calls/events?event_types=none", Gateway.token, "", 400), ("/v1/nothing", Gateway.token, "", 404),
      ("/v1/nothing", nil, "", 401),
    ] as [(String, String?, String, Int)])
  func aRefusalIsAProblem(path: String, token: String?, header: String, status: Int) async throws {
    try await Gateway.with { gateway async throws in
      let peer = try await SocketPeer(gateway, path, token: token, headers: header.isEmpty ? [] : [header])
      #expect(peer.head.hasPrefix("HTTP/1.1 \(status) "), "\(peer.head)")
      #expect(peer.head.contains("application/problem+json"))
    }
  }

  @Test func anOldVersionIsTold() async throws {
    try await Gateway.with { gateway async throws in
      let wire = try await Wire(port: gateway.port)
      try await wire.send(
        "GET \(Self.path) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\nAuthorization: Bearer \(Gateway.token)\r\n\r\n"
      )
      let head = await wire.read(until: "\r\n\r\n") ?? ""
      #expect(head.hasPrefix("HTTP/1.1 426") && head.lowercased().contains("sec-websocket-version: 13"))
    }
  }

  // MARK: The protocol

  @Test func pingsAreAnsweredAndFragmentsJoined() async throws {
    try await Gateway.with { gateway async throws in
      let peer = try await live(gateway)
      try await peer.send(9, [1, 2, 3])
      #expect(await peer.message() == SocketPeer.Frame(opcode: 10, payload: [1, 2, 3]))
      let filter = Array("{\"session_id\": \"S\u{e9}1\"}".utf8)
      // Cut within a character, with a ping between the fragments.
      let cut = filter.count - 5
      try await peer.send(1, Array(filter[..<cut]), isFinal: false)
      try await peer.send(9, [])
      try await peer.send(0, Array(filter[cut...]))
      #expect(await peer.message()?.opcode == 10)
      #expect(try JSON.decode(await peer.message()?.text ?? "")["filter"]?["session_id"] == "S\u{e9}1")
      try await peer.send(8, [0x03, 0xE8])
      #expect(await peer.message()?.code == 1000)
      #expect(await peer.next() == nil)
    }
  }

  enum Offence: CaseIterable {
    case unmasked, reservedBit, unknownOpcode, loneContinuation, messageInMessage, largeControl, cutControl, notUTF8,
      tooLarge, tooLargeInPieces, endlessFragments, halfCode, badCode
    var code: Int {
      switch self {
      case .notUTF8: 1007
      case .tooLarge, .tooLargeInPieces: 1009
      default: 1002
      }
    }
  }

  @Test(arguments: Offence.allCases) func whoeverBreaksTheProtocolIsToldAndLeft(offence: Offence) async throws {
    try await Gateway.with { gateway async throws in
      let peer = try await live(gateway)
      switch offence {
      case .unmasked: try await peer.send(1, [0x7B], mask: false)
      case .reservedBit: try await peer.send(1, [0x7B], reserved: 0x40)
      case .unknownOpcode: try await peer.send(3, [])
      case .loneContinuation: try await peer.send(0, [0x7B])
      case .messageInMessage:
        try await peer.send(1, [0x7B], isFinal: false)
        try await peer.send(1, [0x7D])
      case .largeControl: try await peer.send(9, [UInt8](repeating: 0, count: 126))
      case .cutControl: try await peer.send(9, [], isFinal: false)
      case .notUTF8: try await peer.send(1, [0xC3, 0x28])
      case .tooLarge: try await peer.send(2, [UInt8](repeating: 0, count: 300_000))
      case .tooLargeInPieces:
        try await peer.send(2, [UInt8](repeating: 0, count: 200_000), isFinal: false)
        try await peer.send(0, [UInt8](repeating: 0, count: 200_000))
      case .endlessFragments:
        try await peer.send(1, [], isFinal: false)
        // The gateway hangs up before it has heard them all.
        for _ in 0..<1100 { try? await peer.send(0, [], isFinal: false) }
      case .halfCode: try await peer.send(8, [3])
      case .badCode: try await peer.send(8, [0x03, 0xED])
      }
      #expect(await peer.message()?.code == offence.code)
      #expect(await peer.next() == nil)
    }
  }

  @Test func aPeerThatAnswersNoPingIsLeft() async throws {
    try await Gateway.with(limits: { $0.pingInterval = .milliseconds(20) }) { gateway async throws in
      let peer = try await live(gateway)
      #expect(await peer.next()?.opcode == 9)
      #expect(await peer.next() == nil)
    }
  }
}
