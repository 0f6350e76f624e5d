import Base
import MediaIO
import NIOCore

/// What the calls of one event loop share: its beat and the room that datagrams are read into. Confined to the loop.
final class MediaLoop {
  let eventLoop: any EventLoop
  let pacer: Pacer
  let buffer = DatagramBuffer()

  init(eventLoop: any EventLoop, lag: @escaping @Sendable (Double) -> Void) {
    self.eventLoop = eventLoop
    pacer = Pacer(eventLoop: eventLoop, lag: lag)
  }
}
