/// A session description (RFC 8866). What we do not interpret is kept and written back in its place.
public struct SessionDescription: Hashable, Sendable {
  public var origin: Origin
  /// `s=`; `-` where there is none.
  public var name: String
  public var connection: Connection?
  /// Session-level lines that we do not interpret (i, u, e, p, b, z, k ...), in order.
  public var otherLines: [Line]
  /// `t=` values, `0 0` for a session without bounds.
  public var times: [String]
  public var attributes: [Attribute]
  public var media: [MediaDescription]

  public init(
    origin: Origin, name: String = "-", connection: Connection? = nil, otherLines: [Line] = [],
    times: [String] = ["0 0"], attributes: [Attribute] = [], media: [MediaDescription] = []
  ) {
    self.origin = origin
    self.name = name
    self.connection = connection
    self.otherLines = otherLines
    self.times = times
    self.attributes = attributes
    self.media = media
  }

  /// The connection that holds for a media section: its own, else the session's.
  public func connection(for media: MediaDescription) -> Connection? { media.connection ?? connection }

  /// The direction that holds for a media section: its own, else the session's, else sendrecv (RFC 8866 section 6.7).
  public func direction(for media: MediaDescription) -> MediaDirection {
    MediaDirection(media.attributes) ?? MediaDirection(attributes) ?? .sendrecv
  }
}

/// `o=`: who made the description, and which version of it this is.
public struct Origin: Hashable, Sendable {
  public var username: String
  /// Digits; kept as text because some senders exceed 64 bits.
  public var sessionID: String
  public var version: UInt64
  public var address: Connection

  public init(username: String = "-", sessionID: String, version: UInt64, address: Connection) {
    self.username = username
    self.sessionID = sessionID
    self.version = version
    self.address = address
  }
}

/// `c=` (and the address part of `o=`): `IN IP4 192.0.2.1`.
public struct Connection: Hashable, Sendable {
  public enum AddressType: String, Sendable { case ip4 = "IP4", ip6 = "IP6" }
  public var type: AddressType
  /// A numeric address, or a name. A multicast suffix (`/ttl`) is cut off.
  public var address: String

  public init(type: AddressType, address: String) {
    self.type = type
    self.address = address
  }

  /// The type is told by a colon in the address.
  public init(_ address: String) {
    self.init(type: address.utf8.contains(UInt8(ascii: ":")) ? .ip6 : .ip4, address: address)
  }

  /// 0.0.0.0 or ::, the old way to say "on hold" (RFC 3264 section 8.4).
  public var isUnspecified: Bool {
    type == .ip4 ? address == "0.0.0.0" : address.utf8.allSatisfy { $0 == 48 || $0 == 58 }
  }
}

/// `x=value` as it stood.
public struct Line: Hashable, Sendable {
  public var type: Character
  public var value: String
  public init(type: Character, value: String) {
    self.type = type
    self.value = value
  }
}

/// `a=name` or `a=name:value`.
public struct Attribute: Hashable, Sendable {
  public var name: String
  public var value: String?
  public init(_ name: String, _ value: String? = nil) {
    self.name = name
    self.value = value
  }
}

/// `m=` and what belongs to it.
public struct MediaDescription: Hashable, Sendable {
  /// `audio`, `video`, `image` ...
  public var kind: String
  /// 0: declined, or not in use.
  public var port: UInt16
  /// The `/n` behind the port; 1 where there is none.
  public var portCount: Int
  /// `RTP/AVP`, `RTP/SAVP`, `UDP/TLS/RTP/SAVPF` ...
  public var transport: String
  /// Payload types as text; other transports have other words here.
  public var formats: [String]
  public var connection: Connection?
  public var otherLines: [Line]
  public var attributes: [Attribute]

  public init(
    kind: String, port: UInt16, portCount: Int = 1, transport: String = "RTP/AVP", formats: [String],
    connection: Connection? = nil, otherLines: [Line] = [], attributes: [Attribute] = []
  ) {
    self.kind = kind
    self.port = port
    self.portCount = portCount
    self.transport = transport
    self.formats = formats
    self.connection = connection
    self.otherLines = otherLines
    self.attributes = attributes
  }

  /// The value of the first attribute of that name; `""` for one without value.
  public func attribute(_ name: String) -> String? {
    attributes.first { $0.name == name }.map { $0.value ?? "" }
  }

  /// The formats as codecs, in the order offered: from `a=rtpmap`, or the static table of RFC 3551. Formats that say
  /// nothing usable are left out.
  public var codecs: [AudioCodec] {
    let mappings = values(of: "rtpmap")
    let allParameters = values(of: "fmtp")
    return formats.compactMap { format in
      guard let number = UInt8(format), number < 128 else { return nil }
      let parameters = allParameters[format]
      if let mapping = mappings[format] {
        let parts = mapping.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 2, !parts[0].isEmpty, let rate = Int(parts[1]), (1...384_000).contains(rate) else {
          return nil
        }
        let channels = parts.count > 2 ? Int(parts[2]) ?? 1 : 1
        return AudioCodec(
          payloadType: number, name: String(parts[0]), clockRate: rate, channels: max(1, min(channels, 8)),
          parameters: parameters)
      }
      guard var codec = AudioCodec.assigned[number] else { return nil }
      codec.parameters = parameters
      return codec
    }
  }

  /// `a=name:format value` -> value by format; the first of each counts. One pass over the bytes, so that a description with
  /// thousands of lines and a hundred formats costs no more than its length.
  private func values(of name: String) -> [String: String] {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    var found: [String: String] = [:]
    for attribute in attributes where attribute.name == name {
      guard let text = attribute.value?.utf8, let end = text.firstIndex(where: isBlank) else { continue }
      let format = String(Substring(text[..<end]))
      if found[format] == nil { found[format] = String(Substring(text[end...].drop(while: isBlank))) }
    }
    return found
  }
}

/// Who sends, seen from the side that wrote it (RFC 8866 section 6.7).
public enum MediaDirection: String, Sendable, Hashable, CaseIterable {
  case sendrecv, sendonly, recvonly, inactive

  /// Whether the writer sends, and whether it wants to receive.
  public var sends: Bool { self == .sendrecv || self == .sendonly }
  public var receives: Bool { self == .sendrecv || self == .recvonly }

  public init(sends: Bool, receives: Bool) {
    self = sends ? (receives ? .sendrecv : .sendonly) : (receives ? .recvonly : .inactive)
  }

  /// The same stream seen from the other side.
  public var reversed: MediaDirection { MediaDirection(sends: receives, receives: sends) }

  /// The last direction attribute of a list.
  public init?(_ attributes: [Attribute]) {
    guard let found = attributes.last(where: { MediaDirection(rawValue: $0.name) != nil }) else { return nil }
    self.init(rawValue: found.name)
  }
}

/// A format as `a=rtpmap` and `a=fmtp` describe it.
public struct AudioCodec: Hashable, Sendable {
  /// 0 to 127.
  public var payloadType: UInt8
  /// As registered: `PCMU`, `PCMA`, `telephone-event`, `opus`. Compared without case.
  public var name: String
  public var clockRate: Int
  public var channels: Int
  /// The value of `a=fmtp` without the payload type; nil for none.
  public var parameters: String?

  public init(payloadType: UInt8, name: String, clockRate: Int = 8000, channels: Int = 1, parameters: String? = nil) {
    self.payloadType = payloadType
    self.name = name
    self.clockRate = clockRate
    self.channels = channels
    self.parameters = parameters
  }

  public static let pcmu = AudioCodec(payloadType: 0, name: "PCMU")
  public static let pcma = AudioCodec(payloadType: 8, name: "PCMA")
  /// Its RTP clock is 8000 Hz although it samples at 16000 (RFC 3551 section 4.5.2).
  public static let g722 = AudioCodec(payloadType: 9, name: "G722")
  public static let opus = AudioCodec(payloadType: 111, name: "opus", clockRate: 48000, channels: 2)
  /// Keypad events 0 to 15 (RFC 4733).
  public static let telephoneEvent = AudioCodec(payloadType: 101, name: "telephone-event", parameters: "0-15")

  /// The static payload types of RFC 3551 section 6 that telephones use, which need no `a=rtpmap`.
  static let assigned: [UInt8: AudioCodec] = [
    0: .pcmu, 8: .pcma, 9: .g722, 3: AudioCodec(payloadType: 3, name: "GSM"),
    4: AudioCodec(payloadType: 4, name: "G723"), 13: AudioCodec(payloadType: 13, name: "CN"),
    15: AudioCodec(payloadType: 15, name: "G728"), 18: AudioCodec(payloadType: 18, name: "G729"),
  ]

  /// Same format, whatever number each side gives it.
  public func matches(_ other: AudioCodec) -> Bool {
    clockRate == other.clockRate && channels == other.channels && name.lowercased() == other.name.lowercased()
  }

  /// Keypad events and comfort noise go with a codec; they are none.
  public var isAuxiliary: Bool { ["telephone-event", "cn"].contains(name.lowercased()) }
}
