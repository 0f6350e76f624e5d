import Base

/// How long speaking takes, for estimates and for calls in virtual time: about fifteen characters a second.
public enum SpeakingTime {
  /// - Parameter speed: 1 is the voice's own pace.
  /// - Returns: milliseconds.
  public static func milliseconds(of text: String, speed: Double = 1) -> Int64 {
    let pace = speed.isFinite && speed > 0.1 ? speed : 1
    return Int64((Double(text.utf8.count) * 66 / pace).rounded())
  }

  /// A recording whose length is not known.
  static let recordingMs: Int64 = 2_000

  /// How long a prompt plays; nil for one that is repeated until it is stopped.
  static func milliseconds(of prompt: DialogPrompt) -> Int64? {
    if prompt.loop { return nil }
    return switch prompt.source {
    case .text(let text): milliseconds(of: text, speed: prompt.speed)
    case .markup: milliseconds(of: prompt.spokenText, speed: prompt.speed)
    case .audio: recordingMs
    case .silence(let ms): Int64(ms)
    }
  }
}

extension DialogPrompt {
  /// The words of the prompt, without markup; empty for recordings and silence.
  public var spokenText: String {
    switch source {
    case .text(let text): return text
    case .audio, .silence: return ""
    case .markup(let markup): return Self.words(of: markup)
    }
  }

  /// A prompt's text in a record does not say whether it was SSML.
  static func words(ofRecorded text: String) -> String {
    Evaluation.trimmed(text).hasPrefix("<speak") ? words(of: text) : text
  }

  private static func words(of markup: String) -> String {
    var text = ""
    var isTag = false
    for character in markup {
      switch character {
      case "<":
        isTag = true
        // A tag parts words: `one<break/>two`.
        if text.last?.isWhitespace == false { text.append(" ") }
      case ">": isTag = false
      default: if !isTag, !(character.isWhitespace && text.last?.isWhitespace ?? true) { text.append(character) }
      }
    }
    return Evaluation.trimmed(text)
  }
}
