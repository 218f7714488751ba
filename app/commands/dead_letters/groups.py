"""Counts of dead letters by reason, source topic and the model version that they name."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from app.commands.dead_letters.reader import LetterFilter, known_letters, letters

if TYPE_CHECKING:
    from app.settings.settings import Settings


class LetterGroup(msgspec.Struct, kw_only=True):
    """Dead letters of one reason, topic and model version.

    `open`: number not sent again; `reason`: the newest letter's reason, in full.
    """

    kind: str
    topic: str
    model: str | None
    model_version: str | None
    letters: int
    open: int
    first: datetime
    last: datetime
    reason: str


async def groups_of(settings: Settings, wanted: LetterFilter) -> list[LetterGroup]:
    """Return the groups of the letters that the filter selects, the largest first. Raises CommandError."""
    known = await known_letters(settings, wanted)
    found: dict[tuple[str, str, str | None, str | None], LetterGroup] = {}
    async for letter in letters(settings, wanted, known):
        model, version = letter.version or (None, None)
        topic = letter.topic.removeprefix(settings.prefix) or "api"
        key = (letter.kind, topic, model, version)
        group = found.get(key)
        if group is None:
            group = found[key] = LetterGroup(
                kind=letter.kind, topic=topic, model=model, model_version=version, letters=0, open=0,
                first=letter.at, last=letter.at, reason=letter.reason,
            )  # fmt: skip
        group.letters += 1
        group.open += letter.offset not in known.resent
        group.first, group.last = min(group.first, letter.at), max(group.last, letter.at)
        group.reason = letter.reason
    return sorted(found.values(), key=lambda one: -one.letters)
