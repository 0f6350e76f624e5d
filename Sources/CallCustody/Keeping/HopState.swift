import Base
import CallLink

/// A message as bytes, for states that go to other processes.
public struct MessageCodec<Message: Sendable>: Sendable {
  public var encode: @Sendable (Message) -> [UInt8]
  /// nil: damaged, or of a version that is too new.
  public var decode: @Sendable ([UInt8]) -> Message?

  public init(
    encode: @escaping @Sendable (Message) -> [UInt8], decode: @escaping @Sendable ([UInt8]) -> Message?
  ) {
    self.encode = encode
    self.decode = decode
  }
}

/// How the messages of all hops are written.
public struct MessageCodecs: Sendable {
  public var mediaToSpeech: MessageCodec<MediaToSpeech>
  public var speechToMedia: MessageCodec<SpeechToMedia>
  public var speechToRuntime: MessageCodec<SpeechToRuntime>
  public var runtimeToSpeech: MessageCodec<RuntimeToSpeech>
  public var call: MessageCodec<CallInfo>

  public init(
    mediaToSpeech: MessageCodec<MediaToSpeech>, speechToMedia: MessageCodec<SpeechToMedia>,
    speechToRuntime: MessageCodec<SpeechToRuntime>, runtimeToSpeech: MessageCodec<RuntimeToSpeech>,
    call: MessageCodec<CallInfo>
  ) {
    self.mediaToSpeech = mediaToSpeech
    self.speechToMedia = speechToMedia
    self.speechToRuntime = speechToRuntime
    self.runtimeToSpeech = runtimeToSpeech
    self.call = call
  }
}

extension StateWriter {
  mutating func write(_ party: HopParty?) {
    write(party?.instance ?? "")
    write(party?.fence ?? 0)
  }

  mutating func write<Message>(_ snapshot: HopSnapshot<Message>, _ codec: MessageCodec<Message>) {
    write(snapshot.received)
    write(snapshot.next)
    write(UInt64(snapshot.kept.count))
    for message in snapshot.kept { write(codec.encode(message)) }
    write(snapshot.peer)
    write(snapshot.memory?.id.fence ?? 0)
    write(snapshot.memory?.id.number ?? 0)
    write(snapshot.memory?.bytes ?? [])
  }
}

extension StateReader {
  mutating func party() throws(StateDamage) -> HopParty? {
    let instance = try text()
    let fence = try number()
    return instance.isEmpty ? nil : HopParty(instance: instance, fence: fence)
  }

  mutating func snapshot<Message>(_ codec: MessageCodec<Message>) throws(StateDamage) -> HopSnapshot<Message> {
    let received = try number(), next = try number()
    var kept: [Message] = []
    for _ in 0..<(try count()) {
      guard let message = codec.decode(try part()) else {
        throw StateDamage(description: "the state is damaged: a message cannot be read")
      }
      kept.append(message)
    }
    let peer = try party()
    let id = HopMemory.ID(fence: try number(), number: try number())
    let bytes = try part()
    let memory = id.number == 0 ? nil : HopMemory(id: id, bytes: bytes)
    guard next >= 1, UInt64(kept.count) < next else {
      throw StateDamage(description: "the state is damaged: it keeps more messages than were made")
    }
    return HopSnapshot(received: received, next: next, kept: kept, peer: peer, memory: memory)
  }
}
