"""What every request passes before a route sees it: who asks, for what, and how much."""

from api.door.caller import Caller, caller_of, check_model, count_wrong_key, session_in, still_reads
from api.door.door import Door
from api.door.limits import MAX_BODY_BYTES
from api.door.rules import SESSION_COOKIE

__all__ = [
    "MAX_BODY_BYTES",
    "SESSION_COOKIE",
    "Caller",
    "Door",
    "caller_of",
    "check_model",
    "count_wrong_key",
    "session_in",
    "still_reads",
]
