import Logging
import NIOCore
import Settings
import Storage
import Telemetry

/// The sounds of dialogs where they lie in a bucket.
enum Sounds {
  /// - Parameter count: of the operation and its outcome.
  /// - Returns: nil where they are files.
  static func open(
    _ settings: StorageSettings, group: any EventLoopGroup, logger: Logger,
    count: @escaping @Sendable (String, String) -> Void = { _, _ in }
  ) -> ObjectShelf? {
    store(settings, group: group, logger: logger, count: count).map { ObjectShelf($0, logger: logger) }
  }

  /// The bucket of `storage.objects`; nil where it is a folder.
  static func store(
    _ settings: StorageSettings, group: any EventLoopGroup, logger: Logger,
    count: @escaping @Sendable (String, String) -> Void = { _, _ in }
  ) -> S3ObjectStore? {
    settings.objectsBucket.map { address in
      S3ObjectStore(
        address, settings.s3, product: "Parley/\(Build.version)", group: group, nowMs: WallClock.nowMilliseconds,
        logger: logger
      ) { count($0.rawValue, $1?.rawValue ?? "ok") }
    }
  }
}

extension ObjectShelf {
  /// Looks once whether the store is there, without anybody waiting for it: dialogs without sounds need none.
  /// - Returns: the end of it.
  func watch(_ health: HealthState) -> @Sendable () async -> Void {
    health.addDegradation("objects") { self.trouble }
    let looking = Task { await check() }
    return {
      looking.cancel()
      await self.close()
    }
  }
}
