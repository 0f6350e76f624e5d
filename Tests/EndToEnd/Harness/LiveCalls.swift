import Foundation

/// Calls that are up and wait, so that there is something to steer.
final class LiveCalls {
  /// The dialog that they are in; a gateway needs it among its own.
  static let dialog = """
    name: waiting
    routing: { match: [{ sip_to: "sip:waiting@*" }] }
    states:
      start:
        listen: { hints: [goodbye] }
        transitions:
          - { event: parcel_arrived, target: told }
          - { event: timeout, target: bye }
        timeout: 300s
      told:
        on_enter:
          - { action: play_tts, text: "Your parcel has arrived." }
          - { action: goto, target: start }
      bye:
        on_enter: [{ action: hangup }]
        terminal: true
    """

  let ids: [String]
  private let caller = Process()

  /// - Parameter after: how many calls are on record already.
  init(_ gateway: Gateway, count: Int, after before: Int = 0) throws {
    caller.executableURL = URL(fileURLWithPath: Tools.parley)
    caller.arguments = ["call", gateway.uri("waiting"), "--deaf", "--patience", "280000", "--json"]
    if count > 1 { caller.arguments? += ["--calls", "\(count)"] }
    caller.standardOutput = FileHandle.nullDevice
    caller.standardError = FileHandle.nullDevice
    try caller.run()
    ids = try gateway.events("call_answered", before + count).dropFirst(before).compactMap {
      $0["session_id"] as? String
    }
    guard ids.count == count else {
      kill(caller.processIdentifier, SIGKILL)
      throw Gateway.Failed(description: "\(ids.count) of \(count) calls are up: \(gateway.errors)")
    }
  }

  func stop() {
    if caller.isRunning { kill(caller.processIdentifier, SIGKILL) }
    caller.waitUntilExit()
  }
}
