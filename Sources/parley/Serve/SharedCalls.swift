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
  /// This run of this process, as other processes know it.
  var holder: CallHolder
  /// nil: there is no Redis.
  var client: RedisClient?
  var close: @Sendable () async -> Void = {}

  /// How long a start waits for Redis: longer than sentinels take to make another master.
  private static let patience: Duration = .seconds(10)
  private static let pause: Duration = .milliseconds(200)

  /// - Throws: ``CommandFailure`` where Redis cannot be reached: what is wrong in the configuration is said at the start.
  static func open(
    _ settings: StorageSettings, metrics: MetricsRegistry, health: HealthState, logger: Logger
  ) async throws(CommandFailure) -> SharedCalls {
    var random = SystemRandomNumberGenerator()
    let holder = CallHolder(instance: ULID.make(unixMilliseconds: WallClock.nowMilliseconds(), using: &random))
    guard let address = settings.redis else { return SharedCalls(commands: MemoryCommandBus(), holder: holder) }
    let client: RedisClient
    do {
      client = try RedisClient(address, logger: logger)
    } catch {
      throw CommandFailure("\(error) (storage.redis)")
    }
    // What starts at the same time, or is choosing a master, is waited for; the log says meanwhile what is missing.
    let start = Instant.monotonic()
    while true {
      do {
        _ = try await client.send(RedisCommand("PING"))
        break
      } catch {
        if Instant.monotonic() - start < patience, (try? await Task.sleep(for: pause)) != nil { continue }
        await client.close()
        throw CommandFailure("\(error) (storage.redis)")
      }
    }
    metrics.gauge("vg_redis_up", "Whether Redis answers.") { client.trouble == nil ? 1 : 0 }
    // Calls go on without it; only commands to calls of other gateways do not arrive.
    health.addDegradation("redis") { client.trouble.map { "\($0)" } }
    let directory = RedisCallDirectory(client)
    let keeper = CallKeeper(directory, holder: holder, logger: logger)
    let bus = RedisCommandBus(
      client, database: address.database, directory: directory, keeper: keeper, logger: logger)
    let bell = RedisBell(client, database: address.database)
    keeper.start()
    await bus.start()
    return SharedCalls(commands: bus, bell: bell, holder: holder, client: client) {
      await bus.stop()
      await keeper.stop()
      await bell.close()
      await client.close()
    }
  }
}
