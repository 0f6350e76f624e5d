"""What can go wrong, as exceptions."""

from __future__ import annotations

from typing import Any, Mapping


class ParleyError(Exception):
    """Everything that this package raises."""


class ConnectionFailed(ParleyError):
    """The gateway could not be reached, or did not answer in time."""


class APIError(ParleyError):
    """The gateway refused (RFC 9457).

    `status` is the HTTP status, `code` the last part of the problem's type (such as `no_such_call`), `detail` a sentence for a
    person, `retry_after` the seconds after which it may be tried again, or None.
    """

    def __init__(self, status: int, code: str, detail: str, retry_after: float | None, members: Mapping[str, Any]):
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.members = dict(members)


class NotFound(APIError):
    """There is no such thing, or it belongs to another tenant."""


class Unauthorized(APIError):
    """The token is missing, unknown, expired or revoked."""


class Forbidden(APIError):
    """The token's roles do not allow this."""


class RateLimited(APIError):
    """Too many requests; see `retry_after`."""


class InvalidSignature(ParleyError):
    """A webhook was not signed with a known secret, or too long ago."""


_BY_STATUS: dict[int, type[APIError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 429: RateLimited}


def problem(status: int, headers: Mapping[str, str], body: Any) -> APIError:
    """The exception for an answer that is an error."""
    members = body if isinstance(body, dict) else {}
    code = str(members.get("type", "")).rsplit(":", 1)[-1] or "error"
    detail = str(members.get("detail") or members.get("title") or f"the gateway answered {status}")
    try:
        retry_after: float | None = float(headers.get("retry-after", ""))
    except ValueError:
        retry_after = None
    return _BY_STATUS.get(status, APIError)(status, code, detail, retry_after, members)
