import Base

/// The registrar and location service of RFC 3261 10.3, with outbound (RFC 5626), Path (RFC 3327) and GRUU (RFC 5627).
///
/// The owner has authenticated the request; the registrar says what to answer, keeps the bindings, and finds them again.
public struct SIPRegistrar: Sendable {
  public struct Options: Hashable, Sendable {
    /// Domains that addresses of record may have; empty: whichever To names.
    public var domains: Set<String> = []
    /// Seconds: the least that is granted (423 below it), what is granted where nothing is asked, and the most. Nobody who asks
    /// for an hour or more is refused for it, so the least is at most 3600.
    public var leastExpires = 60
    public var defaultExpires = 3_600
    public var mostExpires = 7_200
    /// Contacts of one address; a person with ten phones is served.
    public var contactsPerAddress = 10
    /// Addresses with bindings.
    public var addresses = 50_000
    /// What Flow-Timer tells phones with outbound: they keep their flow alive that often (RFC 5626 4.4). nil: their own choice.
    public var flowTimer: Int? = 120

    public init() {}
  }

  public enum Change: Hashable, Sendable {
    case added(address: String, SIPRegistrarBinding)
    case refreshed(address: String, SIPRegistrarBinding)
    case removed(address: String, SIPRegistrarBinding)
  }

  /// What a REGISTER has come to.
  public struct Outcome: Sendable {
    public let status: Int
    public let reason: String?
    public let headers: [SIPHeaderField]
    public let changes: [Change]

    init(_ status: Int, _ reason: String? = nil, _ headers: [SIPHeaderField] = [], _ changes: [Change] = []) {
      self.status = status
      self.reason = reason
      self.headers = headers
      self.changes = changes
    }
  }

  struct Entry: Sendable {
    var bindings: [SIPRegistrarBinding] = []
    /// User parts of temporary GRUUs by device, the newest last.
    var temporary: [String: [String]] = [:]
  }

  /// Octets of an instance that is kept; `urn:uuid:` and 36 digits are 45.
  static let instanceLimit = 128
  /// Temporary GRUUs of one device that are still understood (RFC 5627 3.1.2 wants each valid while it is registered; a phone
  /// that refreshes every minute would have no end of them).
  package static let temporaryLimit = 8
  /// Path values kept of one binding.
  static let pathLimit = 8
  static let extensions = ["path", "outbound", "gruu"]

  public let options: Options
  var entries: [String: Entry] = [:]
  /// Address and device of a temporary GRUU's user part.
  package var temporaries: [String: (address: String, instance: String)] = [:]
  /// Addresses with a binding over a connection.
  package var connections: [UInt64: Set<String>] = [:]
  var timers = SIPTimerQueue<String>()
  /// The earliest time in the queue of each address.
  var armed: [String: Instant] = [:]
  var serial: UInt64 = 0
  var random: SeededRandom

  /// - Parameter random: makes temporary GRUUs.
  public init(options: Options = Options(), random: SeededRandom) {
    self.options = options
    self.random = random
  }

  /// Addresses that are registered now.
  public var count: Int { entries.count }

  // MARK: REGISTER

  /// Handles a REGISTER.
  /// - Parameter user: whose password it showed: it may register its own address only. nil: any.
  public mutating func register(
    _ request: SIPMessage, user: String?, from peer: SIPPeer, at now: Instant
  ) -> Outcome {
    let unknown = (request.values(.require)).filter { option in
      !Self.extensions.contains { equalsIgnoringCase($0, option) }
    }
    guard unknown.isEmpty else {
      return Outcome(420, nil, [SIPHeaderField("Unsupported", unknown.joined(separator: ", "))])
    }
    guard let address = request.to.uri.addressOfRecord,
      options.domains.isEmpty || options.domains.contains(request.to.uri.host.asciiLowercased)
    else { return Outcome(404) }
    guard user == nil || user == request.to.uri.decodedUser else { return Outcome(403) }
    _ = expire(address, at: now)
    let lines = request.values(.contact)
    if lines.contains("*") { return removeAll(request, address, lines, at: now) }
    guard !lines.isEmpty else { return granted(request, address, [], at: now) }
    guard lines.count <= options.contactsPerAddress * 2 else { return Outcome(403, "Too Many Contacts") }
    var entry = entries[address] ?? Entry()
    var changes: [Change] = []
    for line in lines {
      guard let contact = SIPNameAddress(line), contact.uri.addressOfRecord != nil else {
        return Outcome(400, "Unreadable Contact")
      }
      if let refusal = take(contact, request, address, from: peer, &entry, &changes, at: now) { return refusal }
    }
    guard entry.bindings.filter({ $0.flow != nil && $0.serial == serial + 1 }).count <= 1 else {
      return Outcome(400, "More Than One reg-id")
    }
    // A phone that has lost its memory comes back with a new Contact: the one that was heard of the longest ago goes.
    while entry.bindings.count > options.contactsPerAddress,
      let oldest = entry.bindings.indices.min(by: { entry.bindings[$0].serial < entry.bindings[$1].serial })
    {
      guard entry.bindings[oldest].serial <= serial else { return Outcome(403, "Too Many Contacts") }
      changes.append(.removed(address: address, entry.bindings.remove(at: oldest)))
    }
    guard entries[address] != nil || entry.bindings.isEmpty || entries.count < options.addresses else {
      return Outcome(503, "Too Many Addresses")
    }
    serial += 1
    store(entry, address)
    return granted(request, address, changes, at: now)
  }

  /// One Contact of a REGISTER. Nothing is kept before all of them are in order (10.3: all or none).
  private func take(
    _ contact: SIPNameAddress, _ request: SIPMessage, _ address: String, from peer: SIPPeer, _ entry: inout Entry,
    _ changes: inout [Change], at now: Instant
  ) -> Outcome? {
    let asked = contact.parameters.first(named: "expires")?.value.flatMap(number) ?? request.expires
    let seconds = min(asked ?? options.defaultExpires, options.mostExpires)
    if seconds > 0, seconds < min(options.leastExpires, 3_600) {
      return Outcome(423, nil, [SIPHeaderField("Min-Expires", String(min(options.leastExpires, 3_600)))])
    }
    var binding = SIPRegistrarBinding(
      contact: contact.uri, preference: preference(contact), until: now + .seconds(Int64(seconds)),
      callID: request.callID, sequence: request.cseq.number, instance: instance(contact), flow: nil,
      path: Array(request.listed("Path").prefix(Self.pathLimit)), peer: peer,
      userAgent: String((request[.userAgent] ?? "").prefix(128)), serial: serial + 1)
    if binding.instance != nil, supports(request, "outbound"),
      let flow = contact.parameters.first(named: "reg-id")?.value.flatMap(number), flow > 0
    {
      // RFC 5626 6: the first hop has to keep the flow; without a hop in between that is us.
      let first = binding.path.first.flatMap { SIPNameAddress($0) }
      guard request.values(.via).count == 1 || first?.uri.parameters.first(named: "ob") != nil else {
        return Outcome(439, "First Hop Lacks Outbound Support")
      }
      binding.flow = flow
    }
    if let i = entry.bindings.firstIndex(where: { $0.isReplaced(by: binding) }) {
      let old = entry.bindings[i]
      // 10.3: an older request of the same sequence must not undo a newer one.
      guard old.callID != request.callID || request.cseq.number > old.sequence || old.serial == serial + 1 else {
        return Outcome(500, "CSeq Out Of Order")
      }
      if seconds == 0 {
        entry.bindings.remove(at: i)
        changes.append(.removed(address: address, old))
      } else {
        entry.bindings[i] = binding
        changes.append(.refreshed(address: address, binding))
      }
    } else if seconds > 0 {
      entry.bindings.append(binding)
      changes.append(.added(address: address, binding))
    }
    return nil
  }

  /// `Contact: *` (10.2.2).
  private mutating func removeAll(
    _ request: SIPMessage, _ address: String, _ lines: [String], at now: Instant
  ) -> Outcome {
    guard lines.count == 1, request.expires == 0 else { return Outcome(400, "Contact * Wants Expires 0") }
    let old = entries[address]?.bindings ?? []
    guard old.allSatisfy({ $0.callID != request.callID || request.cseq.number > $0.sequence }) else {
      return Outcome(500, "CSeq Out Of Order")
    }
    store(Entry(), address)
    return granted(request, address, old.map { .removed(address: address, $0) }, at: now)
  }

  /// 10.3 step 8: all current bindings.
  private mutating func granted(
    _ request: SIPMessage, _ address: String, _ changes: [Change], at now: Instant
  ) -> Outcome {
    var headers: [SIPHeaderField] = []
    let wantsGRUU = supports(request, "gruu")
    let bindings = entries[address]?.bindings ?? []
    var usesOutbound = false
    for binding in bindings {
      let left = Int((binding.until - now).components.seconds)
      var contact = SIPNameAddress(
        uri: binding.contact, parameters: [SIPParameter("expires", String(max(left, 1)))])
      if binding.preference != 1_000 {
        contact.parameters.append(SIPParameter("q", "0." + Self.threeDigits(binding.preference)))
      }
      if let instance = binding.instance {
        contact.parameters.append(SIPParameter("+sip.instance", "<\(instance)>", isQuoted: true))
        if let flow = binding.flow {
          contact.parameters.append(SIPParameter("reg-id", String(flow)))
          usesOutbound = usesOutbound || binding.serial == serial
        }
        if wantsGRUU { contact.parameters += gruus(request, address, instance, isNew: binding.serial == serial) }
      }
      headers.append(SIPHeaderField("Contact", contact.description))
    }
    headers.append(SIPHeaderField("Supported", Self.extensions.joined(separator: ", ")))
    // RFC 3327 5.3.
    if supports(request, "path") { headers += request.listed("Path").map { SIPHeaderField("Path", $0) } }
    if usesOutbound, !changes.isEmpty {
      headers.append(SIPHeaderField("Require", "outbound"))
      if let timer = options.flowTimer { headers.append(SIPHeaderField("Flow-Timer", String(timer))) }
    }
    return Outcome(200, nil, headers, changes)
  }

  /// RFC 5627 4.2: the public GRUU, and a temporary one for each REGISTER.
  private mutating func gruus(
    _ request: SIPMessage, _ address: String, _ instance: String, isNew: Bool
  ) -> [SIPParameter] {
    let uri = request.to.uri
    var known = entries[address]?.temporary[instance] ?? []
    if isNew || known.isEmpty {
      let user = "tgruu." + random.token(24)
      known.append(user)
      temporaries[user] = (address, instance)
      if known.count > Self.temporaryLimit { temporaries[known.removeFirst()] = nil }
      entries[address]?.temporary[instance] = known
    }
    var common = SIPURI(scheme: uri.scheme, user: uri.user, host: uri.host, port: uri.port)
    common.parameters = [SIPParameter("gr", instance)]
    let temporary = SIPURI(
      scheme: uri.scheme, user: known.last, host: uri.host, port: uri.port, parameters: [SIPParameter("gr", nil)])
    return [
      SIPParameter("pub-gruu", common.description, isQuoted: true),
      SIPParameter("temp-gruu", temporary.description, isQuoted: true),
    ]
  }

  // MARK: Parameters

  private func supports(_ request: SIPMessage, _ option: String) -> Bool {
    (request.values(.supported) + request.values(.require)).contains { equalsIgnoringCase($0, option) }
  }

  private func number(_ text: String) -> Int? {
    var scanner = SIPScanner(text)
    guard let number = scanner.number(upTo: 0xFFFF_FFFF), scanner.isAtEnd else { return nil }
    return Int(number)
  }

  /// `q` in thousandths; 1 where it is absent or unreadable.
  private func preference(_ contact: SIPNameAddress) -> Int {
    guard let text = contact.parameters.first(named: "q")?.value else { return 1_000 }
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard text.utf8.count <= 5, let whole = parts.first.flatMap({ number(String($0)) }) else { return 1_000 }
    let digits = parts.count == 2 ? String(parts[1].prefix(3)) : ""
    let padded = digits + String(repeating: "0", count: 3 - digits.utf8.count)
    guard let fraction = number(padded) else { return 1_000 }
    return min(whole * 1_000 + fraction, 1_000)
  }

  private static func threeDigits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(3 - text.utf8.count, 0)) + text
  }

  /// The URN of `+sip.instance`, where it can stand in a URI as it is.
  private func instance(_ contact: SIPNameAddress) -> String? {
    guard let text = contact.parameters.first(named: "+sip.instance")?.value, text.first == "<", text.last == ">" else {
      return nil
    }
    let urn = text.dropFirst().dropLast().utf8.map(asciiLowercase)
    let isPlain = urn.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || [0x2D, 0x2E, 0x3A, 0x5F].contains(byte)
    }
    guard isPlain, !urn.isEmpty, urn.count <= Self.instanceLimit else { return nil }
    return String(decoding: urn, as: UTF8.self)
  }
}
