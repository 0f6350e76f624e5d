import Base
import Settings
import Testing

/// Whose ports are whose, where several instances share a machine's.
@Suite struct PortSliceTests {
  private func load(_ media: String) throws -> MediaSettings {
    try ConfigurationLoader(environment: [:]).load(text: "media: { \(media) }", file: "config.yaml").configuration.media
  }

  private func problems(_ media: String) -> [String] {
    do {
      _ = try load(media)
      return []
    } catch {
      return (error as? Diagnostics)?.all.map(\.description) ?? ["\(error)"]
    }
  }

  @Test(
    arguments: [
      ("0", 0), ("7", 7), ("parley-media-12", 12), ("a-1-2", 2), ("media-007", 7), ("-3", 3), ("65535", 65_535),
      ("", nil), ("media", nil), ("media-", nil), ("media-x2", nil), ("media-7c9d", nil), ("3a", nil), ("65536", nil),
      ("media-999999", nil), ("media2", nil),
    ] as [(String, Int?)])
  func theNumberIsWhatTheNameEndsIn(name: String, number: Int?) {
    #expect(MediaSettings.number(ofInstance: name) == number)
  }

  @Test(arguments: [
    ("instance: media-0", "30000-30099"), ("instance: 2", "30200-30299"), ("instance: media-9", "30900-30999"),
  ])
  func eachInstanceHasItsSlice(instance: String, ports: String) throws {
    let media = try load("rtp_port_range: \"30000-30999\", rtp_ports_per_instance: 100, \(instance)")
    #expect(media.ownRTPPorts.description == ports)
    #expect(media.rtpPortRange.description == "30000-30999")
  }

  @Test func slicesDoNotOverlapAndFillTheRange() {
    var media = MediaSettings()
    media.rtpPortRange = PortRange(first: 20_000, last: 20_999)
    media.rtpPortsPerInstance = 10
    var next = media.rtpPortRange.first
    for number in 0..<100 {
      media.instance = "media-\(number)"
      #expect(media.ownRTPPorts.first == next)
      next = media.ownRTPPorts.last + 1
    }
    #expect(next == 21_000)
  }

  @Test func withoutBothAllPortsAreEverybodys() throws {
    #expect(try load("instance: media-3").ownRTPPorts == PortRange(first: 10_000, last: 20_000))
    #expect(try load("rtp_ports_per_instance: 100").ownRTPPorts == PortRange(first: 10_000, last: 20_000))
  }

  @Test func whatCannotBeIsExplained() {
    let range = "rtp_port_range: \"30000-30999\""
    #expect(
      problems("\(range), rtp_ports_per_instance: 100, instance: media-10") == [
        "config.yaml: error: C010 media.instance media-10 would have the ports 31000-31099, outside media.rtp_port_range 30000-30999: with 100 for each there is room for 10 instances, counted from 0"
      ])
    #expect(
      problems("\(range), rtp_ports_per_instance: 300, instance: 3").first?.contains("room for 3 instances") == true)
    #expect(problems("rtp_ports_per_instance: 5").first?.contains("5 is odd: each call has a pair of ports") == true)
    #expect(
      problems("rtp_port_range: \"30001-30999\", rtp_ports_per_instance: 10, instance: 0").first?
        .contains("begins with an even port") == true)
    #expect(problems("instance: media").first?.contains("`media` is not a number, a name that ends in") == true)
  }
}
