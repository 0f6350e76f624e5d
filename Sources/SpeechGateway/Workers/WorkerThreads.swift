import NIOConcurrencyHelpers

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A fixed number of threads that take jobs from one bounded queue. Below the event loops in priority, so that a busy
/// recogniser never makes a packet late.
final class WorkerThreads<Job: Sendable>: Sendable {
  private struct Queue {
    var jobs: [Job?] = []
    /// Ring positions: the job at `head % jobs.count` is the oldest.
    var head = 0
    var count = 0
    var running = true

    mutating func append(_ job: Job) {
      if count == jobs.count {
        var larger: [Job?] = []
        larger.reserveCapacity(max(16, jobs.count * 2))
        for i in 0..<count { larger.append(jobs[(head + i) % jobs.count]) }
        while larger.count < max(16, jobs.count * 2) { larger.append(nil) }
        jobs = larger
        head = 0
      }
      jobs[(head + count) % jobs.count] = job
      count += 1
    }

    /// Takes the oldest job, or among the oldest eight the first that `preferred` likes.
    mutating func take(_ preferred: (Job) -> Bool) -> Job? {
      guard count > 0 else { return nil }
      for i in 0..<min(count, 8) {
        let at = (head + i) % jobs.count
        if let job = jobs[at], preferred(job) {
          var hole = i
          while hole > 0 {
            jobs[(head + hole) % jobs.count] = jobs[(head + hole - 1) % jobs.count]
            hole -= 1
          }
          jobs[head] = nil
          head = (head + 1) % jobs.count
          count -= 1
          return job
        }
      }
      return nil
    }
  }

  private let queue: ConditionLock<Int>
  // Read and written only while `queue` is locked.
  private nonisolated(unsafe) var state = Queue()
  private let limit: Int

  /// - Parameters:
  ///   - limit: jobs that may wait; one more is refused.
  /// - body: runs on every thread until `next` returns nil. `next` blocks for a job; its argument says which of the
  /// waiting
  ///     jobs this thread would like best.
  init(
    count: Int, niceness: Int32, limit: Int,
    body: @escaping @Sendable (_ next: (_ preferred: (Job) -> Bool) -> Job?) -> Void
  ) {
    self.limit = limit
    queue = ConditionLock(value: 0)
    for _ in 0..<count {
      startThread(niceness: niceness) { [weak self] in
        guard let self else { return }
        let owner = WeakOwner(self)
        body { preferred in owner.take(preferred) }
      }
    }
  }

  private struct WeakOwner {
    let threads: WorkerThreads
    init(_ threads: WorkerThreads) { self.threads = threads }
    func take(_ preferred: (Job) -> Bool) -> Job? { threads.take(preferred) }
  }

  /// Jobs that wait now.
  var waiting: Int {
    queue.lock()
    defer { queue.unlock() }
    return state.count
  }

  /// Returns false where the queue is full or closed.
  func submit(_ job: Job) -> Bool {
    queue.lock()
    guard state.running, state.count < limit else {
      queue.unlock()
      return false
    }
    state.append(job)
    queue.unlock(withValue: 1)
    return true
  }

  /// Lets the threads end; jobs that wait are dropped and returned.
  func close() -> [Job] {
    queue.lock()
    state.running = false
    var dropped: [Job] = []
    while let job = state.take({ _ in true }) { dropped.append(job) }
    queue.unlock(withValue: 1)
    return dropped
  }

  private func take(_ preferred: (Job) -> Bool) -> Job? {
    queue.lock(whenValue: 1)
    let job = state.take(preferred) ?? state.take { _ in true }
    // A closed queue stays signalled, so that every thread wakes and ends.
    queue.unlock(withValue: state.count > 0 || !state.running ? 1 : 0)
    return job
  }
}

/// Starts a detached thread of lower priority.
func startThread(niceness: Int32, body: @escaping @Sendable () -> Void) {
  final class Start {
    let niceness: Int32
    let body: @Sendable () -> Void
    init(_ niceness: Int32, _ body: @escaping @Sendable () -> Void) {
      self.niceness = niceness
      self.body = body
    }
  }
  let start = Unmanaged.passRetained(Start(niceness, body))
  let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
  defer { attributes.deallocate() }
  pthread_attr_init(attributes)
  // Flite and PocketSphinx keep sizeable frames; eight threads of 1 MiB cost address space only.
  pthread_attr_setstacksize(attributes, 1 << 20)
  pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
  var thread = pthread_t()
  let failed = pthread_create(
    &thread, attributes,
    { argument in
      guard let argument else { return nil }
      let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
      // Process 0 is the calling thread: Linux gives every thread its own niceness.
      setpriority(Int32(PRIO_PROCESS.rawValue), 0, start.niceness)
      start.body()
      return nil
    }, start.toOpaque())
  pthread_attr_destroy(attributes)
  if failed != 0 { start.release() }
}
