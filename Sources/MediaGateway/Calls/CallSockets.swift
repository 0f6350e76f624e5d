import Base
import Logging
import MediaIO
import NIOConcurrencyHelpers

/// One call's pair of ports and the sockets on them. Confined to the call's event loop.
struct CallSockets {
  /// Port pairs tried when another process holds one.
  private static let attempts = 8

  /// The even port, of the audio.
  let port: UInt16
  let audio: UDPSocket
  let control: UDPSocket

  init(_ context: MediaCall.Context) throws(MediaCall.Refusal) {
    let host = context.configuration.host
    for _ in 0..<Self.attempts {
      let port: UInt16
      do { port = try context.ports.withLockedValue({ try $0.allocate(at: .monotonic()) }) } catch {
        context.logger.warning("no RTP port is free", metadata: ["error": "\(error)"])
        throw MediaCall.Refusal(status: 503, reason: "No RTP Port")
      }
      do {
        let (audio, control) = (
          try UDPSocket(host: host, port: Int(port)), try UDPSocket(host: host, port: Int(port) + 1)
        )
        (self.port, self.audio, self.control) = (port, audio, control)
        return
      } catch {
        context.ports.withLockedValue { $0.release(port, at: .monotonic()) }
        context.logger.warning("an RTP port pair could not be opened", metadata: ["error": "\(error)"])
      }
    }
    throw MediaCall.Refusal(status: 503, reason: "No RTP Port")
  }

  func close(_ context: MediaCall.Context) {
    audio.close()
    control.close()
    context.ports.withLockedValue { $0.release(port, at: .monotonic()) }
  }
}
