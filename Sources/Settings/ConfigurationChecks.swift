import Base

extension Decoding {
  /// Paths that nobody set follow `storage.data_dir`.
  func deriveFromDataDir(_ configuration: inout Configuration) {
    configuration.moveData(to: configuration.storage.dataDir, keeping: keysSet)
  }

  /// What no single key can know.
  mutating func checkTogether(_ configuration: Configuration) {
    let api = configuration.integration, metrics = configuration.observability.metrics
    if api.apiPort != 0, api.apiPort == metrics.port, overlap(api.listenAddress, metrics.listenAddress) {
      together("integration.api_port and observability.metrics.port are both \(api.apiPort)")
    }
    let tracing = configuration.observability.tracing
    if tracing.enabled, tracing.otlpEndpoint.isEmpty {
      together("observability.tracing.enabled needs observability.tracing.otlp_endpoint")
    }
    let media = configuration.media
    if media.rtpPortRange.closedRange.contains(media.sipPort), media.sipTransport.contains(.udp) {
      together("media.sip_port \(media.sipPort) lies inside media.rtp_port_range \(media.rtpPortRange)")
    }
    if media.sessionTimer > .zero, media.sessionTimer < .seconds(90) {
      together("media.session_timer is below 90s, which RFC 4028 has as the least", code: ConfigurationCode.badValue)
    }
    if media.sipTransport.contains(.tls) {
      for (key, file) in [("sip_tls_cert", media.sipTLSCert), ("sip_tls_key", media.sipTLSKey)] where file.isEmpty {
        together("media.sip_transport names tls, which needs media.\(key)")
      }
      if media.sipTransport.contains(.tcp), media.sipTLSPort == media.sipPort, media.sipPort != 0 {
        together("media.sip_tls_port and media.sip_port are both \(media.sipPort)")
      }
    }
    if let problem = media.sliceProblem { together(problem) }
    for (name, service) in api.services.sorted(by: { $0.key < $1.key }) {
      if service.url.isEmpty {
        together("integration.services.\(name) has no url", code: ConfigurationCode.badValue)
      }
      if service.retry.initialBackoff > service.retry.maxBackoff {
        together("integration.services.\(name).retry: initial_backoff is longer than max_backoff")
      }
      check(service, "integration.services.\(name)")
    }
    check(api.webhooks)
    check(configuration.runtime.llm)
    check(configuration.security)
    checkCluster(configuration)
    check(configuration.storage)
    let turn = configuration.speech
    if turn.vad.minSilenceMs > turn.turn.maxSilenceMs {
      together("speech.vad.min_silence_ms is longer than speech.turn.max_silence_ms")
    }
  }

  private mutating func check(_ service: IntegrationSettings.Service, _ place: String) {
    if service.rateLimit.burst != nil, service.rateLimit.requestsPerSecond == 0 {
      together("\(place).rate_limit: burst has no effect without requests_per_second")
    }
    if !service.events.isEmpty, service.type != .http {
      together("\(place).events has no effect with type \(service.type.rawValue)")
    }
    guard !service.url.isEmpty, !service.url.hasPrefix("https://") else { return }
    if case .mtls = service.auth { together("\(place).auth: type mtls needs an https url") }
    if !service.authoritiesFile.isEmpty { together("\(place).ca has no effect without an https url") }
  }

  private mutating func check(_ llm: LanguageModelSettings) {
    if llm.url.isEmpty, !llm.fallbacks.isEmpty { together("runtime.llm.fallbacks needs runtime.llm.url") }
    if llm.hedgeAfter > .zero {
      if llm.fallbacks.isEmpty { together("runtime.llm.hedge_after needs runtime.llm.fallbacks") }
      if llm.hedgeAfter >= llm.timeout { together("runtime.llm.hedge_after is not shorter than runtime.llm.timeout") }
    }
    for (number, fallback) in llm.fallbacks.enumerated() where fallback.url.isEmpty {
      let place = "runtime.llm.fallbacks[\(number)]"
      if !fallback.apiKey.isEmpty { together("\(place).api_key needs a url of its own") }
      if fallback.model.isEmpty { together("\(place) names neither a url nor a model") }
    }
  }

  private mutating func checkCluster(_ configuration: Configuration) {
    let runtime = configuration.runtime, mtls = configuration.security.mtls
    if runtime.stateStore == .redis, configuration.storage.redis == nil {
      together("runtime.state_store redis needs storage.redis")
    }
    if runtime.stateStore == .postgres, configuration.storage.postgresURL == nil {
      together("runtime.state_store postgres needs a PostgreSQL database in storage.database")
    }
    if runtime.stateStore != .memory, configuration.security.stateKeys.isEmpty {
      together(
        "runtime.state_store \(runtime.stateStore.rawValue) needs security.state_keys: what callers say is not kept in the open"
      )
    }
    guard mtls.enabled else { return }
    for (key, file) in [
      ("server_cert", mtls.serverCertificateFile), ("server_key", mtls.serverKeyFile), ("ca_cert", mtls.authorityFile),
    ] where file.isEmpty {
      together("security.mtls.enabled needs cert_dir or \(key)")
    }
  }

  private mutating func check(_ security: SecuritySettings) {
    if !security.jwt.jwksURL.isEmpty, security.jwt.issuer.isEmpty || security.jwt.audience.isEmpty {
      together("security.api.jwt.jwks_url needs issuer and audience: without them a token for another service would do")
    }
    let secrets = security.apiTokens.map(\.token)
    if Set(secrets).count < secrets.count { together("security.api.tokens: the same token stands there twice") }
  }

  mutating func together(_ message: String, code: String = ConfigurationCode.contradiction) {
    problems.append(Diagnostic(code: code, severity: .error, file: file, position: nil, message: message))
  }

  private func overlap(_ a: String, _ b: String) -> Bool {
    let any = ["0.0.0.0", "::"]
    return a == b || any.contains(a) || any.contains(b)
  }
}

extension Configuration {
  /// Puts the data folder, and every path below it that is not in `keys`, elsewhere.
  /// - Parameter keys: dotted keys that keep what they are, such as ``ConfigurationLoader/Loaded/keysSet``.
  public mutating func moveData(to folder: String, keeping keys: Set<String> = []) {
    var folder = folder
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    storage.dataDir = folder
    if !keys.contains("storage.database") { storage.database = "sqlite://" + folder + "/parley.db" }
    if !keys.contains("storage.objects") { storage.objects = .folder(folder + "/objects") }
    if !keys.contains("speech.model_dir") { speech.modelDir = folder + "/models" }
  }
}
