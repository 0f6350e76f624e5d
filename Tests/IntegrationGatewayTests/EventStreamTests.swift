import Base
import IntegrationGateway
import Storage
import Testing

/// The live stream: everything once, in order, whatever happens in between.
@Suite struct EventStreamTests {
  @Test func eventsArriveAsTheyHappen() async throws {
    try await Gateway.with { gateway async throws in
      let reader = try await gateway.stream()
      #expect(try await reader.untilLive().isEmpty)
      gateway.store.append(event(1, type: "call_started", fields: ["caller_id": "1000", "type": "not mine"]))
      let block = try #require(try await reader.events(1).first)
      #expect(block.id == event(1).eventID)
      #expect(block.event == "call_started")
      let data = try JSON.decode(block.data ?? "")
      #expect(data["caller_id"] == "1000")
      #expect(data["type"] == "call_started", "the envelope's own names win")
      #expect(data["sequence"] == 1)
      #expect(data["session_id"] == "S1")
      #expect(data["timestamp"] == "2023-11-14T22:13:21.000Z")
    }
  }

  @Test func filtersTakeOnlyWhatWasAskedFor() async throws {
    try await Gateway.with { gateway async throws in
      let byType = try await gateway.stream("?event_types=speech_final,call_terminated")
      let bySession = try await gateway.stream("?session_id=S2")
      let byDialog = try await gateway.stream("?dialog_name=echo")
      for reader in [byType, bySession, byDialog] { _ = try await reader.untilLive() }
      gateway.store.append(event(1, session: "S1"))
      gateway.store.append(event(2, session: "S1", type: "speech_final"))
      gateway.store.append(event(3, session: "S2"))
      gateway.store.append(event(4, session: "S3", dialog: "echo"))
      gateway.store.append(event(5, session: "S2", type: "call_terminated", dialog: "echo"))
      #expect(try await byType.events(2).map(\.sequence) == [2, 5])
      #expect(try await bySession.events(2).map(\.sequence) == [3, 5])
      #expect(try await byDialog.events(2).map(\.sequence) == [4, 5])
    }
  }

  @Test func historyComesFirstWhereItIsWanted() async throws {
    try await Gateway.with { gateway async throws in
      for i in 1...1200 { gateway.store.append(event(i)) }
      let with = try await gateway.stream("?include_history=true")
      #expect(try await with.untilLive().map(\.sequence) == Array(1...1200))
      let without = try await gateway.stream("?include_history=false")
      #expect(try await without.untilLive().isEmpty)
    }
  }

  @Test func aReaderResumesAfterItsLastEvent() async throws {
    try await Gateway.with { gateway async throws in
      for i in 1...10 { gateway.store.append(event(i)) }
      let reader = try await gateway.stream(lastEventID: event(4).eventID)
      #expect(try await reader.untilLive().map(\.sequence) == Array(5...10))
      gateway.store.append(event(11))
      #expect(try await reader.events(1).map(\.sequence) == [11])
    }
  }

  @Test func nothingIsLostOrDoubledWhileEventsKeepComing() async throws {
    try await Gateway.with(streamBuffer: 10_000) { gateway async throws in
      for i in 1...2000 { gateway.store.append(event(i)) }
      let writer = Task { [store = gateway.store] in
        for i in 2001...5000 {
          store.append(event(i))
          if i % 50 == 0 { await Task.yield() }
        }
      }
      let reader = try await gateway.stream(lastEventID: event(100).eventID)
      let seen = try await reader.events(4900).map(\.sequence)
      #expect(seen == Array(101...5000))
      await writer.value
    }
  }

  @Test func anIdleStreamSaysThatItLives() async throws {
    try await Gateway.with(keepAlive: .milliseconds(5)) { gateway async throws in
      let reader = try await gateway.stream()
      _ = try await reader.untilLive()
      #expect(try await reader.next()?.comment == "keep-alive")
      #expect(try await reader.next()?.comment == "keep-alive")
    }
  }

  @Test func aReaderThatIsTooSlowIsToldAndCanResume() async throws {
    try await Gateway.with(streamBuffer: 8) { gateway async throws in
      let reader = try await gateway.stream()
      _ = try await reader.untilLive()
      // Appended without a pause: far more than the buffer holds before the stream can take any.
      let big = String(repeating: "x", count: 100_000)
      for i in 1...400 { gateway.store.append(event(i, fields: ["pad": .string(big)])) }
      var last: Int64 = 0
      var end: EventReader.Block?
      while let block = try await reader.next() {
        if block.event == "stream_overflow" { end = block } else if let sequence = block.sequence { last = sequence }
      }
      #expect(end != nil, "it was told why")
      #expect(end?.id == nil, "its place in the log stays")
      #expect(last < 400)
      let again = try await gateway.stream(lastEventID: event(Int(last)).eventID)
      #expect(try await again.untilLive().map(\.sequence) == Array((last + 1)...400))
    }
  }

  @Test func stoppingEndsTheStreams() async throws {
    try await Gateway.with { gateway async throws in
      let reader = try await gateway.stream()
      _ = try await reader.untilLive()
      await gateway.service.stop()
      #expect(try await reader.next()?.comment == "the gateway is stopping")
      #expect(try await reader.next() == nil)
    }
  }
}
