import Base
import Logging
import Settings
import Storage
import Telemetry

/// What this process shares with others over Redis: commands find calls wherever they live, and news are heard at once. Without
/// Redis commands stay in the process.
struct SharedCalls: Sendable {
  var commands: any CommandBus
  /// nil: whoever shares the database looks by himself.
  var bell: (any ChangeBell)?
  var close: @Sendable () async -> Void = {}

  /// - Throws: ``CommandFailure`` where Redis cannot be reached: what is wrong in the configuration is said at the start.
  static func open(
    _ settings: StorageSettings, metrics: MetricsRegistry, logger: Logger
  ) async throws(CommandFailure) -> SharedCalls {
    guard let address = settings.redis else { return SharedCalls(commands: MemoryCommandBus()) }
    let client: RedisClient
    do {
      client = try RedisClient(address, logger: logger)
    } catch {
      throw CommandFailure("\(error) (storage.redis)")
    }
    do {
      _ = try await client.send(RedisCommand("PING"))
    } catch {
      await client.close()
      throw CommandFailure("\(error) (storage.redis)")
    }
    metrics.gauge("vg_redis_up", "Whether Redis answers.") { client.trouble == nil ? 1 : 0 }
    var random = SystemRandomNumberGenerator()
    let holder = CallHolder(instance: ULID.make(unixMilliseconds: WallClock.nowMilliseconds(), using: &random))
    let directory = RedisCallDirectory(client)
    let keeper = CallKeeper(directory, holder: holder, logger: logger)
    let bus = RedisCommandBus(
      client, database: address.database, directory: directory, keeper: keeper, logger: logger)
    let bell = RedisBell(client, database: address.database)
    keeper.start()
    await bus.start()
    return SharedCalls(commands: bus, bell: bell) {
      await bus.stop()
      await keeper.stop()
      await bell.close()
      await client.close()
    }
  }
}
