"""Python client of the Parley voice gateway."""

from .client import AsyncClient, Client
from .errors import (
    APIError,
    ConnectionFailed,
    Forbidden,
    InvalidSignature,
    NotFound,
    ParleyError,
    RateLimited,
    Unauthorized,
)
from .events import Event
from .webhooks import verify as verify_webhook

__all__ = [
    "APIError",
    "AsyncClient",
    "Client",
    "ConnectionFailed",
    "Event",
    "Forbidden",
    "InvalidSignature",
    "NotFound",
    "ParleyError",
    "RateLimited",
    "Unauthorized",
    "verify_webhook",
]
