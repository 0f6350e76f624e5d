/// Where a message's end comes from.
public enum SIPFraming: Sendable {
  /// One datagram is one message; Content-Length may be absent and what exceeds it is ignored (RFC 3261 18.3).
  case datagram
  /// The framer has cut the bytes by Content-Length, which must be there.
  case stream
}

extension SIPMessage {
  /// Reads one whole message. Goes over the bytes once, remembers where headers are, and reads only those that identify
  /// the message.
  public static func parse(
    _ bytes: [UInt8], framing: SIPFraming = .datagram, limits: SIPLimits = SIPLimits()
  ) throws(SIPParseError) -> SIPMessage {
    guard bytes.count <= limits.messageBytes else { throw SIPParseError(reason: .tooLarge, scope: .silent) }
    var parser = SIPParser(bytes: bytes, limits: limits)
    return try parser.message(framing)
  }
}

private struct SIPParser {
  var bytes: [UInt8]
  let limits: SIPLimits
  var at = 0
  /// The first thing found wrong. Reading goes on, because a request that still identifies itself is owed an answer.
  var fault: SIPParseError.Reason?
  var faultStatus = 400
  var fields: [SIPMessage.Field] = []

  init(bytes: [UInt8], limits: SIPLimits) {
    self.bytes = bytes
    self.limits = limits
    fields.reserveCapacity(24)
  }

  mutating func note(_ reason: SIPParseError.Reason, status: Int = 400) {
    if fault == nil {
      fault = reason
      faultStatus = status
    }
  }

  func silent(_ reason: SIPParseError.Reason) -> SIPParseError {
    SIPParseError(reason: fault ?? reason, scope: .silent)
  }

  mutating func message(_ framing: SIPFraming) throws(SIPParseError) -> SIPMessage {
    // Empty lines before the start line are ignored (RFC 3261 7.5).
    while at < bytes.count, bytes[at] == 0x0D || bytes[at] == 0x0A { at += 1 }
    guard let line = line() else { throw silent(.truncated) }
    guard let start = startLine(line) else { throw silent(.startLine) }
    let foundEnd = headerLines()
    if !foundEnd { note(.truncated) }
    let body = bodyRange(framing)

    var isRequest = false
    if case .request = start { isRequest = true }
    var values = identity(isRequest)
    if case .request(let method, _) = start { salvage(&values, method) }
    guard let callID = values.callID, let cseq = values.cseq, let from = values.from, let to = values.to,
      values.via != nil || !isRequest
    else { throw silent(.missingHeader) }
    if case .request(let method, _) = start, method != cseq.method { note(.cseq) }

    let message = SIPMessage(
      storage: bytes, start: start, fields: fields, body: body, callID: callID, cseq: cseq, from: from, to: to,
      topVia: values.via)
    guard let fault else { return message }
    // An ACK is never answered (RFC 3261 17), nor is a response.
    guard case .request(let method, _) = start, method != .ack else {
      throw SIPParseError(reason: fault, scope: .silent)
    }
    throw SIPParseError(reason: fault, scope: .answerable(message, status: faultStatus))
  }

  // MARK: Lines

  /// The next line without its end; nil where the bytes end first.
  private mutating func line() -> Range<Int>? {
    let start = at
    while at < bytes.count {
      let byte = bytes[at]
      if byte == 0x0D || byte == 0x0A {
        let end = at
        at += 1
        if byte == 0x0D, at < bytes.count, bytes[at] == 0x0A { at += 1 } else { note(.lineEnding) }
        return start..<end
      }
      if byte < 0x20 && byte != 0x09 || byte == 0x7F {
        // A quoted string may hold one behind a backslash (RFC 3261 25.1 `quoted-pair`). It is of use to nobody and dangerous
        // further on: it is read as a space.
        if at > start, bytes[at - 1] == UInt8(ascii: "\\") { bytes[at] = 0x20 } else { note(.controlCharacter) }
      }
      at += 1
    }
    return nil
  }

  private mutating func startLine(_ line: Range<Int>) -> SIPMessage.StartLine? {
    if line.count > limits.headerLineBytes { note(.headerTooLong, status: 414) }
    var scanner = SIPScanner(bytes[line])
    let first = scanner.run { $0 != 0x20 }
    guard scanner.take(0x20) else { return nil }
    if first.count > 4, first.prefix(4).elementsEqual("SIP/".utf8) {
      guard first.elementsEqual("SIP/2.0".utf8) else {
        note(.version)
        return nil
      }
      let digits = scanner.run { (0x30...0x39).contains($0) }
      guard digits.count == 3, let status = Int(String(decoding: digits, as: UTF8.self)), (100...699).contains(status)
      else { return nil }
      // The space before an empty reason phrase is often forgotten.
      _ = scanner.take(0x20)
      return .response(status, reason: .init(scanner.at..<line.upperBound))
    }
    guard !first.isEmpty, first.allSatisfy(isToken), first.count <= 64 else { return nil }
    var line = line
    while let last = bytes[line].last, last == 0x20 {
      note(.startLine)
      line = line.lowerBound..<(line.upperBound - 1)
    }
    guard let lastSpace = bytes[line].lastIndex(of: 0x20), lastSpace > scanner.at else { return nil }
    let uri = scanner.at..<lastSpace
    let version = bytes[(lastSpace + 1)..<line.upperBound]
    if !version.elementsEqual("SIP/2.0".utf8) {
      guard version.prefix(4).elementsEqual("SIP/".utf8) else { return nil }
      note(.version, status: 505)
    }
    // Headers do not belong into a Request-URI (19.1.1): who makes a request of them may be made to say anything.
    if SIPURI(bytes[uri]).map({ $0.headers != nil }) ?? true { note(.requestURI) }
    return .request(SIPMethod(String(decoding: first, as: UTF8.self)), uri: .init(uri))
  }

  /// Reads header lines up to and with the empty one; false where the bytes end first.
  private mutating func headerLines() -> Bool {
    while true {
      let start = at
      guard let first = line() else { return false }
      if first.isEmpty { return true }
      var end = first.upperBound
      var isFolded = false
      // A line that begins with a space continues the one before.
      while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x09 {
        isFolded = true
        guard let next = line() else { return false }
        end = next.upperBound
      }
      if end - start > limits.headerLineBytes {
        note(.headerTooLong)
        continue
      }
      guard fields.count < limits.headerCount else {
        note(.tooManyHeaders)
        continue
      }
      field(start..<end, isFolded: isFolded)
    }
  }

  private mutating func field(_ range: Range<Int>, isFolded: Bool) {
    guard let colon = bytes[range].firstIndex(of: UInt8(ascii: ":")) else { return note(.headerSyntax) }
    let name = SIPScanner.trimmed(bytes[range.lowerBound..<colon])
    guard !name.isEmpty, name.startIndex == range.lowerBound, name.allSatisfy(isToken) else {
      return note(.headerSyntax)
    }
    let value = SIPScanner.trimmed(bytes[(colon + 1)..<range.upperBound])
    fields.append(
      .init(
        id: SIPHeaderName(name), isFolded: isFolded && value.contains { $0 == 0x0D || $0 == 0x0A },
        name: .init(name.startIndex..<name.endIndex), value: .init(value.startIndex..<value.endIndex)))
  }

  // MARK: Values

  /// The one field of this name; notes a second one.
  private mutating func single(_ id: SIPHeaderName) -> SIPMessage.Field? {
    var found: SIPMessage.Field?
    for field in fields where field.id == id {
      if found != nil { note(.duplicateHeader) } else { found = field }
    }
    return found
  }

  private struct Identity {
    var callID: String?
    var cseq: SIPSequence?
    var from: SIPNameAddress?
    var to: SIPNameAddress?
    var via: SIPVia?
  }

  private mutating func identity(_ isRequest: Bool) -> Identity {
    var values = Identity()
    if let field = single(.callID) {
      let text = SIPMessage.unfolded(bytes, field)
      if text.isEmpty || !text.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) { note(.callID) }
      if !text.isEmpty { values.callID = String(decoding: text, as: UTF8.self) }
    }
    if let field = single(.cseq) {
      values.cseq = SIPSequence(SIPMessage.unfolded(bytes, field))
      if values.cseq == nil { note(.cseq) }
    }
    if let field = single(.from) {
      values.from = SIPNameAddress(SIPMessage.unfolded(bytes, field))
      if values.from == nil { note(.from) }
    }
    if let field = single(.to) {
      values.to = SIPNameAddress(SIPMessage.unfolded(bytes, field))
      if values.to == nil { note(.to) }
    }
    via(&values)
    if let field = single(.maxForwards) {
      var scanner = SIPScanner(SIPMessage.unfolded(bytes, field))
      if scanner.number(upTo: 255) == nil || !scanner.isAtEnd { note(.maxForwards) }
    }
    return values
  }

  /// A request whose identifying headers are there but damaged is owed a 400: the sender finds it by the branch. What stands
  /// in for the damage is never looked at; the answer repeats the headers as they came.
  private mutating func salvage(_ values: inout Identity, _ method: SIPMethod) {
    guard fault != nil else { return }
    if values.cseq == nil, single(.cseq) != nil { values.cseq = SIPSequence(number: 0, method: method) }
    if values.from == nil, let field = single(.from) {
      values.from = SIPNameAddress(salvaging: SIPMessage.unfolded(bytes, field))
    }
    if values.to == nil, let field = single(.to) {
      values.to = SIPNameAddress(salvaging: SIPMessage.unfolded(bytes, field))
    }
  }

  private mutating func via(_ values: inout Identity) {
    var count = 0
    for field in fields where field.id == .via {
      let parts = SIPScanner.list(SIPMessage.unfolded(bytes, field))
      if count == 0, let first = parts.first {
        values.via = SIPVia(first)
        if values.via == nil {
          note(.via)
          values.via = SIPVia(salvaging: first)
        }
      }
      count += parts.count
    }
    if count > limits.viaCount { note(.via, status: 483) }
  }

  private mutating func bodyRange(_ framing: SIPFraming) -> Range<Int> {
    let rest = at..<bytes.count
    guard let field = single(.contentLength) else {
      if case .stream = framing { note(.contentLength) }
      return rest
    }
    var scanner = SIPScanner(bytes[field.value.range])
    guard let length = scanner.number(upTo: UInt64(limits.messageBytes)), scanner.isAtEnd, length <= rest.count else {
      note(.contentLength)
      return rest
    }
    return rest.lowerBound..<(rest.lowerBound + Int(length))
  }
}
