"""Index of the model versions that a join has met, by numbers that are valid for the life of the process."""

from __future__ import annotations

import threading
from collections.abc import Collection
from functools import partial
from typing import Protocol

from agents.loop_slices import in_thread
from app.core.join.state import CompiledModel
from app.core.panes.stacked import Stacked
from app.registration.models_table import RegisteredModel


class ModelLookup(Protocol):
    """Part of the table of registered models that the index uses."""

    revision: int

    def get(self, model: str, version: str) -> RegisteredModel | None: ...

    async def catch_up(self) -> None: ...


class ModelIndex:
    """Numbers of registered model versions, in order of use. A version that is registered anew gets a new number."""

    def __init__(self, models: ModelLookup) -> None:
        self.watched: list[CompiledModel] = []
        self.stacked = Stacked()
        """Layout by which all versions are counted together, for every source partition."""
        self._models = models
        self._numbers: dict[tuple[str, str], int] = {}
        self._revision = -1
        self._meeting = threading.Lock()
        """Lock for reading and recovery in threads: a version must not get two numbers."""

    def number_of(self, model: str, version: str) -> int | None:
        """Return the number of a model version; None where the version is not registered, as far as is known."""
        key = (model, version)
        number = self._numbers.get(key)
        if number is not None and self._models.revision == self._revision:
            return number
        with self._meeting:
            if self._models.revision != self._revision:
                self._numbers.clear()
                self._revision = self._models.revision
            found = None if key in self._numbers else self._models.get(model, version)
            if found is not None:
                self._numbers[key] = self._watch(found)
            return self._numbers.get(key)

    def has(self, number: int) -> bool:
        """Return whether a number's profile and windows are those that are registered now."""
        profile = self.watched[number].profile
        return self.number_of(profile.model, profile.model_version) == number

    async def look_up(self, versions: Collection[tuple[str, str]]) -> None:
        """Catch up with the registrations, once, if one of the versions is not known."""
        if self._models.revision == self._revision and all(map(self._numbers.__contains__, versions)):
            return
        # A version that is met for the first time is decoded and compiled, which takes tens of milliseconds.
        numbers = [await in_thread(partial(self.number_of, *version)) for version in versions]
        if None in numbers:
            await self._models.catch_up()

    def _watch(self, found: RegisteredModel) -> int:
        silence = found.monitoring.performance.default_truth
        for number, watched in enumerate(self.watched):
            same = watched.profile.profile_id == found.profile.profile_id
            if same and watched.windows == found.monitoring.windows and watched.default == silence:
                return number
        self.watched.append(CompiledModel(found.profile, found.monitoring.windows, silence))
        return len(self.watched) - 1
