import Base

/// What the media role is told at its start: the `media` section of the configuration file, checked and in its own types.
public struct MediaGatewayConfiguration: Sendable {
  /// A transport that SIP is listened on (RFC 3261 section 18).
  public enum SIPTransport: String, Sendable, CaseIterable { case udp, tcp, tls }

  /// A codec by its name in `media.codecs`.
  public enum Codec: String, Sendable, CaseIterable { case g711ulaw = "g711-ulaw", g711alaw = "g711-alaw" }

  /// Address that SIP and RTP sockets are bound to. `0.0.0.0`: every IPv4 interface.
  public var host = "0.0.0.0"
  /// `media.sip_port`; 0 asks the system for a free one (see ``MediaGateway/listeningAddresses``).
  public var sipPort = 5060
  /// `media.sip_transport`.
  public var sipTransports: [SIPTransport] = [.udp, .tcp]
  /// `media.sip_tls_port`; 0 asks the system for a free one.
  public var sipTLSPort = 5061
  /// Needed by ``SIPTransport/tls``.
  public var sipCertificates: SIPCertificateFiles?
  /// `media.advertised_address`: what Contact and SDP carry. nil (`auto`): the local address that the peer is reached from.
  public var advertisedAddress: String?
  /// `media.rtp_port_range`; pairs of an even RTP and the odd RTCP port above it are taken from it.
  public var rtpPorts: ClosedRange<Int> = 10000...20000
  /// How long a released port pair stays unused, so that late packets of one call never reach the next.
  public var rtpPortQuarantine: Duration = .seconds(5)
  /// `media.rtp_symmetric`: answer to where the peer's media comes from, not to where its SDP says.
  public var rtpSymmetric = true
  /// `media.codecs`, most wanted first; those that are not built yet are left out by the caller.
  public var codecs: [Codec] = [.g711ulaw, .g711alaw]
  /// `media.jitter_buffer_ms`: the most delay the adaptive buffer may add.
  public var jitterBufferMs = 60
  /// `media.packet_loss_concealment`; silence takes the place of lost audio when off.
  public var packetLossConcealment = true
  /// `media.reconnection_timeout`: no media for this long, while not held, ends the call.
  public var reconnectionTimeout: Duration = .seconds(30)
  /// `media.session_timer` in seconds (RFC 4028): how often a peer must show that the call is still alive; 0: never.
  public var sessionTimerSeconds = 1_800
  /// `media.max_calls`; above it a new call is answered 503.
  public var maxCalls = 1000
  /// How long the speech role may take from the offer to answer or reject; then the caller gets 503.
  public var answerTimeout: Duration = .seconds(30)
  /// `media.access`.
  public var access = Access()
  /// The `Server` and `User-Agent` header.
  public var product = "Parley"

  /// Who may call, and how often.
  public struct Access: Sendable, Hashable {
    /// CIDRs (`10.0.0.0/8`, a bare address) that may call; empty: everyone.
    public var allow: [String] = []
    /// CIDRs that may not; stronger than `allow`. A datagram from there is not answered at all.
    public var deny: [String] = []
    /// New calls per second, over all peers; above it 503. 0 switches the limit off.
    public var maxCallsPerSecond = 50
    /// Whether tools that scan the net for gateways to rob hear nothing.
    public var dropsScanners = true

    public init(
      allow: [String] = [], deny: [String] = [], maxCallsPerSecond: Int = 50, dropsScanners: Bool = true
    ) {
      self.dropsScanners = dropsScanners
      self.allow = allow
      self.deny = deny
      self.maxCallsPerSecond = maxCallsPerSecond
    }
  }

  public init() {}
}

/// PEM files that SIP over TLS is spoken with (RFC 3261 26.2.1, RFC 5922).
public struct SIPCertificateFiles: Sendable, Hashable {
  /// `media.sip_tls_cert`: the gateway's certificate and those between it and its root.
  public var certificate: String
  /// `media.sip_tls_key`: its private key, without a passphrase.
  public var key: String
  /// `media.sip_tls_client_ca`: the authorities that peers' certificates must come from; nil: peers need show none.
  public var clientAuthorities: String?

  public init(certificate: String, key: String, clientAuthorities: String? = nil) {
    self.certificate = certificate
    self.key = key
    self.clientAuthorities = clientAuthorities
  }
}

/// Why the media role could not start. The description is one sentence for a person.
public struct MediaGatewayError: Error, Sendable, CustomStringConvertible {
  /// A closed list, so that a caller can decide.
  public enum Code: String, Sendable { case portInUse, badAddress, badConfiguration, listenFailed, alreadyStarted }
  public var code: Code
  public var description: String

  public init(code: Code, description: String) {
    self.code = code
    self.description = description
  }
}

/// Where SIP listens: the transport and the bound host and port.
public struct ListeningAddress: Sendable, Hashable, CustomStringConvertible {
  public var transport: MediaGatewayConfiguration.SIPTransport
  public var host: String
  public var port: Int
  public var description: String { "\(transport.rawValue)/\(host):\(port)" }

  public init(transport: MediaGatewayConfiguration.SIPTransport, host: String, port: Int) {
    self.transport = transport
    self.host = host
    self.port = port
  }
}

/// Where the media role counts. Every closure may be called on any event loop and must neither block nor take long; the
/// defaults do nothing. Packet counters arrive as sums every five seconds and at a call's end, never per packet.
public struct MediaMetrics: Sendable {
  /// `vg_sip_requests_total{method,status}`: one final answer to a request of a peer; status 0 for what was not answered.
  public var sipRequest: @Sendable (_ method: String, _ status: Int) -> Void = { _, _ in }
  /// `vg_rtp_packets_received_total`: packets since the last report.
  public var rtpReceived: @Sendable (_ packets: Int) -> Void = { _ in }
  /// `vg_rtp_packets_lost_total`: packets since the last report.
  public var rtpLost: @Sendable (_ packets: Int) -> Void = { _ in }
  /// `vg_rtp_packets_rejected_total{reason}`: packets since the last report; the reasons are a closed list.
  public var rtpRejected: @Sendable (_ reason: String, _ packets: Int) -> Void = { _, _ in }
  /// `vg_rtp_jitter_ms`: one leg's interarrival jitter, every five seconds.
  public var rtpJitter: @Sendable (_ milliseconds: Double) -> Void = { _ in }
  /// `vg_mos`: one leg's estimated mean opinion score, every five seconds.
  public var mos: @Sendable (_ score: Double) -> Void = { _ in }
  /// `vg_audio_buffer_underruns_total`: playout slots without audio since the last report.
  public var underruns: @Sendable (_ slots: Int) -> Void = { _ in }
  /// `vg_event_loop_lag_seconds`: how late a pacing tick ran.
  public var eventLoopLag: @Sendable (_ seconds: Double) -> Void = { _ in }
  /// `vg_call_capacity`: calls that may be live at once.
  public var callCapacity: @Sendable (_ calls: Int) -> Void = { _ in }
  /// `vg_draining`: whether new calls are refused because the process is stopping.
  public var draining: @Sendable (_ draining: Bool) -> Void = { _ in }
  /// `vg_sessions_resumed_total{role="media",outcome}`: one call of a process that is gone, and what came of it; the raw
  /// values of ``ResumeOutcome``.
  public var sessionResumed: @Sendable (_ outcome: String) -> Void = { _ in }
  /// Calls that the media role holds now, offered ones included.
  public var activeCalls: @Sendable (_ calls: Int) -> Void = { _ in }

  public init() {}
}
