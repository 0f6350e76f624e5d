import Base
import CallLink
import NIOConcurrencyHelpers

/// A speech role whose calls outlive the media process: hands out what it opens with what is kept of it.
final class KeptSpeech: KeptMediaHop {
  struct Opened: Sendable {
    let call: FakeCall
    let custodian: FakeCustodian
    let media: any KeptMediaSide
    let resuming: Bool
  }

  let opened: AsyncStream<Opened>
  private let continuation: AsyncStream<Opened>.Continuation
  /// Where the state had come to with which calls are resumed.
  private let handled: CallPlace
  private let answers: Bool

  init(answers: Bool = true, handled: CallPlace = CallPlace()) {
    (opened, continuation) = AsyncStream.makeStream(of: Opened.self)
    self.handled = handled
    self.answers = answers
  }

  func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    // The media role asks for custody wherever it can be had.
    FakeCall(call, media)
  }

  func open(_ call: CallInfo, media: any KeptMediaSide, resuming: Bool) -> (
    speech: any SpeechSide, custodian: any CallCustodian
  ) {
    let side = FakeCall(call, media, after: resuming ? handled.right : 0)
    let custodian = FakeCustodian(handled: resuming ? handled : CallPlace())
    if !resuming, answers { side.tell(.answer) }
    continuation.yield(Opened(call: side, custodian: custodian, media: media, resuming: resuming))
    return (side, custodian)
  }

  func next() async -> Opened? {
    for await one in opened { return one }
    return nil
  }
}

/// Remembers what it is given to keep.
final class FakeCustodian: CallCustodian {
  struct Record: Sendable {
    let state: [UInt8]
    let handled: CallPlace
    /// Where the bytes lie: the same for states that were not written out again.
    let address: UInt

    var phase: String? { (try? JSON.decode(state))?["phase"]?.stringValue }
  }

  private struct Seen {
    var records: [Record] = []
    var isFinished = false
    var releases = 0
  }

  let handled: CallPlace
  private let seen = NIOLockedValueBox(Seen())
  private let stream: AsyncStream<Record>
  private let continuation: AsyncStream<Record>.Continuation
  private let releaseStream: AsyncStream<Void>
  private let releaseContinuation: AsyncStream<Void>.Continuation

  init(handled: CallPlace) {
    self.handled = handled
    (stream, continuation) = AsyncStream.makeStream(of: Record.self)
    (releaseStream, releaseContinuation) = AsyncStream.makeStream(of: Void.self)
  }

  var records: [Record] { seen.withLockedValue { $0.records } }
  var isFinished: Bool { seen.withLockedValue { $0.isFinished } }
  var releases: Int { seen.withLockedValue { $0.releases } }

  func keep(_ state: [UInt8], handled place: CallPlace) {
    let address = state.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    let record = Record(state: state, handled: place, address: address)
    seen.withLockedValue { $0.records.append(record) }
    continuation.yield(record)
  }

  /// Nothing here waits for a state.
  func afterKept(_ act: @escaping @Sendable () -> Void) { act() }
  func finished() {
    seen.withLockedValue { $0.isFinished = true }
    continuation.finish()
  }

  func release() {
    seen.withLockedValue { $0.releases += 1 }
    releaseContinuation.yield()
  }

  /// The first state from now on that fits.
  func next(_ fits: @Sendable (Record) -> Bool) async -> Record? {
    for await record in stream where fits(record) { return record }
    return nil
  }

  func released() async {
    for await _ in releaseStream { return }
  }
}
