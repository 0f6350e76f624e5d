import Base
import CallLink
import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore

/// One WebSocket of `/v1/speech/stream`: sound and commands in, words out.
///
/// The socket is read to its end whatever happens, because its closing handshake comes that way, too; reading waits while the
/// speech role has enough to hear, and the client with it.
final class SpeechSession: Sendable {
  private struct State {
    /// Since when the client's next message is waited for; nil: it is being worked on.
    var waitingSince: Instant? = .monotonic()
    /// The client was told goodbye.
    var isOver = false
    /// Why, where it was refused.
    var problem: APIProblem?
  }

  private let request: APIRequest
  private let socket: APISocket
  private let limits: ConnectionLimits
  private let welcome: Welcome
  private let desk: @Sendable () throws(APIProblem) -> any SpeechDesk
  private let state = NIOLockedValueBox(State())

  /// Whether the client's token is still good, and how often that is asked.
  typealias Welcome = (interval: Duration, holds: @Sendable () async -> Bool)

  init(
    _ request: APIRequest, _ socket: APISocket, limits: ConnectionLimits, welcome: Welcome,
    desk: @escaping @Sendable () throws(APIProblem) -> any SpeechDesk
  ) {
    self.request = request
    self.socket = socket
    self.limits = limits
    self.welcome = welcome
    self.desk = desk
  }

  /// Returns when the client is gone.
  /// - Throws: ``APIProblem`` where it was refused; it knows that already.
  func run() async throws {
    let watches = [Task { await keepTime() }, Task { await keepWatch() }]
    var stream: Open?
    var hasEnded = false
    var soundMs = 0.0
    do {
      for try await message in socket.messages {
        let isOver = state.withLockedValue { state in
          state.waitingSince = nil
          return state.isOver
        }
        if isOver { continue }
        do {
          if hasEnded { throw APIProblem.badRequest("nothing comes after `end`") }
          switch (stream, message) {
          case (nil, _): stream = try await open(message)
          case (let stream?, .binary(let sound)):
            let bytes = try Self.samples(sound, stream.wanted.encoding)
            soundMs += stream.wanted.milliseconds(bytes.count)
            await stream.inlet.write(bytes)
          case (let stream?, .text(let text)):
            let command = try APIInput.body(Array(text.utf8), SpeechMessage.command.fields)
            hasEnded = command["type"] == "end"
            if hasEnded { stream.inlet.finish() } else { await stream.inlet.finalize() }
          }
          // Whoever has ended waits for us.
          if !hasEnded { state.withLockedValue { $0.waitingSince = .monotonic() } }
        } catch let problem as APIProblem {
          stream?.telling.cancel()
          await refuse(problem)
        }
      }
    } catch {
      // The connection broke: nobody listens any more.
    }
    for watch in watches { watch.cancel() }
    stream?.telling.cancel()
    await stream?.telling.value
    request.details.withLockedValue { $0["audio_ms"] = .int(Int64(soundMs)) }
    if let problem = state.withLockedValue({ $0.problem }) { throw problem }
  }

  private struct Open {
    var inlet: any SpeechStreamInlet
    var wanted: SpeechStreamRequest
    /// Hands on what is heard.
    var telling: Task<Void, Never>
  }

  private func open(_ message: SocketMessage) async throws -> Open {
    guard case .text(let text) = message else {
      throw APIProblem.badRequest("the first message is the configuration: a JSON object, as text")
    }
    let (wanted, words) = try SpeechMessage.request(text)
    let stream: SpeechStream
    do { stream = try desk().listen(wanted) } catch let error as SpeechDeskError { throw APIProblem(error) }
    try? await socket.send(.text(JSON.encode(SpeechMessage.ready(wanted))))
    return Open(
      inlet: stream.inlet, wanted: wanted, telling: Task { await tell(stream.events, words: words) })
  }

  private static func samples(_ sound: ByteBuffer, _ encoding: SpeechStreamRequest.Encoding) throws(APIProblem)
    -> [UInt8]
  {
    guard sound.readableBytes <= SpeechLimits.soundBytes else {
      throw APIProblem(
        .contentTooLarge, "too_large", "a message has at most \(SpeechLimits.soundBytes) bytes of sound here")
    }
    guard sound.readableBytes % encoding.bytesPerSample == 0 else {
      throw .badRequest("a message of \(encoding.rawValue) has an even number of bytes, not \(sound.readableBytes)")
    }
    return Array(sound.readableBytesView)
  }

  /// Hands on what was heard, to the end or until it is cancelled.
  private func tell(_ events: AsyncThrowingStream<SpeechStreamEvent, any Error>, words: Bool) async {
    do {
      for try await event in events {
        try await socket.send(.text(JSON.encode(SpeechMessage.value(event, words: words))))
        guard case .done = event else { continue }
        state.withLockedValue { $0.isOver = true }
        await socket.close()
      }
    } catch let error as SpeechDeskError {
      await refuse(APIProblem(error))
    } catch {
      // The client is gone.
    }
  }

  /// Says what is wrong, and goodbye.
  private func refuse(_ problem: APIProblem) async {
    let isFirst = state.withLockedValue { state in
      if state.isOver { return false }
      state.isOver = true
      state.problem = problem
      return true
    }
    guard isFirst else { return }
    try? await socket.send(.text(JSON.encode(SpeechMessage.error(problem))))
    await socket.close(code: problem.closeCode, reason: problem.detail)
  }

  /// Waits for the end of the client's token.
  private func keepWatch() async {
    while !Task.isCancelled {
      do { try await Task.sleep(for: welcome.interval) } catch { return }
      if await !welcome.holds() {
        return await refuse(APIProblem(.unauthorized, "unauthorized", "the token is not valid any more"))
      }
    }
  }

  /// Waits for a client that says nothing, or for one that never ends.
  private func keepTime() async {
    let start = Instant.monotonic()
    while true {
      let now = Instant.monotonic()
      let idle = now - (state.withLockedValue { $0.waitingSince } ?? now)
      if idle >= limits.soundIdleTime {
        return await refuse(
          APIProblem(.requestTimeout, "idle", "nothing has come for \(limits.soundIdleTime.milliseconds) ms"))
      }
      if now - start >= limits.soundTime {
        return await refuse(
          APIProblem(
            .requestTimeout, "too_long", "a stream may be open for \(limits.soundTime.milliseconds / 1000) seconds"))
      }
      do { try await Task.sleep(for: min(limits.soundIdleTime - idle, limits.soundTime - (now - start))) } catch {
        return
      }
    }
  }
}

extension SpeechStreamRequest {
  fileprivate func milliseconds(_ bytes: Int) -> Double {
    Double(bytes / encoding.bytesPerSample * 1000) / Double(sampleRate)
  }
}
