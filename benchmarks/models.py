"""What many models cost one worker: the join and the windows fed from memory, as in `benchmarks.hot_path`.

The same events for each number of models of 20 features, evenly mixed: PER_SECOND predictions a second of event time
in all, and the truth of every second one up to a minute after it. Before anything is measured `--days` of event time
are held: of each model a prediction with its truth in each pane, or in every so many that MOST_HELD are held. Each
number of models has a process of its own, and these take turns, so that what else the machine does meets all of them.

Backlog: one partition, its records fetched POLLED at a time and given to the join in runs of 5,000, or in runs of as
many as the join wants together, as the worker does; a checkpoint after every 20,000 or more; ROUNDS times, of which the
least counts.
Live: four partitions, each takes what comes in a checkpoint's time. CPU of an event is that of the join, with the
encoding of all that it publishes. Windows are judged by the clock, once for a model and a pane, however many events
there are: their CPU is told for each window. Memory is what the process has grown by since
before the models were compiled, beside what is stated: BASE_BYTES, ROW_BYTES for each row that waits, PANE_BYTES for
each pane, MODEL_BYTES for each model. A restart builds the join again from what is saved of what is held.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO, NamedTuple, TypeVar
from unittest import mock

import msgspec
import numpy as np
from numpy.typing import NDArray

from agents.join.agent import SOURCES, JoinAgent
from agents.join.partition import JoinPartition, recover
from agents.join.store import JoinStore
from agents.output import Output
from agents.windows.agent import WindowsAgent
from app.core.config.monitoring import Monitoring, Windows
from app.core.join import delta, truths
from app.core.join.pending_rows import NewRows
from app.core.join.state import MICROSECONDS, Joined
from app.core.profile_builder import build_profile
from app.core.reference.profile import Profile, with_identity
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from app.registration.models_table import RegisteredModel
from app.settings.settings import Settings
from app.worker.process import GARBAGE_THRESHOLD
from benchmarks.flat import resident
from benchmarks.hot_path import Record
from topics.events import PaneEvent
from topics.registry import PANES, REPORTS, Topic

RUN: int = Settings.model_fields["max_batch_records"].default
CHECKPOINT_SECONDS: float = Settings.model_fields["checkpoint_seconds"].default
PARTITIONS: int = Settings.model_fields["partitions"].default
START = 1_700_000_040
POLLED = 20_000
"""Records of a partition that a worker fetches at a time (`app.faust_batches.app.MOST_POLLED`)."""
PER_SECOND = 400
TRUTHS = 0.5
EVENTS_PER_SECOND = PER_SECOND * (1 + TRUTHS)
LATEST_FEEDBACK = 60.0
NUMERIC, CATEGORICAL = 14, 6
DISTINCT = 20_000
"""Rows of features that the events are made of, in turns."""
ROUNDS = 4
ROW_BYTES = 82
"""Of a prediction that waits: 63 of columns and index, with their spare room, and 19 of the saved delta."""
PANE_BYTES = 135
"""Of a pane that may still change: 53 of a total of one row (more take more), its number, its place in a dict."""
BASE_BYTES = 8_000_000
"""Of what does not depend on how much is held: scratch of the runs, and totals that are open."""
MODEL_BYTES = 1_250_000
"""Of a registered model of 20 features, 14 of them numeric with 2,000 reference values."""
MOST_HELD = 1_000_000
"""Panes that are held at most: of a thousand models not each minute of a week."""
LIVE_SECONDS = 40.0
DAY = 86_400
PANE = 60
T = TypeVar("T")


class Names(NamedTuple):
    """The features of a model."""

    numeric: list[str]
    categorical: list[str]


class Fleet:
    """Registered models, each with names and arrays of its own, and their events."""

    def __init__(self, models: int, reference: int) -> None:
        self.models = models
        rng = np.random.default_rng(1)
        raw = msgspec.json.encode(_profile(reference, rng))
        now = datetime.now(UTC)
        self._found: dict[tuple[str, str], RegisteredModel] = {}
        self._names = [_names(i) for i in range(models)]
        for i, names in enumerate(self._names):
            own = msgspec.json.decode(raw, type=Profile)  # as the view of registered models does
            features = tuple(
                replace(column, name=name)
                for column, name in zip(own.features, (*names.numeric, *names.categorical), strict=True)
            )
            own = with_identity(replace(own, model=f"model-{i}", features=features))
            self._found[own.model, own.model_version] = RegisteredModel(own, Monitoring(windows=Windows()), now)
        self.revision = 1
        self._numbers = rng.normal(100, 10, (DISTINCT, NUMERIC)).round(4).tolist()
        self._codes = np.column_stack([rng.integers(0, 3 + 4 * i, DISTINCT) for i in range(CATEGORICAL)]).tolist()
        self._probability = rng.random(DISTINCT).round(6).tolist()
        self._truth = (rng.random(DISTINCT) < self._probability).astype(int).tolist()
        self._delay = rng.uniform(1, LATEST_FEEDBACK, DISTINCT).tolist()

    def get(self, model: str, version: str) -> RegisteredModel | None:
        """One of them."""
        return self._found.get((model, version))

    async def catch_up(self) -> None:
        """Nothing more will come."""

    def versions(self) -> Iterable[tuple[str, str]]:
        """All of them."""
        return self._found

    def prediction(self, i: int) -> tuple[bytes, bytes]:
        """Key and value of prediction i."""
        key, at, names = f"prediction-{i:010d}", i % DISTINCT, self._names[i % self.models]
        cells = [f'"{name}":{number}' for name, number in zip(names.numeric, self._numbers[at], strict=True)]
        cells += [f'"{name}":"c{code}"' for name, code in zip(names.categorical, self._codes[at], strict=True)]
        p = self._probability[at]
        value = (
            f'{{"prediction_id":"{key}","model":"model-{i % self.models}","model_version":"1","timestamp":'
            f'{START + i / PER_SECOND},"features":{{{",".join(cells)}}},"prediction":"{int(p > 0.5)}",'
            f'"probability":{p}}}'
        )
        return key.encode(), value.encode()

    def feedback(self, i: int) -> tuple[bytes, bytes]:
        """Key and value of the truth of prediction i."""
        key = f"prediction-{i:010d}"
        value = f'{{"prediction_id":"{key}","actual":"{self._truth[i % DISTINCT]}","timestamp":{self.fed_at(i)}}}'
        return key.encode(), value.encode()

    def fed_at(self, i: int) -> float:
        """When the truth of prediction i comes, in seconds since the epoch."""
        return START + i / PER_SECOND + float(self._delay[i % DISTINCT])

    def has_truth(self, i: int) -> bool:
        """Whether prediction i gets one: every second of each model."""
        return (i // self.models) % 2 == 1


def _names(model: int) -> Names:
    return Names([f"number_{model}_{i}" for i in range(NUMERIC)], [f"category_{model}_{i}" for i in range(CATEGORICAL)])


def _profile(n: int, rng: np.random.Generator) -> Profile:
    names = _names(0)
    features: dict[str, NDArray[np.float64] | list[str]] = dict(
        zip(names.numeric, rng.normal(100, 10, (NUMERIC, n)).round(4), strict=True)
    )
    for i, name in enumerate(names.categorical):
        features[name] = [f"c{code}" for code in rng.integers(0, 3 + 4 * i, n).tolist()]
    probability = rng.random(n).round(6)
    told = (probability > 0.5).astype(int).astype(str).tolist()
    actual = (rng.random(n) < probability).astype(int).astype(str).tolist()
    return build_profile("model", "1", "binary", features, told, probability, actual)


@dataclass(slots=True)
class Spent:
    """CPU seconds, by what has used them."""

    predictions: float = 0.0
    feedback: float = 0.0
    publishing: float = 0.0
    windows: float = 0.0
    events: int = 0
    published: int = 0

    @property
    def join(self) -> float:
        """All that the join has used."""
        return self.predictions + self.feedback + self.publishing


class Worker:
    """The join and the windows of one worker, with a clock that is set from outside."""

    partitions = PARTITIONS

    def __init__(self, fleet: Fleet, *, checkpoint_seconds: float) -> None:
        self.fleet = fleet
        self.table: dict[str, bytes] = {}
        self.clock = 0.0
        self.join = JoinAgent(self.table, fleet, checkpoint_seconds=checkpoint_seconds, now=lambda: self.clock)
        self._send, self.join._publish = self.join._publish, self._timed  # type: ignore[method-assign]
        for version in fleet.versions():  # compiled before anything is measured
            number = self.join._models.number_of(*version)
            assert number is not None
            _ = self.join._models.watched[number].outcomes.all_starts
        stacked = self.source(0).state.stacked_models()
        stacked.references.find(np.zeros(1, np.int64), np.zeros(1))
        self.windows = WindowsAgent({}, fleet.get, partitions=PARTITIONS, reissue_seconds=1e9, now=lambda: 0.0)
        self.spent = Spent()
        self.judged = 0
        self._panes: list[Record] = []

    def source(self, partition: int) -> JoinPartition:
        """The state of a source partition."""
        return self.join._source(partition)

    async def save(self, partition: int) -> None:
        """Make a checkpoint of all that was taken."""
        seconds, self.join._checkpoint_seconds = self.join._checkpoint_seconds, 0.0
        await self.take(partition, 0, ())
        self.join._checkpoint_seconds = seconds

    async def take(self, partition: int, topic: int, run: Sequence[Record]) -> None:
        """A run of predictions or feedback, or a tick."""
        before = self.spent.publishing
        started = time.process_time()
        await self.join.handle(Batch(SOURCES[topic], partition, run), self)
        spent = time.process_time() - started - (self.spent.publishing - before)
        self.spent.events += len(run)
        if topic == 0:
            self.spent.predictions += spent
        else:
            self.spent.feedback += spent

    async def judge(self) -> None:
        """Have the windows take what was published, then judge by the clock all that are due."""
        await self.windows.handle(Batch(PANES, 0, self._panes), self)
        self._panes.clear()
        self.judged, known = 0, -1
        started = time.process_time()
        while self.judged != known:  # so many at once, and no more
            known = self.judged
            await self.windows.handle(Batch(PANES, 0, (), caught_up=True), self)
        self.spent.windows = time.process_time() - started

    async def _timed(self, events: Sequence[PaneEvent], out: Output) -> None:
        """Encode and send what the join publishes."""
        started = time.process_time()
        await self._send(events, out)
        self.spent.publishing += time.process_time() - started

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        """Keep panes for the windows, and count drift reports."""
        if topic is REPORTS:
            self.judged += sum(b"/drift/" in (record.key or b"") for record in records)
            return
        self._panes += [Record(0, 0, record.key or b"", record.value, ()) for record in records]
        self.spent.published += sum(len(record.value or b"") for record in records)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        raise AssertionError(rejected[0].reason)

    def hold(self, partition: int, panes: Iterable[int]) -> None:
        """Have a partition hold panes: a prediction with its truth of each model in each of them, and their deltas."""
        source = self.source(partition)
        state, rng, n = source.state, np.random.default_rng(partition), self.fleet.models
        models = np.arange(n, dtype=np.int16)
        for pane in panes:
            ids = rng.integers(0, 1 << 63, (n, 2)).astype(np.uint64)
            of_pane = np.full(n, pane, np.int32)
            rows = state.rows.add(NewRows(ids, models, of_pane, np.zeros(n, np.int16), np.full(n, 0.5)))
            told = np.full(n, (pane + 1) * PANE, np.uint32)
            kinds = np.full(n, truths.TEXT, np.uint8)
            state.rows.join(rows, np.zeros(n), kinds, told)
            state.joined_since.append(Joined(state.rows["ordinal"][rows], np.zeros(n), kinds, told))
            places = state.new_outcomes.numbers(models, of_pane)
            state.new_outcomes.count_rows(places)
            state.new_outcomes.count(places, np.zeros(n, np.int32))
            for model in models.tolist():
                state.tally(model).event_time = pane * PANE * MICROSECONDS
            source.offsets = [source.offsets[0] + n, source.offsets[1] + n]
            if len(state.rows) - source.chain.ordinal >= RUN:
                self._save(partition, source)
        self._save(partition, source)

    def _save(self, partition: int, source: JoinPartition) -> None:
        if not source.unsaved:  # a delta that leads nowhere would be its own successor
            return
        taken = delta.take(
            source.state, source.chain.ordinal, source.chain.saved, (source.offsets[0], source.offsets[1])
        )
        source.chain.append(taken.delta, source.state.rows.next_ordinal, source.unreadable(), {})


class Feed:
    """Predictions in offset order, and the truths that are due by then."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._next = 0
        self._waiting: list[int] = []
        self._offsets = [[0, 0] for _ in range(PARTITIONS)]

    def run(self, n: int, partition: int = 0) -> Iterator[tuple[int, list[Record]]]:
        """The next n predictions, then what has come of truth; as records of a partition."""
        fleet, numbers = self._fleet, range(self._next, self._next + n)
        self._next += n
        yield 0, self._records(partition, 0, [fleet.prediction(i) for i in numbers])
        self._waiting += [i for i in numbers if fleet.has_truth(i)]
        until = START + numbers[-1] / PER_SECOND
        due = sorted((i for i in self._waiting if fleet.fed_at(i) <= until), key=fleet.fed_at)
        self._waiting = [i for i in self._waiting if fleet.fed_at(i) > until]
        if due:
            yield 1, self._records(partition, 1, [fleet.feedback(i) for i in due])

    def start_after(self, source: JoinPartition, partition: int) -> None:
        """Go on where a partition has been read to."""
        self._offsets[partition] = list(source.offsets)

    def _records(self, partition: int, topic: int, made: Sequence[tuple[bytes, bytes]]) -> list[Record]:
        first = self._offsets[partition][topic]
        self._offsets[partition][topic] += len(made)
        return [Record(first + i, 0, key, value, ()) for i, (key, value) in enumerate(made)]


class Result(msgspec.Struct):
    """What a number of models came to. CPU in seconds, sizes in bytes."""

    models: int
    event: float
    prediction: float
    feedback: float
    live_event: float
    window: float
    rows: int
    panes: int
    memory: float
    restart: float
    published: float

    @property
    def stated(self) -> float:
        """The memory that rows, panes and models are said to take, in bytes."""
        return BASE_BYTES + self.rows * ROW_BYTES + self.panes * PANE_BYTES + self.models * MODEL_BYTES


class Measured:
    """A worker with one number of models, which is asked for one round after another."""

    def __init__(self, models: int, reference: int, days: float, predictions: int) -> None:
        self._models = models
        self._predictions = predictions
        self._rounds: list[Spent] = []
        fleet = Fleet(models, reference)
        before = resident()
        self._worker = worker = Worker(fleet, checkpoint_seconds=1e9)
        gc.set_threshold(GARBAGE_THRESHOLD)  # as a worker does
        gc.freeze()
        panes = range(START // PANE - round(days * DAY / PANE), START // PANE - 60)
        panes = panes[:: max(1, -(-len(panes) * models // MOST_HELD))]
        for partition in range(PARTITIONS):
            worker.hold(partition, panes[partition::PARTITIONS])
        self._memory = resident() - before
        states = [worker.source(partition).state for partition in range(PARTITIONS)]
        self._rows = sum(len(state.rows) for state in states)
        self._panes = sum(len(state.outcomes) for state in states)
        started = time.process_time()
        for partition in range(PARTITIONS):
            known, store = worker.join._models, JoinStore(worker.table)
            again = recover(store, partition, store.rows(), known.watched, known.number_of)
            if len(again.state.rows) != len(worker.source(partition).state.rows):
                raise AssertionError(f"{len(again.state.rows)} rows came back")
        self._restart = time.process_time() - started
        self._feed = Feed(fleet)
        for partition in range(PARTITIONS):
            self._feed.start_after(worker.source(partition), partition)

    async def round(self, *, profile: bool = False) -> None:
        """Take a backlog."""
        self._rounds.append(await _backlog(self._worker, self._feed, self._predictions, profile=profile))

    async def result(self) -> Result:
        """Take what comes live, have windows judged, and sum up; the first round has warmed up."""
        worker = self._worker
        for partition in range(PARTITIONS):
            await worker.save(partition)
        await worker.judge()  # what a reference is compared by is made at a model's first window
        live = await _live(worker, self._feed)
        await worker.judge()
        least = min(self._rounds[1:], key=lambda one: one.join / one.events)
        return Result(
            models=self._models,
            event=least.join / least.events,
            prediction=least.predictions / self._predictions,
            feedback=least.feedback / max(1, least.events - self._predictions),
            live_event=live.join / live.events,
            window=worker.spent.windows / max(1, worker.judged),
            rows=self._rows,
            panes=self._panes,
            memory=self._memory,
            restart=self._restart,
            published=least.published / least.events,
        )


async def _alone(measured: Measured, lines: IO[str]) -> Result:
    """Take a round for each line that is read, and sum up at their end."""
    print(flush=True)
    while lines.readline():
        await measured.round()
        print(flush=True)
    return await measured.result()


async def _profiled(measured: Measured) -> Result:
    """All rounds in one process, and cProfile's table of the last."""
    with mock.patch("agents.join.agent.in_thread", _in_loop), mock.patch("agents.join.intake.in_thread", _in_loop):
        for i in range(ROUNDS + 1):
            await measured.round(profile=i == ROUNDS)
    return await measured.result()


async def _in_loop(work: Callable[[], T]) -> T:
    """Do what is done in a thread otherwise, which a profiler does not see."""
    return work()


async def _backlog(worker: Worker, feed: Feed, predictions: int, *, profile: bool) -> Spent:
    made = [fetched for _ in range(-(-predictions // POLLED)) for fetched in feed.run(min(predictions, POLLED))]
    worker.spent = Spent()
    profiled = cProfile.Profile(time.process_time)
    if profile:
        profiled.enable()
    for topic, fetched in made:
        size = max(RUN, worker.join.most_together // RUN * RUN)
        for first in range(0, len(fetched), size):
            await worker.take(0, topic, fetched[first : first + size])
    profiled.disable()
    if profile:
        pstats.Stats(profiled).sort_stats("cumtime").print_stats(70)
    return worker.spent


async def _live(worker: Worker, feed: Feed) -> Spent:
    """LIVE_SECONDS at the rate of event time: each partition in turn what has come since its last checkpoint."""
    worker.join._checkpoint_seconds = CHECKPOINT_SECONDS / 2
    n = round(PER_SECOND * CHECKPOINT_SECONDS / PARTITIONS)
    steps = [
        (i * CHECKPOINT_SECONDS, partition, run)
        for i in range(1, round(LIVE_SECONDS / CHECKPOINT_SECONDS) + 1)
        for partition in range(PARTITIONS)
        for run in feed.run(n, partition)
    ]
    worker.spent = Spent()
    for clock, partition, (topic, run) in steps:
        worker.clock = clock
        await worker.take(partition, topic, run)
    return worker.spent


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=_numbers, default="1,50,200,1000", help="separated by commas (%(default)s)")
    parser.add_argument("--predictions", type=int, default=20_000, help="in each round (%(default)s)")
    parser.add_argument("--reference", type=int, default=2_000, help="rows of each reference (%(default)s)")
    parser.add_argument("--days", type=float, default=7.0, help="of event time that are held (%(default)s)")
    parser.add_argument("--profile", action="store_true", help="print cProfile's table of the last number of models")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="1, 200 and 1,000 models, a quarter of a day")
    options = parser.parse_args(arguments)
    if options.quick:
        options.models, options.days = [1, 200, 1000], 0.25
    if options.alone or options.profile:
        measured = Measured(options.models[-1], options.reference, options.days, options.predictions)
        made = _profiled(measured) if options.profile else _alone(measured, sys.stdin)
        print(msgspec.json.encode(asyncio.run(made)).decode())
        return 0
    found = {result.models: result for result in _in_turns(options)}
    for models, one in found.items():
        print(
            f"  {one.models:>5} models: {one.event * 1e6:.1f} µs an event in a backlog ({one.prediction * 1e6:.1f} a "
            f"prediction, {one.feedback * 1e6:.1f} a truth), {one.live_event * 1e6:.0f} µs live: "
            f"{one.live_event * EVENTS_PER_SECOND:.1%} of a core at {EVENTS_PER_SECOND:.0f}/s; "
            f"{one.window * 1e3:.1f} ms a window, {one.window * models:.1f} s all; {one.rows:,} rows and {one.panes:,} "
            f"panes held: {one.memory / 1e6:.0f} MB, {one.stated / 1e6:.0f} stated, {one.memory / one.stated:.2f}; "
            f"restart {one.restart:.1f} s; {one.published:.0f} bytes published an event",
            flush=True,
        )
    least = min(found)
    ratios = [
        f"{models}/{least} {one.event / found[least].event:.2f}" for models, one in found.items() if models > least
    ]
    first = f"200/{least} "
    print(f"models {', '.join(sorted(ratios, key=lambda ratio: not ratio.startswith(first)))}", flush=True)
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _in_turns(options: argparse.Namespace) -> list[Result]:
    """Each number of models in a process of its own, which take their rounds in turns; none works beside another."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for models in options.models:
            processes.append(_started(models, options))
            _wait(processes[-1])
        for _ in range(ROUNDS + 1):
            for process in processes:
                _stdin(process).write("round\n")
                _stdin(process).flush()
                _wait(process)
        results = []
        for process in processes:
            _stdin(process).close()
            results.append(msgspec.json.decode(_stdout(process).read(), type=Result))
        return results
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _started(models: int, options: argparse.Namespace) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "benchmarks.models", "--alone", "--models", str(models),
        "--predictions", str(options.predictions), "--reference", str(options.reference), "--days", str(options.days),
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _wait(process: subprocess.Popen[str]) -> None:
    """Return when it is done with what it was asked for. Raises RuntimeError where it ended instead."""
    if not _stdout(process).readline():
        raise RuntimeError(f"a process of the benchmark ended with {process.wait()}")


def _stdin(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdin is not None
    return process.stdin


def _stdout(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


if __name__ == "__main__":
    sys.exit(main())
