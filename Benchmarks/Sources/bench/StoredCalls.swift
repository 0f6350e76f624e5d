import Base
import Foundation
import Logging
import Storage

/// Fills a database with calls that are over, as a gateway would have left them.
enum StoredCalls {
  /// - Parameter path: an SQLite file that no gateway has open.
  static func write(_ count: Int, to path: String) throws {
    try wait {
      let stores = try await DatabaseStores.sqlite(
        path: path, nowMs: startMs, logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
      var random = SeededRandom(seed: 4)
      for number in 0..<count {
        let beganMs = startMs + Int64(number) * 1500
        let session = SessionID(ULID.make(unixMilliseconds: beganMs, using: &random))
        stores.sessions.put(summary(session, number, beganMs))
        let fields: [(String, [String: Value])] = [
          ("call_started", ["caller_id": .string(caller(number)), "called_number": "4000", "direction": "inbound"]),
          ("call_answered", [:]),
          ("speech_final", ["transcript": "i forgot my password", "confidence": .double(0.91)]),
          ("call_terminated", ["reason": "normal", "duration_ms": 31_000]),
        ]
        for (place, (type, fields)) in fields.enumerated() {
          stores.sessions.append(
            SessionEvent(
              eventID: ULID.make(unixMilliseconds: beganMs + Int64(place), using: &random), type: type,
              sequence: Int64(place + 1), session: session, timestampMs: beganMs + Int64(place), dialogName: "helpdesk",
              fields: fields))
        }
        if number % 2000 == 1999 { await stores.sessions.flush() }
      }
      await stores.sessions.flush()
      let lost = stores.sessions.lostWrites
      await stores.close()
      if lost > 0 { throw Gateway.Failed(description: "\(lost) writes of the prepared calls were lost") }
    }
  }

  private static let startMs: Int64 = 1_790_000_000_000

  private static func caller(_ number: Int) -> String { "+4930\(1_000_000 + number)" }

  private static func summary(_ session: SessionID, _ number: Int, _ beganMs: Int64) -> SessionSummary {
    SessionSummary(
      session: session, state: .ended, direction: "inbound", callerID: caller(number), calledNumber: "4000",
      dialogName: "helpdesk", dialogVersion: "3", dialogNumber: 3, dialogDigest: String(repeating: "ab", count: 32),
      currentState: "goodbye", variables: ["ticket": .string("INC-\(number)"), "topic": "password"],
      startedAtMs: beganMs, answeredAtMs: beganMs + 40, endedAtMs: beganMs + 31_040, endReason: "normal",
      quality: ["jitter_ms": .double(1.5), "packets_received": 1552, "packets_lost": 0],
      latency: ["endpoint_ms": 210, "recognize_ms": 60, "think_ms": 1, "synthesize_ms": 18, "total_ms": 289],
      outcome: ["disposition": "solved"])
  }
}

/// Runs what is asynchronous to its end.
func wait<Answer: Sendable>(_ body: @escaping @Sendable () async throws -> Answer) throws -> Answer {
  let done = DispatchSemaphore(value: 0)
  let box = Box<Result<Answer, any Error>>()
  Task {
    do { box.set(.success(try await body())) } catch { box.set(.failure(error)) }
    done.signal()
  }
  done.wait()
  guard let result = box.value else { throw Gateway.Failed(description: "nothing came back") }
  return try result.get()
}

/// A value behind a lock.
final class Box<Value: Sendable>: @unchecked Sendable {
  // Only touched under the lock.
  private let lock = NSLock()
  private var stored: Value?
  var value: Value? { lock.withLock { stored } }
  func set(_ value: Value) { lock.withLock { stored = value } }
}
