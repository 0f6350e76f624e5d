import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An advisory lock on a file, so that two gateways never own one database: the second would end the calls of the first.
/// The system lets go of it when the process dies.
final class FileLock: Sendable {
  private let descriptor: NIOLockedValueBox<Int32>

  /// - Parameter what: what the lock protects, for the sentence.
  init(path: String, what: String) throws(StorageError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else {
      throw StorageError(.cannotOpen, "the database \(what) cannot be opened: \(String(cString: strerror(errno)))")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let isHeld = errno == EWOULDBLOCK
      let reason = String(cString: strerror(errno))
      close(descriptor)
      throw isHeld
        ? StorageError(.inUse, "the database \(what) is in use by another gateway process")
        : StorageError(.cannotOpen, "the database \(what) cannot be locked: \(reason)")
    }
    self.descriptor = NIOLockedValueBox(descriptor)
  }

  /// Idempotent.
  func release() {
    let descriptor = descriptor.withLockedValue { descriptor in
      defer { descriptor = -1 }
      return descriptor
    }
    if descriptor >= 0 { close(descriptor) }
  }

  deinit { release() }
}
