import Base

/// What a successor needs of an established dialog (RFC 3261 section 12) when the process that had it is gone.
///
/// Transactions are not part of it: what the dead process had not answered, the peer repeats or gives up. Neither is a
/// connection, which ends with its process. There is no secure flag (12.1.1), because there is no TLS. Of the session timer
/// only the terms are kept: clocks differ from process to process, and the successor's re-INVITE refreshes the session.
public struct SIPDialogState: Hashable, Sendable {
  /// How far ahead of the kept CSeq a successor begins. The last requests of a dead process may be missing in what it kept,
  /// and one of the successor's with a number that the peer has seen would be refused (500) or taken for a repetition.
  /// A gap does no harm: a UAS has to accept any higher number (12.2.2). The margin is far above what one process can send
  /// between two kept states, and 2^31 numbers have room for two million successors.
  public static let sequenceMargin: UInt32 = 1_000

  public internal(set) var callID: String
  public internal(set) var localTag: String
  /// Empty for a peer of RFC 2543.
  public internal(set) var remoteTag: String
  /// From and To as this side writes them, tags included.
  public internal(set) var localAddress: String
  public internal(set) var remoteAddress: String
  /// The last sequence numbers used, as far as the state knows.
  public internal(set) var localSequence: UInt32
  public internal(set) var remoteSequence: UInt32?
  public internal(set) var remoteTarget: SIPURI
  public internal(set) var routeSet: [String]
  /// Where the peer was reached; without a connection.
  public internal(set) var peer: SIPPeer
  /// Whether this side placed the call: it decides how long glare waits (14.1).
  public internal(set) var isOurs: Bool
  /// Whether the peer takes UPDATE.
  public internal(set) var allowsUpdate = false
  /// nil: the session does not expire.
  public internal(set) var sessionTimer: SessionTimer?

  /// The terms of a session timer (RFC 4028).
  public struct SessionTimer: Hashable, Sendable {
    public internal(set) var seconds: Int
    /// Whether this side refreshes.
    public internal(set) var isOurs: Bool
    /// The least interval that was agreed on, in seconds.
    public internal(set) var minSE: Int
  }

  init(_ dialog: SIPDialog, isOurs: Bool) {
    callID = dialog.callID
    localTag = dialog.localTag
    remoteTag = dialog.remoteTag
    localAddress = dialog.localAddress
    remoteAddress = dialog.remoteAddress
    localSequence = dialog.localSequence
    remoteSequence = dialog.remoteSequence
    remoteTarget = dialog.remoteTarget
    routeSet = dialog.routeSet
    peer = dialog.peer
    peer.connection = nil
    self.isOurs = isOurs
    allowsUpdate = dialog.allowsUpdate
  }
}

// MARK: As data

extension SIPDialogState {
  private static let version: Int64 = 1
  /// A header line (``SIPLimits/headerLineBytes``), which all of these were.
  private static let textLimit = 8_192
  private static let routeLimit = 4_096
  /// Below 2^31 (8.1.1.5), with room for many successors and all that they send.
  private static let sequenceLimit: UInt32 = 0x7FFF_FFFF - 1_000 * sequenceMargin

  public var value: Value {
    var map: [String: Value] = [
      "v": .int(Self.version), "call_id": .string(callID), "local_tag": .string(localTag),
      "remote_tag": .string(remoteTag), "local": .string(localAddress), "remote": .string(remoteAddress),
      "local_cseq": .int(Int64(localSequence)), "target": .string(remoteTarget.description),
      "routes": .list(routeSet.map { .string($0) }), "transport": .string(peer.transport.rawValue),
      "host": .string(peer.host), "port": .int(Int64(peer.port)), "ours": .bool(isOurs),
    ]
    if let remoteSequence { map["remote_cseq"] = .int(Int64(remoteSequence)) }
    if allowsUpdate { map["update"] = .bool(true) }
    if let sessionTimer {
      map["timer"] = [
        "seconds": .int(Int64(sessionTimer.seconds)), "ours": .bool(sessionTimer.isOurs),
        "min": .int(Int64(sessionTimer.minSE)),
      ]
    }
    return .map(map)
  }

  /// Reads what ``value`` has written.
  /// - Throws: ``ValueFields/Fault`` for what is damaged or of another version.
  public init(_ value: Value) throws(ValueFields.Fault) {
    let fields = try ValueFields(value, "dialog")
    try fields.expect(version: Self.version)
    callID = try fields.text("call_id", limit: Self.textLimit)
    localTag = try fields.text("local_tag", limit: Self.textLimit)
    remoteTag = try fields.text("remote_tag", limit: Self.textLimit)
    localAddress = try fields.text("local", limit: Self.textLimit)
    remoteAddress = try fields.text("remote", limit: Self.textLimit)
    localSequence = try fields.number("local_cseq", in: 0...Self.sequenceLimit)
    remoteSequence = fields.has("remote_cseq") ? try fields.number("remote_cseq", in: 0...0x7FFF_FFFF) : nil
    routeSet = try fields.texts("routes", limit: Self.routeLimit, bytes: Self.textLimit)
    peer = SIPPeer(
      try fields.choice("transport", SIPTransport.self), host: try fields.text("host", limit: 255),
      port: try fields.number("port", in: 1...65_535))
    isOurs = try fields.flag("ours")
    // States of before the session timer have neither.
    if fields.has("update") { allowsUpdate = try fields.flag("update") }
    if fields.has("timer") {
      let timer = try fields.fields("timer")
      sessionTimer = SessionTimer(
        seconds: try timer.number("seconds", in: 1...0x7FFF_FFFF), isOurs: try timer.flag("ours"),
        minSE: try timer.number("min", in: 0...0x7FFF_FFFF))
    }
    guard let target = SIPURI(try fields.text("target", limit: Self.textLimit)) else {
      throw ValueFields.Fault("dialog.target is no URI")
    }
    remoteTarget = target
    guard !callID.isEmpty, !localTag.isEmpty, !peer.host.isEmpty else {
      throw ValueFields.Fault("dialog has an empty Call-ID, tag or host")
    }
    guard SIPNameAddress(localAddress)?.tag == localTag, SIPNameAddress(remoteAddress)?.tag ?? "" == remoteTag else {
      throw ValueFields.Fault("dialog has addresses that do not carry its tags")
    }
  }
}

extension SIPDialog {
  /// The dialog of a process that is gone.
  init(restoring state: SIPDialogState) {
    callID = state.callID
    localTag = state.localTag
    remoteTag = state.remoteTag
    localAddress = state.localAddress
    remoteAddress = state.remoteAddress
    localSequence = state.localSequence + SIPDialogState.sequenceMargin
    remoteSequence = state.remoteSequence
    remoteTarget = state.remoteTarget
    routeSet = state.routeSet
    allowsUpdate = state.allowsUpdate
    peer = state.peer
    peer = nextHop
  }
}
