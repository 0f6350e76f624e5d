import Settings
import Testing

/// Addresses, durations and the generated reference.
@Suite struct ValueTests {
  @Test(arguments: [
    ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.1", false), ("192.0.2.7", "192.0.2.7", true),
    ("192.0.2.7", "192.0.2.8", false), ("0.0.0.0/0", "203.0.113.9", true), ("10.128.0.0/9", "10.127.255.255", false),
    ("2001:db8::/32", "2001:db8:1::1", true), ("2001:db8::/32", "2001:db9::1", false),
    ("10.0.0.0/8", "::ffff:10.1.1.1", true),
    ("::/0", "10.0.0.1", false), ("10.0.0.0/8", "nonsense", false),
  ])
  func blocksContainAddresses(block: String, address: String, expected: Bool) {
    #expect(AddressBlock(block)?.contains(address) == expected)
  }

  @Test(arguments: [
    "", "10.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "host.example", "1.2.3.4/8/8",
  ])
  func whatIsNoBlockIsRefused(text: String) {
    #expect(AddressBlock(text) == nil)
  }

  @Test(arguments: [
    ("250ms", Duration.milliseconds(250)), ("10s", .seconds(10)), ("5m", .seconds(300)), ("2h", .seconds(7200)),
    ("30d", .seconds(2_592_000)), ("0s", .zero),
  ])
  func durationsAreRead(text: String, expected: Duration) {
    #expect(DurationText.read(text) == expected)
    #expect(DurationText.read(DurationText.write(expected)) == expected)
  }

  @Test(arguments: ["", "s", "10", "10 s", "-1s", "1.5s", "1m30s", "99999999999999999999s", "9999999999999d", "١s"])
  func whatIsNoDurationIsRefused(text: String) {
    #expect(DurationText.read(text) == nil)
  }
}
