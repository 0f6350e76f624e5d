import Base
import SIP
import Testing

/// RFC 3261 section 17 in virtual time: every timer by its moment.
@Suite struct MachineTests {
  private let timers = SIPTimers()

  /// The moments (ms) at which `effect` happens until the machine wants no more waking.
  private func moments(
    of effect: SIPTransactionEffects, deadline: () -> Instant?, timeout: (Instant) -> SIPTransactionEffects
  ) -> (moments: [Int64], end: Int64) {
    var found: [Int64] = []
    var last: Int64 = 0
    while let at = deadline() {
      last = at.nanoseconds / 1_000_000
      if timeout(at).contains(effect) { found.append(last) }
    }
    return (found, last)
  }

  @Test func inviteClientResendsByDoublingUntilTimerB() {
    var machine = SIPInviteClientMachine(timers: timers, isReliable: false, at: .zero)
    let run = moments(of: .send, deadline: { machine.deadline }, timeout: { machine.timeout(at: $0) })
    #expect(run.moments == [500, 1_500, 3_500, 7_500, 15_500, 31_500])
    #expect(run.end == 32_000)
    #expect(machine.state == .terminated)
  }

  @Test func inviteClientOverStreamsOnlyTimesOut() {
    var machine = SIPInviteClientMachine(timers: timers, isReliable: true, at: .zero)
    #expect(machine.deadline == ms(32_000))
    #expect(machine.timeout(at: ms(31_999)) == [])
    #expect(machine.timeout(at: ms(32_000)) == [.timedOut, .terminated])
  }

  @Test func inviteClientStopsResendingOnceItIsHeard() {
    var machine = SIPInviteClientMachine(timers: timers, isReliable: false, at: .zero)
    #expect(machine.receive(status: 100, at: ms(100)) == .deliver)
    #expect(machine.deadline == nil)
    #expect(machine.receive(status: 180, at: ms(200)) == .deliver)
  }

  @Test func inviteClientAcknowledgesEveryCopyOfARefusalUntilTimerD() {
    var machine = SIPInviteClientMachine(timers: timers, isReliable: false, at: .zero)
    #expect(machine.receive(status: 486, at: ms(100)) == [.deliver, .acknowledge])
    #expect(machine.receive(status: 486, at: ms(600)) == .acknowledge)
    #expect(machine.receive(status: 200, at: ms(700)) == [])
    #expect(machine.deadline == ms(32_100))
    #expect(machine.timeout(at: ms(32_100)) == .terminated)
    var stream = SIPInviteClientMachine(timers: timers, isReliable: true, at: .zero)
    #expect(stream.receive(status: 486, at: ms(100)) == [.deliver, .acknowledge, .terminated])
  }

  @Test func inviteClientHandsUpEveryAcceptanceUntilTimerM() {
    var machine = SIPInviteClientMachine(timers: timers, isReliable: false, at: .zero)
    #expect(machine.receive(status: 200, at: ms(100)) == .deliver)
    #expect(machine.receive(status: 200, at: ms(700)) == .deliver)
    #expect(machine.receive(status: 486, at: ms(800)) == [])
    #expect(machine.deadline == ms(32_100))
    #expect(machine.timeout(at: ms(32_100)) == .terminated)
    #expect(machine.receive(status: 200, at: ms(32_200)) == [])
  }

  @Test func requestClientResendsUpToT2UntilTimerF() {
    var machine = SIPRequestClientMachine(timers: timers, isReliable: false, at: .zero)
    let run = moments(of: .send, deadline: { machine.deadline }, timeout: { machine.timeout(at: $0) })
    #expect(run.moments == [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500])
    #expect(run.end == 32_000)
  }

  @Test func requestClientKeepsTimerFWhileProceeding() {
    var machine = SIPRequestClientMachine(timers: timers, isReliable: false, at: .zero)
    #expect(machine.receive(status: 100, at: ms(100)) == .deliver)
    let run = moments(of: .timedOut, deadline: { machine.deadline }, timeout: { machine.timeout(at: $0) })
    #expect(run.moments == [32_000])
  }

  @Test func requestClientAbsorbsCopiesUntilTimerK() {
    var machine = SIPRequestClientMachine(timers: timers, isReliable: false, at: .zero)
    #expect(machine.receive(status: 200, at: ms(100)) == .deliver)
    #expect(machine.receive(status: 200, at: ms(200)) == [])
    #expect(machine.deadline == ms(5_100))
    #expect(machine.timeout(at: ms(5_100)) == .terminated)
    var stream = SIPRequestClientMachine(timers: timers, isReliable: true, at: .zero)
    #expect(stream.receive(status: 200, at: ms(100)) == [.deliver, .terminated])
  }

  @Test func inviteServerRepeatsARefusalUntilTimerH() {
    var machine = SIPInviteServerMachine(timers: timers, isReliable: false)
    #expect(machine.receiveRetransmission() == [])
    #expect(machine.respond(status: 100, at: .zero) == .send)
    #expect(machine.receiveRetransmission() == .send)
    #expect(machine.respond(status: 486, at: .zero) == .send)
    #expect(machine.respond(status: 200, at: .zero) == [])
    var copy = machine
    let run = moments(of: .send, deadline: { copy.deadline }, timeout: { copy.timeout(at: $0) })
    #expect(run.moments == [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500])
    #expect(run.end == 32_000)
    #expect(machine.receiveAck(at: ms(600)) == [])
    #expect(machine.receiveRetransmission() == [])
    #expect(machine.deadline == ms(5_600))
    #expect(machine.timeout(at: ms(5_600)) == .terminated)
  }

  @Test func inviteServerOverStreamsWaitsForTheAckOnly() {
    var machine = SIPInviteServerMachine(timers: timers, isReliable: true)
    #expect(machine.respond(status: 486, at: .zero) == .send)
    #expect(machine.deadline == ms(32_000))
    var copy = machine
    #expect(copy.receiveAck(at: ms(1)) == .terminated)
    #expect(machine.timeout(at: ms(32_000)) == [.timedOut, .terminated])
  }

  @Test func inviteServerAbsorbsCopiesAfterAcceptingUntilTimerL() {
    var machine = SIPInviteServerMachine(timers: timers, isReliable: false)
    #expect(machine.respond(status: 200, at: .zero) == .send)
    #expect(machine.receiveRetransmission() == [])
    #expect(machine.receiveAck(at: ms(10)) == .deliver)
    #expect(machine.deadline == ms(32_000))
    #expect(machine.timeout(at: ms(32_000)) == .terminated)
  }

  @Test func requestServerRepeatsItsAnswerUntilTimerJ() {
    var machine = SIPRequestServerMachine(timers: timers, isReliable: false)
    #expect(machine.receiveRetransmission() == [])
    #expect(machine.respond(status: 200, at: .zero) == .send)
    #expect(machine.receiveRetransmission() == .send)
    #expect(machine.respond(status: 500, at: .zero) == [])
    #expect(machine.timeout(at: ms(31_999)) == [])
    #expect(machine.timeout(at: ms(32_000)) == .terminated)
    var stream = SIPRequestServerMachine(timers: timers, isReliable: true)
    #expect(stream.respond(status: 200, at: .zero) == [.send, .terminated])
  }
}
