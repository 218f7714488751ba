"""Replacement of a served model: the new version is loaded, checked, recorded in the audit, and then served."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from api.http.problems import Problem
from api.served.models import Replaced, ServedModel
from api.services import Services
from app.kafka.audit import note
from app.kafka.errors import BrokerUnavailable, without_values
from app.serving import BundleError
from topics.events import AuditEvent

log = logging.getLogger(__name__)


async def replaced(services: Services, model: ServedModel, folder: Path, noted: AuditEvent) -> Replaced:
    """Serve the model of a folder, once Kafka has the audit event of the request.

    Until then, and after any failure, the old version stays served. Raises Problem 409 while another version is
    loading, 422 for a version that cannot be served; BrokerUnavailable.
    """
    models = services.served_models
    if models.loading.locked():
        raise Problem(409, "another version is being loaded; come again when it is served")
    async with models.loading:
        try:
            new = await models.load(model.name, folder)
        except BundleError as error:
            raise Problem(422, str(error)) from None
        await note(services.producer, noted)
        done = models.put(new)
    await _record(services, new)
    return done


async def reload_all(services: Services) -> None:
    """Load every served model again from its folder. Where a version cannot be served, its predecessor stays."""
    models = services.served_models
    async with models.loading:
        for old in models.all():
            try:
                new = await models.load(old.name, old.folder)
            except BundleError as error:
                version = old.bundle.training.model_version
                log.error("model %s: %s stays, since what is there now cannot be served: %s", old.name, version, error)
                continue
            models.put(new)
            await _record(services, new)


async def _record(services: Services, model: ServedModel) -> None:
    try:
        await services.tell_of(model)
    except BrokerUnavailable as error:
        log.error("model %s is served, and not on record as deployed: %s", model.name, error)


async def _guarded(services: Services) -> None:
    try:
        await reload_all(services)
    except Exception as error:  # noqa: BLE001 - nobody awaits it
        log.error("the served models have not all been loaded again: %s", without_values(error))


@contextlib.asynccontextmanager
async def reloading(services: Services) -> AsyncIterator[None]:
    """Load all served models again on SIGHUP, inside this context.

    Without a served model the signal keeps its default.
    """
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()

    def reload() -> None:
        log.info("SIGHUP: loading the served models again")
        task = asyncio.ensure_future(_guarded(services))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    listens = bool(services.served_models)
    if listens:
        try:
            loop.add_signal_handler(signal.SIGHUP, reload)
        except (NotImplementedError, RuntimeError, ValueError):  # the event loop of another thread gets no signals
            listens = False
    try:
        yield
    finally:
        if listens:
            loop.remove_signal_handler(signal.SIGHUP)
        for task in under_way:
            task.cancel()
