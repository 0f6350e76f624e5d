/// Writes one message. No value can break out of its line: control characters become spaces, in whatever is handed in.
public struct SIPMessageWriter: Sendable {
  private var bytes: [UInt8] = []

  /// Begins a request. Bytes that a URI cannot hold are percent-escaped.
  public init(request method: SIPMethod, uri: String) {
    bytes.reserveCapacity(1_024)
    bytes += method.name.utf8.filter(isToken)
    bytes.append(0x20)
    let hex = Array("0123456789ABCDEF".utf8)
    for byte in uri.utf8 {
      switch byte {
      case 0...0x20, 0x7F, UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""):
        bytes += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      default: bytes.append(byte)
      }
    }
    bytes += " SIP/2.0\r\n".utf8
  }

  /// Begins a response.
  /// - Parameter status: 100 to 699; anything else is written as 500.
  public init(response status: Int, reason: String) {
    bytes.reserveCapacity(1_024)
    bytes += "SIP/2.0 \((100...699).contains(status) ? status : 500) ".utf8
    text(reason.utf8)
    newLine()
  }

  public mutating func add(_ name: SIPHeaderName, _ value: String) {
    guard name != .other, name != .contentLength else { return }
    bytes += name.text.utf8
    bytes += ": ".utf8
    text(value.utf8)
    newLine()
  }

  /// Adds a header of the owner. One without a usable name is left out; Content-Length is written by ``finish(_:)-(SIPBody?)``.
  public mutating func add(_ field: SIPHeaderField) {
    add(raw: Array(field.name.utf8)[...], Array(field.value.utf8)[...])
  }

  mutating func add(raw name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
    guard !name.isEmpty, name.allSatisfy(isToken), SIPHeaderName(name) != .contentLength else { return }
    bytes += name
    bytes += ": ".utf8
    text(value)
    newLine()
  }

  /// Ends the header and adds the body with its type and length.
  public consuming func finish(_ body: SIPBody? = nil) -> [UInt8] {
    guard let body else { return finish([]) }
    add(.contentType, body.contentType)
    return finish(body.bytes[...])
  }

  consuming func finish(_ body: ArraySlice<UInt8>) -> [UInt8] {
    bytes += "Content-Length: \(body.count)\r\n\r\n".utf8
    bytes += body
    return bytes
  }

  private mutating func text(_ text: some Sequence<UInt8>) {
    for byte in text { bytes.append(byte < 0x20 && byte != 0x09 || byte == 0x7F ? 0x20 : byte) }
  }

  private mutating func newLine() {
    bytes.append(0x0D)
    bytes.append(0x0A)
  }
}
