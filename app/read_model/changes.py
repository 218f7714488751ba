"""What has changed, numbered, so that a page which was away is told only what it has missed."""

from __future__ import annotations

import asyncio
import uuid
from typing import Literal

Subject = tuple[Literal["model"], str, str] | tuple[Literal["alerts", "silences", "monitor"]]


class Changes:
    """Each subject's last change. As many numbers as there are subjects are kept, however much changes."""

    def __init__(self) -> None:
        self._run = uuid.uuid4().hex[:12]
        self._at: dict[Subject, int] = {}
        self._number = 0
        self._news = asyncio.Event()

    def note(self, *subjects: Subject) -> None:
        """Something is new of these."""
        self._number += 1
        self._at |= dict.fromkeys(subjects, self._number)
        news, self._news = self._news, asyncio.Event()
        news.set()

    @property
    def number(self) -> int:
        """That of the last change."""
        return self._number

    def since(self, number: int) -> set[Subject]:
        """What has changed after that."""
        return {subject for subject, at in self._at.items() if at > number}

    async def after(self, number: int) -> None:
        """Return once there is a change after that."""
        while self._number <= number:
            await self._news.wait()

    def id_of(self, number: int) -> str:
        """A number as an event's id: it holds for the life of this process."""
        return f"{self._run}-{number}"

    def number_of(self, event_id: str | None) -> int | None:
        """The number of an id; None for one of another process's, or nonsense."""
        run, _, number = (event_id or "").partition("-")
        if run != self._run or not number.isdecimal() or int(number) > self._number:
            return None
        return int(number)
