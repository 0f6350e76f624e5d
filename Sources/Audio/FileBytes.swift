import Glibc

/// Reads a whole regular file of at most `limit` bytes.
func readFile(_ path: String, limit: Int) throws(AudioError) -> [UInt8] {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw AudioError(.unreadable, "Cannot open \(path): \(errnoText()).") }
  defer { close(descriptor) }
  var status = stat()
  guard fstat(descriptor, &status) == 0 else {
    throw AudioError(.unreadable, "Cannot read \(path): \(errnoText()).")
  }
  guard status.st_mode & S_IFMT == S_IFREG else {
    throw AudioError(.unreadable, "Cannot read \(path): it is not a regular file.")
  }
  guard status.st_size <= limit else {
    throw AudioError(.tooLarge, "\(path) has \(status.st_size) bytes; at most \(limit) are read.")
  }
  var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
  var filled = 0
  while filled < bytes.count {
    let got = bytes.withUnsafeMutableBytes { buffer in
      read(descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
    }
    if got < 0, errno == EINTR { continue }
    guard got >= 0 else { throw AudioError(.unreadable, "Cannot read \(path): \(errnoText()).") }
    if got == 0 { break }
    filled += got
  }
  bytes.removeLast(bytes.count - filled)
  return bytes
}

/// Whether something lies at `path`, readable or not.
func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

func errnoText() -> String {
  let code = errno
  return strerror(code).map { String(cString: $0) } ?? "error \(code)"
}
