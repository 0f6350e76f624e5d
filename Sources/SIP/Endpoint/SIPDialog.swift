import Base

/// RFC 3261 section 12: what both sides of a call remember about each other. (A `dialog` without SIP in front of it is the
/// YAML machine.)
struct SIPDialog: Sendable {
  let callID: String
  let localTag: String
  let remoteTag: String
  /// From and To as this side writes them, tags included.
  let localAddress: String
  let remoteAddress: String
  /// The last sequence number that we used.
  var localSequence: UInt32
  /// The last one that the other side used; nil before its first request.
  var remoteSequence: UInt32?
  /// The other side's Contact.
  var remoteTarget: SIPURI
  let routeSet: [String]
  /// Where requests within the dialog go.
  var peer: SIPPeer
  /// Whether the other side's Allow names UPDATE.
  var allowsUpdate: Bool

  /// Ours after an INVITE of theirs (12.1.1). nil where it has no usable Contact.
  init?(incoming request: SIPMessage, localTag: String, from peer: SIPPeer) {
    // A caller of RFC 2543 has no tag, and may have no Contact: then it is where its From says.
    let isOld = request.from.tag == nil && request[.contact] == nil
    guard let contact = isOld ? request.from.uri : request.contact?.uri else { return nil }
    callID = request.callID
    self.localTag = localTag
    remoteTag = request.from.tag ?? ""
    var to = request.to
    to.tag = localTag
    localAddress = to.description
    remoteAddress = request[.from] ?? request.from.description
    localSequence = 0
    remoteSequence = request.cseq.number
    remoteTarget = contact
    routeSet = request.values(.recordRoute)
    allowsUpdate = request.allows(.update) ?? false
    self.peer = peer
    self.peer = nextHop
  }

  /// Ours after a response to our INVITE (12.1.2). nil where it has no tag or, if it is a 2xx, no usable Contact.
  init?(outgoing invite: SIPInviteTemplate, response: SIPMessage, from peer: SIPPeer) {
    guard let tag = response.to.tag else { return nil }
    let contact = response.contact?.uri
    guard contact != nil || response.status < 200 else { return nil }
    callID = invite.callID
    localTag = invite.fromTag
    remoteTag = tag
    localAddress = invite.from
    remoteAddress = response[.to] ?? response.to.description
    localSequence = invite.sequence
    remoteSequence = nil
    remoteTarget = contact ?? invite.target
    routeSet = response.values(.recordRoute).reversed()
    allowsUpdate = response.allows(.update) ?? false
    self.peer = peer
    if contact != nil { self.peer = nextHop }
  }

  /// The Request-URI and Route of a request (12.2.1.1), loose routers and strict ones.
  var route: (uri: String, routes: [String]) {
    guard let first = routeSet.first, let hop = SIPNameAddress(first)?.uri else {
      return (remoteTarget.description, routeSet)
    }
    if hop.isLooseRouter { return (remoteTarget.description, routeSet) }
    var strict = hop
    strict.headers = nil
    return (strict.description, routeSet.dropFirst() + ["<\(remoteTarget)>"])
  }

  /// Where to send: the first route or the target, where they are addresses that can be reached from here; else back to
  /// where the dialog's messages come from, which is also right for phones behind a NAT that write private Contacts.
  var nextHop: SIPPeer {
    if peer.transport.isReliable, peer.connection != nil { return peer }
    let uri = routeSet.first.flatMap { SIPNameAddress($0)?.uri } ?? remoteTarget
    guard isAddress(uri.host), !isPrivate(uri.host) || isPrivate(peer.host),
      uri.allows(peer.transport)
    else { return peer }
    return SIPPeer(peer.transport, host: uri.host, port: uri.port ?? peer.transport.defaultPort)
  }

  /// Whether a message with these tags belongs to this dialog.
  func matches(callID: String, localTag: String, remoteTag: String) -> Bool {
    self.callID == callID && self.localTag == localTag && self.remoteTag == remoteTag
  }

  /// Takes the Contact of an accepted target refresh (12.2.1.2, 12.2.2).
  mutating func refreshTarget(_ message: SIPMessage) {
    if let allows = message.allows(.update) { allowsUpdate = allows }
    guard let contact = message.contact?.uri else { return }
    remoteTarget = contact
    peer = nextHop
  }

  /// Goes on where the same dialog was, when a later response has made it anew: only the route set and target change
  /// (13.2.2.4).
  mutating func resume(_ earlier: SIPDialog, _ response: SIPMessage) {
    localSequence = max(localSequence, earlier.localSequence)
    remoteSequence = earlier.remoteSequence
    if response[.allow] == nil { allowsUpdate = earlier.allowsUpdate }
  }

  /// The peer's connection is gone: the next request needs another.
  mutating func connectionClosed(_ connection: UInt64) {
    guard peer.connection == connection else { return }
    peer.connection = nil
    peer = nextHop
  }
}

private func isAddress(_ host: String) -> Bool {
  host.utf8.contains(UInt8(ascii: ":")) || octets(host) != nil
}

private func octets(_ host: String) -> [Int]? {
  let parts = host.split(separator: ".", omittingEmptySubsequences: false)
  guard parts.count == 4 else { return nil }
  let numbers = parts.compactMap { $0.utf8.count <= 3 ? Int($0) : nil }
  return numbers.count == 4 && numbers.allSatisfy { (0...255).contains($0) } ? numbers : nil
}

/// RFC 1918, 6598, 3927, loopback and unspecified; for IPv6 the like.
private func isPrivate(_ host: String) -> Bool {
  guard let parts = octets(host) else {
    let text = host.asciiLowercased
    return text == "::1" || text == "::" || ["fc", "fd", "fe8", "fe9", "fea", "feb"].contains { text.hasPrefix($0) }
  }
  switch (parts[0], parts[1]) {
  case (0, _), (10, _), (127, _), (192, 168), (169, 254), (172, 16...31), (100, 64...127): return true
  default: return false
  }
}

/// An INVITE of ours, as its ACK, its CANCEL and its dialogs need it.
struct SIPInviteTemplate: Sendable {
  let uri: String
  let target: SIPURI
  /// Changes when the INVITE has to go over another transport.
  var via: String
  var branch: String
  /// From with our tag.
  let from: String
  let fromTag: String
  /// To as the INVITE had it: within a dialog with a tag.
  let to: String
  let callID: String
  var sequence: UInt32
  let routes: [String]
  let hasOffer: Bool
  /// The credentials that it carried.
  var authorization: [SIPHeaderField] = []

  /// The ACK of a refusal (17.1.1.3) or the CANCEL (9.1): the INVITE's own branch.
  func hop(_ method: SIPMethod, to: String) -> [UInt8] {
    var writer = SIPMessageWriter(request: method, uri: uri)
    writer.add(.via, via)
    writer.add(.maxForwards, "70")
    for route in routes { writer.add(.route, route) }
    writer.add(.from, from)
    writer.add(.to, to)
    writer.add(.callID, callID)
    writer.add(.cseq, "\(sequence) \(method)")
    return writer.finish()
  }
}
