"""Batches that wait in an agent's buffer and are taken as one: what is taken, what is left, and the batch of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP, ConsumerMessage
from hypothesis import given
from hypothesis import strategies as st
from mode.utils.queues import FlowControlEvent, ThrowableQueue

from app.faust_batches.app import add_agent
from app.faust_batches.batch import Batch, tick
from app.faust_batches.quarantine import Quarantine
from app.faust_batches.together import as_one, take_together
from app.settings.settings import load_settings
from topics.registry import PREDICTIONS

HERE, THERE = TP("predictions", 0), TP("predictions", 1)


def message_of(first: int, n: int, *, tp: TP = HERE, generation: int = 1, following: int = 0) -> ConsumerMessage:
    records = [SimpleNamespace(offset=first + i) for i in range(n)]
    if not n:
        return tick(PREDICTIONS, tp, first, first, generation)
    batch = Batch(PREDICTIONS, tp.partition, records, first, following or first + n)
    return ConsumerMessage(
        tp.topic, tp.partition, first + n - 1, 0.0, 0, [], None, batch, None, 0, 0, tp, generation_id=generation
    )


async def buffer_of(*messages: ConsumerMessage) -> ThrowableQueue[Any]:
    flow = FlowControlEvent(initially_suspended=False)
    queue: ThrowableQueue[Any] = ThrowableQueue(flow_control=flow)
    for message in messages:
        queue.force_put_nowait(SimpleNamespace(message=message))
    return queue


def offsets_of(batch: Batch) -> list[int]:
    return [record.offset for record in batch.records]


@pytest.mark.parametrize(
    ("waiting", "taken"),
    [
        ([(5, 5), (10, 2)], 2),
        ([(5, 5), (10, 5), (15, 5), (20, 5)], 3),  # no more than 20 records
        ([(6, 5)], 0),  # offset 5 is missing: another fetch, or a hole
        ([(5, 0), (5, 5)], 0),  # a tick comes first
        ([], 0),
    ],
)
async def test_batches_that_go_on_are_taken(waiting: list[tuple[int, int]], taken: int) -> None:
    queue = await buffer_of(*(message_of(*one) for one in waiting))
    found = take_together(message_of(0, 5), queue, 20)
    assert len(found) == 1 + taken
    assert queue.qsize() == len(waiting) - taken
    batch = as_one(found)
    assert offsets_of(batch) == list(range(sum(n for _, n in [(0, 5), *waiting[:taken]])))
    assert (batch.since, batch.following) == (0, len(batch.records))


@pytest.mark.parametrize("other", [{"tp": THERE}, {"generation": 2}])
async def test_another_partition_or_generation_is_left(other: dict[str, Any]) -> None:
    queue = await buffer_of(message_of(5, 5, **other))
    assert len(take_together(message_of(0, 5), queue, 20)) == 1
    assert queue.qsize() == 1


async def test_a_tick_an_error_and_an_agent_that_wants_each_alone() -> None:
    queue = await buffer_of(message_of(5, 5))
    assert len(take_together(message_of(5, 0), queue, 20)) == 1
    assert len(take_together(message_of(0, 5), queue, 0)) == 1
    queue._throw(RuntimeError("of the stream, not of a batch"))
    assert len(take_together(message_of(0, 5), queue, 20)) == 1
    assert queue.qsize() == 1


@given(
    sizes=st.lists(st.tuples(st.integers(1, 7), st.integers(0, 2)), min_size=1, max_size=12), most=st.integers(0, 20)
)
async def test_every_record_is_in_one_batch_in_order(sizes: list[tuple[int, int]], most: int) -> None:
    """Ends of batches lie behind their last records where offsets are missing: compacted, or markers."""
    messages, at = [], 0
    for n, gap in sizes:
        messages.append(message_of(at, n, following=at + n + gap))
        at += n + gap
    queue = await buffer_of(*messages)
    batches = []
    while queue.qsize():
        first = queue.get_nowait().message
        found = take_together(first, queue, most)
        assert len(found) == 1 or sum(len(one.value.records) for one in found) <= most
        batches.append(as_one(found))
    assert [offset for batch in batches for offset in offsets_of(batch)] == [
        record.offset for message in messages for record in message.value.records
    ]
    assert all(before.following == after.since for before, after in pairwise(batches))
    assert batches[-1].following == at


class App:
    """The parts of an app that an agent is bound to, with batches that wait in its buffer."""

    def __init__(self, waiting: ThrowableQueue[Any]) -> None:
        self.channel = SimpleNamespace(queue=waiting)
        self.transport = SimpleNamespace(read=lambda *_, **__: None, order=SimpleNamespace(leaders={}))
        self.consumer = self
        self.done_with: list[ConsumerMessage] = []
        self.applied_to: list[int] = []

    def topic(self, *_: str, schema: object) -> None: ...

    def agent(self, _: None, *, name: str) -> Callable[[Callable[[App], Awaitable[None]]], None]:
        return lambda bound: setattr(self, name, bound)

    async def events(self) -> AsyncIterator[Any]:
        while self.channel.queue.qsize():
            yield self.channel.queue.get_nowait()

    def follows(self, _: ConsumerMessage) -> bool:
        return True

    def end(self, _: TP) -> int:
        return 15

    def applied(self, _: TP, following: int) -> None:
        self.applied_to.append(following)

    def done(self, *messages: ConsumerMessage) -> None:
        self.done_with += messages


@pytest.mark.parametrize(("failed", "sizes"), [(False, [15, 5]), (True, [5, 5, 5, 5])])
async def test_an_agent_handles_as_one_what_it_wants_together(tmp_path: Path, failed: bool, sizes: list[int]) -> None:
    """Each of the messages is done. After a failure each batch is handled alone, to narrow down its cause."""
    messages = [message_of(0, 5), message_of(5, 5), message_of(10, 5), message_of(0, 5, tp=THERE)]
    quarantine = Quarantine(tmp_path / "quarantine.json")
    if failed:
        for message in messages:
            quarantine.failed(message.tp, message.value.records, ValueError())
    app: Any = App(await buffer_of(*messages))
    handled: list[Batch] = []

    async def handle(batch: Batch) -> None:
        handled.append(batch)

    add_agent(
        app, load_settings(state_dir=tmp_path), quarantine, "join", [PREDICTIONS], lambda *_: 0, handle,
        most_together=lambda: 20,
    )  # fmt: skip
    await app.join(app)
    assert [len(batch.records) for batch in handled] == sizes
    assert [batch.following for batch in handled] == app.applied_to
    assert [batch.caught_up for batch in handled if batch.partition == 0][-1]
    assert app.done_with == messages
