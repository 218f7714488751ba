"""The whole pipeline beside Quix Streams and Bytewax, which keep one windowed mean, and a window beside Evidently.

Quix Streams and Bytewax run in an environment of their own (`--python`), each one process, on the same predictions
from the same broker: decode, key by model, mean of one feature over a minute. Quix would have to send every event
through Kafka once more to group by model, so it gets a topic that has the model for its key. The pipeline does all it
does: 15 features, the join with feedback, saved state, panes, reports. Events are counted alike.

Evidently makes one drift report of 10,000 rows with 15 columns. Ours is the same rows' window of ten panes from four
partitions, added up and judged: drift of all columns, prediction and probability, and performance. Counting the rows
into panes is the pipeline's cost above, and not in it.

What cannot be run here is said to be not measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from agents.join.agent import SOURCES, JoinAgent
from agents.join.pane_events import pane_of
from app.core.join.state import MICROSECONDS
from app.core.windows.model_windows import ModelWindows
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.client_options import client_options
from app.kafka.producer import Outgoing
from app.kafka.topics import NamedTopic, ensure_topics
from app.registration.models_table import RegisteredModel
from app.registration.profiling import profile_of
from app.replay.send import ReplaySender
from app.settings.settings import Settings
from benchmarks import pipeline
from benchmarks.events import (
    FEATURES,
    MODEL,
    PER_SECOND,
    VERSION,
    counts_of,
    feedback,
    frame,
    monitoring,
    predictions,
    register_model,
    send_events,
)
from benchmarks.harness import parser_of, run
from benchmarks.hot_path import OneModel, Record
from benchmarks.reading import Figures, ReaderFailed, figures_of
from topics.events import PaneEvent, PanePartial
from topics.partition import partitions_of
from topics.registry import PREDICTIONS, Topic

MOST_SECONDS = 300.0
ROWS = 10_000
PANES = 10
PARTITIONS = 4
REPEATS = 21


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    parser = parser_of("compare", __doc__)
    parser.add_argument("--python", default=".venv-compare/bin/python", help="of the others' environment (%(default)s)")
    parser.add_argument("--events", type=int, default=600_000, help="that the pipeline takes (%(default)s)")
    parser.add_argument("--others", type=int, default=50_000, help="predictions that the others take (%(default)s)")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    os.environ.setdefault("DO_NOT_TRACK", "1")  # nothing that is compared with is to report to anybody
    return run(parser, arguments, _measure)


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    wanted = counts_of(options.events)
    keyed = NamedTopic(f"{settings.prefix}by-model", settings.partitions)
    await ensure_topics(settings, changelogs=[keyed])
    await register_model(settings, options.reference)
    await send_events(settings, wanted, lambda _: None)
    assert settings.bootstrap_servers is not None
    others = min(options.others, wanted.predictions - 1)
    async with ReplaySender(client_options(settings)) as sender:
        for chunk in predictions(others + 1):
            await sender.send(keyed.name, [MODEL.encode()] * len(chunk), chunk.values)
    ours = (await pipeline.run(settings, wanted, MOST_SECONDS)).figures
    _say("pipeline", ours)
    servers, state = settings.bootstrap_servers, str(settings.state_dir / "quix")
    topic = PREDICTIONS.full_name(settings.prefix)
    group = f"{settings.group}-quix"
    quix = await _other("Quix Streams", options.python, "quix_mean", [servers, str(others), state, group, keyed.name])
    bytewax = await _other("Bytewax", options.python, "bytewax_mean", [servers, str(others), topic])
    window = await _window(options.reference)
    print(f"window       {window * 1000:>10.1f} ms   ({ROWS:,} x {len(FEATURES)}, from {PANES} panes)", flush=True)
    evidently = await _evidently(settings, options)
    for name, other in (("Quix Streams' windowed mean", quix), ("Bytewax's windowed mean", bytewax)):
        ratio = "not measured" if other is None else f"{ours.rate / other.rate:.2f}"
        print(f"compare pipeline/{name} {ratio}")
    ratio = "not measured" if evidently is None else f"{evidently.seconds / window:,.0f} times faster"
    print(f"compare window from panes/one Evidently report {ratio}", flush=True)


async def _other(name: str, python: str, module: str, arguments: Sequence[str]) -> Figures | None:
    """Another's figures; None, and why, where it cannot be run here."""
    try:
        found = await asyncio.to_thread(figures_of, module, arguments, MOST_SECONDS, python)
    except (ReaderFailed, OSError) as error:
        print(f"{name}: not measured: {error}", flush=True)
        return None
    _say(name, found)
    return found


async def _evidently(settings: Settings, options: argparse.Namespace) -> Figures | None:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    names = [str(settings.state_dir / f"{name}.parquet") for name in ("reference", "current")]
    for name, seed, rows in zip(names, (1, 2), (options.reference, ROWS), strict=True):
        frame(rows, seed)[list(FEATURES)].to_parquet(name)
    return await _other("Evidently", options.python, "evidently_report", names)


async def _window(reference: int) -> float:
    """Seconds to add up and judge a window of ROWS rows: the fastest of several, every partial new each time."""
    file = monitoring(windows={"pane": ROWS / PANES / PER_SECOND, "panes": PANES})
    table = frame(reference, seed=1).drop(columns=["prediction_id", "timestamp", "answered_at"])
    found = RegisteredModel(profile_of(MODEL, VERSION, table, file), file.monitoring, datetime.now(UTC))
    partials = await _partials(found)
    windows = ModelWindows(found.profile, found.monitoring, PARTITIONS, 0.0)
    panes = [round(event.pane_start * MICROSECONDS) // windows.pane for event in partials]
    taken: list[float] = []
    for revision in range(1, REPEATS + 1):
        for event, pane in zip(partials, panes, strict=True):  # all of them are new: none is added up already
            total = pane_of(event, *windows.size_of(event.kind))
            windows.add(event.kind, pane, event.partition, event.revision + revision, total)
        started = time.perf_counter()
        evaluated = windows.evaluate(max(panes))
        taken.append(time.perf_counter() - started)
        assert evaluated is not None
        assert evaluated.drift is not None
        assert evaluated.drift.n == ROWS
    return min(taken)


class _Partials:
    """What a join publishes of panes."""

    partitions = PARTITIONS

    def __init__(self) -> None:
        self.found: list[PanePartial] = []

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        events = [msgspec.json.decode(record.value or b"", type=PaneEvent) for record in records]
        self.found += [event for event in events if isinstance(event, PanePartial)]

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        raise AssertionError(rejected[0].reason)


async def _partials(found: RegisteredModel) -> list[PanePartial]:
    """What the join publishes of ROWS predictions and their feedback, spread over partitions by their keys."""
    out, join = _Partials(), JoinAgent({}, OneModel(found), checkpoint_seconds=0.0)
    for topic, chunks in zip(SOURCES, (predictions(ROWS), feedback(ROWS)), strict=True):
        records = [(key, value) for chunk in chunks for key, value in zip(chunk.keys, chunk.values, strict=True)]
        where = partitions_of([key for key, _ in records], PARTITIONS).tolist()
        for partition in range(PARTITIONS):
            mine = [record for record, at in zip(records, where, strict=True) if at == partition]
            run = [Record(offset, 0, key, value, ()) for offset, (key, value) in enumerate(mine)]
            await join.handle(Batch(topic, partition, run), out)
    return out.found


def _say(name: str, found: Figures) -> None:
    print(f"{name:<12} {found.rate:>10,.0f} events/s   ({found.events:,} events in {found.seconds:.2f} s, "
          f"{found.microseconds:.1f} µs CPU each)", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
