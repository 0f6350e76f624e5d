import Base

/// What a ``SIPScreen`` lets through.
public struct SIPScreenSettings: Sendable {
  /// What the owner knows of a peer.
  public enum Standing: Sendable {
    /// A trunk or a proxy of ours: never limited, never muted. UDP senders can be forged, so whoever must always get through
    /// has to be known as such.
    case trusted
    case stranger
    /// On the deny list: silence.
    case denied
  }

  /// nil: everybody is a stranger.
  public var standing: (@Sendable (SIPPeer) -> Standing)?
  /// Parts of User-Agent values, in lower case, whose senders look for gateways to rob: silence. An answer, even a refusal,
  /// tells them that there is one.
  public var scanners = SIPScreenSettings.knownScanners
  /// Requests of one source per second, and at once: a phone that registers, calls and hangs up needs about ten in a second.
  /// nil: no limit. What is above is dropped; who means it sends it again (RFC 3261 17.1).
  public var requestsPerSecond: Double? = 20
  public var requestBurst = 100
  /// Malformed messages of one source per second, and at once, before nothing of it is read for ``muteTime``.
  /// nil: nobody is muted. UDP senders can be forged, and so a peer that is no ``Standing/trusted`` one be silenced by others.
  public var malformedPerSecond: Double? = 1
  public var malformedBurst = 20
  public var muteTime = Duration.seconds(60)
  /// Sources that are remembered; beyond it the oldest begin afresh. About 100 bytes each.
  public var sources = 8_192

  public init() {}

  /// What the tools that scan the net for SIP call themselves, as long as nobody told them not to.
  public static let knownScanners: [String] = [
    "friendly-scanner", "friendly-request", "sipvicious", "sipcli", "sip-scan", "sundayddr", "pplsip",
    "vaxsipuseragent", "vaxasip", "iwar", "sivus", "smap", "sipscan", "warvox", "gulp",
  ]
}

/// Looks at a message before the parser does, and decides from its first bytes, its User-Agent and its sender whether it is
/// read at all. A pure value of bounded size; it never makes an answer.
public struct SIPScreen: Sendable {
  public enum Verdict: String, Hashable, Sendable, CaseIterable {
    case pass
    /// The sender is on the deny list.
    case denied
    /// The sender has sent too much nonsense a short while ago.
    case muted
    /// A known tool.
    case scanner
    /// More requests than one source may send.
    case tooMany = "too_many"
  }

  private let settings: SIPScreenSettings
  private let scanners: [[UInt8]]
  private var requests: TokenBuckets<SIPSource>?
  private var malformed: TokenBuckets<SIPSource>?
  /// Until when nothing of a source is read, in two halves like ``TokenBuckets``.
  private var muted: [SIPSource: Instant] = [:]
  private var mutedBefore: [SIPSource: Instant] = [:]

  public init(_ settings: SIPScreenSettings) {
    self.settings = settings
    scanners = settings.scanners.map { $0.utf8.map(asciiLowercase) }.filter { !$0.isEmpty }
    requests = settings.requestsPerSecond.map {
      TokenBuckets(TokenBucket(perSecond: $0, burst: settings.requestBurst), limit: settings.sources)
    }
    malformed = settings.malformedPerSecond.map {
      TokenBuckets(TokenBucket(perSecond: $0, burst: settings.malformedBurst), limit: settings.sources)
    }
  }

  /// Sources that are muted or were.
  var mutedCount: Int { muted.count + mutedBefore.count }

  /// Whether this message is to be read.
  public mutating func judge(_ bytes: [UInt8], from peer: SIPPeer, at now: Instant) -> Verdict {
    switch settings.standing?(peer) ?? .stranger {
    case .trusted: return .pass
    case .denied: return .denied
    case .stranger: break
    }
    let source = SIPSource(peer.host)
    if let until = muted[source] ?? mutedBefore[source], now < until { return .muted }
    // Responses cost little where they belong to nothing, and nobody can do without them.
    if bytes.starts(with: "SIP/2.0 ".utf8) { return .pass }
    if isScanner(bytes) { return .scanner }
    return requests?.take(source, at: now) == nil ? .pass : .tooMany
  }

  /// The parser could not read a message of this peer.
  public mutating func sawMalformed(from peer: SIPPeer, at now: Instant) {
    if case .trusted? = settings.standing?(peer) { return }
    let source = SIPSource(peer.host)
    guard malformed?.take(source, at: now) != nil else { return }
    if muted[source] == nil, muted.count >= max(1, settings.sources / 2) {
      mutedBefore = muted
      muted = [:]
    }
    muted[source] = now + settings.muteTime
  }

  // MARK: Scanners

  /// Goes over the header lines once; only User-Agent is looked into.
  private func isScanner(_ bytes: [UInt8]) -> Bool {
    guard !scanners.isEmpty else { return false }
    var start = bytes.startIndex
    while start < bytes.endIndex {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.endIndex
      let first = bytes[start]
      // The empty line: what follows is a body.
      if end - start <= 1, start > bytes.startIndex, first == 0x0D || first == 0x0A { return false }
      if asciiLowercase(first) == UInt8(ascii: "u"), namesScanner(bytes[start..<end]) { return true }
      start = end + 1
    }
    return false
  }

  private func namesScanner(_ line: ArraySlice<UInt8>) -> Bool {
    guard let colon = line.prefix(32).firstIndex(of: UInt8(ascii: ":")),
      SIPHeaderName(SIPScanner.trimmed(line[..<colon])) == .userAgent
    else { return false }
    let value = line[(colon + 1)...].prefix(256).map(asciiLowercase)
    return scanners.contains { name in
      guard value.count >= name.count else { return false }
      return (0...(value.count - name.count)).contains { value[$0] == name[0] && value[$0...].starts(with: name) }
    }
  }
}
