"""`driftline forget`: remove one prediction, or all data of one person, from the history and its exports."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.audited import AuditedChange, audited
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    HistoryUrl,
    Prefix,
    StateDir,
    print_json,
    settings_of,
)

if TYPE_CHECKING:
    from app.history.forgetting import Done, ForgetRequest
    from app.kafka.retention import Kept
    from app.settings.settings import Settings


def forget(
    prediction_id: Annotated[str | None, typer.Option(help="The prediction of this id, of every model.")] = None,
    where: Annotated[
        str | None, typer.Option(help="NAME=VALUE: predictions whose feature or metadata of this name has this value.")
    ] = None,
    export_dir: Annotated[
        list[Path] | None,
        typer.Option(help="An export's folder; may be repeated. [default: export_dir of the settings]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is of it, and change nothing.")] = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Remove a prediction, or all data of a customer, from the history, its exports and later recordings.

    Kafka cannot delete single records: the command shows which topics keep them, and until when. A hashed column
    (columns.hash) is searched by the original value, with the key in hash_key. Counts in evaluations are kept, because
    they identify nobody.

    \b
    Examples:
      driftline forget --where customer=C-0042 --dry-run
      driftline forget --where customer=C-0042
      driftline forget --prediction-id 7f3a9c --export-dir /srv/exports
    """
    from datetime import UTC, datetime

    from app.history.forgetting import forget as run
    from app.history.forgetting import forget_exports
    from app.history.setup import history_of

    if (prediction_id is None) == (where is None):
        raise CommandError("what? --prediction-id ID, or --where NAME=VALUE")
    settings = settings_of(
        bootstrap_servers=bootstrap_servers, prefix=prefix, state_dir=state_dir, history_url=history_url
    )
    wanted, now = _wanted(settings, prediction_id, where), datetime.now(UTC)
    folders = export_dir or ([] if settings.export_dir is None else [settings.export_dir])
    for folder in folders:
        if not folder.is_dir():
            raise CommandError(f"--export-dir: there is no folder {folder}")
    reached = _kafka(settings)
    if reached is not None and not dry_run:
        asyncio.run(_note(reached, wanted))
    with closing(history_of(settings)) as history:
        done = run(history, wanted, now, dry_run=dry_run)
    for folder in folders:
        forget_exports(folder, wanted, done, dry_run=dry_run)
    kept = [] if reached is None else _kept(reached, now)
    _show(done, kept, reached is not None, bool(folders), dry_run=dry_run, as_json=json_)


def _wanted(settings: Settings, prediction_id: str | None, where: str | None) -> ForgetRequest:
    from app.core.values.hiding import Hiding
    from app.history.forgetting import ForgetRequest
    from app.history.forgotten import text_of
    from app.settings.secrets import hash_key_of

    if where is None:
        return ForgetRequest(prediction_id=text_of(prediction_id or ""))
    name, equals, value = where.partition("=")
    if not equals or not name.strip() or not value:
        raise CommandError(f"--where: must be NAME=VALUE, customer=C-0042 say, not {where!r}")
    key, texts = hash_key_of(settings), [text_of(value)]
    if key is not None:
        texts.append(str(Hiding(frozenset(), frozenset(), key).value(value)))
    return ForgetRequest(name=name.strip(), texts=tuple(texts))


def _kafka(settings: Settings) -> Settings | None:
    """Return the settings with the running Kafka; print a line and return None where none runs."""
    from app.commands.options import connected
    from app.kafka.errors import BrokerError

    try:
        return connected(settings)
    except (CommandError, BrokerError) as error:
        print(f"{error}; so this is not in the audit, and how long Kafka keeps what is not known", file=sys.stderr)
        return None


async def _note(settings: Settings, wanted: ForgetRequest) -> None:
    """Record in the audit who removed data and by which name, without the value."""
    subject = "prediction_id" if wanted.prediction_id is not None else wanted.name
    async with audited(settings, AuditedChange("history.forgotten", subject)):
        pass  # only the audit record is sent to Kafka


def _kept(settings: Settings, now: object) -> list[Kept]:
    from datetime import datetime

    from aiokafka.errors import KafkaError

    from app.kafka.retention import kept_until

    assert isinstance(now, datetime)
    try:
        return asyncio.run(kept_until(settings, now))
    except (KafkaError, OSError) as error:
        raise CommandError(f"forgotten in the history; how long Kafka keeps it cannot be asked: {error}") from None


def _show(
    done: Done, kept: list[Kept], is_reached: bool, has_exports: bool, *, dry_run: bool, as_json: bool
) -> None:  # fmt: skip
    if as_json:
        print_json({
            "dry_run": dry_run, "predictions": done.predictions, "waiting_feedback": done.waiting_feedback,
            "alerts": done.alerts, "drift_checks": done.drift_checks, "training_runs": done.training_runs,
            "deployments": done.deployments, "export_rows": done.export_rows,
            "export_files": done.export_files,
            "kafka": {one.topic: one.trouble or one.until for one in kept} if is_reached else None,
        })  # fmt: skip
        return
    words = "would be forgotten" if dry_run else "forgotten"
    print(f"{words}: {done.predictions:,} predictions, {done.waiting_feedback:,} of feedback without one,")
    print(f"  the value in {done.alerts:,} alerts and {done.drift_checks:,} reports,")
    print(f"  in {done.training_runs:,} training runs and {done.deployments:,} deployments")
    if has_exports:
        print(f"  {done.export_rows:,} rows in {len(done.export_files):,} files of exports")
    else:
        print("  no exports were looked at: --export-dir names a folder")
    if not dry_run:
        print("what the recorder reads of it later is not kept")
    for one in kept:
        until = "for ever (retention.ms is -1)" if one.until is None else f"until {one.until:%Y-%m-%d} at the latest"
        if one.trouble:
            until = f"for a time that the broker does not say: {one.trouble}"
        print(f"Kafka keeps what is in {one.topic} {until}")
