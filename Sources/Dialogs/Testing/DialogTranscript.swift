import Base

/// A call in virtual time as lines for people.
public enum DialogTranscript {
  public static func lines(of happenings: [VirtualCall.Happening]) -> [String] {
    happenings.compactMap { happening in text(of: happening.what).map { "\(seconds(happening.at)) \($0)" } }
  }

  /// `12.345`, in seconds, as wide as most calls need.
  private static func seconds(_ instant: Instant) -> String {
    let ms = (instant - .zero).milliseconds
    let fraction = String(ms % 1_000)
    let whole = String(ms / 1_000)
    return String(repeating: " ", count: max(0, 4 - whole.count)) + whole + "."
      + String(repeating: "0", count: 3 - fraction.count) + fraction
  }

  private static func text(of what: VirtualCall.What) -> String? {
    switch what {
    case .said(let prompt):
      switch prompt.source {
      case .text, .markup: return "<< \(prompt.spokenText)"
      case .audio(let url): return "<< [audio \(url)]"
      case .silence(let ms): return "<< [silence \(ms) ms]"
      }
    case .cut(_, let heard): return "   interrupted after \"\(heard)\""
    case .caller(let input, let wasHeard):
      return text(of: input).map { ">> \($0)" + (wasHeard ? "" : " (nobody listens)") }
    case .hookCalled(let hook): return "-- hook \(CallScript.name(of: hook))"
    case .hookEnded(let name, let answer):
      switch answer.outcome {
      case .answer(let value): return "-- hook \(name) answers \(JSON.encode(value))"
      case .error(let error, _, let message):
        return "-- hook \(name) fails: \(error)" + (message.isEmpty ? "" : " (\(message))")
      }
    case .modelAsked(let request): return "-- model asked (\(request.messages.count) messages)"
    case .emitted(let name, let data): return "-- emit \(name) \(JSON.encode(data))"
    case .transferAsked(let transfer): return "-- transfer to \(transfer.target)"
    case .acted(let action): return "-- \(action)"
    case .outcome(let outcome): return "-- outcome \(outcome.disposition)"
    case .trouble(let message): return "!! \(message)"
    case .trace(let trace): return text(of: trace)
    }
  }

  private static func text(of input: DialogInput) -> String? {
    switch input {
    case .speech(let heard): heard.transcript
    case .noMatch: "[unintelligible]"
    case .digit(let key): "#\(key)"
    case .custom(let name, let data): "!\(name) \(JSON.encode(data))"
    case .transferResult(let status): "[transfer: \(status)]"
    case .callHeld: "[hold]"
    case .callResumed: "[back from hold]"
    case .recordingComplete: "[recording complete]"
    case .answeredBy(let who): "[answered by \(who)]"
    case .hangup: "[hangs up]"
    default: nil
    }
  }

  private static func text(of trace: DialogTrace) -> String? {
    switch trace {
    case .stateTransition(let from, let to, let trigger): from.isEmpty ? "-> \(to)" : "-> \(to) (\(trigger))"
    case .stayed(let state, let trigger): "-> stays in \(state) (\(trigger))"
    case .variableChanged(let name, let value): "   \(name) = \(JSON.encode(value))"
    case .reprompt(_, let event, let attempt): "-- \(event): says it again (\(attempt))"
    case .eventIgnored(_, let event): "-- \(event): no transition"
    case .failure(_, let code, let message): "!! \(code): \(message)"
    case .toolCalled(_, let tool, let arguments, let outcome): "-- tool \(tool) \(JSON.encode(arguments)): \(outcome)"
    case .ended(_, let reason): "-- end of call (\(reason))"
    case .actionExecuted, .agentMessage, .secretDecision: nil
    }
  }
}
