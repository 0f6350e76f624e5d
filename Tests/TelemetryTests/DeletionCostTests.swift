import Base
import Telemetry
import Testing

/// When Kubernetes is told how many calls a pod holds.
@Suite struct DeletionCostTests {
  private func at(_ seconds: Int) -> Instant { .zero + .seconds(seconds) }

  @Test func theFirstNumberIsToldAtOnceAlsoWhereItIsZero() {
    var cost = DeletionCost()
    #expect(cost.calls(0, at: at(0)) == 0)
    #expect(cost.succeeded() == false)
    #expect(cost.calls(0, at: at(100)) == nil)
  }

  @Test func changesAreToldAtMostEveryTenSeconds() {
    var cost = DeletionCost()
    var told: [(second: Int, number: Int)] = []
    // A call each second for a minute, then none.
    for second in 0..<90 {
      guard let number = cost.calls(second < 60 ? second : 0, at: at(second)) else { continue }
      told.append((second, number))
      #expect(cost.succeeded() == false)
    }
    #expect(told.map(\.second) == [0, 10, 20, 30, 40, 50, 60])
    #expect(told.map(\.number) == [0, 10, 20, 30, 40, 50, 0])
  }

  @Test func aNumberThatIsToldAlreadyIsNotToldAgain() {
    var cost = DeletionCost()
    #expect(cost.calls(3, at: at(0)) == 3)
    #expect(cost.succeeded() == false)
    #expect(cost.calls(4, at: at(5)) == nil)
    #expect(cost.calls(3, at: at(11)) == nil)
    #expect(cost.calls(2, at: at(12)) == 2)
  }

  @Test func oneRequestIsUnderWayAtATime() {
    var cost = DeletionCost()
    #expect(cost.calls(1, at: at(0)) == 1)
    #expect(cost.calls(2, at: at(60)) == nil)
    #expect(cost.succeeded() == false)
    #expect(cost.calls(2, at: at(61)) == 2)
  }

  @Test func failuresAreTriedAgainLessAndLessOftenAndWarnedOfOnce() {
    var cost = DeletionCost()
    var tries: [Int] = [], warnings = 0, ends = 0
    for second in 0..<1_400 {
      guard let number = cost.calls(second, at: at(second)) else { continue }
      // The number is that of now and not of the first try.
      #expect(number == second)
      tries.append(second)
      if tries.count < 8 {
        if cost.failed(at: at(second)) { warnings += 1 }
      } else if cost.succeeded() {
        ends += 1
      }
      if tries.count == 9 { break }
    }
    #expect(tries == [0, 10, 30, 70, 150, 310, 610, 910, 920])
    #expect(warnings == 1 && ends == 1)
    // The next streak begins anew.
    #expect(cost.calls(7, at: at(2_000)) == 7)
    let isWarnedOf = cost.failed(at: at(2_000))
    #expect(isWarnedOf)
    #expect(cost.calls(7, at: at(2_009)) == nil)
    #expect(cost.calls(7, at: at(2_010)) == 7)
  }

  /// An answer may be lost after the number was written.
  @Test func afterAFailureWhatWasToldBeforeIsToldAgain() {
    var cost = DeletionCost()
    #expect(cost.calls(1, at: at(0)) == 1)
    #expect(cost.succeeded() == false)
    #expect(cost.calls(2, at: at(10)) == 2)
    let isWarnedOf = cost.failed(at: at(10))
    #expect(isWarnedOf)
    #expect(cost.calls(1, at: at(20)) == 1)
  }
}
