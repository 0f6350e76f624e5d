import SIP

/// RFC 5118: IPv6 wherever SIP writes addresses. The RFC miscounts the bodies of 4.6 and 4.8 (268 and 181); here stands what
/// they have. SDPTests reads the descriptions.
enum RFC5118 {
  private static func register(
    _ name: String, _ section: String, _ outcome: TortureMessage.Outcome, _ verdict: String, _ uri: String
  ) -> TortureMessage {
    TortureMessage(
      name, section, outcome, verdict,
      """
      REGISTER \(uri) SIP/2.0
      To: sip:user@example.com
      From: sip:user@example.com;tag=81x2
      Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
      Call-ID: SSG9559905523997077@hlau_4100
      Contact: "Caller" <sip:caller@[2001:db8::1]>
      Max-Forwards: 70
      CSeq: 98176 REGISTER
      Content-Length: 0
      """)
  }

  private static func options(_ name: String, _ verdict: String, _ host: String) -> TortureMessage {
    TortureMessage(
      name, "4.10", .answered(200), verdict,
      """
      OPTIONS sip:user@\(host) SIP/2.0
      To: sip:user@\(host)
      From: sip:user@example.com;tag=810x2
      Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
      Call-ID: G9559905523997077@hlau_4100
      CSeq: 689 OPTIONS
      Max-Forwards: 70
      Content-Length: 0
      """)
  }

  static let all: [TortureMessage] = [
    register("ipv6-good", "4.1", .answered(405), "valid. We are no registrar", "sip:[2001:db8::10]"),
    register("ipv6-bad", "4.2", .answered(400, .requestURI), "400: no brackets", "sip:2001:db8::10"),
    register(
      "port-ambiguous", "4.3", .answered(405), "valid: 5070 is part of the address. We are no registrar",
      "sip:[2001:db8::10:5070]"),
    register(
      "port-unambiguous", "4.4", .answered(405), "valid: 5070 is the port. We are no registrar",
      "sip:[2001:db8::10]:5070"),
    TortureMessage(
      "via-received-param-with-delim", "4.5", .answered(481), "accepted: brackets in received that do not belong there",
      """
      BYE sip:[2001:db8::10] SIP/2.0
      To: sip:user@example.com;tag=bd76ya
      From: sip:user@example.com;tag=81x2
      Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111
      Call-ID: SSG9559905523997077@hlau_4100
      Max-Forwards: 70
      CSeq: 321 BYE
      Content-Length: 0
      """),
    TortureMessage(
      "via-received-param-no-delim", "4.5", .answered(200), "valid: received without brackets",
      """
      OPTIONS sip:[2001:db8::10] SIP/2.0
      To: sip:user@example.com
      From: sip:user@example.com;tag=81x2
      Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3
      Call-ID: SSG95523997077@hlau_4100
      Max-Forwards: 70
      Contact: "Caller" <sip:caller@[2001:db8::9:1]>
      CSeq: 921 OPTIONS
      Content-Length: 0
      """),
    TortureMessage(
      "ipv6-in-sdp", "4.6", .offered, "valid: IPv6 in the description, where it has no brackets",
      """
      INVITE sip:user@[2001:db8::10] SIP/2.0
      To: sip:user@[2001:db8::10]
      From: sip:user@example.com;tag=81x2
      Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
      Call-ID: SSG9559905523997077@hlau_4100
      Contact: "Caller" <sip:caller@[2001:db8::20]>
      CSeq: 8612 INVITE
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: 251
      """,
      body: bytes(
        """
        v=0
        o=assistant 971731711378798081 0 IN IP6 2001:db8::20
        s=Live video feed for today's meeting
        c=IN IP6 2001:db8::20
        t=3338481189 3370017201
        m=audio 6000 RTP/AVP 2
        a=rtpmap:2 G726-32/8000
        m=video 6024 RTP/AVP 107
        a=rtpmap:107 H263-1998/90000

        """)),
    TortureMessage(
      "mult-ip-in-header", "4.7", .answered(481), "valid: both kinds of address in Via",
      """
      BYE sip:user@host.example.net SIP/2.0
      Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111
      Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144
      Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200
      Call-ID: 997077@lau_4100
      Max-Forwards: 70
      CSeq: 89187 BYE
      To: sip:user@example.net;tag=9817--94
      From: sip:user@example.com;tag=81x2
      Content-Length: 0
      """),
    TortureMessage(
      "mult-ip-in-sdp", "4.8", .offered, "valid: each media line has its own kind of address",
      """
      INVITE sip:user@[2001:db8::10] SIP/2.0
      To: sip:user@[2001:db8::10]
      From: sip:user@example.com;tag=81x2
      Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
      Call-ID: SSG9559905523997077@hlau_4100
      Contact: "Caller" <sip:caller@[2001:db8::9:1]>
      Max-Forwards: 70
      CSeq: 8912 INVITE
      Content-Type: application/sdp
      Content-Length: 189
      """,
      body: bytes(
        """
        v=0
        o=bob 280744730 28977631 IN IP4 host.example.com
        s=
        t=0 0
        m=audio 22334 RTP/AVP 0
        c=IN IP4 192.0.2.1
        m=video 6024 RTP/AVP 107
        c=IN IP6 2001:db8::1
        a=rtpmap:107 H263-1998/90000

        """)),
    TortureMessage(
      "ipv4-mapped-ipv6", "4.9", .offered, "valid: IPv4 addresses written as IPv6",
      """
      INVITE sip:user@example.com SIP/2.0
      To: sip:user@example.com
      From: sip:user@east.example.com;tag=81x2
      Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19
      Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111
      Call-ID: SSG9559905523997077@hlau_4100
      Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>
      CSeq: 612 INVITE
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: 119
      """,
      body: bytes(
        """
        v=0
        o=bob 280744730 28977631 IN IP6 ::ffff:192.0.2.2
        s=-
        t=0 0
        m=audio 22334 RTP/AVP 0
        c=IN IP6 ::ffff:192.0.2.2

        """)),
    options(
      "ipv6-bug-abnf-3-colons", "accepted: what the grammar of RFC 3261 made of it by mistake", "[2001:db8:::192.0.2.1]"
    ),
    options("ipv6-correct-abnf-2-colons", "valid", "[2001:db8::192.0.2.1]"),
  ]
}
