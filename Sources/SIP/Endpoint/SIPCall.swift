import Base

/// One call of an endpoint: an INVITE of either side and the dialog that came of it.
struct SIPCall: Sendable {
  enum Phase: Sendable {
    /// Theirs, not answered yet.
    case offered(Offered)
    /// Ours, not answered yet.
    case calling(Calling)
    case established(Established)
    /// A BYE of ours is on its way; `ended` follows with this cause.
    case ending(SIPDialog, SIPEnd.Cause)
  }

  struct Offered: Sendable {
    var server: UInt64
    var early: SIPEarly
    /// The provisional response to repeat, and when.
    var refresh: (status: Int, body: SIPBody?)?
    var refreshAt: Instant
    var limitAt: Instant
    /// What the caller hears when the limit has passed: 480, or 487 where its own Expires set it.
    var limitStatus: Int
    /// What the caller says of reliable provisional responses.
    var takesReliable: Bool
    var wantsReliable: Bool
    /// The last RSeq used.
    var rseq: UInt32
    /// The reliable response that waits for its PRACK, and the one that waits for its turn.
    var reliable: SIPReliable?
    var queued: (status: Int, body: SIPBody?, headers: [SIPHeaderField])?
    /// The owner's answer, waiting for a PRACK or an UPDATE.
    var answer: (body: SIPBody?, headers: [SIPHeaderField])?
    /// The call that this one takes the place of when it is answered (RFC 3891).
    var replaced: UInt64?

    var dialog: SIPDialog {
      get { early.dialog }
      set { early.dialog = newValue }
    }
  }

  struct Calling: Sendable {
    var client: UInt64
    var limitAt: Instant
    /// What was asked for, to ask again after 422.
    var invite: SIPInvite
    var minSE: Int
    var attempts = 0
    /// Set when the call is not wanted any more; the cause that `ended` will have.
    var withdrawn: SIPEnd.Cause?
    var isCancelSent = false
    /// Early dialogs by To tag.
    var forks: [String: SIPEarly] = [:]
  }

  struct Established: Sendable {
    var dialog: SIPDialog
    /// Our 2xx that has not been acknowledged yet.
    var unacknowledged: Unacknowledged?
    /// Their offer in a 2xx, which our ACK has to answer.
    var owed: Owed?
    /// Their re-INVITE or UPDATE, waiting for the owner.
    var remoteChange: RemoteChange?
    /// Our re-INVITE or UPDATE, waiting for them.
    var localChange: LocalChange?
    /// Our re-INVITE or UPDATE, waiting for its turn.
    var queued: Queued?
    /// Hang up as soon as our 2xx is acknowledged (RFC 3261 15: not before).
    var hangup: (headers: [SIPHeaderField], cause: SIPEnd.Cause)?
    /// Our last session description that was agreed on: a refresh by re-INVITE repeats it (RFC 4028 7.4).
    var localBody: SIPBody?
    var timer: SIPSessionTimer?
    /// The timer of a process that is gone: it begins anew with the first request.
    var keptTimer: SIPDialogState.SessionTimer?
    /// What Session-Expires may be at least: ours, or what a 422 said.
    var minSE: Int
    /// Our UPDATE that refreshes the session and changes nothing.
    var refreshing: UInt64?
    /// Our INFO on its way, and those behind it: they must not overtake each other.
    var informing: UInt64?
    var informations: [(body: SIPBody, headers: [SIPHeaderField])] = []

    init(dialog: SIPDialog, minSE: Int) {
      self.dialog = dialog
      self.minSE = minSE
    }

    var isStable: Bool { unacknowledged == nil && owed == nil && remoteChange == nil && localChange == nil }

    /// Whether a refresh of ours may go out when its time has come.
    var mayRefresh: Bool {
      timer?.isOurs == true && isStable && queued == nil && refreshing == nil && hangup == nil
    }
  }

  struct Unacknowledged: Sendable {
    var server: UInt64
    var sequence: UInt32
    var response: [UInt8]
    var peer: SIPPeer
    /// Our 2xx carried the offer, so the ACK carries the answer.
    var hasOffer: Bool
    var resendAt: Instant
    var interval: Duration
    var until: Instant
  }

  struct Owed: Sendable {
    var client: UInt64
    var sequence: UInt32
    var until: Instant
  }

  /// An INVITE, UPDATE or PRACK of theirs.
  struct RemoteChange: Sendable {
    var server: UInt64
    var method: SIPMethod
    var body: SIPBody?
    var until: Instant
  }

  /// An INVITE or UPDATE of ours.
  struct LocalChange: Sendable {
    var client: UInt64
    var method: SIPMethod
    var body: SIPBody?
    var attempts: Int
    var until: Instant
    /// Nobody but the session timer asked for it: the owner hears nothing of it.
    var isRefresh = false
  }

  struct Queued: Sendable {
    var method: SIPMethod
    var body: SIPBody?
    var attempts: Int
    /// Not before (glare).
    var at: Instant
    var isRefresh = false
  }

  let id: UInt64
  let callID: String
  let localTag: String
  /// We placed it, so we own the Call-ID (it decides how long glare waits).
  let isOurs: Bool
  /// It was another process's.
  var isAdopted = false
  /// What the other side's challenges are answered with.
  var credentials: [SIPCredentials] = []
  /// Who asked for them when the call was placed.
  var realms: Set<String> = []
  var phase: Phase
  var armed: Instant?

  var handle: SIPCallHandle { SIPCallHandle(value: id) }

  /// When the call itself (not its transactions) wants to be woken.
  var deadline: Instant? {
    var earliest: Instant?
    func consider(_ at: Instant?) {
      guard let at else { return }
      earliest = earliest.map { min($0, at) } ?? at
    }
    switch phase {
    case .offered(let offered):
      consider(offered.limitAt)
      if offered.refresh != nil { consider(offered.refreshAt) }
      consider(offered.reliable.map { min($0.resendAt, $0.until) })
      consider(offered.early.remoteChange?.until)
      if offered.reliable == nil, offered.answer == nil { consider(offered.early.retryAt) }
    case .calling(let calling):
      consider(calling.limitAt)
      for fork in calling.forks.values {
        consider(fork.remoteChange?.until)
        consider(fork.retryAt)
      }
    case .ending: break
    case .established(let call):
      consider(call.unacknowledged.map { min($0.resendAt, $0.until) })
      consider(call.owed?.until)
      consider(call.remoteChange?.until)
      consider(call.localChange?.until)
      if call.isStable { consider(call.queued?.at) }
      if call.hangup == nil { consider(call.timer?.byeAt) }
      if call.mayRefresh { consider(call.timer?.refreshAt) }
    }
    return earliest
  }
}

/// How a call is found: our tag is random, so with the Call-ID it is enough.
struct SIPDialogKey: Hashable, Sendable {
  var callID: String
  var localTag: String

  init(callID: String, localTag: String) {
    self.callID = callID
    self.localTag = localTag
  }

  init(_ dialog: SIPDialog) { self.init(callID: dialog.callID, localTag: dialog.localTag) }
}

/// What names a client transaction (17.1.3).
struct SIPClientKey: Hashable, Sendable {
  var branch: String
  var method: SIPMethod
}

/// What names a server transaction (17.2.3): the branch with its sender, or for RFC 2543 what stood in for it.
struct SIPServerKey: Hashable, Sendable {
  var branch: String
  var sentBy: String
  var method: SIPMethod

  init(_ request: SIPMessage, via: SIPVia, method: SIPMethod? = nil) {
    let named = method ?? request.method
    self.method = named == .ack ? .invite : named
    sentBy = via.sentBy
    if via.hasCookie {
      branch = via.branch ?? ""
    } else {
      // The To tag is left out, because an ACK has the one that we gave.
      branch = "\(request.requestURIText)\n\(request.from.tag ?? "")\n\(request.callID)\n\(request.cseq.number)\n\(via)"
    }
  }
}

struct SIPClientTransaction: Sendable {
  enum Machine: Sendable {
    case invite(SIPInviteClientMachine)
    case request(SIPRequestClientMachine)
  }

  /// Whose the responses are.
  enum User: Sendable {
    /// The first INVITE of a call, a re-INVITE, or its BYE.
    case call(UInt64), change(UInt64), bye(UInt64)
    /// Other requests within a call.
    case refresh(UInt64), info(UInt64), prack(UInt64)
    /// A REFER, or a NOTIFY about one.
    case refer(UInt64), notify(UInt64)
    case request(SIPRequestHandle)
    /// CANCEL, and the BYE of a fork that came too late: nobody waits.
    case nobody
  }

  var machine: Machine
  let key: SIPClientKey
  var request: [UInt8]
  var peer: SIPPeer
  var user: User
  /// For INVITE.
  var template: SIPInviteTemplate?
  /// What challenges are answered with; nil: not at all.
  var attempt: SIPClientAuthentication.Attempt?
  /// The ACKs sent for 2xx, by To tag, to be repeated when the 2xx is.
  var acks: [String: (bytes: [UInt8], peer: SIPPeer)] = [:]
  /// The last CSeq used in each early dialog, by To tag.
  var sequences: [String: UInt32] = [:]
  /// The ACK sent for a refusal.
  var refusalAck: [UInt8]?
  var hasResponse = false
  var hasFinal = false
  /// What goes out where TCP, which the request's size asked for, cannot be had.
  var datagram: SIPEndpoint.Datagram?
  /// Set when nobody waits for the final response any more (Proceeding has no timer).
  var abandonAt: Instant?
  var armed: Instant?

  var deadline: Instant? {
    let own: Instant? =
      switch machine {
      case .invite(let machine): machine.deadline
      case .request(let machine): machine.deadline
      }
    guard let abandonAt, !hasFinal else { return own }
    return own.map { min($0, abandonAt) } ?? abandonAt
  }

  mutating func receive(status: Int, at now: Instant) -> SIPTransactionEffects {
    switch machine {
    case .invite(var machine):
      defer { self.machine = .invite(machine) }
      return machine.receive(status: status, at: now)
    case .request(var machine):
      defer { self.machine = .request(machine) }
      return machine.receive(status: status, at: now)
    }
  }

  mutating func timeout(at now: Instant) -> SIPTransactionEffects {
    switch machine {
    case .invite(var machine):
      defer { self.machine = .invite(machine) }
      return machine.timeout(at: now)
    case .request(var machine):
      defer { self.machine = .request(machine) }
      return machine.timeout(at: now)
    }
  }
}

struct SIPServerTransaction: Sendable {
  enum Machine: Sendable {
    case invite(SIPInviteServerMachine)
    case request(SIPRequestServerMachine)
  }

  var machine: Machine
  let key: SIPServerKey
  /// Let go with the final response: a transaction lives 32 s longer, and a request can hold 64 KiB.
  var request: SIPMessage?
  /// Where the request came from, and where responses go (18.2.2).
  let source: SIPPeer
  var replyPeer: SIPPeer
  /// The To tag of our responses.
  let toTag: String
  let mergeKey: String?
  /// Of the topmost Via: where a response goes when its connection is gone.
  let viaPort: Int
  var lastResponse: [UInt8] = []
  /// The call that an INVITE belongs to.
  var call: UInt64?
  /// Whose password it showed.
  var user: String?
  /// Set while the owner has to answer a request outside a dialog.
  var answerBy: Instant?
  var armed: Instant?

  var deadline: Instant? {
    if let answerBy { return answerBy }
    return switch machine {
    case .invite(let machine): machine.deadline
    case .request(let machine): machine.deadline
    }
  }

  /// An INVITE without a final response.
  var isPendingInvite: Bool { if case .invite(let machine) = machine { machine.isProceeding } else { false } }

  mutating func respond(status: Int, at now: Instant) -> SIPTransactionEffects {
    switch machine {
    case .invite(var machine):
      defer { self.machine = .invite(machine) }
      return machine.respond(status: status, repeats: call != nil || request?.to.tag != nil, at: now)
    case .request(var machine):
      defer { self.machine = .request(machine) }
      return machine.respond(status: status, at: now)
    }
  }

  mutating func receiveRetransmission() -> SIPTransactionEffects {
    switch machine {
    case .invite(var machine):
      defer { self.machine = .invite(machine) }
      return machine.receiveRetransmission()
    case .request(var machine):
      defer { self.machine = .request(machine) }
      return machine.receiveRetransmission()
    }
  }

  mutating func receiveAck(at now: Instant) -> SIPTransactionEffects {
    guard case .invite(var machine) = machine else { return [] }
    defer { self.machine = .invite(machine) }
    return machine.receiveAck(at: now)
  }

  mutating func timeout(at now: Instant) -> SIPTransactionEffects {
    switch machine {
    case .invite(var machine):
      defer { self.machine = .invite(machine) }
      return machine.timeout(at: now)
    case .request(var machine):
      defer { self.machine = .request(machine) }
      return machine.timeout(at: now)
    }
  }
}
