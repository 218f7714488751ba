"""Learning of references: the next predictions of a model version become its reference."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import msgspec
from aiokafka.errors import KafkaError

from app.kafka.audit import by_user, note
from app.kafka.errors import BrokerUnavailable
from app.kafka.producer import Producer, RecordRefused
from app.registration.publish import RegistrationError, audit_detail, model_event, send_registration, too_large
from app.registration.setup import decode_monitoring
from app.registration.versions_table import Registered
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from topics.events import ModelEvent, VersionEvent
from topics.registry import VERSIONS

if TYPE_CHECKING:
    from app.references.reading import FirstRows, ReadRows

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks for new predictions."""
TOLD_EVERY = 5.0
"""Seconds between two records of the progress, at least."""


OF_KAFKA = (KafkaError, BrokerUnavailable, OSError)
"""Errors after which the same is tried again."""


OF_TABLES = ("app.references.reading", "app.registration.profiling")
"""Modules that a worker imports only when a version learns."""


class Registrations(Protocol):
    """Part of the table of registered models that the learner uses."""

    async def catch_up(self) -> None:
        """Return once everything up to now has been read."""
        ...


@dataclass(slots=True)
class _Progress:
    """Rows of one version that learns. `told`: the number of rows that was recorded last, and when."""

    rows: FirstRows
    told: int = -1
    told_at: float = field(default=-TOLD_EVERY)


class Learner:
    """Maker of references from the first predictions of versions that learn, for the versions that this worker owns.

    A version learns while the topic `versions` says so and the topic `models` has no later registration. Both are in
    Kafka, as are the predictions. A worker that is killed leaves nothing behind: the next owner of the version reads
    the same predictions again. Just before a registration is sent, the topic `models` is read to its end: a version
    that was registered meanwhile is not registered again.
    """

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        lives: Registered,
        models: Registrations,
        owns: Callable[[str, str], bool],
        progressed: Callable[[str, str, int | None], None] = lambda model, version, seen: None,
    ) -> None:
        """Create the learner. `progressed` is called with the rows that a version has; None once it does not learn."""
        self._settings = settings
        self._producer = producer
        self._lives = lives
        self._models = models
        self._owns = owns
        self._progressed = progressed
        self._known: dict[tuple[str, str], tuple[VersionEvent, _Progress]] = {}

    async def run(self) -> None:
        """Learn until cancelled. After an error of Kafka, try again."""
        while True:
            try:
                await self.look()
            except OF_KAFKA as error:
                log.warning("learning of references waits for Kafka: %s", error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                log.warning("learning of references waits for Kafka: a request to it was given up")  # by aiokafka
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Read new predictions of the versions that learn, and register those that have enough."""
        learning = {
            (one.model, one.model_version): one
            for one in self._lives.learning()
            if not one.reason and self._owns(one.model, one.model_version)
        }
        for key in [key for key in self._known if key not in learning]:
            del self._known[key]
            self._progressed(*key, None)
        for key, event in learning.items():
            try:
                for module in OF_TABLES:  # they have pandas, whose import takes a second
                    await asyncio.to_thread(import_module, module)
                known = self._known.get(key)
                if known is None or known[0].since != event.since:
                    known = self._known[key] = event, self._begun(event)
                await self._learn(event, known[1])
            except OF_KAFKA:
                raise
            except ValueError as error:  # TableError, MonitoringError, RegistrationError
                await self._give_up(event, str(error))
            except Exception as error:  # noqa: BLE001 - what one version has sent must not stop the others' monitoring
                await self._give_up(event, f"{type(error).__name__}: {error}")

    def _begun(self, event: VersionEvent) -> _Progress:
        from app.references.event_topics import OwnTopics
        from app.references.reading import FirstRows, WantedRows

        assert event.learning is not None
        file = decode_monitoring(event.learning.config.encode(), "config")
        wanted = WantedRows(event.model, event.model_version, file.monitoring.windows.ahead)
        rows = FirstRows(
            self._settings, OwnTopics(self._settings), wanted, event.learning.rows, event.since.timestamp()
        )
        return _Progress(rows)

    async def _learn(self, event: VersionEvent, progress: _Progress) -> None:
        assert event.learning is not None
        await progress.rows.read_on()
        seen = len(progress.rows)
        self._progressed(event.model, event.model_version, seen)
        if seen >= event.learning.rows:
            await self._register(event, await progress.rows.read())
        elif seen != progress.told and time.monotonic() - progress.told_at >= TOLD_EVERY:
            progress.told, progress.told_at = seen, time.monotonic()
            await self._tell(
                msgspec.structs.replace(event, learning=msgspec.structs.replace(event.learning, seen=seen))
            )

    async def _register(self, event: VersionEvent, read: ReadRows) -> None:
        from app.registration.profiling import read_reference

        assert event.learning is not None
        model, version = event.model, event.model_version
        file = decode_monitoring(event.learning.config.encode(), "config")
        reference = await asyncio.to_thread(
            read_reference, model, version, read.frame, file, event.learning.baseline, hash_key_of(self._settings)
        )
        registration: ModelEvent = model_event(reference.profile, file, reference.hidden)
        await self._models.catch_up()
        if self._lives.learns(model, version) is None:
            return
        detail = {**audit_detail(reference.profile), "learned": "true"}
        await note(
            self._producer, by_user("model.registered", f"{model}/{version}", event.learning.by or "worker", detail)
        )
        try:
            await send_registration(self._producer, registration, reference.profile)
        except RecordRefused as error:
            raise RegistrationError(too_large(error)) from None
        log.info("%s %s has learned its reference from %d predictions", model, version, reference.profile.n)

    async def _give_up(self, event: VersionEvent, reason: str) -> None:
        log.error("%s %s cannot learn its reference: %s", event.model, event.model_version, reason)
        await self._tell(msgspec.structs.replace(event, reason=reason))

    async def _tell(self, event: VersionEvent) -> None:
        if self._lives.learns(event.model, event.model_version) is None:
            return
        await self._producer.send(VERSIONS, f"{event.model}/{event.model_version}".encode(), msgspec.json.encode(event))
