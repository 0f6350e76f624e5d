import Base
import CallLink
import IntegrationGateway
import NIOHTTP1
import Settings
import Storage
import Telemetry
import Testing

/// Streams of sound as a client on the wire sees them, before a speech role that says what is wanted.
@Suite struct SpeechStreamTests {
  private static let path = "/v1/speech/stream"

  /// A stream whose texts are held against the description.
  private struct Stream {
    let peer: SocketPeer
    let contract: Contract

    init(_ gateway: Gateway) async throws {
      peer = try await SocketPeer(gateway, SpeechStreamTests.path)
      contract = gateway.contract
    }

    func send(_ text: String) async throws { try await peer.send(text) }
    func send(sound: [UInt8]) async throws { try await peer.send(2, sound) }

    func text() async throws -> Value {
      let frame = try #require(await peer.message())
      let value = try JSON.decode(frame.text)
      #expect(contract.violations(message: value, of: SpeechStreamTests.path) == [])
      return value
    }

    /// The close frame, answered; then the connection has to end.
    func end() async throws -> SocketPeer.Frame {
      let frame = try #require(await peer.message())
      try? await peer.send(8, frame.payload)
      #expect(await peer.next() == nil)
      return frame
    }
  }

  @Test func soundBecomesWordsWhileItComes() async throws {
    try await Gateway.with { gateway async throws in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      #expect(stream.peer.head.hasPrefix("HTTP/1.1 101"))
      try await stream.send(
        #"{"encoding": "ulaw", "language": "en", "phrases": ["good", "bye"], "word_timestamps": true}"#)
      let ready = try await stream.text()
      #expect(ready["type"] == "ready" && ready["encoding"] == "ulaw" && ready["sample_rate"] == 8000)
      try await stream.send(sound: [1, 2, 3])
      let partial = try await stream.text()
      #expect(partial["type"] == "partial" && partial["text"] == "good" && partial["end_ms"] == 800)
      try await stream.send(#"{"type": "finalize"}"#)
      let final = try await stream.text()
      #expect(final["type"] == "final" && final["text"] == "good morning" && final["confidence"] == .double(0.9))
      guard case .list(let words)? = final["words"] else { throw Unexpected() }
      #expect(words.map { $0["text"] } == ["good", "morning"] && words[1]["start_ms"] == 820)
      #expect(try await stream.text()["type"] == "finalized")
      try await stream.send(sound: [4])
      #expect(try await stream.text()["type"] == "partial")
      try await stream.send(#"{"type": "end"}"#)
      #expect(try await stream.text()["text"] == "goodbye")
      let done = try await stream.text()
      #expect(done["type"] == "done" && done["duration_ms"] == 3_662_500)
      #expect(try await stream.end().code == 1000)
      #expect(desk.sound == [1, 2, 3, 4])
      let wanted = try #require(desk.streams.first)
      #expect(wanted.encoding == .ulaw && wanted.sampleRate == 8_000 && wanted.language == "en" && wanted.wantsPartials)
      #expect(wanted.phrases == ["good", "bye"])
    }
  }

  @Test func wordsComeWithoutTimesAndPartialsCanBeLeftOut() async throws {
    try await Gateway.with { gateway async throws in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      try await stream.send(#"{"type": "config", "sample_rate": 48000, "partial_results": false}"#)
      #expect(try await stream.text()["encoding"] == "pcm_s16le")
      try await stream.send(#"{"type": "finalize"}"#)
      #expect(try await stream.text()["words"] == [])
      #expect(desk.streams.first?.wantsPartials == false && desk.streams.first?.sampleRate == 48_000)
    }
  }

  private struct Unexpected: Error {}

  enum Message: Sendable {
    case text(String), sound(Int)
  }

  @Test(
    arguments: [
      ([.sound(2)], 1008, "invalid_request", "the first message is the configuration"),
      ([.text("sound")], 1008, "invalid_request", "JSON"),
      ([.text("[]")], 1008, "invalid_request", "JSON object"),
      ([.text(#"{"sampel_rate": 8000}"#)], 1008, "invalid_request", "did you mean `sample_rate`?"),
      ([.text(#"{"sample_rate": 11025}"#)], 1008, "invalid_request", "8000, 16000, 24000, 48000"),
      ([.text(#"{"sample_rate": "16000"}"#)], 1008, "invalid_request", "a whole number"),
      ([.text(#"{"encoding": "mp3"}"#)], 1008, "invalid_request", "pcm_s16le"),
      ([.text("{}"), .sound(3)], 1008, "invalid_request", "an even number of bytes, not 3"),
      ([.text("{}"), .sound(65_538)], 1009, "too_large", "65536 bytes"),
      ([.text("{}"), .text("{}")], 1008, "invalid_request", "`type` is missing"),
      ([.text("{}"), .text(#"{"type": "stop"}"#)], 1008, "invalid_request", "`stop` is unknown"),
      ([.text("{}"), .text(#"{"type": "end"}"#), .sound(2)], 1008, "invalid_request", "nothing comes after `end`"),
    ] as [([Message], Int, String, String)])
  func whatIsWrongIsSaid(messages: [Message], code: Int, name: String, sentence: String) async throws {
    try await Gateway.with { gateway async throws in
      let desk = FakeDesk(hangs: true)
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      for message in messages {
        switch message {
        case .text(let text): try await stream.send(text)
        case .sound(let count): try await stream.send(sound: [UInt8](repeating: 0, count: count))
        }
      }
      if messages.count > 1 { #expect(try await stream.text()["type"] == "ready") }
      let error = try await stream.text()
      #expect(error["type"] == "error" && error["code"] == .string(name), "\(error)")
      #expect(error["detail"]?.stringValue?.contains(sentence) == true, "\(error)")
      let end = try await stream.end()
      #expect(end.code == code)
      let reason = String(decoding: end.payload.dropFirst(2), as: UTF8.self)
      #expect(!reason.isEmpty && error["detail"]?.stringValue?.hasPrefix(reason) == true)
      // Nothing goes on for it.
      if messages.count > 1 { await desk.isLeft() }
    }
  }

  @Test(arguments: [([0xC3, 0x28], 1007), ([UInt8](repeating: 0x20, count: 300_000), 1009)] as [([UInt8], Int)])
  func whatIsNoMessageEndsTheStream(bytes: [UInt8], code: Int) async throws {
    try await Gateway.with { gateway async throws in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      try await stream.send("{}")
      _ = try await stream.text()
      try await stream.peer.send(1, bytes)
      #expect(try await stream.end().code == code)
      await desk.isLeft()
    }
  }

  @Test func whatTheSpeechRoleRefusesIsSaidInItsWords() async throws {
    for (code, closing, status) in [
      (SpeechDeskError.Code.busy, 1013, 429), (.unsupported, 1008, 422), (.unavailable, 1013, 503),
    ] {
      try await Gateway.with { gateway async throws in
        gateway.service.connect(FakeDesk(error: SpeechDeskError(code, "its own words")))
        let stream = try await Stream(gateway)
        try await stream.send("{}")
        let error = try await stream.text()
        #expect(error["status"] == .int(Int64(status)) && error["detail"] == "its own words")
        let end = try await stream.end()
        #expect(end.code == closing && end.payload.dropFirst(2) == ArraySlice("its own words".utf8))
      }
    }
    // Without a speech role.
    try await Gateway.with { gateway async throws in
      let stream = try await Stream(gateway)
      try await stream.send("{}")
      #expect(try await stream.text()["code"] == "speech_unavailable")
      #expect(try await stream.end().code == 1013)
    }
  }

  @Test func anEngineThatFailsIsTold() async throws {
    try await Gateway.with { gateway async throws in
      gateway.service.connect(FakeDesk())
      let stream = try await Stream(gateway)
      try await stream.send("{}")
      _ = try await stream.text()
      try await stream.send(sound: [0xDE, 0xAD])
      #expect(try await stream.text()["detail"] == "the engine is gone")
      #expect(try await stream.end().code == 1013)
    }
  }

  /// Before its first message, and between two.
  @Test(arguments: [true, false]) func aClientThatSaysNothingIsLeft(isOpen: Bool) async throws {
    try await Gateway.with(limits: { $0.soundIdleTime = .milliseconds(isOpen ? 1000 : 20) }) { gateway async throws in
      let desk = FakeDesk()
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      if isOpen {
        try await stream.send("{}")
        #expect(try await stream.text()["type"] == "ready")
      }
      #expect(try await stream.text()["code"] == "idle")
      #expect(try await stream.end().code == 1008)
      if isOpen { await desk.isLeft() }
    }
  }

  @Test func aStreamThatNeverEndsIsEnded() async throws {
    try await Gateway.with(limits: { $0.soundTime = .milliseconds(20) }) { gateway async throws in
      gateway.service.connect(FakeDesk())
      let stream = try await Stream(gateway)
      #expect(try await stream.text()["code"] == "too_long")
      #expect(try await stream.end().code == 1008)
    }
  }

  /// A client that sends more than is heard is not read, and so cannot answer pings: it is not taken for dead.
  @Test func aClientThatHasToWaitIsKept() async throws {
    try await Gateway.with(limits: { $0.pingInterval = .milliseconds(500) }) { gateway async throws in
      let desk = FakeDesk(isSlow: true)
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      try await stream.send("{}")
      _ = try await stream.text()
      for _ in 1...40 { try await stream.send(sound: [1, 2]) }
      for _ in 1...3 { #expect(await stream.peer.next()?.opcode == 9) }
      desk.release()
      for _ in 1...40 { #expect(try await stream.text()["type"] == "partial") }
      #expect(desk.sound.count == 80)
    }
  }

  @Test func aClientThatLeavesIsNotWorkedFor() async throws {
    try await Gateway.with { gateway async throws in
      let desk = FakeDesk(hangs: true)
      gateway.service.connect(desk)
      let stream = try await Stream(gateway)
      try await stream.send("{}")
      _ = try await stream.text()
      try await stream.send(#"{"type": "end"}"#)
      await stream.peer.wire.close()
      await desk.isLeft()
    }
  }

  @Test func stoppingSaysGoodbye() async throws {
    try await Gateway.with { gateway async throws in
      gateway.service.connect(FakeDesk())
      let stream = try await Stream(gateway)
      try await stream.send("{}")
      _ = try await stream.text()
      async let stopped: Void = gateway.service.stop()
      #expect(try await stream.end().code == 1001)
      await stopped
    }
  }

  @Test func itIsAWebSocketAndNothingElse() async throws {
    try await Gateway.with { gateway async throws in
      let answer = try await gateway.get(Self.path)
      #expect(answer.status == 426 && answer.headers.first(name: "Upgrade") == "websocket")
      #expect(try await gateway.send(gateway.request(Self.path, token: nil)).status == 401)
    }
  }

  // MARK: Who, and what of it is kept

  @Test func rolesAreHeededAndUseIsKeptWithoutItsWords() async throws {
    let database = try SQLiteDatabase.inMemory()
    let audit = AuditLog(database, headFile: nil, now: WallClock.nowMilliseconds, logger: quiet)
    var access = APIAccess(
      tokens: [(Gateway.token, "owner", Role.developer), ("viewer-token-0123456", "viewer", .viewer)].map {
        token, name, role in
        var token = SecuritySettings.APIToken(token: Secret(token))
        token.name = name
        token.tenant = "acme"
        token.roles = [role]
        return token
      })
    access.audit = audit
    try await Gateway.with(access: access) { gateway async throws in
      gateway.service.connect(FakeDesk())
      let refused = try await SocketPeer(gateway, Self.path, token: "viewer-token-0123456")
      #expect(refused.head.hasPrefix("HTTP/1.1 403"))
      let stream = try await Stream(gateway)
      try await stream.send(#"{"sample_rate": 8000}"#)
      _ = try await stream.text()
      try await stream.send(sound: [UInt8](repeating: 0, count: 1_600))
      _ = try await stream.text()
      try await stream.send(#"{"type": "end"}"#)
      for _ in 1...2 { _ = try await stream.text() }
      #expect(try await stream.end().code == 1000)
      _ = try await gateway.post("/v1/speech/transcribe", "RIFF", headers: [("Content-Type", "audio/wav")])
      _ = try await gateway.post("/v1/speech/synthesize", #"{"text":"hello"}"#)
    }
    // The gateway has stopped, and with it whatever had to be written.
    await audit.flush()
    let records = try await AuditStore(database).records(AuditStore.Query(tenant: "acme"), limit: 10)
    // Twice: where the upgrade was refused, and by the answer that says why.
    #expect(records.contains { $0.actor == "viewer" && $0.action == "GET \(Self.path)" && $0.outcome == .denied })
    let streamed = try #require(records.first { $0.actor == "owner" && $0.action == "GET \(Self.path)" })
    #expect(streamed.outcome == .ok && streamed.status == 101 && streamed.details == ["audio_ms": 100])
    let transcribed = try #require(records.first { $0.action == "POST /v1/speech/transcribe" })
    #expect(transcribed.details == ["audio_ms": 3_662_500])
    let spoken = try #require(records.first { $0.action == "POST /v1/speech/synthesize" })
    #expect(spoken.details == ["characters": 5])
  }
}
