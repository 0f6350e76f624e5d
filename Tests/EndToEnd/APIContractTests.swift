import Foundation
import Testing

/// The API against programs that nobody here wrote: a validator of descriptions, a fuzzer that reads them, a WebSocket client.
@Suite(.serialized) struct APIContractTests {
  @Test func theDescriptionIsValid() throws {
    let gateway = try Gateway()
    let description = try gateway.api("GET", "/openapi.json", token: nil)
    #expect(description.status == 200)
    let result = try Tools.run(
      Tools.python("openapi-spec-validator"), ["--schema", "3.1", "-"], input: description.text)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  /// Every check that schemathesis has, over every route, with a call and a dialog to act on.
  @Test func nothingThatIsDescribedIsUntrue() throws {
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog])
    let calls = try LiveCalls(gateway, count: 1)
    defer { calls.stop() }
    let result = try Tools.run(
      Tools.python("st"),
      [
        "--config-file", "\(Tools.root)/Tests/EndToEnd/schemathesis.toml", "run",
        "http://127.0.0.1:\(gateway.apiPort)/openapi.json",
      ], in: try Tools.temporaryFolder(), environment: ["PARLEY_TOKEN": "end-to-end-token", "NO_COLOR": "1"], limit: 240
    )
    #expect(result.status == 0, "\(result.output.suffix(20_000))\(result.errors)\n\(gateway.errors.suffix(4000))")
  }

  @Test func aWebSocketClientReadsResumesAndIsToldOfTheEnd() throws {
    // The call would hold the gateway back from its stop.
    let gateway = try Gateway(dialogs: ["waiting.yaml": LiveCalls.dialog], arguments: ["--drain-timeout", "1s"])
    let calls = try LiveCalls(gateway, count: 1)
    defer { calls.stop() }
    let script = """
      import asyncio, json, os, signal, sys
      from websockets.asyncio.client import connect
      from websockets.exceptions import ConnectionClosed, InvalidStatus

      url, pid = sys.argv[1], int(sys.argv[2])

      async def until_live(socket):
          seen = []
          while (message := json.loads(await socket.recv())).get("control") != "live":
              seen.append(message)
          return seen

      async def main():
          headers = {"Authorization": "Bearer end-to-end-token"}
          async with connect(url + "?include_history=true", additional_headers=headers) as socket:
              everything = await until_live(socket)
              assert await asyncio.wait_for(await socket.ping(), 5) is not None
          assert [event["type"] for event in everything[:2]] == ["call_started", "call_answered"], everything
          async with connect(url + "?last_event_id=" + everything[0]["event_id"], subprotocols=["parley", "bearer.end-to-end-token"]) as socket:
              assert socket.subprotocol == "parley"
              resumed = await until_live(socket)
              assert [e["event_id"] for e in resumed][:1] == [everything[1]["event_id"]]
          try:
              async with connect(url):
                  raise AssertionError("opened without a token")
          except InvalidStatus as refusal:
              assert refusal.response.status_code == 401
          async with connect(url, additional_headers=headers) as socket:
              await until_live(socket)
              os.kill(pid, signal.SIGTERM)
              try:
                  while True:
                      await asyncio.wait_for(socket.recv(), 20)
              except ConnectionClosed as end:
                  assert end.rcvd.code == 1001, end
          print("ok")

      asyncio.run(main())
      """
    let result = try Tools.run(
      Tools.python("python"), ["-c", script, "ws://127.0.0.1:\(gateway.apiPort)/v1/calls/events", "\(gateway.pid)"])
    #expect(result.output == "ok\n", "\(result.output)\(result.errors)")
  }
}
