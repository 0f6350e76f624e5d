import Base

// How two ends find each other again: the dialler's attempts, and what both check before they go on.

extension HopEnd {
  var place: HopPlace? {
    if isForgetful { return nil }
    return HopPlace(
      received: received, oldest: min(outbox.oldest, outbox.next), next: outbox.next, mayReach: settled + limits.window)
  }

  // MARK: The dialling end

  mutating func dial(prefer: HopParty? = nil, avoid: HopParty? = nil, at now: Instant, _ out: inout [Action]) {
    candidate = .dialing(until: now + limits.opening)
    out.append(.dial(HopDial(attempt: attempts, prefer: prefer, avoid: avoid)))
  }

  mutating func redial(at now: Instant, _ out: inout [Action]) {
    dial(avoid: isPeerLeaving ? peer : nil, at: now, &out)
  }

  mutating func attemptFailed(prefer: HopParty? = nil, at now: Instant, _ out: inout [Action]) {
    if case .opening(let link, _) = candidate { out.append(.drop(link)) }
    attempts += 1
    if let prefer, attempts <= 2 { return dial(prefer: prefer, at: now, &out) }
    // The first attempt elsewhere comes at once: the caller is waiting.
    if attempts <= 1, !isPeerLeaving { return redial(at: now, &out) }
    let doubled = limits.retry * (1 << min(attempts - 1, 16))
    let pause = isPeerLeaving ? limits.retryAtMost : min(doubled, limits.retryAtMost)
    candidate = .waiting(until: now + pause)
  }

  mutating func linked(_ link: HopLink, at now: Instant, _ out: inout [Action]) {
    guard !hasEnded, case .dialing = candidate else { return out.append(.drop(link)) }
    if case .attached(let old, _) = phase {
      // It asked to be left. Nothing that it still sends counts, and it must do nothing more for the call.
      out += [.transmit(.close(HopClose(.moved)), old), .drop(old), .lost]
      phase = .detached(since: now)
    }
    candidate = .opening(link, until: now + limits.opening)
    let open = HopOpen(version: version, session: session, from: me, replaces: peer, place: place, memory: memory)
    out.append(.transmit(.open(open), link))
  }

  mutating func receiveAnswer(
    _ frame: HopFrame<Incoming>, _ link: HopLink, at now: Instant, _ out: inout [Action]
  ) {
    switch frame {
    case .opened(let opened): self.opened(opened, link, at: now, &out)
    case .close(let close): refused(close, at: now, &out)
    default: attemptFailed(at: now, &out)
    }
  }

  private mutating func refused(_ close: HopClose, at now: Instant, _ out: inout [Action]) {
    if let ending = close.reason.ending, close.reason != .moved { return end(ending, because: close, &out) }
    refusal = close
    guard let holder = close.holder, holder.fence > peer?.fence ?? 0 else { return attemptFailed(at: now, &out) }
    // Somebody has taken the call meanwhile: go there, and if that fails, take it from there.
    peer = holder
    attemptFailed(prefer: holder, at: now, &out)
  }

  private mutating func opened(_ opened: HopOpened, _ link: HopLink, at now: Instant, _ out: inout [Action]) {
    guard version.agreed(with: opened.version) != nil else {
      refusal = versionRefusal(opened.version)
      out.append(.transmit(.close(versionRefusal(opened.version)), link))
      return attemptFailed(at: now, &out)
    }
    guard isNewest(opened.from) else {
      countStale()
      out.append(.transmit(.close(HopClose(.stale, holder: peer)), link))
      return attemptFailed(at: now, &out)
    }
    let meeting = self.meeting(opened.from, opened.place)
    switch adopt(opened.place) {
    case .impossible(let ending):
      out.append(.transmit(.close(HopClose(ending.mismatch)), link))
      end(ending, &out)
    case .at(let place):
      attach(link, to: opened.from, meeting, at: now)
      begin(place, link, &out)
      out.append(.met(meeting, opened.from))
      pump(&out)
    }
  }

  // MARK: The answering end

  mutating func answer(_ open: HopOpen, _ link: HopLink, at now: Instant, _ out: inout [Action]) {
    func refuse(_ close: HopClose) { out += [.transmit(.close(close), link), .drop(link)] }
    guard !hasEnded else { return refuse(HopClose(.over)) }
    guard version.agreed(with: open.version) != nil else { return refuse(versionRefusal(open.version)) }
    guard isNewest(open.from) else {
      countStale()
      return refuse(HopClose(.stale, holder: peer))
    }
    if let replaces = open.replaces, replaces.fence > me.fence {
      // The dialler has seen an owner after this one.
      refuse(HopClose(.unavailable))
      return end(.superseded, &out)
    }
    let kept = open.memory?.id
    if hasMet, kept?.fence ?? 0 < me.fence, kept != origin {
      // The dialler has gone on with a predecessor after it had turned to this end: what this end knows is of the past.
      refuse(HopClose(.unavailable))
      return end(.superseded, &out)
    }
    // Two without memory have nothing to repeat.
    if open.place == nil { isForgetful = false }
    let meeting = self.meeting(open.from, open.place)
    let mine = place
    switch adopt(open.place) {
    case .impossible(let ending):
      if hasMet, open.from.fence > peer?.fence ?? 0 {
        // This end was made for a dialler that had been replaced and did not know it. Another starts from what this one
        // has.
        refuse(HopClose(.unavailable))
        return end(.superseded, &out)
      }
      // The dialler decides what that means. It may be one that has been replaced itself: the one that matters comes
      // later.
      refuse(HopClose(ending.mismatch))
    case .at(let place):
      if !hasMet { origin = kept }
      if case .attached(let old, _) = phase {
        if peer?.instance != open.from.instance {
          out.append(.transmit(.close(HopClose(.stale, holder: open.from)), old))
        }
        out.append(.drop(old))
      }
      attach(link, to: open.from, meeting, at: now)
      out.append(.transmit(.opened(HopOpened(version: version, from: me, place: mine)), link))
      begin(place, link, &out)
      if let memory { out.append(.transmit(.keep(memory), link)) }
      if isLeaving { out.append(.transmit(.leave, link)) }
      out.append(.met(meeting, open.from))
      pump(&out)
    }
  }

  // MARK: Both

  private func versionRefusal(_ theirs: HopVersion) -> HopClose {
    HopClose(
      .version, message: "this end speaks version \(version) of the hop, which version \(theirs) does not understand")
  }

  private func isNewest(_ party: HopParty) -> Bool {
    guard let peer else { return true }
    return party.fence > peer.fence || party == peer
  }

  private func meeting(_ party: HopParty, _ place: HopPlace?) -> HopMeeting {
    if peer == nil || isForgetful { return .first }
    if party == peer { return .resumed }
    return place == nil ? .forgetful : .replaced
  }

  /// Compares what both remember; the peer's place as it counts from now on.
  private mutating func adopt(_ theirs: HopPlace?) -> Agreement {
    let first = min(outbox.oldest, outbox.next)
    guard let theirs else {
      // It takes what has not been settled, and counts on from what has come.
      guard limits.takesForgetful, !isForgetful else { return .impossible(.tooOld) }
      return .at(HopPlace(received: first - 1, oldest: received + 1, next: received + 1, mayReach: first - 1))
    }
    guard theirs.isSound else { return .impossible(.violation) }
    if isForgetful {
      isForgetful = false
      received = theirs.oldest - 1
      settled = received
      outbox.adopt(next: theirs.received + 1)
      return .at(theirs)
    }
    guard theirs.oldest <= received + 1, first <= theirs.received + 1 else { return .impossible(.tooOld) }
    guard limits.replays || (theirs.next > received && theirs.received < outbox.next) else {
      return .impossible(.diverged)
    }
    return .at(theirs)
  }

  private mutating func begin(_ theirs: HopPlace, _ link: HopLink, _ out: inout [Action]) {
    outbox.begin(after: theirs.received, mayReach: theirs.mayReach)
    // Tells a peer without memory how far it may go, and any peer what has been settled since it last heard.
    out.append(acknowledge(link))
  }
}

/// Whether two ends can go on with each other, and from where.
private enum Agreement {
  case at(HopPlace)
  case impossible(HopEnding)
}

extension HopClose.Reason {
  /// What it means for an end that has a peer; nil: look for another.
  var ending: HopEnding? {
    switch self {
    case .over: .over
    case .moved, .stale: .superseded
    case .tooOld: .tooOld
    case .diverged: .diverged
    case .violation: .violation
    case .failed: .failed
    case .version, .heldElsewhere, .busy, .draining, .unavailable: nil
    }
  }
}

extension HopEnding {
  fileprivate var mismatch: HopClose.Reason {
    switch self {
    case .tooOld: .tooOld
    case .diverged: .diverged
    default: .violation
    }
  }
}
