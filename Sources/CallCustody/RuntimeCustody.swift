import Base
import CallLink

/// The runtime role's end of calls that outlive processes: takes the streams of speech, claims each call, loads its state where
/// another process had it, and keeps it where the next one finds it.
public final class RuntimeCustody: HopAnswerer {
  public typealias Outgoing = RuntimeToSpeech
  public typealias Incoming = SpeechToRuntime

  private let calls: AnsweredCalls<RuntimeCall>

  public init(_ context: CustodyContext, runtime: any KeptRuntimeHop) {
    calls = AnsweredCalls(context.group) { RuntimeCall($0, $1, context, runtime, onOver: $2) }
  }

  public func accept(
    _ open: HopOpen, _ info: CallInfo, on link: HopLink, over wire: any HopWire<RuntimeToSpeech>
  ) -> @Sendable (HopWireEvent<SpeechToRuntime>) -> Void {
    calls.accept(open, info, on: link, over: wire)
  }

  /// Takes no new calls from now on.
  public func drain() { calls.drain() }

  /// Asks the neighbours to take their calls elsewhere, too.
  public func leave() { calls.leave() }

  /// Calls that this process holds now.
  public var held: Int { calls.count }
}
