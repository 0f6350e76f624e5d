import Base
import CallLink
import Glibc
import Logging
import MediaIO
import NIOConcurrencyHelpers
import NIOCore
import RTP
import SDP
import SIP

/// One call: its sockets, its leg, its offer/answer, and its half of the hop to the speech role. Confined to one event loop,
/// from the offer to the end.
final class MediaCall: PacedMember {
  /// What calls need of the gateway.
  struct Context: Sendable {
    let configuration: MediaGatewayConfiguration
    let speech: any SpeechHop
    let signalling: SignallingMailbox
    let ports: NIOLockedValueBox<RTPPortPool>
    let metrics: MediaMetrics
    let logger: Logger
  }

  /// Datagrams read per tick: 30 times what a sender at 20 ms sends, so a burst after a stall gets in and a flood does not
  /// hold up the other calls.
  static let datagramsPerTick = 32
  /// Control packets come every few seconds; looking every tenth tick is soon enough.
  static let ticksPerControlRead = 10
  /// Port pairs tried when another process holds one.
  static let bindAttempts = 8
  /// Messages of the speech role that wait for the leg (prompts queued before the answer).
  static let pendingLimit = 256

  private enum State { case offered, answered, live, ended }

  private let context: Context
  private let loop: MediaLoop
  private let mailbox: CallMailbox
  private let handle: SIPCallHandle
  private let info: CallInfo
  private let advertised: String
  private var state = State.offered
  private var speech: HopSender<MediaToSpeech>
  private let speechSide: any SpeechSide
  private var exchange: OfferAnswer
  private var answer: SIPBody?
  private let port: UInt16
  private let audioSocket: UDPSocket
  private let controlSocket: UDPSocket
  private var leg: Leg?
  private var pending: [(SpeechToMedia, PlaybackBuffer?)] = []
  private var lastSequence: UInt64 = 0
  private var isHeld = false
  private var ticksToControlRead = 0
  private var answerTimer: Scheduled<Void>?
  private var random: SeededRandom
  private var reported = (received: 0, lost: 0, underruns: 0)
  private var reportedRejects: [RTPRejectReason: Int] = [:]

  /// Why a call could not even be offered to the speech role, and what the caller is told.
  struct Refusal: Error {
    var status: Int
    var reason: String?
  }

  /// Opens sockets, negotiates, and offers the call to the speech role.
  init(
    _ info: CallInfo, offer: SIPBody?, handle: SIPCallHandle, advertised: String, mailbox: CallMailbox,
    loop: MediaLoop, context: Context
  ) throws(Refusal) {
    self.info = info
    self.handle = handle
    self.advertised = advertised
    self.mailbox = mailbox
    self.loop = loop
    self.context = context
    var random = SeededRandom.fromSystem()
    var exchange = OfferAnswer(sessionID: random.next() >> 2)
    var description: SessionDescription?
    if let offer { description = try Self.parse(offer) }
    let sockets = try Self.bind(context)
    port = sockets.port
    audioSocket = sockets.audio
    controlSocket = sockets.control
    if let description {
      let capabilities = Self.capabilities(context.configuration, address: advertised, port: sockets.port)
      do throws(NegotiationError) {
        let made = try exchange.answer(description, with: capabilities)
        guard LegFormat(made.audio) != nil else { throw NegotiationError.noCommonCodec }
        answer = .sdp(made.answer.serialized())
      } catch {
        context.ports.withLockedValue { $0.release(sockets.port, at: .monotonic()) }
        throw MediaCall.Refusal(status: error.status, reason: nil)
      }
    }
    self.exchange = exchange
    self.random = random
    speechSide = context.speech.open(info, media: mailbox)
    speech = Self.sender(to: speechSide)
    mailbox.attach(self)
    let limit = TimeAmount.nanoseconds(context.configuration.answerTimeout.nanoseconds)
    answerTimer = loop.eventLoop.assumeIsolated().scheduleTask(in: limit) { [weak self] () -> Void in
      self?.answerIsLate()
    }
  }

  // The existential is opened here because the compiler does not convert `any SpeechSide` to `any HopSink` itself.
  private static func sender(to side: some SpeechSide) -> HopSender<MediaToSpeech> { HopSender(side) }

  private static func parse(_ body: SIPBody) throws(Refusal) -> SessionDescription {
    guard body.contentType.lowercased().hasPrefix("application/sdp") else { throw Refusal(status: 415) }
    do { return try SessionDescription(parsing: body.bytes) } catch {
      throw Refusal(status: 400, reason: "Bad Session Description")
    }
  }

  private static func bind(_ context: Context) throws(Refusal) -> (port: UInt16, audio: UDPSocket, control: UDPSocket) {
    let host = context.configuration.host
    for _ in 0..<bindAttempts {
      let port: UInt16
      do { port = try context.ports.withLockedValue({ try $0.allocate(at: .monotonic()) }) } catch {
        context.logger.warning("no RTP port is free", metadata: ["error": "\(error)"])
        throw Refusal(status: 503, reason: "No RTP Port")
      }
      do {
        let audio = try UDPSocket(host: host, port: Int(port))
        return (port, audio, try UDPSocket(host: host, port: Int(port) + 1))
      } catch {
        context.ports.withLockedValue { $0.release(port, at: .monotonic()) }
        context.logger.warning("an RTP port pair could not be opened", metadata: ["error": "\(error)"])
      }
    }
    throw Refusal(status: 503, reason: "No RTP Port")
  }

  private static func capabilities(
    _ configuration: MediaGatewayConfiguration, address: String, port: UInt16
  ) -> AudioCapabilities {
    let codecs = configuration.codecs.map { codec -> AudioCodec in
      switch codec {
      case .g711ulaw: .pcmu
      case .g711alaw: .pcma
      }
    }
    return AudioCapabilities(codecs: codecs + [.telephoneEvent], address: address, port: port)
  }

  private var capabilities: AudioCapabilities {
    Self.capabilities(context.configuration, address: advertised, port: port)
  }

  private var logger: Logger {
    var logger = context.logger
    logger[metadataKey: "session_id"] = "\(info.session)"
    return logger
  }

  // MARK: From the speech role

  func receive(_ message: Numbered<SpeechToMedia>, buffer: PlaybackBuffer?) {
    // What a re-opened hop repeats has been done already.
    guard message.sequence > lastSequence, state != .ended else { return }
    lastSequence = message.sequence
    switch message.message {
    case .ringing: if state == .offered { context.signalling.perform(.ring(handle)) }
    case .answer: answerCall()
    case .reject(let reason): if state == .offered { reject(reason) }
    case .hangup(let reason): hangup(reason)
    case .play, .endOfAudio, .clear, .sendDigits:
      if leg != nil {
        perform(message.message, buffer)
      } else if pending.count < Self.pendingLimit {
        pending.append((message.message, buffer))
      }
    }
  }

  private func perform(_ message: SpeechToMedia, _ buffer: PlaybackBuffer?) {
    switch message {
    case .play(let id):
      if let buffer {
        leg?.playout.open(buffer)
      } else {
        // Too many playbacks at once: this one will never be heard, and whoever opened it must know.
        logger.warning("a playback was refused: too many are open", metadata: ["playback": "\(id)"])
        speech.send(.playoutCleared(id, playedSamples: 0))
      }
    case .endOfAudio(let id): leg?.playout.end(id)
    case .clear(let id): leg?.playout.clear(id)
    case .sendDigits(let digits, let durationMs): leg?.sendDigits(digits, durationMs: durationMs)
    case .ringing, .answer, .reject, .hangup: break
    }
  }

  private func answerCall() {
    guard state == .offered else { return }
    answerTimer?.cancel()
    answerTimer = nil
    if answer == nil {
      do { answer = .sdp(try exchange.offer(capabilities).serialized()) } catch {
        logger.error("no session description could be made", metadata: ["error": "\(error)"])
        return refuse(500, .error)
      }
    }
    state = .answered
    context.signalling.perform(.answer(handle, answer))
    // The peer may speak as soon as it has the 200; it is listened to before the ACK is here.
    if let audio = exchange.negotiated, !startLeg(audio) { hangup(.error) }
  }

  private func reject(_ reason: RejectReason) {
    switch reason {
    case .busy: refuse(486, .busy)
    case .rejected: refuse(603, .rejected)
    case .notFound: refuse(404, .rejected)
    case .unavailable: refuse(503, .rejected)
    case .error: refuse(500, .error)
    }
  }

  private func refuse(_ status: Int, _ reason: HangupReason) {
    context.signalling.perform(.reject(handle, status, nil))
    end(reason)
  }

  private func answerIsLate() {
    guard state == .offered else { return }
    logger.warning("nobody answered the call in time")
    refuse(503, .error)
  }

  private func hangup(_ reason: HangupReason) {
    if state == .offered {
      switch reason {
      case .busy: return refuse(486, reason)
      case .rejected: return refuse(603, reason)
      case .shutdown: return refuse(503, reason)
      default: break
      }
    }
    context.signalling.perform(.hangup(handle))
    end(reason)
  }

  // MARK: From the signalling

  func receive(_ event: SignallingEvent) {
    guard state != .ended else { return }
    switch event {
    case .acknowledged(let body): acknowledged(body)
    case .reinvite(let offer): reinvited(offer)
    case .reinviteCancelled: if exchange.isOfferOpen { exchange.offerRefused() }
    case .hangup(let reason): hangup(reason)
    case .ended(let ended):
      switch ended.cause {
      case .remoteHangup: end(.caller)
      case .remoteCancel: end(.cancelled)
      case .localHangup, .localCancel: end(.normal)
      case .rejected: end(.rejected)
      case .timeout, .transportFailed, .acknowledgementMissing, .dialogLost, .refused, .redirected, .challenged:
        logger.info("the signalling of a call was lost", metadata: ["cause": "\(ended.cause.rawValue)"])
        end(.error)
      }
    }
  }

  private func acknowledged(_ body: SIPBody?) {
    if exchange.isOfferOpen {
      guard let body, let description = try? Self.parse(body), let audio = try? exchange.apply(answer: description)
      else {
        // RFC 3261 13.3.1.4 and RFC 3264: an ACK that owed us an answer and brought none, or a useless one.
        logger.info("the peer's answer could not be used")
        return hangup(.error)
      }
      guard apply(audio) else { return hangup(.error) }
    }
    becomeLive()
  }

  private func reinvited(_ offer: SIPBody?) {
    guard let offer else {
      do {
        context.signalling.perform(.answerReinvite(handle, .sdp(try exchange.offer(capabilities).serialized())))
      } catch {
        context.signalling.perform(.rejectReinvite(handle, error.status))
      }
      return
    }
    let description: SessionDescription
    do { description = try Self.parse(offer) } catch {
      return context.signalling.perform(.rejectReinvite(handle, error.status))
    }
    do throws(NegotiationError) {
      var next = exchange
      let made = try next.answer(description, with: capabilities)
      guard LegFormat(made.audio) != nil else { throw NegotiationError.noCommonCodec }
      exchange = next
      context.signalling.perform(.answerReinvite(handle, .sdp(made.answer.serialized())))
      if !apply(made.audio) { hangup(.error) }
    } catch {
      context.signalling.perform(.rejectReinvite(handle, error.status))
    }
  }

  private func apply(_ audio: NegotiatedAudio) -> Bool {
    guard let leg else { return startLeg(audio) }
    guard let format = LegFormat(audio) else { return false }
    leg.renegotiate(format, at: .monotonic())
    tellHold(audio.isHeldByPeer)
    return true
  }

  private func tellHold(_ held: Bool) {
    guard held != isHeld else { return }
    isHeld = held
    speech.send(held ? .held : .resumed)
  }

  private func becomeLive() {
    guard state == .answered, leg != nil else { return }
    state = .live
    speech.send(.answered)
    if let audio = exchange.negotiated { tellHold(audio.isHeldByPeer) }
  }

  // MARK: Media

  private func startLeg(_ audio: NegotiatedAudio) -> Bool {
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
    for (message, buffer) in pending { perform(message, buffer) }
    pending = []
    loop.pacer.add(self)
    return true
  }

  func skip(ticks: Int) { leg?.skip(ticks: ticks) }

  func tick(now: Instant) {
    guard let leg else { return }
    let heardBefore = leg.receiver.lastHeard
    audioSocket.receive(into: loop.buffer, limit: Self.datagramsPerTick) { datagram in
      if datagram.isTruncated { return leg.rejectTruncated() }
      leg.receive(datagram.bytes, from: RTPPeer(datagram.peer), at: datagram.arrival, ntp: Self.ntp)
    }
    ticksToControlRead -= 1
    if ticksToControlRead <= 0 {
      ticksToControlRead = Self.ticksPerControlRead
      controlSocket.receive(into: loop.buffer, limit: Self.datagramsPerTick) { datagram in
        if datagram.isTruncated { return leg.rejectTruncated() }
        leg.receiveControl(datagram.bytes, from: RTPPeer(datagram.peer), at: datagram.arrival, ntp: Self.ntp())
      }
    }
    // An ACK can be lost while the peer already speaks: its voice is as good.
    if heardBefore == nil, leg.receiver.lastHeard != nil { becomeLive() }
    let output = leg.tick(at: now, ntp: Self.ntp)
    if let audio = output.audio, let remote = leg.remote { audioSocket.send(audio, to: PeerAddress(remote)) }
    if let control = output.control { sendControl(control, of: leg) }
    if !leg.events.isEmpty { tell(leg) }
  }

  private func sendControl(_ bytes: UnsafeRawBufferPointer, of leg: Leg) {
    guard let remote = leg.remoteControl else { return }
    (leg.format.sharesPort ? audioSocket : controlSocket).send(bytes, to: PeerAddress(remote))
  }

  private func tell(_ leg: Leg) {
    var timedOut = false
    for index in leg.events.indices {
      switch leg.events[index] {
      case .digit(let digit, let durationMs): speech.send(.digit(digit, durationMs: durationMs))
      case .playout(.started(let id)): speech.send(.playoutStarted(id))
      case .playout(.progress(let id, let played)): speech.send(.playoutProgress(id, playedSamples: played))
      case .playout(.finished(let id)):
        mailbox.playbacks.close(id)
        speech.send(.playoutFinished(id))
      case .playout(.cleared(let id, let played)):
        mailbox.playbacks.close(id)
        speech.send(.playoutCleared(id, playedSamples: played))
      case .quality(let quality):
        speech.send(.quality(quality))
        count(leg, quality)
        context.metrics.rtpJitter(quality.jitterMs)
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
  private func count(_ leg: Leg, _ quality: MediaQuality) {
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

  private func end(_ reason: HangupReason) {
    guard state != .ended else { return }
    state = .ended
    answerTimer?.cancel()
    answerTimer = nil
    if let leg {
      loop.pacer.remove(self)
      if let bytes = leg.goodbye(at: .monotonic(), ntp: Self.ntp()) { sendControl(bytes, of: leg) }
      leg.playout.finishAll()
      for event in leg.playout.events { leg.events.append(.playout(event)) }
      tell(leg)
      let quality = leg.quality
      speech.send(.quality(quality))
      count(leg, quality)
    }
    leg = nil
    audioSocket.close()
    controlSocket.close()
    context.ports.withLockedValue { $0.release(port, at: .monotonic()) }
    mailbox.playbacks.closeAll()
    speech.send(.ended(reason))
    mailbox.attach(nil)
    context.signalling.perform(.finished(handle))
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
