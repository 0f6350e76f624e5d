import NIOCore

/// Something that lives on one event loop, and the way to it: what is posted from one thread arrives in that order. Lives until
/// ``clear()``.
final class OnLoop<Body>: Sendable {
  let eventLoop: any EventLoop
  private let body: NIOLoopBoundBox<Body?>

  /// - Parameter make: called on the loop, before anything that is posted.
  init(_ eventLoop: any EventLoop, make: @escaping @Sendable (OnLoop<Body>) -> Body) {
    self.eventLoop = eventLoop
    body = .makeEmptyBox(valueType: Body.self, eventLoop: eventLoop)
    if eventLoop.inEventLoop {
      body.value = make(self)
    } else {
      eventLoop.execute { self.body.value = make(self) }
    }
  }

  /// Nothing happens once it has been cleared.
  func post(_ act: @escaping @Sendable (Body) -> Void) {
    eventLoop.execute { if let body = self.body.value { act(body) } }
  }

  /// At once. Only on the loop, and only where what was posted before may come after it.
  func now(_ act: (Body) -> Void) { if let body = body.value { act(body) } }

  /// On the loop.
  func clear() { body.value = nil }
}
