// Hears the caller, decides whose turn it is, and makes the voice: the speech role, between media and runtime.

import Base
import CallLink
import Logging

/// The speech role: one for the process, a pipeline for every call that media opens.
public final class SpeechService: SpeechHop {
  /// Loads models and starts the workers. Takes up to half a second.
  /// - Parameters:
  ///   - recognizer: nil for the embedded PocketSphinx.
  ///   - synthesizer: nil for the embedded Flite.
  ///   - now: the clock; tests pass their own.
  /// - Throws: ``SpeechSetupError`` where a model is missing or unreadable.
  public init(
    configuration: SpeechGatewayConfiguration, runtime: any RuntimeHop, recognizer: (any Recognizer)? = nil,
    synthesizer: (any Synthesizer)? = nil, metrics: any SpeechMetrics = NoSpeechMetrics(),
    logger: Logger = Logger(label: "parley.speech"), now: @escaping @Sendable () -> Instant = Instant.monotonic
  ) throws(SpeechSetupError) {
    self.runtime = runtime
  }

  private let runtime: any RuntimeHop

  /// Opens one call's pipeline, and the runtime's session behind it. Returns at once.
  public func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    CallSpeech()
  }

  /// Calls that are open now.
  public var activeCalls: Int { 0 }

  /// Stops the workers after the recognitions that are running. Calls that are still open hear nothing more.
  public func shutdown() {}
}

struct CallSpeech: SpeechSide {
  func send(_ message: Numbered<MediaToSpeech>) {}
  func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {}
}
