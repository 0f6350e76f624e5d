import Base

/// Session timers (RFC 4028), both refresher roles. The owner sees nothing of them but a call that ends.
extension SIPEndpoint {
  // MARK: Headers

  /// What an INVITE or UPDATE of ours asks for.
  func timerHeaders(_ timer: SIPSessionTimer?, minSE: Int) -> [SIPHeaderField] {
    guard configuration.sessionExpires > 0 else { return [] }
    let seconds = max(timer?.seconds ?? configuration.sessionExpires, minSE)
    // 7.4: who refreshes goes on refreshing.
    let refresher = timer.map { $0.isOurs ? ";refresher=uac" : ";refresher=uas" } ?? ""
    var headers = [SIPHeaderField("Session-Expires", "\(seconds)\(refresher)")]
    if minSE > SIPSessionTimer.leastSeconds { headers.append(SIPHeaderField("Min-SE", String(minSE))) }
    return headers
  }

  /// The timer that a 2xx to such a request begins; nil where the other side wants none (7.2).
  func timer(from response: SIPMessage, at now: Instant) -> SIPSessionTimer? {
    guard configuration.sessionExpires > 0, let expires = response.sessionExpires else { return nil }
    // Below the least that we take, it would make us refresh without end.
    return SIPSessionTimer(
      seconds: max(expires.seconds, configuration.minSE, 1), isOurs: expires.refresher != .uas, at: now)
  }

  /// 9: refuses an interval that is too small with 422, where the other side knows what that is.
  mutating func acceptableInterval(_ server: UInt64, _ request: SIPMessage, at now: Instant) -> Bool {
    guard configuration.sessionExpires > 0, let expires = request.sessionExpires,
      expires.seconds < configuration.minSE, request.supports("timer")
    else { return true }
    respond(server, status: 422, headers: [SIPHeaderField("Min-SE", String(configuration.minSE))], at: now)
    return false
  }

  /// What our 2xx to an INVITE or UPDATE says, and the timer that begins with it (9, table 2). Without a word of the other
  /// side about timers there is none.
  func agreeTimer(
    _ request: SIPMessage, current: SIPSessionTimer?, at now: Instant
  ) -> (headers: [SIPHeaderField], timer: SIPSessionTimer?) {
    guard configuration.sessionExpires > 0 else { return ([], nil) }
    let isSupported = request.supports("timer")
    let asked = request.sessionExpires
    guard isSupported || asked != nil else { return ([], nil) }
    let least = max(request.minSE ?? 0, configuration.minSE, 1)
    // It may be made shorter, never longer.
    let seconds = max(least, min(configuration.sessionExpires, asked?.seconds ?? .max))
    let refresher: SIPSessionExpires.Refresher =
      isSupported ? asked?.refresher ?? (current?.isOurs == true ? .uas : .uac) : .uas
    var headers = [SIPHeaderField("Session-Expires", "\(seconds);refresher=\(refresher.rawValue)")]
    if refresher == .uac { headers.append(SIPHeaderField("Require", "timer")) }
    return (headers, SIPSessionTimer(seconds: seconds, isOurs: refresher == .uas, at: now))
  }

  // MARK: Refreshing

  /// Refreshes the session, or gives it up, where it is time (10).
  mutating func watchSession(_ id: UInt64, at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, let timer = call.timer, call.hangup == nil else { return }
    if now >= timer.byeAt {
      let why = SIPHeaderField("Reason", "SIP;cause=408;text=\"Session expired\"")
      hangUp(id, cause: .sessionExpired, headers: [why], at: now)
      return
    }
    guard call.mayRefresh, now >= timer.refreshAt else { return }
    guard call.dialog.allowsUpdate || call.localBody == nil else {
      // The unchanged description tells the other side that nothing changes (7.4).
      call.queued = .init(method: .invite, body: call.localBody, attempts: 0, at: now, isRefresh: true)
      calls[id]?.phase = .established(call)
      startChange(id, at: now)
      return
    }
    call.dialog.localSequence += 1
    let (bytes, branch) = makeUpdate(within: call.dialog, timer: timer, minSE: call.minSE, body: nil)
    call.refreshing = makeClient(
      .update, branch, bytes, to: call.dialog.peer, user: .refresh(id), template: nil, at: now)
    calls[id]?.phase = .established(call)
  }

  /// The other side has answered our UPDATE, or nobody has.
  mutating func refreshed(_ id: UInt64, client: UInt64, status: Int, _ response: SIPMessage?, at now: Instant) {
    guard case .established(var call) = calls[id]?.phase, call.refreshing == client else { return }
    call.refreshing = nil
    switch status {
    case 200..<300:
      guard let response else { break }
      call.dialog.refreshTarget(response)
      call.timer = timer(from: response, at: now)
    case 408, 481:
      calls[id]?.phase = .established(call)
      sayBye(id, cause: .dialogLost, headers: [], at: now)
      return
    case _ where (status == 405 || status == 501) && call.localBody != nil:
      call.dialog.allowsUpdate = false
      call.timer?.refreshAt = now
    default: refreshRefused(&call, status, response, at: now)
    }
    calls[id]?.phase = .established(call)
    watchSession(id, at: now)
    rearm(.call(id))
    if (200..<300).contains(status) { tellDialog(id) }
  }

  /// The session lives until its timer says otherwise; meanwhile the refresh is tried again.
  func refreshRefused(_ call: inout SIPCall.Established, _ status: Int, _ response: SIPMessage?, at now: Instant) {
    if status == 422, let minSE = response?.minSE, minSE > call.minSE {
      call.minSE = minSE
      call.timer?.refreshAt = now
    } else {
      call.timer?.postpone(at: now)
    }
  }
}
