import Base
import CallLink
import Dialogs
import Storage

/// What API clients want of a live call.
extension CallSession {
  func perform(_ command: CallCommand) -> CommandOutcome {
    switch command {
    case .hangup(let reason):
      guard DialogSession.hangupReasons.contains(reason) else {
        return .refused("reason must be one of \(DialogSession.hangupReasons.joined(separator: ", "))")
      }
      let duration: Duration
      switch phase {
      case .offered: duration = .zero
      case .active(let answeredAt): duration = now - answeredAt
      case .closing, .over: return .noSuchSession
      }
      record(.actionExecuted, ["action": "hangup", "by": "api", "detail": ["reason": .string(reason)]])
      if case .offered = phase {
        speech.send(.reject(reason == "busy" ? .busy : .rejected))
        end(.api)
      } else {
        hangUp(reason == "normal" ? .api : HangupReason(rawValue: reason) ?? .api, afterPlayback: false)
      }
      return .done(fields: ["call_duration_seconds": .double(Double(duration.milliseconds) / 1_000)])
    case .say(let text, let voice, let speed, let bargeIn):
      guard case .active = phase else { return .refused("the call is not answered") }
      let prompt = prompts.addCommand(.text(text), voice: voice, speed: speed, bargeIn: bargeIn)
      let id = play(prompt, as: "play_tts", ["text": .string(text)])
      return .done(fields: [
        "playback_id": id, "estimated_duration_ms": .int(SpeakingTime.milliseconds(of: text, speed: speed)),
      ])
    case .play(let object, let bargeIn):
      guard case .active = phase else { return .refused("the call is not answered") }
      let prompt = prompts.addCommand(.audio(url: object), bargeIn: bargeIn)
      return .done(fields: ["playback_id": play(prompt, as: "play_audio", ["url": .string(object)])])
    case .digits(let digits, let durationMs):
      guard case .active = phase else { return .refused("the call is not answered") }
      // What an API client keys may be a PIN: the record has their number alone.
      record(
        .actionExecuted,
        ["action": "send_dtmf", "by": "api", "detail": ["count": .int(Int64(digits.count))]])
      speech.send(.sendDigits(digits, durationMs: durationMs))
      return .done(fields: ["accepted": true])
    case .event(let name, let data):
      guard case .active = phase else { return .refused("the call is not answered") }
      take(.custom(name: name, data: data))
      return .done(fields: ["accepted": true])
    }
  }
  /// Plays what the API asked for; the playback's name.
  private func play(_ prompt: Prompt, as action: String, _ detail: [String: Value]) -> Value {
    let id = Value.string("\(prompt.id)")
    record(
      .actionExecuted,
      ["action": .string(action), "by": "api", "detail": .map(detail.merging(["playback_id": id]) { $1 })])
    speech.send(.say(prompt))
    return id
  }
}
