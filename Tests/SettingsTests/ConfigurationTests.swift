import Base
import FoundationEssentials
import Settings
import Testing

/// The configuration as users meet it: defaults, a file, the environment, and what they are told when it is wrong.
@Suite struct ConfigurationTests {
  private func load(_ text: String, _ environment: [String: String] = [:]) throws -> Configuration {
    try ConfigurationLoader(environment: environment).load(text: text, file: "config.yaml").configuration
  }

  private func problems(_ text: String, _ environment: [String: String] = [:]) -> [String] {
    do {
      _ = try ConfigurationLoader(environment: environment).load(text: text, file: "config.yaml")
      return []
    } catch {
      return error.all.map(\.description)
    }
  }

  @Test func theDefaultsAreThoseOfTheContract() throws {
    let defaults = try load("")
    #expect(defaults == Configuration())
    #expect(defaults.media.sipPort == 5060)
    #expect(defaults.media.sipTransport == [.udp, .tcp])
    #expect(defaults.media.rtpPortRange == PortRange(first: 10000, last: 20000))
    #expect(defaults.media.codecs == [.g711ulaw, .g711alaw])
    #expect(defaults.media.jitterBufferMs == 60)
    #expect(defaults.media.reconnectionTimeout == .seconds(30))
    #expect(defaults.media.maxCalls == 1000)
    #expect(defaults.speech.modelDir == "/var/lib/voice-gateway/models")
    #expect(defaults.speech.vad.minSilenceMs == 500)
    #expect(defaults.runtime.dialogDir == "/etc/voice-gateway/dialogs/")
    #expect(defaults.integration.apiPort == 8080)
    #expect(defaults.integration.maxRetries == 3)
    #expect(defaults.storage.database == "sqlite:///var/lib/voice-gateway/parley.db")
    #expect(defaults.storage.databasePath == "/var/lib/voice-gateway/parley.db")
    #expect(defaults.observability.metrics.port == 9100)
  }

  @Test func aFileChangesWhatItNames() throws {
    let configuration = try load(
      """
      media:
        sip_port: 5070
        sip_transport: tcp
        rtp_port_range: "30000-30099"
        access: { allow: [10.0.0.0/8, "2001:db8::/32"], max_calls_per_second: 5 }
      runtime:
        default_timeout: 1500ms
      security: { api: { tokens: ["0123456789abcdef"] } }
      """)
    #expect(configuration.media.sipPort == 5070)
    #expect(configuration.media.sipTransport == [.tcp])
    #expect(configuration.media.rtpPortRange.closedRange == 30000...30099)
    #expect(configuration.media.access.allow.map(\.text) == ["10.0.0.0/8", "2001:db8::/32"])
    #expect(configuration.runtime.defaultTimeout == .milliseconds(1500))
    #expect(configuration.security.apiTokens.map { $0.token.reveal() } == ["0123456789abcdef"])
    #expect(configuration.media.maxCalls == 1000)
  }

  @Test(arguments: [
    (
      "media:\n  sip_prot: 5070",
      "config.yaml:2:3: error: C003 media: unknown key `sip_prot` (did you mean `sip_port`?)"
    ),
    ("medai: {}", "config.yaml:1:1: error: C003 unknown key `medai` (did you mean `media`?)"),
    (
      "speech:\n  vad:\n    treshold: 1",
      "config.yaml:3:5: error: C003 speech.vad: unknown key `treshold` (did you mean `threshold`?)"
    ),
    (
      "media: { sip_port: 70000 }", "config.yaml:1:20: error: C005 media.sip_port: 70000 is not between 0 and 65535"
    ),
    ("media:\n  sip_port: many", "config.yaml:2:13: error: C004 media.sip_port: `many` is not a whole number"),
    (
      "media:\n  sip_port: [1]",
      "config.yaml:2:13: error: C004 media.sip_port: must be a whole number, not a list or mapping"
    ),
    ("media: 5", "config.yaml:1:8: error: C004 media: must be a mapping of keys to values"),
    (
      "media:\n  codecs: [g711-ulaw, opus]",
      "config.yaml:2:23: error: C006 media.codecs: `opus` is not supported by this version (it knows g711-ulaw, g711-alaw)"
    ),
    (
      "media:\n  codecs: [g711-mulaw]",
      "config.yaml:2:12: error: C005 media.codecs: `g711-mulaw` is unknown (did you mean `g711-ulaw`?)"
    ),
    ("media:\n  codecs: []", "config.yaml:2:11: error: C005 media.codecs: must not be empty"),
    (
      "media:\n  srtp: optional",
      "config.yaml:2:9: error: C006 media.srtp: not supported by this version (only `\"off\"` can stand here)"
    ),
    (
      "media: { trunks: [{ name: main }] }",
      "config.yaml:1:18: error: C006 media.trunks: not supported by this version (only `[]` can stand here)"
    ),
    (
      "runtime: { default_timeout: 10 }",
      "config.yaml:1:29: error: C004 runtime.default_timeout: `10` is not a duration (write 250ms, 10s or 5m)"
    ),
    ("runtime: { barge_in: yes }", "config.yaml:1:22: error: C004 runtime.barge_in: `yes` is neither true nor false"),
    (
      "runtime: { state_store: redis }\nsecurity: { state_keys: [0123456789abcdef0123456789abcdef] }",
      "config.yaml: error: C010 runtime.state_store redis needs storage.redis"
    ),
    (
      "storage: { redis: \"redis://host\" }\nruntime: { state_store: redis }",
      "config.yaml: error: C010 runtime.state_store redis needs security.state_keys: what callers say is not kept in the open"
    ),
    (
      "security: { state_keys: [short] }",
      "config.yaml:1:26: error: C005 security.state_keys: a key has 32 or more characters (openssl rand -hex 32)"
    ),
    (
      "cluster: { speech: [host] }",
      "config.yaml:1:21: error: C005 cluster.speech: `host` is not an address as `host:port`"
    ),
    (
      "storage: { redis: \"redis://ann:hunter22@host/x\" }",
      "config.yaml:1:19: error: C005 storage.redis: has a path that is no number of a database"
    ),
    (
      "storage: { database: \"postgres://\" }",
      "config.yaml:1:22: error: C005 storage.database: is not a PostgreSQL address (write postgres://user:password@host:5432/database)"
    ),
    (
      "media: { access: { deny: [10.0.0.0/33] } }",
      "config.yaml:1:27: error: C005 media.access.deny: `10.0.0.0/33` is not an address or CIDR (write 10.0.0.0/8 or 192.0.2.7)"
    ),
    (
      "media: { rtp_port_range: \"20000-10000\" }",
      "config.yaml:1:26: error: C005 media.rtp_port_range: 20000-10000 must rise and lie between 1024 and 65535"
    ),
    (
      "security: { api: { tokens: [short] } }",
      "config.yaml:1:29: error: C005 security.api.tokens: a token has 16 or more visible ASCII characters (openssl rand -hex 24)"
    ),
    (
      "security: { mtls: { enabled: true } }",
      """
      config.yaml: error: C010 security.mtls.enabled needs cert_dir or server_cert
      config.yaml: error: C010 security.mtls.enabled needs cert_dir or server_key
      config.yaml: error: C010 security.mtls.enabled needs cert_dir or ca_cert
      """
    ),
    (
      "integration: { api_port: 9100 }",
      "config.yaml: error: C010 integration.api_port and observability.metrics.port are both 9100"
    ),
    (
      "media: { sip_port: 10001 }",
      "config.yaml: error: C010 media.sip_port 10001 lies inside media.rtp_port_range 10000-20000"
    ),
  ])
  func everyMistakeIsASentenceWithItsPlace(text: String, expected: String) {
    #expect(problems(text).joined(separator: "\n") == expected)
  }

  @Test func allMistakesAreToldAtOnce() {
    let found = problems("media:\n  sip_port: x\n  nope: 1\nspeech: { engine: sherpa }\nruntime: { barge_in: 3 }\n")
    #expect(found.count == 4)
    #expect(
      found.map { String($0.split(separator: " ")[0]) }
        == ["config.yaml:2:13:", "config.yaml:3:3:", "config.yaml:4:19:", "config.yaml:5:22:"])
  }

  @Test func keysOfLaterVersionsMayStandSwitchedOff() throws {
    let configuration = try load(
      """
      media: { srtp: off, trunks: [], users: [], sip_tls_cert: "" }
      speech: { gpu: auto, beam_size: 5, temperature: 0.0, partial_results: false, tts: { url: "" } }
      runtime: { llm: { url: "", fallbacks: [] } }
      storage: { redis: "" }
      observability: { tracing: { enabled: false, otlp_endpoint: "" } }
      security: { mtls: { enabled: false }, pii: { redact: [] } }
      """)
    #expect(configuration == Configuration())
  }

  // MARK: Environment

  @Test func everyKeyCanComeFromTheEnvironment() throws {
    let configuration = try load(
      "media: { sip_port: 5070 }",
      [
        "VG_MEDIA_SIP_PORT": "5080", "VG_MEDIA_SIP_TRANSPORT": "udp", "VG_MEDIA_CODECS": "g711-alaw, g711-ulaw",
        "VG_MEDIA_ACCESS_ALLOW": "[10.0.0.0/8]", "VG_SPEECH_VAD_THRESHOLD": "0.7",
        "VG_INTEGRATION_SERVICES": "{ crm: { url: 'http://crm:80/x' } }", "VG_SECURITY_API_TOKENS": "0123456789abcdef",
        "VG_STORAGE_DATA_DIR": "/srv/parley/",
      ])
    #expect(configuration.media.sipPort == 5080)
    #expect(configuration.media.sipTransport == [.udp])
    #expect(configuration.media.codecs == [.g711alaw, .g711ulaw])
    #expect(configuration.media.access.allow.map(\.text) == ["10.0.0.0/8"])
    #expect(configuration.speech.vad.threshold == 0.7)
    #expect(configuration.integration.services["crm"]?.url == "http://crm:80/x")
    #expect(configuration.security.apiTokens.count == 1)
    #expect(configuration.storage.database == "sqlite:///srv/parley/parley.db")
  }

  @Test func aWrongVariableIsNamed() {
    #expect(
      problems("", ["VG_MEDIA_SIP_PORT": "x"])
        == ["environment variable VG_MEDIA_SIP_PORT: error: C004 media.sip_port: `x` is not a whole number"])
    #expect(problems("", ["VG_MEDIA_SRTP": "required"]).first?.contains("C006") == true)
  }

  @Test func anUnknownVariableIsAWarning() throws {
    let loaded = try ConfigurationLoader(environment: ["VG_MEDIA_SIP_PROT": "1"]).load(text: "", file: nil)
    #expect(
      loaded.warnings.map(\.description)
        == [
          "environment variable VG_MEDIA_SIP_PROT: warning: C003 no key has this name (did you mean VG_MEDIA_SIP_PORT?)"
        ])
  }

  @Test func theDataFolderMovesWhatNobodyPlaced() throws {
    let configuration = try load("storage: { data_dir: /d }\nspeech: { model_dir: /m }")
    #expect(configuration.storage.database == "sqlite:///d/parley.db")
    #expect(configuration.storage.objectsPath == "/d/objects")
    #expect(configuration.speech.modelDir == "/m")
  }

  // MARK: The language model

  @Test func aLanguageModelIsReadWhole() throws {
    let llm = try load(
      """
      runtime:
        llm:
          url: https://api.example/v1
          model: large
          api_key: "${KEY}"
          timeout: 6s
          hedge_after: 800ms
          max_retries: 2
          fallbacks:
            - { model: small }
            - { url: "http://127.0.0.1:8000/v1", api_key: other }
          embeddings_url: http://127.0.0.1:8001/v1
          embeddings_model: vectors
      """, ["KEY": "s3cret"]
    ).runtime.llm
    #expect(llm.url == "https://api.example/v1" && llm.model == "large" && llm.apiKey.reveal() == "s3cret")
    #expect(llm.timeout == .seconds(6) && llm.hedgeAfter == .milliseconds(800) && llm.maxRetries == 2)
    #expect(llm.fallbacks.map(\.model) == ["small", ""])
    #expect(llm.fallbacks.map(\.url) == ["", "http://127.0.0.1:8000/v1"])
    #expect(llm.embeddingsURL == "http://127.0.0.1:8001/v1" && llm.embeddingsModel == "vectors")
    #expect(try load("runtime: { llm: { url: \"\", api_key: \"\", fallbacks: [] } }").runtime.llm.url.isEmpty)
  }

  @Test(arguments: [
    ("{ url: api.example }", "C005 runtime.llm.url: is not an http or https URL"),
    ("{ url: \"http://u:p@x\" }", "C005 runtime.llm.url: must not carry a user or password (use `api_key`)"),
    ("{ url: \"http://x\", api_key: \"two words\" }", "C005 runtime.llm.api_key: holds characters that no token has"),
    ("{ fallbacks: [{ model: m }] }", "C010 runtime.llm.fallbacks needs runtime.llm.url"),
    ("{ url: \"http://x\", hedge_after: 1s }", "C010 runtime.llm.hedge_after needs runtime.llm.fallbacks"),
    (
      "{ url: \"http://x\", fallbacks: [{ model: m }], hedge_after: 10s }",
      "C010 runtime.llm.hedge_after is not shorter than runtime.llm.timeout"
    ),
    ("{ url: \"http://x\", fallbacks: [{ }] }", "C010 runtime.llm.fallbacks[0] names neither a url nor a model"),
    (
      "{ url: \"http://x\", fallbacks: [{ model: m, api_key: k }] }",
      "C010 runtime.llm.fallbacks[0].api_key needs a url of its own"
    ),
  ])
  func aMistakeInTheLanguageModelIsASentence(text: String, expected: String) {
    let found = problems("runtime:\n  llm: \(text)")
    #expect(found.contains { $0.contains(expected) }, "\(found)")
  }

  // MARK: Services

  @Test func aServiceIsReadWhole() throws {
    let service = try load(
      """
      integration:
        services:
          crm:
            type: http
            url: https://crm.example/hooks
            method: PUT
            headers: { X-Team: voice }
            timeout: 2s
            retry: { max_attempts: 5, initial_backoff: 50ms, max_backoff: 1s, backoff_multiplier: 3 }
            auth: { type: api_key, header: X-Key, key: "${KEY}" }
      """, ["KEY": "s3cret"]
    ).integration.services["crm"]
    #expect(service?.method == .put)
    #expect(service?.timeout == .seconds(2))
    #expect(service?.retry.maxAttempts == 5)
    #expect(service?.retry.initialBackoff == .milliseconds(50))
    #expect(service?.auth == .apiKey(header: "X-Key", key: Secret("s3cret")))
    #expect(service?.headers["X-Team"]?.reveal() == "voice")
  }

  @Test func limitsEventsAndCredentialsAreRead() throws {
    let services = try load(
      """
      integration:
        outbound: { allow_private: [10.0.0.0/8, "*.internal", crm.local.], deny: 10.1.2.3 }
        services:
          signed:
            url: https://a.example
            ca: /etc/ca.pem
            rate_limit: { requests_per_second: 2.5, burst: 7 }
            circuit_breaker: { threshold: 4, timeout: 10s, half_open_requests: 2 }
            events: [call_start, call_end]
            auth: { type: hmac, secret: [fresh-key, stale-key] }
          tokens:
            url: https://b.example
            auth: { type: oauth2, token_url: "https://id.example/token", client_id: me, client_secret: s3cret, scopes: [a, b], audience: crm, client_auth: post }
          certified: { url: "https://c.example", auth: { type: mtls, cert: /c.pem, key: /k.pem } }
      """)
    let integration = services.integration
    #expect(integration.outbound.allowPrivate.map(\.description) == ["10.0.0.0/8", "*.internal", "crm.local"])
    #expect(integration.outbound.deny.map(\.description) == ["10.1.2.3"])
    let signed = try #require(integration.services["signed"])
    #expect(signed.authoritiesFile == "/etc/ca.pem")
    #expect(signed.rateLimit.requestsPerSecond == 2.5 && signed.rateLimit.burst == 7)
    #expect(signed.circuitBreaker.threshold == 4 && signed.circuitBreaker.timeout == .seconds(10))
    #expect(signed.circuitBreaker.halfOpenRequests == 2)
    #expect(signed.events == [.callStart, .callEnd])
    #expect(signed.auth == .hmac(secrets: [Secret("fresh-key"), Secret("stale-key")]))
    guard case .oauth2(let oauth2)? = integration.services["tokens"]?.auth else {
      Issue.record("no oauth2")
      return
    }
    #expect(oauth2.tokenURL == "https://id.example/token" && oauth2.clientID == "me")
    #expect(oauth2.clientSecret.reveal() == "s3cret" && oauth2.scopes == ["a", "b"] && oauth2.audience == "crm")
    #expect(oauth2.clientAuthentication == .post)
    #expect(integration.services["certified"]?.auth == .mtls(certificate: "/c.pem", key: "/k.pem"))
    let shown = ConfigurationText.yaml(services)
    #expect(!shown.contains("s3cret") && !shown.contains("stale-key"))
  }

  @Test(arguments: [
    ("{}", "C005 integration.services.crm has no url", ""),
    ("{ url: ftp://x }", "C005 integration.services.crm.url: is not an http or https URL", "4:17"),
    (
      "{ url: \"http://u:p@x\" }",
      "C005 integration.services.crm.url: must not carry a user or password (use `auth` with type basic)", "4:17"
    ),
    (
      "{ url: \"http://x\", auth: { type: bearer } }", "C005 integration.services.crm.auth: type bearer needs `token`",
      "4:35"
    ),
    (
      "{ url: \"http://x\", auth: { type: none, token: abc } }",
      "C010 integration.services.crm.auth: `token` has no effect with type none", "4:49"
    ),
    (
      "{ url: \"http://x\", auth: { type: hmac } }", "C005 integration.services.crm.auth: type hmac needs `secret`",
      "4:35"
    ),
    (
      "{ url: \"http://x\", auth: { type: oauth2, client_id: a, client_secret: b } }",
      "C005 integration.services.crm.auth: type oauth2 needs `token_url`", "4:35"
    ),
    (
      "{ url: \"http://x\", auth: { type: hmac, secret: s, scopes: [a] } }",
      "C010 integration.services.crm.auth: `scopes` has no effect with type hmac", "4:60"
    ),
    (
      "{ url: \"http://x\", auth: { type: mtls, cert: /c.pem, key: /k.pem } }",
      "C010 integration.services.crm.auth: type mtls needs an https url", ""
    ),
    (
      "{ url: \"http://x\", ca: /ca.pem }", "C010 integration.services.crm.ca has no effect without an https url", ""
    ),
    (
      "{ url: \"http://x\", rate_limit: { burst: 5 } }",
      "C010 integration.services.crm.rate_limit: burst has no effect without requests_per_second", ""
    ),
    (
      "{ url: \"http://x\", type: mcp, events: [call_end] }",
      "C010 integration.services.crm.events has no effect with type mcp", ""
    ),
    (
      "{ url: \"http://x\", events: [call_ended] }",
      "C005 integration.services.crm.events: `call_ended` is unknown (did you mean `call_end`?)", "4:38"
    ),
    (
      "{ url: \"http://x\", tiemout: 5s }",
      "C003 integration.services.crm: unknown key `tiemout` (did you mean `timeout`?)", "4:29"
    ),
    (
      "{ url: \"http://x\", headers: { Host: y } }",
      "C005 integration.services.crm.headers: `Host` cannot be a name here", "4:40"
    ),
  ])
  func aWrongServiceIsExplained(service: String, expected: String, place: String) {
    let found = problems("integration:\n  services:\n    # the CRM\n    crm: \(service)\n")
    let position = place.isEmpty ? "" : ":\(place)"
    #expect(found == ["config.yaml\(position): error: \(expected)"])
  }

  // MARK: Showing

  private static let rich = """
    media: { sip_port: 5070, access: { deny: [192.0.2.0/24] } }
    speech: { tts: { voice: "${literal" } }
    integration:
      services:
        crm: { url: "http://crm", auth: { type: bearer, token: very-secret-token }, headers: { X-Key: hidden-value } }
    security: { api: { tokens: [another-secret-token] } }
    """.replacingFirst("${literal", with: "$${literal")

  @Test func secretsAreNeverShown() throws {
    let configuration = try load(Self.rich)
    let shown = ConfigurationText.yaml(configuration)
    for secret in ["very-secret-token", "hidden-value", "another-secret-token"] {
      #expect(!shown.contains(secret))
      #expect(!"\(configuration)".contains(secret))
      #expect(!String(reflecting: configuration).contains(secret))
      var dumped = ""
      dump(configuration, to: &dumped)
      #expect(!dumped.contains(secret))
    }
    #expect(shown.contains("***"))
  }

  @Test func whatIsShownIsTakenAgain() throws {
    var configuration = try load(Self.rich)
    configuration.security.apiTokens = []
    let again = try load(ConfigurationText.yaml(configuration))
    #expect(ConfigurationText.yaml(again) == ConfigurationText.yaml(configuration))
    #expect(again.media == configuration.media)
    #expect(again.speech == configuration.speech)
  }

  @Test func theFileComesFromTheOptionThenTheEnvironment() throws {
    #expect(throws: Diagnostics.self) {
      try ConfigurationLoader(environment: ["PARLEY_CONFIG": "/nowhere/env.yaml"]).load()
    }
    do {
      _ = try ConfigurationLoader(environment: ["PARLEY_CONFIG": "/nowhere/env.yaml"]).load(
        path: "/nowhere/option.yaml")
      Issue.record("it was read")
    } catch {
      #expect(error.all.first?.file == "/nowhere/option.yaml")
    }
  }
}

extension String {
  fileprivate func replacingFirst(_ text: String, with other: String) -> String {
    guard let range = firstRange(of: text) else { return self }
    return self[..<range.lowerBound] + other + self[range.upperBound...]
  }
}
