"""Numbered changes, so that a page that reconnects gets only the changes that it has missed."""

from __future__ import annotations

import asyncio
import uuid
from typing import Literal

Subject = tuple[Literal["model"], str, str] | tuple[Literal["alerts", "silences", "monitor"]]


class Changes:
    """The last change of each subject. The size is bounded by the number of subjects, however often they change."""

    def __init__(self) -> None:
        self._run = uuid.uuid4().hex[:12]
        self._at: dict[Subject, int] = {}
        self._number = 0
        self._news = asyncio.Event()

    def note(self, *subjects: Subject) -> None:
        """Note a change of each of these subjects."""
        self._number += 1
        self._at |= dict.fromkeys(subjects, self._number)
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def number(self) -> int:
        """Return the number of the last change."""
        return self._number

    def since(self, number: int) -> set[Subject]:
        """Return the subjects that have changed after a number."""
        return {subject for subject, at in self._at.items() if at > number}

    async def after(self, number: int) -> None:
        """Return once there is a change after a number."""
        while self._number <= number:
            await self._news.wait()

    def id_of(self, number: int) -> str:
        """Return a number as an event id, which is valid for the life of this process."""
        return f"{self._run}-{number}"

    def number_of(self, event_id: str | None) -> int | None:
        """Return the number of an event id; None for an id of another process, or an invalid one."""
        run, _, number = (event_id or "").partition("-")
        if run != self._run or not number.isdecimal() or int(number) > self._number:
            return None
        return int(number)
