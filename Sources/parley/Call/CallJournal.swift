import NIOConcurrencyHelpers

/// Prints what happens in the order in which it happened, although understanding takes a moment: a line that is still being
/// understood holds back the ones after it.
final class CallJournal: Sendable {
  struct Entry: Sendable {
    var atMs: Int
    var who: String
    /// nil: not understood yet.
    var text: String?
  }

  private let state = NIOLockedValueBox<(entries: [Entry], printed: Int)>(([], 0))
  private let isQuiet: Bool

  init(isQuiet: Bool) { self.isQuiet = isQuiet }

  /// Appends a line; returns its number for ``resolve(_:as:)``.
  @discardableResult
  func add(atMs: Int, who: String, text: String?) -> Int {
    let number = state.withLockedValue {
      $0.entries.append(Entry(atMs: atMs, who: who, text: text))
      return $0.entries.count - 1
    }
    flush()
    return number
  }

  func resolve(_ number: Int, as text: String) {
    state.withLockedValue { $0.entries[number].text = text }
    flush()
  }

  var entries: [Entry] { state.withLockedValue { $0.entries } }

  private func flush() {
    state.withLockedValue { state in
      while state.printed < state.entries.count, let text = state.entries[state.printed].text {
        let entry = state.entries[state.printed]
        state.printed += 1
        if !isQuiet { printLine("\(seconds(entry.atMs))  \(entry.who)  \(text)") }
      }
    }
  }

  private func seconds(_ ms: Int) -> String {
    let tenths = (ms + 50) / 100
    let text = "\(tenths / 10).\(tenths % 10)s"
    return String(repeating: " ", count: max(0, 7 - text.count)) + text
  }
}
