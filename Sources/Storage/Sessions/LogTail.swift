import Base

/// Follows the record where several processes write it: subscribers get every event in the one order of the log, whoever wrote
/// it, and whoever goes on after the last one he saw misses none.
actor LogTail {
  /// How long an event of another process stays unseen where no bell rings.
  private static let interval: Duration = .seconds(1)

  private let database: any SQLDatabase
  private let publish: @Sendable ([SessionEvent]) -> Void
  private var place: Int64 = 0
  private var last: Task<Void, Never>?
  private var ticks: Task<Void, Never>?

  init(_ database: any SQLDatabase, publish: @escaping @Sendable ([SessionEvent]) -> Void) {
    self.database = database
    self.publish = publish
  }

  /// Begins behind what is there now.
  func start() async throws {
    place = try await database.read { try SessionRows.lastPlace($0) }
    ticks = Task { [weak self] in
      while !Task.isCancelled {
        do { try await Task.sleep(for: Self.interval) } catch { return }
        await self?.catchUp()
      }
    }
  }

  func stop() async {
    ticks?.cancel()
    await catchUp()
  }

  /// Publishes everything that was committed before the call. Where the database does not answer, that waits.
  func catchUp() async {
    let before = last
    let task = Task {
      await before?.value
      await read()
    }
    last = task
    await task.value
  }

  private func read() async {
    while true {
      let after = place
      // The writer says in the log what ails the database.
      guard
        let page = try? await database.read({
          try SessionRows.events(afterPlace: after, limit: StorageLimits.page, $0)
        }), let end = page.last
      else { return }
      place = end.place
      publish(page.map(\.event))
      if page.count < StorageLimits.page { return }
    }
  }
}

/// Tells other processes that there is something new to read. It only saves time: who misses a ring finds out by looking, a
/// second later. Any thread; never waits.
public protocol ChangeBell: Sendable {
  func ring()
  func listen(_ onRing: @escaping @Sendable () -> Void)
}
