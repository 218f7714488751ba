"""Hiding of values before events are sent to Kafka, as the registrations of their models require."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from api.http.problems import unavailable
from api.intake.bodies import Items, Rejection
from api.intake.events import IncomingFeedback, IncomingPrediction
from app.core.values.hiding import Hiding
from app.read_model.registrations import RegistrationsTable
from app.registration.hidden_values import HidingError, hiding_with, together

Event = TypeVar("Event", IncomingPrediction, IncomingFeedback)
Nameless = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class HiddenInputs:
    """Hidden columns of a model version, and its inputs in their order; None where the version is not registered."""

    hiding: Hiding
    order: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None


class Hider:
    """Filter that hides values as the newest registrations require. Events are refused until these are loaded."""

    def __init__(self, models: RegistrationsTable, key: bytes | None) -> None:
        self._models = models
        self._key = key
        self._revision = -1
        self._found: dict[Nameless, HiddenInputs | HidingError | None] = {}
        self.is_loaded = False

    @property
    def secret(self) -> bytes | None:
        """Return the key of hashes; None where none is set."""
        return self._key

    def check_loaded(self) -> None:
        """Raise Problem 503 while the registrations are not read."""
        if not self.is_loaded:
            raise unavailable("the registrations are still being read, which say what of events is hidden")

    def of(self, model: str | None, version: str | None) -> HiddenInputs | None:
        """Return the hidden columns of a model version; None where there are none. Raises HidingError.

        For a version that is not registered, these are the hidden columns of all the model's versions; for an unnamed
        model, those of all models.
        """
        if self._revision != self._models.revision:
            self._revision, self._found = self._models.revision, {}
        key = (model, version)
        if key not in self._found:
            if len(self._found) > 10_000:
                self._found = {}
            try:
                self._found[key] = self._look_up(model, version)
            except HidingError as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, HidingError):
            raise found
        return found

    def events(self, found: Items[Event]) -> Items[Event]:
        """Return events with their values hidden; events that may not be sent are rejected with the reason.

        Raises as `check_loaded`.
        """
        if found.accepted:
            self.check_loaded()
        if not self._models.any_hidden:
            return found
        accepted: list[tuple[int, Event]] = []
        rejected = list(found.rejected)
        for index, event in found.accepted:
            try:
                accepted.append((index, self._event(event)))
            except HidingError as error:
                rejected.append(Rejection(index, str(error)))
        return Items(accepted, rejected, found.warnings)

    def _event(self, event: Event) -> Event:
        version: str | None = getattr(event, "model_version", None)  # feedback has none
        its = self.of(event.model, version)
        if its is None:
            return event
        rows = {name: getattr(event, name, None) for name in ("features", "metadata")}
        return replace(event, **{name: its.hiding.row(row) for name, row in rows.items() if row is not None})

    def _look_up(self, model: str | None, version: str | None) -> HiddenInputs | None:
        known = None if model is None or version is None else self._models.get(model, version)
        if known is not None:
            hidden = known.hidden
            return (
                None if hidden is None else HiddenInputs(hiding_with(hidden, self._key), hidden.order, known.features)
            )
        hidden = together(self._models.hidden_of_any(model))
        return None if hidden is None else HiddenInputs(hiding_with(hidden, self._key))
