import ArgumentParser

/// The parts of the gateway, in the order a call walks through them.
enum GatewayRole: String, CaseIterable, ExpressibleByArgument {
  case media, speech, runtime, integration, worker
}

/// What one process runs.
struct GatewayRoles: Sendable {
  private let roles: Set<GatewayRole>

  /// - Parameter roles: empty: all of them.
  init(_ roles: [GatewayRole]) { self.roles = roles.isEmpty ? Set(GatewayRole.allCases) : Set(roles) }

  func has(_ role: GatewayRole) -> Bool { roles.contains(role) }
  var isAll: Bool { roles.count == GatewayRole.allCases.count }
  /// Whether this process reads or writes the database.
  var needsDatabase: Bool { has(.runtime) || has(.integration) || has(.worker) }
  var names: [String] { GatewayRole.allCases.filter(has).map(\.rawValue) }
}
