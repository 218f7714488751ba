"""Hidden columns of a registered model, with the key of this process."""

from __future__ import annotations

from app.core.values.hiding import Hiding, check_of
from topics.events import Hidden


class HidingError(ValueError):
    """Reason why values cannot be hashed; starts with the setting."""


def hiding_with(hidden: Hidden, key: bytes | None) -> Hiding:
    """Return the columns to hide, with the key. Raises HidingError without the key of the registration."""
    if hidden.hash and (key is None or check_of(key) != hidden.key_check):
        wrong = "is not set here" if key is None else "is another one than the model was registered with"
        raise HidingError(f"hash_key: {wrong}, and {', '.join(hidden.hash)} may be sent as a hash alone")
    return Hiding(frozenset(hidden.redact), frozenset(hidden.hash), key or b"")
