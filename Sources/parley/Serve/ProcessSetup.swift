import Dispatch

#if canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// What the process asks of the operating system before it serves.
enum ProcessSetup {
  /// Every call takes two UDP sockets: raises the limit of open files to what the system allows.
  static func raiseFileLimit() {
    var limit = rlimit()
    guard getrlimit(openFiles, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(openFiles, &limit)
  }

  /// The most files that the process may have open after ``raiseFileLimit()``.
  static var fileLimit: Int {
    var limit = rlimit()
    guard getrlimit(openFiles, &limit) == 0 else { return Int.max }
    return Int(clamping: limit.rlim_max)
  }

  #if canImport(Musl)
    private static let openFiles = RLIMIT_NOFILE
  #else
    private static let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  #endif
}

/// SIGTERM and SIGINT as a stream: one element for each signal.
struct StopSignals {
  let signals: AsyncStream<Int32>
  private let sources: [any DispatchSourceSignal]

  init() {
    let (stream, continuation) = AsyncStream<Int32>.makeStream()
    signals = stream
    sources = [SIGTERM, SIGINT].map { number in
      // The default action would end the process before the source is told.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
  }
}

/// SIGHUP as a stream: read the dialogs again, now.
struct ReloadSignals {
  let signals: AsyncStream<Void>
  private let source: any DispatchSourceSignal

  init() {
    let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    signals = stream
    // The default action would end the process: a terminal that goes away must not end calls.
    signal(SIGHUP, SIG_IGN)
    source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: .global())
    source.setEventHandler { continuation.yield() }
    source.resume()
  }
}
