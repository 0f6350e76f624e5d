import Base
import CallLink

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What was said in a recording, and the forms in which clients want it.
struct RecordedSpeech: Sendable {
  var language: String
  var durationMs = 0
  var segments: [TranscribedSegment] = []

  init(language: String) { self.language = language }

  mutating func take(_ event: TranscriptionEvent) {
    switch event {
    case .read(let ms): durationMs = ms
    case .segment(let segment): segments.append(segment)
    }
  }

  var text: String { segments.map(\.text).joined(separator: " ") }

  /// Every word counts the same.
  private var confidence: Double {
    let words = segments.reduce(0) { $0 + $1.words.count }
    return segments.reduce(0) { $0 + $1.confidence * Double($1.words.count) } / Double(max(1, words))
  }

  /// The gateway's own form.
  func value(words: Bool) -> Value {
    [
      "text": .string(text), "confidence": .double(Self.rounded(confidence)), "language": .string(language),
      "duration_ms": .int(Int64(durationMs)),
      "segments": .list(segments.map { Self.value($0, words: words) }),
    ]
  }

  static func value(_ segment: TranscribedSegment, words: Bool) -> Value {
    let spoken = words ? segment.words : []
    return [
      "text": .string(segment.text), "start_ms": .int(Int64(segment.startMs)), "end_ms": .int(Int64(segment.endMs)),
      "confidence": .double(rounded(segment.confidence)),
      "words": .list(
        spoken.map { word in
          [
            "text": .string(word.text), "start_ms": .int(Int64(word.startMs)), "end_ms": .int(Int64(word.endMs)),
            "confidence": .double(rounded(word.confidence)),
          ]
        }),
    ]
  }

  // MARK: OpenAI's forms

  var brief: Value { ["text": .string(text), "usage": usage] }

  var usage: Value { ["type": "duration", "seconds": .int(Int64((durationMs + 999) / 1000))] }

  /// `verbose_json`. What our decoder does not have (tokens, a compression ratio) stands at its neutral value.
  func verbose(words: Bool, segments wantsSegments: Bool) -> Value {
    var value: [String: Value] = [
      "task": "transcribe", "language": "english", "duration": .double(Double(durationMs) / 1000),
      "text": .string(text),
      "usage": usage,
    ]
    if wantsSegments {
      value["segments"] = .list(
        segments.enumerated().map { number, segment in
          [
            "id": .int(Int64(number)), "seek": 0, "start": .double(Double(segment.startMs) / 1000),
            "end": .double(Double(segment.endMs) / 1000), "text": .string(segment.text), "tokens": [],
            "temperature": .double(0), "avg_logprob": .double(Self.rounded(log(max(0.001, segment.confidence)))),
            "compression_ratio": .double(1), "no_speech_prob": .double(0),
          ]
        })
    }
    if words {
      value["words"] = .list(
        segments.flatMap(\.words).map { word in
          [
            "word": .string(word.text), "start": .double(Double(word.startMs) / 1000),
            "end": .double(Double(word.endMs) / 1000),
          ]
        })
    }
    return .map(value)
  }

  /// SubRip subtitles.
  var srt: String {
    segments.enumerated().map { number, segment in
      "\(number + 1)\n\(Self.clock(segment.startMs, ",")) --> \(Self.clock(segment.endMs, ","))\n\(segment.text)\n\n"
    }.joined()
  }

  /// WebVTT subtitles.
  var vtt: String {
    "WEBVTT\n\n"
      + segments.map { segment in
        "\(Self.clock(segment.startMs, ".")) --> \(Self.clock(segment.endMs, "."))\n\(segment.text)\n\n"
      }.joined()
  }

  /// `00:01:02.345`.
  private static func clock(_ ms: Int, _ point: String) -> String {
    func digits(_ number: Int, _ count: Int) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    return "\(digits(ms / 3_600_000, 2)):\(digits(ms / 60_000 % 60, 2)):\(digits(ms / 1000 % 60, 2))"
      + "\(point)\(digits(ms % 1000, 3))"
  }

  private static func rounded(_ number: Double) -> Double { (number * 1000).rounded() / 1000 }
}
