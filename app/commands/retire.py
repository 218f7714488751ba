"""`driftline retire`: retire a model version that is no longer served."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import AsJson, Bootstrap, Prefix, kafka_settings, print_json

if TYPE_CHECKING:
    from app.settings.settings import Settings
    from topics.events import VersionEvent


def retire(
    model: Annotated[str, typer.Option(help="The model's name.")],
    version: Annotated[str, typer.Option(help="The version that is served no more.")],
    reason: Annotated[str, typer.Option(help="Why; it is in the ends of its alerts.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take it back: it is watched again.")] = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Retire a model version. Its alerts are resolved with the reason, and no new alert is raised.

    The version is no longer on the dashboard's first page and in `driftline top` (--state retired shows it). Its
    predictions are still counted, and its reports still made. Registering it again, or --undo, restores monitoring. A
    version that a newer version has replaced in traffic is retired automatically, until it gets predictions again.
    A version that learns its reference learns no more.

    \b
    Examples:
      driftline retire --model churn --version 3 --reason "replaced"
      driftline retire --model churn --version 3 --undo
    """
    settings = kafka_settings(bootstrap_servers, prefix)
    event = asyncio.run(_retire(settings, model, version, reason, undo=undo))
    if json_:
        print_json({
            "model": model, "model_version": version, "retired": not undo,
            "since": None if event is None else event.since, "reason": reason,
        })  # fmt: skip
        return
    done = "is watched again" if undo else "is retired: its alerts are resolved within a minute"
    print(f"{model} {version} {done}")


async def _retire(settings: Settings, model: str, version: str, reason: str, *, undo: bool) -> VersionEvent | None:
    """Check that the version is registered, then send the record. Raises CommandError where it is not registered."""
    from app.commands.audited import AuditedChange, audited
    from app.commands.topic_reader import learning, registry, unregistered
    from app.registration.retiring import retired, send_restored, send_retired
    from topics.registry import VERSIONS

    models = await registry(settings)
    if not models.is_registered(model, version) and not await learning(settings, model, version):
        raise unregistered(models, model, version)
    event = None if undo else retired(model, version, reason, datetime.now(UTC))
    change = AuditedChange(
        "model.restored" if undo else "model.retired", f"{model}/{version}", {"reason": reason} if reason else {}
    )
    async with audited(settings, change, topics=[VERSIONS]) as producer:
        if event is None:
            await send_restored(producer, model, version)
        else:
            await send_retired(producer, event)
    return event
