import Base

/// One registration of ours at a registrar (RFC 3261 10.2): made, refreshed, tried again after failures and taken back.
///
/// It makes requests and is told what came of them; ``SIPEndpoint/request(_:at:)`` sends them and answers challenges. One
/// request is on its way at a time.
public struct SIPRegistration: Sendable {
  public struct Options: Sendable {
    /// The Request-URI: the registrar's domain, without a user (10.2).
    public var registrar: SIPURI
    /// The address of record: To and From.
    public var address: SIPNameAddress
    /// Where we are reached.
    public var contact: SIPURI
    /// Where to send; may change between requests (``SIPRegistration/peer``).
    public var peer: SIPPeer
    /// The outbound proxy, as Route values.
    public var routes: [String] = []
    public var credentials: [SIPCredentials] = []
    /// Seconds that are asked for.
    public var expires = 3_600
    /// `urn:uuid:...` of this device (RFC 5626 4.1): asks for outbound and a GRUU. nil: for neither.
    public var instance: String?
    /// Which of the device's flows this is (RFC 5626 4.2).
    public var flow = 1
    public var headers: [SIPHeaderField] = []
    /// RFC 5626 4.5: the wait after n failures is `backoff * 2^n` up to the limit, of which between half and all is waited.
    public var backoff: Duration = .seconds(30)
    public var backoffLimit: Duration = .seconds(1_800)
    /// So many failures in a row are called a failure; trying goes on.
    public var failureLimit = 3

    public init(registrar: SIPURI, address: SIPNameAddress, contact: SIPURI, peer: SIPPeer) {
      self.registrar = registrar
      self.address = address
      self.contact = contact
      self.peer = peer
    }
  }

  public enum State: Hashable, Sendable {
    /// Not begun.
    case idle
    /// Not registered, and trying.
    case registering
    case registered
    /// Not reachable through this registrar for some time, or refused; still trying. `status` is 0 where no response came in
    /// time, and 408 or 503 as ``SIPResponseOutcome`` has it.
    case failed(status: Int, reason: String)
    /// Taking the binding back.
    case unregistering
    case stopped
  }

  public enum Action: Sendable {
    /// Give it to ``SIPEndpoint/request(_:at:)``, and its response to ``SIPRegistration/receive(_:at:)``.
    case send(SIPRequest)
    case changed(State)
  }

  /// What the registrar has granted.
  public struct Binding: Hashable, Sendable {
    public internal(set) var until: Instant
    /// Routes of requests of ours that go through the registrar's domain (RFC 3608), as Route values.
    public internal(set) var serviceRoutes: [String] = []
    /// URIs that reach this device from everywhere (RFC 5627).
    public internal(set) var publicGRUU: String?
    public internal(set) var temporaryGRUU: String?
    /// The registrar keeps the flow (RFC 5626 4.2.1, Require: outbound).
    public internal(set) var isOutbound = false
    /// How often the flow wants a keep-alive (RFC 5626 4.4, Flow-Timer).
    public internal(set) var keepAlive: Duration?
  }

  /// A registrar that grants more is refreshed as if it had granted this: a week.
  private static let longest = 604_800
  /// More Service-Route values than a chain of proxies has are not kept.
  private static let routeLimit = 16

  public private(set) var state = State.idle
  /// nil while nothing is registered.
  public private(set) var binding: Binding?
  /// When ``timeout(at:)`` wants to be called.
  public private(set) var deadline: Instant?
  /// Failures in a row.
  public private(set) var failures = 0

  private var options: Options
  private let callID: String
  private let fromTag: String
  private var sequence: UInt32 = 0
  private var expires: Int
  private var asksOutbound: Bool
  private var isPending = false
  private var isStopping = false
  /// The request that is on its way takes the binding back.
  private var isUnregistering = false
  private var random: SeededRandom
  private var actions: [Action] = []

  public init(_ options: Options, random: SeededRandom) {
    self.options = options
    self.random = random
    callID = self.random.token(24)
    fromTag = self.random.token(10)
    expires = min(max(options.expires, 1), Self.longest)
    asksOutbound = options.instance != nil
  }

  /// Where the next request goes: another address of the same registrar after a failure.
  public var peer: SIPPeer {
    get { options.peer }
    set { options.peer = newValue }
  }

  // MARK: Inputs

  public mutating func start(at now: Instant) -> [Action] {
    guard state == .idle || state == .stopped else { return [] }
    isStopping = false
    failures = 0
    change(.registering)
    send(expires: expires, at: now)
    return take()
  }

  /// Takes the binding back. `stopped` follows, at the latest when the request has timed out.
  public mutating func stop(at now: Instant) -> [Action] {
    guard state != .idle, state != .stopped, !isStopping else { return [] }
    isStopping = true
    deadline = nil
    change(.unregistering)
    // A request that is on its way may yet be granted.
    if !isPending { unregister(at: now) }
    return take()
  }

  /// The connection that the registration came over is gone (RFC 5626 4.3): the binding leads nowhere any more.
  public mutating func flowLost(at now: Instant) -> [Action] {
    guard !isStopping, !isPending, binding != nil else { return [] }
    binding = nil
    change(.registering)
    // All of a registrar's clients lose theirs at once.
    deadline = now + jitter(.seconds(2), from: 0)
    return take()
  }

  public mutating func timeout(at now: Instant) -> [Action] {
    guard let wanted = deadline, now >= wanted, !isPending else { return [] }
    deadline = nil
    send(expires: expires, at: now)
    return take()
  }

  /// The response to the request that is on its way.
  public mutating func receive(_ outcome: SIPResponseOutcome, at now: Instant) -> [Action] {
    guard isPending, outcome.status >= 200 else { return [] }
    isPending = false
    // Challenges have used numbers of their own.
    if let used = outcome.message?.cseq.number { sequence = max(sequence, used) }
    if isStopping {
      // What was on its way when it was told to stop may have been granted.
      if isUnregistering || binding == nil && outcome.status >= 300 && outcome.message != nil {
        binding = nil
        change(.stopped)
      } else {
        unregister(at: now)
      }
      return take()
    }
    switch outcome.status {
    case ..<300:
      if let message = outcome.message, let granted = grant(message, at: now) {
        failures = 0
        binding = granted.binding
        change(.registered)
        // Between half and three quarters: time for several more attempts, and all clients do not come at once.
        deadline = now + jitter(.seconds(Int64(granted.seconds)) * 3 / 4, from: 2 / 3.0)
      } else {
        fail(outcome, at: now)
      }
    case 423:
      // 10.2.8.
      guard let least = outcome.message?.minExpires, least > expires, least <= Self.longest else {
        return failed(outcome, at: now)
      }
      expires = least
      send(expires: expires, at: now)
    case 439 where asksOutbound:
      // RFC 5626 11.6: the first hop cannot keep flows.
      asksOutbound = false
      send(expires: expires, at: now)
    default: fail(outcome, at: now)
    }
    return take()
  }

  // MARK: Requests

  private mutating func unregister(at now: Instant) {
    send(expires: 0, at: now)
    isUnregistering = true
  }

  private mutating func send(expires: Int, at now: Instant) {
    sequence = min(sequence + 1, 0x7FFF_FFFF)
    isPending = true
    isUnregistering = false
    var contact = SIPNameAddress(uri: options.contact, parameters: [SIPParameter("expires", String(expires))])
    var supported = ["path"]
    if let instance = options.instance {
      contact.parameters.append(SIPParameter("+sip.instance", "<\(instance)>", isQuoted: true))
      supported.append("gruu")
      if asksOutbound {
        contact.parameters.append(SIPParameter("reg-id", String(options.flow)))
        supported.append("outbound")
      }
    }
    let headers = [
      SIPHeaderField("Expires", String(expires)), SIPHeaderField("Supported", supported.joined(separator: ", ")),
    ]
    actions.append(
      .send(
        SIPRequest(
          method: .register, target: options.registrar, from: options.address, to: options.address, peer: options.peer,
          headers: headers + options.headers, callID: callID, fromTag: fromTag, cseq: sequence, routes: options.routes,
          contacts: [contact.description], credentials: options.credentials)))
  }

  // MARK: Responses

  /// What a 200 grants; nil where our binding is not in it or has no time.
  private func grant(_ message: SIPMessage, at now: Instant) -> (binding: Binding, seconds: Int)? {
    let contacts = message.contacts
    // A registrar behind an SBC may have rewritten the only one.
    let ours = contacts.first(where: isOurs) ?? (contacts.count == 1 ? contacts.first : nil)
    guard ours != nil || contacts.isEmpty else { return nil }
    let seconds = ours?.parameters.first(named: "expires")?.value.flatMap(number) ?? message.expires ?? expires
    guard seconds > 0 else { return nil }
    let granted = min(seconds, Self.longest)
    var binding = Binding(until: now + .seconds(Int64(granted)))
    binding.serviceRoutes = Array(message.listed("Service-Route").prefix(Self.routeLimit))
    binding.publicGRUU = ours?.parameters.first(named: "pub-gruu")?.value
    binding.temporaryGRUU = ours?.parameters.first(named: "temp-gruu")?.value
    binding.isOutbound = message.values(.require).contains { equalsIgnoringCase($0, "outbound") }
    if let seconds = message.first("Flow-Timer").flatMap(number), seconds > 0 {
      binding.keepAlive = .seconds(Int64(min(seconds, Self.longest)))
    }
    return (binding, granted)
  }

  private func isOurs(_ contact: SIPNameAddress) -> Bool {
    if let instance = options.instance, let other = contact.parameters.first(named: "+sip.instance")?.value {
      guard equalsIgnoringCase(other, "<\(instance)>") else { return false }
      let flow = contact.parameters.first(named: "reg-id")?.value
      return flow == nil || flow == String(options.flow)
    }
    return contact.uri.user == options.contact.user && equalsIgnoringCase(contact.uri.host, options.contact.host)
      && contact.uri.port ?? 5060 == options.contact.port ?? 5060
  }

  private func number(_ text: String) -> Int? {
    var scanner = SIPScanner(text)
    return scanner.number(upTo: 0xFFFF_FFFF).map { Int($0) }
  }

  private mutating func failed(_ outcome: SIPResponseOutcome, at now: Instant) -> [Action] {
    fail(outcome, at: now)
    return take()
  }

  private mutating func fail(_ outcome: SIPResponseOutcome, at now: Instant) {
    failures += 1
    if let binding, binding.until <= now { self.binding = nil }
    // 2^10 times the first wait is beyond any limit.
    let whole = min(options.backoff * (1 << min(failures - 1, 10)), options.backoffLimit)
    var wait = jitter(whole, from: 0.5)
    if let seconds = outcome.message?.retryAfterSeconds { wait = max(wait, .seconds(Int64(min(seconds, 86_400)))) }
    deadline = now + wait
    if failures >= options.failureLimit {
      change(.failed(status: outcome.status, reason: outcome.reason))
    } else {
      change(binding == nil ? .registering : .registered)
    }
  }

  /// A part of a duration between `from` and all of it.
  private mutating func jitter(_ whole: Duration, from: Double) -> Duration {
    let part = from + (1 - from) * Double(random.next() % 10_000) / 10_000
    return .milliseconds(Int64(Double(whole.milliseconds) * part))
  }

  private mutating func change(_ new: State) {
    guard new != state else { return }
    state = new
    actions.append(.changed(new))
  }

  private mutating func take() -> [Action] {
    defer { actions = [] }
    return actions
  }
}

extension SIPMessage {
  private func seconds(_ name: SIPHeaderName) -> Int? {
    guard let line = self[name] else { return nil }
    var scanner = SIPScanner(line)
    return scanner.number(upTo: 0xFFFF_FFFF).map { Int($0) }
  }

  /// Expires in seconds; nil where there is none that can be read.
  public var expires: Int? { seconds(.expires) }

  /// Min-Expires in seconds.
  public var minExpires: Int? { seconds(.minExpires) }

  /// The values of any header whose lines are comma-separated lists.
  func listed(_ name: String) -> [String] {
    headers.filter { equalsIgnoringCase($0.name, name) }.flatMap { field in
      SIPScanner.list(Array(field.value.utf8)[...]).map { String(decoding: $0, as: UTF8.self) }
    }
  }
}
