import Base
import SDP
import Testing

/// A session whose process is gone, and the one that goes on with it.
@Suite struct OfferAnswerStateTests {
  private let before = AudioCapabilities(address: "192.0.2.99", port: 12_000)
  private let after = AudioCapabilities(address: "192.0.2.100", port: 14_000)

  private func restored(_ side: OfferAnswer) throws -> OfferAnswer {
    try OfferAnswer(restoring: try JSON.decode(JSON.encode(side.value)))
  }

  @Test func theSuccessorOffersTheSameSessionFromElsewhere() throws {
    var side = OfferAnswer(sessionID: 42)
    let first = try side.answer(try SessionDescription(parsing: Offers.polycom), with: before)
    var successor = try restored(side)
    #expect(successor.negotiated == first.audio)
    let offer = try successor.offer(after)
    #expect(offer.origin.sessionID == first.answer.origin.sessionID)
    #expect(offer.origin.address == first.answer.origin.address, "RFC 3264 section 8: only the version changes")
    #expect(offer.origin.version > first.answer.origin.version)
    #expect(offer.connection?.address == "192.0.2.100")
    #expect(offer.times == first.answer.times)
    #expect(offer.media.map(\.kind) == first.answer.media.map(\.kind))
    #expect(offer.media[first.audio.mediaIndex].port == 14_000)
    #expect(offer.media.enumerated().allSatisfy { $0.offset == first.audio.mediaIndex || $0.element.port == 0 })
    // Keypad events keep the number that they were given (8.3.2).
    #expect(offer.media[first.audio.mediaIndex].formats.contains("127"))
    #expect(try SessionDescription(parsing: offer.serialized()) == offer)
  }

  @Test func noVersionIsEverPublishedTwice() throws {
    var side = OfferAnswer(sessionID: 42)
    let kept = side.value
    var versions: Set<UInt64> = []
    // What the dead process published after it was kept: its successor does not know of it.
    for port in 0..<5 as Range<UInt16> {
      let (answer, _) = try side.answer(
        try SessionDescription(parsing: Offers.asterisk),
        with: AudioCapabilities(address: "192.0.2.99", port: 12_000 + port * 2))
      #expect(versions.insert(answer.origin.version).inserted)
    }
    var successor = try OfferAnswer(restoring: kept)
    for generation in 0..<3 as Range<UInt16> {
      let offer = try successor.offer(AudioCapabilities(address: "192.0.2.100", port: 14_000 + generation * 2))
      #expect(versions.insert(offer.origin.version).inserted)
      successor.offerRefused()
      // Within one process a change counts up by one.
      let next = try successor.offer(AudioCapabilities(address: "192.0.2.100", port: 16_000 + generation * 2))
      #expect(next.origin.version == offer.origin.version + 1)
      versions.insert(next.origin.version)
      successor = try restored(successor)
      #expect(!successor.isOfferOpen)
    }
  }

  @Test func holdStands() throws {
    var side = OfferAnswer(sessionID: 42)
    let held = Offers.asterisk.replacing("a=sendrecv", with: "a=sendonly")
    _ = try side.answer(try SessionDescription(parsing: held), with: before)
    var successor = try restored(side)
    #expect(successor.negotiated?.isHeldByPeer == true)
    var wanted = after
    wanted.direction = try #require(successor.negotiated?.direction)
    _ = try successor.offer(wanted)
    let audio = try successor.apply(answer: try SessionDescription(parsing: held))
    #expect(audio.isHeldByPeer)
  }

  @Test(arguments: [Offers.asterisk, Offers.cisco, Offers.polycom, Offers.baresip, Offers.linphone, Offers.sloppy])
  func whatIsWrittenIsReadAgain(_ text: String) throws {
    var side = OfferAnswer(sessionID: .max)
    _ = try side.answer(try SessionDescription(parsing: text), with: before)
    let successor = try restored(side)
    #expect(successor.negotiated == side.negotiated)
    guard case .map(var one) = side.value, case .map(var two) = successor.value else {
      Issue.record("no maps")
      return
    }
    #expect(one.removeValue(forKey: "version") != two.removeValue(forKey: "version"))
    #expect(one == two)
  }

  @Test func damagedStatesAreRefused() throws {
    var side = OfferAnswer(sessionID: 42)
    _ = try side.answer(try SessionDescription(parsing: Offers.asterisk), with: before)
    guard case .map(let whole) = side.value, case .map(let audio)? = whole["negotiated"] else {
      Issue.record("no map")
      return
    }
    let wrong: [String: [Value]] = [
      "v": [2, .null], "session_id": ["", "x", 42, "9223372036854775807"],
      "version": ["-1", "18446744073709551615", "9223372036854775000"], "origin": [5],
      "times": [[1], .null], "numbers": [["x"], .null, .list(Array(repeating: .null, count: 200))],
      "sections": [[], [["kind": "audio"]], .null], "negotiated": [5, [:]],
    ]
    #expect(Set(wrong.keys) == Set(whole.keys))
    for (key, values) in wrong {
      for value in values {
        var map = whole
        map[key] = value
        #expect(throws: ValueFields.Fault.self, "\(key) as \(JSON.encode(value))") {
          try OfferAnswer(restoring: .map(map))
        }
      }
    }
    let wrongAudio: [String: [Value]] = [
      "codecs": [[], [5], .null], "port": [-1, 65_536], "rtcp_port": ["1"], "rtcp_mux": [0], "direction": ["both"],
      "ptime": [0, 100_000], "index": [-1, 1, 40], "address": [.null], "rtcp_address": [1], "events": [3, [:]],
    ]
    for (key, values) in wrongAudio {
      for value in values {
        var map = whole
        var changed = audio
        changed[key] = value
        map["negotiated"] = .map(changed)
        #expect(throws: ValueFields.Fault.self, "negotiated.\(key) as \(JSON.encode(value))") {
          try OfferAnswer(restoring: .map(map))
        }
      }
    }
  }
}
