import Base

/// Changes of a session whose INVITE is not answered yet: UPDATE both ways (RFC 3311), and offers in PRACK (RFC 3262 5).
extension SIPEndpoint {
  // MARK: Theirs

  mutating func earlyUpdate(
    _ id: UInt64, _ server: UInt64, _ request: SIPMessage, _ early: SIPEarly, at now: Instant
  ) {
    guard acceptableBody(server, request, at: now) else { return }
    var early = early
    guard let offer = request.body else {
      early.dialog.refreshTarget(request)
      setEarly(id, early)
      respond(server, status: 200, at: now)
      return
    }
    guard early.remoteChange == nil, early.exchange != .theirOffer else {
      respond(server, status: 500, headers: [soon()], at: now)
      return
    }
    guard early.exchange == .done, early.localChange == nil else {
      respond(server, status: 491, at: now)
      return
    }
    early.remoteChange = .init(
      server: server, method: .update, body: offer, until: now + configuration.timers.transaction / 2)
    setEarly(id, early)
    servers[server]?.call = id
    rearm(.call(id))
    emit(.reinvite(SIPCallHandle(value: id), offer: offer))
  }

  /// Accepts the change that waits in an early dialog.
  mutating func answerEarly(_ id: UInt64, body: SIPBody?, at now: Instant) -> [SIPAction] {
    guard var early = changingEarly(id), let change = early.remoteChange,
      let request = servers[change.server]?.request
    else { return ignored() }
    respond(change.server, status: 200, body: body, at: now)
    early.remoteChange = nil
    if change.method == .update { early.dialog.refreshTarget(request) }
    if let body { early.localBody = body }
    early.remoteBody = change.body
    setEarly(id, early)
    sendAnswer(id, at: now)
    rearm(.call(id))
    return flush()
  }

  mutating func rejectEarly(_ id: UInt64, status: Int, reason: String?, at now: Instant) -> [SIPAction] {
    guard var early = changingEarly(id), let change = early.remoteChange else { return ignored() }
    respond(change.server, status: status, reason: reason, at: now)
    early.remoteChange = nil
    setEarly(id, early)
    sendAnswer(id, at: now)
    rearm(.call(id))
    return flush()
  }

  private func changingEarly(_ id: UInt64) -> SIPEarly? {
    earlyDialogs(id).first { $0.remoteChange != nil }
  }

  // MARK: Ours

  mutating func updateEarly(_ id: UInt64, body: SIPBody, at now: Instant) -> [SIPAction] {
    let ready = earlyDialogs(id).first {
      $0.exchange == .done && $0.dialog.allowsUpdate && $0.localChange == nil && $0.remoteChange == nil
    }
    guard var early = ready, !isAnswering(id) else { return ignored() }
    if early.pracking != nil {
      early.queued = (body, 0, now)
      setEarly(id, early)
    } else {
      startEarlyUpdate(id, early.dialog.remoteTag, body: body, attempts: 0, at: now)
    }
    return flush()
  }

  /// Our provisional response or our answer is on its way.
  private func isAnswering(_ id: UInt64) -> Bool {
    guard case .offered(let offered) = calls[id]?.phase else { return false }
    return offered.reliable != nil || offered.answer != nil
  }

  /// Sends the UPDATEs that have waited for a PRACK or for glare to pass.
  mutating func startQueuedUpdates(_ id: UInt64, at now: Instant) {
    guard !isAnswering(id) else { return }
    for early in earlyDialogs(id) {
      guard let queued = early.queued, let at = early.retryAt, at <= now else { continue }
      startEarlyUpdate(id, early.dialog.remoteTag, body: queued.body, attempts: queued.attempts, at: now)
    }
  }

  private mutating func startEarlyUpdate(
    _ id: UInt64, _ tag: String, body: SIPBody, attempts: Int, at now: Instant
  ) {
    guard var early = earlyDialogs(id).first(where: { $0.dialog.remoteTag == tag }) else { return }
    early.queued = nil
    early.dialog.localSequence += 1
    let (bytes, branch) = makeUpdate(within: early.dialog, timer: nil, minSE: nil, body: body)
    let client = makeClient(.update, branch, bytes, to: early.dialog.peer, user: .change(id), template: nil, at: now)
    early.localChange = .init(
      client: client, method: .update, body: body, attempts: attempts, until: now + configuration.timers.transaction)
    if case .calling(let calling) = calls[id]?.phase {
      clients[calling.client]?.sequences[tag] = early.dialog.localSequence
    }
    setEarly(id, early)
  }

  mutating func earlyUpdateAnswered(
    _ id: UInt64, client: UInt64, status: Int, _ message: SIPMessage?, at now: Instant
  ) {
    guard var early = earlyDialogs(id).first(where: { $0.localChange?.client == client }),
      let change = early.localChange
    else { return }
    early.localChange = nil
    let call = SIPCallHandle(value: id)
    if (200..<300).contains(status), let message {
      early.dialog.refreshTarget(message)
      early.localBody = change.body
      early.remoteBody = message.body
      setEarly(id, early)
      emit(.reinviteAnswered(call, body: message.body, needsAnswer: false))
    } else if status == 491, change.attempts < Self.earlyAttempts, early.queued == nil, let body = change.body {
      early.queued = (body, change.attempts + 1, now + glareWait(isOurs: calls[id]?.isOurs == true))
      setEarly(id, early)
      rearm(.call(id))
    } else {
      setEarly(id, early)
      emit(.reinviteFailed(call, status: status, reason: message?.reason ?? defaultReason(status)))
    }
    sendAnswer(id, at: now)
  }

  /// How often glare is tried again.
  private static let earlyAttempts = 5

  // MARK: Early dialogs

  func earlyDialogs(_ id: UInt64) -> [SIPEarly] {
    switch calls[id]?.phase {
    case .offered(let offered): [offered.early]
    case .calling(let calling): calling.forks.values.sorted { $0.dialog.remoteTag < $1.dialog.remoteTag }
    case .established, .ending, nil: []
    }
  }

  mutating func setEarly(_ id: UInt64, _ early: SIPEarly) {
    switch calls[id]?.phase {
    case .offered(var offered):
      offered.early = early
      calls[id]?.phase = .offered(offered)
    case .calling(var calling):
      calling.forks[early.dialog.remoteTag] = early
      calls[id]?.phase = .calling(calling)
    case .established, .ending, nil: break
    }
  }
}
