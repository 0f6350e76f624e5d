import Base
import FoundationEssentials
import Logging
import NIOPosix
import Outbound
import Settings
import Telemetry

/// `cluster.pod_deletion_cost`: tells Kubernetes how many calls this pod holds, by an annotation of the pod's own.
struct PodDeletionCost: Sendable {
  private static let annotation = "controller.kubernetes.io/pod-deletion-cost"
  /// Where kubelet puts the token of the pod's service account, and renews it.
  private static let folder = "/var/run/secrets/kubernetes.io/serviceaccount"
  /// How often it is looked whether the number has changed.
  private static let step: Duration = .seconds(1)
  /// Of one request.
  private static let timeout: Duration = .seconds(5)
  /// Tokens of service accounts have some two thousand characters.
  private static let tokenBytes = 64 * 1024

  private let server: ConfiguredServer
  private let folder: String
  /// For sentences.
  private let pod: String
  private let logger: Logger

  /// nil: it is not asked for, or no role is here that holds calls.
  /// - Throws: ``CommandFailure``: this is no pod, or one that may not speak to Kubernetes.
  static func open(
    _ settings: Configuration, _ roles: GatewayRoles, _ environment: [String: String],
    group: MultiThreadedEventLoopGroup, logger: Logger
  ) throws(CommandFailure) -> PodDeletionCost? {
    guard settings.cluster.podDeletionCost, roles.has(.media) || roles.has(.speech) || roles.has(.runtime) else {
      return nil
    }
    let names = ["POD_NAME", "POD_NAMESPACE", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"]
    let missing = names.filter { environment[$0, default: ""].isEmpty }
    guard missing.isEmpty else {
      throw CommandFailure(
        "cluster.pod_deletion_cost needs \(missing.joined(separator: ", ")) in the environment, as a pod of Kubernetes has them"
      )
    }
    func value(_ name: String) -> String { environment[name, default: ""] }
    let pod = value("POD_NAME"), namespace = value("POD_NAMESPACE")
    for (name, text) in [("POD_NAME", pod), ("POD_NAMESPACE", namespace)] where !isName(text) {
      throw CommandFailure("cluster.pod_deletion_cost: \(name) is no name that Kubernetes gives")
    }
    let own = value("PARLEY_KUBERNETES_DIR")
    let folder = own.isEmpty ? Self.folder : own
    for file in ["token", "ca.crt"] where !FileManager.default.isReadableFile(atPath: "\(folder)/\(file)") {
      throw CommandFailure(
        "cluster.pod_deletion_cost needs \(folder)/\(file): give the pod a service account's token (automountServiceAccountToken)"
      )
    }
    let host = value("KUBERNETES_SERVICE_HOST")
    let authority = (host.contains(":") ? "[\(host)]" : host) + ":" + value("KUBERNETES_SERVICE_PORT")
    let server = ConfiguredServer(
      url: "https://\(authority)/api/v1/namespaces/\(namespace)/pods/\(pod)", product: "Parley/\(Build.version)",
      identity: ClientIdentity(authoritiesFile: "\(folder)/ca.crt"), group: group, logger: logger)
    return PodDeletionCost(server: server, folder: folder, pod: "\(namespace)/\(pod)", logger: logger)
  }

  private init(server: ConfiguredServer, folder: String, pod: String, logger: Logger) {
    self.server = server
    self.folder = folder
    self.pod = pod
    self.logger = logger
  }

  /// A subdomain name of RFC 1123, as pods have.
  private static func isName(_ text: String) -> Bool {
    (1...253).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
      } && !text.hasPrefix(".") && !text.contains("..")
  }

  /// Tells of every change until the process drains, or the task is cancelled: a pod that goes is chosen already.
  func run(_ health: HealthState, calls: @Sendable () -> Int) async {
    var cost = DeletionCost()
    while !Task.isCancelled, !health.isDraining {
      if let number = cost.calls(calls(), at: .monotonic()) {
        let problem = await tell(number)
        if Task.isCancelled { break }
        if let problem {
          if cost.failed(at: .monotonic()) {
            logger.warning(
              "Kubernetes cannot be told how many calls are here; it is tried again", metadata: ["reason": "\(problem)"]
            )
          }
        } else if cost.succeeded() {
          logger.notice("Kubernetes is told how many calls are here")
        }
      }
      do { try await Task.sleep(for: Self.step) } catch { break }
    }
  }

  func close() async { await server.close() }

  /// Writes the annotation (a merge patch, RFC 7396); nil: it is written, otherwise why not.
  private func tell(_ number: Int) async -> String? {
    let token: String
    do {
      token = try TextFile.read("\(folder)/token", limit: Self.tokenBytes).filter { !$0.isWhitespace }
    } catch {
      return error.all.first.map { "\($0.file) \($0.message)" } ?? "the token cannot be read"
    }
    guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      return "\(folder)/token holds no token"
    }
    let annotations: Value = [Self.annotation: .string(String(number))]
    let request = ConfiguredServer.Request(
      method: "PATCH",
      headers: [
        (name: "Authorization", value: "Bearer \(token)"),
        (name: "Content-Type", value: "application/merge-patch+json"),
        // The pod as it is now is not read.
        (name: "Accept", value: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"),
      ],
      body: Array(JSON.encode(["metadata": ["annotations": annotations]]).utf8))
    let status: Int
    do throws(OutboundError) {
      status = try await server.exchange(request, timeout: Self.timeout).status
    } catch {
      return "\(error)"
    }
    switch status {
    case 200..<300: return nil
    case 401: return "the API server does not accept the token of the pod's service account (401)"
    case 403: return "the pod's service account lacks the right to patch pods (403)"
    case 404: return "the API server knows no pod \(pod) (404)"
    default: return "the API server answers \(status)"
    }
  }
}
