#if Cluster
  import Base
  import CallLink
  import SwiftProtobuf

  // speech -> runtime, and back.

  extension Parley_Calllink_V1_TurnFrame: LinkFrame {
    init(_ message: SpeechToRuntime) {
      self.init()
      switch message {
      case .answered: answered = .init()
      case .digit(let key, let durationMs, let atMs): digit = .init(key, durationMs: durationMs, atMs: atMs)
      case .speechStarted(let atMs): speechStarted = UInt32(clamping: atMs)
      case .speechPartial(let transcript, let atMs):
        speechPartial = .with {
          $0.transcript = transcript
          $0.atMs = UInt32(clamping: atMs)
        }
      case .speechFinal(let result): speechFinal = .init(result)
      case .playbackStarted(let id, let atMs):
        playbackStarted = .with {
          $0.playback = id.value
          $0.atMs = UInt32(clamping: atMs)
        }
      case .playbackFinished(let id): playbackFinished = id.value
      case .playbackInterrupted(let id, let heard, let playedMs, let by):
        playbackInterrupted = .with {
          $0.playback = id.value
          $0.heard = heard
          $0.playedMs = UInt32(clamping: playedMs)
          $0.by = by.rawValue
        }
      case .playbackFailed(let id, let message):
        playbackFailed = .with {
          $0.playback = id.value
          $0.message = message
        }
      case .held: held = .init()
      case .resumed: resumed = .init()
      case .quality(let measured): quality = .init(measured)
      case .ended(let reason): ended = reason.rawValue
      }
    }

    var content: SpeechToRuntime? {
      switch frame {
      case .answered: .answered
      case .digit(let key): key.key.map { .digit($0, durationMs: Int(key.durationMs), atMs: Int(key.atMs)) }
      case .speechStarted(let atMs): .speechStarted(atMs: Int(atMs))
      case .speechPartial(let partial): .speechPartial(transcript: partial.transcript, atMs: Int(partial.atMs))
      case .speechFinal(let turn): .speechFinal(SpeechResult(turn))
      case .playbackStarted(let started): .playbackStarted(PlaybackID(started.playback), atMs: Int(started.atMs))
      case .playbackFinished(let id): .playbackFinished(PlaybackID(id))
      case .playbackInterrupted(let cut):
        .playbackInterrupted(
          PlaybackID(cut.playback), heard: cut.heard, playedMs: Int(cut.playedMs),
          by: Interruption(rawValue: cut.by) ?? .command)
      case .playbackFailed(let failed): .playbackFailed(PlaybackID(failed.playback), message: failed.message)
      case .held: .held
      case .resumed: .resumed
      case .quality(let measured): .quality(MediaQuality(measured))
      case .ended(let reason): .ended(HangupReason(rawValue: reason) ?? .error)
      case .control, nil: nil
      }
    }

    var isControl: Bool { if case .control? = frame { true } else { false } }
    /// No voice travels here.
    var hopSound: HopSound? {
      get { nil }
      set {}
    }
  }

  extension Parley_Calllink_V1_OrderFrame: LinkFrame {
    init(_ message: RuntimeToSpeech) {
      self.init()
      switch message {
      case .ringing: ringing = .init()
      case .answer: answer = .init()
      case .reject(let reason): reject = reason.rawValue
      case .say(let prompt): say = .init(prompt)
      case .stop(let id?): stop = id.value
      case .stop(nil): stopAll = .init()
      case .listen(let spec): listen = .init(spec)
      case .sendDigits(let digits, let durationMs): sendDigits = .init(digits, durationMs: durationMs)
      case .hangup(let reason, let afterPlayback):
        hangup = .with {
          $0.reason = reason.rawValue
          $0.afterPlayback = afterPlayback
        }
      }
    }

    var content: RuntimeToSpeech? {
      switch frame {
      case .ringing: .ringing
      case .answer: .answer
      case .reject(let reason): .reject(RejectReason(rawValue: reason) ?? .error)
      case .say(let prompt): Prompt(prompt).map { .say($0) }
      case .stop(let id): .stop(PlaybackID(id))
      case .stopAll: .stop(nil)
      case .listen(let spec): .listen(ListenSpec(spec))
      case .sendDigits(let digits): .sendDigits(digits.digits, durationMs: Int(digits.durationMs))
      case .hangup(let hangup):
        .hangup(HangupReason(rawValue: hangup.reason) ?? .error, afterPlayback: hangup.afterPlayback)
      case .control, nil: nil
      }
    }

    var isControl: Bool { if case .control? = frame { true } else { false } }
    /// No voice travels here.
    var hopSound: HopSound? {
      get { nil }
      set {}
    }
  }

  // MARK: Pieces

  extension Parley_Calllink_V1_Turn {
    init(_ result: SpeechResult) {
      self.init()
      transcript = result.transcript
      confidence = result.confidence
      language = result.language
      durationMs = UInt32(clamping: result.durationMs)
      startMs = UInt32(clamping: result.startMs)
      endMs = UInt32(clamping: result.endMs)
      endpointMs = UInt32(clamping: result.endpointMs)
      recognizeMs = UInt32(clamping: result.recognizeMs)
      model = result.model
    }
  }

  extension SpeechResult {
    init(_ turn: Parley_Calllink_V1_Turn) {
      self.init(
        transcript: turn.transcript, confidence: turn.confidence, language: turn.language,
        durationMs: Int(turn.durationMs), startMs: Int(turn.startMs), endMs: Int(turn.endMs),
        endpointMs: Int(turn.endpointMs), recognizeMs: Int(turn.recognizeMs), model: turn.model)
    }
  }

  extension Parley_Calllink_V1_Prompt {
    init(_ prompt: Prompt) {
      self.init()
      id = prompt.id.value
      switch prompt.source {
      case .text(let words): text = words
      case .markup(let words): markup = words
      case .audio(let url): audio = url
      case .silence(let ms): silenceMs = UInt32(clamping: ms)
      }
      voice = prompt.voice
      speed = prompt.speed
      language = prompt.language
      bargeIn = prompt.bargeIn
      cache = prompt.cache
      loop = prompt.loop
    }
  }

  extension Prompt {
    /// nil: of a kind that is not known yet.
    init?(_ prompt: Parley_Calllink_V1_Prompt) {
      let source: Source
      switch prompt.source {
      case .text(let words): source = .text(words)
      case .markup(let words): source = .markup(words)
      case .audio(let url): source = .audio(url: url)
      case .silenceMs(let ms): source = .silence(ms: Int(ms))
      case nil: return nil
      }
      self.init(
        id: PlaybackID(prompt.id), source: source, voice: prompt.voice, speed: prompt.speed,
        language: prompt.language, bargeIn: prompt.bargeIn, cache: prompt.cache, loop: prompt.loop)
    }
  }

  extension Parley_Calllink_V1_Listen {
    init(_ spec: ListenSpec) {
      self.init()
      phrases = spec.phrases
      grammar = spec.grammar
      language = spec.language
      if let silence = spec.minSilenceMs { minSilenceMs = UInt32(clamping: silence) }
      speech = spec.speech
      `open` = spec.isOpen
      bargeIn = spec.bargeIn
    }
  }

  extension ListenSpec {
    init(_ spec: Parley_Calllink_V1_Listen) {
      self.init(
        phrases: spec.phrases, grammar: spec.grammar, language: spec.language,
        minSilenceMs: spec.hasMinSilenceMs ? Int(spec.minSilenceMs) : nil, speech: spec.speech, isOpen: spec.open,
        bargeIn: spec.bargeIn)
    }
  }
#endif
