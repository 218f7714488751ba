"""Search for the known name that a mistyped one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 100
"""Characters of a name that is compared: the comparison takes time in the square of its length."""


def did_you_mean(name: str, known: Iterable[str], where: str = "", *, before: str = "") -> str:
    """Return "did you mean NAME?" with the closest known name, upper case or not; empty where none is close.

    `where`: what stands before the name, such as the section that it is in. `before`: what stands before the question.
    """
    by_folded = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), by_folded, n=1) if len(name) <= LONGEST else ()
    return f"{before}did you mean {where}{by_folded[close[0]]}?" if close else ""


def name_hint(name: str, known: Iterable[str], where: str = "") -> str:
    """Return the closest known name as `did_you_mean` does; all known names where none is close."""
    names = tuple(known)
    return did_you_mean(name, names, where) or f"known are {', '.join(names)}"
