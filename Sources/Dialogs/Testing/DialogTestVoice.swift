import Base

/// Ears and a mouth for tests with audio: what the caller says and what they hear goes through real synthesis and
/// recognition on its way.
public protocol DialogTestVoice {
  /// The caller says `utterance` to a dialog that listens in this way.
  /// - Returns: what was understood; nil where nothing was (`no_match`).
  /// - Throws: where the words cannot be made into sound, or not be listened to; that fails the case.
  mutating func hear(_ utterance: String, listening: DialogListen) async throws -> HeardSpeech?

  /// The caller hears a prompt.
  /// - Returns: a sentence that says what is wrong with it; nil where it can be understood. It fails the case.
  /// - Throws: where the prompt cannot be made or listened to; that fails the case, too.
  mutating func check(_ prompt: DialogPrompt) async throws -> String?
}
