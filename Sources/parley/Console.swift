import ArgumentParser
import Base
import FoundationEssentials

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Why a command failed, as one sentence for a person.
struct CommandFailure: Error {
  /// Without the leading `error:`; empty where the command has already said it.
  var message: String
  var exitCode: ExitCode

  init(_ message: String, exitCode: ExitCode = .failure) {
    self.message = message
    self.exitCode = exitCode
  }

  /// An expectation was not met.
  static let notAsExpected = ExitCode(3)

  /// The command printed what is wrong itself.
  static let alreadySaid = CommandFailure("")
}

/// Writes `text` to stderr as it stands.
func standardError(_ text: String) {
  var bytes = Array(text.utf8)[...]
  while !bytes.isEmpty {
    let written = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    // Nobody reads stderr any more: there is no place left to say so.
    guard written > 0 else { return }
    bytes = bytes.dropFirst(written)
  }
}

/// `error: sentence` on stderr, the form of every failure (contract: command line).
func printError(_ message: String) { standardError("error: \(message)\n") }

/// Writes `text` and a line end to stdout at once, also where stdout is a pipe.
func printLine(_ text: String) {
  print(text)
  fflush(nil)
}

/// Writes `text` to stdout as it stands, at once.
func printText(_ text: String) {
  print(text, terminator: "")
  fflush(nil)
}

extension Diagnostic {
  /// The form of `--json`.
  var json: Value {
    var map: [String: Value] = [
      "code": .string(code), "severity": .string(severity.rawValue), "file": .string(file), "message": .string(message),
      "hint": .string(hint),
    ]
    if let position {
      map["line"] = .int(Int64(position.line))
      map["column"] = .int(Int64(position.column))
    }
    return .map(map)
  }
}

/// `1 file`, `2 files`.
func count(_ number: Int, _ word: String) -> String { "\(number) \(word)\(number == 1 ? "" : "s")" }

/// The process's environment.
func environmentVariables() -> [String: String] { ProcessInfo.processInfo.environment }

/// Ends the process at once. (Commands have an `exit` of their own.)
func endProcess(_ code: Int32) -> Never { exit(code) }
