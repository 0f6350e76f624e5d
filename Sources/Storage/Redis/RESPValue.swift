import NIOCore

/// One value of the protocol that Redis speaks, in its second or third version (redis.io, "Redis serialization protocol
/// specification").
public enum RESPValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  /// A string of any kind, or a number that is too big for the others.
  case bytes([UInt8])
  case error(RESPError)
  /// An array or a set.
  case list([RESPValue])
  /// Keys and values in turn.
  case map([RESPValue])
  /// What the server says without being asked: never within another value.
  case push([RESPValue])

  /// The text of `bytes` (UTF-8, repaired where it is none); nil for every other case.
  public var text: String? { if case .bytes(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil } }
  public var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
  public var int: Int64? { if case .int(let number) = self { number } else { nil } }
  /// The elements of anything that has some; nil for every other case.
  public var elements: [RESPValue]? {
    switch self {
    case .list(let elements), .map(let elements), .push(let elements): elements
    default: nil
    }
  }
}

/// What a server refuses with: `NOSCRIPT No matching script`.
public struct RESPError: Sendable, Hashable, CustomStringConvertible {
  /// The first word, by which programs decide: `ERR`, `NOSCRIPT`, `READONLY`.
  public var code: String
  public var message: String

  public init(_ line: String) {
    code = String(line.prefix { $0 != " " })
    message = String(line.dropFirst(code.count).drop { $0 == " " })
  }

  public var description: String { message.isEmpty ? code : "\(code) \(message)" }
}

/// One command on its way to a server: a name and arguments, all of them bytes.
public struct RedisCommand: Sendable {
  /// One argument; a literal is its text.
  public struct Argument: Sendable, ExpressibleByStringInterpolation {
    fileprivate enum Content: Sendable {
      case text(String)
      case bytes([UInt8])
    }
    fileprivate var content: Content

    public init(stringLiteral value: String) { content = .text(value) }
    public init(_ text: String) { content = .text(text) }
    public init(_ bytes: [UInt8]) { content = .bytes(bytes) }
    public init(_ number: some BinaryInteger) { content = .text(String(number)) }
  }

  public var arguments: [Argument]

  public init(_ name: String, _ arguments: Argument...) { self.init(name, arguments) }
  public init(_ name: String, _ arguments: [Argument]) { self.arguments = [Argument(name)] + arguments }

  /// The command as it goes over the wire: a RESP array of bulk strings.
  public func encode() -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.writeString("*\(arguments.count)\r\n")
    for argument in arguments {
      switch argument.content {
      case .text(let text):
        buffer.writeString("$\(text.utf8.count)\r\n")
        buffer.writeString(text)
      case .bytes(let bytes):
        buffer.writeString("$\(bytes.count)\r\n")
        buffer.writeBytes(bytes)
      }
      buffer.writeString("\r\n")
    }
    return buffer
  }
}
