import Base
import CallLink
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Storage

/// The media role's end of calls that outlive processes: claims every call, looks for a speech process, keeps what the media role and
/// speech must remember in the store, and takes over the calls of media processes that have died.
public final class MediaCustody: KeptMediaHop {
  /// What is known of a call that was taken over, until the media role opens it.
  struct Inherited: Sendable {
    var lease: CallLease
    var version: Int64
    var info: CallInfo
    var state: [UInt8]
    var snapshot: HopSnapshot<MediaToSpeech>
  }

  static let role = "media"

  private let context: CustodyContext
  private let dialer: any HopDialer<MediaToSpeech, SpeechToMedia>
  private let leases: MediaLeases
  private let calls = NIOLockedValueBox<[SessionID: OnLoop<MediaEnd>]>([:])
  private let inherited = NIOLockedValueBox<[SessionID: Inherited]>([:])
  private let room: NIOLockedValueBox<@Sendable () -> Int>

  /// - Parameter speech: the way to the next role.
  public init(_ context: CustodyContext, speech: any HopDialer<MediaToSpeech, SpeechToMedia>) {
    self.context = context
    dialer = speech
    let room = NIOLockedValueBox<@Sendable () -> Int> { 0 }
    self.room = room
    leases = MediaLeases(context.directory, holder: context.holder, logger: context.logger) {
      room.withLockedValue { $0 }()
    }
  }

  public func open(
    _ call: CallInfo, media: any KeptMediaSide, resuming: Bool
  ) -> (speech: any SpeechSide, custodian: any CallCustodian) {
    context.noticed(call)
    let inherited = resuming ? self.inherited.withLockedValue { $0.removeValue(forKey: call.session) } : nil
    let door = OnLoop<MediaEnd>(MultiThreadedEventLoopGroup.currentEventLoop ?? context.group.next()) {
      [context, dialer, leases] door in
      MediaEnd(call, door, context, leases, dialer, media, inherited) { [weak self] in
        self?.calls.withLockedValue { if $0[call.session] === door { $0[call.session] = nil } }
      }
    }
    calls.withLockedValue { $0[call.session] = door }
    door.post { $0.start() }
    let ways = MediaWays(door: door, handled: CallPlace(right: inherited?.snapshot.received ?? 0))
    return (ways, ways)
  }

  /// A call without anything else than the hop: the runtime has to hear that it has ended.
  public func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    open(call, media: Unkept(media), resuming: false).speech
  }

  /// Calls that this process holds now.
  public var held: Int { calls.withLockedValue { $0.count } }

  // MARK: Calls of processes that have died

  /// Prolongs this process's leases, and takes over other processes' calls, until the task is cancelled.
  /// - Parameter isWilling: false while this process is on its way out.
  public func run(_ successor: any MediaSuccessor, isWilling: @escaping @Sendable () -> Bool) async {
    room.withLockedValue { $0 = { isWilling() ? successor.room : 0 } }
    await leases.run { [weak self] lease in await self?.adopt(lease, successor) }
  }

  private func adopt(_ lease: CallLease, _ successor: any MediaSuccessor) async {
    let session = lease.seat.session
    let logger = context.logger(session)
    do {
      let checkpoint = try await context.checkpoints.takeOver(MediaEnd.key(session), token: lease.token)
      guard let checkpoint else {
        logger.warning("a call was lost with its process: nothing had been kept of it")
        context.metrics.lost()
        return leases.leave(lease.seat)
      }
      let found = try read(checkpoint, lease)
      inherited.withLockedValue { $0[session] = found }
      guard !found.state.isEmpty else {
        logger.warning("a call was lost with its process: it had not been answered")
        context.metrics.lost()
        return endUnanswered(found.info)
      }
      _ = await successor.takeOver(found.info, state: found.state)
      // Where the media role did not even open it, there was no room, and nothing has been touched.
      if inherited.withLockedValue({ $0.removeValue(forKey: session) != nil }) { leases.yield(lease.seat) }
    } catch let damage as StateDamage {
      logger.error("a call cannot be taken over", metadata: ["reason": "\(damage)"])
      context.metrics.unread(Self.role)
      leases.leave(lease.seat)
    } catch {
      // Whether it was handed over to us is not known: whoever can read it takes it.
      logger.error("a call cannot be taken over", metadata: ["reason": "\(error)"])
      leases.yield(lease.seat)
    }
  }

  private func endUnanswered(_ info: CallInfo) {
    let (speech, custodian) = open(info, media: Unkept(nil), resuming: true)
    speech.end()
    custodian.finished()
  }

  private func read(_ checkpoint: SessionCheckpoint, _ lease: CallLease) throws(StateDamage) -> Inherited {
    let session = lease.seat.session
    let bytes = try context.seal.open(checkpoint.snapshot.data, for: MediaEnd.sealPlace(session))
    var reader = try StateReader(bytes, version: MediaEnd.stateVersion)
    let state = try reader.part()
    guard var info = context.codecs.call.decode(try reader.part()) else {
      throw StateDamage(description: "the state is damaged: the call cannot be read")
    }
    info.session = session
    return Inherited(
      lease: lease, version: checkpoint.snapshot.sequence, info: info, state: state,
      snapshot: try reader.snapshot(context.codecs.mediaToSpeech))
  }
}

extension SpeechSide {
  fileprivate func end() { send(Numbered(0, .ended(.error))) }
}

/// A media side that keeps nothing; nil: there is none any more.
private struct Unkept: KeptMediaSide {
  let side: (any MediaSide)?
  init(_ side: (any MediaSide)?) { self.side = side }

  func send(_ message: Numbered<SpeechToMedia>) { side?.send(message) }
  func audio(_ pcm: UnsafeBufferPointer<Int16>, playback: PlaybackID) -> Int {
    side?.audio(pcm, playback: playback) ?? pcm.count
  }
  func abandon() {}
}

/// The media role's ways out of a kept call.
private struct MediaWays: SpeechSide, CallCustodian {
  let door: OnLoop<MediaEnd>
  let handled: CallPlace

  func send(_ message: Numbered<MediaToSpeech>) { door.post { $0.sent(message.message) } }

  func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {
    if door.eventLoop.inEventLoop { return door.now { $0.hear(pcm, position: position) } }
    let copy = Array(pcm)
    door.post { end in copy.withUnsafeBufferPointer { end.hear($0, position: position) } }
  }

  func keep(_ state: [UInt8], handled place: CallPlace) { door.post { $0.keep(state, place) } }
  func afterKept(_ act: @escaping @Sendable () -> Void) { door.post { $0.whenSafe(act) } }
  func finished() { door.post { $0.finished() } }
  func release() { door.post { $0.letGo() } }
}
