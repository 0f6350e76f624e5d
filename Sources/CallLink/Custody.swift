import Base

// How a call outlives the process that serves it: a service says what state it is in after which messages, and somebody
// else (`CallCustody`) keeps that, holds back what must not be seen before it is safe, and gives it to a successor.

/// How many messages of each neighbour a service has handled. Counted per call from 1, across processes.
public struct CallPlace: Sendable, Hashable {
  /// From the left neighbour: media's for speech, speech's for the runtime. The media role has none.
  public var left: UInt64
  /// From the right neighbour: the runtime's for speech, speech's for media. The runtime has none.
  public var right: UInt64

  public init(left: UInt64 = 0, right: UInt64 = 0) {
    self.left = left
    self.right = right
  }
}

/// Keeps the state of one call's part in one service. Calls come in the order in which the service acts, from one thread
/// at a time, among the messages that it sends on the hops of the same call; nothing blocks.
public protocol CallCustodian: Sendable {
  /// The service's state in which it has handled everything through `place` and has sent what it has sent so far. What
  /// it sends to the right (and the runtime to the left) leaves only when a state after it is safe, and a message counts
  /// as settled only when a state that has seen it is: so this is to be called after every message that is to be
  /// answered soon, and may wait for those that are not.
  ///
  /// - Parameter state: opaque to everybody but the service; at most ``CallState/byteLimit``.
  func keep(_ state: [UInt8], handled place: CallPlace)
  /// Calls `act` once the state that was kept last is safe, at once where it is already: for what must not be seen outside
  /// before, and goes over no hop (a line of the record, the answer to a command). In the order of the calls, from one thread at
  /// a time; never after the call has been abandoned. `act` returns at once.
  func afterKept(_ act: @escaping @Sendable () -> Void)
  /// The call is over and everything about it has been done: nothing is kept of it any more.
  func finished()
  /// Where the state that the service began with had come to; zero for a new call. A service whose state does not change
  /// with every message need not write the numbers into it.
  var handled: CallPlace { get }
  /// The process is to go and the call is to live: what has been kept now is the service's last state. A successor may have the
  /// call from now on; the service serves on until ``KeptSide/abandon()`` says that one has it.
  func release()
}

extension CallCustodian {
  public var handled: CallPlace { CallPlace() }
  /// By default nobody takes the call: it ends with its process.
  public func release() {}
}

/// What a service is given with a call that is to outlive its process.
public struct CallState: Sendable {
  /// Room for a dialog's variables or a queue of prompts.
  public static let byteLimit = 512 << 10

  public var custodian: any CallCustodian
  /// What the predecessor kept last; nil: the call is new. A service that cannot read it throws ``CallStateError``: the call is
  /// ended politely then.
  public var kept: [UInt8]?

  public init(custodian: any CallCustodian, kept: [UInt8]? = nil) {
    self.custodian = custodian
    self.kept = kept
  }
}

/// A predecessor's state cannot be gone on from.
public struct CallStateError: Error, Sendable, Hashable, CustomStringConvertible {
  /// One sentence.
  public var description: String

  public init(_ description: String) { self.description = description }
}

/// A runtime whose sessions can be handed from process to process.
public protocol KeptRuntimeHop: RuntimeHop {
  /// Opens the session of one call, or goes on with it: what a predecessor did is not done again, what it had begun and not ended
  /// (hooks, questions to language models) is asked again.
  func open(
    _ call: CallInfo, speech: any HopSink<RuntimeToSpeech>, state: CallState
  ) throws(CallStateError) -> any KeptSide<SpeechToRuntime>
  /// The call is another process's and cannot be gone on with: its state cannot be read. It ends, and whoever asks for it is to be
  /// told so. Returns at once.
  /// - Parameter reason: one sentence.
  func giveUp(_ call: CallInfo, reason: String)
}

extension KeptRuntimeHop {
  /// By default nobody has to be told.
  public func giveUp(_ call: CallInfo, reason: String) {}
}

/// A speech role whose calls can be handed from process to process.
public protocol KeptSpeechHop: SpeechHop {
  /// Opens one call's pipeline, or goes on with it. A prompt that was playing is cleared on the wire and goes on at the sentence in
  /// which it was; what the runtime has been told is not told again.
  /// - Parameter runtime: the sink that leads to the call's session.
  func open(
    _ call: CallInfo, media: any MediaSide, runtime: any HopSink<SpeechToRuntime>, state: CallState
  ) throws(CallStateError) -> any KeptSpeechSide
}

/// Where a kept call takes messages. Numbers are the hop's own: the successor of a process goes on with them.
public protocol KeptSide<Message>: HopSink {
  /// Another process has the call: nothing may be done, sent or written for it any more, not even its end.
  func abandon()
}

/// The speech role's end of a kept call.
public protocol KeptSpeechSide: SpeechSide, KeptSide<MediaToSpeech> {
  /// From the runtime.
  var fromRuntime: any HopSink<RuntimeToSpeech> { get }
  /// Another media process has the call: what was open on the line of the one before is unknown to it, and is opened again
  /// where it was.
  func mediaReplaced()
  /// From which position on the caller's voice is to be heard again by whoever goes on from the state that was kept last.
  /// Changes only while a state is being kept, before the custodian is called with it; a successor has its predecessor's until
  /// then. Audio before it is of no use to anybody once that state is safe. Safe from any thread.
  var heardFrom: Int64 { get }
}

/// The media role's side of a kept call: what it opens gives it the custodian.
public protocol KeptMediaHop: SpeechHop {
  /// Opens the stream of one call whose state is kept.
  /// - Parameter resuming: this process has the call from another: the hop goes on where that one's state was. The positions
  ///   of the caller's audio (``SpeechSide/audio(_:position:)``) begin at zero again, as those of a new leg.
  func open(_ call: CallInfo, media: any KeptMediaSide, resuming: Bool) -> (
    speech: any SpeechSide, custodian: any CallCustodian
  )
}

/// The media role's end of a kept call.
public protocol KeptMediaSide: MediaSide, KeptSide<SpeechToMedia> {}

/// A media role that can go on with the calls of one that has died.
public protocol MediaSuccessor: Sendable {
  /// Takes over a call: opens sockets and tells the peer by a re-INVITE where it is from now on. The stream to the speech role is
  /// opened by it with `resuming`.
  /// - Returns: whether the peer went on with it. What went wrong is in the log.
  func takeOver(_ call: CallInfo, state: [UInt8]) async -> Bool
  /// Calls that this process can still take.
  var room: Int { get }
}
