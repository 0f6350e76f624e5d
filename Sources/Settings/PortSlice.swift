import Base

/// Where several instances share the ports of one machine, each has a slice of them.
extension MediaSettings {
  /// The number in a name of an instance: all of `7`, and what stands behind the last `-` of `parley-media-7`; nil: there is none
  /// below 65,536.
  public static func number(ofInstance name: String) -> Int? {
    let digits = name.lastIndex(of: "-").map { name[name.index(after: $0)...] } ?? name[...]
    guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
      return nil
    }
    return Int(digits).flatMap { $0 <= 65_535 ? $0 : nil }
  }

  /// The ports that this process uses: its slice of ``rtpPortRange`` where ``rtpPortsPerInstance`` and ``instance`` are both said,
  /// and all of them otherwise.
  public var ownRTPPorts: PortRange {
    guard rtpPortsPerInstance > 0, let number = Self.number(ofInstance: instance) else { return rtpPortRange }
    let first = rtpPortRange.first + number * rtpPortsPerInstance
    return PortRange(first: first, last: first + rtpPortsPerInstance - 1)
  }

  /// Why there can be no such slice, in a sentence; nil: there can.
  var sliceProblem: String? {
    guard rtpPortsPerInstance > 0 else { return nil }
    // A call has an even port and the odd one above it (RFC 3550 section 11).
    guard rtpPortRange.first % 2 == 0 else {
      return "media.rtp_ports_per_instance needs a media.rtp_port_range that begins with an even port"
    }
    let own = ownRTPPorts
    guard own.last > rtpPortRange.last else { return nil }
    let room = (rtpPortRange.last - rtpPortRange.first + 1) / rtpPortsPerInstance
    return """
      media.instance \(instance) would have the ports \(own), outside media.rtp_port_range \(rtpPortRange): with \
      \(rtpPortsPerInstance) for each there is room for \(room) instances, counted from 0
      """
  }
}

/// How its keys are read.
enum PortSlice {
  static let count = Codec<Int>(
    kind: "even number, 0 to 64512",
    read: { node, decoding in
      guard let value = Codec<Int>.int(0...64_512).read(node, &decoding) else { return nil }
      return value % 2 == 0 ? value : decoding.fail(node, "\(value) is odd: each call has a pair of ports")
    }, show: { .int(Int64($0)) })

  static let instance = Codec<String>.checked("a number, a name that ends in `-` and a number, or empty") {
    $0.isEmpty || ($0.utf8.count <= 253 && MediaSettings.number(ofInstance: $0) != nil)
  }
}
