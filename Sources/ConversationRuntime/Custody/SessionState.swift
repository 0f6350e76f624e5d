import Base
import CallLink
import Dialogs
import Storage

/// What another process needs to go on with a session: everything that `CallSession` knows, between two mails. JSON, with the
/// usual left out.
struct SessionState: Sendable {
  /// A reader of another version refuses it: the machine's part has a version of its own.
  static let version = 1
  /// Events that are not known to be durable. A call writes two or three a second, and they are written within milliseconds
  /// unless the database is away: then the oldest are lost should this process die, too.
  static let eventLimit = 256

  /// Something that was asked and not answered.
  struct Hook: Sendable {
    var request: DialogHook
    /// Wall-clock milliseconds of the session.
    var askedAtMs: Int64
  }
  struct Model: Sendable {
    var request: ModelRequest
    /// What it has said so far.
    var said: [String]
    /// Whether it has asked for a tool.
    var hasCalled: Bool
  }
  /// What is still to be done about a call that is over.
  struct Rest: Sendable, Hashable {
    /// Services that are to be told of the end.
    var told: [String] = []
    var review = false

    var isDone: Bool { told.isEmpty && !review }
  }

  var session: SessionID
  var tenant: String
  var dialogName: String
  var dialogVersion: String
  var dialogNumber: Int
  var dialogDigest: String
  /// Digests of the dialogs that it may run, by their names; empty where that is not known.
  var library: [String: String]
  var limits: DialogLimits
  var startedAtMs: Int64
  /// The session's time.
  var now: Instant
  /// What the wall clock showed then.
  var wallMs: Int64
  /// The last message of the speech role that was handled.
  var handled: UInt64
  /// The last message that was sent to it.
  var sent: UInt64
  /// The last event's.
  var sequence: Int64
  /// The newest events, up to the last.
  var events: [SessionEvent]
  var phase: CallSession.Phase
  /// The dialog machine; null where there is nothing to run any more.
  var machine: Value
  /// The dialog cannot be had any more, and the caller has been told so.
  var isLost: Bool
  var summary: SessionSummary
  /// Whether the summary has variables already; while there is a machine, it knows them.
  var showsVariables: Bool
  var outcome: DialogOutcome?
  var prompts: PromptLedger
  var turn: TurnClock.State
  var hooks: [Hook]
  var models: [Model]
  /// Services that are waited for before the call is answered.
  var starts: [CallMomentService]
  var patienceEnds: Instant?
  /// Outcomes of transfers that the dialog has not been told yet.
  var owed: [String]
  var rest: Rest
}

// MARK: Writing

extension SessionState {
  /// Stands for a state that nobody can go on from, so that the call itself can.
  static func unkept(_ session: SessionID) -> [UInt8] {
    bytes(["v": .int(Int64(version)), "session": .string(session.value), "unkept": true])
  }

  static func bytes(_ members: [String: Value]) -> [UInt8] {
    var bytes: [UInt8] = []
    JSON.write(.map(members), to: &bytes)
    return bytes
  }

  var bytes: [UInt8] {
    var out = SnapshotWriter()
    out.put("v", Self.version)
    out.put("session", session.value)
    out.put("tenant", tenant)
    out.put("dialog", dialogName)
    out.put("version", dialogVersion)
    out.put("number", dialogNumber)
    out.put("digest", dialogDigest)
    if !library.isEmpty { out.put("library", .map(library.mapValues { .string($0) })) }
    out.put("timeout", limits.timeout)
    out.put("depth", limits.maxDepth)
    out.put("barge_in", limits.bargeIn)
    out.put("started", .int(startedAtMs))
    out.put("now", now)
    out.put("wall", .int(wallMs))
    out.put("handled", .int(Int64(clamping: handled)))
    out.put("sent", .int(Int64(clamping: sent)))
    out.put("sequence", .int(sequence))
    out.put("events", events.map { [.string($0.eventID), .string($0.type), .map($0.fields)] })
    switch phase {
    case .offered: break
    case .active(let at): out.put("answered", at)
    case .closing(let answeredAt, let endedAt, let reason):
      out.put("answered", answeredAt)
      out.put("ended", endedAt)
      out.put("reason", reason.rawValue)
    case .over: out.put("over", true)
    }
    if machine != .null { out.put("machine", machine) }
    out.put("lost", isLost)
    out.put("summary", summaryValue)
    out.put("outcome", outcome?.snapshot)
    out.put("prompts", prompts.snapshot)
    out.put("turn", turn.snapshot)
    out.put(
      "hooks", hooks.map { ["ask": $0.request.snapshot, "at": .int($0.askedAtMs)] })
    out.put(
      "models",
      models.map { model in
        var out = SnapshotWriter()
        out.put("ask", model.request.snapshot)
        out.put("said", model.said.map { .string($0) })
        out.put("called", model.hasCalled)
        return out.value
      })
    out.put(
      "starts", starts.map { ["name": .string($0.name), "timeout": .int($0.timeout.nanoseconds)] })
    out.put("patience", patienceEnds)
    out.put("owed", owed.map { .string($0) })
    out.put("told", rest.told.map { .string($0) })
    out.put("review", rest.review)
    return Self.bytes(out.members)
  }

  private var summaryValue: Value {
    var out = SnapshotWriter()
    out.put("phase", summary.state.rawValue)
    out.put("state", summary.currentState)
    out.put("answered", summary.answeredAtMs.map { .int($0) })
    out.put("ended", summary.endedAtMs.map { .int($0) })
    out.put("reason", summary.endReason.map { .string($0) })
    out.put("shows", showsVariables)
    if machine == .null, showsVariables { out.put("variables", .map(summary.variables)) }
    if !summary.quality.isEmpty { out.put("quality", .map(summary.quality)) }
    if !summary.latency.isEmpty { out.put("latency", .map(summary.latency)) }
    if !summary.outcome.isEmpty { out.put("outcome", .map(summary.outcome)) }
    return out.value
  }
}

// MARK: Reading

extension SessionState {
  /// - Parameter call: whose state it should be.
  init(_ bytes: [UInt8], of call: CallInfo) throws(CallStateError) {
    guard bytes.count <= CallState.byteLimit else { throw CallStateError("the session's state is too large") }
    let value: Value
    do {
      value = try JSON.decode(bytes)
    } catch {
      throw CallStateError("the session's state is damaged: \(error)")
    }
    do {
      try self.init(SnapshotReader(value, at: "", shift: 0), call)
    } catch {
      throw CallStateError("the session's state cannot be read: \(error)")
    }
  }

  private init(_ reader: SnapshotReader, _ call: CallInfo) throws(SnapshotError) {
    let version = try reader.int("v")
    guard version == Self.version else { throw reader.problem("v", "version \(version) is not \(Self.version)") }
    session = SessionID(try reader.text("session"))
    guard session == call.session else { throw reader.problem("session", "it is another call's") }
    if try reader.flag("unkept") { throw reader.problem("unkept", "there was too much of it to be kept") }
    tenant = try reader.text("tenant")
    dialogName = try reader.text("dialog")
    dialogVersion = try reader.text("version")
    dialogNumber = try reader.int("number", in: 0...Int.max)
    dialogDigest = try reader.text("digest")
    library = try reader.map("library").compactMapValues(\.stringValue)
    limits = DialogLimits(
      timeout: .nanoseconds(try reader.amount("timeout") ?? 0), maxDepth: try reader.int("depth"),
      bargeIn: try reader.flag("barge_in"))
    startedAtMs = try reader.amount("started") ?? 0
    now = Instant(nanoseconds: try reader.amount("now") ?? 0)
    wallMs = try reader.amount("wall") ?? 0
    handled = UInt64(try reader.amount("handled") ?? 0)
    sent = UInt64(try reader.amount("sent") ?? 0)
    sequence = try reader.amount("sequence") ?? 0
    let lines = try reader.list("events", limit: Self.eventLimit)
    guard lines.count <= sequence else { throw reader.problem("events", "there are more than were numbered") }
    events = []
    for (number, line) in lines.enumerated() {
      guard case .list(let parts) = line, parts.count == 3, let id = parts[0].stringValue,
        let type = parts[1].stringValue, case .map(let fields) = parts[2], let atMs = fields["at_ms"]?.intValue,
        (0...Int64(1) << 50).contains(atMs)
      else { throw reader.problem("events[\(number)]", "it is no event") }
      events.append(
        SessionEvent(
          eventID: id, type: type, sequence: sequence - Int64(lines.count - 1 - number), session: session,
          timestampMs: startedAtMs + atMs, dialogName: dialogName, tenant: tenant, fields: fields))
    }
    let answeredAt = try reader.amount("answered").map { Instant(nanoseconds: $0) }
    if try reader.flag("over") {
      phase = .over
    } else if let endedAt = try reader.amount("ended") {
      guard let reason = HangupReason(rawValue: try reader.text("reason")) else {
        throw reader.problem("reason", "there is no such reason")
      }
      phase = .closing(answeredAt: answeredAt, endedAt: Instant(nanoseconds: endedAt), reason)
    } else if let answeredAt {
      phase = .active(answeredAt: answeredAt)
    } else {
      phase = .offered
    }
    machine = reader.value("machine") ?? .null
    isLost = try reader.flag("lost")
    summary = call.summary(tenant: tenant, dialogName: dialogName, startedAtMs: startedAtMs)
    summary.dialogVersion = dialogVersion
    summary.dialogNumber = dialogNumber
    summary.dialogDigest = dialogDigest
    showsVariables = false
    if let part = try reader.reader("summary") {
      showsVariables = try part.flag("shows")
      guard let state = SessionSummary.State(rawValue: try part.text("phase")) else {
        throw part.problem("phase", "there is no such state")
      }
      summary.state = state
      summary.currentState = try part.text("state")
      summary.answeredAtMs = try part.amount("answered")
      summary.endedAtMs = try part.amount("ended")
      summary.endReason = try part.optionalText("reason")
      summary.variables = try part.map("variables")
      summary.quality = try part.map("quality")
      summary.latency = try part.map("latency")
      summary.outcome = try part.map("outcome")
    }
    outcome = nil
    if let part = try reader.reader("outcome") { outcome = try DialogOutcome(restoring: part) }
    prompts = try PromptLedger(reader.reader("prompts"))
    turn = try TurnClock.State(reader.reader("turn"))
    hooks = []
    for part in try reader.readers("hooks") {
      guard let ask = try part.reader("ask") else { throw part.problem("ask", "it is missing") }
      hooks.append(Hook(request: try DialogHook(restoring: ask), askedAtMs: try part.amount("at") ?? 0))
    }
    models = []
    for part in try reader.readers("models") {
      guard let ask = try part.reader("ask") else { throw part.problem("ask", "it is missing") }
      models.append(
        Model(
          request: try ModelRequest(restoring: ask), said: try part.texts("said"), hasCalled: try part.flag("called")))
    }
    starts = []
    for part in try reader.readers("starts") {
      starts.append(
        CallMomentService(name: try part.text("name"), timeout: .nanoseconds(try part.amount("timeout") ?? 0)))
    }
    patienceEnds = try reader.amount("patience").map { Instant(nanoseconds: $0) }
    owed = try reader.texts("owed")
    rest = Rest(told: try reader.texts("told"), review: try reader.flag("review"))
  }

  /// The dialog machine as it was.
  /// - Throws: where it was another dialog's, or another version's.
  func machine(_ pinned: PinnedDialog, _ call: CallInfo) throws(CallStateError) -> DialogSession {
    do {
      return try DialogSession(
        restoring: machine, dialog: pinned.dialog, library: pinned.library, limits: limits, call: call.facts)
    } catch {
      throw CallStateError("the dialog's state cannot be gone on from: \(error)")
    }
  }
}
