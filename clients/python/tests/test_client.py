"""Tests of the client alone, and (with PARLEY_URL and PARLEY_TOKEN) against a running gateway: python3 -m unittest."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import pathlib
import re
import threading
import unittest
from typing import Any, AsyncIterator, Callable, Iterator

import httpx2
from websockets.sync.server import serve

import parley_client


def client(handler: Callable[[httpx2.Request], httpx2.Response]) -> tuple[parley_client.Client, list[float]]:
    """A client whose gateway is a function, and the pauses that it made."""
    made = parley_client.Client("http://gateway", "token", transport=httpx2.MockTransport(handler))
    pauses: list[float] = []
    made._sleep = pauses.append
    return made, pauses


class Requests(unittest.TestCase):
    def test_a_refusal_is_an_exception_with_its_code(self) -> None:
        def answer(_: httpx2.Request) -> httpx2.Response:
            problem = {"type": "urn:parley:problem:no_such_call", "status": 404, "detail": "there is no call `x`"}
            return httpx2.Response(404, json=problem, headers={"content-type": "application/problem+json"})

        with self.assertRaises(parley_client.NotFound) as caught:
            client(answer)[0].calls.get("x")
        self.assertEqual((caught.exception.code, caught.exception.detail), ("no_such_call", "there is no call `x`"))

    def test_what_failed_is_tried_again_with_the_same_key(self) -> None:
        keys: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            keys.append(request.headers["idempotency-key"])
            if len(keys) == 1:
                raise httpx2.ConnectError("refused")
            if len(keys) == 2:
                return httpx2.Response(503, headers={"retry-after": "3"}, json={})
            return httpx2.Response(200, json={"call_duration_seconds": 1})

        made, pauses = client(answer)
        made.calls.hangup("a")
        self.assertEqual(len(keys), 3)
        self.assertEqual(len(set(keys)), 1)
        self.assertEqual(pauses[1], 3)

    def test_what_would_be_done_twice_is_not_tried_again(self) -> None:
        seen: list[bool] = []

        def lose(request: httpx2.Request) -> httpx2.Response:
            seen.append("idempotency-key" in request.headers)
            raise httpx2.ReadError("the connection broke")

        with self.assertRaises(parley_client.ConnectionFailed):
            client(lose)[0].tokens.create(name="x", roles=["viewer"])
        self.assertEqual(seen, [False])

        def refuse(_: httpx2.Request) -> httpx2.Response:
            seen.append(False)
            if len(seen) == 2:
                raise httpx2.ConnectError("refused")
            return httpx2.Response(429 if len(seen) == 3 else 504, headers={"retry-after": "1"}, json={})

        with self.assertRaises(parley_client.APIError):
            client(refuse)[0].tokens.create(name="x", roles=["viewer"])
        self.assertEqual(len(seen), 4)

    def test_a_gateway_that_is_not_there_is_said_so(self) -> None:
        def refuse(_: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("refused")

        with self.assertRaises(parley_client.ConnectionFailed):
            client(refuse)[0].calls.list()

    def test_names_are_quoted_in_paths(self) -> None:
        seen: list[str] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            seen.append(request.url.raw_path.decode())
            return httpx2.Response(200, json={})

        client(answer)[0].calls.get("../tokens?x=1")
        self.assertEqual(seen, ["/v1/calls/..%2Ftokens%3Fx%3D1"])

    def test_pages_are_walked_to_their_end(self) -> None:
        def answer(request: httpx2.Request) -> httpx2.Response:
            page = int(request.url.params.get("cursor", "0"))
            cursor = str(page + 1) if page < 2 else None
            return httpx2.Response(200, json={"items": [{"id": str(page)}], "next_cursor": cursor})

        self.assertEqual([call["id"] for call in client(answer)[0].calls.every(limit=1)], ["0", "1", "2"])


class Events(unittest.TestCase):
    @staticmethod
    def stream(text: str) -> httpx2.Response:
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})

    @staticmethod
    def text(number: int) -> str:
        event = json.dumps({"event_id": f"e{number}", "type": "call_started"})
        return f"id: e{number}\nevent: call_started\ndata: {event}\n\n"

    def test_a_broken_stream_goes_on_where_it_was(self) -> None:
        asked: list[str | None] = []

        def answer(request: httpx2.Request) -> httpx2.Response:
            asked.append(request.headers.get("last-event-id"))
            if len(asked) == 1:
                body = "retry: 50\n\n: live\n\n" + self.text(1) + self.text(2) + "id: e3\ndata: {"
            elif len(asked) == 2:
                body = "event: stream_overflow\ndata: {}\n\n"
            else:
                body = self.text(3)
            return self.stream(body)

        made, pauses = client(answer)
        stream = made.events(include_history=True)
        self.assertEqual([next(stream)["event_id"] for _ in range(3)], ["e1", "e2", "e3"])
        self.assertEqual(asked, [None, "e2", "e2"])
        self.assertEqual(pauses[0], 0.05)

    def test_a_refusal_ends_it(self) -> None:
        with self.assertRaises(parley_client.Unauthorized):
            next(client(lambda _: httpx2.Response(401, json={}))[0].events())

    def test_asyncio(self) -> None:
        async def run() -> list[str]:
            transport = httpx2.MockTransport(lambda _: self.stream(self.text(1) + self.text(2)))
            async with parley_client.AsyncClient("http://gateway", "token", transport=transport) as made:
                found: list[str] = []
                async for event in made.events():
                    found.append(event["event_id"])
                    if len(found) == 2:
                        break
                return found

        self.assertEqual(asyncio.run(run()), ["e1", "e2"])


class Speech(unittest.TestCase):
    """Against a gateway of the test's own, which speaks the protocol of docs/api/speech.md."""

    def serve(self, script: Callable[[Any], None], status: int = 101) -> str:
        def refuse(connection: Any, _: Any) -> Any:
            return None if status == 101 else connection.respond(status, "{}")

        server = serve(script, "127.0.0.1", 0, process_request=refuse)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.socket.getsockname()[1]}"

    @staticmethod
    def echo(socket: Any) -> None:
        """Says what it was sent."""
        configuration = json.loads(socket.recv())
        socket.send(json.dumps({"type": "ready"}))
        for message in socket:
            if isinstance(message, bytes):
                socket.send(json.dumps({"type": "final", "text": message.decode()}))
            else:
                socket.send(json.dumps({"type": "done", "configuration": configuration, "command": json.loads(message)}))
                return

    def test_words_come_while_sound_is_sent(self) -> None:
        with parley_client.Client(self.serve(self.echo), "token") as made:
            heard: list[str] = []

            def sound() -> Iterator[bytes]:
                yield b"one"
                # Asked for only when the word before it has been heard.
                first.wait(20)
                yield b"two"

            first = threading.Event()
            results = made.listen(sound(), sample_rate=8000, phrases=["one"])
            for result in results:
                heard.append(result.get("text", result["type"]))
                first.set()
        self.assertEqual(heard, ["one", "two", "done"])
        self.assertEqual(result["command"], {"type": "end"})
        self.assertEqual(result["configuration"]["phrases"], ["one"])
        self.assertEqual(result["configuration"]["sample_rate"], 8000)

    def test_asyncio(self) -> None:
        async def sound() -> AsyncIterator[bytes]:
            yield b"one"

        async def run() -> list[str]:
            async with parley_client.AsyncClient(self.serve(self.echo), "token") as made:
                return [result.get("text", result["type"]) async for result in made.listen(sound())]

        self.assertEqual(asyncio.run(run()), ["one", "done"])

    def test_a_refusal_is_an_exception_with_its_code(self) -> None:
        def refuse(socket: Any) -> None:
            socket.recv()
            socket.send(json.dumps({"type": "error", "status": 429, "code": "busy", "detail": "no room"}))
            socket.close(1013)

        with parley_client.Client(self.serve(refuse), "token") as made, self.assertRaises(
            parley_client.RateLimited
        ) as caught:
            list(made.listen([b"sound"]))
        self.assertEqual((caught.exception.code, caught.exception.detail), ("busy", "no room"))
        with parley_client.Client(self.serve(self.echo, 403), "token") as made, self.assertRaises(
            parley_client.Forbidden
        ):
            list(made.listen([b"sound"]))

    def test_a_stream_that_breaks_is_said_so(self) -> None:
        def leave(socket: Any) -> None:
            socket.recv()
            socket.send(json.dumps({"type": "ready"}))
            socket.recv()

        with parley_client.Client(self.serve(leave), "token") as made, self.assertRaises(
            parley_client.ConnectionFailed
        ):
            list(made.listen([b"sound"]))

    def test_what_fails_in_the_sound_is_raised_by_the_words(self) -> None:
        def sound() -> Iterator[bytes]:
            yield b"one"
            raise LookupError("the microphone is gone")

        with parley_client.Client(self.serve(self.echo), "token") as made, self.assertRaises(LookupError):
            list(made.listen(sound()))


class Webhooks(unittest.TestCase):
    body = b'{"type": "call_started"}'

    def sign(self, secret: str, stamp: int = 1000) -> str:
        return hmac.new(secret.encode(), f"{stamp}.".encode() + self.body, hashlib.sha256).hexdigest()

    def test_either_secret_fits_during_a_rotation(self) -> None:
        header = f"t=1000,v1={self.sign('new')},v1={self.sign('old')}"
        for secrets in ("old", ["new", "other"]):
            self.assertEqual(parley_client.verify_webhook(self.body, header, secrets, now=1100)["type"], "call_started")

    def test_what_does_not_fit_is_refused(self) -> None:
        good = f"t=1000,v1={self.sign('secret')}"
        for body, header, secret, now in [
            (self.body + b" ", good, "secret", 1000.0),
            (self.body, good, "another", 1000.0),
            (self.body, good, "secret", 1301.0),
            (self.body, good.replace("t=1000", "t=1001"), "secret", 1000.0),
            (self.body, "t=1000", "secret", 1000.0),
            (self.body, "", "secret", 1000.0),
        ]:
            with self.assertRaises(parley_client.InvalidSignature):
                parley_client.verify_webhook(body, header, secret, now=now)


@unittest.skipUnless(os.environ.get("PARLEY_URL"), "no gateway")
class Gateway(unittest.TestCase):
    def test_the_readme_runs(self) -> None:
        readme = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
        names: dict[str, Any] = {}
        for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
            exec(compile(block, "README.md", "exec"), names)
        self.assertTrue(names["seen"], "the example of live events saw none")

    def test_a_wrong_token_is_told_apart(self) -> None:
        with parley_client.Client(token="not-the-token-at-all") as made, self.assertRaises(parley_client.Unauthorized):
            made.calls.list()

    def test_both_clients_see_the_same(self) -> None:
        async def names() -> list[str]:
            async with parley_client.AsyncClient() as made:
                return [dialog["name"] async for dialog in made.dialogs.every(limit=2)]

        with parley_client.Client() as made:
            self.assertEqual([dialog["name"] for dialog in made.dialogs.every()], asyncio.run(names()))


if __name__ == "__main__":
    unittest.main()
