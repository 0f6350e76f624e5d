import Base
import Logging
import Settings
import Storage
import Telemetry
import Worker

/// What the gateway does about its database besides answering calls: says how it is, and
/// cleans up.
enum Housekeeping {
  /// Deleting rarely in small pieces or often in smaller ones is the same work; an hour is soon enough for days.
  private static let interval: Duration = .seconds(3_600)
  /// A database in memory is bounded by this.
  private static let intervalInMemory: Duration = .seconds(60)

  /// Readiness and metrics of the database.
  static func watch(_ stores: DatabaseStores, _ health: HealthState, _ registry: MetricsRegistry) {
    let trouble = stores.trouble, sessions = stores.sessions
    health.addReadiness("database", trouble)
    registry.gauge("vg_storage_writes_waiting", "Writes of calls that wait for the database.") {
      Double(sessions.waitingWrites)
    }
    registry.gauge("vg_storage_writes_lost", "Writes of calls that were lost since the start.") {
      Double(sessions.lostWrites)
    }
  }

  /// What is worth telling but must not take the pod out of its Service: that is also the way to mend it.
  static func watch(_ audit: AuditLog?, _ metrics: VoiceMetrics, _ health: HealthState) {
    if let audit {
      health.addDegradation("audit") {
        let waiting = audit.waiting
        return waiting > auditBacklog ? "\(waiting) records wait for the database" : nil
      }
    }
    let serving = metrics.dialogs.with("serving")
    health.addDegradation("dialogs") { serving.value > 0 ? nil : "there is none: every call is refused" }
  }

  /// More than one write of the audit log takes.
  private static let auditBacklog = 1_000

  /// Deletes what is older than `storage.retention` allows.
  static func retention(_ stores: DatabaseStores, _ settings: StorageSettings, logger: Logger) -> Job {
    let job = RetentionJob(
      stores.database, policy: RetentionPolicy(settings.retention), isBounded: settings.isInMemory)
    return Job("retention", every: settings.isInMemory ? intervalInMemory : interval) { nowMs in
      let report = try await job.run(nowMs: nowMs)
      guard report.events + report.sessions > 0 else { return }
      logger.notice(
        "deleted what was kept long enough",
        metadata: ["events": "\(report.events)", "sessions": "\(report.sessions)"])
    }
  }
}

extension RetentionPolicy {
  init(_ settings: RetentionSettings) {
    func limit(_ duration: Duration) -> Duration? { duration == .zero ? nil : duration }
    self.init(transcripts: limit(settings.transcripts), events: limit(settings.events))
  }
}
