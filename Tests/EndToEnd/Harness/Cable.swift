import Foundation

/// The way of TCP connections to somebody, which can be cut while both ends live: what is sent meanwhile arrives late or never, and
/// whoever connects gets no word.
final class Cable {
  private static let script = """
    import asyncio, sys

    async def carry(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def main(host, port, to, there):
        async def connect(reader, writer):
            try:
                far, away = await asyncio.open_connection(to, there)
            except OSError:
                return writer.close()
            await asyncio.gather(carry(reader, away), carry(far, writer))
        server = await asyncio.start_server(connect, host, port)
        print("ready", flush=True)
        await server.serve_forever()

    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    """

  private let process = Process()

  /// Returns when it can be connected to.
  init(at host: String, to target: String, port: Int) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-c", Self.script, host, "\(port)", target, "\(port)"]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    guard output.fileHandleForReading.availableData.starts(with: Data("ready".utf8)) else {
      throw Gateway.Failed(description: "there is no way from \(host) to \(target), port \(port)")
    }
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  func cut() { kill(process.processIdentifier, SIGSTOP) }
  func mend() { kill(process.processIdentifier, SIGCONT) }
}
