import Base
import CallLink
import Turns

extension SpeechState {
  /// Compact JSON. A state that would be too large for its keepers says only that: the call goes on, but cannot be handed over.
  var bytes: [UInt8] {
    var out: [UInt8] = []
    JSON.write(value, to: &out)
    if out.count > CallState.byteLimit {
      out.removeAll()
      JSON.write(.map(["v": .int(Int64(Self.version)), "too_large": true]), to: &out)
    }
    return out
  }

  /// - Throws: where the bytes are no state, or not one of this version.
  init(_ bytes: [UInt8]) throws(CallStateError) {
    let value: Value
    do { value = try JSON.decode(bytes) } catch { throw CallStateError("the speech role's state is damaged: \(error)") }
    let state = StateReader(value)
    let version = try state.int("v")
    guard version == Self.version else {
      throw CallStateError("the speech role's state has version \(version), this process reads \(Self.version)")
    }
    guard state["too_large"] == nil else { throw CallStateError("the speech role's state was too large to be kept") }
    try self.init(state)
  }

  private var value: Value {
    // The same specification stands in several places.
    var specs: [ListenSpec] = []
    func number(_ spec: ListenSpec) -> Value {
      if let known = specs.firstIndex(of: spec) { return .int(Int64(known)) }
      specs.append(spec)
      return .int(Int64(specs.count - 1))
    }
    var map: [String: Value] = [
      "v": .int(Int64(Self.version)), "left": .int(Int64(clamping: place.left)),
      "right": .int(Int64(clamping: place.right)), "heard_from": .int(heardFrom), "listen": number(listen),
      "turn_listen": number(turnListen), "turns": turns.value,
    ]
    if isOver { map["over"] = true }
    if let answered { map["answered"] = [.int(answered.position), .int(answered.sinceMs)] }
    if let hangup { map["hangup"] = .string(hangup.rawValue) }
    if !playbacks.isEmpty { map["prompts"] = .list(playbacks.map(\.value)) }
    if !finals.isEmpty {
      map["unheard"] = .list(
        finals.map { .list($0.segment.values + [number($0.listen), .int(Int64($0.endpointMs))]) })
    }
    if !told.isEmpty { map["told"] = .string(told) }
    map["specs"] = .list(specs.map(\.value))
    return .map(map)
  }

  private init(_ state: StateReader) throws(CallStateError) {
    var specs: [ListenSpec] = []
    for spec in try state.list("specs") { specs.append(try ListenSpec(StateReader(spec))) }
    func spec(_ number: Int) throws(CallStateError) -> ListenSpec {
      guard specs.indices.contains(number) else { throw StateReader.damaged("specs") }
      return specs[number]
    }
    place = CallPlace(left: UInt64(try state.int("left")), right: UInt64(try state.int("right")))
    isOver = try state.flag("over")
    heardFrom = try Int64(state.int("heard_from"))
    listen = try spec(state.int("listen"))
    turnListen = try spec(state.int("turn_listen"))
    turns = try TurnMemory(state.reader("turns"))
    told = try state.text("told")
    let answer = try state.ints("answered")
    if !answer.isEmpty {
      guard answer.count == 2 else { throw StateReader.damaged("answered") }
      answered = Answer(position: Int64(answer[0]), sinceMs: Int64(answer[1]))
    }
    if state["hangup"] != nil { hangup = try state.choice("hangup") }
    for prompt in try state.list("prompts") {
      let playback = try KeptPlayback(StateReader(prompt))
      guard playbacks.count < PlaybackQueue.maxQueued,
        !playbacks.contains(where: { $0.prompt.id == playback.prompt.id })
      else { throw StateReader.damaged("prompts") }
      playbacks.append(playback)
    }
    for turn in try state.list("unheard") {
      let numbers = try StateReader.ints(turn, "unheard")
      guard numbers.count == 7 else { throw StateReader.damaged("unheard") }
      finals.append(
        UnheardTurn(
          segment: try Segment(numbers[0..<5]), listen: try spec(numbers[5]), endpointMs: numbers[6]))
    }
  }
}

/// Reads a state, which came from outside: every number is one that no sum or product can overflow with.
struct StateReader {
  /// Centuries of samples.
  private static let limit: Int64 = 1 << 48
  private let value: Value

  init(_ value: Value) { self.value = value }

  static func damaged(_ key: String) -> CallStateError {
    CallStateError("the speech role's state is damaged: '\(key)'")
  }

  subscript(key: String) -> Value? { value[key] }

  private static func int(_ value: Value?, _ key: String) throws(CallStateError) -> Int {
    guard case .int(let number) = value, (0..<limit).contains(number) else { throw damaged(key) }
    return Int(number)
  }

  /// Not negative.
  func int(_ key: String) throws(CallStateError) -> Int { try Self.int(value[key], key) }

  func int(_ key: String, else absent: Int) throws(CallStateError) -> Int {
    value[key] == nil ? absent : try int(key)
  }

  func flag(_ key: String) throws(CallStateError) -> Bool {
    guard let flag = value[key] else { return false }
    guard let bool = flag.boolValue else { throw Self.damaged(key) }
    return bool
  }

  func text(_ key: String) throws(CallStateError) -> String {
    guard let text = value[key] else { return "" }
    guard let string = text.stringValue else { throw Self.damaged(key) }
    return string
  }

  func number(_ key: String, else absent: Double) throws(CallStateError) -> Double {
    guard let number = value[key] else { return absent }
    guard let double = number.doubleValue else { throw Self.damaged(key) }
    return double
  }

  func list(_ key: String) throws(CallStateError) -> [Value] {
    guard let list = value[key] else { return [] }
    guard case .list(let items) = list else { throw Self.damaged(key) }
    return items
  }

  static func ints(_ value: Value, _ key: String) throws(CallStateError) -> [Int] {
    guard case .list(let items) = value else { throw damaged(key) }
    var numbers: [Int] = []
    for item in items { numbers.append(try int(item, key)) }
    return numbers
  }

  func ints(_ key: String) throws(CallStateError) -> [Int] {
    guard let list = value[key] else { return [] }
    return try Self.ints(list, key)
  }

  func texts(_ key: String) throws(CallStateError) -> [String] {
    var texts: [String] = []
    for item in try list(key) {
      guard let text = item.stringValue else { throw Self.damaged(key) }
      texts.append(text)
    }
    return texts
  }

  func reader(_ key: String) throws(CallStateError) -> StateReader {
    guard let inner = value[key], case .map = inner else { throw Self.damaged(key) }
    return StateReader(inner)
  }

  func choice<Choice: RawRepresentable<String>>(_ key: String) throws(CallStateError) -> Choice {
    guard let choice = Choice(rawValue: try text(key)) else { throw Self.damaged(key) }
    return choice
  }
}

// MARK: The parts

extension ListenSpec {
  fileprivate var value: Value {
    var map: [String: Value] = [:]
    if !phrases.isEmpty { map["phrases"] = .list(phrases.map { .string($0) }) }
    if !grammar.isEmpty { map["grammar"] = .string(grammar) }
    if !language.isEmpty { map["language"] = .string(language) }
    if let minSilenceMs { map["silence_ms"] = .int(Int64(max(0, minSilenceMs))) }
    if !speech { map["deaf"] = true }
    if isOpen { map["open"] = true }
    if !bargeIn { map["protected"] = true }
    return .map(map)
  }

  fileprivate init(_ state: StateReader) throws(CallStateError) {
    self.init(
      phrases: try state.texts("phrases"), grammar: try state.text("grammar"), language: try state.text("language"),
      minSilenceMs: state["silence_ms"] == nil ? nil : try state.int("silence_ms"), speech: !(try state.flag("deaf")),
      isOpen: try state.flag("open"), bargeIn: !(try state.flag("protected")))
  }
}

extension Segment {
  fileprivate var values: [Value] {
    [.int(start), .int(end), .int(speechStart), .int(speechEnd), .int(Int64(revision))]
  }

  fileprivate init(_ numbers: ArraySlice<Int>) throws(CallStateError) {
    let n = numbers.map { Int64($0) }
    guard n.count == 5, n[0] <= n[1], n[2] <= n[3] else { throw StateReader.damaged("unheard") }
    self.init(start: n[0], end: n[1], speechStart: n[2], speechEnd: n[3], revision: Int(n[4]))
  }
}

extension TurnMemory {
  fileprivate var value: Value {
    var map: [String: Value] = [
      "position": .int(position), "floor": .int(segmentFloor), "from": .int(audioFrom), "turn": .int(Int64(turn)),
      "revision": .int(Int64(revision)), "silence_ms": .int(Int64(max(0, minSilenceMs))),
      "listening": listening.value,
    ]
    switch phase {
    case .idle: break
    case .suspected(let voice): map["suspected"] = voice.value
    case .turn(let voice): map["open"] = voice.value
    }
    if case .playing(let bargeIn) = playback { map["playing"] = .bool(bargeIn) }
    if isInterrupted { map["interrupted"] = true }
    return .map(map)
  }

  fileprivate init(_ state: StateReader) throws(CallStateError) {
    let phase: Phase
    if state["open"] != nil {
      phase = .turn(try Voice(state.reader("open")))
    } else if state["suspected"] != nil {
      phase = .suspected(try Voice(state.reader("suspected")))
    } else {
      phase = .idle
    }
    self.init(
      phase: phase, listening: try Listening(state.reader("listening")), minSilenceMs: try state.int("silence_ms"),
      playback: state["playing"] == nil ? .silent : .playing(bargeIn: try state.flag("playing")),
      isInterrupted: try state.flag("interrupted"), turn: try state.int("turn"), revision: try state.int("revision"),
      position: Int64(try state.int("position")), segmentFloor: Int64(try state.int("floor")),
      audioFrom: Int64(try state.int("from")))
  }
}

extension TurnMemory.Voice {
  fileprivate var value: Value {
    var map: [String: Value] = ["onset": .int(onset), "end": .int(end)]
    if isPausing { map["pausing"] = true }
    if interrupted { map["interrupted"] = true }
    return .map(map)
  }

  fileprivate init(_ state: StateReader) throws(CallStateError) {
    self.init(
      onset: Int64(try state.int("onset")), end: Int64(try state.int("end")), isPausing: try state.flag("pausing"),
      interrupted: try state.flag("interrupted"))
  }
}

extension Listening {
  fileprivate var value: Value {
    var map: [String: Value] = ["speech": .bool(speech), "barge_in": .bool(bargeIn)]
    if let minSilenceMs { map["silence_ms"] = .int(Int64(max(0, minSilenceMs))) }
    return .map(map)
  }

  fileprivate init(_ state: StateReader) throws(CallStateError) {
    self.init(
      minSilenceMs: state["silence_ms"] == nil ? nil : try state.int("silence_ms"), speech: try state.flag("speech"),
      bargeIn: try state.flag("barge_in"))
  }
}

extension KeptPlayback {
  fileprivate var value: Value {
    var map: [String: Value] = ["id": .int(Int64(prompt.id.value))]
    switch prompt.source {
    case .text(let text): map["text"] = .string(text)
    case .markup(let text): map["markup"] = .string(text)
    case .audio(let url): map["audio"] = .string(url)
    case .silence(let ms): map["silence_ms"] = .int(Int64(max(0, ms)))
    }
    if !prompt.voice.isEmpty { map["voice"] = .string(prompt.voice) }
    if prompt.speed != 1 { map["speed"] = .double(prompt.speed) }
    if !prompt.language.isEmpty { map["language"] = .string(prompt.language) }
    if !prompt.bargeIn { map["protected"] = true }
    if !prompt.cache { map["uncached"] = true }
    if prompt.loop { map["loop"] = true }
    if isLooping { map["looping"] = true }
    switch stage {
    case .live: break
    case .suspended: map["suspended"] = true
    case .clearing(let cause): map["cut"] = .string(cause.rawValue)
    }
    if hasStarted { map["started"] = true }
    if pieceLimit > 0 { map["pieces"] = .int(Int64(pieceLimit)) }
    guard line != .unopened else { return .map(map) }
    map["line"] = .string(line.rawValue)
    map["at"] = .list(
      [played, playedBefore, heardBefore, place.piece, place.start].map { .int(Int64($0)) })
    if !words.isEmpty { map["words"] = .list(words.map { .string($0) }) }
    return .map(map)
  }

  fileprivate init(_ state: StateReader) throws(CallStateError) {
    guard let id = UInt32(exactly: try state.int("id")) else { throw StateReader.damaged("id") }
    let source: Prompt.Source
    if state["text"] != nil {
      source = .text(try state.text("text"))
    } else if state["markup"] != nil {
      source = .markup(try state.text("markup"))
    } else if state["audio"] != nil {
      source = .audio(url: try state.text("audio"))
    } else {
      source = .silence(ms: try state.int("silence_ms"))
    }
    self.init(
      prompt: Prompt(
        id: PlaybackID(id), source: source, voice: try state.text("voice"), speed: try state.number("speed", else: 1),
        language: try state.text("language"), bargeIn: !(try state.flag("protected")),
        cache: !(try state.flag("uncached")), loop: try state.flag("loop")), isLooping: try state.flag("looping"))
    if state["cut"] != nil {
      stage = .clearing(try state.choice("cut"))
    } else if try state.flag("suspended") {
      stage = .suspended
    }
    hasStarted = try state.flag("started")
    pieceLimit = try state.int("pieces", else: 0)
    guard state["line"] != nil else { return }
    line = try state.choice("line")
    let at = try state.ints("at")
    guard at.count == 5 else { throw StateReader.damaged("at") }
    (played, playedBefore, heardBefore) = (at[0], at[1], at[2])
    place = Playback.Place(piece: at[3], start: at[4])
    words = try state.texts("words")
  }
}
