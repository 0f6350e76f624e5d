import Audio
import RTP
import SDP

/// What the caller and the gateway agreed on, as the packet loop needs it.
struct CallerMedia {
  var host: String
  var port: Int
  var payloadType: PayloadType
  var law: G711.Law
  var telephoneEvent: PayloadType?
}

/// The caller's side of offer/answer: one G.711 law and keypad events.
struct CallerOffer {
  private var exchange: OfferAnswer
  private let capabilities: AudioCapabilities

  init(host: String, port: UInt16, law: G711.Law, sessionID: UInt64) {
    exchange = OfferAnswer(sessionID: sessionID)
    capabilities = AudioCapabilities(
      codecs: [law == .ulaw ? .pcmu : .pcma, .telephoneEvent], address: host, port: port)
  }

  /// A new offer for the INVITE.
  mutating func make() throws -> String { try exchange.offer(capabilities).serialized() }

  /// The gateway's answer to our offer.
  mutating func accept(answer bytes: [UInt8]) throws -> CallerMedia {
    media(try exchange.apply(answer: SessionDescription(parsing: bytes)))
  }

  /// The gateway's offer of a re-INVITE; nil bytes ask for ours.
  mutating func respond(to bytes: [UInt8]?) throws -> (body: String, media: CallerMedia?) {
    guard let bytes else { return (try make(), nil) }
    let (answer, audio) = try exchange.answer(SessionDescription(parsing: bytes), with: capabilities)
    return (answer.serialized(), media(audio))
  }

  private func media(_ audio: NegotiatedAudio) -> CallerMedia {
    CallerMedia(
      host: audio.remoteAddress, port: Int(audio.remotePort), payloadType: PayloadType(audio.codec.sendPayloadType),
      law: audio.codec.codec.name == AudioCodec.pcma.name ? .alaw : .ulaw,
      telephoneEvent: audio.telephoneEvent.map { PayloadType($0.sendPayloadType) })
  }
}
