import ScriptedServers

/// The databases that a gateway is shown on.
enum Database: String, CaseIterable {
  case sqlite, postgres

  /// An empty one, as `storage.database` names it; nil: the file in the gateway's folder.
  func address() throws -> String? {
    switch self {
    case .sqlite: nil
    case .postgres: try PostgresServer.running().makeDatabase()
    }
  }

  /// Runs statements beside everything that guards the database.
  func run(_ statements: [String], on gateway: Gateway) throws {
    switch self {
    case .sqlite:
      let script = """
        import sqlite3, sys
        db = sqlite3.connect(sys.argv[1])
        for statement in sys.argv[2:]: db.execute(statement)
        db.commit()
        """
      let result = try Tools.run("python3", ["-c", script, "\(gateway.folder)/parley.db"] + statements)
      guard result.status == 0 else { throw Gateway.Failed(description: result.errors) }
    case .postgres:
      let result = try Tools.run(
        "psql", ["--quiet", "--set=ON_ERROR_STOP=1", gateway.database] + statements.flatMap { ["--command", $0] })
      guard result.status == 0 else { throw Gateway.Failed(description: result.errors) }
    }
  }
}
