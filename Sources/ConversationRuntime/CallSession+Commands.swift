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
      let prompt = prompts.addCommand(text: text, voice: voice, speed: speed, bargeIn: bargeIn)
      record(
        .actionExecuted,
        ["action": "play_tts", "by": "api", "detail": ["text": .string(text), "playback_id": .string("\(prompt.id)")]])
      speech.send(.say(prompt))
      return .done(fields: [
        "playback_id": .string("\(prompt.id)"),
        "estimated_duration_ms": .int(SpeakingTime.milliseconds(of: text, speed: speed)),
      ])
    case .event(let name, let data):
      guard case .active = phase else { return .refused("the call is not answered") }
      take(.custom(name: name, data: data))
      return .done(fields: ["accepted": true])
    }
  }
}
