import Base
import Testing

import SIP

/// Digest by the examples of its RFCs, and what stands in the headers of other stacks.
@Suite struct DigestTests {
  /// The response to a challenge, made by the code under test with the RFC's client nonce.
  private func answer(
    _ challenge: String, user: String = "Mufasa", password: String, clientNonce: String, method: String = "GET",
    uri: String = "/dir/index.html", count: UInt32 = 1, body: String = ""
  ) throws -> SIPDigestCredentials {
    SIPDigestCredentials(
      answering: try #require(SIPDigestChallenge.list(challenge).first), user: user, key: .password(password),
      count: count, clientNonce: clientNonce, method: SIPMethod(method), uri: uri, body: Array(body.utf8)[...],
      hash: plainHash)
  }

  @Test(arguments: [
    ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
    ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
  ])
  func theExampleOfRFC7616(_ algorithm: String, _ response: String) throws {
    let challenge = """
      Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=\(algorithm), \
      nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
      """
    let made = try answer(
      challenge, password: "Circle of Life", clientNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    #expect(made.response == response)
    #expect(made.opaque == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS")
  }

  /// The inputs of 3.9.2. The digests that the RFC prints there are not of SHA-512/256 with its own initial value;
  /// this one was computed with another implementation.
  @Test func theOtherExampleOfRFC7616() throws {
    let made = try answer(
      """
      Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, charset=UTF-8, userhash=true, \
      nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS"
      """, user: "Jäsøn Doe", password: "Secret, or not?", clientNonce: "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm",
      uri: "/doe.json")
    #expect(made.response == "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c")
  }

  @Test func theExampleOfRFC2617AndItsFormWithoutProtection() throws {
    let challenge = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\""
    let plain = try answer(challenge, password: "Circle Of Life", clientNonce: "0a4f113b")
    #expect(plain.response == "670fd8c2df070c60b045671b8b24ff02")
    #expect(!plain.headerValue.contains("cnonce") && !plain.headerValue.contains("nc="))
    let protected = try answer(
      challenge + ", qop=\"auth,auth-int\"", password: "Circle Of Life", clientNonce: "0a4f113b")
    #expect(protected.response == "6629fae49393a05397450978507c4ef1")
  }

  /// Values computed with another implementation.
  @Test func sessionsAndBodies() throws {
    let session = try answer(
      "Digest realm=r, nonce=n, algorithm=MD5-sess, qop=auth", user: "u", password: "p", clientNonce: "c",
      method: "INVITE", uri: "sip:b@h")
    #expect(session.response == "5512cf12b76f72e732e1863b9608041d")
    let body = try answer(
      "Digest realm=r, nonce=n, algorithm=SHA-256-sess, qop=auth-int", user: "u", password: "p", clientNonce: "c",
      method: "INVITE", uri: "sip:b@h", count: 0x1A, body: "v=0")
    #expect(body.response == "906a9ecdf8271205834b68eb98aaa13fb6985f704346142d02d2a771dd0794c3")
    #expect(body.headerValue.contains("qop=auth-int, nc=0000001a"))
  }

  @Test func theStrongestKnownChallengeOfEachRealmIsTaken() throws {
    let response = try SIPMessage.parse(
      bytes(
        """
        SIP/2.0 401 Unauthorized
        Via: SIP/2.0/UDP h;branch=z9hG4bK1
        From: <sip:a@h>;tag=1
        To: <sip:b@h>;tag=2
        Call-ID: c
        CSeq: 1 INVITE
        WWW-Authenticate: Digest realm="A", nonce="1", algorithm=MD5, qop="auth", Digest realm="A",nonce="2" , algorithm=SHA-256
        WWW-Authenticate: Digest realm="A", nonce="3", algorithm=SHA-3-999, qop="auth"
        WWW-Authenticate: Basic realm="A"
        WWW-Authenticate: NTLM abc==, Digest realm="B", nonce="4", qop="future"
        Proxy-Authenticate: digest NONCE="5,\\"x\\"", Realm="A", stale=TRUE, x-new=1, qop="AUTH",
        Content-Length: 0


        """))
    let found = response.challenges
    #expect(found.map(\.challenge.nonce) == ["2", "5,\"x\""])
    #expect(found.map(\.challenger) == [.server, .proxy])
    #expect(found.map(\.challenge.isStale) == [false, true])
  }

  @Test(arguments: [
    "Digest", "Digest realm=a", "Digest realm=a, nonce=\"b", "Digest realm", "realm=a, nonce=b", ", ,", "",
    "Digest nonce=\"\", realm=x", "Digest =", "Digest realm==, nonce",
  ])
  func whatIsNoChallengeIsNone(_ line: String) { #expect(SIPDigestChallenge.list(line).isEmpty) }

  @Test func credentialsAreReadAsTheyAreWritten() throws {
    let made = try answer(
      "Digest realm=\"a \\\"b\\\" \\\\ c\", nonce=\"n,=\", algorithm=SHA-256, qop=\"auth\", opaque=\"\"",
      user: "me\"and\\you", password: "p", clientNonce: "c", uri: "sip:x;y=z@h")
    let read = try #require(SIPDigestCredentials.list(made.headerValue).first)
    #expect(read == made)
  }

  @Test func credentialsInAnyOrder() throws {
    let line = """
      Digest  response="ABCDEF" ,nc=0000000A, uri=sip:a@b;c=d, qop="auth",cnonce=x , username*=UTF-8''J%C3%A4s, \
      nonce="n", realm="r", auth-param=1
      """
    let read = try #require(SIPDigestCredentials.list(line).first)
    #expect(read.user == "Jäs")
    #expect(read.count == 10)
    #expect(read.uri == "sip:a@b;c=d")
    #expect(read.response == "abcdef")
    #expect(read.algorithm == .md5)
  }

  @Test(arguments: [
    // A count of nothing, none, one too long, no client nonce, an unknown protection, a parameter twice, nobody's name.
    "nc=00000000, cnonce=c, qop=auth, username=u", "cnonce=c, qop=auth, username=u",
    "nc=000000001, cnonce=c, qop=auth, username=u", "nc=00000001, qop=auth, username=u",
    "nc=00000001, cnonce=c, qop=token, username=u", "username=u, username=v", "nc=00000001, cnonce=c, qop=auth",
    "nc=+0000001, cnonce=c, qop=auth, username=u",
  ])
  func unusableCredentialsAreNone(_ rest: String) {
    #expect(SIPDigestCredentials.list("Digest realm=r, nonce=n, uri=u, response=0, " + rest).isEmpty)
  }

  @Test func floodsOfParametersEndSomewhere() {
    let many = "Digest " + (0..<1_000).map { "p\($0)=1" }.joined(separator: ",") + ", realm=r, nonce=n"
    #expect(SIPDigestChallenge.list(many).isEmpty)
    #expect(SIPDigestChallenge.list(String(repeating: "Digest realm=r,nonce=n,", count: 1_000)).count <= 16)
  }
}
