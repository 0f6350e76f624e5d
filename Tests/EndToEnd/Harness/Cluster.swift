import Foundation
import ScriptedServers

/// Every role in processes of its own, each on an address of its own, with certificates between them, PostgreSQL, and a Redis
/// that sentinels watch.
final class Cluster {
  /// Right to left: nobody starts before its neighbour.
  static let roles = ["integration", "runtime", "worker", "speech", "media"]

  let folder: String
  let database: String
  let redis: RedisServer
  let replica: RedisServer
  private let sentinels: [RedisServer]
  private let dialogs: [String: String]
  private let each: Int
  private let extra: String
  /// Ways to the processes of one role.
  private var cables: [String: [Cable]] = [:]
  private let network = Int.random(in: 16...230)
  private(set) var members: [String: [Gateway?]] = [:]

  /// - Parameters:
  ///   - each: processes of each role.
  ///   - extra: lines below `observability`.
  ///   - postgres: nil: the one of all tests.
  ///   - losesRedis: whether its master will be killed: sentinels are quick to choose another then.
  ///   - cable: a role that its neighbours reach over ways that can be cut; see ``cut(_:_:)``.
  init(
    of each: Int = 2, dialogs: [String: String], extra: String = "", postgres: PostgresServer? = nil,
    losesRedis: Bool = false, cable: String? = nil
  ) throws {
    self.each = each
    self.extra = extra
    self.dialogs = dialogs
    folder = try Tools.temporaryFolder()
    database = try (postgres ?? PostgresServer.running()).makeDatabase()
    redis = try RedisServer()
    replica = try RedisServer(settings: "replicaof 127.0.0.1 \(redis.port)")
    try replica.wait(for: "up", to: "info replication | tr -d '\\r' | sed -n 's/^master_link_status://p'")
    sentinels = try [redis].flatMap { master in
      try (0..<3).map { _ in try RedisServer(sentinelOf: master, quorum: 2, downAfter: losesRedis ? 1_000 : 10_000) }
    }
    try Self.makeCertificates(Self.roles + ["stranger"], in: folder)
    if let cable, let port = Self.ports[cable] {
      cables[cable] = try (0..<each).map {
        try Cable(at: host(cable, $0, isCable: true), to: host(cable, $0), port: port)
      }
    }
    for role in Self.roles {
      members[role] = []
      for number in 0..<each { members[role]?.append(try start(role, number)) }
    }
  }

  // MARK: Addresses

  private static let ports = ["speech": 50051, "runtime": 50052, "integration": 50053]

  private func host(_ role: String, _ number: Int, isCable: Bool = false) -> String {
    "127.\(network).\((Self.roles.firstIndex(of: role) ?? 0) + (isCable ? 101 : 1)).\(number + 1)"
  }

  private func peers(_ role: String) -> String {
    let hosts = (0..<each).map { host(role, $0, isCable: cables[role] != nil) }
    return "[" + hosts.map { "\"\($0):\(Self.ports[role] ?? 0)\"" }.joined(separator: ", ") + "]"
  }

  private func configuration(_ role: String, _ number: Int, certificates: String) -> String {
    let watchers = sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
    return """
      media: { listen_address: "\(host(role, number))" }
      runtime: { state_store: redis }
      storage: { redis: "redis+sentinel://\(watchers)/main" }
      cluster:
        listen_address: "\(host(role, number))"
        speech: \(peers("speech"))
        runtime: \(peers("runtime"))
        integration: \(peers("integration"))
        drain_handover_after: 0s
      security:
        state_keys: [an-end-to-end-key-that-is-long-enough]
        mtls: { enabled: true, cert_dir: "\(folder)/\(certificates)" }
      \(extra.isEmpty ? "" : "observability:\n\(extra)")
      """
  }

  // MARK: Processes

  /// - Parameter certificates: of whom; nil: of its role.
  func start(_ role: String, _ number: Int, certificates: String? = nil) throws -> Gateway {
    try Gateway(
      dialogs: dialogs, configuration: configuration(role, number, certificates: certificates ?? role),
      arguments: ["--role", role], database: database,
      environment: ["VG_MEDIA_LISTEN_ADDRESS": host(role, number)])
  }

  func member(_ role: String, _ number: Int = 0) -> Gateway {
    guard let member = members[role]?[number] else { fatalError("the \(role) \(number) is not running") }
    return member
  }

  /// `kill -9`.
  func crash(_ role: String, _ number: Int = 0) {
    members[role]?[number]?.crash()
    members[role]?[number] = nil
  }

  /// It answers nothing any more, as if the network to it were cut; ``thaw(_:_:)`` lets it go on.
  func freeze(_ role: String, _ number: Int = 0) { if let pid = members[role]?[number]?.pid { kill(pid, SIGSTOP) } }
  func thaw(_ role: String, _ number: Int = 0) { if let pid = members[role]?[number]?.pid { kill(pid, SIGCONT) } }

  /// Nothing comes to it from its neighbours any more, and nothing back; its own ways, to the stores and further, are whole.
  func cut(_ role: String, _ number: Int) { cables[role]?[number].cut() }
  func mend(_ role: String, _ number: Int) { cables[role]?[number].mend() }

  /// SIGTERM, and wait until it has gone.
  @discardableResult
  func stop(_ role: String, _ number: Int = 0) -> Int32 {
    defer { members[role]?[number] = nil }
    return members[role]?[number]?.stop() ?? -1
  }

  /// It was asked to stop by somebody else; its exit status.
  func ended(_ role: String, _ number: Int) -> Int32 {
    defer { members[role]?[number] = nil }
    return member(role, number).waitUntilExit()
  }

  /// Starts what was crashed or stopped.
  func restart(_ role: String, _ number: Int = 0) throws { members[role]?[number] = try start(role, number) }

  func stop() {
    for role in Self.roles.reversed() {
      for number in 0..<each where members[role]?[number] != nil { stop(role, number) }
    }
  }

  /// Everything that is Redis, as if its machines had lost power: the sentinels first, so that they make no new master.
  func crashRedis() throws { for server in sentinels + [replica, redis] { try server.crash() } }

  /// Starts it again, empty, and waits until those who need it have it.
  func startRedis() throws {
    for server in [redis, replica] + sentinels { try server.start() }
    for member in Self.roles.flatMap({ members[$0] ?? [] }) {
      try member?.wait(for: 1, of: "vg_redis_up")
    }
  }

  // MARK: Asking

  /// A process that answers the API.
  var api: Gateway { (members["integration"] ?? []).compactMap { $0 }.first ?? member("integration") }

  /// Places a call that must be refused with 503 and `Retry-After`.
  func refusal(_ media: Int) throws -> ToolResult {
    let member = member("media", media)
    return try Tools.run(
      "sipp",
      [
        "\(member.sipHost):\(member.sipPort)", "-sf", "\(Tools.scenarios)/uac-draining.xml", "-s", "survive", "-m", "1",
        "-i", "127.0.0.1", "-timeout", "20", "-timeout_error", "-nostdin",
      ], in: folder)
  }

  /// What everybody said, for a failure's message.
  var errors: String {
    Self.roles.flatMap { role in
      (members[role] ?? []).enumerated().map { "--- \(role) \($0.offset)\n\($0.element?.errors ?? "gone")" }
    }.joined(separator: "\n")
  }

  /// The number of the process of a role that holds the only call.
  func holder(_ role: String) throws -> Int? {
    for number in 0..<each {
      guard let member = members[role]?[number] else { continue }
      if try member.metric("vg_calls_held") > 0 { return number }
    }
    return nil
  }

  // MARK: Certificates

  /// As cert-manager writes them: a folder for each role.
  /// - Parameter authority: whether there is to be a new one; otherwise the one that is there vouches for new certificates.
  static func makeCertificates(_ roles: [String], in folder: String, authority: Bool = true) throws {
    var script = "set -e; cd '\(folder)'"
    if authority {
      script +=
        "; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-ca"
    }
    for role in roles {
      script += """

        mkdir -p \(role)
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout \(role)/tls.key -out \(role).csr -subj /CN=\(role)
        printf 'subjectAltName=DNS:\(role).parley' > \(role).ext
        openssl x509 -req -in \(role).csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile \(role).ext -out \(role)/tls.crt
        cp ca.crt \(role)/ca.crt
        """
    }
    let made = try Tools.run("bash", ["-c", script])
    guard made.status == 0 else { throw Gateway.Failed(description: "no certificates: \(made.errors)") }
  }
}
