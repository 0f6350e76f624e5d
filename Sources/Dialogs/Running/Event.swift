import Base

/// Something that transitions can be about.
struct Event: Sendable {
  enum Kind: UInt8, CaseIterable, Sendable {
    case speech, speechPartial, speechStarted, dtmf, noInput, noMatch, timeout, ttsComplete, ttsInterrupted, hookResult
    case hookError, agentExit, transferResult, recordingComplete, amdResult, callAnswered, callHeld, callResumed, hangup
    case error
    /// Any other name.
    case custom

    var name: String {
      switch self {
      case .speech: "speech"
      case .speechPartial: "speech_partial"
      case .speechStarted: "speech_started"
      case .dtmf: "dtmf"
      case .noInput: "no_input"
      case .noMatch: "no_match"
      case .timeout: "timeout"
      case .ttsComplete: "tts_complete"
      case .ttsInterrupted: "tts_interrupted"
      case .hookResult: "hook_result"
      case .hookError: "hook_error"
      case .agentExit: "agent_exit"
      case .transferResult: "transfer_result"
      case .recordingComplete: "recording_complete"
      case .amdResult: "amd_result"
      case .callAnswered: "call_answered"
      case .callHeld: "call_held"
      case .callResumed: "call_resumed"
      case .hangup: "hangup"
      case .error: "error"
      case .custom: ""
      }
    }

    static let named: [String: Kind] = Dictionary(
      allCases.filter { $0 != .custom }.map { ($0.name, $0) }, uniquingKeysWith: { a, _ in a })
  }

  /// What expressions see with it.
  enum Facts: Sendable {
    case none
    case speech(HeardSpeech)
    case transcript(String)
    /// A turn of which nothing was understood.
    case nothingUnderstood(count: Int)
    case noMatchCount(Int)
    case noInputCount(Int)
    case digits(String)
    /// Too few of them.
    case shortDigits(String, count: Int)
    case heard(String)
    case result(Value)
    case hookError(error: String, status: Int, message: String)
    case problem(code: String, message: String)
    case data(Value)
    case exit(String, data: Value)
    case status(String)
    case hangup(who: String, reason: String)
  }

  var kind: Kind
  var name: String
  var facts: Facts
  /// The call cannot go on where no transition takes it.
  var isFatal = false
  /// It has no default behaviour.
  var isOptional = false
  /// Keys are behind it, not speech.
  var isByKeys = false

  init(
    _ kind: Kind, _ facts: Facts = .none, isFatal: Bool = false, isOptional: Bool = false, isByKeys: Bool = false
  ) {
    self.kind = kind
    name = kind.name
    self.facts = facts
    self.isFatal = isFatal
    self.isOptional = isOptional
    self.isByKeys = isByKeys
  }

  /// An event from outside, under its own name.
  init(custom name: String, _ data: Value) {
    kind = .custom
    self.name = name
    facts = .data(data)
  }
}

extension DialogSession {
  /// Lets expressions see what the event brings.
  mutating func show(_ facts: Event.Facts) {
    switch facts {
    case .none: break
    case .speech(let heard):
      set(.transcript, .string(heard.transcript))
      set(.confidence, .double(heard.confidence))
      set(.slots, .map(heard.slots))
      if !heard.language.isEmpty { set(.language, .string(heard.language)) }
    case .transcript(let text): set(.transcript, .string(text))
    case .nothingUnderstood(let count):
      set(.transcript, "")
      set(.confidence, 0)
      set(.slots, .map([:]))
      set(.noMatchCount, .int(Int64(count)))
    case .noMatchCount(let count): set(.noMatchCount, .int(Int64(count)))
    case .noInputCount(let count): set(.noInputCount, .int(Int64(count)))
    case .digits(let digits): set(.digits, .string(digits))
    case .shortDigits(let digits, let count):
      set(.digits, .string(digits))
      set(.noMatchCount, .int(Int64(count)))
    case .heard(let text): set(.heard, .string(text))
    case .result(let result): set(.result, result)
    case .hookError(let error, let status, let message):
      set(.error, .string(error))
      set(.status, .int(Int64(status)))
      set(.errorMessage, .string(message))
    case .problem(let code, let message):
      set(.error, .string(code))
      set(.errorMessage, .string(message))
    case .data(let data): set(.data, data)
    case .exit(let name, let data):
      set(.exit, .string(name))
      set(.data, data)
    case .status(let status): set(.status, .string(status))
    case .hangup(let who, let reason):
      set(.who, .string(who))
      set(.reason, .string(reason))
    }
  }
}
