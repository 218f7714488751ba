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


def together(all_of_them: list[Hidden]) -> Hidden | None:
    """Return the columns that any of several registrations hides; None without any.

    A column that one drops is dropped.
    """
    if not all_of_them:
        return None
    redact = {name for one in all_of_them for name in one.redact}
    hashed = {name for one in all_of_them for name in one.hash} - redact
    checks = {one.key_check for one in all_of_them if one.hash}
    check = next(iter(checks)) if len(checks) == 1 else ""
    return Hidden(redact=tuple(sorted(redact)), hash=tuple(sorted(hashed)), key_check=check)
