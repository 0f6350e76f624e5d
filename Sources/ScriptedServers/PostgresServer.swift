// A real PostgreSQL for tests, in a folder of its own.

import Base
import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A PostgreSQL server from the system's packages that listens on a socket in a folder of its own, so that any number run on
/// one machine. It ends with the process that started it, however that ends.
public final class PostgresServer: Sendable {
  private static let shared = NIOLockedValueBox<PostgresServer?>(nil)

  /// The process's own server, started when it is first asked for.
  public static func running() throws -> PostgresServer {
    try shared.withLockedValue { shared in
      if let shared { return shared }
      let server = try PostgresServer()
      shared = server
      return server
    }
  }

  private let folder: String
  private let databases = NIOLockedValueBox(0)

  /// Starts another one: for tests that take it down.
  public init() throws {
    // Nothing here survives the machine, so nothing waits for its disk. A watcher takes the server down and the folder away
    // when this process is gone.
    folder = try Shell.run(
      """
      bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
      [ -n "$bin" ] || { echo "PostgreSQL is missing: run scripts/setup --test"; exit 1; }
      folder=$(mktemp -d /tmp/parley-postgres-XXXXXX)
      as=""
      if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; as="runuser -u postgres --"; fi
      $as "$bin/initdb" -D "$folder/data" -U parley --auth=trust --encoding=UTF8 --locale=C.UTF-8 -N >"$folder/log" ||
        { cat "$folder/log"; exit 1; }
      cat >>"$folder/data/postgresql.conf" <<CONF
      listen_addresses = ''
      unix_socket_directories = '$folder'
      max_connections = 300
      shared_buffers = 32MB
      fsync = off
      CONF
      printf '%s\\n' '#!/bin/sh' "cd '$folder' && exec $as $bin/pg_ctl -s -w -D '$folder/data' -l '$folder/server.log' \\"\\$@\\"" \\
        >"$folder/control"
      chmod 755 "$folder/control"
      "$folder/control" start >"$folder/log" 2>&1 || { cat "$folder/log" "$folder/server.log"; exit 1; }
      setsid sh -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; "$2/control" stop -m immediate; rm -rf "$2"' \\
        watcher \(getpid()) "$folder" >/dev/null 2>&1 </dev/null &
      echo "$folder"
      """)
  }

  /// A fresh database; its address.
  public func makeDatabase() throws -> String {
    let number = databases.withLockedValue { number in
      number += 1
      return number
    }
    let name = "test\(number)"
    _ = try Shell.run("createdb -h '\(folder)' -U parley \(name)")
    return "postgres://parley@localhost/\(name)?host=\(folder)"
  }

  /// As if the machine had lost power: no goodbye, and a recovery at the next start.
  public func crash() throws { _ = try Shell.run("'\(folder)/control' stop -m immediate") }

  public func start() throws { _ = try Shell.run("'\(folder)/control' start") }

  /// Runs a program of PostgreSQL (`psql`, `pg_dump`); what it prints.
  @discardableResult
  public func tool(_ command: String) throws -> String {
    try Shell.run("export PGHOST='\(folder)' PGUSER=parley; \(command)")
  }
}
