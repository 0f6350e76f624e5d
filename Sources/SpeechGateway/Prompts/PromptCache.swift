import NIOConcurrencyHelpers

/// Sentences already spoken, by voice, speed and text; the least recently used go first. Safe from any thread.
final class PromptCache: Sendable {
  private struct Entry {
    var sound: Sound
    var used: UInt64
  }
  private struct State {
    var entries: [SynthesisRequest: Entry] = [:]
    var bytes = 0
    var clock: UInt64 = 0
  }
  private let state = NIOLockedValueBox(State())
  private let limit: Int
  /// Memory of an entry besides its samples, roughly.
  private static let overhead = 256

  /// - Parameter bytes: the most memory for samples; 0 keeps nothing.
  init(bytes: Int) { limit = bytes }

  private static func size(_ sound: Sound, _ key: SynthesisRequest) -> Int {
    sound.samples.count * 2 + sound.words.count * 40 + key.text.utf8.count + overhead
  }

  func find(_ key: SynthesisRequest) -> Sound? {
    state.withLockedValue { state in
      state.clock += 1
      guard let entry = state.entries[key] else { return nil }
      state.entries[key]?.used = state.clock
      return entry.sound
    }
  }

  /// Keeps the sound. One that would fill more than a quarter of the cache is not kept.
  func keep(_ sound: Sound, for key: SynthesisRequest) {
    let size = Self.size(sound, key)
    guard size <= limit / 4 else { return }
    state.withLockedValue { state in
      state.clock += 1
      if let old = state.entries.updateValue(Entry(sound: sound, used: state.clock), forKey: key) {
        state.bytes -= Self.size(old.sound, key)
      }
      state.bytes += size
      guard state.bytes > limit else { return }
      // Makes room for several at once, so that the sort is paid seldom.
      for (key, entry) in state.entries.sorted(by: { $0.value.used < $1.value.used }) {
        if state.bytes <= limit - limit / 8 { break }
        state.entries.removeValue(forKey: key)
        state.bytes -= Self.size(entry.sound, key)
      }
    }
  }

  /// Entries and bytes held now.
  var usage: (entries: Int, bytes: Int) { state.withLockedValue { ($0.entries.count, $0.bytes) } }
}
