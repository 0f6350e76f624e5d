import Base
import Logging
import Storage
import Telemetry

/// Something that is done again and again, however often it is broken off.
public struct Job: Sendable {
  /// Names its row in the database; never changed.
  public var name: String
  public var interval: Duration
  /// Wall-clock milliseconds of now.
  public var run: @Sendable (_ nowMs: Int64) async throws -> Void

  public init(_ name: String, every interval: Duration, run: @escaping @Sendable (_ nowMs: Int64) async throws -> Void)
  {
    self.name = name
    self.interval = interval
    self.run = run
  }
}

/// Runs jobs, each once per interval, however many processes share the database: whoever moves the job's due time on runs it.
/// A job that fails comes again after a minute at most.
public struct JobRunner: Sendable {
  private let database: any SQLDatabase
  private let jobs: [Job]
  private let owner: String
  private let metrics: WorkerMetrics
  private let logger: Logger

  /// - Parameter owner: names this process, for people who look at the table.
  public init(database: any SQLDatabase, jobs: [Job], owner: String, metrics: WorkerMetrics, logger: Logger) {
    self.database = database
    self.jobs = jobs
    self.owner = owner
    self.metrics = metrics
    self.logger = logger
  }

  /// Runs until the task is cancelled; a job that is under way is finished or sees the cancellation.
  public func run() async {
    await withTaskGroup { group in
      for job in jobs { group.addTask { await run(job) } }
    }
  }

  private func run(_ job: Job) async {
    while !Task.isCancelled {
      var pause = Self.retry
      do {
        pause = try await attempt(job, nowMs: WallClock.nowMilliseconds())
      } catch {
        if Task.isCancelled { return }
        metrics.jobs.with(job.name, "failed").add()
        logger.error("a job failed", metadata: ["job": "\(job.name)", "error": "\(error)"])
      }
      do { try await Task.sleep(for: pause) } catch { return }
    }
  }

  /// Runs the job where it is due and nobody else was faster.
  /// - Returns: how long to wait before the next look.
  public func attempt(_ job: Job, nowMs: Int64) async throws -> Duration {
    let interval = max(1, job.interval.milliseconds)
    let name = SQLValue.text(job.name), owner = SQLValue.text(owner)
    let (isOurs, dueMs) = try await database.write { database -> (Bool, Int64) in
      try database.run(
        "INSERT INTO jobs (name, due_ms, owner) VALUES (?, ?, '') ON CONFLICT (name) DO NOTHING", [name, .int(nowMs)])
      let count = try database.run(
        "UPDATE jobs SET due_ms = ?, owner = ? WHERE name = ? AND due_ms <= ?",
        [.int(nowMs + interval), owner, name, .int(nowMs)])
      let due = try database.row("SELECT due_ms FROM jobs WHERE name = ?", [name])?.int("due_ms") ?? nowMs
      return (count == 1, due)
    }
    if isOurs {
      do {
        try await job.run(nowMs)
      } catch {
        let again = nowMs + min(interval, Self.retry.milliseconds)
        _ = try? await database.write { database in
          try database.run("UPDATE jobs SET due_ms = ? WHERE name = ? AND owner = ?", [.int(again), name, owner])
        }
        throw error
      }
      metrics.jobs.with(job.name, "done").add()
    }
    // Not longer than a minute: another process may have died with the job, or the clock may have been set.
    return min(.milliseconds(max(100, dueMs - nowMs)), .seconds(60))
  }

  private static let retry: Duration = .seconds(60)
}
