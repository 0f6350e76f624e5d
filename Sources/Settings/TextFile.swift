import Base

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Reads a whole text file that a person wrote, within a limit.
public enum TextFile {
  /// - Parameter limit: bytes.
  /// - Throws: why it cannot be read, or that it is no UTF-8 text.
  public static func read(_ path: String, limit: Int) throws(Diagnostics) -> String {
    func failure(_ message: String, _ code: String = ConfigurationCode.unreadable) -> Diagnostics {
      Diagnostics([Diagnostic(code: code, severity: .error, file: path, position: nil, message: message)])
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure("cannot be read: \(reason(errno))") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = chunk.withUnsafeMutableBytes { systemRead(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { break }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw failure("cannot be read: \(reason(errno))")
      }
      bytes += chunk[..<count]
      guard bytes.count <= limit else { throw failure("is larger than \(limit) bytes", ConfigurationCode.limit) }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("is not UTF-8 text") }
    return text
  }

  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}

/// `read(2)`, whose own name the function above shadows.
private func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
  read(descriptor, buffer, count)
}
