import Base
import Glibc
import MediaIO
import SIP

/// Runs one caller, or many at once, on one thread with a 20 ms beat.
final class CallerCrew {
  private let plan: CallerPlan
  private let count: Int
  private let staggerMs: Int
  private let ear: Ear?
  private let journals: [CallJournal]

  init(plan: CallerPlan, count: Int, staggerMs: Int, ear: Ear?, isQuiet: Bool) {
    self.plan = plan
    self.count = count
    self.staggerMs = staggerMs
    self.ear = ear
    journals = (0..<count).map { _ in CallJournal(isQuiet: isQuiet) }
  }

  /// Places the calls and returns when all of them are over.
  func run() throws -> [CallReport] {
    guard let peer = PeerAddress(plan.gateway.host, port: plan.gateway.port), let local = localAddress(towards: peer)
    else {
      throw CallerError("there is no way to \(plan.gateway)")
    }
    var random = SeededRandom.fromSystem()
    let began = Instant.monotonic()
    var callers: [Caller] = []
    var running: [Bool] = []
    var beat = 0
    while callers.count < count || running.contains(true) {
      // Callers are spread over the 20 ms, so that they do not all want the processor at once.
      for slot in 0..<10 {
        sleep(until: began + .milliseconds(beat * 20 + slot * 2))
        let now = Instant.monotonic()
        if slot == 0 {
          while callers.count < count, (now - began).milliseconds >= Int64(callers.count * staggerMs) {
            let caller = try Caller(
              plan: plan, local: local.host, random: &random, at: now, notify: journalist(callers.count))
            callers.append(caller)
            running.append(true)
            if staggerMs > 0 { break }
          }
        }
        for i in stride(from: slot, to: callers.count, by: 10) where running[i] {
          running[i] = callers[i].tick(at: now)
        }
      }
      beat += 1
    }
    ear?.wait()
    return zip(callers, journals).map { CallReport(caller: $0, entries: $1.entries) }
  }

  /// Writes down what caller number `index` does and hears.
  private func journalist(_ index: Int) -> (CallerNotice) -> Void {
    let journal = journals[index]
    let ear = ear
    return { notice in
      switch notice {
      case .answered(let afterMs): journal.add(atMs: 0, who: "      ", text: "answered after \(afterMs) ms")
      case .took(let turn, let atMs): journal.add(atMs: atMs, who: "caller", text: turn.label)
      case .heard(let samples, let fromMs, _):
        guard let ear else { return }
        let line = journal.add(atMs: fromMs, who: "parley", text: nil)
        ear.understand(samples) { journal.resolve(line, as: $0.isEmpty ? "(not understood)" : $0) }
      case .ended(let how, let atMs): journal.add(atMs: atMs, who: "      ", text: "ended: \(how)")
      }
    }
  }

  private func sleep(until instant: Instant) {
    let wait = (instant - .monotonic()).nanoseconds
    guard wait > 0 else { return }
    var time = timespec(tv_sec: Int(wait / 1_000_000_000), tv_nsec: Int(wait % 1_000_000_000))
    nanosleep(&time, nil)
  }
}
