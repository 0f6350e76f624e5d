import Base

extension Frame {
  /// Values are written where they differ from those at the start of the call.
  func snapshot(call: CallFacts) -> Value {
    let fresh = Frame(dialog, call: call, label: label)
    let plan = dialog.plan
    var out = SnapshotWriter()
    out.put("dialog", dialog.name)
    out.put("shape", .list([.int(Int64(plan.states.count)), .int(Int64(plan.ways.count))]))
    out.put("state", stateIndex.map { .string(plan.states[$0].name) })
    var changed: [String: Value] = [:]
    for i in values.indices where values[i] != fresh.values[i] { changed[plan.names[i]] = values[i] }
    if !changed.isEmpty { out.put("values", .map(changed)) }
    if masked != fresh.masked { out.put("masked", .list(masked.slots.map { .string(plan.names[$0]) })) }
    out.put("runs", runs.map { $0.snapshot(plan) })
    out.put("agent", agent?.snapshot)
    out.put("listen", listenOverride?.snapshot)
    out.put("progress", enterProgress)
    out.put("played", hasPlayed)
    out.put("interrupted", wasInterrupted)
    out.put("no_input", noInputCount)
    out.put("no_match", noMatchCount)
    return out.value
  }

  init(_ reader: SnapshotReader, dialog: Dialog, call: CallFacts, label: String) throws(SnapshotError) {
    self.init(dialog, call: call, label: label)
    let plan = dialog.plan
    let shape: Value = .list([.int(Int64(plan.states.count)), .int(Int64(plan.ways.count))])
    guard reader.value("shape") == shape else {
      throw reader.problem("shape", "the dialog `\(dialog.name)` has changed since")
    }
    if let name = try reader.optionalText("state") {
      guard let index = dialog.index(ofState: name) else {
        throw reader.problem("state", "the dialog has no state `\(name)`")
      }
      stateIndex = index
    }
    for (name, value) in try reader.map("values") { values[try Self.slot(name, plan, reader, "values")] = value }
    if reader.has("masked") {
      masked = MaskedSlots()
      for name in try reader.texts("masked") { masked.insert(try Self.slot(name, plan, reader, "masked")) }
    }
    for part in try reader.readers("runs", limit: 2 * DialogSession.runLimit) { runs.append(try Run(part, dialog)) }
    if let part = try reader.reader("agent") {
      guard let stateIndex, let settings = dialog.states[stateIndex].agent else {
        throw reader.problem("agent", "the state is no agent state")
      }
      agent = try AgentTalk(part, settings)
    }
    if let part = try reader.reader("listen") { listenOverride = try ListenSettings(part) }
    enterProgress = try reader.int("progress")
    hasPlayed = try reader.flag("played")
    wasInterrupted = try reader.flag("interrupted")
    noInputCount = try reader.int("no_input")
    noMatchCount = try reader.int("no_match")
  }

  private static func slot(
    _ name: String, _ plan: DialogPlan, _ reader: SnapshotReader, _ key: String
  ) throws(SnapshotError) -> Int {
    guard let slot = plan.slots[name] else { throw reader.problem(key, "the dialog has no variable `\(name)`") }
    return slot
  }
}

extension Run {
  fileprivate func snapshot(_ plan: DialogPlan) -> Value {
    var out = SnapshotWriter()
    switch place {
    case .enter(let state): out.put("enter", .string(plan.states[state].name))
    case .way(let way): out.put("way", .int(Int64(way)))
    case .answer(let answer): out.put("answer", .list(answer.source))
    case .none: break
    }
    switch then {
    case .rest: break
    case .stay: out.put("stays", true)
    case .enter(let target, let trigger):
      out.put("target", .string(plan.states[target].name))
      out.put("trigger", trigger)
    }
    switch wait {
    case .none: break
    case .playback(let id): out.put("playback", .int(Int64(id.value)))
    case .hook(let token): out.put("hook", .int(Int64(token.value)))
    case .digits(let step): out.put("digits", step.snapshot)
    case .transfer: out.put("transfer", true)
    case .dialog: out.put("dialog", true)
    }
    out.put("next", next)
    out.put("cut", isCut)
    out.put("spoke", hasSpoken)
    out.put("effects", effectsFrom)
    out.put("tool", toolCall.map { .string($0) })
    out.put("into", into.map { .string($0) })
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader, _ dialog: Dialog) throws(SnapshotError) {
    func state(_ key: String) throws(SnapshotError) -> Int? {
      guard let name = try reader.optionalText(key) else { return nil }
      guard let index = dialog.index(ofState: name) else {
        throw reader.problem(key, "the dialog has no state `\(name)`")
      }
      return index
    }
    var place = Place.none
    if let index = try state("enter") {
      place = .enter(index)
    } else if reader.has("way") {
      place = .way(try reader.int("way", in: 0...max(0, dialog.plan.ways.count - 1)))
    } else if reader.has("answer") {
      let source = try reader.list("answer")
      do {
        place = .answer(BackendActions(source: source, steps: try DialogSession.decode(source, for: dialog)))
      } catch {
        throw reader.problem("answer", error.message)
      }
    }
    var then = Then.rest
    if let target = try state("target") {
      then = .enter(target, trigger: try reader.text("trigger"))
    } else if try reader.flag("stays") {
      then = .stay
    }
    self.init(place, then: then, effectsFrom: try reader.int("effects"))
    if reader.has("playback") { wait = .playback(PlaybackID(try reader.number("playback"))) }
    if reader.has("hook") { wait = .hook(HookToken(try reader.number("hook"))) }
    if let part = try reader.reader("digits") { wait = .digits(try CollectStep(part)) }
    if try reader.flag("transfer") { wait = .transfer }
    if try reader.flag("dialog") { wait = .dialog }
    next = try reader.int("next")
    isCut = try reader.flag("cut")
    hasSpoken = try reader.flag("spoke")
    toolCall = try reader.optionalText("tool")
    into = try reader.optionalText("into")
  }
}

extension CollectStep {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("max", max)
    out.put("min", min)
    out.put("terminator", terminator)
    out.put("pause", .int(interDigitTimeout.nanoseconds))
    out.put("timeout", timeout)
    out.put("into", into.map { .string($0) })
    out.put("mask", isMasked)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    self.init(
      max: try reader.int("max"), min: try reader.int("min"), terminator: try reader.text("terminator"),
      interDigitTimeout: try reader.duration("pause") ?? DialogSession.interDigitTimeout,
      timeout: try reader.duration("timeout"), into: try reader.optionalText("into"),
      isMasked: try reader.flag("mask"))
  }
}

extension ListenSettings {
  fileprivate var snapshot: Value {
    var out = SnapshotWriter()
    out.put("hints", hints.map { .string($0) })
    out.put("grammar", grammar)
    out.put("language", language)
    out.put("min_silence_ms", minSilenceMs.map { .int(Int64($0)) })
    out.put("timeout", timeout)
    out.put("barge_in", bargeIn.map { .bool($0) })
    out.put("max_digits", maxDigits.map { .int(Int64($0)) })
    out.put("terminator", terminator.map { .string($0) })
    out.put("pause", interDigitTimeout)
    return out.value
  }

  fileprivate init(_ reader: SnapshotReader) throws(SnapshotError) {
    self.init()
    hints = try reader.texts("hints")
    grammar = try reader.text("grammar")
    language = try reader.text("language")
    minSilenceMs = reader.has("min_silence_ms") ? try reader.int("min_silence_ms") : nil
    timeout = try reader.duration("timeout")
    bargeIn = reader.has("barge_in") ? try reader.flag("barge_in") : nil
    maxDigits = reader.has("max_digits") ? try reader.int("max_digits") : nil
    terminator = try reader.optionalText("terminator")
    interDigitTimeout = try reader.duration("pause")
  }
}
