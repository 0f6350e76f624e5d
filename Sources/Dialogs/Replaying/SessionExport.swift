import Base

/// A recorded session in one file, with the dialogs that it ran: JSON, one object on a line. The first line is the header.
public struct SessionExport: Sendable, Hashable {
  /// A dialog as it was written.
  public struct Source: Sendable, Hashable {
    public var name: String
    public var digest: String
    /// As diagnostics name it.
    public var file: String
    public var text: String

    public init(name: String, digest: String, file: String, text: String) {
      self.name = name
      self.digest = digest
      self.file = file
      self.text = text
    }
  }

  public var session: SessionID
  /// The call's own dialog first; empty where the file does not bring them.
  public var dialogs: [Source]
  public var lines: [RecordedLine]

  /// More lines are no telephone call.
  public static let lineLimit = 1_000_000

  public init(session: SessionID, dialogs: [Source] = [], lines: [RecordedLine]) {
    self.session = session
    self.dialogs = dialogs
    self.lines = lines
  }

  /// Whether the dialog ever ran: a call that was refused, or that nobody took, is a record, too.
  public var wasAnswered: Bool { lines.contains { $0.entry.type == "call_answered" } }

  /// Whether personal data was taken out of it (`security.pii`): what the dialog heard is not what stands there.
  public var wasRedacted: Bool { lines.contains { $0.entry.fields[JournalEntry.redacted] == true } }

  public func text() -> String {
    let sources = dialogs.map { source -> Value in
      [
        "name": .string(source.name), "digest": .string(source.digest), "file": .string(source.file),
        "text": .string(source.text),
      ]
    }
    var out: [UInt8] = []
    func write(_ value: Value) {
      JSON.write(value, to: &out)
      out.append(UInt8(ascii: "\n"))
    }
    write(["parley_session": 1, "session_id": .string(session.value), "dialogs": .list(sources)])
    for line in lines {
      write([
        "sequence": .int(line.sequence), "type": .string(line.entry.type), "at_ms": .int(line.entry.atMs),
        "fields": .map(line.entry.fields),
      ])
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Reads what ``text()`` wrote, and the events of a call as the API gives them (`{"items": [...]}`, or one on a line).
  public init(_ text: String) throws(JournalProblem) {
    session = SessionID("")
    dialogs = []
    lines = []
    var number = 0
    for piece in text.split(separator: "\n") where !piece.allSatisfy(\.isWhitespace) {
      number += 1
      guard lines.count < Self.lineLimit else { throw JournalProblem("the file has more than \(Self.lineLimit) lines") }
      let value: Value
      do {
        value = try JSON.decode(String(piece))
      } catch {
        throw JournalProblem("line \(number) of the file: \(error)")
      }
      if number == 1, let version = value["parley_session"] {
        guard version == 1 else { throw JournalProblem("the file is of a newer version than this program reads") }
        session = SessionID(value["session_id"]?.stringValue ?? "")
        dialogs = try Self.sources(value["dialogs"])
      } else if number == 1, case .list(let items)? = value["items"] {
        for item in items { try append(item, number) }
      } else {
        try append(value, number)
      }
    }
    guard !lines.isEmpty else { throw JournalProblem("the file holds no events") }
    lines.sort { $0.sequence < $1.sequence }
  }

  private static func sources(_ value: Value?) throws(JournalProblem) -> [Source] {
    guard case .list(let items)? = value else { return [] }
    var sources: [Source] = []
    for item in items {
      guard let name = item["name"]?.stringValue, let text = item["text"]?.stringValue else {
        throw JournalProblem("the header's `dialogs` have no `name` or no `text`")
      }
      sources.append(
        Source(
          name: name, digest: item["digest"]?.stringValue ?? "", file: item["file"]?.stringValue ?? "\(name).yaml",
          text: text))
    }
    return sources
  }

  private static let envelope: Set<String> = [
    "event_id", "type", "sequence", "session_id", "timestamp", "dialog_name", "tenant", "at_ms",
  ]

  private mutating func append(_ value: Value, _ number: Int) throws(JournalProblem) {
    guard let type = value["type"]?.stringValue, let sequence = value["sequence"]?.intValue,
      let members = value.mapValue
    else { throw JournalProblem("line \(number) of the file is no event") }
    if let id = value["session_id"]?.stringValue {
      if session.value.isEmpty { session = SessionID(id) }
      guard session.value == id else { throw JournalProblem("line \(number) of the file is of another session, \(id)") }
    }
    var fields = value["fields"]?.mapValue ?? members.filter { !Self.envelope.contains($0.key) }
    if type == "call_started", fields["dialog_name"] == nil { fields["dialog_name"] = members["dialog_name"] }
    guard let atMs = members["at_ms"]?.intValue ?? fields["at_ms"]?.intValue, atMs >= 0 else {
      throw JournalProblem("line \(number) of the file has no `at_ms`")
    }
    fields["at_ms"] = nil
    lines.append(RecordedLine(sequence: sequence, entry: JournalEntry(type: type, atMs: atMs, fields: fields)))
  }
}
