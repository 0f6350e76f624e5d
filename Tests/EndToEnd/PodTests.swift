import Foundation
import ScriptedServers
import Testing

/// What a gateway tells Kubernetes of itself.
@Suite(.serialized, .timeLimit(.minutes(3))) struct PodTests {
  /// The way of a pod to the API server: its folder, and a certificate for 127.0.0.1 of the authority there.
  private func makeFolder() throws -> String {
    let folder = try Tools.temporaryFolder()
    let made = try Tools.run(
      "bash",
      [
        "-euc",
        """
        key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        openssl req -x509 $key -keyout ca.key -out ca.crt -days 2 -subj /CN=kubernetes
        openssl req $key -keyout server.key -out server.csr -subj /CN=kube-apiserver
        printf 'subjectAltName=IP:127.0.0.1' > names
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
        printf 'the-first-token' > token
        """,
      ], in: folder)
    guard made.status == 0 else { throw Gateway.Failed(description: "no certificates: \(made.errors)") }
    return folder
  }

  @Test func aPodTellsHowManyCallsItHolds() async throws {
    let folder = try makeFolder()
    let kubernetes = try ScriptedHTTPServer(
      certificateFile: "\(folder)/server.crt", keyFile: "\(folder)/server.key"
    ) { request in
      request.header("Authorization") == "Bearer the-second-token"
        ? ScriptedHTTPServer.Step.answer(200, "{}")
        : ScriptedHTTPServer.Step.answer(403, #"{"kind":"Status","code":403}"#)
    }
    let port = try await kubernetes.start()
    let gateway = try Gateway(
      dialogs: ["waiting.yaml": LiveCalls.dialog], configuration: "cluster: { pod_deletion_cost: true }",
      environment: [
        "POD_NAME": "parley-media-0", "POD_NAMESPACE": "voice", "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "\(port)", "PARLEY_KUBERNETES_DIR": folder,
      ])
    #expect(!gateway.errors.contains("without effect"), "\(gateway.errors)")
    func cost(_ number: Int) -> String {
      #"{"metadata":{"annotations":{"controller.kubernetes.io/pod-deletion-cost":"\#(number)"}}}"#
    }
    // Refused at first; then the right is there, and kubelet has renewed the token.
    let first = try #require(await kubernetes.requests(1).first)
    #expect(first.header("Authorization") == "Bearer the-first-token")
    try Data("the-second-token\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/token"))
    #expect(try gateway.waitUntilSaid("lacks the right to patch pods (403)"))
    await kubernetes.requests(2)
    let call = try LiveCalls(gateway, count: 1)
    await kubernetes.requests(3)
    #expect(try gateway.api("POST", "/v1/calls/\(call.ids[0])/hangup", body: #"{"reason":"normal"}"#).status < 300)
    let all = await kubernetes.requests(4)
    call.stop()
    #expect(all.map(\.body) == [cost(0), cost(0), cost(1), cost(0)], "\(gateway.errors)")
    for request in all {
      #expect(request.method == "PATCH" && request.uri == "/api/v1/namespaces/voice/pods/parley-media-0")
      #expect(request.header("Content-Type") == "application/merge-patch+json")
    }
    #expect(gateway.stop() == 0)
    #expect(gateway.errors.components(separatedBy: "cannot be told").count == 2, "\(gateway.errors)")
    #expect(kubernetes.requests.count == 4, "a process that stops tells nothing")
    await kubernetes.stop()
  }

  @Test func anAuthorityThatIsNotThePodsIsNotBelieved() async throws {
    let folder = try makeFolder(), other = try makeFolder()
    let stranger = try ScriptedHTTPServer(certificateFile: "\(other)/server.crt", keyFile: "\(other)/server.key") { _ in
      ScriptedHTTPServer.Step.answer(200, "{}")
    }
    let port = try await stranger.start()
    let gateway = try Gateway(
      configuration: "cluster: { pod_deletion_cost: true }",
      environment: [
        "POD_NAME": "parley-media-0", "POD_NAMESPACE": "voice", "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "\(port)", "PARLEY_KUBERNETES_DIR": folder,
      ])
    #expect(try gateway.waitUntilSaid("the TLS handshake failed"), "\(gateway.errors)")
    #expect(stranger.requests.isEmpty, "the token was shown to a stranger")
    #expect(gateway.stop() == 0)
    await stranger.stop()
  }

  @Test func whatIsNoPodIsToldSo() throws {
    func serve(_ environment: [String: String]) throws -> ToolResult {
      let folder = try Tools.temporaryFolder()
      let base = [
        "VG_MEDIA_SIP_PORT": "0", "VG_INTEGRATION_API_PORT": "0", "VG_OBSERVABILITY_METRICS_PORT": "0",
        "VG_STORAGE_DATA_DIR": folder, "VG_RUNTIME_DIALOG_DIR": "\(Tools.root)/examples/dialogs",
        "VG_CLUSTER_POD_DELETION_COST": "true", "POD_NAME": "", "POD_NAMESPACE": "", "KUBERNETES_SERVICE_HOST": "",
        "KUBERNETES_SERVICE_PORT": "",
      ]
      return try Tools.run(Tools.parley, ["serve"], environment: base.merging(environment) { $1 }, limit: 20)
    }
    let pod = [
      "POD_NAME": "parley-media-0", "POD_NAMESPACE": "voice", "KUBERNETES_SERVICE_HOST": "127.0.0.1",
      "KUBERNETES_SERVICE_PORT": "1", "PARLEY_KUBERNETES_DIR": "/nowhere",
    ]
    for (environment, words) in [
      ([:], "POD_NAME, POD_NAMESPACE, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT in the environment"),
      (pod.merging(["POD_NAMESPACE": ""]) { $1 }, "needs POD_NAMESPACE in the environment"),
      (pod.merging(["POD_NAME": "../x"]) { $1 }, "POD_NAME is no name that Kubernetes gives"),
      (pod, "/nowhere/token"),
    ] {
      let result = try serve(environment)
      #expect(result.status == 1 && result.errors.contains("error: cluster.pod_deletion_cost"), "\(result)")
      #expect(result.errors.contains(words), "\(words) is not in: \(result.errors)")
    }
  }
}
