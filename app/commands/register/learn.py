"""`driftline register --learn`: the next predictions of a model version become its reference."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from app.commands.audited import AuditedChange, audited
from app.commands.options import CommandError, actor
from app.commands.topic_reader import registry
from app.registration.publish import check_names, decode_baseline
from app.registration.setup import read_monitoring
from topics.events import Learning, VersionEvent
from topics.registry import FEEDBACK, MODELS, PREDICTIONS, VERSIONS

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings.settings import Settings

HIDDEN = (
    "--learn: columns.hash and columns.redact hide nothing until the version is registered, so its first predictions "
    "would reach Kafka as they are: register it with --reference"
)


def learn_reference(
    settings: Settings, model: str, version: str, rows: int, config: Path | None, baseline: Path | None
) -> VersionEvent:
    """Set a model version to learn its reference, and return the event that says so.

    Raises MonitoringError, RegistrationError, CommandError where the version is registered already or hides columns.
    """
    check_names(model, version)
    file = read_monitoring(config)
    if file.columns.hash or file.columns.redact:
        raise CommandError(HIDDEN)
    metrics = dict(file.baseline) if baseline is None else decode_baseline(baseline.read_bytes(), str(baseline))
    event = VersionEvent(
        model=model, model_version=version, status="learning", since=datetime.now(UTC), by="command",
        learning=Learning(
            rows=rows, config="{}" if config is None else config.read_text("utf-8"), baseline=metrics, by=actor()
        ),
    )  # fmt: skip
    asyncio.run(_send(settings, event))
    return event


async def _send(settings: Settings, event: VersionEvent) -> None:
    name = f"{event.model}/{event.model_version}"
    assert event.learning is not None
    if (await registry(settings)).is_registered(event.model, event.model_version):
        raise CommandError(
            f"--learn: {event.model} {event.model_version} is registered already; --from-topic takes the predictions "
            "that it has made, or register another version"
        )
    change = AuditedChange("model.learning", name, {"rows": str(event.learning.rows)})
    async with audited(settings, change, topics=[VERSIONS, MODELS, PREDICTIONS, FEEDBACK]) as producer:
        await producer.send(VERSIONS, name.encode(), msgspec.json.encode(event))
