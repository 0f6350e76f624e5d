#if Cluster
  import Base
  import CallCustody
  import CallLink
  import CallLinkGRPC
  import Logging
  import NIOConcurrencyHelpers
  import NIOCore
  import NIOPosix
  import Storage

  /// Processes of every role in one, over stores in memory. One that is killed says and hears nothing any more, at once.
  final class TestCluster: Sendable {
    let stores: DatabaseStores
    /// Rings when something was heard, a call has moved, or a claim was made or given back, or a state is written.
    let bell = Bell()
    let runtimes: [TestProcess]
    let speeches: [TestProcess]
    let medias: [TestProcess]
    private let watches = NIOLockedValueBox<[Task<Void, Never>]>([])
    private let servers = NIOLockedValueBox<[LinkServer]>([])

    /// What is between the processes.
    enum Transport: String, CaseIterable, Sendable { case functions, grpc }

    init(of each: Int, over transport: Transport = .functions) async throws {
      stores = try DatabaseStores.inMemory(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      let bell = bell
      func processes(_ role: String) -> [TestProcess] { (0..<each).map { TestProcess("\(role)\($0)", bell) } }
      (runtimes, speeches, medias) = (processes("runtime"), processes("speech"), processes("media"))
      for process in runtimes {
        process.runtime.withLockedValue { $0 = RuntimeCustody(context(process), runtime: TestRuntime(process)) }
      }
      let runtimeAddresses = transport == .grpc ? try await listen(runtimes) : []
      for process in speeches {
        let custody: SpeechCustody
        let speech = TestSpeech(process)
        switch transport {
        case .functions:
          let dialer = SwitchedDialer<SpeechToRuntime, RuntimeToSpeech>(from: process, to: runtimes) { target in
            target.runtime.set()
          }
          custody = SpeechCustody(context(process), speech: speech, runtime: dialer)
        case .grpc:
          let pool = pool("runtime", runtimeAddresses, process)
          custody = SpeechCustody(context(process), speech: speech, runtime: pool.runtime())
        }
        process.speech.withLockedValue { $0 = custody }
      }
      let speechAddresses = transport == .grpc ? try await listen(speeches) : []
      for process in medias {
        let custody: MediaCustody
        switch transport {
        case .functions:
          let dialer = SwitchedDialer<MediaToSpeech, SpeechToMedia>(from: process, to: speeches) { target in
            target.speech.set()
          }
          custody = MediaCustody(context(process), speech: dialer)
        case .grpc:
          custody = MediaCustody(context(process), speech: pool("speech", speechAddresses, process).speech())
        }
        process.media.withLockedValue { $0 = custody }
        let phones = TestMedia(process, custody)
        process.phones.withLockedValue { $0 = phones }
        let task = Task { await custody.run(phones, isWilling: { process.isAlive }) }
        watches.withLockedValue { $0.append(task) }
      }
    }

    /// Every process on a port of its own.
    private func listen(_ processes: [TestProcess]) async throws -> [String] {
      var addresses: [String] = []
      for process in processes {
        var answerers = LinkServer.Answerers()
        answerers.speech = process.speech.withLockedValue { $0 }
        answerers.runtime = process.runtime.withLockedValue { $0 }
        let server = try await LinkServer.start(
          host: "127.0.0.1", port: 0, answerers: answerers, state: PeerState(instance: process.name) { 0 },
          security: nil, group: .singleton, logger: quiet)
        servers.withLockedValue { $0.append(server) }
        process.whenKilled { Task { await server.stop() } }
        addresses.append("127.0.0.1:\(server.port)")
      }
      return addresses
    }

    private func pool(_ role: String, _ addresses: [String], _ process: TestProcess) -> PeerPool {
      let pool = PeerPool(
        .init(role: role, addresses: addresses, security: nil), group: MultiThreadedEventLoopGroup.singleton,
        logger: quiet)
      let task = Task { await pool.run() }
      watches.withLockedValue { $0.append(task) }
      process.whenKilled { task.cancel() }
      return pool
    }

    private func context(_ process: TestProcess) -> CustodyContext {
      var context = CustodyContext(
        holder: CallHolder(instance: process.name),
        directory: SwitchedDirectory(process: process, directory: SQLCallDirectory(stores.database)),
        checkpoints: SwitchedCheckpoints(process: process, store: SQLCheckpointStore(stores.database)),
        seal: Self.seal, codecs: .protobuf,
        group: MultiThreadedEventLoopGroup.singleton, logger: quiet)
      context.noticed = { call in process.noticed.withLockedValue { _ = $0.insert(call.session) } }
      return context
    }

    private static let seal: StateSeal = {
      guard let seal = StateSeal(["a key of the tests that is long enough"]) else { fatalError("the key is too short") }
      return seal
    }()

    private var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    func stop() async {
      for task in watches.withLockedValue({ $0 }) { task.cancel() }
      for server in servers.withLockedValue({ $0 }) { await server.stop() }
      for task in watches.withLockedValue({ $0 }) { await task.value }
      await stores.close()
    }

    var phones: [TestMedia] { medias.map { $0.phones.set() } }
  }

  /// One process of the cluster, and whether it lives.
  final class TestProcess: Sendable {
    let name: String
    let bell: Bell
    let runtime = NIOLockedValueBox<RuntimeCustody?>(nil)
    let speech = NIOLockedValueBox<SpeechCustody?>(nil)
    let media = NIOLockedValueBox<MediaCustody?>(nil)
    let phones = NIOLockedValueBox<TestMedia?>(nil)
    let noticed = NIOLockedValueBox<Set<SessionID>>([])
    /// States that it has written.
    let states = NIOLockedValueBox(0)
    private let alive = NIOLockedValueBox(true)
    private let onDeath = NIOLockedValueBox<[@Sendable () -> Void]>([])

    init(_ name: String, _ bell: Bell) {
      self.name = name
      self.bell = bell
    }

    var isAlive: Bool { alive.withLockedValue { $0 } }

    /// Its transports are lost with it.
    func kill() {
      alive.withLockedValue { $0 = false }
      for body in onDeath.withLockedValue({ bodies in
        defer { bodies = [] }
        return bodies
      }) { body() }
    }

    func whenKilled(_ body: @escaping @Sendable () -> Void) { onDeath.withLockedValue { $0.append(body) } }
  }

  extension NIOLockedValueBox {
    /// What the cluster has set before any call comes.
    func set<Role: Sendable>() -> Role where Value == Role? {
      guard let role = withLockedValue({ $0 }) else { fatalError("the process has no \(Role.self)") }
      return role
    }
  }

  struct Dead: Error {}

  struct SwitchedDirectory: CallDirectory {
    let process: TestProcess
    let directory: SQLCallDirectory

    private func check() throws { if !process.isAlive { throw StorageError(.unavailable, "dead") } }
    func claim(_ seat: CallSeat, by holder: CallHolder, for duration: Duration) async throws -> CallLease {
      try check()
      defer { process.bell.ring() }
      return try await directory.claim(seat, by: holder, for: duration)
    }
    func renew(_ leases: [CallLease], for duration: Duration) async throws -> [CallLease] {
      try check()
      return try await directory.renew(leases, for: duration)
    }
    func release(_ lease: CallLease) async throws {
      try check()
      try await directory.release(lease)
      process.bell.ring()
    }
    func lease(of seat: CallSeat) async throws -> CallLease? {
      try check()
      return try await directory.lease(of: seat)
    }
    func orphans(role: String, limit: Int) async throws -> CallOrphans {
      try check()
      return try await directory.orphans(role: role, limit: limit)
    }
  }

  struct SwitchedCheckpoints: CheckpointStore {
    let process: TestProcess
    let store: SQLCheckpointStore

    private func check() throws { if !process.isAlive { throw StorageError(.unavailable, "dead") } }
    func put(_ checkpoint: SessionCheckpoint, for lifetime: Duration) async throws {
      try check()
      try await store.put(checkpoint, for: lifetime)
      process.states.withLockedValue { $0 += 1 }
      process.bell.ring()
    }
    func append(_ events: [SessionEvent], to session: SessionID, token: Int64) async throws {
      try check()
      try await store.append(events, to: session, token: token)
    }
    func takeOver(_ session: SessionID, token: Int64) async throws -> SessionCheckpoint? {
      try check()
      return try await store.takeOver(session, token: token)
    }
    func remove(_ session: SessionID, token: Int64) async throws {
      try check()
      try await store.remove(session, token: token)
    }
  }

  /// The way to whichever process of the next role lives, cut as soon as either end dies.
  struct SwitchedDialer<Outgoing: Sendable, Incoming: Sendable>: HopDialer {
    let from: TestProcess
    let to: [TestProcess]
    let answerer: @Sendable (TestProcess) -> any HopAnswerer<Incoming, Outgoing>

    init(
      from: TestProcess, to: [TestProcess],
      _ answerer: @escaping @Sendable (TestProcess) -> any HopAnswerer<Incoming, Outgoing>
    ) {
      self.from = from
      self.to = to
      self.answerer = answerer
    }

    func wire(
      for call: CallInfo, _ receive: @escaping @Sendable (HopWireEvent<Incoming>) -> Void
    ) -> any HopDialingWire<Outgoing> {
      SwitchedWire(call: call, dialer: self, receive: receive)
    }
  }

  private final class SwitchedWire<Outgoing: Sendable, Incoming: Sendable>: HopDialingWire {
    private struct Far {
      var process: TestProcess
      var receive: (@Sendable (HopWireEvent<Outgoing>) -> Void)?
    }
    private let call: CallInfo
    private let dialer: SwitchedDialer<Outgoing, Incoming>
    private let receive: @Sendable (HopWireEvent<Incoming>) -> Void
    private let links = NIOLockedValueBox<[HopLink: Far]>([:])

    init(
      call: CallInfo, dialer: SwitchedDialer<Outgoing, Incoming>,
      receive: @escaping @Sendable (HopWireEvent<Incoming>) -> Void
    ) {
      self.call = call
      self.dialer = dialer
      self.receive = receive
    }

    func dial(_ dial: HopDial) {
      let living = dialer.to.filter { $0.isAlive && $0.name != dial.avoid?.instance }
      guard dialer.from.isAlive,
        let target = living.first(where: { $0.name == dial.prefer?.instance }) ?? living.randomElement()
      else { return receive(.unreachable) }
      let link = HopLink.new()
      links.withLockedValue { $0[link] = Far(process: target, receive: nil) }
      target.whenKilled { [weak self] in self?.cut(link) }
      dialer.from.whenKilled { [weak self] in self?.cut(link) }
      receive(.linked(link))
    }

    private func cut(_ link: HopLink) {
      guard let far = links.withLockedValue({ $0.removeValue(forKey: link) }) else { return }
      if dialer.from.isAlive { receive(.broken(link)) }
      if far.process.isAlive { far.receive?(.broken(link)) }
    }

    func transmit(_ frame: HopFrame<Outgoing>, on link: HopLink) {
      guard let far = links.withLockedValue({ $0[link] }) else { return }
      if let receive = far.receive { return receive(.frame(frame, link)) }
      guard case .open(let open) = frame else { return }
      let back = SwitchedReturn<Incoming>(receive: { [weak self] event in
        guard let self, self.links.withLockedValue({ $0[link] != nil }) else { return }
        self.receive(event)
      })
      let receive = dialer.answerer(far.process).accept(open, call, on: link, over: back)
      links.withLockedValue { $0[link]?.receive = receive }
    }

    func transmit(_ sound: HopSound, on link: HopLink) {
      links.withLockedValue { $0[link]?.receive }?(.sound(sound, link))
    }

    func drop(_ link: HopLink) {
      links.withLockedValue { $0.removeValue(forKey: link) }?.receive?(.broken(link))
    }

    func close() { for link in links.withLockedValue({ Array($0.keys) }) { drop(link) } }
  }

  private struct SwitchedReturn<Outgoing: Sendable>: HopWire {
    let receive: @Sendable (HopWireEvent<Outgoing>) -> Void
    func transmit(_ frame: HopFrame<Outgoing>, on link: HopLink) { receive(.frame(frame, link)) }
    func transmit(_ sound: HopSound, on link: HopLink) { receive(.sound(sound, link)) }
    func drop(_ link: HopLink) { receive(.broken(link)) }
  }
#endif
