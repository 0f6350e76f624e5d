import Base
import SDP
import Testing

/// Hold and resume of either side (RFC 3264 section 8.4, RFC 6337 section 5.3).
@Suite struct HoldTests {
  private let ours = AudioCapabilities(address: "192.0.2.1", port: 4000)
  private let theirs = AudioCapabilities(address: "192.0.2.2", port: 5000)

  private func talking() throws -> (OfferAnswer, OfferAnswer) {
    var a = OfferAnswer(sessionID: 1)
    var b = OfferAnswer(sessionID: 2)
    _ = try a.apply(answer: try b.answer(try a.offer(ours), with: theirs).answer)
    return (a, b)
  }

  private func written(_ description: SessionDescription) -> MediaDirection {
    description.direction(for: description.media[0])
  }

  @Test func weHoldAndResume() throws {
    var (a, b) = try talking()
    let hold = try a.hold(ours)
    #expect(written(hold) == .sendonly)
    #expect(!a.isHolding, "not before the peer has agreed")
    let (answer, heard) = try b.answer(hold, with: theirs)
    #expect(written(answer) == .recvonly)
    #expect(heard.isHeldByPeer)
    let audio = try a.apply(answer: answer)
    #expect(a.isHolding)
    #expect(audio.direction == .sendonly)
    #expect(!audio.isHeldByPeer, "our own hold is not theirs")
    let resume = try a.resume(ours)
    #expect(written(resume) == .sendrecv)
    let resumed = try a.apply(answer: try b.answer(resume, with: theirs).answer)
    #expect(resumed.direction == .sendrecv)
    #expect(!a.isHolding)
    #expect(resume.origin.version == hold.origin.version + 1)
  }

  @Test func aHoldStandsUntilWeLiftIt() throws {
    var (a, b) = try talking()
    _ = try a.apply(answer: try b.answer(try a.hold(ours), with: theirs).answer)
    // The peer's refresh, its own hold and its resume do not lift ours.
    #expect(written(try a.answer(try b.offer(theirs), with: ours).answer) == .sendonly)
    b.offerRefused()
    let both = try a.answer(try b.hold(theirs), with: ours)
    #expect(written(both.answer) == .inactive)
    #expect(both.audio.isHeldByPeer)
    _ = try b.apply(answer: both.answer)
    let lifted = try a.answer(try b.resume(theirs), with: ours)
    #expect(written(lifted.answer) == .sendonly)
    #expect(!lifted.audio.isHeldByPeer)
    _ = try b.apply(answer: lifted.answer)
    // Neither does an offer of ours for another reason, nor a successor's.
    #expect(written(try a.offer(ours)) == .sendonly)
    a.offerRefused()
    var successor = try OfferAnswer(restoring: try JSON.decode(JSON.encode(a.value)))
    #expect(successor.isHolding)
    #expect(written(try successor.offer(ours)) == .sendonly)
    successor.offerRefused()
    #expect(written(try successor.resume(ours)) == .sendrecv)
  }

  @Test func bothHold() throws {
    var (a, b) = try talking()
    _ = try a.apply(answer: try b.answer(try a.hold(ours), with: theirs).answer)
    let hold = try b.hold(theirs)
    #expect(written(hold) == .inactive, "RFC 3264 8.4: what was recvonly becomes inactive")
    _ = try b.apply(answer: try a.answer(hold, with: ours).answer)
    // We resume, they still hold.
    let (answer, _) = try b.answer(try a.resume(ours), with: theirs)
    #expect(written(answer) == .sendonly)
    let audio = try a.apply(answer: answer)
    #expect(audio.isHeldByPeer)
    #expect(audio.direction == .recvonly)
  }

  @Test func aRefusedHoldIsNone() throws {
    var (a, _) = try talking()
    _ = try a.hold(ours)
    a.offerRefused()
    #expect(!a.isHolding)
    #expect(written(try a.offer(ours)) == .sendrecv)
  }

  @Test(arguments: [
    // the old hold of RFC 2543, and what else stands with it; our answer; whether we may send
    ("0.0.0.0", "", "recvonly"), ("0.0.0.0", "a=sendonly", "recvonly"), ("0.0.0.0", "a=inactive", "inactive"),
    ("0.0.0.0", "a=recvonly", "inactive"), ("::", "", "recvonly"), ("192.0.2.9", "a=inactive", "inactive"),
  ])
  func theOldHoldIsUnderstood(_ address: String, _ line: String, _ expected: String) throws {
    var (a, _) = try talking()
    let type = address.contains(":") ? "IP6" : "IP4"
    let offer = try SessionDescription(
      parsing:
        "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN \(type) \(address)\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n\(line)\r\n"
    )
    let (answer, audio) = try a.answer(offer, with: ours)
    #expect(written(answer).rawValue == expected)
    #expect(audio.isHeldByPeer, "nothing may be sent")
    #expect(answer.media[0].port == 4000)
    #expect(!a.isHolding, "being held is not holding")
  }
}
