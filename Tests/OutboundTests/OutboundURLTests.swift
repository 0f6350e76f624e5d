import Outbound
import Testing

/// How addresses are read: in one way, or not at all.
@Suite struct OutboundURLTests {
  @Test(arguments: [
    ("http://crm.example", "http://crm.example/", "crm.example", 80),
    ("HTTPS://CRM.Example:443/a?b=c#d", "https://crm.example/a?b=c", "crm.example", 443),
    ("http://crm.example.:8080?x", "http://crm.example:8080/?x", "crm.example", 8080),
    ("http://192.0.2.1:80/", "http://192.0.2.1/", "192.0.2.1", 80),
    ("https://[2001:DB8::0:1]:8443/x", "https://[2001:db8::1]:8443/x", "2001:db8::1", 8443),
    ("http://my_service:9000/", "http://my_service:9000/", "my_service", 9000),
    ("http://xn--bcher-kva.example/%7Euser", "http://xn--bcher-kva.example/%7Euser", "xn--bcher-kva.example", 80),
    ("http://crm.example:/x", "http://crm.example/x", "crm.example", 80),
    ("http://1password.example/", "http://1password.example/", "1password.example", 80),
    ("http://crm.example/@home:80", "http://crm.example/@home:80", "crm.example", 80),
  ])
  func whatIsPlainIsRead(text: String, whole: String, host: String, port: Int) throws {
    let url = try OutboundURL(text)
    #expect(url.text == whole)
    #expect(url.host == host)
    #expect(url.port == port)
  }

  @Test func mappedAddressesAreTheAddressesTheyStandFor() throws {
    let url = try OutboundURL("http://[::ffff:127.0.0.1]/")
    #expect(url.literal == IPAddress("127.0.0.1"))
    #expect(url.text == "http://127.0.0.1/")
  }

  @Test(arguments: [
    "", "crm.example", "ftp://crm.example/", "http://", "http:///x", "http://:80/", "file:///etc/passwd",
    // Who is asked, and who seems to be asked.
    "http://crm.example@127.0.0.1/", "http://user:pw@crm.example/", "http://crm.example\\@127.0.0.1/",
    "http://crm.example\\.evil.example/", "http://crm.example%2f@evil/", "http://127.0.0.1%00.example/",
    // Other spellings of 127.0.0.1.
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/",
    "http://127.0.1/", "http://127.000.000.001/", "http://127.0.0.1../", "http://017700000001/", "http://0x7f.1/",
    "http://1.2.3.4.5/", "http://256.256.256.256/", "http://127.0.0.0x1/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/",
    // IPv6.
    "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1/", "http://::1/", "http://[127.0.0.1]/",
    "http://[::1]x/", "http://[]/",
    // Ports.
    "http://crm.example:0/", "http://crm.example:65536/", "http://crm.example:80a/", "http://crm.example:-1/",
    "http://crm.example:+80/", "http://crm.example:80:80/", "http://crm.example:000080/",
    // Names.
    "http://bücher.example/", "http://a..b/", "http://-a.example/", "http://a-.example/", "http://a b.example/",
    "http://a\tb/", "http://a\r\nHost: b/", "http://crm.example/\r\nX: y", "http://./",
    "http://" + String(repeating: "a", count: 64) + ".example/",
    "http://" + String(repeating: "abcdefg.", count: 40) + "example/",
    "http://crm.example/" + String(repeating: "x", count: 9_000), "http://localhost.0x1/", "http://*.example/",
  ])
  func whatCouldBeReadInTwoWaysIsRefused(text: String) {
    let error = #expect(throws: OutboundError.self) { try OutboundURL(text) }
    #expect(error?.kind == .invalidURL)
    #expect(error?.description.hasPrefix("the URL ") == true)
  }
}
