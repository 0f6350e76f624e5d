// The command line: reads the arguments, runs one command, and turns whatever goes wrong into one line and an exit code.

import ArgumentParser

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

struct Parley: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parley", abstract: "A self-hosted voice gateway: SIP calls, speech, dialogs, hooks.",
    subcommands: [
      ServeCommand.self, CallCommand.self, DialogCommand.self, ReplayCommand.self, ConfigCommand.self,
      MigrateCommand.self, DrainCommand.self, DoctorCommand.self, TokenCommand.self, AuditCommand.self,
      VersionCommand.self,
    ])
}

@main
enum Main {
  static func main() async {
    // A peer that closes its socket must not end the process.
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try Parley.parseAsRoot()
      if var asyncCommand = command as? any AsyncParsableCommand {
        try await asyncCommand.run()
      } else {
        try command.run()
      }
    } catch {
      exit(report(error))
    }
  }

  /// Says what went wrong on stderr (help goes to stdout) and returns the exit code: 1 for a failure, 2 for wrong usage.
  private static func report(_ error: any Error) -> Int32 {
    if let failure = error as? CommandFailure {
      if !failure.message.isEmpty { printError(failure.message) }
      return failure.exitCode.rawValue
    }
    if let code = error as? ExitCode { return code.rawValue }
    switch Parley.exitCode(for: error) {
    case .success:
      print(Parley.fullMessage(for: error))
      return 0
    case .validationFailure:
      printError(Parley.message(for: error))
      standardError("See 'parley help'.\n")
      return 2
    default:
      printError(Parley.message(for: error))
      return 1
    }
  }
}
