import Audio
import Base
import MediaIO
import RTP
import SIP

/// One thing the caller does when it is its turn.
enum CallerTurn: Sendable {
  /// 8 kHz samples, and what they say (for people and reports).
  case speak([Int16], text: String)
  case press(String)

  var label: String {
    switch self {
    case .speak(_, let text): text
    case .press(let digits): "#" + digits
    }
  }
}

/// How a caller behaves.
struct CallerPlan: Sendable {
  var target: SIPURI
  var gateway: SIPHostPort
  var turns: [CallerTurn]
  var law: G711.Law
  /// Looped under everything that is sent: a noisy room.
  var background: [Int16] = []
  /// Silence of the other side that makes it the caller's turn.
  var pauseMs = 700
  /// Begins the first turn this long after the other side's first sound, whatever it says; nil: waits for its end.
  var interruptMs: Int?
  /// Takes the next turn, or hangs up after the last one, when nothing has been heard for this long.
  var patienceMs = 8000
  /// Hangs up as soon as the last turn has been taken.
  var hangsUpFirst = false
  /// The whole call, at most.
  var limitMs = 180_000
  var fromUser = "caller"
}

/// What the caller has to tell while the call runs.
enum CallerNotice {
  case answered(afterMs: Int)
  /// The caller begins a turn.
  case took(CallerTurn, atMs: Int)
  /// The other side spoke, and stopped: 8 kHz samples for an ear.
  case heard([Int16], fromMs: Int, toMs: Int)
  case ended(String, atMs: Int)
}

/// A SIP user agent with a mouth, an ear and a script: places one call, takes its turns when the other side is quiet, and keeps
/// the recording on which everything is measured. It shares the protocol rooms with the gateway and nothing else.
///
/// Confined to one thread, which calls ``tick(at:)`` every 20 ms.
final class Caller {
  private static let frame = 160
  /// Louder than this the other side is speaking: RMS of a frame, about -48 dBFS.
  private static let speechRMS = 130.0

  let plan: CallerPlan
  private(set) var recording = CallRecording()
  private(set) var timing = StreamTiming()
  private(set) var finished: CallerOutcome?
  private var outcome = CallerOutcome()

  private var endpoint: SIPEndpoint
  private let signalling: UDPSocket
  private let media: UDPSocket
  private let buffer = DatagramBuffer()
  private let peer: PeerAddress
  private let notify: (CallerNotice) -> Void
  private var call: SIPCallHandle?
  private var remote: PeerAddress?
  private var negotiated: CallerMedia?
  private var sender: RTPSender
  private var offer: CallerOffer

  private let began: Instant
  /// When media began: zero of the recording.
  private var mediaBegan: Instant?
  private var ticks = 0
  private var nextTurn = 0
  private var speaking: (samples: [Int16], at: Int)?
  private var backgroundAt = 0
  private var lastSound: Instant?
  private var soundBegan: Instant?
  private var lastOwn: Instant?
  private var heardSinceOwn = false
  private var segment: (samples: [Int16], fromMs: Int)?
  private var packet = [UInt8](repeating: 0, count: 512)

  /// - Throws: ``SocketError`` where no port can be had.
  init(
    plan: CallerPlan, local: String, random: inout SeededRandom, at now: Instant,
    notify: @escaping (CallerNotice) -> Void
  ) throws {
    guard let peer = PeerAddress(plan.gateway.host, port: plan.gateway.port) else {
      throw CallerError("\(plan.gateway.host) is not an IP address")
    }
    self.plan = plan
    self.peer = peer
    self.notify = notify
    began = now
    signalling = try UDPSocket(host: local, port: 0)
    media = try UDPSocket(host: local, port: 0)
    sender = RTPSender(using: &random)
    offer = CallerOffer(host: local, port: media.local.port, law: plan.law, sessionID: random.next() >> 1)
    let description = try offer.make()

    var configuration = SIPConfiguration()
    configuration.localAddresses = [.udp: SIPHostPort(host: local, port: Int(signalling.local.port))]
    configuration.contactUser = plan.fromUser
    configuration.product = "Parley-Caller"
    endpoint = SIPEndpoint(configuration: configuration, random: SeededRandom(seed: random.next()))
    let from = SIPNameAddress(uri: SIPURI(scheme: .sip, user: plan.fromUser, host: local))
    let (handle, actions) = endpoint.invite(
      SIPInvite(
        target: plan.target, from: from, peer: SIPPeer(.udp, host: plan.gateway.host, port: plan.gateway.port),
        body: .sdp(description)), at: now)
    call = handle
    perform(actions, at: now)
  }

  /// Reads, sends and decides; returns false once the call is over and everything has been said.
  func tick(at now: Instant) -> Bool {
    signalling.receive(into: buffer, limit: 16) { datagram in
      // Another process of a gateway may go on with the call.
      let from = SIPPeer(.udp, host: datagram.peer.host, port: Int(datagram.peer.port))
      perform(endpoint.receive(datagram: Array(datagram.bytes), from: from, at: now), at: now)
    }
    if let deadline = endpoint.deadline, deadline <= now { perform(endpoint.timeout(at: now), at: now) }
    if mediaBegan != nil {
      media.receive(into: buffer, limit: 32) { hear($0) }
      if finished == nil {
        listen(at: now)
        decide(at: now)
        speak(at: now)
      }
    }
    if finished == nil, (now - began).milliseconds > plan.limitMs {
      outcome.endedBy = "caller: the call took longer than \(plan.limitMs / 1000) s"
      hangUp(at: now)
    }
    return finished == nil || endpoint.deadline.map { $0 < now + .milliseconds(200) } ?? false
  }

  // MARK: Signalling

  private func perform(_ actions: [SIPAction], at now: Instant) {
    for action in actions {
      switch action {
      case .send(let bytes, let to):
        let address = PeerAddress(to.host, port: to.port) ?? peer
        bytes.withUnsafeBytes { signalling.send($0, to: address) }
      case .close: break
      case .event(let event): handle(event, at: now)
      }
    }
  }

  private func handle(_ event: SIPEvent, at now: Instant) {
    switch event {
    case .progress(_, let progress):
      if progress.status >= 180, outcome.ringMs == nil { outcome.ringMs = ms(since: began, at: now) }
    case .answered(let call, let answer):
      outcome.answerMs = ms(since: began, at: now)
      outcome.status = answer.status
      do {
        try beginMedia(answer.body, at: now)
        notify(.answered(afterMs: outcome.answerMs ?? 0))
      } catch {
        outcome.endedBy = "caller: \(error)"
        perform(endpoint.hangup(call, at: now), at: now)
      }
    case .reinvite(let call, let body):
      do {
        let (answer, media) = try offer.respond(to: body?.bytes)
        if let media {
          negotiated = media
          remote = PeerAddress(media.host, port: media.port)
        }
        perform(endpoint.answerReinvite(call, body: .sdp(answer), at: now), at: now)
      } catch {
        perform(endpoint.rejectReinvite(call, status: 488, at: now), at: now)
      }
    case .referred(_, let referral): perform(endpoint.rejectRefer(referral.handle, at: now), at: now)
    case .ended(_, let end):
      if !end.cause.isLocal || outcome.endedBy.isEmpty { outcome.endedBy = end.cause.isLocal ? "caller" : "gateway" }
      if outcome.status == 0 || outcome.answerMs == nil { outcome.status = end.status }
      outcome.reason = end.reason
      outcome.durationMs = mediaBegan.map { ms(since: $0, at: now) } ?? 0
      closeSegment(at: now)
      finished = outcome
      notify(
        .ended("\(end.cause.rawValue)\(end.status > 0 ? " \(end.status) \(end.reason)" : "")", atMs: outcome.durationMs)
      )
    default: break
    }
  }

  private func beginMedia(_ body: SIPBody?, at now: Instant) throws {
    guard let body else { throw CallerError("the answer has no session description") }
    let media = try offer.accept(answer: body.bytes)
    guard let address = PeerAddress(media.host, port: media.port) else {
      throw CallerError("\(media.host) in the answer is not an IP address")
    }
    negotiated = media
    remote = address
    mediaBegan = now
  }

  /// Ends the call from this side.
  func hangUp(at now: Instant) {
    guard let call else { return }
    self.call = nil
    if outcome.endedBy.isEmpty { outcome.endedBy = "caller" }
    perform(endpoint.hangup(call, at: now), at: now)
  }

  // MARK: Hearing

  private func hear(_ datagram: Datagram) {
    guard let mediaBegan, let negotiated, let view = try? RTPPacketView(datagram.bytes),
      view.payloadType == negotiated.payloadType
    else { return }
    timing.received(ssrc: view.ssrc.value, sequence: view.sequence, timestamp: view.timestamp, at: datagram.arrival)
    let samples = view.payload.map { G711.decode($0, law: negotiated.law) }
    let arrival = Int((datagram.arrival - mediaBegan).nanoseconds / 125_000)
    recording.received(samples, ssrc: view.ssrc.value, timestamp: view.timestamp, arrival: arrival)
    var sum = 0.0
    for sample in samples { sum += Double(sample) * Double(sample) }
    let isSound = !samples.isEmpty && (sum / Double(samples.count)).squareRoot() > Self.speechRMS
    if isSound {
      lastSound = datagram.arrival
      heardSinceOwn = true
      if soundBegan == nil { soundBegan = datagram.arrival }
      if segment == nil { segment = ([], (datagram.arrival - mediaBegan).milliseconds.asInt) }
    }
    segment?.samples.append(contentsOf: samples)
  }

  /// Hands over what the other side said once it has been quiet for a while.
  private func listen(at now: Instant) {
    if let lastSound, segment != nil, (now - lastSound).milliseconds > Int64(plan.pauseMs) { closeSegment(at: now) }
  }

  private func closeSegment(at now: Instant) {
    guard let heard = segment, let lastSound, let mediaBegan else { return }
    segment = nil
    notify(.heard(heard.samples, fromMs: heard.fromMs, toMs: (lastSound - mediaBegan).milliseconds.asInt))
  }

  // MARK: Speaking

  private func decide(at now: Instant) {
    guard speaking == nil, !sender.isSendingKeys, let mediaBegan else { return }
    let quietFor = lastSound.map { (now - $0).milliseconds } ?? .max
    let waitedFor = (now - max(lastOwn ?? mediaBegan, lastSound ?? mediaBegan)).milliseconds
    let interrupts = nextTurn == 0 && plan.interruptMs != nil
    let isTurn =
      interrupts
      ? soundBegan.map { (now - $0).milliseconds >= Int64(plan.interruptMs ?? 0) } ?? false
      : heardSinceOwn && quietFor >= Int64(plan.pauseMs)
    guard isTurn || waitedFor >= Int64(plan.patienceMs) else { return }
    guard nextTurn < plan.turns.count else {
      if plan.hangsUpFirst || waitedFor >= Int64(plan.patienceMs) { hangUp(at: now) }
      return
    }
    let turn = plan.turns[nextTurn]
    nextTurn += 1
    heardSinceOwn = false
    lastOwn = now
    switch turn {
    case .speak(let samples, _): speaking = (samples, 0)
    case .press(let digits): sender.sendKeys(digits, durationMs: 120)
    }
    notify(.took(turn, atMs: ms(since: mediaBegan, at: now)))
  }

  private func speak(at now: Instant) {
    guard let mediaBegan, let negotiated, let remote else { return }
    // As many frames as the clock asks for: a late tick sends two, so the stream keeps its pace.
    while ticks * 20 <= (now - mediaBegan).milliseconds.asInt {
      ticks += 1
      if sender.isSendingKeys, let event = negotiated.telephoneEvent {
        let size = packet.withUnsafeMutableBytes { sender.writeKey(payloadType: event, into: $0) }
        if size > 0 { packet.withUnsafeBytes { media.send(UnsafeRawBufferPointer(rebasing: $0[..<size]), to: remote) } }
        recording.sent(repeatElement(0, count: Self.frame))
        lastOwn = now
        continue
      }
      var samples = [Int16](repeating: 0, count: Self.frame)
      if let (voice, at) = speaking {
        let end = min(at + Self.frame, voice.count)
        for i in at..<end { samples[i - at] = voice[i] }
        speaking = end < voice.count ? (voice, end) : nil
        lastOwn = now
      }
      if !plan.background.isEmpty {
        for i in samples.indices {
          samples[i] = Int16(clamping: Int(samples[i]) + Int(plan.background[backgroundAt]))
          backgroundAt = (backgroundAt + 1) % plan.background.count
        }
      }
      recording.sent(samples)
      let payload = samples.map { G711.encode($0, law: negotiated.law) }
      let size = packet.withUnsafeMutableBytes { packet in
        payload.withUnsafeBytes {
          sender.writeAudio($0, payloadType: negotiated.payloadType, samples: Self.frame, into: packet)
        }
      }
      packet.withUnsafeBytes { media.send(UnsafeRawBufferPointer(rebasing: $0[..<size]), to: remote) }
    }
  }

  private func ms(since start: Instant, at now: Instant) -> Int { (now - start).milliseconds.asInt }
}

/// How the call went, as far as signalling can tell.
struct CallerOutcome: Sendable {
  var status = 0
  var reason = ""
  var ringMs: Int?
  /// From the INVITE to the 200; nil: never answered.
  var answerMs: Int?
  var durationMs = 0
  /// `caller` or `gateway`, with the reason where this side gave up.
  var endedBy = ""
}

/// Why a call could not be placed; one sentence.
struct CallerError: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

extension SIPEnd.Cause {
  /// Whether this side brought the end about.
  var isLocal: Bool { self == .localHangup || self == .localCancel || self == .rejected }
}

extension Int64 {
  var asInt: Int { Int(clamping: self) }
}
