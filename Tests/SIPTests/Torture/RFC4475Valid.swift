import SIP

/// RFC 4475 3.1.1: messages that are well-formed, however they look.
enum RFC4475Valid {
  static let all: [TortureMessage] = [
    TortureMessage(
      "wsinv", "3.1.1.1", .answered(481),
      "valid: odd spaces and folds, escapes, compact forms. Its To has a tag, and we know no such dialog",
      #"""
      INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
      TO :
       sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
      from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
        ;
        tag = 98asjd8
      MaX-fOrWaRdS: 0068
      Call-ID: wsinv.ndaksdj@192.0.2.1
      Content-Length   : 150
      cseq: 0009
        INVITE
      Via  : SIP  /   2.0
       /UDP
          192.0.2.2;branch=390skdjuw
      s :
      NewFangledHeader:   newfangled value
       continued newfangled value
      UnknownHeaderWithUnusualValue: ;;,,;;,;
      Content-Type: application/sdp
      Route:
       <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
      v:  SIP  / 2.0  / TCP     spindle.example.com   ;
        branch  =   z9hG4bK9ikj8  ,
       SIP  /    2.0   / UDP  192.168.255.111   ; branch=
       z9hG4bK30239
      m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
            newvalue ;
        secondparam ; q = 0.33
      """#,
      body: bytes(
        """
        v=0
        o=mhandley 29739 7272939 IN IP4 192.0.2.3
        s=-
        c=IN IP4 192.0.2.4
        t=0 0
        m=audio 49217 RTP/AVP 0 12
        m=video 3227 RTP/AVP 31
        a=rtpmap:31 LPC

        """)),
    TortureMessage(
      "intmeth", "3.1.1.2", .answered(501), "valid: every character that a token, a URI and a quoted string may hold",
      #"""
      !interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0
      Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
      To: "BEL:\\#u{7} NUL:\\#u{0} DEL:\\#u{7F}" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
      From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="\#u{440}\#u{430}\#u{431}\#u{43E}\#u{442}\#u{430}\#u{44E}\#u{449}\#u{438}\#u{439}";tag=_token~1'+`*%!-.
      Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{
      CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
      Max-Forwards: 255
      extensionHeader-!.%*+_`'~:\#u{FEFF}\#u{5927}\#u{505C}\#u{96FB}
      Content-Length: 0
      """#),
    TortureMessage(
      "esc01", "3.1.1.3", .offered, "valid: the user is `sips:user@example.com`, and no sips URI",
      """
      INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0
      To: sip:%75se%72@example.com
      From: <sip:I%20have%20spaces@example.net>;tag=938
      Max-Forwards: 87
      i: esc01.239409asdfakjkn23onasd0-3234
      CSeq: 234234 INVITE
      Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
      C: application/sdp
      Contact:
        <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
      Content-Length: 150
      """, body: TortureMessage.description()),
    TortureMessage(
      "escnull", "3.1.1.4", .answered(405), "valid: an escaped NUL ends no string. We are no registrar",
      """
      REGISTER sip:example.com SIP/2.0
      To: sip:null-%00-null@example.com
      From: sip:null-%00-null@example.com;tag=839923423
      Max-Forwards: 70
      Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
      CSeq: 14398234 REGISTER
      Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
      Contact: <sip:%00@host5.example.com>
      Contact: <sip:%00%00@host5.example.com>
      L:0
      """),
    TortureMessage(
      "esc02", "3.1.1.5", .answered(501),
      "valid: % escapes nothing in a method or a header's name, so the method is unknown",
      """
      RE%47IST%45R sip:registrar.example.com SIP/2.0
      To: "%Z%45" <sip:resource@example.com>
      From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23
      Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
      Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
      CSeq: 29344 RE%47IST%45R
      Max-Forwards: 70
      Contact: <sip:alias1@host1.example.com>
      C%6Fntact: <sip:alias2@host2.example.com>
      Contact: <sip:alias3@host3.example.com>
      l: 0
      """),
    TortureMessage(
      "lwsdisp", "3.1.1.6", .answered(200), "valid: no space between the display name and <",
      """
      OPTIONS sip:user@example.com SIP/2.0
      To: sip:user@example.com
      From: caller<sip:caller@example.com>;tag=323
      Max-Forwards: 70
      Call-ID: lwsdisp.1234abcd@funky.example.com
      CSeq: 60 OPTIONS
      Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw
      l: 0
      """),
    longreq,
    TortureMessage(
      "dblreq", "3.1.1.8", .answered(405), "valid: what follows Content-Length in a datagram is not read",
      """
      REGISTER sip:example.com SIP/2.0
      To: sip:j.user@example.com
      From: sip:j.user@example.com;tag=43251j3j324
      Max-Forwards: 8
      I: dblreq.0ha0isndaksdj99sdfafnl3lk233412
      Contact: sip:j.user@host.example.com
      CSeq: 8 REGISTER
      Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492
      Content-Length: 0
      """,
      body: bytes(
        """


        INVITE sip:joe@example.com SIP/2.0
        t: sip:joe@example.com
        From: sip:caller@example.net;tag=141334
        Max-Forwards: 8
        Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15
        CSeq: 8 INVITE
        Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234
        Content-Type: application/sdp
        Content-Length: 150


        """) + TortureMessage.description("192.0.2.15")),
    TortureMessage(
      "semiuri", "3.1.1.9", .answered(200), "valid: a semicolon in the user part begins no parameter",
      """
      OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0
      To: sip:j_user@example.com
      From: sip:caller@example.org;tag=33242
      Max-Forwards: 3
      Call-ID: semiuri.0ha0isndaksdj
      CSeq: 8 OPTIONS
      Accept: application/sdp, application/pkcs7-mime,
              multipart/mixed, multipart/signed,
              message/sip, message/sipfrag
      Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw
      l: 0
      """),
    TortureMessage(
      "transports", "3.1.1.10", .answered(200), "valid: transports that nobody knows, all in the answer again",
      """
      OPTIONS sip:user@example.com SIP/2.0
      To: sip:user@example.com
      From: <sip:caller@example.com>;tag=323
      Max-Forwards: 70
      Call-ID:  transports.kijh4akdnaqjkwendsasfdj
      Accept: application/sdp
      CSeq: 60 OPTIONS
      Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
      Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
      Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
      Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
      Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
      l: 0
      """),
    mpart01,
    TortureMessage(
      "unreason", "3.1.1.12", .dropped(), "valid: a reason phrase in UTF-8. It answers nothing of ours",
      """
      SIP/2.0 200 = 2**3 * 5**2 \u{43D}\u{43E} \u{441}\u{442}\u{43E} \u{434}\u{435}\u{432}\u{44F}\u{43D}\u{43E}\u{441}\u{442}\u{43E} \u{434}\u{435}\u{432}\u{44F}\u{442}\u{44C} - \u{43F}\u{440}\u{43E}\u{441}\u{442}\u{43E}\u{435}
      Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
      Call-ID: unreason.1234ksdfak3j2erwedfsASdf
      CSeq: 35 INVITE
      From: sip:user@example.com;tag=11141343
      To: sip:user@example.edu;tag=2229
      Content-Length: 154
      Content-Type: application/sdp
      Contact: <sip:user@host198.example.com>
      """, body: TortureMessage.description("192.0.2.198")),
    TortureMessage(
      "noreason", "3.1.1.13", .dropped(), "valid: an empty reason phrase. It answers nothing of ours",
      """
      SIP/2.0 100\u{20}
      Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe
      Call-ID: noreason.asndj203insdf99223ndf
      CSeq: 35 INVITE
      From: <sip:user@example.com>;tag=39ansfi3
      To: <sip:user@example.edu>;tag=902jndnke3
      Content-Length: 0
      Contact: <sip:user@host105.example.com>
      """),
  ]

  private static let longreq: TortureMessage = {
    func times(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
    let caller = times("amazinglylongcallername", 5)
    let names = [
      "Via", "v", "V", "Via", "ViA", "VIa", "VIA", "via", "viA", "vIa", "vIA", "V ", "v ", "V  ", "v  ", "Via ",
      "Via  ",
    ]
    var vias = ""
    for host in (1...33).reversed() {
      let i = 33 - host
      vias += "\(i < names.count ? names[i] : "Via"): SIP/2.0/TCP sip\(host).example.com\n"
    }
    return TortureMessage(
      "longreq", "3.1.1.7", .offered, "valid: long names and values, 34 hops, no branch in the topmost",
      """
      INVITE sip:user@example.com SIP/2.0
      To: "I have a user name of \(times("extreme", 10)) proportion"<sip:user@example.com:6000;unknownparam1=very\
      \(times("long", 20))value;longparam\(times("name", 25))=shortvalue;very\(times("long", 25))ParameterNameWithNoValue>
      F: sip:\(caller)@example.net;tag=12\(times("982", 50))424;unknownheaderparam\(times("name", 20))\
      =unknowheaderparam\(times("value", 15));unknownValueless\(times("paramname", 10))
      Call-ID: longreq.one\(times("really", 20))longcallid
      CSeq: 3882340 INVITE
      Unknown-\(times("Long", 20))-Name: unknown-\(times("long", 20))-value; unknown-\(times("long", 20))-parameter-name = \
      unknown-\(times("long", 20))-parameter-value
      \(vias)Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very\(times("long", 50))branchvalue
      Max-Forwards: 70
      Contact: <sip:\(caller)@host5.example.net>
      Content-Type: application/sdp
      l: 150
      """, body: TortureMessage.description())
  }()

  /// Its second part is a PKCS #7 signature: bytes of every value, NUL among them.
  private static let mpart01: TortureMessage = {
    let signature = """
      3082015206092A864886F70D010702A08201433082013F02
      01013109300706052B0E03021A300B06092A864886F70D010701318201203082
      011C020101307C3070310B300906035504061302555331133011060355040813
      0A43616C69666F726E69613111300F0603550407130853616E204A6F7365310E
      300C060355040A1305736970697431293027060355040B132053697069742054
      65737420436572746966696361746520417574686F7269747902080195007102
      330113300706052B0E03021A300D06092A864886F70D01010105000481808EF4
      66F948F0522DD2E5978E9D95AAE9F2FE15A06659716292E8DA2AA8D8350A68CE
      FFAE3CBD2BFF1675DDD5648E593DD64728F26220F7E941749E330D9A15EDABDB
      93D10C42102E7B7289D29CC0C9AE2EFBC7C0CFF9172F3B027E4FC027E1546DE4
      B6AA3ABB3E66CCCB5DD6C64B8383149CB8E6FF182D944FE57B65BC99D005
      """
    var signed: [UInt8] = []
    var high: UInt8?
    for digit in signature.compactMap({ $0.hexDigitValue }) {
      if let first = high {
        signed.append(first << 4 | UInt8(digit))
        high = nil
      } else {
        high = UInt8(digit)
      }
    }
    let head = bytes(
      """
      --7a9cbec02ceef655
      Content-Type: text/plain
      Content-Transfer-Encoding: binary

      Hello
      --7a9cbec02ceef655
      Content-Type: application/octet-stream
      Content-Transfer-Encoding: binary


      """)
    return TortureMessage(
      "mpart01", "3.1.1.11", .answered(405), "valid: a body of bytes. We take no MESSAGE",
      """
      MESSAGE sip:kumiko@example.org SIP/2.0
      Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport
      Max-Forwards: 70
      Route: <sip:127.0.0.1:5080>
      Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQmXc9WNZSDNGCz\
      A+fWl9MEUHWIZo1CeJebdY/XlgKeTa0Olvq0rt70Q5jiSfbqMJmQFteeivUhkMWYUA=
      Contact: <sip:fluffy@127.0.0.1:5070>
      To: <sip:kumiko@example.org>
      From: <sip:fluffy@example.com>;tag=2fb0dcc9
      Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..
      CSeq: 1 MESSAGE
      Content-Transfer-Encoding: binary
      Content-Type: multipart/mixed;boundary=7a9cbec02ceef655
      Date: Sat, 15 Oct 2005 04:44:56 GMT
      User-Agent: SIPimp.org/0.2.5 (curses)
      Content-Length: 553
      """, body: head + signed + bytes("\n--7a9cbec02ceef655--\n"))
  }()
}
