import Base
import CallLink
import Turns

/// All that another process needs to go on with a call: where it stands with its neighbours, its prompts, and what has been
/// heard and decided. Plain data; ``SpeechState/bytes`` is how it travels.
struct SpeechState {
  /// Only this version is read: a process of another one has to be left the call politely.
  static let version = 1

  var place: CallPlace
  /// The call has ended, and the runtime has been told.
  var isOver = false
  var answered: Answer?
  /// From here on the caller's voice is heard again.
  var heardFrom: Int64 = 0
  var listen: ListenSpec
  var turnListen: ListenSpec
  var hangup: HangupReason?
  var playbacks: [KeptPlayback] = []
  var turns: TurnMemory
  /// Turns that are over and whose words are not known yet, oldest first.
  var finals: [UnheardTurn] = []
  /// What has been told of the open turn's words.
  var told = ""

  struct Answer {
    /// In the caller's audio.
    var position: Int64
    /// How long ago.
    var sinceMs: Int64
  }

  /// A turn that is to be decoded again.
  struct UnheardTurn {
    var segment: Segment
    var listen: ListenSpec
    var endpointMs: Int
  }
}

/// Says when a call's state is to be kept, so that neither the neighbours wait for anything nor every report of progress costs
/// a write.
struct Keeping {
  /// The neighbours repeat at most 1,024 messages that have not been settled, and wait then.
  static let mostUnsettled: UInt64 = 256
  /// What nobody waits for is settled within this time.
  static let longest = Duration.seconds(1)

  let custodian: any CallCustodian
  /// Tells where the caller's voice is wanted from.
  let heardFrom: @Sendable (Int64) -> Void
  /// What has been handled.
  private(set) var place: CallPlace
  private var hasTold = false
  private var unsettled: UInt64 = 0
  private(set) var keptAt: Instant
  private var hasFinished = false

  init(
    _ custodian: any CallCustodian, place: CallPlace, at now: Instant, heardFrom: @escaping @Sendable (Int64) -> Void
  ) {
    self.custodian = custodian
    self.place = place
    self.heardFrom = heardFrom
    keptAt = now
  }

  /// Counts a message of media.
  /// - Returns: false where it has been handled before.
  mutating func receive(left number: UInt64) -> Bool {
    guard number > place.left else { return false }
    place.left = number
    unsettled += 1
    return true
  }

  /// Counts a message of the runtime; see ``receive(left:)``.
  mutating func receive(right number: UInt64) -> Bool {
    guard number > place.right else { return false }
    place.right = number
    unsettled += 1
    return true
  }

  /// Something was sent, which leaves only behind a state that knows of it.
  mutating func told() { hasTold = true }

  func isDue(_ now: () -> Instant) -> Bool {
    if hasTold || unsettled >= Self.mostUnsettled { return true }
    return unsettled > 0 && now() - keptAt >= Self.longest
  }

  mutating func keep(_ state: SpeechState, at now: Instant) {
    hasTold = false
    unsettled = 0
    keptAt = now
    heardFrom(state.heardFrom)
    custodian.keep(state.bytes, handled: state.place)
    if state.isOver, !hasFinished {
      hasFinished = true
      custodian.finished()
    }
  }
}
