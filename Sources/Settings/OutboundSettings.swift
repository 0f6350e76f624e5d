/// `integration.outbound`: which servers the gateway may ask, beside those of the open Internet.
public struct OutboundSettings: Sendable, Hashable {
  /// Servers in private and other special networks that may be asked.
  public var allowPrivate: [OutboundRule] = []
  /// Servers that may not, whatever else is said.
  public var deny: [OutboundRule] = []

  public init(allowPrivate: [OutboundRule] = [], deny: [OutboundRule] = []) {
    self.allowPrivate = allowPrivate
    self.deny = deny
  }
}

/// One entry of `integration.outbound`: an address, a block of addresses, a host name, or the names below a domain.
public enum OutboundRule: Sendable, Hashable, CustomStringConvertible {
  case block(AddressBlock)
  /// Lower case, without a dot at its end.
  case host(String)
  /// `*.example.org`: every name below `example.org`, not `example.org` itself.
  case subdomains(of: String)

  /// nil for what is none of these.
  public init?(_ text: String) {
    if let block = AddressBlock(text) {
      self = .block(block)
      return
    }
    var name = Substring(text.lowercased())
    let isBelow = name.hasPrefix("*.")
    if isBelow { name = name.dropFirst(2) }
    if name.hasSuffix(".") { name = name.dropLast() }
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    guard name.utf8.count <= 253, let last = labels.last, !last.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      labels.allSatisfy({ label in
        (1...63).contains(label.utf8.count)
          && label.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "-")
              || byte == UInt8(ascii: "_")
          }
      })
    else { return nil }
    self = isBelow ? .subdomains(of: String(name)) : .host(String(name))
  }

  public var description: String {
    switch self {
    case .block(let block): block.text
    case .host(let name): name
    case .subdomains(let name): "*." + name
    }
  }
}
