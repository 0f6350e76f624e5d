import Base
import CallCustody
import FoundationEssentials
import Testing

/// Which media process may act for a call, through deaths, cuts, clocks that run apart and stores that fail.
@Suite struct LeaseSimulation {
  private static func environment(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  private struct Outcome: Sendable {
    var calls = 0
    var takeovers = 0
    var problems: [String] = []
  }

  /// `PARLEY_SEED=7`: only this one; `PARLEY_SEEDS=100000`: so many.
  private func run(from first: UInt64, count: UInt64, _ trouble: LeaseTrouble) async -> Outcome {
    let seeds =
      Self.environment("PARLEY_SEED").map { $0..<($0 + 1) }
      ?? first..<(first + (Self.environment("PARLEY_SEEDS") ?? count))
    let lanes = min(8, max(1, ProcessInfo.processInfo.activeProcessorCount))
    return await withTaskGroup(of: Outcome.self) { group in
      for lane in 0..<lanes {
        group.addTask {
          var outcome = Outcome()
          for seed in seeds.dropFirst(lane) where (seed - seeds.lowerBound) % UInt64(lanes) == UInt64(lane) {
            let world = LeaseWorld.run(seed: seed, trouble)
            outcome.calls += world.calls.count { $0.hasBegun }
            outcome.takeovers += world.takeovers
            if !world.problems.isEmpty {
              outcome.problems.append("PARLEY_SEED=\(seed): " + world.problems.prefix(4).joined(separator: "\n  "))
            }
            if outcome.problems.count >= 3 { break }
          }
          return outcome
        }
      }
      return await group.reduce(into: Outcome()) { total, outcome in
        total.calls += outcome.calls
        total.takeovers += outcome.takeovers
        total.problems += outcome.problems
      }
    }
  }

  @Test func afterOneFaultEveryCallHasOneOwnerInTime() async {
    let outcome = await run(from: 0, count: 2_000, LeaseTrouble(mayDeceive: true))
    #expect(outcome.problems.isEmpty, "\(outcome.problems.joined(separator: "\n"))")
    #expect(outcome.takeovers > 200)
  }

  @Test func faultsThatFallTogetherLeaveNoCallWithTwoOwnersOrNone() async {
    let outcome = await run(
      from: 100_000, count: 1_500, LeaseTrouble(faults: 4...10, longestMs: 15_000, pauseMs: 100...6_000, loss: 0.01))
    #expect(outcome.problems.isEmpty, "\(outcome.problems.joined(separator: "\n"))")
    #expect(outcome.takeovers > 2_000)
  }
}
