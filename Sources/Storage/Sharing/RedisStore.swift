import Base

/// What the stores in Redis have in common: their keys, their scripts' beginning, and how they take failures.
///
/// Every script may run twice with the same effect, because an answer may be lost; so a lost one is asked for once more. The
/// keys of one script lie anywhere: a cluster of Redis is not for these.
struct RedisStore: Sendable {
  /// Everything of Parley's in a database of Redis begins with it.
  static let prefix = "parley:"

  let client: RedisClient

  /// - Throws: ``StorageError``.
  func run(
    _ script: RedisScript, keys: [String], _ arguments: [RedisCommand.Argument], _ fallback: StorageError.Code
  ) async throws -> RESPValue {
    let keys = keys.map { Self.prefix + $0 }
    do {
      return try await client.run(script, keys: keys, arguments)
    } catch  where error.code == .unanswered {
      do {
        return try await client.run(script, keys: keys, arguments)
      } catch {
        throw error.asStorageError(fallback)
      }
    } catch {
      throw error.asStorageError(fallback)
    }
  }

  static func unexpected() -> StorageError {
    StorageError(.readFailed, "Redis answers what Parley did not write: another program uses its keys (\(prefix)*)")
  }
}

extension RedisScript {
  /// A script that knows `now`, the milliseconds of the server's clock, and `whole`, which writes numbers without loss.
  init(withClock body: String) {
    self.init(
      """
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      local function whole(number) return string.format('%.0f', number) end

      """ + body)
  }
}
