import Base
import Dialogs
import HTTPTypes
import Settings
import Storage
import Telemetry

// What the API does with dialogs. Versions live in the store; the runtime watches it and says there what serves.

extension CallAPI {
  var dialogRoutes: [APIRoute] {
    [
      APIRoute(
        method: .get, path: "/v1/dialogs", summary: "The dialogs, by name, and what serves",
        query: [
          Self.limit, Self.cursor,
        ],
        answer: "A page of dialogs", result: Self.page(of: DialogShape.dialog), handle: listDialogs),
      APIRoute(
        method: .get, path: "/v1/dialogs/{name}", summary: "One dialog with a source",
        query: [
          APIRoute.Field(
            name: "version", kind: .integer, explanation: "The number of a version; absent: the newest",
            range: 1...Double(Int32.max))
        ], answer: "the dialog, source, and the version that the source is; `ETag` names the newest source",
        handle: showDialog),
      APIRoute(
        method: .put, path: "/v1/dialogs/{name}",
        summary: "Keep a source as the next version, a draft. `If-Match` and `If-None-Match: *` are heeded",
        roles: [.developer],
        body: [
          Self.source(required: true),
          APIRoute.Field(
            name: "note", kind: .string, explanation: "Why, for people", fallback: "",
            length: 0...StorageLimits.noteCharacters),
          APIRoute.Field(
            name: "author", kind: .string, explanation: "Who, for people", fallback: "",
            length: 0...StorageLimits.noteCharacters),
        ], takesYAML: true, answer: "The version, and diagnostics; a draft may have errors, what is published may not",
        result: DialogShape.kept, statuses: [.ok, .created], isConditional: true, handle: putDialog),
      APIRoute(
        method: .get, path: "/v1/dialogs/{name}/versions", summary: "The versions of a dialog, newest first",
        query: [
          Self.limit,
          APIRoute.Field(
            name: "cursor", kind: .integer, explanation: "Versions older than this one", range: 1...Double(Int32.max)),
        ],
        answer: "A page of versions", result: Self.page(of: DialogShape.version), handle: listVersions),
      APIRoute(
        method: .post, path: "/v1/dialogs/{name}/publish", summary: "Serve new calls by a version",
        roles: [.developer],
        body: [Self.version(required: true)], answer: "The version", result: DialogShape.version, handle: publishDialog),
      APIRoute(
        method: .post, path: "/v1/dialogs/{name}/rollback",
        summary: "Publish an older version that was published before",
        roles: [.developer],
        body: [Self.version(required: false)], answer: "The version", result: DialogShape.version,
        handle: rollBackDialog),
      APIRoute(
        method: .post, path: "/v1/dialogs/{name}/check", summary: "What is wrong with a source, for editors",
        roles: [.developer],
        body: [Self.source(required: false), Self.version(required: false)], takesYAML: true,
        answer: "What is wrong", result: DialogShape.checked, handle: checkDialog),
      APIRoute(
        method: .post, path: "/v1/dialogs/{name}/simulate",
        summary:
          "One turn in text: words, `#1` for keys, an empty line for silence, `?` for unclear speech, `!name` for an event",
        roles: [.developer],
        body: [
          Self.source(required: false), Self.version(required: false),
          APIRoute.Field(
            name: "steps", kind: .strings, explanation: "The caller's lines before this turn",
            length: 0...Simulation.lineCharacters, count: 0...Simulation.stepLimit),
          APIRoute.Field(
            name: "input", kind: .string, explanation: "The caller's line; absent: the call begins",
            length: 0...Simulation.lineCharacters),
          APIRoute.Field(name: "variables", kind: .object, explanation: "Values at the start of the call"),
          APIRoute.Field(name: "hooks", kind: .object, explanation: "What each service answers, by its name"),
          APIRoute.Field(
            name: "caller_id", kind: .string, explanation: "Who calls", fallback: "anonymous", length: 0...256),
        ], takesYAML: true, answer: "What the dialog did", result: DialogShape.simulated, handle: simulateDialog),
    ]
  }

  private static func source(required: Bool) -> APIRoute.Field {
    APIRoute.Field(
      name: "source", kind: .string,
      explanation: "The dialog in YAML" + (required ? "" : "; absent: a version that is stored"), isRequired: required,
      length: 0...StorageLimits.dialogBytes)
  }

  private static func version(required: Bool) -> APIRoute.Field {
    APIRoute.Field(
      name: "version", kind: .integer, explanation: "The number of a version", isRequired: required,
      range: 1...Double(Int32.max))
  }

  // MARK: Reading

  private func listDialogs(_ request: APIRequest) async throws -> APIAnswer {
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let records = try await dialogs(of: request).dialogs(limit: limit + 1, after: request.text("cursor"))
    return Self.page(
      records.prefix(limit).map { .map(DialogShape.value($0)) },
      next: records.count > limit ? records[limit - 1].name : nil)
  }

  private func showDialog(_ request: APIRequest) async throws -> APIAnswer {
    let record = try await record(request)
    var members = DialogShape.value(record)
    let number = request.integer("version") ?? record.latest
    if number > 0 {
      let version = try await version(number, request, of: record.name)
      members["source"] = .string(version.source)
      members["source_version"] = DialogShape.value(version, withSource: false)
    }
    var headers: HTTPFields = [:]
    if record.latest > 0 { headers[.eTag] = DialogShape.tag(number: record.latest, digest: record.latestDigest) }
    return .json(.map(members), headers: headers)
  }

  private func listVersions(_ request: APIRequest) async throws -> APIAnswer {
    let name = try await record(request).name
    let limit = request.integer("limit") ?? APILimits.defaultPage
    let versions = try await dialogs(of: request).versions(
      of: name, limit: limit + 1, before: request.integer("cursor"))
    return Self.page(
      versions.prefix(limit).map { DialogShape.value($0, withSource: false) },
      next: versions.count > limit ? String(versions[limit - 1].number) : nil)
  }

  private func dialogs(of request: APIRequest) -> any DialogStore { dialogs.scoped(to: request.principal.tenant) }

  private func record(_ request: APIRequest) async throws -> DialogRecord {
    let name = request.path["name"] ?? ""
    guard let record = try await dialogs(of: request).dialog(name) else {
      let known = try await dialogs(of: request).dialogs(limit: StorageLimits.page, after: nil).map(\.name)
      let near = nearest(to: name, in: known).map { "; did you mean `\($0)`?" } ?? ""
      throw APIProblem(.notFound, "no_such_dialog", "there is no dialog `\(name)`" + near)
    }
    return record
  }

  private func version(_ number: Int, _ request: APIRequest, of name: String) async throws -> DialogVersion {
    guard let version = try await dialogs(of: request).version(number, of: name) else {
      throw APIProblem(.notFound, "no_such_version", "there is no version \(number) of a dialog `\(name)`")
    }
    return version
  }

  // MARK: Changing

  private func putDialog(_ request: APIRequest) async throws -> APIAnswer {
    let name = try Self.newName(request)
    let source = request.text("source") ?? ""
    let checked = Self.check(source, name: name)
    if let other = checked.dialog?.name, other != name {
      throw APIProblem(
        .unprocessableContent, "name_differs", "the source names the dialog `\(other)`, the path names `\(name)`")
    }
    let before = try await dialogs(of: request).dialog(name)
    let tag = before.flatMap { record in
      record.latest > 0 ? DialogShape.tag(number: record.latest, digest: record.latestDigest) : nil
    }
    let isConditional = try EntityTag.heedConditions(request.headers, tag: tag)
    let version: DialogVersion
    do {
      version = try await dialogs(of: request).keep(
        [
          DialogDraft(
            dialog: name, source: source, origin: .api, author: request.text("author") ?? "",
            note: request.text("note") ?? "")
        ], publish: false, expecting: isConditional ? before?.latest ?? 0 : nil, nowMs: WallClock.nowMilliseconds())[0]
    } catch let error as StorageError where error.code == .conflict {
      throw APIProblem(.preconditionFailed, "changed", error.description)
    }
    return .json(
      [
        "version": DialogShape.value(version, withSource: false), "ok": .bool(checked.isOK),
        "diagnostics": DialogLoader.report(checked.diagnostics),
      ], status: version.number == before?.latest ? .ok : .created,
      headers: [.eTag: DialogShape.tag(number: version.number, digest: version.digest)])
  }

  private func publishDialog(_ request: APIRequest) async throws -> APIAnswer {
    let record = try await record(request)
    let version = try await version(request.integer("version") ?? 0, request, of: record.name)
    try Self.requireSound(version)
    return .json(
      DialogShape.value(
        try await dialogs(of: request).publish(
          record.name, version: version.number, nowMs: WallClock.nowMilliseconds()),
        withSource: false))
  }

  private func rollBackDialog(_ request: APIRequest) async throws -> APIAnswer {
    let record = try await record(request)
    if let number = request.integer("version") {
      try Self.requireSound(try await version(number, request, of: record.name))
    }
    return .json(
      DialogShape.value(
        try await dialogs(of: request).rollback(
          record.name, version: request.integer("version"), nowMs: WallClock.nowMilliseconds()), withSource: false))
  }

  private static func requireSound(_ version: DialogVersion) throws {
    let checked = check(version.source, name: version.dialog)
    guard checked.isOK else {
      throw APIProblem(
        .unprocessableContent, "dialog_has_errors", "version \(version.number) has errors and cannot serve",
        more: ["diagnostics": DialogLoader.report(checked.diagnostics)])
    }
  }

  private static func newName(_ request: APIRequest) throws -> String {
    let name = request.path["name"] ?? ""
    guard (1...64).contains(name.utf8.count), APIRoute.Syntax.name.fits(name) else {
      throw APIProblem(
        .unprocessableContent, "bad_name", "a dialog's name has 1 to 64 letters, digits, `_`, `-` and `.`")
    }
    return name
  }

  // MARK: Checking and trying out

  private func checkDialog(_ request: APIRequest) async throws -> APIAnswer {
    let (checked, name) = try await subject(request)
    return .json([
      "ok": .bool(checked.isOK), "name": .string(checked.dialog?.name ?? name),
      "diagnostics": DialogLoader.report(checked.diagnostics),
    ])
  }

  private func simulateDialog(_ request: APIRequest) async throws -> APIAnswer {
    let (checked, _) = try await subject(request)
    guard let dialog = checked.dialog else {
      throw APIProblem(
        .unprocessableContent, "dialog_has_errors", "the dialog has errors and cannot be tried",
        more: ["diagnostics": DialogLoader.report(checked.diagnostics)])
    }
    var steps: [String] = []
    if case .list(let items)? = request.body["steps"] { steps = items.compactMap(\.stringValue) }
    let input = request.text("input")
    func map(_ name: String) -> [String: Value] {
      if case .map(let members)? = request.body[name] { members } else { [:] }
    }
    let question = Simulation.Question(
      dialog: dialog, callerID: request.text("caller_id") ?? "", variables: map("variables"), hooks: map("hooks"),
      steps: steps, input: input, wallMs: WallClock.nowMilliseconds())
    guard simulations.enter(limit: APILimits.simulations) else {
      throw APIProblem(
        .serviceUnavailable, "busy", "\(APILimits.simulations) dialogs are being tried already",
        headers: [.retryAfter: "1"])
    }
    defer { simulations.leave() }
    // Not on an event loop: a dialog may compute for a while.
    let answer = await Task.detached { Simulation.answer(question) }.value
    guard let answer else {
      throw APIProblem(
        .unprocessableContent, "took_too_long",
        "the dialog computed for more than \(Simulation.timeLimit.milliseconds) ms")
    }
    return .json(answer)
  }

  /// The source of the body, or a version that is stored.
  private func subject(_ request: APIRequest) async throws -> (CheckedSource, name: String) {
    if let source = request.text("source") {
      guard request.integer("version") == nil else {
        throw APIProblem(.unprocessableContent, "contradiction", "`source` and `version` exclude each other")
      }
      let name = try Self.newName(request)
      return (Self.check(source, name: name), name)
    }
    let record = try await record(request)
    let number = request.integer("version") ?? record.published ?? record.latest
    guard number > 0 else {
      throw APIProblem(.notFound, "no_such_version", "no version of `\(record.name)` is stored; send a `source`")
    }
    return (Self.check(try await version(number, request, of: record.name).source, name: record.name), record.name)
  }

  private static func check(_ source: String, name: String) -> CheckedSource {
    let file = "\(name).yaml"
    do {
      let outcome = DialogLoader.load(try YAML.read(source, file: file), file: file)
      return CheckedSource(dialog: outcome.dialog, diagnostics: outcome.diagnostics)
    } catch {
      return CheckedSource(dialog: nil, diagnostics: error.all)
    }
  }
}
