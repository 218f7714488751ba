"""The windows agent without Kafka: rolling sums, the watermark, what is issued again, restarts."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.join.pane_events import key_of, partial_of
from agents.windows.agent import WindowsAgent
from app.core.join.state import CompiledModel
from app.core.panes.inputs import input_pane
from app.core.panes.outcomes import outcome_layout, outcome_pane
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.join_log import Registry
from tests.support.reports import StubRecord
from topics.events import AnyReport, DriftReport, PaneEvent, PerformanceReport, Progress, TrafficReport
from topics.registry import PANES as PANES_TOPIC
from topics.registry import REPORTS, Topic

PANES, PANE = 3, 60.0
FIRST = 28_333_334  # the number of a pane
REGISTRY = Registry(panes=PANES, allowance=0.0, idle_after=10.0, retention=600.0)
MODEL = REGISTRY.models["m", "binary"]
WATCHED = CompiledModel(MODEL.profile, MODEL.monitoring.windows)


class Killed(Exception):
    """The worker ends here."""


def inputs(pane: int, n: int, partition: int = 0, revision: int = 1) -> PaneEvent:
    """All n predictions so far of a source partition in a pane, counted from FIRST."""
    total = input_pane(WATCHED.layout, {"size": np.ones(n), "colour": ["red"] * n}, ["1"] * n, np.full(n, 0.7))
    return partial_of(WATCHED, FIRST + pane, "input", total, partition, revision)


def outcomes(pane: int, right: int, wrong: int, partition: int = 0, revision: int = 1) -> PaneEvent:
    """All feedback so far: predictions of "1" that were right, and wrong."""
    actual = np.array([1.0] * right + [0.0] * wrong)
    ones = np.ones(right + wrong, np.int64)
    total = outcome_pane(outcome_layout(MODEL.profile), ones, np.full(right + wrong, 0.7), actual)
    return partial_of(WATCHED, FIRST + pane, "outcome", total, partition, revision)


def progress(pane: float, partition: int = 0, revision: int = 1, *, idle: bool = False) -> PaneEvent:
    """A source partition has come to a pane; `settled` as a join with this retention would have it."""
    time = (FIRST + pane) * PANE
    return Progress(
        model="m", model_version="binary", profile_id=MODEL.profile.profile_id, partition=partition, revision=revision,
        event_time=time, idle=idle, settled=time - 600.0, predictions=0, feedback=0, duplicates=0, late=0, expired=0,
    )  # fmt: skip


@dataclass
class World:
    """A partition of `panes`, the agent's table, and what it has published."""

    partitions: int = 1
    registry: Registry = REGISTRY
    clock: float = 100.0
    wall: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    log: list[StubRecord] = field(default_factory=list)
    table: dict[str, bytes] = field(default_factory=dict)
    reports: list[AnyReport] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    killed: bool = False

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another process: only the table and the log are left."""
        self.agent = WindowsAgent(
            self.table, self.registry.get, partitions=self.partitions, reissue_seconds=5.0,
            now=lambda: self.clock, wall=lambda: self.wall,
        )  # fmt: skip

    def compact(self) -> None:
        """Of every key only the newest record stays."""
        newest = {record.key: record.offset for record in self.log}
        self.log = [record for record in self.log if newest[record.key] == record.offset]

    async def send(self, *events: PaneEvent | bytes | None) -> list[AnyReport]:
        """Write events to the log and have them read; answers what is published of them."""
        for event in events:
            offset = self.log[-1].offset + 1 if self.log else 0
            if isinstance(event, (bytes, type(None))):
                self.log.append(StubRecord(offset, event, b"raw"))
            else:
                self.log.append(StubRecord(offset, msgspec.json.encode(event), key_of(event)))
        return await self.read()

    async def read(self, most: int = 1 << 30) -> list[AnyReport]:
        """Have the agent read on, or act on a tick."""
        before = len(self.reports)
        start = self.agent.position(PANES_TOPIC, 0)
        run = [record for record in self.log if record.offset >= start][:most]
        end = not self.log or not run or run[-1].offset == self.log[-1].offset
        await self.agent.handle(Batch(PANES_TOPIC, 0, run, caught_up=end), self)
        return self.reports[before:]

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        if topic is PANES_TOPIC:
            return  # what is deleted of it is not looked at here
        assert topic is REPORTS
        for record in records:
            report = msgspec.json.decode(record.value or b"", type=AnyReport)
            assert ((record.key or b"").decode().split("/")[2], record.partition) == (
                report.__struct_config__.tag, 0,
            )  # fmt: skip
            self.reports.append(report)
        if self.killed:
            raise Killed

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected

    def wait(self, seconds: float) -> None:
        self.clock += seconds
        self.wall += timedelta(seconds=seconds)


@pytest.mark.parametrize("kills", [False, True])
async def test_since_when_nothing_is_judged_outlives_restarts_and_kills(kills: bool) -> None:
    """A thin window reaches back 10 panes here: 600 predictions are enough for those after them, 2 are not."""
    world = World(registry=Registry(panes=PANES, allowance=0.0, idle_after=10.0, retention=600.0, longest=600.0))
    counts = {0: 2, 1: 2, 3: 600, 9: 2, 12: 2, 14: 2, 20: 1}
    for pane, n in counts.items():
        world.killed = kills
        with contextlib.suppress(Killed):
            await world.send(inputs(pane, n), progress(pane + 1, revision=pane + 1))
        world.killed = False
        world.restart()
        await world.read()
    await world.send(progress(30, revision=30))
    found = {
        round(report.window_end.timestamp() / PANE) - 1 - FIRST: report.not_judged_since
        for report in world.reports if isinstance(report, DriftReport)
    }  # fmt: skip
    expected, until = dict[int, datetime | None](), FIRST - PANES + 1
    for end in range(23):
        if any(counts.get(pane) for pane in range(end - PANES + 1, end + 1)):
            if sum(counts.get(pane, 0) for pane in range(end - 9, end + 1)) >= 500:
                expected[end], until = None, FIRST + end + 1
            else:
                expected[end] = datetime.fromtimestamp(until * PANE, UTC)
    assert found == expected
    assert sum(since is None for since in expected.values()) == 7


def end_of(report: AnyReport) -> int:
    """The last pane of a report's window, counted from FIRST."""
    assert (report.window_end - report.window_start).total_seconds() == PANES * PANE
    return round(report.window_end.timestamp() / PANE) - 1 - FIRST


def told(reports: Sequence[AnyReport]) -> list[tuple[str, int, int]]:
    """Kind, window and n of each."""
    return [("drift" if isinstance(r, DriftReport) else "performance", end_of(r), r.n) for r in reports]


async def test_a_window_is_judged_when_the_watermark_passes_its_end() -> None:
    world = World()
    assert await world.send(inputs(0, 5), progress(0.9)) == []
    assert told(await world.send(inputs(1, 2), progress(1.5, revision=2))) == [("drift", 0, 5), ("performance", 0, 5)]
    assert told(await world.send(progress(4, revision=3))) == [
        (kind, end, n) for end, n in ((1, 7), (2, 7), (3, 2)) for kind in ("drift", "performance")
    ]
    assert await world.read() == []


async def test_nothing_is_judged_before_the_log_is_read_to_its_end() -> None:
    world = World()
    await world.send(inputs(0, 5), progress(2))
    world.restart()
    world.table.clear()
    world.log.append(StubRecord(2, msgspec.json.encode(inputs(0, 6, revision=2)), b"later"))
    assert await world.read(most=2) == []
    assert told(await world.read())[0] == ("drift", 0, 6)


async def test_late_counts_issue_their_windows_again_with_a_higher_revision_after_a_while() -> None:
    world = World()
    first = await world.send(inputs(0, 5), progress(1))
    world.wait(1.0)
    assert await world.send(inputs(0, 6, revision=2)) == []
    world.wall -= timedelta(days=1)  # whatever the wall clock says
    world.clock += 5.0
    again = await world.read()
    assert told(again) == [("drift", 0, 6), ("performance", 0, 6)]
    assert min(r.revision for r in again) > max(r.revision for r in first)


async def test_late_feedback_issues_the_performance_alone_again() -> None:
    world = World()
    await world.send(inputs(0, 5), progress(1))
    world.wait(5.0)
    (again,) = await world.send(outcomes(0, 3, 1))
    assert isinstance(again, PerformanceReport)
    assert (again.n, again.feedback, again.confusion) == (5, 4, ((0, 1), (0, 3)))


async def test_an_older_partial_changes_nothing() -> None:
    world = World()
    await world.send(inputs(0, 5, revision=7), progress(1))
    world.wait(5.0)
    assert await world.send(inputs(0, 9, revision=6), inputs(0, 9, revision=7)) == []


@pytest.mark.parametrize("compacted", [False, True])
async def test_a_restart_issues_nothing_that_is_unchanged(compacted: bool) -> None:
    world = World()
    for pane in range(8):
        await world.send(inputs(pane, pane + 1), outcomes(pane, pane, 1), progress(pane + 1, revision=pane))
        world.wait(10.0)
    await world.send(inputs(2, 30, revision=2))
    if compacted:
        world.compact()
    world.restart()
    assert await world.read() == []
    world.wait(10.0)
    assert await world.read() == []
    world.wait(5.0)
    assert {kind for kind, _, _ in told(await world.send(outcomes(7, 8, 0, revision=2)))} == {"performance"}


async def test_a_crash_before_the_note_issues_the_same_again() -> None:
    world = World(killed=True)
    with pytest.raises(Killed):
        await world.send(inputs(0, 5), progress(1))
    first, world.reports, world.killed = world.reports, [], False
    world.restart()
    world.wait(1.0)
    again = await world.read()
    assert told(again) == told(first)
    assert min(r.revision for r in again) > max(r.revision for r in first)


async def test_the_slowest_partition_holds_the_watermark_back_unless_it_is_idle() -> None:
    world = World(partitions=2)
    assert await world.send(inputs(0, 5), progress(9), progress(0.5, partition=1)) == []
    assert told(await world.send(progress(0.5, partition=1, revision=2, idle=True)))[0] == ("drift", 0, 5)
    # what comes back from idleness is late, but counts
    world.wait(5.0)
    late = await world.send(inputs(0, 2, partition=1), progress(0.6, partition=1, revision=3))
    assert told(late)[0] == ("drift", 0, 7)


async def test_when_all_are_idle_the_newest_closes() -> None:
    world = World(partitions=2)
    found = await world.send(inputs(0, 5), progress(1, idle=True), progress(0.5, partition=1, idle=True))
    assert told(found)[0] == ("drift", 0, 5)


async def test_a_prefix_that_is_drained_counts_too_and_holds_the_watermark_back_until_it_is_idle() -> None:
    world = World(partitions=2)
    before = (inputs(0, 4, partition=-3), progress(0.5, partition=-3))
    assert await world.send(inputs(0, 5), progress(9), progress(9, partition=1), *before) == []
    assert told(await world.send(progress(0.5, partition=-3, revision=2, idle=True)))[0] == ("drift", 0, 9)
    world.clock += 60
    late = await world.send(inputs(0, 6, partition=-3, revision=3))
    assert ("drift", 0, 11) in told(late)


async def test_a_prefix_that_is_drained_does_not_count_as_a_partition_of_this_one() -> None:
    world = World(partitions=2)
    assert await world.send(inputs(0, 5), progress(9), progress(9, partition=-3, idle=True)) == []


async def test_a_partition_that_never_spoke_is_waited_for_as_long_as_an_idle_one() -> None:
    world = World(partitions=2)
    assert await world.send(inputs(0, 5), progress(1)) == []
    world.wait(9.9)
    assert await world.read() == []
    world.wait(0.1)
    assert told(await world.read())[0] == ("drift", 0, 5)


async def test_what_cannot_be_read_or_is_of_another_profile_is_set_aside() -> None:
    world = World()
    other = msgspec.structs.replace(inputs(0, 9, revision=9), profile_id="other")
    unknown = msgspec.structs.replace(inputs(0, 9, revision=9), model="other")
    found = await world.send(b"{", None, b'{"type": "pane"}', b"\xff", other, unknown, inputs(0, 5), progress(1))
    assert told(found)[0] == ("drift", 0, 5)
    assert [r.record.offset for r in world.rejected] == [0, 2, 3]
    assert "`model`" in world.rejected[1].reason


@pytest.mark.slow
@given(seed=st.integers(0, 1 << 32))
async def test_the_newest_reports_are_the_rolling_sums_of_the_newest_totals(seed: int) -> None:
    rng = random.Random(seed)
    world = World(partitions=2)
    totals: dict[tuple[int, int], tuple[int, int, int]] = {}
    times = [0.0, 0.0]
    revision = 0
    for _ in range(rng.randrange(5, 40)):
        revision += 1
        partition, step = rng.randrange(2), rng.random()
        if step < 0.45:
            pane = max(0, int(times[partition]) - rng.choice([0, 0, 1, 2, 5]))
            n, right, wrong = totals.get((pane, partition), (0, 0, 0))
            n += rng.randrange(1, 4)
            await world.send(inputs(pane, n, partition, revision))
            totals[pane, partition] = (n, right, wrong)
        elif step < 0.65 and totals:
            pane, of = rng.choice(list(totals))
            n, right, wrong = totals[pane, of]
            right, wrong = rng.choice([(min(right + 1, n), 0), (0, n), (right // 2, min(1, n - right // 2))])
            await world.send(outcomes(pane, right, wrong, of, revision))
            totals[pane, of] = (n, right, wrong)
        elif step < 0.9:
            times[partition] += rng.choice([0.3, 1.0, 2.0])
            await world.send(progress(times[partition], partition, revision))
        elif step < 0.95:
            world.compact()
            world.restart()
            await world.read(most=rng.randrange(1, 9))
        else:
            world.wait(rng.choice([1.0, 6.0]))
    end = max([*times, *(pane + 1 for pane, _ in totals)]) + PANES
    await world.send(progress(end, 0, revision + 1), progress(end, 1, revision + 1))
    world.wait(5.0)
    await world.read()
    assert newest(world.reports) == rolled(totals)
    issued = len(world.reports)
    world.compact()
    world.restart()
    world.wait(10.0)
    await world.read()
    assert len(world.reports) == issued


def rolled(totals: dict[tuple[int, int], tuple[int, int, int]]) -> dict[int, tuple[int, int, int]]:
    """Window -> n, feedback that was right, and wrong; by pandas."""
    if not totals:
        return {}
    frame = pd.DataFrame.from_dict(totals, orient="index", columns=["n", "right", "wrong"])
    frame.index = pd.MultiIndex.from_tuples(frame.index)
    by_pane = frame.groupby(level=0).sum()
    every = by_pane.reindex(range(int(by_pane.index.max()) + PANES), fill_value=0)
    sums = every.rolling(PANES, min_periods=1).sum().astype(int)
    return {int(end): (int(n), int(right), int(wrong)) for end, n, right, wrong in sums[sums.n > 0].itertuples()}


def newest(reports: Sequence[AnyReport]) -> dict[int, tuple[int, int, int]]:
    """The same of the reports with the highest revisions, which rise."""
    drift: dict[int, DriftReport] = {}
    performance: dict[int, PerformanceReport] = {}
    for report in reports:
        end = end_of(report)
        known = drift.get(end) if isinstance(report, DriftReport) else performance.get(end)
        assert known is None or report.revision > known.revision
        if isinstance(report, DriftReport):
            drift[end] = report
        elif isinstance(report, PerformanceReport):
            performance[end] = report
    assert {end: r.n for end, r in drift.items()} == {end: r.n for end, r in performance.items()}
    return {end: (r.n, r.confusion[1][1], r.confusion[0][1]) for end, r in performance.items()}


def live(pane: float, revision: int, *, behind: float = 1.0, feedback: int = 0, idle: bool = False) -> PaneEvent:
    """Progress of a model whose records came to the broker `behind` seconds after their own time."""
    return msgspec.structs.replace(progress(pane, 0, revision, idle=idle), behind=behind, feedback=feedback)


async def traffic_of(world: World, *events: PaneEvent) -> list[TrafficReport]:
    return [report for report in await world.send(*events) if isinstance(report, TrafficReport)]


async def test_a_live_model_is_judged_without_predictions_for_ten_windows() -> None:
    world = World()
    (first,) = await traffic_of(world, inputs(0, 5), live(1, 1))
    assert (first.counts, first.silent, first.usual, first.sufficient) == ((0, 0, 5), 0, 5.0, False)
    found = await traffic_of(world, inputs(1, 7), inputs(2, 9), live(3, 2))
    assert [(r.counts, r.sufficient) for r in found] == [((0, 5, 7), False), ((5, 7, 9), True)]
    found = await traffic_of(world, live(200, 3, idle=True))
    assert [(end_of(r), r.n, r.silent) for r in found[:4]] == [(3, 16, 1), (4, 9, 2), (5, 0, 3), (6, 0, 4)]
    assert {(r.usual, r.sufficient) for r in found} == {(7.0, True)}
    assert end_of(found[-1]) == 2 + 10 * PANES
    world.restart()
    assert await world.read() == []
    world.wait(60.0)
    assert await world.read() == []


async def test_what_no_window_counts_is_in_the_reports_by_reason() -> None:
    def totals(partition: int, **counts: int) -> PaneEvent:
        event = progress(9, partition)
        assert isinstance(event, Progress)
        return msgspec.structs.replace(event, **counts)

    world = World(partitions=2)
    found = await world.send(
        totals(0, late=2, duplicates=1, waiting=4), totals(1, late=3, expired_feedback=5), inputs(0, 600)
    )
    left = {type(report).__name__: report.left_out for report in found}
    assert left["DriftReport"] == {"late": 5, "repeated id": 1}
    assert left["PerformanceReport"] == {"truth without a prediction": 4, "truth too late": 5}


async def test_truth_without_a_prediction_that_comes_after_the_last_window_is_told() -> None:
    def totals(revision: int, waiting: int, *, idle: bool) -> PaneEvent:
        event = progress(9, 0, revision, idle=idle)
        assert isinstance(event, Progress)
        return msgspec.structs.replace(event, waiting=waiting)

    world = World()
    before = await world.send(inputs(0, 600), totals(1, 0, idle=False))
    assert all(report.left_out == {} for report in before)
    world.clock += 60
    assert await world.send(totals(2, 7, idle=False)) == []  # while predictions come, the next window tells
    world.clock += 60
    found = await world.send(totals(3, 7, idle=True))
    newest = max(report.window_end for report in before)
    assert {(type(r).__name__, r.window_end, *r.left_out.items()) for r in found} == {
        ("DriftReport", newest), ("PerformanceReport", newest, ("truth without a prediction", 7))
    }  # fmt: skip
    assert min(report.revision for report in found) > max(report.revision for report in before)
    world.clock += 60
    assert await world.read() == []
    world.restart()
    world.clock += 60
    assert await world.read() == []


async def test_a_replay_of_old_files_is_never_judged_for_traffic() -> None:
    world = World()
    for behind in (PANES * PANE + 1, 1e7):
        assert await traffic_of(world, inputs(0, 5), live(50, 1, behind=behind, idle=True)) == []


async def test_feedback_is_followed_from_window_to_window() -> None:
    world = World()
    fed, told = 0, []
    for pane in range(8):
        fed += 3 if pane in (1, 3, 4, 7) else 0
        told += await traffic_of(world, inputs(pane, 5), live(pane + 1, pane + 1, feedback=fed))
        if pane == 5:
            world.restart()
            await world.read()
    assert [(r.feedback_silent, r.feedback_longest, r.feedback_gaps) for r in told] == [
        (0, 0, 0), (0, 1, 1), (1, 1, 1), (0, 2, 2), (0, 2, 3), (1, 2, 3), (2, 2, 3), (0, 3, 4),
    ]  # fmt: skip
