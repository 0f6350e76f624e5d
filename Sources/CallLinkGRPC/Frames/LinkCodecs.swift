#if Cluster
  import Base
  import CallCustody
  import CallLink
  import SwiftProtobuf

  extension MessageCodecs {
    /// The messages as they travel.
    public static let protobuf = MessageCodecs(
      mediaToSpeech: .of(Parley_Calllink_V1_MediaFrame.self), speechToMedia: .of(Parley_Calllink_V1_SpeechFrame.self),
      speechToRuntime: .of(Parley_Calllink_V1_TurnFrame.self), runtimeToSpeech: .of(Parley_Calllink_V1_OrderFrame.self),
      call: MessageCodec(
        encode: { call in
          // A message without required fields can always be written.
          (try? Parley_Calllink_V1_CallInfo(call).serializedBytes()) ?? []
        },
        decode: { bytes in
          (try? Parley_Calllink_V1_CallInfo(serializedBytes: bytes)).map { CallInfo($0, session: SessionID("")) }
        }))
  }

  extension MessageCodec {
    fileprivate static func of<Frame: LinkFrame>(_ type: Frame.Type) -> MessageCodec<Frame.Content>
    where Message == Frame.Content {
      MessageCodec(
        encode: { message in
          // A message without required fields can always be written.
          (try? Frame(message).serializedBytes()) ?? []
        }, decode: { bytes in (try? Frame(serializedBytes: bytes))?.content })
    }
  }
#endif
