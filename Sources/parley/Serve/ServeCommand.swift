import ArgumentParser
import Base
import FoundationEssentials
import Logging
import NIOConcurrencyHelpers
import Settings
import Telemetry

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Run the gateway.",
    discussion: """
      SIGTERM and SIGINT stop it: new calls are refused with 503, live calls may finish, then it exits with 0. A second \
      signal ends it at once.
      """)

  /// The parts of the gateway, in the order a call walks through them.
  enum Role: String, CaseIterable, ExpressibleByArgument { case media, speech, runtime, integration, worker }

  @Option(name: .long, help: "The configuration file.")
  var config: String?

  @Option(name: .long, help: "Run this role only (repeatable). This version runs all five in one process.")
  var role: [Role] = []

  @Option(name: .long, help: "Write a JSON file with the bound ports when everything listens.")
  var readyFile: String?

  @Option(name: .long, help: "How long live calls may go on after a signal to stop: 500ms, 60s, 5m.")
  var drainTimeout: DurationArgument = DurationArgument(.seconds(60))

  func validate() throws {
    if !role.isEmpty, Set(role) != Set(Role.allCases) {
      throw ValidationError(
        "this version runs all roles in one process: leave --role out, or name all of "
          + Role.allCases.map(\.rawValue).joined(separator: ", "))
    }
  }

  func run() async throws {
    let signals = StopSignals()
    ProcessSetup.raiseFileLimit()
    let plan = try ServePlan.make(config: config, environment: environmentVariables())
    LogOutput.bootstrap(plan.configuration.observability.log, redact: plan.configuration.security.redact)
    for note in plan.notes { standardError("parley: \(note)\n") }

    let gateway = try await Gateway.start(plan)
    // The file first: whoever reads the announcement may look for it at once.
    if let readyFile { try ReadyFile.write(gateway.places, to: readyFile) }
    for line in gateway.announcement { standardError("parley: \(line)\n") }

    var stops = signals.signals.makeAsyncIterator()
    _ = await stops.next()
    standardError("parley: stopping; calls that are live may go on for \(drainTimeout.description)\n")
    // A second signal does not wait for anything.
    let impatient = Task {
      for await _ in signals.signals {
        standardError("parley: stopped at once\n")
        endProcess(130)
      }
    }
    await gateway.drain(limit: drainTimeout.duration)
    await gateway.stop()
    impatient.cancel()
    if let readyFile { unlink(readyFile) }
    standardError("parley: stopped\n")
  }
}

/// `500ms`, `60s`, `5m`, `1h` on the command line.
struct DurationArgument: ExpressibleByArgument, CustomStringConvertible {
  var duration: Duration

  init(_ duration: Duration) { self.duration = duration }

  init?(argument: String) {
    guard let duration = DurationText.read(argument), duration >= .zero, duration <= .seconds(86_400) else {
      return nil
    }
    self.duration = duration
  }

  var description: String { DurationText.write(duration) }
  var defaultValueDescription: String { description }
}
