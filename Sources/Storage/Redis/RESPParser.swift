import NIOCore

/// Takes a server's bytes apart, in whatever pieces they come. Pure.
///
/// Both versions of the protocol are understood; strings and aggregates of unknown length, which RESP3 reserves and no server
/// sends, are not. After an error nothing more can be read: the place of the next value is not known.
public struct RESPParser: Sendable {
  /// What a server may send. Everything that Parley asks for stays far below.
  public struct Limits: Sendable {
    /// Bytes of a simple string, an error or a number.
    public var line = 64 << 10
    /// Bytes of one string. The largest snapshot is ``StorageLimits/snapshotBytes``.
    public var string = 8 << 20
    /// Values in one reply, however they are nested.
    public var values = 1 << 18
    /// Bytes of one reply's strings together.
    public var reply = 32 << 20
    public var depth = 16

    public init() {}
  }

  /// The server speaks another language, or too much.
  public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
    public var description: String
  }

  private enum Aggregate { case list, map, push, attribute }

  /// An aggregate whose elements are coming.
  private struct Frame {
    var kind: Aggregate
    var missing: Int
    var elements: [RESPValue] = []
  }

  private enum BulkKind { case string, error, verbatim }

  private let limits: Limits
  private var buffer = ByteBuffer()
  /// How many readable bytes hold no line break.
  private var searched = 0
  private var frames: [Frame] = []
  private var bulk: (kind: BulkKind, length: Int)?
  /// Of the reply that is being read: those that were announced, and the bytes of its strings.
  private var values = 0
  private var stringBytes = 0
  private var failure: Failure?

  public init(limits: Limits = Limits()) { self.limits = limits }

  /// Takes bytes. Whoever feeds it takes all values out between two pieces, so that no more than one begun value waits.
  public mutating func receive(_ bytes: ByteBuffer) {
    if buffer.readableBytes == 0 {
      buffer = bytes
    } else {
      buffer.discardReadBytes()
      buffer.writeImmutableBuffer(bytes)
    }
  }

  /// The next whole value; nil: more bytes are needed.
  public mutating func next() throws(Failure) -> RESPValue? {
    if let failure { throw failure }
    do {
      return try parse()
    } catch {
      failure = error
      frames = []
      buffer.clear()
      throw error
    }
  }

  private mutating func parse() throws(Failure) -> RESPValue? {
    while true {
      let value: RESPValue?
      if let bulk {
        guard let string = try readString(bulk.kind, bulk.length) else { return nil }
        self.bulk = nil
        value = string
      } else {
        guard let line = try readLine() else { return nil }
        value = try begin(line)
      }
      if let value, let whole = place(value) {
        values = 0
        stringBytes = 0
        return whole
      }
    }
  }

  /// Reads what a line says; nil where it only opens something.
  private mutating func begin(_ line: [UInt8]) throws(Failure) -> RESPValue? {
    guard let type = line.first else { throw Failure(description: "an empty line where a value should begin") }
    let rest = line.dropFirst()
    switch type {
    case UInt8(ascii: "+"), UInt8(ascii: "("): return .bytes(Array(rest))
    case UInt8(ascii: "-"): return .error(RESPError(String(decoding: rest, as: UTF8.self)))
    case UInt8(ascii: ":"): return .int(try number(rest))
    case UInt8(ascii: "_") where rest.isEmpty: return .null
    case UInt8(ascii: "#") where rest.elementsEqual("t".utf8): return .bool(true)
    case UInt8(ascii: "#") where rest.elementsEqual("f".utf8): return .bool(false)
    case UInt8(ascii: ","):
      guard let number = Double(String(decoding: rest, as: UTF8.self)) else {
        throw Failure(description: "a number that is none")
      }
      return .double(number)
    case UInt8(ascii: "$"): return try open(.string, rest)
    case UInt8(ascii: "!"): return try open(.error, rest)
    case UInt8(ascii: "="): return try open(.verbatim, rest)
    case UInt8(ascii: "*"), UInt8(ascii: "~"): return try open(.list, rest)
    case UInt8(ascii: "%"): return try open(.map, rest)
    case UInt8(ascii: "|"): return try open(.attribute, rest)
    case UInt8(ascii: ">"):
      guard frames.isEmpty else { throw Failure(description: "a push within another value") }
      return try open(.push, rest)
    default: throw Failure(description: "a value of an unknown type")
    }
  }

  private mutating func open(_ kind: BulkKind, _ count: ArraySlice<UInt8>) throws(Failure) -> RESPValue? {
    let length = try number(count)
    if length == -1, kind == .string { return .null }
    guard length >= 0 else { throw Failure(description: "a string of negative length") }
    guard length <= limits.string, stringBytes + Int(length) <= limits.reply else {
      throw Failure(description: "a string of \(length) bytes")
    }
    stringBytes += Int(length)
    bulk = (kind, Int(length))
    return nil
  }

  private mutating func open(_ kind: Aggregate, _ count: ArraySlice<UInt8>) throws(Failure) -> RESPValue? {
    let length = try number(count)
    if length == -1, kind == .list { return .null }
    guard length >= 0 else { throw Failure(description: "an aggregate of negative length") }
    // Two values a pair; refused before anything is made for them.
    let elements = kind == .map || kind == .attribute ? length.multipliedReportingOverflow(by: 2) : (length, false)
    guard !elements.1, elements.0 <= limits.values - values else {
      throw Failure(description: "a reply of more than \(limits.values) values")
    }
    guard frames.count < limits.depth else { throw Failure(description: "values nested too deeply") }
    if elements.0 == 0 { return Self.close(Frame(kind: kind, missing: 0)) }
    values += Int(elements.0)
    frames.append(Frame(kind: kind, missing: Int(elements.0)))
    return nil
  }

  /// Puts a value where it belongs; the whole value where that was the last one missing.
  private mutating func place(_ value: RESPValue) -> RESPValue? {
    var value = value
    while var frame = frames.popLast() {
      frame.elements.append(value)
      frame.missing -= 1
      guard frame.missing == 0 else {
        frames.append(frame)
        return nil
      }
      // An attribute says something about the value that follows it; nobody here asks.
      guard let closed = Self.close(frame) else { return nil }
      value = closed
    }
    return value
  }

  private static func close(_ frame: Frame) -> RESPValue? {
    switch frame.kind {
    case .list: .list(frame.elements)
    case .map: .map(frame.elements)
    case .push: .push(frame.elements)
    case .attribute: nil
    }
  }

  // MARK: Bytes

  /// The next line without its end; nil: it is not all there.
  private mutating func readLine() throws(Failure) -> [UInt8]? {
    let view = buffer.readableBytesView
    guard let end = view.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) else {
      searched = view.count
      guard searched <= limits.line else { throw Failure(description: "a line of more than \(limits.line) bytes") }
      return nil
    }
    let length = end - view.startIndex
    guard length <= limits.line else { throw Failure(description: "a line of more than \(limits.line) bytes") }
    searched = 0
    guard length > 0, view[end - 1] == UInt8(ascii: "\r") else {
      throw Failure(description: "a line that does not end with CR LF")
    }
    let line = Array(view[..<(end - 1)])
    buffer.moveReaderIndex(forwardBy: length + 1)
    return line
  }

  private mutating func readString(_ kind: BulkKind, _ length: Int) throws(Failure) -> RESPValue? {
    guard buffer.readableBytes >= length + 2 else { return nil }
    guard let bytes = buffer.readBytes(length: length), buffer.readBytes(length: 2) == [13, 10] else {
      throw Failure(description: "a string that is longer than it says")
    }
    switch kind {
    case .string: return .bytes(bytes)
    case .error: return .error(RESPError(String(decoding: bytes, as: UTF8.self)))
    case .verbatim:
      // Three letters for the format, a colon, the text.
      guard bytes.count >= 4, bytes[3] == UInt8(ascii: ":") else {
        throw Failure(description: "a verbatim string without its format")
      }
      return .bytes(Array(bytes[4...]))
    }
  }

  private func number(_ text: ArraySlice<UInt8>) throws(Failure) -> Int64 {
    guard let number = Int64(String(decoding: text, as: UTF8.self)) else {
      throw Failure(description: "a number that is none")
    }
    return number
  }
}
