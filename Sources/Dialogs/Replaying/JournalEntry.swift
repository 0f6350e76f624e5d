import Base

/// One line of a session's record, as far as the dialog machine has to do with it. The envelope (identifiers, sequence,
/// timestamp) is its owner's.
public struct JournalEntry: Hashable, Sendable {
  /// A name of docs/events.md.
  public var type: String
  /// Whole milliseconds since the session began: the instant that the machine was given.
  public var atMs: Int64
  /// What belongs to the type, without `at_ms`.
  public var fields: [String: Value]

  /// The field that is true where personal data was taken out of the others.
  public static let redacted = "redacted"

  public init(type: String, atMs: Int64, fields: [String: Value] = [:]) {
    self.type = type
    self.atMs = atMs
    self.fields = fields
  }

  /// Whether everything that `other` says is said here, too: owners add fields of their own to what the machine says.
  func says(_ other: JournalEntry) -> Bool {
    type == other.type && atMs == other.atMs && other.fields.allSatisfy { fields[$0.key] == $0.value }
  }
}

/// Why a line of a record cannot be read back: one sentence.
public struct JournalProblem: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String
  init(_ description: String) { self.description = description }
}

/// How a session began: the fields of `call_started` that a replay needs.
public struct SessionStart: Sendable {
  public var call: CallFacts
  public var dialogName: String
  public var dialogVersion: String
  /// Names the very text of the dialog that the call is pinned to; empty where it is not known.
  public var dialogDigest: String
  /// The same for the dialogs that it may run, by their names.
  public var subDialogs: [String: String]
  /// Values that replaced the dialog's own at the start.
  public var variables: [String: Value]
  public var limits: DialogLimits
  /// Wall-clock milliseconds since 1970 when the session began.
  public var startedAtMs: Int64

  public init(
    call: CallFacts, dialogName: String, dialogVersion: String = "", dialogDigest: String = "",
    subDialogs: [String: String] = [:], variables: [String: Value] = [:], limits: DialogLimits = DialogLimits(),
    startedAtMs: Int64 = 0
  ) {
    self.call = call
    self.dialogName = dialogName
    self.dialogVersion = dialogVersion
    self.dialogDigest = dialogDigest
    self.subDialogs = subDialogs
    self.variables = variables
    self.limits = limits
    self.startedAtMs = startedAtMs
  }

  /// The session's wall clock, `atMs` milliseconds after its beginning.
  public func wallMs(atMs: Int64) -> Int64 { startedAtMs &+ atMs }

  /// - Parameter masked: variables whose values are hidden.
  public func entry(masked: Set<String>) -> JournalEntry {
    JournalEntry(
      type: "call_started", atMs: 0,
      fields: [
        "caller_id": .string(call.callerID), "called_number": .string(call.calledNumber),
        "from_uri": .string(call.fromURI), "to_uri": .string(call.toURI),
        "trunk": call.trunk.map { .string($0) } ?? .null, "sip_headers": .map(call.headerValues),
        "dialog_name": .string(dialogName), "dialog_version": .string(dialogVersion),
        "dialog_digest": .string(dialogDigest), "sub_dialogs": .map(subDialogs.mapValues { .string($0) }),
        "variables": Value.map(variables).hiding(masked), "started_at_ms": .int(startedAtMs),
        "limits": [
          "timeout_ms": .int(limits.timeout.milliseconds), "max_depth": .int(Int64(limits.maxDepth)),
          "barge_in": .bool(limits.bargeIn),
        ],
      ])
  }

  /// Reads what ``entry(masked:)`` wrote.
  public init(_ entry: JournalEntry, session: SessionID) throws(JournalProblem) {
    guard entry.type == "call_started" else {
      throw JournalProblem("the record begins with `\(entry.type)`, not with `call_started`")
    }
    let fields = EntryFields(entry)
    var call = CallFacts(
      session: session, callerID: try fields.text("caller_id"), calledNumber: try fields.text("called_number"),
      fromURI: try fields.text("from_uri"), toURI: try fields.text("to_uri"),
      trunk: entry.fields["trunk"]?.stringValue)
    for (name, value) in try fields.map("sip_headers").sorted(by: { $0.key < $1.key }) {
      call.headers.append((name, value.stringValue ?? ""))
    }
    let limits = try fields.map("limits")
    guard let timeoutMs = limits["timeout_ms"]?.intValue, timeoutMs >= 0, let depth = limits["max_depth"]?.intValue,
      let maxDepth = Int(exactly: depth), let bargeIn = limits["barge_in"]?.boolValue
    else { throw JournalProblem("`call_started` does not say the limits of the session") }
    self.init(
      call: call, dialogName: try fields.text("dialog_name"), dialogVersion: try fields.text("dialog_version"),
      dialogDigest: entry.fields["dialog_digest"]?.stringValue ?? "",
      subDialogs: (entry.fields["sub_dialogs"]?.mapValue ?? [:]).compactMapValues(\.stringValue),
      variables: try fields.map("variables"),
      limits: DialogLimits(timeout: .milliseconds(timeoutMs), maxDepth: maxDepth, bargeIn: bargeIn),
      startedAtMs: try fields.int("started_at_ms"))
  }
}

extension CallFacts {
  /// The headers by name; what came more than once is joined by commas, as SIP allows it (RFC 3261 7.3.1).
  public var headerValues: [String: Value] {
    var values: [String: Value] = [:]
    for header in headers {
      if case .string(let earlier)? = values[header.name] {
        values[header.name] = .string(earlier + ", " + header.value)
      } else {
        values[header.name] = .string(header.value)
      }
    }
    return values
  }
}

extension Value {
  var mapValue: [String: Value]? { if case .map(let map) = self { map } else { nil } }

  /// The same with the values of `names` replaced by `***`, at every depth.
  public func hiding(_ names: Set<String>) -> Value {
    if names.isEmpty { return self }
    switch self {
    case .map(let members):
      var shown: [String: Value] = [:]
      for (key, value) in members { shown[key] = names.contains(key) ? "***" : value.hiding(names) }
      return .map(shown)
    case .list(let items): return .list(items.map { $0.hiding(names) })
    default: return self
    }
  }
}

/// The fields of one entry, with the complaint about those that are missing.
struct EntryFields {
  private let entry: JournalEntry
  init(_ entry: JournalEntry) { self.entry = entry }

  private func lacks(_ name: String) -> JournalProblem {
    JournalProblem("`\(entry.type)` at \(entry.atMs) ms has no usable `\(name)`")
  }

  func text(_ name: String) throws(JournalProblem) -> String {
    guard let text = entry.fields[name]?.stringValue else { throw lacks(name) }
    return text
  }

  func int(_ name: String) throws(JournalProblem) -> Int64 {
    guard let int = entry.fields[name]?.intValue else { throw lacks(name) }
    return int
  }

  func bool(_ name: String) throws(JournalProblem) -> Bool {
    guard let bool = entry.fields[name]?.boolValue else { throw lacks(name) }
    return bool
  }

  func map(_ name: String) throws(JournalProblem) -> [String: Value] {
    guard let map = entry.fields[name]?.mapValue else { throw lacks(name) }
    return map
  }

  func value(_ name: String) throws(JournalProblem) -> Value {
    guard let value = entry.fields[name] else { throw lacks(name) }
    return value
  }

  /// The number of `p12`, `h3`, `m1`.
  func number(_ name: String, after letter: Character) throws(JournalProblem) -> UInt32 {
    let text = try text(name)
    guard text.first == letter, let number = UInt32(text.dropFirst()) else { throw lacks(name) }
    return number
  }
}
