#if Cluster
  import Base
  import CallLink

  // media -> speech, and back.

  extension Parley_Calllink_V1_MediaFrame: LinkFrame {
    init(_ message: MediaToSpeech) {
      self.init()
      switch message {
      case .answered: answered = .init()
      case .digit(let key, let durationMs): digit = .init(key, durationMs: durationMs)
      case .playoutStarted(let id): playoutStarted = id.value
      case .playoutProgress(let id, let samples): playoutProgress = .init(id, samples)
      case .playoutFinished(let id): playoutFinished = id.value
      case .playoutCleared(let id, let samples): playoutCleared = .init(id, samples)
      case .held: held = .init()
      case .resumed: resumed = .init()
      case .quality(let measured): quality = .init(measured)
      case .ended(let reason): ended = reason.rawValue
      }
    }

    var content: MediaToSpeech? {
      switch frame {
      case .answered: .answered
      case .digit(let key): key.key.map { .digit($0, durationMs: Int(key.durationMs)) }
      case .playoutStarted(let id): .playoutStarted(PlaybackID(id))
      case .playoutProgress(let played):
        .playoutProgress(PlaybackID(played.playback), playedSamples: Int(clamping: played.samples))
      case .playoutFinished(let id): .playoutFinished(PlaybackID(id))
      case .playoutCleared(let played):
        .playoutCleared(PlaybackID(played.playback), playedSamples: Int(clamping: played.samples))
      case .held: .held
      case .resumed: .resumed
      case .quality(let measured): .quality(MediaQuality(measured))
      case .ended(let reason): .ended(HangupReason(rawValue: reason) ?? .error)
      case .control, .sound, .heard, nil: nil
      }
    }

    var isControl: Bool { if case .control? = frame { true } else { false } }

    var hopSound: HopSound? {
      get {
        switch frame {
        case .sound(let sound): HopSound(sound)
        case .heard(let heard): HopSound(heard)
        default: nil
        }
      }
      set {
        switch newValue {
        case .samples(let lane, let position, let samples): sound = .init(lane: lane, position: position, samples)
        case .heard(let lane, let through, let mayReach):
          heard = .init(lane: lane, through: through, mayReach: mayReach)
        case nil: frame = nil
        }
      }
    }
  }

  extension Parley_Calllink_V1_SpeechFrame: LinkFrame {
    init(_ message: SpeechToMedia) {
      self.init()
      switch message {
      case .ringing: ringing = .init()
      case .answer: answer = .init()
      case .reject(let reason): reject = reason.rawValue
      case .play(let id): play = id.value
      case .endOfAudio(let id): endOfAudio = id.value
      case .clear(let id?): clear = id.value
      case .clear(nil): silence = .init()
      case .sendDigits(let digits, let durationMs): sendDigits = .init(digits, durationMs: durationMs)
      case .hangup(let reason): hangup = reason.rawValue
      }
    }

    var content: SpeechToMedia? {
      switch frame {
      case .ringing: .ringing
      case .answer: .answer
      case .reject(let reason): .reject(RejectReason(rawValue: reason) ?? .error)
      case .play(let id): .play(PlaybackID(id))
      case .endOfAudio(let id): .endOfAudio(PlaybackID(id))
      case .clear(let id): .clear(PlaybackID(id))
      case .silence: .clear(nil)
      case .sendDigits(let digits): .sendDigits(digits.digits, durationMs: Int(digits.durationMs))
      case .hangup(let reason): .hangup(HangupReason(rawValue: reason) ?? .error)
      case .control, .sound, .heard, nil: nil
      }
    }

    var isControl: Bool { if case .control? = frame { true } else { false } }

    var hopSound: HopSound? {
      get {
        switch frame {
        case .sound(let sound): HopSound(sound)
        case .heard(let heard): HopSound(heard)
        default: nil
        }
      }
      set {
        switch newValue {
        case .samples(let lane, let position, let samples): sound = .init(lane: lane, position: position, samples)
        case .heard(let lane, let through, let mayReach):
          heard = .init(lane: lane, through: through, mayReach: mayReach)
        case nil: frame = nil
        }
      }
    }
  }

  // MARK: Pieces

  extension Parley_Calllink_V1_Key {
    init(_ key: Digit, durationMs: Int, atMs: Int = 0) {
      self.init()
      digit = String(key)
      self.durationMs = UInt32(clamping: durationMs)
      self.atMs = UInt32(clamping: atMs)
    }

    /// nil: no key of a keypad.
    var key: Digit? {
      guard digit.utf8.count == 1, let key = digit.first, "0123456789*#ABCD".contains(key) else { return nil }
      return key
    }
  }

  extension Parley_Calllink_V1_Played {
    init(_ id: PlaybackID, _ samples: Int) {
      self.init()
      playback = id.value
      self.samples = UInt64(clamping: samples)
    }
  }

  extension Parley_Calllink_V1_Digits {
    init(_ digits: String, durationMs: Int) {
      self.init()
      self.digits = digits
      self.durationMs = UInt32(clamping: durationMs)
    }
  }

  extension Parley_Calllink_V1_Quality {
    init(_ quality: MediaQuality) {
      self.init()
      packetsReceived = UInt64(clamping: quality.packetsReceived)
      packetsLost = UInt64(clamping: quality.packetsLost)
      jitterMs = quality.jitterMs
      packetsRejected = UInt64(clamping: quality.packetsRejected)
      underruns = UInt64(clamping: quality.underruns)
    }
  }

  extension MediaQuality {
    init(_ quality: Parley_Calllink_V1_Quality) {
      self.init(
        packetsReceived: Int(clamping: quality.packetsReceived), packetsLost: Int(clamping: quality.packetsLost),
        jitterMs: quality.jitterMs, packetsRejected: Int(clamping: quality.packetsRejected),
        underruns: Int(clamping: quality.underruns))
    }
  }
#endif
