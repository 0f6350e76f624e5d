/// `Replaces` (RFC 3891 6.1): a dialog of the one who receives it, named as that one sees it.
public struct SIPReplaces: Hashable, Sendable, CustomStringConvertible {
  public var callID: String
  /// The receiver's own tag in that dialog.
  public var toTag: String
  public var fromTag: String
  /// Only as long as the dialog is not answered.
  public var isEarlyOnly: Bool

  public init(callID: String, toTag: String, fromTag: String, isEarlyOnly: Bool = false) {
    self.callID = callID
    self.toTag = toTag
    self.fromTag = fromTag
    self.isEarlyOnly = isEarlyOnly
  }

  /// Reads a header's value; nil where it is none.
  public init?(_ text: String) {
    var scanner = SIPScanner(text)
    scanner.skipSpace()
    let id = scanner.run { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: ",") }
    guard !id.isEmpty, let parameters = scanner.parameters(), scanner.isAtEnd,
      let toTag = parameters.first(named: "to-tag")?.value, let fromTag = parameters.first(named: "from-tag")?.value
    else { return nil }
    self.init(
      callID: String(decoding: id, as: UTF8.self), toTag: toTag, fromTag: fromTag,
      isEarlyOnly: parameters.first(named: "early-only") != nil)
  }

  /// As the header has it.
  public var description: String {
    "\(callID);to-tag=\(toTag);from-tag=\(fromTag)" + (isEarlyOnly ? ";early-only" : "")
  }

  /// As the headers of a URI have it (RFC 3261 19.1.1): all but letters, digits and the marks `-._~` escaped.
  var escaped: String {
    let hex = Array("0123456789ABCDEF".utf8)
    var out = Array("Replaces=".utf8)
    for byte in description.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.append(byte)
      default: out += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}

extension SIPURI {
  /// The value of the URI header of this name, its escapes undone; nil where there is none.
  func header(named name: String) -> String? {
    for part in (headers ?? "").utf8.split(separator: UInt8(ascii: "&")) {
      let pair = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, equalsIgnoringCase(unescaped(pair[0]), name) else { continue }
      return unescaped(pair[1])
    }
    return nil
  }
}

/// Text with its percent escapes undone.
private func unescaped(_ text: some Sequence<UInt8>) -> String {
  let bytes = Array(text)
  var out: [UInt8] = []
  var i = 0
  while i < bytes.count {
    if bytes[i] == UInt8(ascii: "%"), i + 2 < bytes.count,
      let byte = UInt8(String(decoding: bytes[i + 1...i + 2], as: UTF8.self), radix: 16)
    {
      out.append(byte)
      i += 3
    } else {
      out.append(bytes[i])
      i += 1
    }
  }
  return String(decoding: out, as: UTF8.self)
}
