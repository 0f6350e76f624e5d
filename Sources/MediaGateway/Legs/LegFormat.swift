import Audio
import RTP
import SDP

/// What an offer and its answer mean for a leg: numbers and addresses instead of names.
package struct LegFormat: Sendable {
  /// What we send with.
  package var law: G711.Law
  package var payloadType: PayloadType
  /// nil: the peer takes no keypad events; keys travel as tones then.
  package var telephoneEvent: PayloadType?
  /// What may arrive.
  package var formats = PayloadFormats()
  /// Where the peer's SDP wants packets; nil where it names no usable address.
  package var remote: RTPPeer?
  package var remoteControl: RTPPeer?
  /// RTCP shares the RTP port (RFC 5761).
  package var sharesPort: Bool
  /// Whether we may send; not while the peer has put us on hold.
  package var sends: Bool
  /// Whether the peer may send.
  package var receives: Bool

  /// G.711 with a peer at `remote`, for tests and callers that need no SDP.
  package init(law: G711.Law, telephoneEvent: PayloadType?, remote: RTPPeer?) {
    self.law = law
    payloadType = law == .ulaw ? .pcmu : .pcma
    self.telephoneEvent = telephoneEvent
    formats = .g711(telephoneEvent: telephoneEvent)
    self.remote = remote
    remoteControl = nil
    sharesPort = false
    sends = true
    receives = true
  }

  /// nil where the codec is none that we can play.
  package init?(_ audio: NegotiatedAudio) {
    guard let law = Self.law(audio.codec.codec) else { return nil }
    self.law = law
    payloadType = PayloadType(audio.codec.sendPayloadType)
    telephoneEvent = audio.telephoneEvent.map { PayloadType($0.sendPayloadType) }
    for codec in audio.codecs {
      guard let law = Self.law(codec.codec) else { continue }
      formats[PayloadType(codec.receivePayloadType)] = law == .ulaw ? .mulaw : .alaw
    }
    if let event = audio.telephoneEvent { formats[PayloadType(event.receivePayloadType)] = .telephoneEvent }
    // Many senders use comfort noise without having said so; its number is static.
    formats[PayloadType(audio.comfortNoise?.receivePayloadType ?? PayloadType.comfortNoise.value)] = .comfortNoise
    remote = Self.peer(audio.remoteAddress, audio.remotePort)
    remoteControl = Self.peer(audio.remoteRTCPAddress, audio.remoteRTCPPort)
    sharesPort = audio.rtcpMux
    sends = audio.direction.sends
    receives = audio.direction.receives
  }

  private static func law(_ codec: AudioCodec) -> G711.Law? {
    G711.Law.allCases.first { $0.rawValue == codec.name.uppercased() }
  }

  private static func peer(_ address: String, _ port: UInt16) -> RTPPeer? {
    guard port != 0, let peer = RTPPeer(address: address, port: port), !peer.isUnspecified else { return nil }
    return peer
  }
}
