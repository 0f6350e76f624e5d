#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Runs scripts that start and stop programs of the system.
enum Shell {
  /// Runs a script to its end; its output without the last line break.
  static func run(_ script: String) throws(ProgramFailed) -> String {
    guard let pipe = popen("bash -euo pipefail -c \(quoted(script)) 2>&1", "r") else {
      throw ProgramFailed(description: "no shell can be started")
    }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&buffer, 1, buffer.count, pipe)
      if count == 0 { break }
      output += buffer[..<count]
    }
    let status = pclose(pipe)
    var text = String(decoding: output, as: UTF8.self)
    while text.last == "\n" { text.removeLast() }
    guard status == 0 else { throw ProgramFailed(description: text) }
    return text
  }

  private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }
}

/// Why a program of the system did not do what it should: what it printed.
public struct ProgramFailed: Error, CustomStringConvertible { public var description: String }
