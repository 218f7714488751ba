"""The batch transport on a log in memory: runs that follow, holes, ticks, seeks, commits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP, ConsumerMessage

from app.faust_batches.app import make_app
from app.faust_batches.batch import Batch
from app.faust_batches.transport import BatchConsumer
from app.kafka.parsed_fetch import Fetched
from app.settings.settings import load_settings
from tests.support.reports import StubRecord
from topics.registry import PREDICTIONS, ForeignTopic

BATCHED = TP("predictions", 0)
OTHER = TP("changelog", 0)


@dataclass
class Log:
    """A partition in the place of Faust's thread: what is in it, and where the fetcher stands."""

    offsets: list[int]
    at: int = 0
    begin: int = 0
    markers: int = 0
    """Up to this offset there is something that is not to be read."""
    sought: list[int] = field(default_factory=list)
    refuses: list[Exception] = field(default_factory=list)
    assigned: set[TP] = field(default_factory=lambda: {BATCHED})

    def assignment(self) -> set[TP]:
        return self.assigned

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        if self.refuses:
            raise self.refuses.pop()
        self.at = partitions[BATCHED]
        self.sought.append(self.at)

    async def getmany(self, active: set[TP], timeout: float) -> dict[TP, Fetched]:
        since = self.at = max(self.at, self.begin)
        found = [StubRecord(offset, b"") for offset in self.offsets if offset >= self.at]
        self.drop(len(found))
        self.at = max(self.at, self.markers)
        return {BATCHED: Fetched(map(_stamped, found), since, self.at)} if found else {}

    def drop(self, n: int) -> None:
        """Go past records, as when what was fetched is thrown away."""
        ahead = [offset for offset in self.offsets if offset >= self.at][:n]
        self.at = ahead[-1] + 1 if ahead else self.at

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, self.offsets[0] if self.offsets else 0)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: self.highwater(tp) for tp in partitions}

    def highwater(self, tp: TP) -> int:
        assert tp in self.assigned, "Partition is not assigned"  # as aiokafka does it
        return max(self.markers, self.offsets[-1] + 1 if self.offsets else 0)

    def end(self, tp: TP) -> int:
        return self.highwater(tp)

    def reached(self, tp: TP) -> int:
        return self.at


def _stamped(record: StubRecord) -> StubRecord:
    record.timestamp_type = 0  # type: ignore[attr-defined]
    return record


class Reader:
    """An agent that applies what follows, and nothing else."""

    def __init__(
        self, tmp_path: Path, offsets: Iterable[int], *, max_batch_records: int = 3, tick_seconds: float = 0.0
    ) -> None:
        app = make_app(load_settings(state_dir=tmp_path, max_batch_records=max_batch_records))
        app.transport.tick_seconds = tick_seconds
        self.applied = 0
        app.transport.read(BATCHED.topic, PREDICTIONS, lambda tp: self.applied)
        self.consumer: BatchConsumer = app.transport.Consumer(app.transport, _nothing, _nothing, _nothing)
        self.consumer._thread.thread_loop.close()  # of the thread that would fetch
        self.consumer.sleep = _turn  # Faust waits a second where no partition is active
        self.log = self.consumer._thread = Log(list(offsets))
        self.consumer._complete = app.consumer_generation_id
        self.consumer.resume_flow()
        self.consumer.resume_partitions({BATCHED})
        self.read: list[int] = []

    async def fetch(self) -> list[ConsumerMessage]:
        """One round: what comes of it, runs and ticks."""
        found: AsyncIterator[tuple[TP, ConsumerMessage]] = self.consumer.getmany(0.01)
        return [message async for _, message in found]

    def take(self, message: ConsumerMessage) -> bool:
        """Apply a run if it follows; answers whether it does."""
        follows = self.consumer.follows(message)
        fresh = [record.offset for record in message.value.records if record.offset >= self.applied] if follows else []
        if fresh:
            self.read += fresh
            self.applied = fresh[-1] + 1
        return follows

    async def round(self) -> list[bool]:
        """Fetch once and take all; answers which messages followed."""
        return [self.take(message) for message in await self.fetch()]


async def _nothing(*_: Any) -> None:
    """A callback that is not called."""


async def _turn(_: float) -> None:
    """Let others run."""
    await asyncio.sleep(0)


async def test_runs_are_consecutive_and_ticks_come_after_them(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    messages = await reader.fetch()
    assert [[r.offset for r in m.value.records] for m in messages] == [[0, 1, 2], [3, 4, 5], [6], []]
    assert [m.offset for m in messages] == [2, 5, 6, 6]
    assert [reader.take(m) for m in messages] == [True] * 4
    assert reader.read == list(range(7))


async def test_nothing_is_handed_out_before_the_tables_of_the_generation_are_complete(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    early = await reader.fetch()
    reader.consumer.app.consumer_generation_id += 1
    assert await reader.fetch() == []
    reader.consumer._complete = reader.consumer.app.consumer_generation_id
    assert await reader.fetch() == [], "the agents' buffers are emptied once more before flow is resumed"
    reader.consumer.resume_flow()
    assert [reader.take(message) for message in early] == [False] * 4
    assert await reader.fetch() != []
    await reader.consumer.on_partitions_revoked(set())
    assert await reader.fetch() == []


async def moved(reader: Reader, generations: int) -> None:
    """Partitions change hands: so many generations on, this worker has the same one."""
    await reader.consumer.on_partitions_revoked({BATCHED})
    assert await reader.fetch() == []
    reader.consumer.app.consumer_generation_id += generations
    await reader.consumer.on_partitions_assigned({BATCHED}, reader.consumer.app.consumer_generation_id)


async def test_nothing_is_committed_while_a_generation_is_joined(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    consumer, committed = reader.consumer, list[dict[TP, int]]()

    async def commit(offsets: dict[TP, int]) -> bool:
        committed.append(offsets)
        return True

    reader.log.commit = commit  # type: ignore[attr-defined]
    await consumer.on_partitions_revoked({BATCHED})
    assert not await consumer._commit({BATCHED: 3})
    await consumer.on_partitions_assigned({BATCHED}, consumer.app.consumer_generation_id + 1)
    assert await consumer._commit({BATCHED: 4})
    assert committed == [{BATCHED: 4}]


async def test_what_stays_goes_on_before_the_rest_is_recovered(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    consumer, kept = reader.consumer, list[frozenset[int]]()
    consumer.transport.on_kept = kept.append
    first = (await reader.fetch())[0]
    assert reader.take(first)
    consumer.applied(BATCHED, 3)
    await moved(reader, 1)
    assert kept == [frozenset({0})]
    assert not consumer.follows(first), "it is of the generation before"
    consumer.resume_flow()
    assert consumer.recovered != consumer.app.consumer_generation_id
    assert await reader.round() == [True] * 3
    assert (reader.read, reader.log.sought) == (list(range(7)), [3])
    consumer.applied(BATCHED, 7)
    assert consumer.held == {BATCHED: 7}


async def test_what_somebody_else_may_have_had_is_recovered(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    kept = list[frozenset[int]]()
    reader.consumer.transport.on_kept = kept.append
    await moved(reader, 2)
    reader.consumer.resume_flow()
    assert kept == [frozenset()]
    assert await reader.fetch() == []
    await moved(reader, 1)
    assert kept == [frozenset(), frozenset()], "its state was not complete"


async def test_what_stays_through_a_recovery_that_does_not_end_is_still_complete(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    for _ in range(3):
        await moved(reader, 1)
        assert reader.consumer.kept == {0}
    reader.consumer.resume_flow()
    assert await reader.round() == [True] * 4


async def test_a_topic_without_a_table_says_nothing_of_what_stays_and_waits_for_all_to_be_recovered(
    tmp_path: Path,
) -> None:
    """Foreign topics have other numbers of partitions, whose assignment says nothing about tables."""
    reader = Reader(tmp_path, range(7))
    consumer, app = reader.consumer, reader.consumer.app
    theirs, with_a_table = TP("theirs", 0), TP(BATCHED.topic, 1)
    app.transport.read(theirs.topic, ForeignTopic(name="theirs", key="", event=""), lambda tp: 4, stateless=True)
    reader.log.assigned = {theirs, with_a_table}
    app.consumer_generation_id += 1
    await consumer.on_partitions_assigned({theirs, with_a_table}, app.consumer_generation_id)
    assert consumer.kept == frozenset(), "partition 0 of the topic with a table is not ours any more"
    reader.log.assigned = {theirs, BATCHED}
    app.consumer_generation_id += 1
    consumer._complete = app.consumer_generation_id - 1
    consumer._whole = consumer._complete, frozenset({0})
    await consumer.on_partitions_assigned({theirs, BATCHED}, app.consumer_generation_id)
    assert consumer.kept == {0}
    consumer.resume_flow()  # what stays goes on, while the rest is recovered
    generation = app.consumer_generation_id
    assert (consumer._is_ready(BATCHED, generation), consumer._is_ready(theirs, generation)) == (True, False)
    assert consumer._wanted == {BATCHED: 0}
    consumer._complete = generation
    consumer.resume_flow()
    assert consumer._is_ready(theirs, generation)
    assert consumer._whole == (generation, frozenset({0}))


async def test_a_partition_is_read_on_though_its_full_buffer_was_emptied(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    app, consumer = reader.consumer.app, reader.consumer
    buffer = app.FlowControlQueue(maxsize=4, clear_on_resume=True)
    agent = asyncio.create_task(buffer.get())
    await asyncio.sleep(0)  # the agent waits for its first run
    for message in await reader.fetch():
        buffer.put_nowait_enhanced(
            message, on_pressure_high=lambda: consumer.on_buffer_full(BATCHED),
            on_pressure_drop=lambda: consumer.on_buffer_drop(BATCHED),
        )  # fmt: skip
    assert consumer._get_active_partitions() == set()
    app.flow_control.resume()
    consumer.resume_flow()
    await asyncio.sleep(0)
    assert not agent.done(), "nobody has taken anything"
    agent.cancel()
    assert consumer._get_active_partitions() == {BATCHED}
    reader.log.at = 0
    assert [len(message.value.records) for message in await reader.fetch()] == [3, 3, 1, 0]


async def test_a_hole_is_skipped_and_asked_for_again(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(10))
    await reader.round()
    reader.log.offsets += range(10, 20)
    reader.log.drop(4)
    assert True not in await reader.round()
    assert reader.read == list(range(10))
    await reader.round()
    assert reader.log.sought == [10]
    assert reader.read == list(range(20))


async def test_what_came_in_one_fetch_has_no_holes_but_the_log_s_own(tmp_path: Path) -> None:
    reader = Reader(tmp_path, [0, 1, 2, 7, 8, 12, 20])
    assert await reader.round() == [True] * 4
    assert reader.read == [0, 1, 2, 7, 8, 12, 20]
    assert reader.log.sought == []


async def test_a_hole_that_the_log_itself_has_costs_no_seek(tmp_path: Path) -> None:
    reader = Reader(tmp_path, [0, 1, 2])
    await reader.round()
    reader.log.offsets += [9, 10]
    await reader.round()
    assert reader.read == [0, 1, 2, 9, 10]
    assert reader.log.sought == []


async def test_what_the_log_no_longer_has_is_passed_after_it_was_asked_for_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader(tmp_path, [0, 1, 2, 9, 10])
    reader.log.begin = 9  # the others are deleted meanwhile
    for _ in range(3):
        await reader.round()
    assert reader.log.sought == [0]
    assert reader.read == [9, 10]
    assert "offsets 0 to 8 are no longer in the log" in caplog.text


async def test_what_is_not_to_be_read_is_behind_it_and_costs_nothing(tmp_path: Path) -> None:
    reader = Reader(tmp_path, [0, 1, 2])
    consumer = reader.consumer
    consumer.held = {BATCHED: 0}
    for marker in (4, 5, 7):  # a commit, then what was aborted and its marker
        reader.log.markers = marker
        for message in await reader.fetch():
            assert reader.take(message)
            consumer.applied(BATCHED, message.value.following)
            consumer.done(message)
        reader.log.at = marker
        assert not consumer._has_more(BATCHED)
    assert consumer.held == {BATCHED: 7}
    assert consumer._new_offset(BATCHED) == 7
    reader.log.offsets.append(7)
    assert await reader.round() == [True, True]
    assert (reader.read, reader.log.sought) == ([0, 1, 2, 7], [])


async def test_a_tick_shows_a_tail_that_was_lost(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(3))
    await reader.round()
    reader.log.offsets.append(3)
    lost = await reader.fetch()  # and thrown away: no later run would show it
    assert lost[-1].value.records == []
    ticks = await reader.fetch()
    assert [reader.take(tick) for tick in ticks] == [False]
    await reader.round()
    assert reader.read == list(range(4))
    assert await reader.round() == [True]


async def test_records_that_were_applied_already_follow(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(6))
    await reader.round()
    reader.log.at = 2
    assert await reader.round() == [True, True, True]
    assert reader.read == list(range(6))


async def test_a_seek_that_is_refused_is_asked_for_again(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(4))
    reader.log.drop(2)
    reader.log.refuses = [IllegalStateError("no longer assigned"), TimeoutError()]
    for _ in range(4):
        await reader.round()
    assert reader.log.sought == [0]
    assert reader.read == list(range(4))


async def test_what_is_no_longer_assigned_is_not_sought(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(4))
    reader.log.drop(2)
    await reader.round()
    reader.log.assigned = set()
    reader.log.at = 4
    await reader.round()
    assert reader.log.sought == []


async def test_after_a_recovery_the_state_says_where_to_read_from(tmp_path: Path, monkeypatch: Any) -> None:
    async def committed(self: object) -> dict[TP, int]:
        return {BATCHED: 9, OTHER: 4}

    reader = Reader(tmp_path, range(12))
    monkeypatch.setattr(type(reader.consumer), "seek_to_committed", committed)
    reader.applied = 5
    await reader.consumer.perform_seek()
    await reader.round()
    assert (reader.log.sought, reader.read) == ([5], list(range(5, 12)))
    assert reader.consumer._read_offset == {OTHER: 4}  # below which Faust drops what it fetches


async def test_whatever_is_thrown_away_everything_is_applied_once_and_in_order(tmp_path: Path) -> None:
    for seed in range(30):
        rng = random.Random(seed)
        reader = Reader(tmp_path, [], max_batch_records=rng.randrange(1, 6))
        sent = 0
        for _ in range(60):
            for _ in range(rng.randrange(6)):
                sent += rng.choice([1, 1, 1, 1, 4])
                reader.log.offsets.append(sent)
            if rng.random() < 0.2:
                reader.log.drop(rng.randrange(5))
            for message in await reader.fetch():
                if rng.random() < 0.8:
                    reader.take(message)
        reader.log.offsets.append(sent + 1)  # a hole before what was never seen is told by what comes after
        for _ in range(100):
            if await reader.round() == [True]:  # a tick alone: there is nothing more to read
                break
        assert reader.read == reader.log.offsets


async def test_only_finished_runs_are_committed(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    first, second, third, tick = await reader.fetch()
    consumer = reader.consumer
    assert consumer.unfinished == 3
    consumer.done(second)
    assert consumer._new_offset(BATCHED) is None
    consumer.done(tick)
    consumer.done(first)
    consumer.done(first)
    assert consumer.unfinished == 1
    assert BATCHED in consumer._acked
    assert consumer._new_offset(BATCHED) == 6
    await consumer.on_partitions_revoked({BATCHED})
    consumer.done(third)
    assert consumer._new_offset(BATCHED) is None


async def test_a_tick_stands_where_the_fetcher_does(tmp_path: Path) -> None:
    reader = Reader(tmp_path, [], tick_seconds=0.0)
    (tick,) = await reader.fetch()
    assert (tick.value, tick.offset, tick.partition) == (Batch(PREDICTIONS, 0, [], 0, 0), -1, 0)
    assert reader.consumer.follows(tick)


async def test_a_tick_says_nothing_of_a_partition_that_is_still_to_be_sought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(tmp_path, range(7))

    async def recovered_meanwhile(active: set[TP], timeout: float) -> dict[TP, Fetched]:
        reader.log.at = 7  # where Faust seeks to: the committed offset, though the state has less
        reader.consumer._wanted = {BATCHED: 0}
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(reader.log, "getmany", recovered_meanwhile)
        (tick,) = await reader.fetch()
    assert (tick.value.since, tick.value.following) == (0, 0)
    await reader.round()
    assert reader.read == list(range(7))


async def test_a_partition_that_has_just_gone_has_no_end(tmp_path: Path) -> None:
    reader = Reader(tmp_path, range(7))
    assert reader.consumer.highwater(BATCHED) == 7
    reader.log.assigned.clear()  # in the thread that fetches, before the agents hear of it
    assert reader.consumer.highwater(BATCHED) is None
