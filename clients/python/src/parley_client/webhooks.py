"""Checks that a webhook came from the gateway."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any, Iterable

from .errors import InvalidSignature


def verify(
    body: bytes, signature: str, secrets: str | Iterable[str], *, tolerance: float = 300, now: float | None = None
) -> dict[str, Any]:
    """The event in `body`, if the header `X-Parley-Signature-256` proves it.

    While a secret is being rotated pass the old and the new one. `tolerance` is how many seconds old a delivery may be: it keeps
    somebody who recorded one from sending it again. Raises InvalidSignature.
    """
    stamp, given = "", []
    for part in signature.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            stamp = value
        elif name == "v1":
            given.append(value)
    if not stamp.isdigit() or not given:
        raise InvalidSignature("the signature has no time or no v1")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance:
        raise InvalidSignature("the signature is too old")
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        wanted = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        # Every comparison takes as long as any other.
        if any([hmac.compare_digest(wanted, value) for value in given]):
            event: dict[str, Any] = json.loads(body)
            return event
    raise InvalidSignature("no secret fits the signature")
