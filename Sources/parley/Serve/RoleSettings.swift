import Audio
import Base
import FoundationEssentials
import IntegrationGateway
import MediaGateway
import Settings
import SpeechGateway
import Telemetry

// What each role takes from the configuration file, and where it counts.

extension MediaGatewayConfiguration {
  init(_ settings: MediaSettings) {
    self.init()
    host = settings.listenAddress
    sipPort = settings.sipPort
    sipTransports = settings.sipTransport.compactMap { SIPTransport(rawValue: $0.rawValue) }
    sipTLSPort = settings.sipTLSPort
    if settings.sipTransport.contains(.tls) {
      sipCertificates = SIPCertificateFiles(
        certificate: settings.sipTLSCert, key: settings.sipTLSKey,
        clientAuthorities: settings.sipTLSClientCA.isEmpty ? nil : settings.sipTLSClientCA)
    }
    advertisedAddress = settings.advertisedAddress == "auto" ? nil : settings.advertisedAddress
    rtpPorts = settings.ownRTPPorts.closedRange
    rtpSymmetric = settings.rtpSymmetric
    codecs = settings.codecs.compactMap { Codec(rawValue: $0.rawValue) }
    jitterBufferMs = settings.jitterBufferMs
    packetLossConcealment = settings.packetLossConcealment
    reconnectionTimeout = settings.reconnectionTimeout
    sessionTimerSeconds = Int(settings.sessionTimer.components.seconds)
    maxCalls = settings.maxCalls
    access = Access(
      allow: settings.access.allow.map(\.description), deny: settings.access.deny.map(\.description),
      maxCallsPerSecond: settings.access.maxCallsPerSecond, dropsScanners: settings.access.dropScanners)
    product = "Parley/\(Build.version)"
  }
}

extension MediaMetrics {
  init(_ metrics: VoiceMetrics) {
    self.init()
    // Kept at hand: these count on the event loops.
    let received = metrics.rtpPacketsReceived.with()
    let lost = metrics.rtpPacketsLost.with()
    let jitter = metrics.rtpJitter.with()
    let mos = metrics.mos.with()
    let underrun = metrics.audioBufferUnderruns.with()
    let lag = metrics.eventLoopLag.with()
    sipRequest = { metrics.sipRequests.with($0, String($1)).add() }
    rtpReceived = { received.add($0) }
    rtpLost = { lost.add($0) }
    rtpRejected = { metrics.rtpPacketsRejected.with($0).add($1) }
    rtpJitter = { jitter.observe($0) }
    self.mos = { mos.observe($0) }
    underruns = { underrun.add($0) }
    eventLoopLag = { lag.observe($0) }
    callCapacity = { metrics.callCapacity.set($0) }
    sessionResumed = { metrics.sessionsResumed.with("media", $0).add() }
    draining = { metrics.draining.set($0 ? 1 : 0) }
  }
}

extension SpeechGatewayConfiguration {
  /// - Parameters:
  ///   - audioRoot: nil: sounds are in a bucket.
  ///   - sileroCandidates: files that may hold the weights of the voice detector, best first.
  init(_ settings: SpeechSettings, audioRoot: String?, sileroCandidates: [String]) {
    // A model of the site's own goes before Debian's.
    let own = FileManager.default.fileExists(atPath: "\(settings.modelDir)/en-us/mdef") ? settings.modelDir : nil
    self.init(
      vad: VoiceActivity(
        threshold: settings.vad.threshold, minSpeechMs: settings.vad.minSpeechMs,
        minSilenceMs: settings.vad.minSilenceMs, paddingMs: settings.vad.paddingMs),
      turn: TurnTaking(
        maxSilenceMs: settings.turn.maxSilenceMs, interruptionMinMs: settings.turn.interruptionMinMs),
      partialIntervalMs: settings.partialResults ? settings.partialIntervalMs : nil,
      maxWorkers: settings.maxWorkers, queueDepth: settings.queueDepth, voice: settings.tts.voice,
      speed: settings.tts.speed, cacheMB: settings.tts.cacheMB, language: settings.language,
      pocketSphinxModel: own ?? Self.debianPocketSphinxModel, sileroCandidates: sileroCandidates,
      audioRoot: audioRoot ?? "",
      desk: Desk(
        maxWorkers: settings.api.maxWorkers, queueDepth: settings.api.queueDepth,
        maxStreams: settings.api.maxStreams,
        maxAudioSeconds: Int(settings.api.maxAudio.components.seconds)))
  }
}

/// The speech role's measurements, in the process's metrics.
struct SpeechCounts: SpeechMetrics {
  let metrics: VoiceMetrics

  func recognized(model: String, type: TranscriptionKind, seconds: Double, confidence: Double) {
    metrics.asrLatency.with(model).observe(seconds)
    metrics.asrTranscriptions.with(model, type.rawValue).add()
    if type == .final { metrics.asrConfidence.with(model).observe(confidence) }
  }
  func workersActive(_ count: Int) { metrics.asrWorkersActive.set(count) }
  func queueDepth(_ count: Int) { metrics.asrQueueDepth.set(count) }
  func firstAudio(engine: String, seconds: Double, cached: Bool) {
    metrics.ttsFirstAudio.with(engine).observe(seconds)
  }
  func bargeIn(_ outcome: BargeInOutcome, seconds: Double) {
    metrics.bargeIn.observe(seconds)
    metrics.bargeInTotal.with(outcome.rawValue).add()
  }
  func audioDropped(samples: Int) {
    // 320 samples are one packet's worth of the caller's voice.
    metrics.rtpPacketsRejected.with("speech_queue_full").add((samples + 319) / 320)
  }
  func requestEnded(_ operation: SpeechOperation, _ outcome: SpeechRequestOutcome, audioSeconds: Double) {
    metrics.speechAPIRequests.with(operation.rawValue, outcome.rawValue).add()
    if audioSeconds > 0 { metrics.speechAPIAudio.with(operation.rawValue).observe(audioSeconds) }
  }
  func sessionResumed(_ outcome: SpeechResumption) { metrics.sessionsResumed.with("speech", outcome.rawValue).add() }
  func streamsActive(_ count: Int) { metrics.speechAPIStreams.set(count) }
}

/// Where `scripts/setup` and packages put the weights of the neural voice detector.
enum SileroWeights {
  static let fileName = "silero_vad_16k_op15.onnx"

  /// Best first: the configured folder, the user's, the system's.
  static func candidates(modelDir: String, environment: [String: String]) -> [String] {
    var folders = [modelDir]
    if let share = environment["PARLEY_SHARE"], !share.isEmpty { folders.append(share) }
    if let data = environment["XDG_DATA_HOME"], !data.isEmpty {
      folders.append("\(data)/parley")
    } else if let home = environment["HOME"], !home.isEmpty {
      folders.append("\(home)/.local/share/parley")
    }
    folders.append("/usr/share/parley")
    return folders.map { "\($0)/\(fileName)" }
  }
}
