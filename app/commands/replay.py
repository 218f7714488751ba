"""`driftline replay`: send predictions and feedback from files to Kafka."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import (
    ApiKey,
    ApiKeyFile,
    ApiUrl,
    AsJson,
    Bootstrap,
    CommandError,
    ConfigFile,
    DecimalMark,
    Encoding,
    Model,
    Prefix,
    Separator,
    Version,
    existing,
    file_options,
    is_terminal,
    print_json,
    reached,
)

if TYPE_CHECKING:
    from app.commands.api_client import ApiClient
    from app.core.reference.profile import Profile
    from app.core.values.hiding import Hiding
    from app.registration.models_table import RegisteredModel
    from app.registration.monitoring import TableColumns as FileColumns
    from app.replay.check import Checked
    from app.replay.encode import ReplayColumns
    from app.replay.run import EventSender, Progress, Sent
    from app.settings.settings import Settings
    from app.tables import FileOptions

PLAIN_EVERY = 2.0
"""Seconds between progress lines where there is no terminal."""

FileOption = Annotated[Path, typer.Option(help="CSV, Parquet or JSONL of predictions.")]
FeedbackOption = Annotated[Path | None, typer.Option(help="The same of feedback: prediction_id, actual, timestamp.")]
Rate = Annotated[float | None, typer.Option(min=1, help="At most this many events a second. [default: all it can]")]
Beat = Annotated[bool, typer.Option("--heartbeat/--no-heartbeat", help="Close the last windows at the end.")]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="[default: prediction_id]")]
TimeColumn = Annotated[str | None, typer.Option("--timestamp-column", help="RFC 3339 or epoch. [default: timestamp]")]
PredictionColumn = Annotated[str | None, typer.Option("--prediction-column", help="[default: prediction]")]
ProbabilityColumn = Annotated[str | None, typer.Option("--probability-column", help="[default: probability]")]
ActualColumn = Annotated[str | None, typer.Option("--actual-column", help="[default: actual]")]


def replay(
    model: Model,
    version: Version,
    predictions: FileOption,
    feedback: FeedbackOption = None,
    rate: Rate = None,
    heartbeat: Beat = True,
    config: ConfigFile = None,
    id_column: IdColumn = None,
    timestamp_column: TimeColumn = None,
    prediction_column: PredictionColumn = None,
    probability_column: ProbabilityColumn = None,
    actual_column: ActualColumn = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: DecimalMark = None,
    json_: AsJson = False,
    api: ApiUrl = None,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Send predictions and feedback from files.

    Both files are read once before anything is sent. Times out of range, repeated ids, and truth that comes too late
    or has no prediction are reported. They are refused where most of the rows would not count. Rows are sent in the
    order of their times, and sorted where the file is not. Truth without a time follows its prediction.

    The model must be registered. The columns of its features are sent, and read as the reference was read. The other
    columns are found by their usual names, by the monitoring.json that --config names, or by flags.

    With --api events go to the API, which hashes and redacts what the registration hides.

    A line of JSONL is a row as in CSV, or a whole event (with its features in `features`), which is sent unchanged.

    \b
    Examples:
      driftline replay --model churn --version 3 --predictions june.parquet
      driftline replay --model churn --version 3 --predictions june.csv --feedback truth.csv --rate 5000
      driftline replay --model churn --version 3 --predictions events.jsonl --no-heartbeat --json
      driftline replay --model churn --version 3 --predictions june.parquet --api https://driftline.example.org
    """
    from app.registration.setup import read_monitoring

    settings, client = reached(api, api_key, api_key_file, bootstrap_servers, prefix)
    files = [existing(path) for path in (predictions, feedback) if path is not None]
    file = read_monitoring(None if config is None else existing(config))
    options = file_options(encoding, separator, decimal)
    around: AbstractContextManager[object] = nullcontext() if client is None else client
    with around:
        known = _registered(settings, client, model, version)
        flags = (prediction_column, probability_column, id_column, timestamp_column, actual_column)
        columns = _columns(known.profile, file.columns, *flags)
        if client is None:
            columns = replace(columns, hiding=_hiding(settings, known))
        elif known.hidden is not None:
            columns = replace(columns, as_is=known.hidden.hash)
        checked = _checked(known, columns, predictions, feedback, options)
        with _progress(files, quiet=json_) as progress:
            sent = asyncio.run(_replay(settings, client, known, checked, rate, heartbeat, progress))
    if json_:
        print_json({"predictions": sent.predictions, "feedback": sent.feedback, "seconds": round(sent.seconds, 3),
                    "events_per_second": round(sent.rate), "event_time": sent.event_time})  # fmt: skip
        return
    print(f"sent {_line(sent)}")


def _registered(settings: Settings, client: ApiClient | None, model: str, version: str) -> RegisteredModel:
    if client is not None:
        from app.commands.replay_over_http import registered_over_http

        return registered_over_http(client, model, version)
    from app.commands.topic_reader import registered

    return asyncio.run(registered(settings, model, version))


def _hiding(settings: Settings, known: RegisteredModel) -> Hiding | None:
    """Return the rules that hide the model's values from Kafka. Raises CommandError where hashing has no key."""
    from app.registration.hidden_values import HidingError, hiding_with
    from app.settings.secrets import hash_key_of

    try:
        return None if known.hidden is None else hiding_with(known.hidden, hash_key_of(settings))
    except HidingError as error:
        raise CommandError(str(error)) from None


def _checked(
    known: RegisteredModel, columns: ReplayColumns, predictions: Path, feedback: Path | None, options: FileOptions
) -> Checked:
    """Read both files completely before anything is sent, and print the notes about them."""
    from app.replay.check import check_files
    from app.tables.files import form_words

    for path in (predictions, feedback):
        if path is not None and (words := form_words(path, options)):
            _note(words)
    profile, last = known.profile, time.monotonic()

    def read(rows: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            _note(f"reading: {rows:,} rows")

    checked = check_files(
        predictions, feedback, columns, (profile.model, profile.model_version), known.monitoring.windows.retention,
        options=options, read=read,
    )  # fmt: skip
    for note in checked.notes:
        _note(note)
    return checked


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@asynccontextmanager
async def _sender(settings: Settings, client: ApiClient | None) -> AsyncIterator[EventSender]:
    """Open the way to the API, or to Kafka."""
    if client is not None:
        from app.commands.replay_over_http import ApiSender

        yield ApiSender(client, settings.prefix)
        return
    from app.kafka.client_options import client_options
    from app.replay.send import ReplaySender

    async with ReplaySender(client_options(settings)) as to_kafka:
        yield to_kafka


async def _replay(
    settings: Settings,
    client: ApiClient | None,
    known: RegisteredModel,
    checked: Checked,
    rate: float | None,
    heartbeat: bool,
    progress: Progress,
) -> Sent:
    from app.replay.run import close_windows
    from app.replay.run import replay as run
    from app.replay.sort import in_order

    model, version = known.profile.model, known.profile.model_version
    rows = in_order(checked.predictions)
    truth = iter(()) if checked.feedback is None else in_order(checked.feedback)
    prefix = settings.prefix
    async with _sender(settings, client) as sender:
        sent = await run(sender, rows, truth, prefix=prefix, rate=rate, progress=progress)
        if heartbeat and sent.event_time is not None:
            await close_windows(sender, model, version, known.monitoring.windows, sent.event_time, prefix=prefix)
    return sent


def _columns(
    profile: Profile, file: FileColumns, prediction: str | None, probability: str | None,
    id_: str | None, timestamp: str | None, actual: str | None,
) -> ReplayColumns:  # fmt: skip
    """Return the columns by the flags, else by monitoring.json, else by their usual names."""
    from app.replay.encode import ReplayColumns

    return ReplayColumns(
        features=tuple(column.name for column in profile.features),
        prediction=None if profile.task == "features" else prediction or file.prediction or "prediction",
        probability=None if profile.probability is None else probability or file.probability or "probability",
        probabilities=file.probabilities if profile.probability is not None and probability is None else {},
        prediction_id=id_ or file.id or "prediction_id",
        timestamp=timestamp or file.timestamp or "timestamp",
        actual=actual or file.target or "actual",
        profile=profile,
    )


def _line(sent: Sent) -> str:
    when = "" if sent.event_time is None else f", at {datetime.fromtimestamp(sent.event_time, UTC):%Y-%m-%d %H:%M} UTC"
    return (
        f"{sent.predictions:,} predictions, {sent.feedback:,} feedback in {sent.seconds:.1f} s "
        f"({sent.rate:,.0f} events/s){when}"
    )


@contextmanager
def _progress(files: list[Path], *, quiet: bool) -> Iterator[Progress]:
    """Yield a progress callback: a bar on a terminal, else a line every PLAIN_EVERY seconds, nothing when quiet."""
    from app.replay.files import rows_in

    if quiet:
        yield lambda sent: None
        return
    if not is_terminal():
        yield _plain()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rows = [rows_in(path) for path in files]
    total = None if None in rows else sum(filter(None, rows))
    rated = TextColumn("{task.fields[rate]:,.0f} events/s")
    with Progress(BarColumn(), MofNCompleteColumn(), rated, TimeRemainingColumn()) as bar:
        task = bar.add_task("replay", total=total, rate=0.0)
        yield lambda sent: bar.update(task, completed=sent.predictions + sent.feedback, rate=sent.rate)


def _plain() -> Progress:
    last = time.monotonic()

    def tell(sent: Sent) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            print(_line(sent), flush=True)

    return tell
