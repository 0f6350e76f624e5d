import Base
import CallLink

/// The speech role's ends of calls that outlive processes: takes the streams of media, claims each call, and looks for a runtime. What
/// speech has to remember it gives to the media role.
public final class SpeechCustody: HopAnswerer {
  public typealias Outgoing = SpeechToMedia
  public typealias Incoming = MediaToSpeech

  private let calls: AnsweredCalls<SpeechCall>

  /// - Parameter runtime: the way to the next role.
  public init(
    _ context: CustodyContext, speech: any KeptSpeechHop, runtime: any HopDialer<SpeechToRuntime, RuntimeToSpeech>
  ) {
    calls = AnsweredCalls(context.group) { SpeechCall($0, $1, context, speech, runtime, onOver: $2) }
  }

  public func accept(
    _ open: HopOpen, _ info: CallInfo, on link: HopLink, over wire: any HopWire<SpeechToMedia>
  ) -> @Sendable (HopWireEvent<MediaToSpeech>) -> Void {
    calls.accept(open, info, on: link, over: wire)
  }

  /// Takes no new calls from now on.
  public func drain() { calls.drain() }

  /// Asks the neighbours to take their calls elsewhere, too.
  public func leave() { calls.leave() }

  /// Calls that this process holds now.
  public var held: Int { calls.count }
}
