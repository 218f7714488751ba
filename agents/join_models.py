"""The model versions that a join has met, by numbers that hold for the life of the process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from app.core.joining import Watched
from app.runtime.models_view import RegisteredModel


class Models(Protocol):
    """What is asked of the view of registered models."""

    revision: int

    def get(self, model: str, version: str) -> RegisteredModel | None: ...

    async def catch_up(self) -> None: ...


class WatchedModels:
    """Numbers registered model versions as they are met; one that is registered anew gets a new number."""

    def __init__(self, models: Models) -> None:
        self.watched: list[Watched] = []
        self._models = models
        self._numbers: dict[tuple[str, str], int] = {}
        self._revision = -1

    def number_of(self, model: str, version: str) -> int | None:
        """The number of a model version, None where it is not registered as far as is known."""
        if self._models.revision != self._revision:
            self._numbers.clear()
            self._revision = self._models.revision
        key = (model, version)
        if key not in self._numbers:
            found = self._models.get(model, version)
            if found is None:
                return None
            self._numbers[key] = self._watch(found)
        return self._numbers[key]

    def has(self, number: int) -> bool:
        """Whether a number's profile and windows are those that are registered now."""
        profile = self.watched[number].profile
        return self.number_of(profile.model, profile.model_version) == number

    async def look_up(self, versions: Iterable[tuple[str, str]]) -> None:
        """Where one of them is not known, take in all registrations of now, once."""
        if any(self.number_of(*version) is None for version in versions):
            await self._models.catch_up()

    def _watch(self, found: RegisteredModel) -> int:
        for number, watched in enumerate(self.watched):
            if watched.profile.profile_id == found.profile.profile_id and watched.windows == found.monitoring.windows:
                return number
        self.watched.append(Watched(found.profile, found.monitoring.windows))
        return len(self.watched) - 1
