import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1
import Storage
import Testing

/// Dialogs over the API: versions, conditions, publishing, checking and trying out.
@Suite struct DialogAPITests {
  private static let good = """
    name: menu
    version: "1.0"
    variables: { kind: "" }
    states:
      start:
        on_enter:
          - action: play_tts
            text: "Say sales or support."
        listen: { hints: [sales, support] }
        transitions:
          - event: speech
            when: "transcript == 'sales'"
            do:
              - action: set_variable
                kind: transcript
            target: bye
          - event: speech
            target: start
        timeout: 5s
        timeout_next: bye
      bye:
        on_enter:
          - action: play_tts
            text: "Goodbye {{ kind }}."
          - action: hangup
        terminal: true
    """
  private static let broken = "name: menu\nstates:\n  start:\n    on_entry: []\n"

  private func put(
    _ gateway: Gateway, _ name: String, _ source: String, headers: [(String, String)] = [],
    type: String = "application/yaml"
  ) async throws -> Answer {
    var request = gateway.request("/v1/dialogs/\(name)", method: .PUT)
    request.headers.add(name: "Content-Type", value: type)
    for (name, value) in headers { request.headers.add(name: name, value: value) }
    request.body = .bytes(ByteBuffer(string: source))
    return try await gateway.send(request)
  }

  private func body(_ members: [String: Value]) -> String { JSON.encode(.map(members)) }

  @Test func aSourceIsKeptAsADraftAndPublished() async throws {
    try await Gateway.with { gateway async throws in
      #expect(try await gateway.get("/v1/dialogs").items.isEmpty)
      let made = try await put(gateway, "menu", Self.good)
      #expect(made.status == 201)
      #expect(made.json["ok"] == true)
      #expect(made.json["version"]?["number"] == 1)
      #expect(made.json["version"]?["state"] == "draft")
      #expect(made.json["version"]?["digest"] == .string(SHA256.hex(Self.good)))
      let again = try await put(gateway, "menu", Self.good)
      #expect(again.status == 200 && again.json["version"]?["number"] == 1)
      let json = try await put(
        gateway, "menu", body(["source": .string(Self.good + "\n# two"), "note": "second", "author": "ann"]),
        type: "application/json")
      #expect(json.json["version"]?["note"] == "second")
      #expect(json.json["version"]?["author"] == "ann")

      let shown = try await gateway.get("/v1/dialogs/menu")
      #expect(shown.json["source"] == .string(Self.good + "\n# two"))
      #expect(shown.json["latest"] == 2 && shown.json["published"] == .null && shown.json["status"] == "pending")
      #expect(shown.headers.first(name: "ETag") == json.headers.first(name: "ETag"))
      let first = try await gateway.get("/v1/dialogs/menu?version=1")
      #expect(first.json["source"] == .string(Self.good))
      #expect(first.json["source_version"]?["number"] == 1)

      let published = try await gateway.post("/v1/dialogs/menu/publish", "{\"version\": 1}")
      #expect(published.status == 200 && published.json["state"] == "published")
      #expect(try await gateway.dialogs.published().map(\.number) == [1])
      #expect(try await gateway.post("/v1/dialogs/menu/publish", "{\"version\": 2}").status == 200)
      let versions = try await gateway.get("/v1/dialogs/menu/versions?limit=1")
      #expect(versions.items.map { $0["number"] } == [2])
      #expect(versions.items[0]["source"] == nil)
      let cursor = try #require(versions.json["next_cursor"]?.stringValue)
      #expect(
        try await gateway.get("/v1/dialogs/menu/versions?cursor=\(cursor)").items.map { $0["state"] } == ["retired"])

      let back = try await gateway.post("/v1/dialogs/menu/rollback", "")
      #expect(back.json["number"] == 1 && back.json["state"] == "published")
      let none = try await gateway.post("/v1/dialogs/menu/rollback", "")
      #expect(none.status == 404)
      #expect(none.json["detail"] == "there is no older published version of `menu`")
    }
  }

  @Test func aDraftMayHaveErrorsAndWhatIsPublishedMayNot() async throws {
    try await Gateway.with { gateway async throws in
      let made = try await put(gateway, "menu", Self.broken)
      #expect(made.status == 201 && made.json["ok"] == false)
      guard case .list(let findings)? = made.json["diagnostics"] else { return #expect(Bool(false), "no findings") }
      #expect(findings.contains { $0["line"] == 4 && $0["severity"] == "error" })
      let refused = try await gateway.post("/v1/dialogs/menu/publish", "{\"version\": 1}")
      #expect(refused.status == 422)
      #expect(refused.json["type"] == "urn:parley:problem:dialog_has_errors")
      #expect(refused.json["diagnostics"] == made.json["diagnostics"])
      #expect(try await gateway.dialogs.published().isEmpty)
    }
  }

  @Test func twoAuthorsDoNotOverwriteEachOther() async throws {
    try await Gateway.with { gateway async throws in
      let first = try await put(gateway, "menu", Self.good, headers: [("If-None-Match", "*")])
      #expect(first.status == 201)
      let tag = try #require(first.headers.first(name: "ETag"))
      #expect(try await put(gateway, "menu", "x", headers: [("If-None-Match", "*")]).status == 412)
      let second = try await put(gateway, "menu", Self.good + "#", headers: [("If-Match", "\"other\", \(tag)")])
      #expect(second.status == 201)
      let late = try await put(gateway, "menu", Self.good + "##", headers: [("If-Match", tag)])
      #expect(late.status == 412)
      #expect(late.json["type"] == "urn:parley:problem:changed")
      #expect(try await put(gateway, "new", Self.broken, headers: [("If-Match", "*")]).status == 412)
      #expect(try await gateway.get("/v1/dialogs/menu").json["latest"] == 2)
    }
  }

  @Test func theFolderOwnsWhatItHas() async throws {
    try await Gateway.with { gateway async throws in
      let drafts = [DialogDraft(dialog: "menu", source: Self.good, origin: .folder, author: "menu.yaml")]
      _ = try await gateway.dialogs.keep(drafts, publish: true, expecting: nil, nowMs: 1)
      let finding = Diagnostic(
        code: "D002", severity: .error, file: "menu.yaml", position: SourcePosition(line: 2, column: 3), message: "no")
      try await gateway.dialogs.report([
        DialogStatus(dialog: "menu", state: .broken, served: 1, file: "menu.yaml", label: "1.0", diagnostics: [finding])
      ])
      let item = try #require(try await gateway.get("/v1/dialogs").items.first)
      #expect(item["status"] == "broken" && item["number"] == 1 && item["version"] == "1.0")
      #expect(item["file"] == "menu.yaml")
      guard case .list(let findings)? = item["diagnostics"] else { return #expect(Bool(false), "no findings") }
      #expect(findings.first?["line"] == 2 && findings.first?["column"] == 3)
      #expect(try await put(gateway, "menu", Self.good + "\n# mine").status == 201, "a draft harms nobody")
      let refused = try await gateway.post("/v1/dialogs/menu/publish", "{\"version\": 2}")
      #expect(refused.status == 409)
      #expect(refused.json["detail"] == "the dialog `menu` comes from the file menu.yaml: change it there")
    }
  }

  // MARK: Checking and trying out

  @Test func aSourceIsCheckedForEditors() async throws {
    try await Gateway.with { gateway async throws in
      let good = try await gateway.post("/v1/dialogs/menu/check", body(["source": .string(Self.good)]))
      #expect(good.json["ok"] == true && good.json["name"] == "menu")
      let bad = try await gateway.post(
        "/v1/dialogs/menu/check", Self.broken, headers: [("Content-Type", "text/yaml; charset=utf-8")])
      #expect(bad.status == 200 && bad.json["ok"] == false)
      let noYAML = try await gateway.post("/v1/dialogs/menu/check", body(["source": "a: [1"]))
      #expect(noYAML.json["ok"] == false)
      #expect(try await gateway.post("/v1/dialogs/menu/check", "").status == 404, "nothing is stored")
      _ = try await put(gateway, "menu", Self.broken)
      #expect(try await gateway.post("/v1/dialogs/menu/check", "").json["ok"] == false)
      #expect(
        try await gateway.dialogs.versions(of: "menu", limit: 9, before: nil).count == 1, "checking keeps nothing")
    }
  }

  @Test func aTurnIsTriedOut() async throws {
    try await Gateway.with { gateway async throws in
      let start = try await gateway.post("/v1/dialogs/menu/simulate", body(["source": .string(Self.good)]))
      #expect(start.json["state"] == "start" && start.json["ended"] == false)
      #expect(start.json["lines"] == ["-> start", "<< Say sales or support."])
      _ = try await put(gateway, "menu", Self.good)
      let turn = try await gateway.post(
        "/v1/dialogs/menu/simulate", body(["version": 1, "steps": ["what"], "input": "sales"]))
      #expect(turn.json["state"] == "bye" && turn.json["ended"] == true)
      #expect(turn.json["variables"]?["kind"] == "sales")
      guard case .list(let lines)? = turn.json["lines"] else { return #expect(Bool(false), "no lines") }
      #expect(lines.contains("<< Goodbye sales."))
      #expect(!lines.contains("<< Say sales or support."), "only the turn that was asked for")
      let silence = try await gateway.post("/v1/dialogs/menu/simulate", "{\"input\": \"\"}")
      #expect(silence.json["state"] == "bye")
    }
  }

  @Test func aDialogThatNeverRestsIsStopped() async throws {
    try await Gateway.with { gateway async throws in
      let loop = """
        name: loop
        states:
          start:
            on_enter:
              - action: goto
                target: other
          other:
            on_enter:
              - action: goto
                target: start
        """
      let steps = Value.list([Value](repeating: "hello", count: 200))
      let answer = try await gateway.post(
        "/v1/dialogs/loop/simulate", body(["source": .string(loop), "steps": steps]))
      #expect([200, 422].contains(answer.status))
    }
  }

  @Test(arguments: [
    ("GET", "/v1/dialogs/nobody", "", 404, "there is no dialog `nobody`; did you mean `nobodi`?"),
    ("GET", "/v1/dialogs/zzzzzzzz/versions", "", 404, "there is no dialog `zzzzzzzz`"),
    ("GET", "/v1/dialogs/nobodi?version=7", "", 404, "there is no version 7 of a dialog `nobodi`"),
    (
      "PUT", "/v1/dialogs/a%2Fb", "{\"source\": \"x\"}", 422,
      "a dialog's name has 1 to 64 letters, digits, `_`, `-` and `.`"
    ),
    ("PUT", "/v1/dialogs/a", "{}", 400, "`source` is missing"),
    ("PUT", "/v1/dialogs/a", "{\"source\": 5}", 400, "`source` must be a text"),
    ("POST", "/v1/dialogs/nobodi/publish", "{}", 400, "`version` is missing"),
    ("POST", "/v1/dialogs/nobodi/publish", "{\"version\": 9}", 404, "there is no version 9 of a dialog `nobodi`"),
    ("POST", "/v1/dialogs/nobodi/publish", "{\"version\": 0}", 400, "`version` must lie between 1 and 2147483647"),
    ("POST", "/v1/dialogs/nobodi/simulate", "{\"stpes\": []}", 400, "unknown key `stpes`; did you mean `steps`?"),
    ("POST", "/v1/dialogs/nobodi/simulate", "{\"variables\": []}", 400, "`variables` must be an object"),
    (
      "POST", "/v1/dialogs/nobodi/check", "{\"source\": \"a: b\", \"version\": 1}", 422,
      "`source` and `version` exclude each other"
    ),
    ("DELETE", "/v1/dialogs/nobodi", "", 405, "/v1/dialogs/nobodi takes GET, PUT, HEAD, OPTIONS"),
  ])
  func aWrongRequestIsExplained(method: String, path: String, text: String, status: Int, detail: String) async throws {
    try await Gateway.with { gateway async throws in
      _ = try await put(gateway, "nobodi", Self.good.replacing("name: menu", with: "name: nobodi"))
      var request = gateway.request(path, method: .init(rawValue: method))
      if !text.isEmpty { request.body = .bytes(ByteBuffer(string: text)) }
      let answer = try await gateway.send(request)
      #expect(answer.status == status)
      #expect(answer.headers.first(name: "Content-Type") == "application/problem+json")
      #expect(answer.json["detail"]?.stringValue == detail)
    }
  }

  @Test func sizesAreLimited() async throws {
    try await Gateway.with { gateway async throws in
      let large = String(repeating: "# a comment\n", count: 200_000)
      #expect(try await put(gateway, "menu", large).status == 413)
      let tooLong = String(repeating: "#", count: StorageLimits.dialogBytes + 1)
      #expect(try await put(gateway, "menu", tooLong).status == 400)
      let note = body(["source": "x: y", "note": .string(String(repeating: "n", count: 1001))])
      #expect(try await put(gateway, "menu", note, type: "application/json").status == 400)
      let lines = Value.list([Value](repeating: "x", count: 201))
      let many = try await gateway.post(
        "/v1/dialogs/menu/simulate", body(["source": .string(Self.good), "steps": lines]))
      #expect(many.status == 400)
      let long = Value.string(String(repeating: "x", count: 2001))
      #expect(
        try await gateway.post("/v1/dialogs/menu/simulate", body(["source": .string(Self.good), "input": long])).status
          == 400)
    }
  }
}
