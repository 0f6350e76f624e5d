# Made by generate.py from the description that the gateway serves at /openapi.json. Change that, not this.
# fmt: off
from __future__ import annotations

from typing import (
    Any, AsyncIterator, Awaitable, Iterator, List, Literal, Mapping, NotRequired, Protocol, TypedDict, cast,
)
from urllib.parse import quote
from uuid import uuid4


class Request(Protocol):
    def __call__(self, method: str, path: str, **options: Any) -> Any: ...


class AsyncRequest(Protocol):
    def __call__(self, method: str, path: str, **options: Any) -> Awaitable[Any]: ...


def _new_key() -> str:
    return uuid4().hex


def _quote(value: object) -> str:
    return quote(str(value), safe="")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(_text(one) for one in value)
    return str(value)


def _present(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items() if value is not None}


_headers = _present


def _form(values: Mapping[str, object]) -> dict[str, str | list[str]]:
    return {
        name: [_text(one) for one in value] if isinstance(value, (list, tuple)) else _text(value)
        for name, value in values.items()
        if value is not None
    }


def _body(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _files(values: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    return {
        name: value if isinstance(value, tuple) else (name, value) for name, value in values.items() if value is not None
    }


class AuditRecord(TypedDict):
    action: str
    actor: str
    at: str
    details: dict[str, Any]
    object: str
    outcome: Literal["ok", "denied", "failed"]
    peer: str
    request_id: str
    sequence: int
    status: int
    tenant: str


class AuditRecordPage(TypedDict):
    items: List[AuditRecord]
    next_cursor: str | None


class Call(TypedDict):
    answered_at: str | None
    called_number: str
    caller_id: str
    current_state: str
    dialog_digest: str
    dialog_name: str
    dialog_number: int | None
    dialog_version: str
    direction: str
    duration_ms: int
    end_reason: str | None
    ended_at: str | None
    id: str
    latency: dict[str, Any]
    outcome: dict[str, Any]
    quality: dict[str, Any]
    started_at: str | None
    state: Literal["offered", "ringing", "active", "ended"]
    talk_duration_ms: int
    variables: dict[str, Any]


class CallPage(TypedDict):
    items: List[Call]
    next_cursor: str | None


class Accepted(TypedDict):
    accepted: bool


class Event(TypedDict):
    """The envelope, and the fields of the type."""
    dialog_name: str
    event_id: str
    sequence: int
    session_id: str
    tenant: str
    timestamp: str
    type: str


class EventPage(TypedDict):
    items: List[Event]
    next_cursor: str | None


class HungUp(TypedDict):
    call_duration_seconds: float


class Playback(TypedDict):
    estimated_duration_ms: NotRequired[int]
    playback_id: str


class TraceInput(TypedDict):
    confidence: NotRequired[float | None]
    kind: Literal["speech", "key", "event"]
    text: str


class TraceStep(TypedDict):
    at_ms: int
    fields: dict[str, Any]
    sequence: int
    text: str
    type: str


class TraceTurn(TypedDict):
    at_ms: int
    input: TraceInput | None
    latency: dict[str, Any] | None
    number: int
    steps: List[TraceStep]


class Trace(TypedDict):
    """A call turn by turn; times count from its first event."""
    is_complete: bool
    session_id: str
    started_at: str
    summary: dict[str, Any]
    turns: List[TraceTurn]


class Utterance(TypedDict):
    at: str
    confidence: NotRequired[float]
    interrupted: NotRequired[bool]
    role: Literal["caller", "gateway"]
    text: str


class Transcript(TypedDict):
    items: List[Utterance]
    session_id: str


class Transfer(TypedDict):
    transfer_id: str


class Diagnostic(TypedDict):
    code: str
    column: NotRequired[int]
    file: str
    hint: str
    line: NotRequired[int]
    message: str
    severity: Literal["error", "warning"]


class Dialog(TypedDict):
    description: str
    diagnostics: List[Diagnostic]
    file: str
    held_back: bool
    language: str
    latest: int
    name: str
    number: int | None
    published: int | None
    status: Literal["serving", "broken", "off", "pending"]
    version: str


class DialogPage(TypedDict):
    items: List[Dialog]
    next_cursor: str | None


class DialogVersion(TypedDict):
    author: str
    created_at: str
    dialog: str
    digest: str
    note: str
    number: int
    origin: Literal["folder", "api"]
    published_at: str | None
    state: Literal["draft", "published", "retired"]


class KeptDialog(TypedDict):
    diagnostics: List[Diagnostic]
    ok: bool
    version: DialogVersion


class CheckedDialog(TypedDict):
    diagnostics: List[Diagnostic]
    name: str
    ok: bool


class Simulation(TypedDict):
    ended: bool
    lines: List[str]
    state: str
    variables: dict[str, Any]


class DialogVersionPage(TypedDict):
    items: List[DialogVersion]
    next_cursor: str | None


class Number(TypedDict):
    created_at: str
    description: str
    dialog: str
    number: str
    updated_at: str


class NumberPage(TypedDict):
    items: List[Number]
    next_cursor: str | None


class Token(TypedDict):
    created_at: str | None
    created_by: str
    expires_at: str | None
    id: str
    last_used_at: str | None
    name: str
    revoked_at: str | None
    roles: List[Literal["admin", "operator", "developer", "viewer", "ingest"]]
    tenant: str


class TokenPage(TypedDict):
    items: List[Token]
    next_cursor: str | None


class NewToken(TypedDict):
    created_at: str | None
    created_by: str
    expires_at: str | None
    id: str
    last_used_at: str | None
    name: str
    revoked_at: str | None
    roles: List[Literal["admin", "operator", "developer", "viewer", "ingest"]]
    tenant: str
    token: str


class Trunk(TypedDict):
    name: str


class TrunkPage(TypedDict):
    items: List[Trunk]
    next_cursor: str | None


class Webhook(TypedDict):
    created_at: str
    description: str
    dialog_name: str
    disabled_reason: str
    enabled: bool
    event_types: List[str]
    id: str
    previous_secret_valid_until: str | None
    rate_per_second: float | None
    session_id: str
    updated_at: str
    url: str


class WebhookPage(TypedDict):
    items: List[Webhook]
    next_cursor: str | None


class WebhookWithSecret(TypedDict):
    created_at: str
    description: str
    dialog_name: str
    disabled_reason: str
    enabled: bool
    event_types: List[str]
    id: str
    previous_secret_valid_until: str | None
    rate_per_second: float | None
    secret: str
    session_id: str
    updated_at: str
    url: str


class WebhookDeadLetter(TypedDict):
    """An event that was given up"""
    attempts: int
    died_at: str
    event: dict[str, Any]
    id: int
    reason: str
    webhook_id: str


class WebhookDeadLetterPage(TypedDict):
    items: List[WebhookDeadLetter]
    next_cursor: str | None


class WebhookAnswer(TypedDict):
    """What came back"""
    delivered: bool
    delivery_id: str
    duration_ms: int
    error: str
    response: str
    status: int | None


class WebhookWithProgress(TypedDict):
    created_at: str
    dead_letters: int
    description: str
    dialog_name: str
    disabled_reason: str
    enabled: bool
    event_types: List[str]
    failing_since: str | None
    id: str
    last_success_at: str | None
    previous_secret_valid_until: str | None
    rate_per_second: float | None
    session_id: str
    updated_at: str
    url: str
    waiting: int


class Deleted(TypedDict):
    deleted: bool


class WebhookDelivery(TypedDict):
    """One attempt"""
    at: str
    attempt: int
    delivery_id: str
    duration_ms: int
    error: str
    event_id: str
    id: int
    outcome: Literal["delivered", "failed", "deferred", "gone"]
    response: str
    sequence: int
    session_id: str
    status: int | None
    type: str


class WebhookDeliveryPage(TypedDict):
    items: List[WebhookDelivery]
    next_cursor: str | None


class Audio:
    def __init__(self, request: Request):
        self._request = request

    def speech(self, *, input: str, model: str, voice: str, instructions: str | None = None, response_format: Literal["mp3", "opus", "flac", "wav", "pcm"] | None = None, speed: float | None = None, stream_format: Literal["audio"] | None = None) -> bytes:
        """A text into sound, in OpenAI's form

        input: 1 to 4096 characters
        instructions: Must be empty: the voices take none
        model: tts-1, or a model of GET /v1/models that speaks
        response_format: What the answer is; aac is not made here
        speed: 1 is the voice's own pace
        stream_format: The sound comes as it is made
        voice: One of GET /v1/speech/voices, or a voice of OpenAI's, which one of them stands in for
        """
        return cast('bytes', self._request("POST", "/v1/audio/speech", json=_body({'input': input, 'model': model, 'voice': voice, 'instructions': instructions, 'response_format': response_format, 'speed': speed, 'stream_format': stream_format})))

    def transcriptions(self, *, file: bytes, model: str, chunking_strategy: Literal["auto"] | None = None, language: str | None = None, phrases: List[str] | None = None, prompt: str | None = None, response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] | None = None, stream: bool | None = None, temperature: float | None = None, timestamp_granularities: List[Literal["segment", "word"]] | None = None) -> dict[str, Any]:
        """A recording into words, in OpenAI's form

        chunking_strategy: Recordings are always divided at silence
        language: A language tag
        model: whisper-1, or a model of GET /v1/models that hears
        phrases: Words and phrases that are expected (not OpenAI's)
        prompt: Must be empty; `phrases` says what is expected
        response_format: What the answer is
        stream: Server-sent events, one for every stretch of speech
        temperature: 0: decoding leaves nothing to chance
        timestamp_granularities: For verbose_json: times of segments, of words, or both
        """
        return cast('dict[str, Any]', self._request("POST", "/v1/audio/transcriptions", files=_files({'file': file}), data=_form({'model': model, 'chunking_strategy': chunking_strategy, 'language': language, 'phrases': phrases, 'prompt': prompt, 'response_format': response_format, 'stream': stream, 'temperature': temperature, 'timestamp_granularities[]': timestamp_granularities})))


class Audit:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None, actor: str | None = None, action: str | None = None, outcome: Literal["ok", "denied", "failed"] | None = None, from_: str | None = None, to: str | None = None) -> AuditRecordPage:
        """Who did what, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        actor: Only what this token or subject did
        action: Only this: `POST /v1/calls/{id}/hangup`, `hook`
        outcome: Only what came out so
        from_: Not before this time (RFC 3339)
        to: Before this time (RFC 3339)
        """
        return cast('AuditRecordPage', self._request("GET", "/v1/audit", params=_present({'limit': limit, 'cursor': cursor, 'actor': actor, 'action': action, 'outcome': outcome, 'from': from_, 'to': to})))

    def every(self, *, limit: int | None = None, actor: str | None = None, action: str | None = None, outcome: Literal["ok", "denied", "failed"] | None = None, from_: str | None = None, to: str | None = None) -> Iterator[AuditRecord]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, actor=actor, action=action, outcome=outcome, from_=from_, to=to, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return


class Calls:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None, state: Literal["active", "ended"] | None = None, dialog: str | None = None, caller: str | None = None, called: str | None = None, from_: str | None = None, to: str | None = None) -> CallPage:
        """Active calls, newest first; or past ones

        limit: The longest page
        cursor: The `next_cursor` of the page before
        state: Calls that live, or that have ended
        dialog: Only calls of this dialog
        caller: Only calls of this caller
        called: Only calls to this number
        from_: Only calls that began at this time or later
        to: Only calls that began before this time
        """
        return cast('CallPage', self._request("GET", "/v1/calls", params=_present({'limit': limit, 'cursor': cursor, 'state': state, 'dialog': dialog, 'caller': caller, 'called': called, 'from': from_, 'to': to})))

    def every(self, *, limit: int | None = None, state: Literal["active", "ended"] | None = None, dialog: str | None = None, caller: str | None = None, called: str | None = None, from_: str | None = None, to: str | None = None) -> Iterator[Call]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, state=state, dialog=dialog, caller=caller, called=called, from_=from_, to=to, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def create(self, *, dialog: str, to: str, amd: bool | None = None, from_: str | None = None, record: bool | None = None, timeout: int | None = None, trunk: str | None = None, variables: dict[str, Any] | None = None, idempotency_key: str | None = None) -> Call:
        """Place a call

        amd: Whether to find out if a person answers
        dialog: What talks
        from_: The number that the other side sees
        record: Whether it is recorded
        timeout: Seconds until the call is given up
        to: Whom to call
        trunk: By which trunk
        variables: Values at the start of the call
        """
        return cast('Call', self._request("POST", "/v1/calls", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'dialog': dialog, 'to': to, 'amd': amd, 'from': from_, 'record': record, 'timeout': timeout, 'trunk': trunk, 'variables': variables})))

    def get(self, id: str, *, if_none_match: str | None = None) -> Call:
        """One call

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Call', self._request("GET", f"/v1/calls/{_quote(id)}", headers=_headers({'If-None-Match': if_none_match})))

    def dtmf(self, id: str, *, digits: str, duration_ms: int | None = None, idempotency_key: str | None = None) -> Accepted:
        """Press keys

        digits: `0-9 * # A-D`, in order
        duration_ms: How long each key is held
        """
        return cast('Accepted', self._request("POST", f"/v1/calls/{_quote(id)}/dtmf", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'digits': digits, 'duration_ms': duration_ms})))

    def event(self, id: str, *, name: str, data: Any | None = None, idempotency_key: str | None = None) -> Accepted:
        """Tell the dialog of a call that something happened

        data: What the dialog sees as `data`
        name: The event that the dialog's transitions name
        """
        return cast('Accepted', self._request("POST", f"/v1/calls/{_quote(id)}/event", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'name': name, 'data': data})))

    def events(self, id: str, *, limit: int | None = None, cursor: str | None = None) -> EventPage:
        """The record of a call

        limit: The longest page
        cursor: Events after this sequence number
        """
        return cast('EventPage', self._request("GET", f"/v1/calls/{_quote(id)}/events", params=_present({'limit': limit, 'cursor': cursor})))

    def every_events(self, id: str, *, limit: int | None = None) -> Iterator[Event]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.events(id, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def hangup(self, id: str, *, reason: Literal["normal", "busy", "rejected", "error"] | None = None, idempotency_key: str | None = None) -> HungUp:
        """End a call

        reason: Why
        """
        return cast('HungUp', self._request("POST", f"/v1/calls/{_quote(id)}/hangup", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'reason': reason})))

    def hold(self, id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Hold a call"""
        return cast('Accepted', self._request("POST", f"/v1/calls/{_quote(id)}/hold", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))

    def play(self, id: str, *, barge_in: bool | None = None, object: str | None = None, url: str | None = None, idempotency_key: str | None = None) -> Playback:
        """Play a sound to the caller

        barge_in: Whether the caller may interrupt it
        object: A WAV file below `storage.objects`
        url: Not in this version: put the file below `storage.objects`
        """
        return cast('Playback', self._request("POST", f"/v1/calls/{_quote(id)}/play", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'barge_in': barge_in, 'object': object, 'url': url})))

    def record(self, id: str, *, action: Literal["start", "stop", "pause"], idempotency_key: str | None = None) -> Accepted:
        """Record a call

        action: What to do
        """
        return cast('Accepted', self._request("POST", f"/v1/calls/{_quote(id)}/record", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'action': action})))

    def recording(self, id: str) -> bytes:
        """The sound of a call"""
        return cast('bytes', self._request("GET", f"/v1/calls/{_quote(id)}/recording"))

    def trace(self, id: str, *, if_none_match: str | None = None) -> Trace:
        """What happened in a call, turn by turn, with the time that each step took

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Trace', self._request("GET", f"/v1/calls/{_quote(id)}/trace", headers=_headers({'If-None-Match': if_none_match})))

    def transcript(self, id: str, *, if_none_match: str | None = None) -> Transcript:
        """Who said what, and when

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Transcript', self._request("GET", f"/v1/calls/{_quote(id)}/transcript", headers=_headers({'If-None-Match': if_none_match})))

    def transfer(self, id: str, *, target: str, headers: dict[str, Any] | None = None, mode: Literal["blind", "attended"] | None = None, idempotency_key: str | None = None) -> Transfer:
        """Hand a call on

        headers: SIP headers of the transfer
        mode: At once, or after a word with the target
        target: To whom
        """
        return cast('Transfer', self._request("POST", f"/v1/calls/{_quote(id)}/transfer", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'target': target, 'headers': headers, 'mode': mode})))

    def tts(self, id: str, *, text: str, barge_in: bool | None = None, speed: float | None = None, voice: str | None = None, idempotency_key: str | None = None) -> Playback:
        """Say something to the caller

        barge_in: Whether the caller may interrupt it
        speed: 1 is the voice's own pace
        text: What to say
        voice: Empty: the configured voice
        """
        return cast('Playback', self._request("POST", f"/v1/calls/{_quote(id)}/tts", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'text': text, 'barge_in': barge_in, 'speed': speed, 'voice': voice})))

    def unhold(self, id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Resume a call"""
        return cast('Accepted', self._request("POST", f"/v1/calls/{_quote(id)}/unhold", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))


class Dialogs:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> DialogPage:
        """The dialogs, by name, and what serves

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('DialogPage', self._request("GET", "/v1/dialogs", params=_present({'limit': limit, 'cursor': cursor})))

    def every(self, *, limit: int | None = None) -> Iterator[Dialog]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def get(self, name: str, *, version: int | None = None) -> dict[str, Any]:
        """One dialog with a source

        version: The number of a version; absent: the newest
        """
        return cast('dict[str, Any]', self._request("GET", f"/v1/dialogs/{_quote(name)}", params=_present({'version': version})))

    def put(self, name: str, *, if_none_match: str | None = None, if_match: str | None = None, source: str, author: str | None = None, note: str | None = None) -> KeptDialog:
        """Keep a source as the next version, a draft. `If-Match` and `If-None-Match: *` are heeded

        if_none_match: Entity tags (RFC 9110)
        if_match: Entity tags (RFC 9110)
        author: Who, for people
        note: Why, for people
        source: The dialog in YAML
        """
        return cast('KeptDialog', self._request("PUT", f"/v1/dialogs/{_quote(name)}", headers=_headers({'If-None-Match': if_none_match, 'If-Match': if_match}), json=_body({'source': source, 'author': author, 'note': note})))

    def check(self, name: str, *, source: str | None = None, version: int | None = None, idempotency_key: str | None = None) -> CheckedDialog:
        """What is wrong with a source, for editors

        source: The dialog in YAML; absent: a version that is stored
        version: The number of a version
        """
        return cast('CheckedDialog', self._request("POST", f"/v1/dialogs/{_quote(name)}/check", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'source': source, 'version': version})))

    def publish(self, name: str, *, version: int, idempotency_key: str | None = None) -> DialogVersion:
        """Serve new calls by a version

        version: The number of a version
        """
        return cast('DialogVersion', self._request("POST", f"/v1/dialogs/{_quote(name)}/publish", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'version': version})))

    def rollback(self, name: str, *, version: int | None = None, idempotency_key: str | None = None) -> DialogVersion:
        """Publish an older version that was published before

        version: The number of a version
        """
        return cast('DialogVersion', self._request("POST", f"/v1/dialogs/{_quote(name)}/rollback", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'version': version})))

    def simulate(self, name: str, *, caller_id: str | None = None, hooks: dict[str, Any] | None = None, input: str | None = None, source: str | None = None, steps: List[str] | None = None, variables: dict[str, Any] | None = None, version: int | None = None, idempotency_key: str | None = None) -> Simulation:
        """One turn in text: words, `#1` for keys, an empty line for silence, `?` for unclear speech, `!name` for an
        event

        caller_id: Who calls
        hooks: What each service answers, by its name
        input: The caller's line; absent: the call begins
        source: The dialog in YAML; absent: a version that is stored
        steps: The caller's lines before this turn
        variables: Values at the start of the call
        version: The number of a version
        """
        return cast('Simulation', self._request("POST", f"/v1/dialogs/{_quote(name)}/simulate", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'caller_id': caller_id, 'hooks': hooks, 'input': input, 'source': source, 'steps': steps, 'variables': variables, 'version': version})))

    def versions(self, name: str, *, limit: int | None = None, cursor: str | None = None) -> DialogVersionPage:
        """The versions of a dialog, newest first

        limit: The longest page
        cursor: Versions older than this one
        """
        return cast('DialogVersionPage', self._request("GET", f"/v1/dialogs/{_quote(name)}/versions", params=_present({'limit': limit, 'cursor': cursor})))

    def every_versions(self, name: str, *, limit: int | None = None) -> Iterator[DialogVersion]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.versions(name, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return


class Models:
    def __init__(self, request: Request):
        self._request = request

    def list(self) -> dict[str, Any]:
        """The speech models, in OpenAI's form"""
        return cast('dict[str, Any]', self._request("GET", "/v1/models"))

    def get(self, model: str) -> dict[str, Any]:
        """One speech model, in OpenAI's form"""
        return cast('dict[str, Any]', self._request("GET", f"/v1/models/{_quote(model)}"))


class Numbers:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> NumberPage:
        """The numbers, and the dialogs that answer there

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('NumberPage', self._request("GET", "/v1/numbers", params=_present({'limit': limit, 'cursor': cursor})))

    def every(self, *, limit: int | None = None) -> Iterator[Number]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def get(self, number: str, *, if_none_match: str | None = None) -> Number:
        """One number

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Number', self._request("GET", f"/v1/numbers/{_quote(number)}", headers=_headers({'If-None-Match': if_none_match})))

    def put(self, number: str, *, if_none_match: str | None = None, if_match: str | None = None, dialog: str, description: str | None = None) -> Number:
        """Let a dialog answer at a number, from the next call on

        if_none_match: Entity tags (RFC 9110)
        if_match: Entity tags (RFC 9110)
        description: For people
        dialog: A dialog of yours
        """
        return cast('Number', self._request("PUT", f"/v1/numbers/{_quote(number)}", headers=_headers({'If-None-Match': if_none_match, 'If-Match': if_match}), json=_body({'dialog': dialog, 'description': description})))

    def delete(self, number: str, *, if_none_match: str | None = None, if_match: str | None = None) -> None:
        """Let nobody answer at a number

        if_none_match: Entity tags (RFC 9110)
        if_match: Entity tags (RFC 9110)
        """
        self._request("DELETE", f"/v1/numbers/{_quote(number)}", headers=_headers({'If-None-Match': if_none_match, 'If-Match': if_match}))


class Speech:
    def __init__(self, request: Request):
        self._request = request

    def models(self) -> dict[str, Any]:
        """The models that hear and speak"""
        return cast('dict[str, Any]', self._request("GET", "/v1/speech/models"))

    def synthesize(self, *, text: str, format: Literal["wav", "mp3", "opus", "flac", "pcm", "ulaw"] | None = None, sample_rate: int | None = None, speed: float | None = None, ssml: bool | None = None, voice: str | None = None) -> bytes:
        """A text into sound

        format: What the answer is: pcm and ulaw have no head
        sample_rate: Hz; without it 16000, and 8000 for ulaw. Opus has 8000, 16000, 24000 or 48000
        speed: 1 is the voice's own pace
        ssml: Whether the text is SSML (docs/ssml.md)
        text: What is said
        voice: One of GET /v1/speech/voices; empty: the configured voice
        """
        return cast('bytes', self._request("POST", "/v1/speech/synthesize", json=_body({'text': text, 'format': format, 'sample_rate': sample_rate, 'speed': speed, 'ssml': ssml, 'voice': voice})))

    def transcribe(self, *, audio: bytes, language: str | None = None, phrases: List[str] | None = None, word_timestamps: bool | None = None) -> dict[str, Any]:
        """A recording into words

        language: A language tag; empty: the configured language
        phrases: Words and phrases that are expected, which are heard far better than others
        word_timestamps: Whether every word comes with its time
        """
        return cast('dict[str, Any]', self._request("POST", "/v1/speech/transcribe", files=_files({'audio': audio}), data=_form({'language': language, 'phrases': phrases, 'word_timestamps': word_timestamps})))

    def voices(self) -> dict[str, Any]:
        """The voices, the default first"""
        return cast('dict[str, Any]', self._request("GET", "/v1/speech/voices"))


class Tokens:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None, tenant: str | None = None) -> TokenPage:
        """The tokens of a tenant, oldest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('TokenPage', self._request("GET", "/v1/tokens", params=_present({'limit': limit, 'cursor': cursor, 'tenant': tenant})))

    def every(self, *, limit: int | None = None, tenant: str | None = None) -> Iterator[Token]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, tenant=tenant, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def create(self, *, name: str, roles: List[Literal["admin", "operator", "developer", "viewer", "ingest"]], expires_in_seconds: int | None = None, tenant: str | None = None) -> NewToken:
        """Make a token. It is shown this once

        expires_in_seconds: Absent: it does not expire
        name: What it is for, for people
        roles: What it may do
        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('NewToken', self._request("POST", "/v1/tokens", json=_body({'name': name, 'roles': roles, 'expires_in_seconds': expires_in_seconds, 'tenant': tenant})))

    def get(self, id: str, *, tenant: str | None = None) -> Token:
        """One token, without itself

        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('Token', self._request("GET", f"/v1/tokens/{_quote(id)}", params=_present({'tenant': tenant})))

    def delete(self, id: str, *, tenant: str | None = None) -> Token:
        """Refuse a token from now on

        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('Token', self._request("DELETE", f"/v1/tokens/{_quote(id)}", params=_present({'tenant': tenant})))


class Trunks:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> TrunkPage:
        """The trunks that calls come and go by

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('TrunkPage', self._request("GET", "/v1/trunks", params=_present({'limit': limit, 'cursor': cursor})))

    def every(self, *, limit: int | None = None) -> Iterator[Trunk]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return


class Webhooks:
    def __init__(self, request: Request):
        self._request = request

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> WebhookPage:
        """The webhooks, oldest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookPage', self._request("GET", "/v1/webhooks", params=_present({'limit': limit, 'cursor': cursor})))

    def every(self, *, limit: int | None = None) -> Iterator[Webhook]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def create(self, *, url: str, description: str | None = None, dialog_name: str | None = None, enabled: bool | None = None, event_types: List[Literal["call_started", "call_ringing", "call_answered", "call_held", "call_resumed", "call_transferred", "transfer_failed", "call_terminated", "call_outcome", "call_review", "hangup", "amd_result", "speech_started", "speech_partial", "speech_final", "dtmf_received", "custom_received", "state_transition", "action_executed", "secret_decision", "tts_started", "tts_completed", "tts_interrupted", "hook_result", "hook_error", "model_sentence", "model_tool_call", "model_finished", "model_error", "agent_message", "tool_called", "turn_latency", "recording_complete", "recording_ready", "transcript_ready", "quality", "custom_event", "error"]] | None = None, rate_per_second: float | None = None, session_id: str | None = None) -> WebhookWithSecret:
        """Be told of events: from now on they are sent to a URL

        description: For people
        dialog_name: Only calls of this dialog; empty: all
        enabled: Whether it is told of anything
        event_types: Only these types; empty: all
        rate_per_second: The most requests per second; 0: no limit
        session_id: Only this call; empty: all
        url: Where events are posted to: http or https, at most 2048 characters
        """
        return cast('WebhookWithSecret', self._request("POST", "/v1/webhooks", json=_body({'url': url, 'description': description, 'dialog_name': dialog_name, 'enabled': enabled, 'event_types': event_types, 'rate_per_second': rate_per_second, 'session_id': session_id})))

    def dead_letters_of_all(self, *, limit: int | None = None, cursor: str | None = None) -> WebhookDeadLetterPage:
        """Events that no attempt could deliver, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookDeadLetterPage', self._request("GET", "/v1/webhooks/dead-letters", params=_present({'limit': limit, 'cursor': cursor})))

    def every_dead_letters_of_all(self, *, limit: int | None = None) -> Iterator[WebhookDeadLetter]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.dead_letters_of_all(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def dead_letters_replay_of_all(self, letter: str, *, idempotency_key: str | None = None) -> WebhookAnswer:
        """The same, without the name of the webhook"""
        return cast('WebhookAnswer', self._request("POST", f"/v1/webhooks/dead-letters/{_quote(letter)}/replay", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))

    def get(self, id: str) -> WebhookWithProgress:
        """One webhook, and how its deliveries go"""
        return cast('WebhookWithProgress', self._request("GET", f"/v1/webhooks/{_quote(id)}"))

    def change(self, id: str, *, description: str | None = None, dialog_name: str | None = None, enabled: bool | None = None, event_types: List[Literal["call_started", "call_ringing", "call_answered", "call_held", "call_resumed", "call_transferred", "transfer_failed", "call_terminated", "call_outcome", "call_review", "hangup", "amd_result", "speech_started", "speech_partial", "speech_final", "dtmf_received", "custom_received", "state_transition", "action_executed", "secret_decision", "tts_started", "tts_completed", "tts_interrupted", "hook_result", "hook_error", "model_sentence", "model_tool_call", "model_finished", "model_error", "agent_message", "tool_called", "turn_latency", "recording_complete", "recording_ready", "transcript_ready", "quality", "custom_event", "error"]] | None = None, rate_per_second: float | None = None, session_id: str | None = None, skip_missed: bool | None = None, url: str | None = None) -> Webhook:
        """Change a webhook: what is left out stays as it is, an empty text is no filter

        description: For people
        dialog_name: Only calls of this dialog; empty: all
        enabled: Whether it is told of anything
        event_types: Only these types; empty: all
        rate_per_second: The most requests per second; 0: no limit
        session_id: Only this call; empty: all
        skip_missed: Leave out what it was not told of until now
        url: Where events are posted to: http or https, at most 2048 characters
        """
        return cast('Webhook', self._request("PATCH", f"/v1/webhooks/{_quote(id)}", json=_body({'description': description, 'dialog_name': dialog_name, 'enabled': enabled, 'event_types': event_types, 'rate_per_second': rate_per_second, 'session_id': session_id, 'skip_missed': skip_missed, 'url': url})))

    def delete(self, id: str) -> Deleted:
        """Forget a webhook and all that is kept of it"""
        return cast('Deleted', self._request("DELETE", f"/v1/webhooks/{_quote(id)}"))

    def dead_letters(self, id: str, *, limit: int | None = None, cursor: str | None = None) -> WebhookDeadLetterPage:
        """Events that this webhook never took, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookDeadLetterPage', self._request("GET", f"/v1/webhooks/{_quote(id)}/dead-letters", params=_present({'limit': limit, 'cursor': cursor})))

    def every_dead_letters(self, id: str, *, limit: int | None = None) -> Iterator[WebhookDeadLetter]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.dead_letters(id, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def dead_letters_replay(self, id: str, letter: str, *, idempotency_key: str | None = None) -> WebhookAnswer:
        """Send a dead letter once more, now; delivered, it is gone"""
        return cast('WebhookAnswer', self._request("POST", f"/v1/webhooks/{_quote(id)}/dead-letters/{_quote(letter)}/replay", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))

    def deliveries(self, id: str, *, limit: int | None = None, cursor: str | None = None) -> WebhookDeliveryPage:
        """The latest attempts, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookDeliveryPage', self._request("GET", f"/v1/webhooks/{_quote(id)}/deliveries", params=_present({'limit': limit, 'cursor': cursor})))

    def every_deliveries(self, id: str, *, limit: int | None = None) -> Iterator[WebhookDelivery]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = self.deliveries(id, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    def rotate_secret(self, id: str, *, overlap_seconds: int | None = None) -> WebhookWithSecret:
        """Sign with a new secret; the old one signs too for a while

        overlap_seconds: How long both sign; 0: the old one ends at once
        """
        return cast('WebhookWithSecret', self._request("POST", f"/v1/webhooks/{_quote(id)}/rotate-secret", json=_body({'overlap_seconds': overlap_seconds})))

    def test(self, id: str, *, idempotency_key: str | None = None) -> WebhookAnswer:
        """Send one event of type `webhook_test` to this webhook alone, now and once"""
        return cast('WebhookAnswer', self._request("POST", f"/v1/webhooks/{_quote(id)}/test", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))


class Operations:
    def __init__(self, request: Request):
        self.audio = Audio(request)
        self.audit = Audit(request)
        self.calls = Calls(request)
        self.dialogs = Dialogs(request)
        self.models = Models(request)
        self.numbers = Numbers(request)
        self.speech = Speech(request)
        self.tokens = Tokens(request)
        self.trunks = Trunks(request)
        self.webhooks = Webhooks(request)


class AsyncAudio:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def speech(self, *, input: str, model: str, voice: str, instructions: str | None = None, response_format: Literal["mp3", "opus", "flac", "wav", "pcm"] | None = None, speed: float | None = None, stream_format: Literal["audio"] | None = None) -> bytes:
        """A text into sound, in OpenAI's form

        input: 1 to 4096 characters
        instructions: Must be empty: the voices take none
        model: tts-1, or a model of GET /v1/models that speaks
        response_format: What the answer is; aac is not made here
        speed: 1 is the voice's own pace
        stream_format: The sound comes as it is made
        voice: One of GET /v1/speech/voices, or a voice of OpenAI's, which one of them stands in for
        """
        return cast('bytes', await self._request("POST", "/v1/audio/speech", json=_body({'input': input, 'model': model, 'voice': voice, 'instructions': instructions, 'response_format': response_format, 'speed': speed, 'stream_format': stream_format})))

    async def transcriptions(self, *, file: bytes, model: str, chunking_strategy: Literal["auto"] | None = None, language: str | None = None, phrases: List[str] | None = None, prompt: str | None = None, response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] | None = None, stream: bool | None = None, temperature: float | None = None, timestamp_granularities: List[Literal["segment", "word"]] | None = None) -> dict[str, Any]:
        """A recording into words, in OpenAI's form

        chunking_strategy: Recordings are always divided at silence
        language: A language tag
        model: whisper-1, or a model of GET /v1/models that hears
        phrases: Words and phrases that are expected (not OpenAI's)
        prompt: Must be empty; `phrases` says what is expected
        response_format: What the answer is
        stream: Server-sent events, one for every stretch of speech
        temperature: 0: decoding leaves nothing to chance
        timestamp_granularities: For verbose_json: times of segments, of words, or both
        """
        return cast('dict[str, Any]', await self._request("POST", "/v1/audio/transcriptions", files=_files({'file': file}), data=_form({'model': model, 'chunking_strategy': chunking_strategy, 'language': language, 'phrases': phrases, 'prompt': prompt, 'response_format': response_format, 'stream': stream, 'temperature': temperature, 'timestamp_granularities[]': timestamp_granularities})))


class AsyncAudit:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None, actor: str | None = None, action: str | None = None, outcome: Literal["ok", "denied", "failed"] | None = None, from_: str | None = None, to: str | None = None) -> AuditRecordPage:
        """Who did what, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        actor: Only what this token or subject did
        action: Only this: `POST /v1/calls/{id}/hangup`, `hook`
        outcome: Only what came out so
        from_: Not before this time (RFC 3339)
        to: Before this time (RFC 3339)
        """
        return cast('AuditRecordPage', await self._request("GET", "/v1/audit", params=_present({'limit': limit, 'cursor': cursor, 'actor': actor, 'action': action, 'outcome': outcome, 'from': from_, 'to': to})))

    async def every(self, *, limit: int | None = None, actor: str | None = None, action: str | None = None, outcome: Literal["ok", "denied", "failed"] | None = None, from_: str | None = None, to: str | None = None) -> AsyncIterator[AuditRecord]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, actor=actor, action=action, outcome=outcome, from_=from_, to=to, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return


class AsyncCalls:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None, state: Literal["active", "ended"] | None = None, dialog: str | None = None, caller: str | None = None, called: str | None = None, from_: str | None = None, to: str | None = None) -> CallPage:
        """Active calls, newest first; or past ones

        limit: The longest page
        cursor: The `next_cursor` of the page before
        state: Calls that live, or that have ended
        dialog: Only calls of this dialog
        caller: Only calls of this caller
        called: Only calls to this number
        from_: Only calls that began at this time or later
        to: Only calls that began before this time
        """
        return cast('CallPage', await self._request("GET", "/v1/calls", params=_present({'limit': limit, 'cursor': cursor, 'state': state, 'dialog': dialog, 'caller': caller, 'called': called, 'from': from_, 'to': to})))

    async def every(self, *, limit: int | None = None, state: Literal["active", "ended"] | None = None, dialog: str | None = None, caller: str | None = None, called: str | None = None, from_: str | None = None, to: str | None = None) -> AsyncIterator[Call]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, state=state, dialog=dialog, caller=caller, called=called, from_=from_, to=to, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def create(self, *, dialog: str, to: str, amd: bool | None = None, from_: str | None = None, record: bool | None = None, timeout: int | None = None, trunk: str | None = None, variables: dict[str, Any] | None = None, idempotency_key: str | None = None) -> Call:
        """Place a call

        amd: Whether to find out if a person answers
        dialog: What talks
        from_: The number that the other side sees
        record: Whether it is recorded
        timeout: Seconds until the call is given up
        to: Whom to call
        trunk: By which trunk
        variables: Values at the start of the call
        """
        return cast('Call', await self._request("POST", "/v1/calls", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'dialog': dialog, 'to': to, 'amd': amd, 'from': from_, 'record': record, 'timeout': timeout, 'trunk': trunk, 'variables': variables})))

    async def get(self, id: str, *, if_none_match: str | None = None) -> Call:
        """One call

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Call', await self._request("GET", f"/v1/calls/{_quote(id)}", headers=_headers({'If-None-Match': if_none_match})))

    async def dtmf(self, id: str, *, digits: str, duration_ms: int | None = None, idempotency_key: str | None = None) -> Accepted:
        """Press keys

        digits: `0-9 * # A-D`, in order
        duration_ms: How long each key is held
        """
        return cast('Accepted', await self._request("POST", f"/v1/calls/{_quote(id)}/dtmf", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'digits': digits, 'duration_ms': duration_ms})))

    async def event(self, id: str, *, name: str, data: Any | None = None, idempotency_key: str | None = None) -> Accepted:
        """Tell the dialog of a call that something happened

        data: What the dialog sees as `data`
        name: The event that the dialog's transitions name
        """
        return cast('Accepted', await self._request("POST", f"/v1/calls/{_quote(id)}/event", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'name': name, 'data': data})))

    async def events(self, id: str, *, limit: int | None = None, cursor: str | None = None) -> EventPage:
        """The record of a call

        limit: The longest page
        cursor: Events after this sequence number
        """
        return cast('EventPage', await self._request("GET", f"/v1/calls/{_quote(id)}/events", params=_present({'limit': limit, 'cursor': cursor})))

    async def every_events(self, id: str, *, limit: int | None = None) -> AsyncIterator[Event]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.events(id, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def hangup(self, id: str, *, reason: Literal["normal", "busy", "rejected", "error"] | None = None, idempotency_key: str | None = None) -> HungUp:
        """End a call

        reason: Why
        """
        return cast('HungUp', await self._request("POST", f"/v1/calls/{_quote(id)}/hangup", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'reason': reason})))

    async def hold(self, id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Hold a call"""
        return cast('Accepted', await self._request("POST", f"/v1/calls/{_quote(id)}/hold", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))

    async def play(self, id: str, *, barge_in: bool | None = None, object: str | None = None, url: str | None = None, idempotency_key: str | None = None) -> Playback:
        """Play a sound to the caller

        barge_in: Whether the caller may interrupt it
        object: A WAV file below `storage.objects`
        url: Not in this version: put the file below `storage.objects`
        """
        return cast('Playback', await self._request("POST", f"/v1/calls/{_quote(id)}/play", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'barge_in': barge_in, 'object': object, 'url': url})))

    async def record(self, id: str, *, action: Literal["start", "stop", "pause"], idempotency_key: str | None = None) -> Accepted:
        """Record a call

        action: What to do
        """
        return cast('Accepted', await self._request("POST", f"/v1/calls/{_quote(id)}/record", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'action': action})))

    async def recording(self, id: str) -> bytes:
        """The sound of a call"""
        return cast('bytes', await self._request("GET", f"/v1/calls/{_quote(id)}/recording"))

    async def trace(self, id: str, *, if_none_match: str | None = None) -> Trace:
        """What happened in a call, turn by turn, with the time that each step took

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Trace', await self._request("GET", f"/v1/calls/{_quote(id)}/trace", headers=_headers({'If-None-Match': if_none_match})))

    async def transcript(self, id: str, *, if_none_match: str | None = None) -> Transcript:
        """Who said what, and when

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Transcript', await self._request("GET", f"/v1/calls/{_quote(id)}/transcript", headers=_headers({'If-None-Match': if_none_match})))

    async def transfer(self, id: str, *, target: str, headers: dict[str, Any] | None = None, mode: Literal["blind", "attended"] | None = None, idempotency_key: str | None = None) -> Transfer:
        """Hand a call on

        headers: SIP headers of the transfer
        mode: At once, or after a word with the target
        target: To whom
        """
        return cast('Transfer', await self._request("POST", f"/v1/calls/{_quote(id)}/transfer", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'target': target, 'headers': headers, 'mode': mode})))

    async def tts(self, id: str, *, text: str, barge_in: bool | None = None, speed: float | None = None, voice: str | None = None, idempotency_key: str | None = None) -> Playback:
        """Say something to the caller

        barge_in: Whether the caller may interrupt it
        speed: 1 is the voice's own pace
        text: What to say
        voice: Empty: the configured voice
        """
        return cast('Playback', await self._request("POST", f"/v1/calls/{_quote(id)}/tts", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'text': text, 'barge_in': barge_in, 'speed': speed, 'voice': voice})))

    async def unhold(self, id: str, *, idempotency_key: str | None = None) -> Accepted:
        """Resume a call"""
        return cast('Accepted', await self._request("POST", f"/v1/calls/{_quote(id)}/unhold", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))


class AsyncDialogs:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> DialogPage:
        """The dialogs, by name, and what serves

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('DialogPage', await self._request("GET", "/v1/dialogs", params=_present({'limit': limit, 'cursor': cursor})))

    async def every(self, *, limit: int | None = None) -> AsyncIterator[Dialog]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def get(self, name: str, *, version: int | None = None) -> dict[str, Any]:
        """One dialog with a source

        version: The number of a version; absent: the newest
        """
        return cast('dict[str, Any]', await self._request("GET", f"/v1/dialogs/{_quote(name)}", params=_present({'version': version})))

    async def put(self, name: str, *, if_none_match: str | None = None, if_match: str | None = None, source: str, author: str | None = None, note: str | None = None) -> KeptDialog:
        """Keep a source as the next version, a draft. `If-Match` and `If-None-Match: *` are heeded

        if_none_match: Entity tags (RFC 9110)
        if_match: Entity tags (RFC 9110)
        author: Who, for people
        note: Why, for people
        source: The dialog in YAML
        """
        return cast('KeptDialog', await self._request("PUT", f"/v1/dialogs/{_quote(name)}", headers=_headers({'If-None-Match': if_none_match, 'If-Match': if_match}), json=_body({'source': source, 'author': author, 'note': note})))

    async def check(self, name: str, *, source: str | None = None, version: int | None = None, idempotency_key: str | None = None) -> CheckedDialog:
        """What is wrong with a source, for editors

        source: The dialog in YAML; absent: a version that is stored
        version: The number of a version
        """
        return cast('CheckedDialog', await self._request("POST", f"/v1/dialogs/{_quote(name)}/check", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'source': source, 'version': version})))

    async def publish(self, name: str, *, version: int, idempotency_key: str | None = None) -> DialogVersion:
        """Serve new calls by a version

        version: The number of a version
        """
        return cast('DialogVersion', await self._request("POST", f"/v1/dialogs/{_quote(name)}/publish", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'version': version})))

    async def rollback(self, name: str, *, version: int | None = None, idempotency_key: str | None = None) -> DialogVersion:
        """Publish an older version that was published before

        version: The number of a version
        """
        return cast('DialogVersion', await self._request("POST", f"/v1/dialogs/{_quote(name)}/rollback", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'version': version})))

    async def simulate(self, name: str, *, caller_id: str | None = None, hooks: dict[str, Any] | None = None, input: str | None = None, source: str | None = None, steps: List[str] | None = None, variables: dict[str, Any] | None = None, version: int | None = None, idempotency_key: str | None = None) -> Simulation:
        """One turn in text: words, `#1` for keys, an empty line for silence, `?` for unclear speech, `!name` for an
        event

        caller_id: Who calls
        hooks: What each service answers, by its name
        input: The caller's line; absent: the call begins
        source: The dialog in YAML; absent: a version that is stored
        steps: The caller's lines before this turn
        variables: Values at the start of the call
        version: The number of a version
        """
        return cast('Simulation', await self._request("POST", f"/v1/dialogs/{_quote(name)}/simulate", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()}), json=_body({'caller_id': caller_id, 'hooks': hooks, 'input': input, 'source': source, 'steps': steps, 'variables': variables, 'version': version})))

    async def versions(self, name: str, *, limit: int | None = None, cursor: str | None = None) -> DialogVersionPage:
        """The versions of a dialog, newest first

        limit: The longest page
        cursor: Versions older than this one
        """
        return cast('DialogVersionPage', await self._request("GET", f"/v1/dialogs/{_quote(name)}/versions", params=_present({'limit': limit, 'cursor': cursor})))

    async def every_versions(self, name: str, *, limit: int | None = None) -> AsyncIterator[DialogVersion]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.versions(name, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return


class AsyncModels:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self) -> dict[str, Any]:
        """The speech models, in OpenAI's form"""
        return cast('dict[str, Any]', await self._request("GET", "/v1/models"))

    async def get(self, model: str) -> dict[str, Any]:
        """One speech model, in OpenAI's form"""
        return cast('dict[str, Any]', await self._request("GET", f"/v1/models/{_quote(model)}"))


class AsyncNumbers:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> NumberPage:
        """The numbers, and the dialogs that answer there

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('NumberPage', await self._request("GET", "/v1/numbers", params=_present({'limit': limit, 'cursor': cursor})))

    async def every(self, *, limit: int | None = None) -> AsyncIterator[Number]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def get(self, number: str, *, if_none_match: str | None = None) -> Number:
        """One number

        if_none_match: Entity tags (RFC 9110)
        """
        return cast('Number', await self._request("GET", f"/v1/numbers/{_quote(number)}", headers=_headers({'If-None-Match': if_none_match})))

    async def put(self, number: str, *, if_none_match: str | None = None, if_match: str | None = None, dialog: str, description: str | None = None) -> Number:
        """Let a dialog answer at a number, from the next call on

        if_none_match: Entity tags (RFC 9110)
        if_match: Entity tags (RFC 9110)
        description: For people
        dialog: A dialog of yours
        """
        return cast('Number', await self._request("PUT", f"/v1/numbers/{_quote(number)}", headers=_headers({'If-None-Match': if_none_match, 'If-Match': if_match}), json=_body({'dialog': dialog, 'description': description})))

    async def delete(self, number: str, *, if_none_match: str | None = None, if_match: str | None = None) -> None:
        """Let nobody answer at a number

        if_none_match: Entity tags (RFC 9110)
        if_match: Entity tags (RFC 9110)
        """
        await self._request("DELETE", f"/v1/numbers/{_quote(number)}", headers=_headers({'If-None-Match': if_none_match, 'If-Match': if_match}))


class AsyncSpeech:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def models(self) -> dict[str, Any]:
        """The models that hear and speak"""
        return cast('dict[str, Any]', await self._request("GET", "/v1/speech/models"))

    async def synthesize(self, *, text: str, format: Literal["wav", "mp3", "opus", "flac", "pcm", "ulaw"] | None = None, sample_rate: int | None = None, speed: float | None = None, ssml: bool | None = None, voice: str | None = None) -> bytes:
        """A text into sound

        format: What the answer is: pcm and ulaw have no head
        sample_rate: Hz; without it 16000, and 8000 for ulaw. Opus has 8000, 16000, 24000 or 48000
        speed: 1 is the voice's own pace
        ssml: Whether the text is SSML (docs/ssml.md)
        text: What is said
        voice: One of GET /v1/speech/voices; empty: the configured voice
        """
        return cast('bytes', await self._request("POST", "/v1/speech/synthesize", json=_body({'text': text, 'format': format, 'sample_rate': sample_rate, 'speed': speed, 'ssml': ssml, 'voice': voice})))

    async def transcribe(self, *, audio: bytes, language: str | None = None, phrases: List[str] | None = None, word_timestamps: bool | None = None) -> dict[str, Any]:
        """A recording into words

        language: A language tag; empty: the configured language
        phrases: Words and phrases that are expected, which are heard far better than others
        word_timestamps: Whether every word comes with its time
        """
        return cast('dict[str, Any]', await self._request("POST", "/v1/speech/transcribe", files=_files({'audio': audio}), data=_form({'language': language, 'phrases': phrases, 'word_timestamps': word_timestamps})))

    async def voices(self) -> dict[str, Any]:
        """The voices, the default first"""
        return cast('dict[str, Any]', await self._request("GET", "/v1/speech/voices"))


class AsyncTokens:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None, tenant: str | None = None) -> TokenPage:
        """The tokens of a tenant, oldest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('TokenPage', await self._request("GET", "/v1/tokens", params=_present({'limit': limit, 'cursor': cursor, 'tenant': tenant})))

    async def every(self, *, limit: int | None = None, tenant: str | None = None) -> AsyncIterator[Token]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, tenant=tenant, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def create(self, *, name: str, roles: List[Literal["admin", "operator", "developer", "viewer", "ingest"]], expires_in_seconds: int | None = None, tenant: str | None = None) -> NewToken:
        """Make a token. It is shown this once

        expires_in_seconds: Absent: it does not expire
        name: What it is for, for people
        roles: What it may do
        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('NewToken', await self._request("POST", "/v1/tokens", json=_body({'name': name, 'roles': roles, 'expires_in_seconds': expires_in_seconds, 'tenant': tenant})))

    async def get(self, id: str, *, tenant: str | None = None) -> Token:
        """One token, without itself

        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('Token', await self._request("GET", f"/v1/tokens/{_quote(id)}", params=_present({'tenant': tenant})))

    async def delete(self, id: str, *, tenant: str | None = None) -> Token:
        """Refuse a token from now on

        tenant: Another tenant than one's own; for admins of `default`
        """
        return cast('Token', await self._request("DELETE", f"/v1/tokens/{_quote(id)}", params=_present({'tenant': tenant})))


class AsyncTrunks:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> TrunkPage:
        """The trunks that calls come and go by

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('TrunkPage', await self._request("GET", "/v1/trunks", params=_present({'limit': limit, 'cursor': cursor})))

    async def every(self, *, limit: int | None = None) -> AsyncIterator[Trunk]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return


class AsyncWebhooks:
    def __init__(self, request: AsyncRequest):
        self._request = request

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> WebhookPage:
        """The webhooks, oldest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookPage', await self._request("GET", "/v1/webhooks", params=_present({'limit': limit, 'cursor': cursor})))

    async def every(self, *, limit: int | None = None) -> AsyncIterator[Webhook]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.list(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def create(self, *, url: str, description: str | None = None, dialog_name: str | None = None, enabled: bool | None = None, event_types: List[Literal["call_started", "call_ringing", "call_answered", "call_held", "call_resumed", "call_transferred", "transfer_failed", "call_terminated", "call_outcome", "call_review", "hangup", "amd_result", "speech_started", "speech_partial", "speech_final", "dtmf_received", "custom_received", "state_transition", "action_executed", "secret_decision", "tts_started", "tts_completed", "tts_interrupted", "hook_result", "hook_error", "model_sentence", "model_tool_call", "model_finished", "model_error", "agent_message", "tool_called", "turn_latency", "recording_complete", "recording_ready", "transcript_ready", "quality", "custom_event", "error"]] | None = None, rate_per_second: float | None = None, session_id: str | None = None) -> WebhookWithSecret:
        """Be told of events: from now on they are sent to a URL

        description: For people
        dialog_name: Only calls of this dialog; empty: all
        enabled: Whether it is told of anything
        event_types: Only these types; empty: all
        rate_per_second: The most requests per second; 0: no limit
        session_id: Only this call; empty: all
        url: Where events are posted to: http or https, at most 2048 characters
        """
        return cast('WebhookWithSecret', await self._request("POST", "/v1/webhooks", json=_body({'url': url, 'description': description, 'dialog_name': dialog_name, 'enabled': enabled, 'event_types': event_types, 'rate_per_second': rate_per_second, 'session_id': session_id})))

    async def dead_letters_of_all(self, *, limit: int | None = None, cursor: str | None = None) -> WebhookDeadLetterPage:
        """Events that no attempt could deliver, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookDeadLetterPage', await self._request("GET", "/v1/webhooks/dead-letters", params=_present({'limit': limit, 'cursor': cursor})))

    async def every_dead_letters_of_all(self, *, limit: int | None = None) -> AsyncIterator[WebhookDeadLetter]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.dead_letters_of_all(limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def dead_letters_replay_of_all(self, letter: str, *, idempotency_key: str | None = None) -> WebhookAnswer:
        """The same, without the name of the webhook"""
        return cast('WebhookAnswer', await self._request("POST", f"/v1/webhooks/dead-letters/{_quote(letter)}/replay", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))

    async def get(self, id: str) -> WebhookWithProgress:
        """One webhook, and how its deliveries go"""
        return cast('WebhookWithProgress', await self._request("GET", f"/v1/webhooks/{_quote(id)}"))

    async def change(self, id: str, *, description: str | None = None, dialog_name: str | None = None, enabled: bool | None = None, event_types: List[Literal["call_started", "call_ringing", "call_answered", "call_held", "call_resumed", "call_transferred", "transfer_failed", "call_terminated", "call_outcome", "call_review", "hangup", "amd_result", "speech_started", "speech_partial", "speech_final", "dtmf_received", "custom_received", "state_transition", "action_executed", "secret_decision", "tts_started", "tts_completed", "tts_interrupted", "hook_result", "hook_error", "model_sentence", "model_tool_call", "model_finished", "model_error", "agent_message", "tool_called", "turn_latency", "recording_complete", "recording_ready", "transcript_ready", "quality", "custom_event", "error"]] | None = None, rate_per_second: float | None = None, session_id: str | None = None, skip_missed: bool | None = None, url: str | None = None) -> Webhook:
        """Change a webhook: what is left out stays as it is, an empty text is no filter

        description: For people
        dialog_name: Only calls of this dialog; empty: all
        enabled: Whether it is told of anything
        event_types: Only these types; empty: all
        rate_per_second: The most requests per second; 0: no limit
        session_id: Only this call; empty: all
        skip_missed: Leave out what it was not told of until now
        url: Where events are posted to: http or https, at most 2048 characters
        """
        return cast('Webhook', await self._request("PATCH", f"/v1/webhooks/{_quote(id)}", json=_body({'description': description, 'dialog_name': dialog_name, 'enabled': enabled, 'event_types': event_types, 'rate_per_second': rate_per_second, 'session_id': session_id, 'skip_missed': skip_missed, 'url': url})))

    async def delete(self, id: str) -> Deleted:
        """Forget a webhook and all that is kept of it"""
        return cast('Deleted', await self._request("DELETE", f"/v1/webhooks/{_quote(id)}"))

    async def dead_letters(self, id: str, *, limit: int | None = None, cursor: str | None = None) -> WebhookDeadLetterPage:
        """Events that this webhook never took, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookDeadLetterPage', await self._request("GET", f"/v1/webhooks/{_quote(id)}/dead-letters", params=_present({'limit': limit, 'cursor': cursor})))

    async def every_dead_letters(self, id: str, *, limit: int | None = None) -> AsyncIterator[WebhookDeadLetter]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.dead_letters(id, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def dead_letters_replay(self, id: str, letter: str, *, idempotency_key: str | None = None) -> WebhookAnswer:
        """Send a dead letter once more, now; delivered, it is gone"""
        return cast('WebhookAnswer', await self._request("POST", f"/v1/webhooks/{_quote(id)}/dead-letters/{_quote(letter)}/replay", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))

    async def deliveries(self, id: str, *, limit: int | None = None, cursor: str | None = None) -> WebhookDeliveryPage:
        """The latest attempts, newest first

        limit: The longest page
        cursor: The `next_cursor` of the page before
        """
        return cast('WebhookDeliveryPage', await self._request("GET", f"/v1/webhooks/{_quote(id)}/deliveries", params=_present({'limit': limit, 'cursor': cursor})))

    async def every_deliveries(self, id: str, *, limit: int | None = None) -> AsyncIterator[WebhookDelivery]:
        """The same, over all pages."""
        cursor: str | None = None
        while True:
            page = await self.deliveries(id, limit=limit, cursor=cursor)
            for item in page['items']:
                yield item
            cursor = page['next_cursor']
            if cursor is None:
                return

    async def rotate_secret(self, id: str, *, overlap_seconds: int | None = None) -> WebhookWithSecret:
        """Sign with a new secret; the old one signs too for a while

        overlap_seconds: How long both sign; 0: the old one ends at once
        """
        return cast('WebhookWithSecret', await self._request("POST", f"/v1/webhooks/{_quote(id)}/rotate-secret", json=_body({'overlap_seconds': overlap_seconds})))

    async def test(self, id: str, *, idempotency_key: str | None = None) -> WebhookAnswer:
        """Send one event of type `webhook_test` to this webhook alone, now and once"""
        return cast('WebhookAnswer', await self._request("POST", f"/v1/webhooks/{_quote(id)}/test", headers=_headers({'Idempotency-Key': idempotency_key or _new_key()})))


class AsyncOperations:
    def __init__(self, request: AsyncRequest):
        self.audio = AsyncAudio(request)
        self.audit = AsyncAudit(request)
        self.calls = AsyncCalls(request)
        self.dialogs = AsyncDialogs(request)
        self.models = AsyncModels(request)
        self.numbers = AsyncNumbers(request)
        self.speech = AsyncSpeech(request)
        self.tokens = AsyncTokens(request)
        self.trunks = AsyncTrunks(request)
        self.webhooks = AsyncWebhooks(request)
