import Base

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// `--ready-file`: says on disk that the gateway listens, and where, for scripts and tests that started it with port 0.
enum ReadyFile {
  /// Whoever sees the file sees all of it: it is written beside its place and moved there.
  static func write(_ value: Value, to path: String) throws(CommandFailure) {
    let part = "\(path).part"
    guard let file = fopen(part, "w") else { throw failure(path) }
    let text = JSON.encode(value) + "\n"
    let isWritten = fputs(text, file) >= 0
    guard fclose(file) == 0, isWritten, rename(part, path) == 0 else { throw failure(path) }
  }

  private static func failure(_ path: String) -> CommandFailure {
    CommandFailure("the ready file \(path) cannot be written: \(String(cString: strerror(errno)))")
  }
}
