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
      SIGTERM and SIGINT stop it: new calls are refused with 503, live calls may finish, then it exits with 0. Meanwhile SIGINT \
      (Ctrl-C once more) ends it at once; another SIGTERM does not.
      """)

  @Option(name: .long, help: "The configuration file.")
  var config: String?

  @Option(
    name: .long,
    help:
      "Run this role only (repeatable): \(GatewayRole.allCases.map(\.rawValue).joined(separator: ", ")). Default: all of them."
  )
  var role: [GatewayRole] = []

  @Option(name: .long, help: "Write a JSON file with the bound ports when everything listens.")
  var readyFile: String?

  @Option(name: .long, help: "How long live calls may go on after a signal to stop: 500ms, 60s, 5m.")
  var drainTimeout: DurationArgument = DurationArgument(.seconds(60))

  func run() async throws {
    let signals = StopSignals()
    ProcessSetup.raiseFileLimit()
    let roles = GatewayRoles(role)
    let plan = try ServePlan.make(config: config, environment: environmentVariables(), roles: roles)
    LogOutput.bootstrap(plan.configuration.observability.log, redact: plan.configuration.security.redact)
    for note in plan.notes { standardError("parley: \(note)\n") }

    let gateway = try await Gateway.start(plan, roles)
    // The file first: whoever reads the announcement may look for it at once.
    if let readyFile { try ReadyFile.write(gateway.places, to: readyFile) }
    for line in gateway.announcement { standardError("parley: \(line)\n") }

    var stops = signals.signals.makeAsyncIterator()
    _ = await stops.next()
    standardError("parley: stopping; calls that are live may go on for \(drainTimeout.description)\n")
    // Whoever presses Ctrl-C once more waits for nothing. SIGTERM comes again by itself: from Kubernetes behind a preStop hook that
    // has drained already, or from a second 'parley drain'; it must not cut calls.
    let impatient = Task {
      for await number in signals.signals {
        if number == SIGINT {
          standardError("parley: stopped at once\n")
          endProcess(130)
        }
        standardError("parley: is stopping already; this SIGTERM changes nothing (SIGINT ends it at once)\n")
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
