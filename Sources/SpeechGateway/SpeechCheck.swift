import Audio
import Logging

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One finding of ``SpeechCheck``, for `parley doctor`.
public struct SpeechFinding: Sendable, Hashable {
  public enum Severity: String, Sendable { case ok, warning, error }
  public var severity: Severity
  /// What was looked at: `recogniser model`, `dictionary`, `free speech`, `voice activity`, `voices`, `audio folder`.
  public var subject: String
  /// What was found.
  public var message: String
  /// What to do; empty where nothing is wrong.
  public var hint: String

  public init(severity: Severity, subject: String, message: String, hint: String = "") {
    self.severity = severity
    self.subject = subject
    self.message = message
    self.hint = hint
  }
}

/// Looks whether this machine has what the speech role needs, without starting it.
public enum SpeechCheck {
  /// Files, voices and weights that `configuration` names. Takes about a tenth of a second.
  public static func findings(_ configuration: SpeechGatewayConfiguration = .init()) -> [SpeechFinding] {
    let folder = configuration.pocketSphinxModel
    var findings = [
      check("recogniser model") { () throws(SpeechSetupError) in
        _ = try SphinxDecoder(model: folder)
        return "PocketSphinx loads the acoustic model in \(folder)"
      },
      check("dictionary") { () throws(SpeechSetupError) in
        let dictionary = try PronouncingDictionary(path: "\(folder)/cmudict-en-us.dict")
        return "\(dictionary.count) words have a pronunciation; Flite's rules say the others"
      },
      check("voices") { () throws(SpeechSetupError) in
        let voice = try FliteSynthesizer(voice: configuration.voice)
        return "Flite speaks as \(Voices.names.joined(separator: ", ")); calls hear \(voice.defaultVoice)"
      },
    ]
    switch silero(configuration) {
    case .success(let model):
      findings.append(.init(severity: .ok, subject: "voice activity", message: "Silero weights in \(model.path)"))
    case .failure(let error):
      findings.append(
        .init(
          severity: .warning, subject: "voice activity",
          message: "\(error.message); the simpler built-in detector listens instead, worse in noise", hint: error.hint))
    }
    let language = GeneralEnglish.path(model: folder)
    let readable = access(language, R_OK) == 0
    findings.append(
      .init(
        severity: readable ? .ok : .warning, subject: "free speech",
        message: readable
          ? "agent states understand any words with \(language)"
          : "the language model \(language) cannot be read; agent states understand expected phrases only",
        hint: readable ? "" : "install the package pocketsphinx-en-us"))
    let root = configuration.audioRoot
    if !root.isEmpty {
      let readable = access(root, R_OK | X_OK) == 0
      findings.append(
        .init(
          severity: readable ? .ok : .warning, subject: "audio folder",
          message: readable ? "play_audio reads below \(root)" : "the audio folder \(root) cannot be read",
          hint: readable ? "" : "create it, or mend its permissions"))
    }
    return findings
  }

  private static func check(
    _ subject: String, _ body: () throws(SpeechSetupError) -> String
  ) -> SpeechFinding {
    do {
      return .init(severity: .ok, subject: subject, message: try body())
    } catch {
      return .init(severity: .error, subject: subject, message: error.message, hint: error.hint)
    }
  }

  private static func silero(_ configuration: SpeechGatewayConfiguration) -> Result<SileroModel, SpeechSetupError> {
    let hint = "run scripts/setup, which fetches the package silero-vad"
    var found = ""
    for path in configuration.sileroCandidates where access(path, R_OK) == 0 {
      do {
        return .success(try SileroModel.load(path: path))
      } catch {
        found = "\(error)"
      }
    }
    return .failure(SpeechSetupError(found.isEmpty ? "no Silero weights were found" : found, hint: hint))
  }

  /// What listens for speech on this machine.
  static func voiceEngine(_ configuration: SpeechGatewayConfiguration, logger: Logger) -> VoiceDetector.Engine {
    switch silero(configuration) {
    case .success(let model): return .silero(model)
    case .failure(let error):
      logger.warning(
        "The built-in voice detector listens, which is worse in noise than Silero",
        metadata: ["cause": "\(error.message)", "hint": "\(error.hint)"])
      return .energy
    }
  }
}
