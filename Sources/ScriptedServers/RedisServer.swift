// A real Redis for tests, in a folder of its own.

import Base
import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A Redis from the system's packages on a free port of the loopback. It keeps nothing on disk, and ends with the process that
/// started it, however that ends.
public final class RedisServer: Sendable {
  private static let shared = NIOLockedValueBox<(server: RedisServer, databases: Int)?>(nil)

  /// An empty database of the process's own server, started when it is first asked for.
  public static func makeDatabase() throws -> String {
    try shared.withLockedValue { shared in
      let server = try shared?.server ?? RedisServer(settings: "databases 1000")
      let number = shared?.databases ?? 0
      shared = (server, number + 1)
      return "\(server.url)/\(number)"
    }
  }

  public let port: Int
  private let folder: String

  /// Starts another one: for tests that take it down or need it in a special way.
  /// - Parameters:
  ///   - settings: lines of `redis.conf`.
  ///   - tlsFolder: holds `server.pem`, `server.key` and `ca.pem`; only TLS is spoken then.
  public convenience init(settings: String = "", tlsFolder: String? = nil) throws {
    let tls = tlsFolder.map {
      """
      port 0
      tls-port PORT
      tls-cert-file \($0)/server.pem
      tls-key-file \($0)/server.key
      tls-ca-cert-file \($0)/ca.pem
      tls-auth-clients optional
      """
    }
    try self.init(
      program: "redis-server", settings: "save \"\"\nappendonly no\n\(tls ?? "port PORT")\n\(settings)")
  }

  /// A sentinel that watches `master` under the name `main`.
  /// - Parameter downAfter: milliseconds without an answer after which the master counts as dead. A busy machine may be silent for a
  ///   second, so few are for tests that kill it.
  public convenience init(sentinelOf master: RedisServer, quorum: Int, downAfter: Int = 1_000) throws {
    try self.init(
      program: "redis-sentinel",
      settings: """
        port PORT
        sentinel monitor main 127.0.0.1 \(master.port) \(quorum)
        sentinel down-after-milliseconds main \(downAfter)
        sentinel failover-timeout main 5000
        """)
  }

  private init(program: String, settings: String) throws {
    // A watcher takes the server down and the folder away when this process is gone.
    let answer = try Shell.run(
      """
      command -v \(program) >/dev/null || { echo "Redis is missing: run scripts/setup --test"; exit 1; }
      folder=$(mktemp -d)
      cat >"$folder/start" <<'START'
      #!/bin/sh
      # A port may be taken by somebody else meanwhile; then the program ends and the caller tries another.
      cd "$(dirname "$0")"
      # It must be there, and without the words of a former start, when it is first looked at.
      : >log
      setsid \(program) ./redis.conf >>log 2>&1 </dev/null &
      echo $! >pid
      for i in $(seq 1 400); do
        kill -0 "$(cat pid)" 2>/dev/null || exit 1
        # By its own words: whoever answers at a taken port is another.
        grep -q -e 'Ready to accept connections' -e 'Sentinel ID is' log && exit 0
        sleep 0.025
      done
      exit 1
      START
      chmod 755 "$folder/start"
      for attempt in 1 2 3 4 5 6 7 8; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        echo "$port" >"$folder/port"
        printf 'bind 127.0.0.1\\ndir %s\\n' "$folder" >"$folder/redis.conf"
        sed "s/PORT/$port/" >>"$folder/redis.conf" <<'CONF'
      \(settings)
      CONF
        if "$folder/start"; then
          setsid sh -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; kill -9 "$(cat "$2/pid")"; rm -rf "$2"' \\
            watcher \(getpid()) "$folder" >/dev/null 2>&1 </dev/null &
          echo "$port $folder"
          exit 0
        fi
      done
      cat "$folder/log"
      exit 1
      """)
    let words = answer.split(separator: " ")
    guard words.count == 2, let port = Int(words[0]) else { throw ProgramFailed(description: answer) }
    self.port = port
    folder = String(words[1])
  }

  /// `redis://127.0.0.1:PORT`
  public var url: String { "redis://127.0.0.1:\(port)" }

  /// As if the machine had lost power.
  public func crash() throws { _ = try Shell.run("kill -9 $(cat '\(folder)/pid')") }

  /// Starts it again, empty, on the same port.
  public func start() throws { _ = try Shell.run("'\(folder)/start'") }

  /// It keeps its connections and answers nothing, as if the network between were cut.
  public func freeze() throws { _ = try Shell.run("kill -STOP $(cat '\(folder)/pid')") }

  public func thaw() throws { _ = try Shell.run("kill -CONT $(cat '\(folder)/pid')") }

  /// Asks it with its own client; what that prints.
  @discardableResult
  public func ask(_ command: String) throws -> String { try Shell.run("redis-cli -p \(port) \(command)") }

  /// Waits until a question gets this answer: for what servers arrange among themselves.
  public func wait(for answer: String, to command: String) throws {
    _ = try Shell.run(
      """
      for i in $(seq 1 600); do
        case "$(redis-cli -p \(port) \(command) 2>&1)" in *'\(answer)'*) exit 0 ;; esac
        sleep 0.05
      done
      redis-cli -p \(port) \(command)
      exit 1
      """)
  }
}
