import Base

/// Commands and their outcomes as processes send them to each other: JSON.
enum CommandWire {
  enum Message {
    case ask(id: String, from: String, session: SessionID, tenant: String, CallCommand)
    case answer(id: String, CommandOutcome)
  }

  /// The largest text that the API takes fits many times.
  static let byteLimit = 1 << 20

  static func ask(
    id: String, from instance: String, session: SessionID, tenant: String, command: CallCommand
  ) -> [UInt8] {
    bytes([
      "ask": .string(id), "from": .string(instance), "session": .string(session.value), "tenant": .string(tenant),
      "command": value(command),
    ])
  }

  static func answer(id: String, _ outcome: CommandOutcome) -> [UInt8] {
    bytes(["answer": .string(id), "outcome": value(outcome)])
  }

  /// nil: it is none of these.
  static func read(_ bytes: [UInt8]) -> Message? {
    guard bytes.count <= byteLimit, let message = try? JSON.decode(String(decoding: bytes, as: UTF8.self)) else {
      return nil
    }
    if let id = message["ask"]?.stringValue, let from = message["from"]?.stringValue,
      let session = message["session"]?.stringValue, let tenant = message["tenant"]?.stringValue,
      let command = message["command"].flatMap(command)
    {
      return .ask(id: id, from: from, session: SessionID(session), tenant: tenant, command)
    }
    if let id = message["answer"]?.stringValue, let outcome = message["outcome"].flatMap(outcome) {
      return .answer(id: id, outcome)
    }
    return nil
  }

  private static func bytes(_ value: Value) -> [UInt8] {
    var bytes: [UInt8] = []
    JSON.write(value, to: &bytes)
    return bytes
  }

  private static func value(_ command: CallCommand) -> Value {
    switch command {
    case .hangup(let reason): ["do": "hangup", "reason": .string(reason)]
    case .say(let text, let voice, let speed, let bargeIn):
      [
        "do": "say", "text": .string(text), "voice": .string(voice), "speed": .double(speed),
        "barge_in": .bool(bargeIn),
      ]
    case .play(let object, let bargeIn): ["do": "play", "object": .string(object), "barge_in": .bool(bargeIn)]
    case .digits(let digits, let durationMs):
      ["do": "digits", "digits": .string(digits), "duration_ms": .int(Int64(durationMs))]
    case .event(let name, let data): ["do": "event", "name": .string(name), "data": data]
    }
  }

  private static func command(_ value: Value) -> CallCommand? {
    switch value["do"]?.stringValue {
    case "hangup": return value["reason"]?.stringValue.map { .hangup(reason: $0) }
    case "say":
      guard let text = value["text"]?.stringValue, let voice = value["voice"]?.stringValue,
        let speed = value["speed"]?.doubleValue, let bargeIn = value["barge_in"]?.boolValue
      else { return nil }
      return .say(text: text, voice: voice, speed: speed, bargeIn: bargeIn)
    case "play":
      guard let object = value["object"]?.stringValue, let bargeIn = value["barge_in"]?.boolValue else { return nil }
      return .play(object: object, bargeIn: bargeIn)
    case "digits":
      guard let digits = value["digits"]?.stringValue,
        let durationMs = value["duration_ms"]?.intValue.flatMap({ Int(exactly: $0) })
      else { return nil }
      return .digits(digits, durationMs: durationMs)
    case "event":
      guard let name = value["name"]?.stringValue, let data = value["data"] else { return nil }
      return .event(name: name, data: data)
    default: return nil
    }
  }

  private static func value(_ outcome: CommandOutcome) -> Value {
    switch outcome {
    case .done(let fields): ["done": .map(fields)]
    case .noSuchSession: ["no_such_session": true]
    case .refused(let sentence): ["refused": .string(sentence)]
    case .unreachable(let sentence): ["unreachable": .string(sentence)]
    }
  }

  private static func outcome(_ value: Value) -> CommandOutcome? {
    if case .map(let fields)? = value["done"] { return .done(fields: fields) }
    if value["no_such_session"] != nil { return .noSuchSession }
    if let sentence = value["refused"]?.stringValue { return .refused(sentence) }
    if let sentence = value["unreachable"]?.stringValue { return .unreachable(sentence) }
    return nil
  }
}
