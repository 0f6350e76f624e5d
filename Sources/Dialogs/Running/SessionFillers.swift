import Base

/// What the caller hears while a hook is waited for.
extension DialogSession {
  /// Says the fillers whose time has come. The first one of a hook that holds up the dialog follows what is said already;
  /// all others wait until it is quiet.
  mutating func sayFillers() {
    for i in hooks.indices {
      guard i < hooks.count, let due = hooks[i].fillerDue, due <= now, let filler = hooks[i].filler else { continue }
      guard hooks[i].level == level else {
        hooks[i].fillerDue = now + Self.fillerInterval
        continue
      }
      if hooks[i].isAsync || hooks[i].hasSpoken {
        if speakingSince != nil || interDigitDeadline != nil || isHeld || isConnected {
          hooks[i].fillerDue = now + Self.fillerInterval
          continue
        }
        guard playing.allSatisfy(\.isLoop) else {
          hooks[i].fillerDue = nil
          continue
        }
      }
      hooks[i].fillerDue = nil
      hooks[i].hasSpoken = true
      playFiller(filler)
    }
  }

  /// Whoever still waits for a hook hears its filler again after a while; a caller who cut it has heard enough.
  mutating func quietAfter(filler wasFiller: Bool, byCaller: Bool) {
    guard playing.allSatisfy(\.isLoop) else { return }
    for i in hooks.indices where hooks[i].filler != nil && hooks[i].fillerDue == nil && hooks[i].deadline != nil {
      if wasFiller, byCaller {
        hooks[i].filler = nil
      } else {
        hooks[i].fillerDue = now + (hooks[i].hasSpoken ? Self.fillerInterval : Self.fillerDelay)
      }
    }
  }

  /// Whether the caller was asked for patience: then silence is what is expected.
  var hasAskedForPatience: Bool {
    let level = level
    return hooks.contains { $0.isAsync && $0.filler != nil && $0.level == level && $0.deadline != nil }
  }
}
