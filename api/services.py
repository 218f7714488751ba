"""The routes' services: producer, global tables and served models; connected in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Annotated

from aiokafka.errors import KafkaError
from fastapi import Depends, Request

from api.auth.key_audit import note_keys
from api.history_reader import HistoryReader
from api.intake.events import encode
from api.intake.hiding import Hider
from api.served.models import ServedModel, ServedModels
from api.served.spooling import spooling_of
from app.access import KeyFile, keys_path
from app.alerting.receivers.table import ReceiversTable
from app.alerting.silences.expiry import expire_silences
from app.alerting.silences.table import SilencesTable
from app.history.setup import history_of
from app.kafka.errors import BrokerUnavailable, TopicError, Unreadable
from app.kafka.global_table import FollowedTopic
from app.kafka.producer import Producer
from app.kafka.topic_watch import TopicWatch
from app.kafka.topics import declared, ensure_topics
from app.processes.crash import crash
from app.read_model.changes import Changes
from app.read_model.registrations import RegistrationsTable
from app.read_model.reports_table import ReportsTable
from app.registration.versions_table import VersionsTable
from app.serving import Bundle
from app.serving.answers_table import ServedAnswersTable
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from app.telemetry import metrics
from topics.events import DeploymentEvent
from topics.registry import DEPLOYMENTS, TOPICS

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
PROBE_SECONDS = 2.0


class Services:
    """Services that a request may need, for the life of the API."""

    def __init__(self, settings: Settings, served_models: ServedModels | None = None) -> None:
        self.settings = settings
        self.served_models = ServedModels(settings) if served_models is None else served_models
        self.producer = Producer(settings, feedback_prefix=settings.feedback_prefix)
        self.changes = Changes()
        self.models = RegistrationsTable(settings, self.changes)
        self.hider = Hider(self.models, hash_key_of(settings))
        self.silences = SilencesTable(settings)
        self.silences.on_change = lambda: self.changes.note(("silences",), ("alerts",))
        self.reports = ReportsTable(settings, self.changes)
        self.versions = VersionsTable(settings)
        self.versions.changed = lambda model, version: self.changes.note(("model", model, version))
        self.closing = asyncio.Event()
        """Set when the process is about to end: streams end then, so that the process does not wait for them."""
        self.streams: Counter[str] = Counter()
        """Number of open event streams by the key's id."""
        self.receivers = ReceiversTable(settings)
        self.served = ServedAnswersTable(settings) if self.served_models else None
        self.spooling = spooling_of(settings, self.producer, self.served)
        self.history = HistoryReader(history_of(settings), settings.history_query_seconds)
        self.connected = asyncio.Event()
        self.registering = asyncio.Lock()
        """Lock of reading references: each takes a core for seconds, and several times its size in memory."""
        self._told: set[tuple[str, str, str]] = set()
        """Deployments that are recorded already, by model, version and SHA-256."""
        self._failed = ""
        self._loading = "the views are still loading"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect in the background, so that the API responds (503) before Kafka does."""
        connecting = asyncio.create_task(self._connect(), name="connect")
        keys = KeyFile(keys_path(self.settings))
        beside: list[asyncio.Task[None]] = [
            asyncio.create_task(note_keys(keys, self.producer, self.connected), name="audit of keys"),
            asyncio.create_task(expire_silences(self.silences, self.producer, self.connected), name="old silences"),
        ]
        if self.spooling is not None:
            self.spooling.open()
            beside.append(asyncio.create_task(self.spooling.run(self.connected), name="predictions that wait"))
        try:
            yield
        finally:
            for task in (connecting, *beside):
                task.cancel()
            await asyncio.gather(connecting, *beside, return_exceptions=True)
            await asyncio.gather(self.reports.stop(), self._stop_views(), self.producer.stop())
            if self.spooling is not None:
                await self.spooling.close()
            self.history.close()
            self.served_models.close()

    async def _connect(self) -> None:
        while True:
            try:
                await self.producer.start()
                await ensure_topics(self.settings)
                for model in self.served_models.all():
                    await self.tell_of(model)
                await self._load_views()
            except (BrokerUnavailable, KafkaError, TopicError, Unreadable, OSError) as error:
                if str(error) != self._failed:
                    log.warning("%s", error)
                self._failed = str(error)
            except Exception as error:
                log.exception("the views cannot be loaded")
                self._failed = f"the views cannot be loaded: {type(error).__name__}"
            else:
                self._failed = ""
                self.connected.set()
                await self._watch_topics()
                return
            await self._stop_views()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _watch_topics(self) -> None:
        """End the process when the topics are not those that the tables were loaded from."""
        while True:
            try:
                async with TopicWatch(self.settings, declared(self.settings, TOPICS)) as watch:
                    await watch.run()
            except TopicError as error:
                self.connected.clear()
                crash(error, "the watch of topics failed")
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("the topics are not watched yet: %s", error)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _load_views(self) -> None:
        """Load the tables one after another. `/ready` reports how many are loaded."""
        views: dict[str, FollowedTopic | None] = {
            "models": self.models,
            "silences": self.silences,
            "receivers": self.receivers,
            "versions": self.versions,
            "served": self.served,
        }
        starts = [(name, view.start) for name, view in views.items() if view is not None]
        starts.append(("reports", self.reports.start))
        for number, (name, start) in enumerate(starts):
            self._loading = f"the views are still loading: {number} of {len(starts)}, now {name}"
            await start()
            self.hider.is_loaded = self.hider.is_loaded or name == "models"

    @property
    def bundle(self) -> Bundle | None:
        """Return the bundle of POST /predict's model; None where no model is served."""
        first = self.served_models.first
        return None if first is None else first.bundle

    async def tell_of(self, model: ServedModel) -> None:
        """Record the deployment of a served model, once per process. Raises BrokerUnavailable."""
        training = model.bundle.training
        same = (training.model, training.model_version, model.bundle.sha256)
        if same in self._told:
            return
        event = DeploymentEvent(
            model=training.model, model_version=training.model_version, deployed_at=datetime.now(UTC), source="api",
            model_type=training.model_type, detail=f"trained {training.timestamp}",
        )  # fmt: skip
        await self.producer.send(DEPLOYMENTS, f"{event.model}/{event.model_version}".encode(), encode(event))
        self._told.add(same)

    async def _stop_views(self) -> None:
        views = [
            self.models,
            self.silences,
            self.receivers,
            self.versions,
            *(() if self.served is None else (self.served,)),
        ]
        await asyncio.gather(*(view.stop() for view in views))

    @property
    def loaded(self) -> bool:
        """Return whether the tables have read the records that existed at their start."""
        return self.connected.is_set()

    @property
    def trouble(self) -> str:
        """Return why the tables are not loaded, or how many are loaded."""
        return self._failed or self._loading

    def look(self) -> None:
        """Set the gauges that are computed on request."""
        metrics.API_READY.set(self.loaded and not self.hung)
        self.served_models.look(self.settings.predict_seconds)
        if self.spooling is not None:
            self.spooling.look()

    def state(self) -> tuple[bool, Mapping[str, object]]:
        """Return whether the tables are loaded, and the probe's document; only `check` asks the broker."""
        wrong = self.hung if self.loaded else self.trouble
        return not wrong, {"status": wrong or "ready"}

    @property
    def hung(self) -> str:
        """Return the served models of which every thread is overdue; empty for none."""
        return self.served_models.overdue(self.settings.predict_seconds)

    def unable(self, trouble: str) -> str:
        """Return why POST /predict cannot answer; empty where it can in spite of `trouble`."""
        if not self.served_models:
            return "no model is served here"
        if self.hung:
            return self.hung
        spooling = self.spooling
        return "" if self.loaded and spooling is not None and spooling.has_room else trouble

    async def check(self) -> str:
        """Return why the API is not ready; empty when it is."""
        if not self.loaded:
            return self.trouble
        if hung := self.hung:
            return hung
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self.models.catch_up()
                await self.silences.catch_up()
                await self.receivers.catch_up()
                if self.served is not None:
                    await self.served.catch_up()
                await self.reports.check()
        except TimeoutError:
            return f"Kafka does not answer within {PROBE_SECONDS:g} s"
        except (BrokerUnavailable, Unreadable) as error:
            return str(error)
        return ""


def services_of(request: Request) -> Services:
    """Return the services of the application that serves this request."""
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


Serving = Annotated[Services, Depends(services_of)]
