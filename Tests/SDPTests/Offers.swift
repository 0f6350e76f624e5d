/// Descriptions as the equipment in the field writes them.
enum Offers {
  static let asterisk = """
    v=0\r
    o=- 1821906439 1821906439 IN IP4 192.0.2.10\r
    s=Asterisk\r
    c=IN IP4 192.0.2.10\r
    t=0 0\r
    m=audio 18532 RTP/AVP 8 0 3 101\r
    a=rtpmap:8 PCMA/8000\r
    a=rtpmap:0 PCMU/8000\r
    a=rtpmap:3 GSM/8000\r
    a=rtpmap:101 telephone-event/8000\r
    a=fmtp:101 0-16\r
    a=ptime:20\r
    a=maxptime:150\r
    a=sendrecv\r

    """

  /// Static types without rtpmap, the connection below the section, G.729 first.
  static let cisco = """
    v=0\r
    o=CiscoSystemsSIP-GW-UserAgent 5418 9127 IN IP4 198.51.100.7\r
    s=SIP Call\r
    c=IN IP4 198.51.100.7\r
    t=0 0\r
    m=audio 16950 RTP/AVP 18 0 8 100 101\r
    c=IN IP4 198.51.100.8\r
    a=rtpmap:18 G729/8000\r
    a=fmtp:18 annexb=no\r
    a=rtpmap:100 X-NSE/8000\r
    a=fmtp:100 192-194\r
    a=rtpmap:101 telephone-event/8000\r
    a=fmtp:101 0-15\r

    """

  /// Telephone events on 127, a video section, 30 ms packets, bandwidth lines.
  static let polycom = """
    v=0\r
    o=- 1397495024 1397495024 IN IP4 203.0.113.20\r
    s=Polycom IP Phone\r
    c=IN IP4 203.0.113.20\r
    b=AS:2048\r
    t=0 0\r
    a=sendrecv\r
    m=audio 2252 RTP/AVP 9 102 0 8 18 127\r
    a=rtpmap:9 G722/8000\r
    a=rtpmap:102 G7221/16000\r
    a=fmtp:102 bitrate=32000\r
    a=rtpmap:0 PCMU/8000\r
    a=rtpmap:8 PCMA/8000\r
    a=rtpmap:18 G729/8000\r
    a=fmtp:18 annexb=no\r
    a=rtpmap:127 telephone-event/8000\r
    a=ptime:30\r
    m=video 2256 RTP/AVP 109 34\r
    a=rtpmap:109 H264/90000\r
    a=fmtp:109 profile-level-id=42800d\r
    a=rtpmap:34 H263/90000\r

    """

  /// Several clock rates of telephone events, rtcp-mux, an explicit control port.
  static let baresip = """
    v=0\r
    o=- 3872105938 1467223 IN IP4 127.0.0.1\r
    s=-\r
    c=IN IP4 127.0.0.1\r
    t=0 0\r
    a=tool:baresip 1.0.0\r
    m=audio 40122 RTP/AVP 96 9 8 0 97 101\r
    a=rtpmap:96 opus/48000/2\r
    a=fmtp:96 stereo=1;sprop-stereo=1\r
    a=rtpmap:9 G722/8000\r
    a=rtpmap:8 PCMA/8000\r
    a=rtpmap:0 PCMU/8000\r
    a=rtpmap:97 telephone-event/48000\r
    a=rtpmap:101 telephone-event/8000\r
    a=fmtp:101 0-15\r
    a=rtcp:40123\r
    a=rtcp-rsize\r
    a=ssrc:3242421 cname:sip:a@b\r
    a=ptime:20\r
    a=minptime:10\r
    a=maxptime:60\r
    a=label:1\r
    a=rtcp-mux\r
    a=sendrecv\r

    """

  /// AVPF, IPv6, feedback attributes, and a display name of two words in o=.
  static let linphone = """
    v=0\r
    o=some user 2143 2143 IN IP6 2001:db8::25\r
    s=Talk\r
    c=IN IP6 2001:db8::25\r
    t=0 0\r
    a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r
    m=audio 7078 RTP/AVPF 96 0 8 101\r
    a=rtpmap:96 opus/48000/2\r
    a=fmtp:96 useinbandfec=1\r
    a=rtpmap:101 telephone-event/48000\r
    a=rtcp-fb:* trr-int 5000\r

    """

  /// Bare LF, no s= and t=, attributes in odd places, blanks at line ends, upper and lower case.
  static let sloppy = """
    v=0
    o=x 1 1 IN IP4 10.0.0.1
    m=AUDIO 5004/2 RTP/AVP 0 101  \t
    c=in ip4 10.0.0.1/127
    a=rtpmap: 101 Telephone-Event/8000
    y=whatever this is
    a=
    """

  static func audio(_ lines: String..., address: String = "192.0.2.1", port: Int = 4000, formats: String = "0")
    -> String
  {
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 \(address)\r\nt=0 0\r\nm=audio \(port) RTP/AVP \(formats)\r\n"
      + lines.map { $0 + "\r\n" }.joined()
  }
}
