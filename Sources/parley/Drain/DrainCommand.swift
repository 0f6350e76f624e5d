import ArgumentParser
import Base
import FoundationEssentials

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

struct DrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Take a gateway out of service without cutting a call.",
    discussion: """
      Asks the process to stop, as SIGTERM does, and waits until it has: new calls are refused, live ones end by themselves, \
      are handed to another process after cluster.drain_handover_after, or are hung up after the process's own \
      --drain-timeout. For a preStop hook, or a person before an update. With --delay the process serves on for so long before \
      it is asked: who sends it calls and requests hears only seconds after the hook has begun that it is to go.
      """)

  @Option(name: .long, help: "The file that the gateway wrote with its own --ready-file.")
  var readyFile: String?

  @Option(name: .long, help: "The process, where there is no such file; 1 in a container.")
  var pid: Int32?

  @Option(name: .long, help: "How long the process serves on before it is asked to stop: 500ms, 15s.")
  var delay: DurationArgument = DurationArgument(.zero)

  @Option(name: .long, help: "How long to wait once it was asked: 500ms, 60s, 5m.")
  var timeout: DurationArgument = DurationArgument(.seconds(120))

  @Flag(help: "Print the outcome as JSON.")
  var json = false

  private static let step: Duration = .milliseconds(100)

  func validate() throws {
    guard (readyFile == nil) != (pid == nil) else { throw ValidationError("name either --ready-file or --pid") }
    if let pid, pid < 1 { throw ValidationError("--pid is the number of a process") }
  }

  func run() async throws {
    let process = try self.process()
    if delay.duration > .zero {
      standardError("parley: process \(process) serves on for \(delay.description) before it is asked to stop\n")
      if try await ends(process, within: delay.duration) { return say(process, nil) }
    }
    let start = Instant.monotonic()
    guard kill(process, SIGTERM) == 0 else {
      // It may have ended between two looks.
      if errno == ESRCH, delay.duration > .zero { return say(process, nil) }
      throw CommandFailure("process \(process) cannot be asked to stop: \(String(cString: strerror(errno)))")
    }
    guard try await ends(process, within: timeout.duration) else {
      throw CommandFailure("process \(process) still has calls after \(timeout.description)")
    }
    say(process, (Instant.monotonic() - start).milliseconds)
  }

  /// Waits for the end of the process, no longer than `limit`; whether it has come.
  private func ends(_ process: Int32, within limit: Duration) async throws -> Bool {
    let start = Instant.monotonic()
    while Self.isAlive(process) {
      let left = limit - (Instant.monotonic() - start)
      guard left > .zero else { return false }
      try await Task.sleep(for: min(left, Self.step))
    }
    return true
  }

  /// - Parameter milliseconds: from the request to the end; nil: it ended before it was asked.
  private func say(_ process: Int32, _ milliseconds: Int64?) {
    if json {
      printLine(JSON.encode(["pid": .int(Int64(process)), "duration_ms": .int(milliseconds ?? 0)]))
    } else if let milliseconds {
      printLine("process \(process) has stopped after \(milliseconds) ms")
    } else {
      printLine("process \(process) had stopped before it was asked to")
    }
  }

  private func process() throws(CommandFailure) -> Int32 {
    if let pid { return pid }
    let path = readyFile ?? ""
    guard let data = try? Data(contentsOf: URL(filePath: path)), data.count <= 65_536 else {
      throw CommandFailure("the ready file \(path) cannot be read: no gateway is running that wrote it")
    }
    guard let number = (try? JSON.decode(Array(data)))?["pid"]?.intValue, let pid = Int32(exactly: number), pid > 0
    else { throw CommandFailure("the ready file \(path) names no process") }
    return pid
  }

  /// A process that has ended and whose parent has not looked yet is gone, too.
  private static func isAlive(_ process: Int32) -> Bool {
    guard kill(process, 0) == 0 else { return false }
    guard let data = try? Data(contentsOf: URL(filePath: "/proc/\(process)/stat")) else { return false }
    let text = String(decoding: data, as: UTF8.self)
    // The state is the first word behind the name, which is in brackets and may hold anything.
    guard let bracket = text.lastIndex(of: ")") else { return true }
    return text[bracket...].dropFirst(2).first != "Z"
  }
}
