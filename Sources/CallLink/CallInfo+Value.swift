import Base

extension CallInfo {
  private static let version: Int64 = 1
  /// Bytes of one text: a SIP header line is no longer.
  private static let textLimit = 8_192
  /// The media role passes 32 headers on; others may pass more.
  private static let headerLimit = 128

  /// The call as plain data, for what outlives a process. The order of the headers stays.
  public var value: Value {
    var map: [String: Value] = [
      "v": .int(Self.version), "session": .string(session.value), "direction": .string(direction.rawValue),
      "caller": .string(callerID), "called": .string(calledNumber), "from": .string(fromURI), "to": .string(toURI),
      "headers": .list(headers.map { .list([.string($0.name), .string($0.value)]) }), "source": .string(source),
    ]
    if let trunk { map["trunk"] = .string(trunk) }
    return .map(map)
  }

  /// Reads what ``value`` has written.
  /// - Throws: ``CallStateError`` for what is damaged, too long, or of another version.
  public init(_ value: Value) throws(CallStateError) {
    do throws(ValueFields.Fault) {
      let fields = try ValueFields(value, "call")
      try fields.expect(version: Self.version)
      let session = try fields.text("session", limit: 64)
      guard !session.isEmpty else { throw ValueFields.Fault("call.session is empty") }
      self.init(
        session: SessionID(session), direction: try fields.choice("direction", Direction.self),
        callerID: try fields.text("caller", limit: Self.textLimit),
        calledNumber: try fields.text("called", limit: Self.textLimit),
        fromURI: try fields.text("from", limit: Self.textLimit), toURI: try fields.text("to", limit: Self.textLimit),
        trunk: try fields.optionalText("trunk", limit: Self.textLimit),
        headers: try fields.list("headers", limit: Self.headerLimit) { (item) throws(ValueFields.Fault) in
          guard case .list(let pair) = item, pair.count == 2, let name = pair[0].stringValue,
            let value = pair[1].stringValue, name.utf8.count + value.utf8.count <= Self.textLimit
          else { throw ValueFields.Fault("call.headers has an element that is no name and value") }
          return (name, value)
        },
        source: try fields.text("source", limit: Self.textLimit))
    } catch {
      throw CallStateError("the kept call cannot be read: \(error)")
    }
  }
}
