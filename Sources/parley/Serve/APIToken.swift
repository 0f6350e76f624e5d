import Base
import FoundationEssentials

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The bearer token that the gateway makes for itself where none is configured, so that the API is never open.
enum APIToken {
  static let fileName = "api-token"

  /// Reads the token of the data folder, or makes one there that only the owner can read.
  /// - Returns: the token, its file, and whether it is new.
  static func readOrMake(dataDir: String) throws(CommandFailure) -> (token: String, file: String, isNew: Bool) {
    let file = "\(dataDir)/\(fileName)"
    if let old = FileManager.default.contents(atPath: file) {
      let token = String(decoding: old, as: UTF8.self).split(whereSeparator: \.isWhitespace).first.map(String.init)
      guard let token, token.utf8.count >= 16 else {
        throw CommandFailure("\(file) holds no API token; delete it and a new one is made")
      }
      return (token, file, false)
    }
    var random = SystemRandomNumberGenerator()
    let token = "parley_" + hex(random.next()) + hex(random.next())
    try writePrivately(token + "\n", to: file)
    return (token, file, true)
  }

  private static func hex(_ number: UInt64) -> String {
    let text = String(number, radix: 16)
    return String(repeating: "0", count: 16 - text.utf8.count) + text
  }

  private static func writePrivately(_ text: String, to file: String) throws(CommandFailure) {
    let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CommandFailure("the API token cannot be written to \(file): \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count else {
      throw CommandFailure("the API token cannot be written to \(file): \(String(cString: strerror(errno)))")
    }
  }
}
