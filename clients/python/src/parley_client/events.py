"""Live events that survive a broken connection."""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

import httpx2

from .errors import APIError, ConnectionFailed, problem

Event = dict[str, Any]
"""The envelope of docs/events.md: `event_id`, `type`, `sequence`, `session_id`, `timestamp`, ... and the fields of the type."""

_PATH = "/v1/calls/events"
# The gateway says that it lives every 15 seconds.
_TIMEOUT = httpx2.Timeout(10, read=60)


class Follower:
    """Decides when to come back and with what, and after which failures to give up. No input or output of its own."""

    def __init__(
        self,
        event_types: Iterable[str] | None,
        session_id: str | None,
        dialog_name: str | None,
        include_history: bool,
        last_event_id: str | None,
        attempts: int,
    ):
        wanted: Mapping[str, Any] = {
            "event_types": ",".join(event_types or ()),
            "session_id": session_id,
            "dialog_name": dialog_name,
            "include_history": "true" if include_history else None,
        }
        self.query = {name: value for name, value in wanted.items() if value}
        self.last_event_id = last_event_id
        self.attempts = attempts
        self.failures = 0
        self.retry = 2.0

    def request(self) -> dict[str, Any]:
        headers, query = {}, self.query
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
            # What was seen is not wanted again.
            query = {name: value for name, value in query.items() if name != "include_history"}
        return {"params": query, "headers": headers, "timeout": _TIMEOUT}

    def event(self, message: httpx2.ServerSentEvent) -> Event | None:
        if message.retry is not None:
            self.retry = message.retry / 1000
        # What the stream says of itself has no id of its own.
        if not message.data or message.event == "stream_overflow":
            return None
        event: Event = json.loads(message.data)
        return event

    def took(self, event: Event) -> None:
        self.last_event_id = event["event_id"]
        self.failures = 0

    def pause(self, error: Exception | None) -> float:
        """Seconds until the next attempt. Raises what should not be tried again."""
        if isinstance(error, APIError) and error.status < 500 and error.status not in (408, 429):
            raise error
        if error is not None:
            self.failures += 1
            if self.failures > self.attempts:
                raise error
        asked = error.retry_after if isinstance(error, APIError) else None
        wait: float = self.retry * min(2 ** max(0, self.failures - 1), 15)
        return max(wait, asked or 0.0)


def follow(client: httpx2.Client, sleep: Callable[[float], None], follower: Follower) -> Iterator[Event]:
    while True:
        failure: Exception | None = None
        try:
            with client.sse(_PATH, **follower.request()) as stream:
                if stream.response.status_code == 200:
                    for message in stream:
                        event = follower.event(message)
                        if event is not None:
                            yield event
                            follower.took(event)
                else:
                    stream.response.read()
                    failure = _problem(stream.response)
        except httpx2.HTTPError as error:
            failure = ConnectionFailed(str(error))
        sleep(follower.pause(failure))


async def follow_async(
    client: httpx2.AsyncClient, sleep: Callable[[float], Awaitable[None]], follower: Follower
) -> AsyncIterator[Event]:
    while True:
        failure: Exception | None = None
        try:
            async with client.sse(_PATH, **follower.request()) as stream:
                if stream.response.status_code == 200:
                    async for message in stream:
                        event = follower.event(message)
                        if event is not None:
                            yield event
                            follower.took(event)
                else:
                    await stream.response.aread()
                    failure = _problem(stream.response)
        except httpx2.HTTPError as error:
            failure = ConnectionFailed(str(error))
        await sleep(follower.pause(failure))


def _problem(answer: httpx2.Response) -> APIError:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    return problem(answer.status_code, answer.headers, body)
