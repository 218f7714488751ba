"""Checks of every request before its route: the caller's identity and permissions, and the limits of size and rate."""

from api.auth.limits import MAX_BODY_BYTES
from api.auth.middleware import AuthMiddleware
from api.auth.permissions import SESSION_COOKIE
from api.auth.principal import Principal, caller_of, check_model, count_wrong_key, session_in, still_reads

__all__ = [
    "MAX_BODY_BYTES",
    "SESSION_COOKIE",
    "AuthMiddleware",
    "Principal",
    "caller_of",
    "check_model",
    "count_wrong_key",
    "session_in",
    "still_reads",
]
