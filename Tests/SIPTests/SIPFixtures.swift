import Base
import SIP

/// Bytes of a message written with plain newlines.
func bytes(_ text: String) -> [UInt8] {
  var out: [UInt8] = []
  for byte in text.utf8 {
    if byte == 0x0A { out.append(0x0D) }
    out.append(byte)
  }
  return out
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

func ms(_ count: Int64) -> Instant { .zero + .milliseconds(count) }

let alicePeer = SIPPeer(.udp, host: "192.0.2.10", port: 5060)
let bobPeer = SIPPeer(.udp, host: "192.0.2.20", port: 5060)

func makeEndpoint(
  _ host: String = "192.0.2.20", seed: UInt64 = 1, _ change: (inout SIPConfiguration) -> Void = { _ in }
) -> SIPEndpoint {
  var configuration = SIPConfiguration()
  configuration.localAddresses = [
    .udp: SIPHostPort(host: host, port: 5060), .tcp: SIPHostPort(host: host, port: 5060),
  ]
  change(&configuration)
  return SIPEndpoint(configuration: configuration, random: SeededRandom(seed: seed))
}

/// A scripted caller's messages, as some other stack would write them.
struct Script {
  var callID = "call-1@alice"
  var fromTag = "alice-tag"
  var toTag: String?
  var branch = "z9hG4bK-1"
  var sequence = 1
  var transport = "UDP"
  var via = "192.0.2.10:5060"
  var uri = "sip:bob@192.0.2.20"
  var extra = ""
  var body = ""
  var contentType = "application/sdp"

  func request(_ method: String, sequenceMethod: String? = nil) -> [UInt8] {
    let type = body.isEmpty ? "" : "Content-Type: \(contentType)\n"
    return bytes(
      """
      \(method) \(uri) SIP/2.0
      Via: SIP/2.0/\(transport) \(via);branch=\(branch)
      Max-Forwards: 70
      From: "Alice" <sip:alice@192.0.2.10>;tag=\(fromTag)
      To: <sip:bob@192.0.2.20>\(toTag.map { ";tag=\($0)" } ?? "")
      Call-ID: \(callID)
      CSeq: \(sequence) \(sequenceMethod ?? method)
      Contact: <sip:alice@192.0.2.10:5060>
      \(extra)\(type)Content-Length: \(body.utf8.count)

      \(body)
      """)
  }

  func with(_ change: (inout Script) -> Void) -> Script {
    var copy = self
    change(&copy)
    return copy
  }
}

extension [SIPAction] {
  var sent: [SIPMessage] {
    compactMap {
      guard case .send(let bytes, _) = $0 else { return nil }
      return try? SIPMessage.parse(bytes)
    }
  }

  var peers: [SIPPeer] {
    compactMap { if case .send(_, let peer) = $0 { peer } else { nil } }
  }

  var events: [SIPEvent] { compactMap { if case .event(let event) = $0 { event } else { nil } } }

  var statuses: [Int] { sent.filter { !$0.isRequest }.map(\.status) }

  var methods: [String] { sent.filter(\.isRequest).map(\.method.name) }

  var ends: [SIPEnd] { events.compactMap { if case .ended(_, let end) = $0 { end } else { nil } } }

  var incoming: (SIPCallHandle, SIPIncomingCall)? {
    for case .incoming(let call, let invite) in events { return (call, invite) }
    return nil
  }

  var names: [String] { events.map(\.name) }
}

extension SIPEvent {
  var name: String {
    switch self {
    case .incoming: "incoming"
    case .progress(_, let progress): "progress \(progress.status)"
    case .answered(_, let answer): answer.needsAnswer ? "answered, needs answer" : "answered"
    case .acknowledged(_, let body): body == nil ? "acknowledged" : "acknowledged \(body?.text ?? "")"
    case .provisionalAcknowledged(_, let body): "provisional acknowledged \(body?.text ?? "-")"
    case .reinvite(_, let offer): "reinvite \(offer?.text ?? "-")"
    case .reinviteCancelled: "reinvite cancelled"
    case .reinviteAnswered(_, let body, let needsAnswer):
      "reinvite answered \(body?.text ?? "-")\(needsAnswer ? ", needs answer" : "")"
    case .reinviteFailed(_, let status, _): "reinvite failed \(status)"
    case .info(_, let body): "info \(body.text)"
    case .infoAnswered(_, let status): "info answered \(status)"
    case .referred(_, let referral): "referred \(referral.target.uri)"
    case .referral(_, .accepted(let hasProgress)): hasProgress ? "referral accepted" : "referral accepted quietly"
    case .referral(_, .refused(let status, _)): "referral refused \(status)"
    case .referral(_, .progress(let status, let reason)): "referral \(status) \(reason)"
    case .referral(_, .ended(let isComplete)): isComplete ? "referral done" : "referral over"
    case .dialogChanged(_, let state): "dialog \(state.remoteSequence ?? 0)"
    case .ended(_, let end): "ended \(end.cause.rawValue) \(end.status)"
    case .response(_, let outcome): "response \(outcome.status)"
    case .request(_, let served): "request \(served.request.method) \(served.user ?? "-")"
    case .authenticationFailed(let failure):
      "wrong password of \(failure.user)\(failure.blockedUntil == nil ? "" : ", blocked")"
    }
  }
}

/// Answers to a request of the endpoint under test, as a scripted peer would write them.
func reply(
  _ request: SIPMessage, _ status: Int, tag: String? = "bob-tag", contact: String? = "<sip:bob@192.0.2.20:5060>",
  extra: String = "", body: String = ""
) -> [UInt8] {
  var head = "SIP/2.0 \(status) Whatever\n"
  for via in request.values(.via) { head += "Via: \(via)\n" }
  head += "From: \(request[.from] ?? "")\n"
  let to = request[.to] ?? ""
  head += "To: \(to)\(request.to.tag == nil ? tag.map { ";tag=\($0)" } ?? "" : "")\n"
  head += "Call-ID: \(request.callID)\nCSeq: \(request.cseq)\n"
  if let contact { head += "Contact: \(contact)\n" }
  head += extra
  if !body.isEmpty { head += "Content-Type: application/sdp\n" }
  return bytes(head + "Content-Length: \(body.utf8.count)\n\n" + body)
}
