import Base
import CallCustody
import CallLink
import ConversationRuntime
import MediaGateway
import NIOConcurrencyHelpers
import Settings
import SpeechGateway
import Telemetry

/// What keeps this process's calls for other processes; empty where calls end with their process.
struct Custody: Sendable {
  var media: MediaCustody?
  var speech: SpeechCustody?
  var runtime: RuntimeCustody?

  /// How often it is looked whether calls have gone.
  private static let step: Duration = .milliseconds(100)

  var isThere: Bool { media != nil || speech != nil || runtime != nil }
  var held: Int { (media?.held ?? 0) + (speech?.held ?? 0) + (runtime?.held ?? 0) }

  /// Takes over the calls of media processes that have died, until the task is cancelled.
  func succeed(_ gateway: MediaGateway?, _ health: HealthState) async {
    guard let media, let gateway else { return }
    await media.run(gateway) { !health.isDraining }
  }

  /// Takes no new calls from now on.
  func drain() {
    speech?.drain()
    runtime?.drain()
  }

  /// Returns when no call is here any more, or when the time has passed.
  func waitUntilEmpty(limit: Duration) async {
    let start = Instant.monotonic()
    while held > 0, Instant.monotonic() - start < limit {
      do { try await Task.sleep(for: Self.step) } catch { return }
    }
  }

  /// Gives the calls that are left to other processes, as far as there are any that take them.
  func handOver(_ gateway: MediaGateway?, limit: Duration) async {
    speech?.leave()
    runtime?.leave()
    if media != nil { await gateway?.handOver() }
    await waitUntilEmpty(limit: limit)
  }
}

/// How much of what this process can do it does, for those who choose among peers.
final class LoadBox: Sendable {
  /// Calls that one speech process hears well on two cores; only the comparison with its peers matters.
  private static let speechCalls = 80.0

  private let read = NIOLockedValueBox<@Sendable () -> Double>({ 0 })

  var value: Double { read.withLockedValue { $0 }() }

  /// The fullest of the roles that are here.
  func follow(_ parts: Gateway.Parts, _ settings: Configuration) {
    let callsOfRuntime = Double(settings.runtime.maxConcurrentCalls)
    read.withLockedValue {
      $0 = {
        max(
          Double(parts.speech?.activeCalls ?? 0) / Self.speechCalls,
          Double(parts.runtime?.activeCalls ?? 0) / callsOfRuntime)
      }
    }
  }
}

/// Stands where the next role is in another process and is not spoken to directly.
struct NoRuntime: RuntimeHop {
  func open(_ call: CallInfo, speech: any HopSink<RuntimeToSpeech>) -> any HopSink<SpeechToRuntime> {
    speech.send(Numbered(1, .reject(.unavailable)))
    return ClosureSink { _ in }
  }
}

/// The same for speech.
struct NoSpeech: SpeechHop {
  private struct Nobody: SpeechSide {
    func send(_ message: Numbered<MediaToSpeech>) {}
    func audio(_ pcm: UnsafeBufferPointer<Int16>, position: Int64) {}
  }

  func open(_ call: CallInfo, media: any MediaSide) -> any SpeechSide {
    media.send(Numbered(1, .reject(.unavailable)))
    return Nobody()
  }
}
