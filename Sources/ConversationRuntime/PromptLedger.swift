import Base
import CallLink
import Dialogs

/// Which prompts of a session are on their way, and what the record may say of each.
struct PromptLedger {
  /// Playbacks that were not asked for by the dialog have identifiers from here on, so that the two never meet.
  private static let firstCommand: UInt32 = 0x8000_0000

  private struct Entry {
    var text: String
    /// What is spoken contains a masked value: what was heard of it stays out of the record.
    var isMasked: Bool
    var isCommand: Bool
  }
  private var entries: [PlaybackID: Entry] = [:]
  private var commands: UInt32 = 0

  init() {}

  /// A prompt of the dialog.
  mutating func add(_ prompt: DialogPrompt) {
    let text: String
    switch prompt.source {
    case .text(let spoken): text = prompt.recordedText ?? spoken
    case .markup(let source):
      let recorded = prompt.recordedText ?? source
      text = (try? SpeechMarkup(recorded))?.plainText ?? recorded
    case .audio(let url): text = url
    case .silence: text = ""
    }
    entries[prompt.id] = Entry(text: text, isMasked: prompt.recordedText != nil, isCommand: false)
  }

  /// A prompt that a command asked for, with the identifier it gets.
  mutating func addCommand(_ source: Prompt.Source, voice: String = "", speed: Double = 1, bargeIn: Bool) -> Prompt {
    let id = PlaybackID(Self.firstCommand &+ commands)
    commands &+= 1
    let text: String
    switch source {
    case .text(let spoken), .markup(let spoken): text = spoken
    case .audio(let url): text = url
    case .silence: text = ""
    }
    entries[id] = Entry(text: text, isMasked: false, isCommand: true)
    return Prompt(id: id, source: source, voice: voice, speed: speed, bargeIn: bargeIn)
  }

  /// Whether the API asked for it.
  func isCommand(_ id: PlaybackID) -> Bool { entries[id]?.isCommand == true }

  /// The prompt is over.
  mutating func remove(_ id: PlaybackID) { entries[id] = nil }

  /// The fields with which an event names a playback.
  func identity(_ id: PlaybackID) -> [String: Value] {
    var fields: [String: Value] = ["playback_id": .string(id.description)]
    if entries[id]?.isCommand == true { fields["by"] = "api" }
    return fields
  }

  func startedFields(_ id: PlaybackID) -> [String: Value] {
    var fields = identity(id)
    fields["text"] = .string(entries[id]?.text ?? "")
    return fields
  }

  func interruptedFields(_ id: PlaybackID, heard: String, playedMs: Int, by: Interruption) -> [String: Value] {
    var fields = identity(id)
    fields["heard_text"] = .string(entries[id]?.isMasked == true ? "" : heard)
    fields["masked"] = .bool(entries[id]?.isMasked == true)
    fields["played_ms"] = .int(Int64(playedMs))
    fields["interrupted_by"] = .string(by.rawValue)
    return fields
  }
}

extension PromptLedger {
  /// As data for ``init(_:)``.
  var snapshot: Value {
    var out = SnapshotWriter()
    out.put("commands", commands)
    out.put(
      "entries",
      entries.sorted { $0.key.value < $1.key.value }.map { id, entry in
        var out = SnapshotWriter()
        out.put("id", id.value)
        out.put("text", entry.text)
        out.put("masked", entry.isMasked)
        out.put("command", entry.isCommand)
        return out.value
      })
    return out.value
  }

  init(_ reader: SnapshotReader?) throws(SnapshotError) {
    self.init()
    guard let reader else { return }
    commands = try reader.number("commands")
    for part in try reader.readers("entries") {
      entries[PlaybackID(try part.number("id"))] = Entry(
        text: try part.text("text"), isMasked: try part.flag("masked"), isCommand: try part.flag("command"))
    }
  }
}
