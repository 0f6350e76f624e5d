"""The connection that all operations share."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Any, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping

import httpx2

from . import _operations, events, speech
from .errors import APIError, ConnectionFailed, problem

# The gateway did not act on it.
_REFUSED = (429, 503)
# It is not known whether it did.
_UNKNOWN = (502, 504)


class _Request:
    """One request with its attempts: what is sent, and whether and when it is sent again."""

    def __init__(self, method: str, path: str, retries: int, options: dict[str, Any]):
        self.method = method
        self.path = path
        self.left = retries
        self.tried = 0
        self.wait = 0.0
        self.options = options
        # With a key the gateway acts once, however often it is asked; without one it would act on a POST again.
        names = [name.lower() for name in options.get("headers") or {}]
        self.is_repeatable = method != "POST" or "idempotency-key" in names

    def outcome(self, answer: httpx2.Response) -> tuple[bool, Any]:
        """Whether it is over, and with what. Raises the gateway's refusal."""
        if answer.is_success:
            return True, _content(answer)
        error = problem(answer.status_code, answer.headers, _content(answer))
        may_repeat = answer.status_code in _REFUSED or (answer.status_code in _UNKNOWN and self.is_repeatable)
        if not may_repeat or self.left <= 0:
            raise error
        self.wait = error.retry_after if error.retry_after is not None else self._backoff()
        if self.wait > 30:
            raise error
        return False, None

    def failed(self, error: httpx2.HTTPError) -> None:
        was_not_sent = isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))
        if self.left <= 0 or not (self.is_repeatable or was_not_sent):
            raise ConnectionFailed(str(error) or type(error).__name__) from error
        self.wait = self._backoff()

    def _backoff(self) -> float:
        wait: float = random.uniform(0.5, 1) * 0.2 * 2**self.tried
        return wait

    def again(self) -> float:
        self.left -= 1
        self.tried += 1
        return self.wait


def _content(answer: httpx2.Response) -> Any:
    type_ = answer.headers.get("content-type", "").split(";")[0]
    if type_ == "application/json" or type_.endswith("+json"):
        try:
            return answer.json()
        except ValueError:
            return {}
    if type_.startswith("text/"):
        return answer.text
    return answer.content


def _settings(url: str | None, token: str | None) -> tuple[str, dict[str, str]]:
    url = url or os.environ.get("PARLEY_URL") or "http://127.0.0.1:8080"
    token = token or os.environ.get("PARLEY_TOKEN") or ""
    return url, {"Authorization": f"Bearer {token}"} if token else {}


class Client(_operations.Operations):
    """A Parley gateway.

    `url` and `token` come from `PARLEY_URL` and `PARLEY_TOKEN` where they are not given. What failed on the way, and what the
    gateway asks to be tried again, is tried `retries` times more, but for a POST that the gateway would act on twice. Close it, or
    use it in a `with` block. One client serves many threads.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30,
        retries: int = 2,
        transport: httpx2.BaseTransport | None = None,
    ):
        base, headers = _settings(url, token)
        self._http = httpx2.Client(base_url=base, headers=headers, timeout=timeout, transport=transport)
        self._retries = retries
        self._sleep: Callable[[float], None] = time.sleep
        super().__init__(self.request)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Any route: the answer's JSON, text or bytes. `options` are those of httpx2: `params`, `json`, `content`, `headers` ..."""
        request = _Request(method, path, self._retries, options)
        while True:
            try:
                over, content = request.outcome(self._http.request(method, path, **request.options))
                if over:
                    return content
            except httpx2.HTTPError as error:
                request.failed(error)
            self._sleep(request.again())

    def events(
        self,
        *,
        event_types: Iterable[str] | None = None,
        session_id: str | None = None,
        dialog_name: str | None = None,
        include_history: bool = False,
        last_event_id: str | None = None,
        attempts: int = 10,
    ) -> Iterator[events.Event]:
        """Events as they happen, for ever. A connection that breaks is made again where the last event was, so none is lost.

        Ends with an exception when the gateway refuses, or cannot be reached `attempts` times in a row.
        """
        return events.follow(
            self._http,
            self._sleep,
            events.Follower(event_types, session_id, dialog_name, include_history, last_event_id, attempts),
        )

    def listen(
        self,
        sound: Iterable[bytes],
        *,
        encoding: str = "pcm_s16le",
        sample_rate: int | None = None,
        language: str | None = None,
        phrases: Iterable[str] | None = None,
        partial_results: bool = True,
        word_timestamps: bool = False,
    ) -> Iterator[speech.Result]:
        """What is said in `sound`, while it comes: mono samples in parts of up to 64 KiB.

        `encoding` is `pcm_s16le` or `ulaw`, `sample_rate` 8000, 16000 (without it), 24000 or 48000 Hz. Of the results, `partial` may
        still change, `final` does not, and `done` is the last. Needs the package websockets.
        """
        return speech.listen(
            *speech.address(self._http),
            speech.configuration(encoding, sample_rate, language, phrases, partial_results, word_timestamps),
            sound,
        )

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_operations.AsyncOperations):
    """The same for asyncio."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30,
        retries: int = 2,
        transport: httpx2.AsyncBaseTransport | None = None,
    ):
        base, headers = _settings(url, token)
        self._http = httpx2.AsyncClient(base_url=base, headers=headers, timeout=timeout, transport=transport)
        self._retries = retries
        self._sleep: Callable[[float], Any] = asyncio.sleep
        super().__init__(self.request)

    async def request(self, method: str, path: str, **options: Any) -> Any:
        request = _Request(method, path, self._retries, options)
        while True:
            try:
                over, content = request.outcome(await self._http.request(method, path, **request.options))
                if over:
                    return content
            except httpx2.HTTPError as error:
                request.failed(error)
            await self._sleep(request.again())

    def events(
        self,
        *,
        event_types: Iterable[str] | None = None,
        session_id: str | None = None,
        dialog_name: str | None = None,
        include_history: bool = False,
        last_event_id: str | None = None,
        attempts: int = 10,
    ) -> AsyncIterator[events.Event]:
        return events.follow_async(
            self._http,
            self._sleep,
            events.Follower(event_types, session_id, dialog_name, include_history, last_event_id, attempts),
        )

    def listen(
        self,
        sound: AsyncIterable[bytes],
        *,
        encoding: str = "pcm_s16le",
        sample_rate: int | None = None,
        language: str | None = None,
        phrases: Iterable[str] | None = None,
        partial_results: bool = True,
        word_timestamps: bool = False,
    ) -> AsyncIterator[speech.Result]:
        return speech.listen_async(
            *speech.address(self._http),
            speech.configuration(encoding, sample_rate, language, phrases, partial_results, word_timestamps),
            sound,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
