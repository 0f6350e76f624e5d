import Base

/// Finding bindings, and their end.
extension SIPRegistrar {
  private static let timerStep: Duration = .seconds(10)

  // MARK: Finding

  /// Where an address of record, or a GRUU of one, is reached: by preference, then the newest first.
  public func targets(for uri: SIPURI, at now: Instant) -> [SIPRegistrarTarget] {
    let found: [SIPRegistrarBinding]
    if let gruu = uri.parameters.first(named: "gr") {
      found = bindings(gruu: gruu.value, uri)
    } else {
      found = uri.addressOfRecord.flatMap { entries[$0]?.bindings } ?? []
    }
    let alive = found.filter { $0.until > now }
    return alive.sorted { ($0.preference, $0.serial) > ($1.preference, $1.serial) }.map { binding in
      SIPRegistrarTarget(
        uri: binding.contact, routes: binding.path, peer: binding.peer, preference: binding.preference,
        instance: binding.instance)
    }
  }

  private func bindings(gruu: String?, _ uri: SIPURI) -> [SIPRegistrarBinding] {
    guard let address = uri.addressOfRecord else { return [] }
    if let gruu {
      return entries[address]?.bindings.filter { $0.instance.map { equalsIgnoringCase($0, gruu) } ?? false } ?? []
    }
    guard let known = temporaries[uri.decodedUser] else { return [] }
    return entries[known.address]?.bindings.filter { $0.instance == known.instance } ?? []
  }

  /// The bindings of an address of record (`user@host`), for people to see.
  public func bindings(of address: String) -> [SIPRegistrarBinding] { entries[address]?.bindings ?? [] }

  /// Every address with bindings, in order.
  public var addresses: [String] { entries.keys.sorted() }

  // MARK: Ends

  /// When ``timeout(at:)`` wants to be called.
  public var deadline: Instant? { timers.first?.at }

  /// Removes what has expired.
  public mutating func timeout(at now: Instant) -> [Change] {
    var changes: [Change] = []
    while let first = timers.first, first.at <= now {
      timers.removeFirst()
      armed[first.key] = nil
      changes += expire(first.key, at: now)
      arm(first.key)
    }
    return changes
  }

  /// A connection is gone: flows over it lead nowhere, other bindings are tried by their address.
  public mutating func connectionClosed(_ connection: UInt64) -> [Change] {
    var changes: [Change] = []
    for address in (connections.removeValue(forKey: connection) ?? []).sorted() {
      guard var entry = entries[address] else { continue }
      for i in entry.bindings.indices.reversed() where entry.bindings[i].peer.connection == connection {
        if entry.bindings[i].flow != nil {
          changes.append(.removed(address: address, entry.bindings.remove(at: i)))
        } else {
          entry.bindings[i].peer.connection = nil
        }
      }
      store(entry, address)
    }
    return changes
  }

  mutating func expire(_ address: String, at now: Instant) -> [Change] {
    guard var entry = entries[address], entry.bindings.contains(where: { $0.until <= now }) else { return [] }
    let gone = entry.bindings.filter { $0.until <= now }
    entry.bindings.removeAll { $0.until <= now }
    store(entry, address)
    return gone.map { .removed(address: address, $0) }
  }

  /// Keeps an address's bindings and what points to them.
  mutating func store(_ entry: Entry, _ address: String) {
    let old = entries[address]
    var entry = entry
    let devices = Set(entry.bindings.compactMap(\.instance))
    for (device, users) in old?.temporary ?? [:] where !devices.contains(device) {
      for user in users { temporaries[user] = nil }
    }
    entry.temporary = (old?.temporary ?? [:]).filter { devices.contains($0.key) }
    let current = Set(entry.bindings.compactMap(\.peer.connection))
    for connection in Set(old?.bindings.compactMap(\.peer.connection) ?? []).subtracting(current) {
      connections[connection]?.remove(address)
      if connections[connection]?.isEmpty == true { connections[connection] = nil }
    }
    for connection in current { connections[connection, default: []].insert(address) }
    if entry.bindings.isEmpty {
      entries[address] = nil
    } else {
      entries[address] = entry
      arm(address)
    }
  }

  private mutating func arm(_ address: String) {
    guard let earliest = entries[address]?.bindings.map(\.until).min() else { return }
    // On a grid, so that a phone that asks for ever less cannot fill the queue; what has expired is not found any more anyway.
    let step = Self.timerStep.nanoseconds
    let wanted = Instant(nanoseconds: earliest.nanoseconds - earliest.nanoseconds % step + step)
    if let known = armed[address], known <= wanted { return }
    timers.insert(address, at: wanted)
    armed[address] = wanted
  }
}

// MARK: As data

extension SIPRegistrar {
  private static let version: Int64 = 1
  private static let textLimit = 8_192

  /// All bindings, for a successor. Connections and temporary GRUUs end with the process.
  public func value(at now: Instant) -> Value {
    let all: [Value] = addresses.flatMap { address in
      bindings(of: address).filter { $0.until > now }.map { binding in
        var map: [String: Value] = [
          "address": .string(address), "contact": .string(binding.contact.description),
          "q": .int(Int64(binding.preference)), "left_ms": .int((binding.until - now).milliseconds),
          "call_id": .string(binding.callID), "cseq": .int(Int64(binding.sequence)),
          "path": .list(binding.path.map { .string($0) }), "transport": .string(binding.peer.transport.rawValue),
          "host": .string(binding.peer.host), "port": .int(Int64(binding.peer.port)),
          "agent": .string(binding.userAgent),
        ]
        if let instance = binding.instance { map["instance"] = .string(instance) }
        if let flow = binding.flow { map["flow"] = .int(Int64(flow)) }
        return .map(map)
      }
    }
    return .map(["v": .int(Self.version), "bindings": .list(all)])
  }

  /// Reads what ``value(at:)`` has written.
  /// - Parameter elapsed: how long ago that was.
  /// - Throws: ``ValueFields/Fault`` for what is damaged or of another version.
  public init(
    options: Options = Options(), random: SeededRandom, restoring value: Value, elapsed: Duration, at now: Instant
  ) throws(ValueFields.Fault) {
    self.init(options: options, random: random)
    let fields = try ValueFields(value, "registrar")
    try fields.expect(version: Self.version)
    let limit = min(options.addresses, 1_000_000) * min(options.contactsPerAddress, 1_000)
    let read = try fields.list("bindings", limit: limit) { (item) throws(ValueFields.Fault) in
      try Self.binding(try ValueFields(item, "binding"), elapsed, now)
    }
    var found: [String: Entry] = [:]
    for (address, binding) in read where binding.until > now {
      serial += 1
      var binding = binding
      binding.serial = serial
      found[address, default: Entry()].bindings.append(binding)
    }
    for (address, entry) in found { store(entry, address) }
  }

  private static func binding(
    _ fields: ValueFields, _ elapsed: Duration, _ now: Instant
  ) throws(ValueFields.Fault) -> (String, SIPRegistrarBinding) {
    guard let contact = SIPURI(try fields.text("contact", limit: textLimit)) else {
      throw ValueFields.Fault("binding.contact is no URI")
    }
    // A century is longer than any registration.
    let left: Int64 = try fields.number("left_ms", in: 0...3_200_000_000_000)
    let flow: Int? = fields.has("flow") ? try fields.number("flow", in: 1...0xFFFF_FFFF) : nil
    let binding = SIPRegistrarBinding(
      contact: contact, preference: try fields.number("q", in: 0...1_000),
      until: now + .milliseconds(left) - max(elapsed, .zero), callID: try fields.text("call_id", limit: textLimit),
      sequence: try fields.number("cseq", in: 0...0x7FFF_FFFF),
      instance: try fields.optionalText("instance", limit: instanceLimit), flow: flow,
      path: try fields.texts("path", limit: pathLimit, bytes: textLimit),
      peer: SIPPeer(
        try fields.choice("transport", SIPTransport.self), host: try fields.text("host", limit: 255),
        port: try fields.number("port", in: 1...65_535)), userAgent: try fields.text("agent", limit: textLimit),
      serial: 0)
    return (try fields.text("address", limit: textLimit), binding)
  }
}
