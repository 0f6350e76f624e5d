import CallLink

/// Where the speech role reports its measurements. Implemented by the composer over its metrics registry; every
/// method is called from worker threads and must return at once.
public protocol SpeechMetrics: Sendable {
  /// One recognition: `vg_asr_latency_seconds{model}`, `vg_asr_transcriptions_total{model,type}`,
  /// `vg_asr_confidence{model}`.
  /// - Parameter seconds: from the decision that the segment is complete to the words, waiting for a decoder included.
  func recognized(model: String, type: TranscriptionKind, seconds: Double, confidence: Double)
  /// `vg_asr_workers_active`: decoders at work now.
  func workersActive(_ count: Int)
  /// `vg_asr_queue_depth`: recognitions waiting for a decoder now.
  func queueDepth(_ count: Int)
  /// `vg_tts_first_audio_seconds{engine}`: from the runtime's `say` reaching the head of the queue to its first audio.
  func firstAudio(engine: String, seconds: Double, cached: Bool)
  /// `vg_barge_in_seconds` and `vg_barge_in_total{outcome}`.
  /// - Parameter seconds: from the onset of the caller's speech (or the digit) to the order to fall silent.
  func bargeIn(_ outcome: BargeInOutcome, seconds: Double)
  /// Samples of the caller's voice that were lost because a call's ring was full.
  func audioDropped(samples: Int)
  /// A request of the speech API has ended: `vg_speech_api_requests_total{operation,outcome}` and
  /// `vg_speech_api_audio_seconds{operation}`.
  /// - Parameter audioSeconds: of the sound that was heard or made.
  func requestEnded(_ operation: SpeechOperation, _ outcome: SpeechRequestOutcome, audioSeconds: Double)
  /// `vg_speech_api_streams_active`: streams of sound that are open now.
  func streamsActive(_ count: Int)
  /// `vg_sessions_resumed_total{role="speech",outcome}`: a call has come from a process that is no more.
  func sessionResumed(_ outcome: SpeechResumption)
}

extension SpeechMetrics {
  public func sessionResumed(_ outcome: SpeechResumption) {}
}

/// The `outcome` label of `vg_sessions_resumed_total`.
public enum SpeechResumption: String, Sendable, CaseIterable {
  case resumed
  /// The predecessor's state could not be read.
  case failed
}

/// The `operation` label of what counts the speech API.
public enum SpeechOperation: String, Sendable, CaseIterable { case transcribe, stream, synthesize }

/// The `outcome` label of `vg_speech_api_requests_total`.
public enum SpeechRequestOutcome: String, Sendable, CaseIterable {
  case ok
  /// The client left.
  case cancelled
  /// There was no room for it.
  case busy
  /// The sound could not be read.
  case audio
  case tooLong = "too_long"
  /// The client did not take what was heard.
  case tooSlow = "too_slow"
  case unsupported
  /// An engine failed, or the role was stopping.
  case unavailable

  init(_ error: SpeechDeskError?, isCancelled: Bool) {
    self =
      switch error?.code {
      case nil: isCancelled ? .cancelled : .ok
      case .busy: .busy
      case .audio: .audio
      case .tooLong: .tooLong
      case .tooSlow: .tooSlow
      case .unsupported: .unsupported
      case .unavailable: .unavailable
      }
  }
}

/// The `type` label of `vg_asr_transcriptions_total`.
public enum TranscriptionKind: String, Sendable, CaseIterable {
  case final, partial
  /// Speech outside the state's search.
  case noMatch = "no_match"
  /// No decoder had room.
  case overflow
  /// The engine failed.
  case error
}

/// The `outcome` label of `vg_barge_in_total`.
public enum BargeInOutcome: String, Sendable, CaseIterable {
  case speech, digit
  /// The prompt was cut, and then nothing was said.
  case falseAlarm = "false"
}

/// Measures nothing: for tools and tests.
public struct NoSpeechMetrics: SpeechMetrics {
  public init() {}
  public func recognized(model: String, type: TranscriptionKind, seconds: Double, confidence: Double) {}
  public func workersActive(_ count: Int) {}
  public func queueDepth(_ count: Int) {}
  public func firstAudio(engine: String, seconds: Double, cached: Bool) {}
  public func bargeIn(_ outcome: BargeInOutcome, seconds: Double) {}
  public func audioDropped(samples: Int) {}
  public func requestEnded(_ operation: SpeechOperation, _ outcome: SpeechRequestOutcome, audioSeconds: Double) {}
  public func streamsActive(_ count: Int) {}
}
