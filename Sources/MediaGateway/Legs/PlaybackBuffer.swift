import Base
import CallLink
import NIOConcurrencyHelpers
import Synchronization

/// The audio of one playback on its way from the speech role's threads to the leg's event loop.
///
/// Every playback has a ring of its own, so a clear can only ever drop what it names, and audio of one playback can come
/// before an earlier one is through. Reading takes no lock.
package final class PlaybackBuffer: Sendable {
  /// Two seconds at 16 kHz: many times the 100 ms between two requests for more, and 64 KiB of memory.
  package static let capacitySamples = 32_768

  package let id: PlaybackID
  private let ring = SampleRing(capacity: PlaybackBuffer.capacitySamples)
  private let writer = NIOLock()
  private let closed = Atomic<Bool>(false)
  private let wanting = Atomic<Bool>(false)

  package init(_ id: PlaybackID) { self.id = id }

  /// Samples that can be read now.
  package var count: Int { ring.count }

  /// From any thread, one after the other. Returns the samples taken: all of them once the playback is over, since nobody
  /// will ever want them again.
  package func write(_ pcm: UnsafeBufferPointer<Int16>) -> Int {
    if closed.load(ordering: .acquiring) { return pcm.count }
    return writer.withLock {
      let room = ring.capacity - ring.count
      let taken = room >= pcm.count ? ring.write(pcm) : ring.write(UnsafeBufferPointer(rebasing: pcm[..<room]))
      if taken < pcm.count { wanting.store(true, ordering: .releasing) }
      return taken
    }
  }

  /// On the event loop only.
  package func read(into destination: UnsafeMutableBufferPointer<Int16>) -> Int { ring.read(into: destination) }

  /// Whether a writer was turned away since the last call and there is room again.
  package func takeRoomForWaiting() -> Bool {
    guard wanting.load(ordering: .relaxed), ring.count <= ring.capacity * 3 / 4 else { return false }
    wanting.store(false, ordering: .relaxed)
    return true
  }

  package func close() { closed.store(true, ordering: .releasing) }
}

/// The playbacks of a call that take audio now, findable from any thread. The lock is taken when audio is handed over and
/// when a playback opens or closes, never per packet.
package final class PlaybackRegistry: Sendable {
  /// Open playbacks per call: 2 MiB of audio. A dialog queues a handful; whoever opens more has lost count.
  package static let limit = 32

  private let open = NIOLockedValueBox<[PlaybackID: PlaybackBuffer]>([:])

  package init() {}

  /// nil where the limit is reached or the playback is open already.
  package func open(_ id: PlaybackID) -> PlaybackBuffer? {
    open.withLockedValue { open in
      guard open.count < Self.limit, open[id] == nil else { return nil }
      let buffer = PlaybackBuffer(id)
      open[id] = buffer
      return buffer
    }
  }

  package func close(_ id: PlaybackID) {
    open.withLockedValue { $0.removeValue(forKey: id) }?.close()
  }

  package func closeAll() {
    let all = open.withLockedValue { open in
      defer { open.removeAll() }
      return Array(open.values)
    }
    for buffer in all { buffer.close() }
  }

  /// See ``MediaSide/audio(_:playback:)``. Audio for a playback that is not open is taken and forgotten.
  package func write(_ pcm: UnsafeBufferPointer<Int16>, to id: PlaybackID) -> Int {
    guard let buffer = open.withLockedValue({ $0[id] }) else { return pcm.count }
    return buffer.write(pcm)
  }
}
