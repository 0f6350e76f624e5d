import Base

// What a successor needs to go on with a session's offers and answers when the process that made them is gone.

extension OfferAnswer {
  /// How far ahead of the kept version a successor's first description is.
  ///
  /// RFC 3264 section 8 wants a changed description to count up by one, and it does within one process. A dead process may
  /// have published versions that what it kept does not know (its state is safe a moment after the answer to a
  /// re-INVITE is out). A successor that repeated one of them with other content would be understood as "nothing has
  /// changed", and the peer would go on sending to the dead address. So it leaves a gap, which RFC 8866 section 5.2 allows
  /// (the version has to increase) and peers accept, because they compare and do not count.
  public static let versionMargin: UInt64 = 1_000

  private static let form: Int64 = 1
  private static let textLimit = SDPLimits.maxLineOctets

  /// The session as plain data. An offer that is open is not part of it: its answer came to the dead process or never came.
  public var value: Value {
    var map: [String: Value] = [
      "v": .int(Self.form), "session_id": .string(String(sessionID)), "version": .string(String(version)),
      "times": .list(times.map { .string($0) }), "numbers": .list(numbers.map(\.value)),
      "sections": .list(
        sections.map {
          [
            "kind": .string($0.kind), "transport": .string($0.transport),
            "formats": .list($0.formats.map { .string($0) }),
          ]
        }),
    ]
    if let originAddress { map["origin"] = .string(originAddress.address) }
    if isHolding { map["holding"] = .bool(true) }
    if let negotiated { map["negotiated"] = negotiated.value }
    return .map(map)
  }

  /// Goes on with what ``value`` has written: the session keeps its id, its sections and its payload types, and the next
  /// description has a version that was never published (``versionMargin``).
  /// - Throws: ``ValueFields/Fault`` for what is damaged or of another version.
  public init(restoring value: Value) throws(ValueFields.Fault) {
    let fields = try ValueFields(value, "session")
    try fields.expect(version: Self.form)
    func number(_ key: String) throws(ValueFields.Fault) -> UInt64 {
      guard let number = UInt64(try fields.text(key, limit: 20)), number <= UInt64(Int64.max) - 2 * Self.versionMargin
      else { throw ValueFields.Fault("session.\(key) is no number below 2^63") }
      return number
    }
    self.init(sessionID: try number("session_id"))
    guard String(sessionID) == (try fields.text("session_id", limit: 20)) else {
      throw ValueFields.Fault("session.session_id has more than 62 bits")
    }
    version = try number("version") + Self.versionMargin
    originAddress = try fields.optionalText("origin", limit: Self.textLimit).map { Connection($0) }
    times = try fields.texts("times", limit: SDPLimits.maxLines, bytes: Self.textLimit)
    numbers = try fields.list("numbers", limit: SDPLimits.maxFormats) { (item) throws(ValueFields.Fault) in
      try AudioCodec(item)
    }
    sections = try fields.list("sections", limit: SDPLimits.maxMedia) { (item) throws(ValueFields.Fault) in
      let section = try ValueFields(item, "session.sections")
      return MediaDescription(
        kind: try section.text("kind", limit: Self.textLimit), port: 0,
        transport: try section.text("transport", limit: Self.textLimit),
        formats: try section.texts("formats", limit: SDPLimits.maxFormats, bytes: Self.textLimit))
    }
    if fields.has("holding") { isHolding = try fields.flag("holding") }
    if fields.has("negotiated") {
      let audio = try NegotiatedAudio(try fields.fields("negotiated"))
      guard audio.mediaIndex < sections.count else {
        throw ValueFields.Fault("session.negotiated.index is not one of the sections")
      }
      negotiated = audio
    }
  }
}

extension NegotiatedAudio {
  fileprivate var value: Value {
    var map: [String: Value] = [
      "codecs": .list(codecs.map(\.value)), "address": .string(remoteAddress), "port": .int(Int64(remotePort)),
      "rtcp_address": .string(remoteRTCPAddress), "rtcp_port": .int(Int64(remoteRTCPPort)), "rtcp_mux": .bool(rtcpMux),
      "direction": .string(direction.rawValue), "ptime": .int(Int64(ptimeMs)), "index": .int(Int64(mediaIndex)),
    ]
    if let telephoneEvent { map["events"] = telephoneEvent.value }
    if let comfortNoise { map["noise"] = comfortNoise.value }
    return .map(map)
  }

  fileprivate init(_ fields: ValueFields) throws(ValueFields.Fault) {
    let limit = SDPLimits.maxLineOctets
    codecs = try fields.list("codecs", limit: SDPLimits.maxFormats) { (item) throws(ValueFields.Fault) in
      try NegotiatedCodec(ValueFields(item, "codec"))
    }
    guard let first = codecs.first else { throw ValueFields.Fault("session.negotiated.codecs is empty") }
    codec = first
    telephoneEvent = fields.has("events") ? try NegotiatedCodec(try fields.fields("events")) : nil
    comfortNoise = fields.has("noise") ? try NegotiatedCodec(try fields.fields("noise")) : nil
    remoteAddress = try fields.text("address", limit: limit)
    remotePort = try fields.number("port", in: 0...UInt16.max)
    remoteRTCPAddress = try fields.text("rtcp_address", limit: limit)
    remoteRTCPPort = try fields.number("rtcp_port", in: 0...UInt16.max)
    rtcpMux = try fields.flag("rtcp_mux")
    direction = try fields.choice("direction", MediaDirection.self)
    ptimeMs = try fields.number("ptime", in: 1...10_000)
    mediaIndex = try fields.number("index", in: 0...(SDPLimits.maxMedia - 1))
  }
}

extension NegotiatedCodec {
  fileprivate var value: Value {
    [
      "codec": codec.value, "send": .int(Int64(sendPayloadType)), "receive": .int(Int64(receivePayloadType)),
    ]
  }

  fileprivate init(_ fields: ValueFields) throws(ValueFields.Fault) {
    codec = try AudioCodec(fields.fields("codec"))
    sendPayloadType = try fields.number("send", in: 0...127)
    receivePayloadType = try fields.number("receive", in: 0...127)
  }
}

extension AudioCodec {
  fileprivate var value: Value {
    var map: [String: Value] = [
      "type": .int(Int64(payloadType)), "name": .string(name), "rate": .int(Int64(clockRate)),
      "channels": .int(Int64(channels)),
    ]
    if let parameters { map["parameters"] = .string(parameters) }
    return .map(map)
  }

  fileprivate init(_ value: Value) throws(ValueFields.Fault) { try self.init(ValueFields(value, "codec")) }

  fileprivate init(_ fields: ValueFields) throws(ValueFields.Fault) {
    self.init(
      payloadType: try fields.number("type", in: 0...127),
      name: try fields.text("name", limit: SDPLimits.maxLineOctets),
      clockRate: try fields.number("rate", in: 1...384_000), channels: try fields.number("channels", in: 1...8),
      parameters: try fields.optionalText("parameters", limit: SDPLimits.maxLineOctets))
  }
}
