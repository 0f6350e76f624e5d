import Base

/// The keys of `integration.outbound`.
enum OutboundKeys {
  static let outbound: [Field<OutboundSettings>] = [
    .key(
      "allow_private", \.allowPrivate, rules,
      "Servers in private networks (loopback, 10.0.0.0/8, fc00::/7, metadata services ...) that hooks, webhooks and models may reach; the others of such networks are refused."
    ),
    .key("deny", \.deny, rules, "Servers that are never reached; stronger than `allow_private`."),
  ]

  private static let rules = Codec<[OutboundRule]>.list(
    of: rule, "list of CIDRs, addresses, host names and `*.domain`", count: 0...1000)

  private static let rule = Codec<OutboundRule>(
    kind: "CIDR, address or host name",
    read: { node, decoding in
      guard let text = decoding.scalar(node, expected: "a CIDR, an address or a host name") else { return nil }
      guard let rule = OutboundRule(text) else {
        return decoding.fail(
          node, "`\(text)` is no CIDR, address or host name", hint: "write 10.0.0.0/8, crm.internal or *.internal")
      }
      return rule
    }, show: { .string($0.description) })
}
