import Base
import CallLink
import Glibc
import Logging
import MediaIO
import RTP
import SDP

/// The beat of a call: packets in and out every 20 ms, and what they mean for the speech role.
extension MediaCall: PacedMember {
  /// Datagrams read per tick: 30 times what a sender at 20 ms sends, so a burst after a stall gets in and a flood does not
  /// hold up the other calls.
  private static let datagramsPerTick = 32
  /// Control packets come every few seconds; looking every tenth tick is soon enough.
  private static let ticksPerControlRead = 10

  func startLeg(_ audio: NegotiatedAudio) -> Bool {
    guard let format = LegFormat(audio) else { return false }
    let settings = context.configuration
    let side = speechSide
    do {
      var configuration = Leg.Configuration(format: format)
      configuration.symmetric = settings.rtpSymmetric
      configuration.maxDelayMs = settings.jitterBufferMs
      configuration.conceals = settings.packetLossConcealment
      configuration.mediaTimeout = settings.reconnectionTimeout
      leg = try Leg(configuration, random: &random, at: .monotonic()) { pcm, position in
        side.audio(pcm, position: position)
      }
    } catch {
      logger.error("a leg could not be made", metadata: ["error": "\(error)"])
      return false
    }
    performPending()
    loop.pacer.add(self)
    return true
  }

  func skip(ticks: Int) { leg?.skip(ticks: ticks) }

  func tick(now: Instant) {
    guard let leg else { return }
    let heardBefore = leg.receiver.lastHeard
    sockets.audio.receive(into: loop.buffer, limit: Self.datagramsPerTick) { datagram in
      if datagram.isTruncated { return leg.rejectTruncated() }
      leg.receive(datagram.bytes, from: RTPPeer(datagram.peer), at: datagram.arrival, ntp: Self.ntp)
    }
    ticksToControlRead -= 1
    if ticksToControlRead <= 0 {
      ticksToControlRead = Self.ticksPerControlRead
      sockets.control.receive(into: loop.buffer, limit: Self.datagramsPerTick) { datagram in
        if datagram.isTruncated { return leg.rejectTruncated() }
        leg.receiveControl(datagram.bytes, from: RTPPeer(datagram.peer), at: datagram.arrival, ntp: Self.ntp())
      }
    }
    // An ACK can be lost while the peer already speaks: its voice is as good.
    if heardBefore == nil, leg.receiver.lastHeard != nil { becomeLive() }
    let output = leg.tick(at: now, ntp: Self.ntp)
    if let audio = output.audio, let remote = leg.remote { sockets.audio.send(audio, to: PeerAddress(remote)) }
    if let control = output.control { sendControl(control, of: leg) }
    if !leg.events.isEmpty { report(leg) }
    keep()
  }

  /// The leg's last words: to the peer, and to the speech role.
  func finish(_ leg: Leg) {
    if let bytes = leg.goodbye(at: .monotonic(), ntp: Self.ntp()) { sendControl(bytes, of: leg) }
    leg.playout.finishAll()
    for event in leg.playout.events { leg.events.append(.playout(event)) }
    report(leg)
    let quality = leg.quality
    tell(.quality(quality))
    count(leg, quality)
  }

  private func sendControl(_ bytes: UnsafeRawBufferPointer, of leg: Leg) {
    guard let remote = leg.remoteControl else { return }
    (leg.format.sharesPort ? sockets.audio : sockets.control).send(bytes, to: PeerAddress(remote))
  }

  private func report(_ leg: Leg) {
    var timedOut = false
    for index in leg.events.indices {
      switch leg.events[index] {
      case .digit(let digit, let durationMs):
        if keys.takesEvent(digit, at: .monotonic()) { tell(.digit(digit, durationMs: durationMs)) }
      case .playout(.started(let id)): tell(.playoutStarted(id))
      case .playout(.progress(let id, let played)): tell(.playoutProgress(id, playedSamples: played))
      case .playout(.finished(let id)):
        mailbox.playbacks.close(id)
        tell(.playoutFinished(id))
      case .playout(.cleared(let id, let played)):
        mailbox.playbacks.close(id)
        tell(.playoutCleared(id, playedSamples: played))
      case .quality(let quality):
        tell(.quality(quality))
        count(leg, quality)
        context.metrics.rtpJitter(quality.jitterMs)
        context.metrics.mos(leg.meanOpinionScore)
      case .mediaTimeout: timedOut = true
      }
    }
    leg.events.removeAll(keepingCapacity: true)
    if timedOut {
      logger.info("no media came for the configured time")
      hangup(.mediaTimeout)
    }
  }

  /// Tells the metrics what has been counted since the last time.
  func count(_ leg: Leg, _ quality: MediaQuality) {
    let metrics = context.metrics
    if quality.packetsReceived > reported.received { metrics.rtpReceived(quality.packetsReceived - reported.received) }
    if quality.packetsLost > reported.lost { metrics.rtpLost(quality.packetsLost - reported.lost) }
    if quality.underruns > reported.underruns { metrics.underruns(quality.underruns - reported.underruns) }
    // Lost packets can come late after all: a counter that only grows keeps its highest value.
    reported = (
      max(reported.received, quality.packetsReceived), max(reported.lost, quality.packetsLost),
      max(reported.underruns, quality.underruns)
    )
    for (reason, total) in leg.rejected {
      let new = total - reportedRejects[reason, default: 0]
      if new > 0 { metrics.rtpRejected(reason.rawValue, new) }
    }
    reportedRejects = leg.rejected
  }

  /// The wall clock as RTCP writes it: seconds since 1900 and their fraction, 32 bits each.
  private static func ntp() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let seconds = UInt64(time.tv_sec) &+ 2_208_988_800
    return seconds << 32 | (UInt64(time.tv_nsec) << 32) / 1_000_000_000
  }
}

extension RTPPeer {
  init(_ peer: PeerAddress) { self.init(high: peer.high, low: peer.low, port: peer.port) }
}

extension PeerAddress {
  init(_ peer: RTPPeer) { self.init(high: peer.high, low: peer.low, port: peer.port) }
}
