import Base
import SIP
import Testing

@Suite struct FramerTests {
  private func message(_ body: String, length: String? = nil, name: String = "Content-Length") -> [UInt8] {
    bytes(
      """
      MESSAGE sip:a@b SIP/2.0
      Via: SIP/2.0/TCP h;branch=z9hG4bK1
      From: <sip:a@b>;tag=1
      To: <sip:a@b>
      Call-ID: 1
      CSeq: 1 MESSAGE
      \(name): \(length ?? String(body.utf8.count))


      """) + Array(body.utf8)
  }

  @Test func findsTheSameFramesInAnyPortions() {
    let bodies = ["", "hello", String(repeating: "x", count: 5_000), "\r\n\r\n", "tail"]
    var stream: [UInt8] = [0x0D, 0x0A]
    for (i, body) in bodies.enumerated() {
      stream += message(body, name: i % 2 == 0 ? "l" : "content-length ")
      if i == 2 { stream += bytes("\n\n") }
    }
    let expected =
      bodies[..<3].enumerated().map {
        SIPStreamFramer.Frame.message(message($1, name: $0 % 2 == 0 ? "l" : "content-length "))
      }
      + [.ping]
      + bodies[3...].enumerated().map { .message(message($1, name: $0 % 2 == 1 ? "l" : "content-length ")) }
    for seed in 0..<60 as Range<UInt64> {
      var random = SeededRandom(seed: seed)
      var framer = SIPStreamFramer(messageBytes: 65_535)
      var frames: [SIPStreamFramer.Frame] = []
      var at = 0
      while at < stream.count {
        let take = min(stream.count - at, seed == 0 ? 1 : 1 + Int(random.next() % (seed % 2 == 0 ? 7 : 900)))
        framer.append(Array(stream[at..<at + take]))
        at += take
        while let frame = framer.next() { frames.append(frame) }
      }
      if frames != expected { Issue.record("seed \(seed): \(frames.count) frames") }
    }
  }

  @Test(arguments: ["-1", "abc", "99999999999999999999", "70000", ""])
  func breaksWhereTheEndCannotBeKnown(_ length: String) {
    var framer = SIPStreamFramer(messageBytes: 65_535)
    framer.append(message("x", length: length))
    guard case .broken(_, let head) = framer.next() else {
      Issue.record("not broken")
      return
    }
    #expect(!head.isEmpty)
    framer.append(message("y"))
    #expect(framer.next() == nil)
  }

  @Test func contradictingLengthsBreakTheStream() {
    var framer = SIPStreamFramer(messageBytes: 65_535)
    framer.append(message("xxx", length: "3\nContent-Length: 2"))
    guard case .broken(.contentLength, _) = framer.next() else {
      Issue.record("not broken")
      return
    }
  }

  @Test func neverHoldsMoreThanTheLimit() {
    var framer = SIPStreamFramer(messageBytes: 1_000)
    var broken = false
    for _ in 0..<20 {
      framer.append(Array(repeating: UInt8(ascii: "a"), count: 100))
      if case .broken(.tooLarge, let head) = framer.next() {
        broken = true
        #expect(head.isEmpty)
      }
    }
    #expect(broken)
  }

  @Test func endpointAnswersPingsAndMessagesOverStreams() {
    var endpoint = makeEndpoint()
    let peer = SIPPeer(.tcp, host: "192.0.2.10", port: 40_000, connection: 3)
    let ping = endpoint.receive(stream: bytes("\n\n\n"), from: peer, at: .zero)
    guard case .send(let pong, let to) = ping.first else {
      Issue.record("no pong")
      return
    }
    #expect(pong == bytes("\n"))
    #expect(to == peer)
    let options = Script(transport: "TCP").request("OPTIONS")
    #expect(endpoint.receive(stream: Array(options[..<50]), from: peer, at: .zero).isEmpty)
    let answer = endpoint.receive(stream: Array(options[50...]), from: peer, at: .zero)
    #expect(answer.statuses == [200])
    #expect(answer.peers == [peer])
  }

  @Test func endpointAnswersAndClosesABrokenStream() {
    var endpoint = makeEndpoint()
    let peer = SIPPeer(.tcp, host: "192.0.2.10", port: 40_000, connection: 3)
    let actions = endpoint.receive(stream: message("x", length: "zero"), from: peer, at: .zero)
    #expect(actions.statuses == [400])
    guard case .close(connection: 3) = actions.last else {
      Issue.record("not closed")
      return
    }
    #expect(endpoint.counters.malformed[.contentLength] == 1)
  }
}

extension FramerTests {
  @Test func halfAnEmptyLineCannotHoldUpTheStream() {
    // A CR that nothing follows as it should would otherwise let the buffer grow for ever.
    for start in ["\r", "\r\n\r", "\r\n\r\n\r"] {
      var framer = SIPStreamFramer(messageBytes: 1_000)
      framer.append(Array(start.utf8))
      while framer.next() != nil {}
      framer.append(Array("x".utf8))
      guard case .broken(.lineEnding, let head) = framer.next() else {
        Issue.record("not broken after \(start.debugDescription)")
        continue
      }
      #expect(head.isEmpty)
    }
  }
}
