import Base
import ConversationRuntime
import Dialogs
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix
import Settings
import SpeechGateway
import Storage

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Looks at everything that `parley serve` will need, without changing anything that stays.
struct Examination {
  var environment: [String: String]
  var config: String?

  func findings() async -> [Finding] {
    let plan: ServePlan
    do {
      plan = try ServePlan.make(config: config, environment: environment)
    } catch {
      return [
        Finding(
          verdict: .fail, subject: "configuration", message: error.message,
          hint: "correct the file, then run 'parley config check'")
      ]
    }
    let settings = plan.configuration
    var findings = [
      Finding(verdict: .ok, subject: "configuration", message: plan.file ?? "no file; the built-in defaults")
    ]
    findings += plan.notes.map { Finding(verdict: .warn, subject: "configuration", message: $0) }
    findings += speech(settings, environment: plan.environment)
    findings.append(contentsOf: dialogs(settings.runtime.dialogDir))
    findings.append(dataFolder(settings.storage.dataDir))
    if let finding = await bucket(settings.storage) { findings.append(finding) }
    findings += await ports(settings)
    findings.append(openFiles(calls: settings.media.maxCalls))
    return findings
  }

  // MARK: Speech

  private func speech(_ settings: Configuration, environment: [String: String]) -> [Finding] {
    let configuration = SpeechGatewayConfiguration(
      settings.speech, audioRoot: settings.storage.objectsPath,
      sileroCandidates: SileroWeights.candidates(modelDir: settings.speech.modelDir, environment: environment))
    return SpeechCheck.findings(configuration).map { finding in
      let verdict: Finding.Verdict =
        switch finding.severity {
        case .ok: .ok
        case .warning: .warn
        case .error: .fail
        }
      return Finding(verdict: verdict, subject: finding.subject, message: finding.message, hint: finding.hint)
    }
  }

  // MARK: Files

  private func dialogs(_ folder: String) -> [Finding] {
    let catalog: DialogCatalog
    do {
      catalog = try DialogCatalog.load(path: folder)
    } catch {
      return [
        Finding(
          verdict: .fail, subject: "dialogs", message: "\(error)",
          hint: "make the folder, or set runtime.dialog_dir (VG_RUNTIME_DIALOG_DIR)")
      ]
    }
    var findings: [Finding] = []
    if catalog.dialogs.isEmpty {
      findings.append(
        Finding(
          verdict: .fail, subject: "dialogs", message: "no dialog in \(folder) can serve",
          hint: "put a dialog there; examples/dialogs has three"))
    } else {
      let names = catalog.dialogs.map(\.name).joined(separator: ", ")
      findings.append(Finding(verdict: .ok, subject: "dialogs", message: "\(folder): \(names)"))
    }
    for diagnostic in catalog.diagnostics where diagnostic.severity == .error {
      findings.append(
        Finding(
          verdict: .warn, subject: "dialogs", message: "\(diagnostic)", hint: "run 'parley dialog check \(folder)'"))
    }
    return findings
  }

  private func dataFolder(_ folder: String) -> Finding {
    let files = FileManager.default
    let subject = "data folder"
    let hint = "give it to the user that runs the gateway, or set storage.data_dir (VG_STORAGE_DATA_DIR)"
    if files.fileExists(atPath: folder) {
      return access(folder, W_OK | X_OK) == 0
        ? Finding(verdict: .ok, subject: subject, message: folder)
        : Finding(verdict: .fail, subject: subject, message: "\(folder) cannot be written", hint: hint)
    }
    return ServePlan.canWrite(folder)
      ? Finding(verdict: .ok, subject: subject, message: "\(folder) will be made at the first start")
      : Finding(verdict: .fail, subject: subject, message: "\(folder) does not exist and cannot be made", hint: hint)
  }

  /// nil: sounds are files, which the check of the speech role looks for.
  private func bucket(_ settings: StorageSettings) async -> Finding? {
    let subject = "object store"
    // What is wrong is told by the finding.
    let quiet = Logger(label: "parley") { _ in SwiftLogNoOpLogHandler() }
    guard let store = Sounds.store(settings, group: MultiThreadedEventLoopGroup.singleton, logger: quiet) else {
      return nil
    }
    let finding: Finding
    do {
      try await store.check()
      finding = Finding(verdict: .ok, subject: subject, message: "play_audio reads \(store.place)")
    } catch {
      let hint =
        switch error.kind {
        case .refused: "correct storage.s3, or give its keys the rights to list the bucket and to read its objects"
        case .unavailable: "start the store, or correct the endpoint in storage.objects (VG_STORAGE_OBJECTS)"
        default: "correct storage.objects (VG_STORAGE_OBJECTS)"
        }
      finding = Finding(verdict: .fail, subject: subject, message: error.description, hint: hint)
    }
    await store.close()
    return finding
  }

  private func openFiles(calls: Int) -> Finding {
    let limit = ProcessSetup.fileLimit
    // Two sockets a call, and room for the database, the API's clients and the libraries.
    let needed = 2 * calls + 256
    guard limit < needed else { return Finding(verdict: .ok, subject: "open files", message: "up to \(limit)") }
    return Finding(
      verdict: .warn, subject: "open files",
      message: "the system allows \(limit); media.max_calls \(calls) may need \(needed)",
      hint: "raise the hard limit (LimitNOFILE in systemd, ulimit -Hn), or lower media.max_calls")
  }

  // MARK: Ports

  private func ports(_ settings: Configuration) async -> [Finding] {
    let media = settings.media
    var findings: [Finding] = []
    for transport in media.sipTransport {
      let isTLS = transport == .tls
      findings.append(
        await port(
          "SIP \(transport.rawValue)", host: media.listenAddress, isTLS ? media.sipTLSPort : media.sipPort,
          isUDP: transport == .udp,
          key: isTLS ? "media.sip_tls_port (VG_MEDIA_SIP_TLS_PORT)" : "media.sip_port (VG_MEDIA_SIP_PORT)"))
    }
    findings.append(
      await port(
        "API", host: settings.integration.listenAddress, settings.integration.apiPort, isUDP: false,
        key: "integration.api_port (VG_INTEGRATION_API_PORT)"))
    let metrics = settings.observability.metrics
    findings.append(
      await port(
        "metrics and health", host: metrics.listenAddress, metrics.port, isUDP: false,
        key: "observability.metrics.port (VG_OBSERVABILITY_METRICS_PORT)"))
    return findings
  }

  private func port(_ what: String, host: String, _ port: Int, isUDP: Bool, key: String) async -> Finding {
    let subject = "port \(what)"
    guard port != 0 else { return Finding(verdict: .ok, subject: subject, message: "chosen by the system") }
    let group = MultiThreadedEventLoopGroup.singleton
    do {
      let channel: any Channel
      if isUDP {
        channel = try await DatagramBootstrap(group: group).bind(host: host, port: port).get()
      } else {
        channel = try await ServerBootstrap(group: group)
          .serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: host, port: port).get()
      }
      try await channel.close()
      return Finding(verdict: .ok, subject: subject, message: "\(host):\(port) is free")
    } catch {
      let reason = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
      return Finding(
        verdict: .fail, subject: subject, message: "\(host):\(port): \(reason)",
        hint: "stop what listens there (a running gateway?), or set \(key)")
    }
  }
}
