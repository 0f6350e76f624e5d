import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore

/// Does the work of a request and breaks it off when the client leaves, so that nobody is kept waiting by a request that nobody
/// waits for.
func whileConnected<Result: Sendable>(
  _ channel: any Channel, _ work: @escaping @Sendable () async throws -> Result
) async throws -> Result {
  // The watch stands before the work begins: a client that leaves at once must not be missed.
  let state = NIOLockedValueBox<(task: Task<Result, any Error>?, hasLeft: Bool)>((nil, false))
  @Sendable func leave() {
    state.withLockedValue { state in
      state.hasLeft = true
      return state.task
    }?.cancel()
  }
  let watch = CloseWatch(onClose: leave)
  do { try await channel.pipeline.addHandler(watch, position: .first).get() } catch { leave() }
  let task = Task(operation: work)
  let hasLeft = state.withLockedValue { state in
    state.task = task
    return state.hasLeft
  }
  if hasLeft || !channel.isActive { task.cancel() }
  defer { channel.pipeline.removeHandler(watch, promise: nil) }
  do {
    return try await withTaskCancellationHandler {
      try await task.value
    } onCancel: {
      task.cancel()
    }
  } catch is CancellationError {
    // Nobody reads it.
    throw APIProblem(.init(code: 499, reasonPhrase: "Client Closed Request"), "client_closed", "the client has left")
  }
}

/// Sees the client close its side of the connection, which is kept half open otherwise.
private final class CloseWatch: ChannelInboundHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = ByteBuffer

  private let onClose: @Sendable () -> Void

  init(onClose: @escaping @Sendable () -> Void) { self.onClose = onClose }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed { onClose() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    onClose()
    context.fireChannelInactive()
  }
}
