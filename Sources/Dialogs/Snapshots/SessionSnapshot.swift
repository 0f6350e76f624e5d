import Base

/// Sessions written down and taken up again, in this process or another one.
extension DialogSession {
  /// Of the form below. A reader of another version refuses it.
  public static let snapshotVersion = 1

  /// Everything that the session knows, as data for ``init(restoring:dialog:library:limits:call:at:)``. To be taken between
  /// two inputs. Not part of it: the dialogs themselves and what the owner hands in anew.
  ///
  /// It holds the values of masked variables, because the session cannot go on without them: whoever keeps it has to keep it
  /// secret. A replay (``recordedSecretDecisions``) is not written down.
  public func snapshot() -> Value {
    var out = SnapshotWriter()
    out.put("v", Self.snapshotVersion)
    out.put("dialog", dialog.name)
    out.put("version", dialog.version)
    out.put("now", now)
    out.put("phase", phase == .running ? "" : phase.rawValue)
    out.put("frames", (callers + [frame]).map { $0.snapshot(call: call) })
    out.put("held", held.map(\.snapshot))
    out.put("playing", playing.map(\.snapshot))
    out.put("hooks", hooks.map(\.snapshot))
    out.put("last_playback", lastPlayback)
    out.put("last_hook", lastHook)
    out.put("last_model", lastModel)
    out.put("keyed", keyed)
    out.put("typed", typedAhead)
    out.put("skips", skipsNextSpeech)
    out.put("depth", depth)
    out.put("looped", hasReportedLoop)
    out.put("on_hold", isHeld)
    out.put("connected", isConnected)
    out.put("speaking", speakingSince)
    out.put("digits_due", interDigitDeadline)
    out.put("transfer_due", transferDeadline)
    out.put("silence", silence.snapshot)
    out.put("timeout", stateTimer.snapshot)
    return out.value
  }

  /// Whether a snapshot would hold what has to stay out of storage: a masked value, or keys that are one.
  public var holdsSecrets: Bool { secretEntry != nil || (callers + [frame]).contains(where: \.holdsSecrets) }

  /// Takes a session up where ``snapshot()`` left it.
  /// - Parameters:
  ///   - dialog: the very version that the session ran.
  ///   - library: the dialogs it may run; those it is running have to be among them.
  ///   - now: what time it is on the owner's clock now, where that is not the clock of the snapshot: times that were left are
  ///     left again. nil: the same clock.
  public init(
    restoring snapshot: Value, dialog: Dialog, library: [String: Dialog] = [:], limits: DialogLimits = DialogLimits(),
    call: CallFacts, at now: Instant? = nil
  ) throws(SnapshotError) {
    let whole = try SnapshotReader(snapshot, at: "", shift: 0)
    let version = try whole.int("v")
    guard version == Self.snapshotVersion else {
      throw whole.problem("v", "version \(version) is not \(Self.snapshotVersion)")
    }
    guard try whole.text("dialog") == dialog.name, try whole.text("version") == dialog.version else {
      throw whole.problem("dialog", "the session ran another dialog, or another version of it")
    }
    let then = try whole.instant("now") ?? .zero
    let reader = try SnapshotReader(snapshot, at: "", shift: now.map { $0.nanoseconds &- then.nanoseconds } ?? 0)
    self.init(dialog: dialog, call: call, library: library, limits: limits)
    self.now = now ?? then
    let phase = try reader.text("phase")
    guard let phase = phase.isEmpty ? .running : Phase(rawValue: phase) else {
      throw reader.problem("phase", "`\(phase)` is none")
    }
    self.phase = phase
    var frames: [Frame] = []
    for part in try reader.readers("frames", limit: Self.frameLimit) {
      let name = try part.text("dialog")
      guard let own = frames.isEmpty ? dialog : library[name], own.name == name else {
        throw part.problem("dialog", "there is no dialog `\(name)` here")
      }
      frames.append(try Frame(part, dialog: own, call: call, label: frames.isEmpty ? "" : "\(name)/"))
    }
    guard let last = frames.popLast() else { throw reader.problem("frames", "it is empty") }
    frame = last
    callers = frames
    for part in try reader.readers("held", limit: Self.heldLimit) { held.append(try DialogInput(part)) }
    for part in try reader.readers("playing") { playing.append(try Playing(part)) }
    for part in try reader.readers("hooks") { hooks.append(try PendingHook(part)) }
    lastPlayback = try reader.number("last_playback")
    lastHook = try reader.number("last_hook")
    lastModel = try reader.number("last_model")
    keyed = try reader.text("keyed")
    typedAhead = try reader.text("typed")
    skipsNextSpeech = try reader.flag("skips")
    depth = try reader.int("depth")
    hasReportedLoop = try reader.flag("looped")
    isHeld = try reader.flag("on_hold")
    isConnected = try reader.flag("connected")
    speakingSince = try reader.instant("speaking")
    interDigitDeadline = try reader.instant("digits_due")
    transferDeadline = try reader.instant("transfer_due")
    silence = try Countdown(reader.reader("silence"))
    stateTimer = try Countdown(reader.reader("timeout"))
    lastListen = announcedListen()
  }
}

extension DialogSession.Countdown {
  fileprivate var snapshot: Value? {
    guard let total else { return nil }
    var out = SnapshotWriter()
    out.put("total", .int(total))
    out.put("left", left == total ? nil : .int(left))
    out.put("since", since)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader?) throws(SnapshotError) {
    self.init()
    guard let reader else { return }
    total = try reader.amount("total")
    left = try reader.amount("left") ?? total ?? 0
    since = try reader.instant("since")
  }
}

extension DialogSession.Playing {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("id", id.value)
    out.put("level", level)
    out.put("loop", isLoop)
    out.put("filler", isFiller)
    out.put("barge_in", allowsBargeIn)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    self.init(
      id: PlaybackID(try reader.number("id")), level: try reader.int("level"), isLoop: try reader.flag("loop"),
      isFiller: try reader.flag("filler"), allowsBargeIn: try reader.flag("barge_in"))
  }
}

extension DialogSession.PendingHook {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("token", token.value)
    switch purpose {
    case .dialog: break
    case .tool(let call): out.put("tool", .string(call))
    case .toolList(let number): out.put("tools_of", .int(Int64(number)))
    case .passages: out.put("passages", true)
    }
    out.put("level", level)
    out.put("async", isAsync)
    out.put("into", resultInto.map { .string($0) })
    out.put("due", deadline)
    if let filler {
      out.put("filler", filler.source)
      out.put("filler_due", fillerDue)
      out.put("filler_said", hasSpoken)
    }
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    var purpose = Purpose.dialog
    if let call = try reader.optionalText("tool") { purpose = .tool(call) }
    if reader.has("tools_of") { purpose = .toolList(try reader.int("tools_of")) }
    if try reader.flag("passages") { purpose = .passages }
    var filler: Template?
    if let source = try reader.optionalText("filler") {
      do {
        filler = try Template(source)
      } catch {
        throw reader.problem("filler", error.message)
      }
    }
    self.init(
      token: HookToken(try reader.number("token")), purpose: purpose, level: try reader.int("level"),
      isAsync: try reader.flag("async"), resultInto: try reader.optionalText("into"),
      deadline: try reader.instant("due"), filler: filler, fillerDue: try reader.instant("filler_due"),
      hasSpoken: try reader.flag("filler_said"))
  }
}

extension DialogInput {
  /// Only inputs that can wait for the next state are ever written down.
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    switch self {
    case .speech(let heard):
      out.put("speech", .string(heard.transcript))
      out.put("confidence", .double(heard.confidence))
      out.put("language", heard.language)
      if !heard.slots.isEmpty { out.put("slots", .map(heard.slots)) }
    case .digit(let key): out.put("digit", .string(String(key)))
    case .hookResult(let token, let answer):
      out.put("hook", token.value)
      out.put("answer", answer)
    case .hookError(let token, let error, let status, let message):
      out.put("hook", token.value)
      out.put("error", .string(error))
      out.put("status", status)
      out.put("message", message)
    case .custom(let name, let data):
      out.put("event", .string(name))
      out.put("data", data)
    default: break
    }
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    if let transcript = try reader.optionalText("speech") {
      self = .speech(
        HeardSpeech(
          transcript: transcript, confidence: reader.value("confidence")?.doubleValue ?? 0,
          language: try reader.text("language"), slots: try reader.map("slots")))
    } else if let digit = try reader.optionalText("digit") {
      guard let key = digit.first, digit.count == 1 else { throw reader.problem("digit", "one key is expected") }
      self = .digit(key)
    } else if let name = try reader.optionalText("event") {
      self = .custom(name: name, data: reader.value("data") ?? .null)
    } else if reader.has("hook") {
      let token = HookToken(try reader.number("hook"))
      if let error = try reader.optionalText("error") {
        self = .hookError(token, error: error, status: try reader.int("status"), message: try reader.text("message"))
      } else {
        self = .hookResult(token, reader.value("answer") ?? .null)
      }
    } else {
      self = .noMatch
    }
  }
}
