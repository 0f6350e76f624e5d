"""Sound into words while it comes, over a WebSocket. Needs the package websockets (`pip install parley-client[speech]`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import Any, AsyncIterable, AsyncIterator, Iterable, Iterator

import httpx2

from .errors import APIError, ConnectionFailed, problem

Result = dict[str, Any]
"""A message of docs/api/speech.md: `type` (`partial`, `final`, `finalized` or `done`) and the fields of the type."""

_END = json.dumps({"type": "end"})


def address(client: httpx2.Client | httpx2.AsyncClient) -> tuple[str, dict[str, str]]:
    """Where the stream is, and what says who asks."""
    base = client.base_url
    url = str(base.copy_with(scheme="wss" if base.scheme == "https" else "ws")).rstrip("/") + "/v1/speech/stream"
    token = client.headers.get("authorization")
    return url, {"Authorization": token} if token else {}


def configuration(
    encoding: str,
    sample_rate: int | None,
    language: str | None,
    phrases: Iterable[str] | None,
    partial_results: bool,
    word_timestamps: bool,
) -> dict[str, Any]:
    """The first message."""
    wanted: dict[str, Any] = {
        "encoding": encoding,
        "sample_rate": sample_rate,
        "language": language,
        "phrases": list(phrases) if phrases is not None else None,
        "partial_results": partial_results,
        "word_timestamps": word_timestamps,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def listen(url: str, headers: dict[str, str], configuration: dict[str, Any], sound: Iterable[bytes]) -> Iterator[Result]:
    """Sends in a thread of its own, so that words come while `sound` waits for its microphone."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    failures: list[BaseException] = []
    try:
        with connect(url, additional_headers=headers) as socket:

            def send() -> None:
                # The gateway says why it hangs up; the reader hears it.
                with contextlib.suppress(ConnectionClosed):
                    try:
                        for part in sound:
                            socket.send(part)
                        socket.send(_END)
                    except ConnectionClosed:
                        raise
                    except BaseException as error:
                        failures.append(error)
                        socket.close()

            socket.send(json.dumps(configuration))
            sender = threading.Thread(target=send, name="parley-sound", daemon=True)
            started = False
            for text in socket:
                result = _result(text)
                if not started:
                    started = True
                    sender.start()
                    continue
                yield result
                if result["type"] == "done":
                    return
            _ended(failures)
    except InvalidStatus as refusal:
        raise _refusal(refusal) from refusal
    except (ConnectionClosed, OSError) as error:
        _ended(failures, error)


async def listen_async(
    url: str, headers: dict[str, str], configuration: dict[str, Any], sound: AsyncIterable[bytes]
) -> AsyncIterator[Result]:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    failures: list[BaseException] = []
    sender: asyncio.Task[None] | None = None
    try:
        async with connect(url, additional_headers=headers) as socket:

            async def send() -> None:
                with contextlib.suppress(ConnectionClosed):
                    try:
                        async for part in sound:
                            await socket.send(part)
                        await socket.send(_END)
                    except ConnectionClosed:
                        raise
                    except Exception as error:
                        failures.append(error)
                        await socket.close()

            await socket.send(json.dumps(configuration))
            async for text in socket:
                result = _result(text)
                if sender is None:
                    sender = asyncio.create_task(send())
                    continue
                yield result
                if result["type"] == "done":
                    return
            _ended(failures)
    except InvalidStatus as refusal:
        raise _refusal(refusal) from refusal
    except (ConnectionClosed, OSError) as error:
        _ended(failures, error)
    finally:
        if sender is not None:
            sender.cancel()


def _result(text: str | bytes) -> Result:
    result: Result = json.loads(text)
    if result["type"] == "error":
        raise problem(result["status"], {}, {"type": result["code"], "detail": result["detail"]})
    return result


def _ended(failures: list[BaseException], error: Exception | None = None) -> None:
    """The connection is over before its `done`: because of the sound, or because of the gateway."""
    if failures:
        raise failures[0]
    raise ConnectionFailed(str(error or "the gateway closed the stream")) from error


def _refusal(refusal: Any) -> APIError:
    answer = refusal.response
    try:
        body = json.loads(answer.body or b"")
    except ValueError:
        body = {}
    return problem(answer.status_code, answer.headers, body)
