import Base
import CallLink
import ConversationRuntime
import Dialogs
import Logging
import NIOPosix
import Settings
import SpeechGateway

/// Ears and a mouth for `parley dialog test --audio`: the caller speaks with a voice that is not the gateway's, over a telephone's
/// codec, and is understood as in a call.
struct AudioTestVoice: DialogTestVoice {
  /// What became of one utterance.
  struct Hearing {
    var said: String
    /// nil where nothing was understood.
    var transcript: String?
    var confidence: Double
    /// More than one where a pause, or a phrase that was complete too early, cut the utterance.
    var turns: Int

    /// One line for a report; nil where every word came through.
    var complaint: String? {
      var complaints: [String] = []
      if let transcript {
        if Self.plain(said) != Self.plain(transcript) {
          let rounded = (confidence * 100).rounded() / 100
          complaints.append("understood as \"\(transcript)\" (confidence \(rounded))")
        }
      } else {
        complaints.append(turns == 0 ? "not noticed as speech" : "not understood")
      }
      if turns > 1 { complaints.append("taken for \(turns) turns") }
      return complaints.isEmpty ? nil : "\"\(said)\" was \(complaints.joined(separator: ", and "))"
    }

    private static func plain(_ text: String) -> [Substring] {
      text.lowercased().filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "'" }.split(separator: " ")
    }
  }

  private let rehearsal: SpeechRehearsal
  /// Everything the caller has said so far, for the case's report.
  private(set) var hearings: [Hearing] = []

  /// One for each case; they may share the rehearsal, which holds the models.
  init(_ rehearsal: SpeechRehearsal) { self.rehearsal = rehearsal }

  /// The ears and the mouth that a gateway with these settings has.
  /// - Throws: `SpeechSetupError` where a model is missing.
  static func rehearsal(_ settings: Configuration, environment: [String: String]) throws -> SpeechRehearsal {
    try SpeechRehearsal(
      configuration: SpeechGatewayConfiguration(
        settings.speech, audioRoot: settings.storage.objectsPath,
        sileroCandidates: SileroWeights.candidates(modelDir: settings.speech.modelDir, environment: environment)),
      sounds: Sounds.open(
        settings.storage, group: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "parley")))
  }

  mutating func hear(_ utterance: String, listening: DialogListen) async throws -> HeardSpeech? {
    // A state that has no use for speech does not hear any.
    guard listening.speech else { return nil }
    let heard = try await rehearsal.hear(
      utterance, voice: rehearsal.callersVoice, listen: ListenSpec(listening))
    let understood = heard.result.flatMap { $0.transcript.isEmpty ? nil : $0 }
    hearings.append(
      Hearing(
        said: utterance, transcript: understood?.transcript, confidence: heard.result?.confidence ?? 0,
        turns: heard.turns))
    return understood.map {
      HeardSpeech(transcript: $0.transcript, confidence: $0.confidence, language: $0.language)
    }
  }

  mutating func check(_ prompt: DialogPrompt) async throws -> String? {
    let ms = try await rehearsal.speak(Prompt(prompt))
    return ms > 0 ? nil : "it makes no sound"
  }
}
