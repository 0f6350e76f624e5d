import Base
import CallLink
import Logging
import MediaIO
import NIOConcurrencyHelpers
import NIOCore
import RTP
import SDP
import SIP

/// One call: its sockets, its leg, its offer/answer, and its half of the hop to the speech role. Confined to one event loop,
/// from the offer, or the take-over, to the end.
final class MediaCall {
  /// What calls need of the gateway.
  struct Context: Sendable {
    let configuration: MediaGatewayConfiguration
    let speech: any SpeechHop
    let signalling: SignallingMailbox
    let ports: NIOLockedValueBox<RTPPortPool>
    let metrics: MediaMetrics
    let logger: Logger
    /// For SIP over TLS; nil: it is not spoken.
    var certificates: SIPCertificates?

    /// Where calls outlive this process.
    var kept: (any KeptMediaHop)? { speech as? any KeptMediaHop }
  }

  /// Messages of the speech role that wait for the leg (prompts queued before the answer).
  static let pendingLimit = 256

  enum State { case offered, answered, live, ended }

  let context: Context
  let loop: MediaLoop
  let mailbox: CallMailbox
  let handle: SIPCallHandle
  let info: CallInfo
  let advertised: String
  let sockets: CallSockets
  let speechSide: any SpeechSide
  private var speech: HopSender<MediaToSpeech>
  var answer: SIPBody?
  private var answerTimer: Scheduled<Void>?
  var random: SeededRandom

  // What a successor needs, and so what makes the kept state another.
  var state: State { didSet { isStateStale = true } }
  var exchange: OfferAnswer { didSet { isStateStale = true } }
  var isHeld = false { didSet { isStateStale = true } }
  var dialog: SIPDialogState? { didSet { isStateStale = true } }

  /// By which way the peer sends its keys.
  var keys = KeyWay()

  // Keeping; see `MediaCall+Custody.swift`.
  let custodian: (any CallCustodian)?
  var isStateStale = true
  var isKeepDue = true
  var keptState: [UInt8] = []
  /// Whether the call is to be handed over, and whether it has been.
  var isLeaving = false
  var isReleased = false
  /// Of a call that another process began: who waits for the peer's answer to our re-INVITE.
  var resumption: EventLoopPromise<ResumeOutcome>?
  let isResumed: Bool
  /// Of a resumed call: the playbacks that have been opened here. Others were the predecessor's.
  private var openedHere: Set<PlaybackID> = []
  /// The number of the last message of the speech role.
  private(set) var lastSequence: UInt64

  // Media; see `MediaCall+Media.swift`.
  var leg: Leg?
  private var pending: [(SpeechToMedia, PlaybackBuffer?)] = []
  var ticksToControlRead = 0
  var reported = (received: 0, lost: 0, underruns: 0)
  var reportedRejects: [RTPRejectReason: Int] = [:]

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
    var exchange = OfferAnswer(sessionID: random.next())
    var description: SessionDescription?
    if let offer { description = try Self.parse(offer) }
    sockets = try CallSockets(context)
    if let description {
      let capabilities = Self.capabilities(context.configuration, address: advertised, port: sockets.port)
      do throws(NegotiationError) {
        let made = try exchange.answer(description, with: capabilities)
        guard LegFormat(made.audio) != nil else { throw NegotiationError.noCommonCodec }
        answer = .sdp(made.answer.serialized())
      } catch {
        sockets.close(context)
        throw MediaCall.Refusal(status: error.status, reason: nil)
      }
    }
    self.exchange = exchange
    self.random = random
    state = .offered
    isResumed = false
    lastSequence = 0
    if let kept = context.kept {
      let opened = kept.open(info, media: mailbox, resuming: false)
      speechSide = opened.speech
      custodian = opened.custodian
    } else {
      speechSide = context.speech.open(info, media: mailbox)
      custodian = nil
    }
    speech = Self.sender(to: speechSide)
    mailbox.attach(self)
    keep()
    let limit = TimeAmount.nanoseconds(context.configuration.answerTimeout.nanoseconds)
    answerTimer = loop.eventLoop.assumeIsolated().scheduleTask(in: limit) { [weak self] () -> Void in
      self?.answerIsLate()
    }
  }

  /// Goes on with a call of a process that is gone: opens sockets, speaks and listens at once, and tells the peer by a
  /// re-INVITE where it is. The hop is opened only when nothing of our own can fail any more.
  init(
    resuming kept: MediaCallState, of info: CallInfo, handle: SIPCallHandle, advertised: String, mailbox: CallMailbox,
    loop: MediaLoop, context: Context, hop: any KeptMediaHop, resumption: EventLoopPromise<ResumeOutcome>
  ) throws(Refusal) {
    self.info = info
    self.handle = handle
    self.advertised = advertised
    self.mailbox = mailbox
    self.loop = loop
    self.context = context
    random = SeededRandom.fromSystem()
    if let audio = kept.exchange.negotiated, LegFormat(audio) == nil { throw Refusal(status: 488) }
    sockets = try CallSockets(context)
    exchange = kept.exchange
    state = kept.phase == .live ? .live : .answered
    isHeld = kept.isHeld
    dialog = kept.dialog
    isResumed = true
    self.resumption = resumption
    let opened = hop.open(info, media: mailbox, resuming: true)
    speechSide = opened.speech
    custodian = opened.custodian
    lastSequence = opened.custodian.handled.right
    speech = Self.sender(to: speechSide)
    mailbox.attach(self)
    resume()
  }

  // The existential is opened here because the compiler does not convert `any SpeechSide` to `any HopSink` itself.
  private static func sender(to side: some SpeechSide) -> HopSender<MediaToSpeech> { HopSender(side) }

  static func parse(_ body: SIPBody) throws(Refusal) -> SessionDescription {
    guard body.contentType.lowercased().hasPrefix("application/sdp") else { throw Refusal(status: 415) }
    do { return try SessionDescription(parsing: body.bytes) } catch {
      throw Refusal(status: 400, reason: "Bad Session Description")
    }
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

  var capabilities: AudioCapabilities {
    Self.capabilities(context.configuration, address: advertised, port: sockets.port)
  }

  var logger: Logger {
    var logger = context.logger
    logger[metadataKey: "session_id"] = "\(info.session)"
    return logger
  }

  // MARK: The speech role

  func tell(_ message: MediaToSpeech) {
    isKeepDue = true
    speech.send(message)
  }

  func receive(_ message: Numbered<SpeechToMedia>, buffer: PlaybackBuffer?) {
    // What a re-opened hop repeats has been done already.
    guard message.sequence > lastSequence, state != .ended else { return }
    lastSequence = message.sequence
    isKeepDue = true
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
    keep()
  }

  /// Does what has waited for the leg.
  func performPending() {
    for (message, buffer) in pending { perform(message, buffer) }
    pending = []
  }

  private func perform(_ message: SpeechToMedia, _ buffer: PlaybackBuffer?) {
    switch message {
    case .play(let id):
      if isResumed { openedHere.insert(id) }
      if let buffer {
        leg?.playout.open(buffer)
      } else {
        // Too many playbacks at once: this one will never be heard, and whoever opened it must know.
        logger.warning("a playback was refused: too many are open", metadata: ["playback": "\(id)"])
        tell(.playoutCleared(id, playedSamples: 0))
      }
    case .endOfAudio(let id): leg?.playout.end(id)
    case .clear(let id):
      leg?.playout.clear(id)
      // The predecessor's: it is silent already, and how far it had come was told with its last progress. Zero means
      // that there is no news: the speech role takes the greater of what it knows and what it hears from us.
      if isResumed, let id, !openedHere.contains(id) { tell(.playoutCleared(id, playedSamples: 0)) }
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

  func hangup(_ reason: HangupReason) {
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

  // MARK: The end

  func end(_ reason: HangupReason) {
    guard state != .ended else { return }
    state = .ended
    if let leg { finish(leg) }
    close()
    tell(.ended(reason))
    custodian?.finished()
    context.signalling.perform(.finished(handle))
    resumption?.succeed(.refused)
    resumption = nil
  }

  /// Another process has the call: everything is let go of, and nobody is told.
  func abandon() {
    guard state != .ended else { return }
    state = .ended
    if let leg { count(leg, leg.quality) }
    close()
    context.signalling.perform(.abandon(handle))
    resumption?.succeed(.unavailable)
    resumption = nil
  }

  private func close() {
    answerTimer?.cancel()
    answerTimer = nil
    if leg != nil { loop.pacer.remove(self) }
    leg = nil
    sockets.close(context)
    mailbox.playbacks.closeAll()
    mailbox.attach(nil)
  }
}
