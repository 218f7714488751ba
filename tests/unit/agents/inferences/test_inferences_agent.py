"""Requests and responses through the agent that pairs them: in any order, repeated, with kills at any point."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.inferences.agent import UNSEEN_SECONDS, InferencesAgent
from agents.output import TooLarge
from app.core.join.inference_pairs import OVERHEAD_BYTES, Half, Pairing
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Rejected
from app.kafka.errors import StateLost
from app.kafka.producer import NotSent, Outgoing
from topics.inferences import REQUEST, RESPONSE, Inference
from topics.registry import INFERENCES, PREDICTIONS, Topic

SECONDS = 10.0


class Killed(Exception):
    """The worker ends here."""


@dataclass
class World:
    """A partition's log, a worker that reads it, and all that comes of it. `killed_at`: calls that kill the worker."""

    partitions: ClassVar[int] = 1

    log: list[Any] = field(default_factory=list)
    table: dict[str, bytes] = field(default_factory=dict)
    published: Counter[str] = field(default_factory=Counter)
    predictions: dict[str, dict[str, Any]] = field(default_factory=dict)
    letters: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    clock: float = 0.0
    orders: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    registered: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    calls: int = 0
    killed_at: frozenset[int] = frozenset()
    most_bytes: int = 1 << 20
    checkpoint_seconds: float = 0.0
    too_large: frozenset[str] = frozenset()
    known: Log | None = None
    begin: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A worker takes the partition."""
        self.agent = InferencesAgent(
            self.table, lambda model, version: self.orders.get((model, version)), self.catch_up, seconds=SECONDS,
            most_bytes=self.most_bytes, checkpoint_seconds=self.checkpoint_seconds, log_of=lambda *_: self.known,
            counted=self.counts.update, now=lambda: self.clock,
        )  # fmt: skip

    def send(self, id_: str, kind: str, data: object, at: float, **more: Any) -> int:
        """Append a half to the log."""
        value = data if isinstance(data, bytes) else json.dumps(data).encode()
        headers = Inference(**{"id": id_, "type": kind, "model": "m", "version": "1", **more}).headers()
        return self.append(id_.encode(), value, headers, at)

    def append(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]], at: float) -> int:
        """Append a record to the log."""
        offset = len(self.log)
        record = {"offset": offset, "timestamp": round(at * 1000), "key": key, "value": value, "headers": headers}
        self.log.append(SimpleNamespace(**record))
        return offset

    async def catch_up(self) -> None:
        self.orders.update(self.registered)

    def _call(self) -> None:
        self.calls += 1
        if self.calls in self.killed_at:
            raise Killed

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        self._call()
        assert topic is PREDICTIONS
        refused = []
        for i, record in enumerate(records):
            event = json.loads(record.value or b"")
            assert record.key == event["prediction_id"].encode()
            if event["prediction_id"] in self.too_large:
                refused.append(NotSent(i, "too large"))
                continue
            self.published[event["prediction_id"]] += 1
            name = event["prediction_id"] if event["model"] == "m" else f"{event['model']} {event['prediction_id']}"
            assert self.predictions.setdefault(name, event) == event
        self._call()
        if refused:
            raise TooLarge(topic, refused)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self._call()
        assert all(one.record is self.log[one.record.offset] for one in rejected)  # bytes, key and headers intact
        self.letters += [(one.record.offset, one.reason) for one in rejected]
        self._call()

    def step(self, most: int | None = None) -> bool:
        """Read on, at most so many records (none: a tick); return whether the worker lives."""
        position = max(self.agent.position(INFERENCES, 0), self.begin)
        run = self.log[position:] if most is None else self.log[position : position + most]
        following = position + len(run)
        try:
            caught_up = following == len(self.log)
            batch = Batch(INFERENCES, 0, run, following=following, caught_up=caught_up)
            asyncio.run(self.agent.handle(batch, self))
        except Killed:
            self.start()
            return False
        return True

    def read_all(self) -> None:
        """Read to the end, however often the worker is killed on the way."""
        while not self.step() or self.agent.position(INFERENCES, 0) < len(self.log):
            pass


def pair(world: World, id_: str, at: float, *, order: Sequence[str] = (REQUEST, RESPONSE)) -> None:
    for kind in order:
        world.send(id_, kind, {"instances": [{"x": 1}]} if kind == REQUEST else {"predictions": [0]}, at)


def test_either_order_and_repeats_make_one_prediction() -> None:
    world = World()
    pair(world, "a", 1.0)
    pair(world, "b", 1.0, order=(RESPONSE, REQUEST))
    pair(world, "a", 2.0)
    pair(world, "b", 2.0, order=(RESPONSE, RESPONSE, REQUEST))
    world.read_all()
    assert world.published == {"a": 1, "b": 1}
    assert world.counts == {"paired": 4, "repeated": 5}
    assert (world.letters, world.agent.waiting) == ([], 0)
    assert world.predictions["a"]["timestamp"] == 1.0


def test_another_payload_under_the_same_id_is_set_aside_and_the_first_counts() -> None:
    world = World()
    world.send("a", REQUEST, {"instances": [{"x": 1}]}, 1.0)
    second = world.send("a", REQUEST, {"instances": [{"x": 2}]}, 1.0)
    world.send("a", RESPONSE, {"predictions": [0]}, 1.0)
    third = world.send("a", RESPONSE, {"predictions": [1]}, 1.0)
    world.read_all()
    assert (world.predictions["a"]["features"], world.predictions["a"]["prediction"]) == ({"x": 1}, 0)
    assert world.letters == [
        (second, "repeated request: it differs from the one that came first"),
        (third, "repeated response: it differs from the one that came first"),
    ]


def test_what_came_first_counts_after_a_restart_too() -> None:
    world = World()
    for x in (1, 2):
        world.send("a", REQUEST, {"instances": [{"x": x}]}, 1.0)
        world.send("a", RESPONSE, {"predictions": [x]}, 1.0)
    world.read_all()
    world.start()
    again = [world.send("a", REQUEST, {"instances": [{"x": x}]}, 1.0) for x in (1, 2)]
    world.read_all()
    assert [offset for offset, _ in world.letters] == [2, 3, again[1]]
    assert world.published == {"a": 1}


def test_ids_of_one_service_are_its_own() -> None:
    world = World()
    for kind, data in ((REQUEST, {"instances": [{"x": 1}]}), (RESPONSE, {"predictions": [0]})):
        for service, component in (("one", "predictor"), ("two", "predictor"), ("two", "transformer")):
            if (kind, component) != (RESPONSE, "transformer"):
                world.send("1", kind, data, 1.0, service=service, component=component, model=service)
    world.read_all()
    assert (world.published, set(world.predictions), world.agent.waiting) == ({"1": 2}, {"one 1", "two 1"}, 1)


def test_what_finds_no_other_is_given_up_after_its_time_though_the_stream_is_silent() -> None:
    world = World()
    alone = world.send("a", REQUEST, {"instances": [{"x": 1}]}, 1.0)
    world.clock = 1000.0
    world.step()
    world.clock += SECONDS + UNSEEN_SECONDS - 0.01
    world.step()
    assert world.letters == []
    world.clock += 0.01
    world.step()
    assert world.letters == [(alone, "unpaired request: its response has not come within 10 s")]
    late = world.send("a", RESPONSE, {"predictions": [0]}, 1.0 + SECONDS)
    world.step()
    world.clock += SECONDS + UNSEEN_SECONDS
    world.step()
    assert world.letters[1:] == [(late, "unpaired response: its request has not come within 10 s")]
    assert (world.published, world.counts["unpaired"]) == ({}, 2)


def test_of_a_backlog_time_is_the_brokers_and_nothing_is_over_before_it_is_read() -> None:
    world = World(clock=50_000.0)
    for i in range(20):
        world.send(f"r{i}", REQUEST, {"instances": [{"x": 1}]}, 100.0 * i)
        world.send(f"r{i}", RESPONSE, {"predictions": [0]}, 100.0 * i + SECONDS - 0.001)
    world.send("slow", REQUEST, {"instances": [{"x": 1}]}, 5000.0)
    world.send("slow", RESPONSE, {"predictions": [0]}, 5000.0 + SECONDS)
    while world.agent.position(INFERENCES, 0) < len(world.log):
        world.clock += 60.0
        world.step(0)  # a tick, while there is more to be read
        world.step(1)
    assert world.published == {f"r{i}": 1 for i in range(20)}
    assert [reason for _, reason in world.letters] == ["unpaired request: its response has not come within 10 s"]


def test_what_is_held_is_bounded_and_the_oldest_makes_room() -> None:
    world = World(most_bytes=3 * (OVERHEAD_BYTES + 1000))
    for i in range(4):
        world.send(str(i), RESPONSE, b'"' + b"x" * 998 + b'"', 1.0)
    world.read_all()
    assert world.letters == [
        (0, "unpaired response: its request has not come, and too many others wait for theirs (pairing_mib)")
    ]
    assert (world.agent.waiting, world.agent.bytes) == (3, world.most_bytes)


def test_values_without_names_are_of_the_registration_as_of_now() -> None:
    world = World(registered={("m", "1"): ["x", "y"]})
    for version in ("1", "2"):
        world.send(f"v{version}", REQUEST, {"instances": [[1, 2]]}, 1.0, version=version)
        world.send(f"v{version}", RESPONSE, {"predictions": [0]}, 1.0, version=version)
    world.read_all()
    assert world.predictions["v1"]["features"] == {"x": 1, "y": 2}
    assert set(world.letters) == {
        (2, "instances[0]: values without names, of a model version that is not registered"),
        (3, "instances[0]: values without names, of a model version that is not registered"),
    }
    world.registered["m", "2"] = ["x", "y"]
    for kind, data in ((RESPONSE, {"predictions": [0]}), (REQUEST, {"instances": [[1, 2]]})):
        world.send("v2", kind, data, 1.0, version="2")  # sent again: a pair that came to nothing is not remembered
    world.read_all()
    assert world.published == {"v1": 1, "v2": 1}


def test_a_prediction_that_kafka_does_not_take_sets_both_halves_aside_once() -> None:
    world = World(too_large=frozenset({"a-0", "a-2"}))
    world.send("a", REQUEST, {"instances": [{"x": 1}] * 3}, 1.0)
    world.send("a", RESPONSE, {"predictions": [0, 1, 0]}, 1.0)
    world.read_all()
    assert world.published == {"a-1": 1}
    assert world.letters == [(0, "prediction: too large"), (1, "prediction: too large")]
    assert (world.counts["paired"], world.counts["spoilt"]) == (0, 2)


def test_what_is_no_half_is_set_aside_with_the_reason() -> None:
    world = World()
    headers = Inference(id="a", type=REQUEST).headers()
    records: list[tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]], str]] = [
        (b"a", None, headers, "the record has no value"),
        (b"a", b"{}", [], "headers: ce_id: missing"),
        (b"a", b"{}", [("ce_id", b"\xff"), ("ce_type", b"t")], "headers: not UTF-8"),
        (b"a", b"{}", [("ce_id", b"a"), ("ce_type", b"t")], "headers: ce_type: 't' is neither an inference's request"),
        (b"b", b"{}", headers, "the record's key is not its ce_id"),
        (None, b"{}", headers, "the record has no key: it must be the ce_id"),
    ]
    for key, value, given_headers, _ in records:
        world.append(key, value, given_headers, 1.0)
    world.read_all()
    assert len(world.letters) == len(records)
    for (_, reason), (*_, words) in zip(world.letters, records, strict=True):
        assert reason.startswith(words), reason
    assert world.counts["unreadable"] == len(records)


kinds = st.sampled_from([(REQUEST, 0), (RESPONSE, 0), (REQUEST, 1), (RESPONSE, 1)])
logs = st.lists(st.tuples(st.integers(0, 5), kinds, st.sampled_from([0.0, 0.5, 2.0])), max_size=40)


@given(logs, st.frozensets(st.integers(1, 30), max_size=6), st.lists(st.integers(0, 5), max_size=20), st.booleans())
def test_whatever_is_killed_every_pair_is_published_and_at_most_once_more_for_each_kill(
    halves: list[tuple[int, tuple[str, int], float]], kills: frozenset[int], runs: list[int], lazy: bool
) -> None:
    world = World(killed_at=kills, checkpoint_seconds=3.0 if lazy else 0.0)
    at = 1.0
    for number, (kind, payload), later in halves:
        at += later * SECONDS / 100  # all of them within the time
        data = {"instances": [{"x": payload}]} if kind == REQUEST else {"predictions": [payload]}
        world.send(f"i{number}", kind, data, at)
    for most in runs:
        world.clock += 1.0
        world.step(most)
    world.read_all()
    for _ in range(2 + 2 * len(kills)):  # the last is no kill's
        world.clock += SECONDS + UNSEEN_SECONDS
        world.step()

    first: dict[str, dict[str, int]] = {}
    aside: dict[int, str] = {}
    for offset, (number, (kind, payload), _) in enumerate(halves):
        seen = first.setdefault(f"i{number}", {})
        if kind not in seen:
            seen[kind] = offset
        elif halves[seen[kind]][1][1] != payload:
            aside[offset] = "repeated"
    pairs = {name for name, seen in first.items() if len(seen) == 2}
    aside |= {next(iter(seen.values())): "unpaired" for name, seen in first.items() if name not in pairs}
    killed = len([kill for kill in kills if kill <= world.calls])
    assert world.published.keys() == pairs
    assert all(1 <= n <= 1 + killed for n in world.published.values())
    for name in pairs:
        event, seen = world.predictions[name], first[name]
        assert event["features"]["x"] == halves[seen[REQUEST]][1][1]
        assert event["prediction"] == halves[seen[RESPONSE]][1][1]
    assert {offset: reason.split()[0] for offset, reason in world.letters} == aside
    assert max(Counter(offset for offset, _ in world.letters).values(), default=1) <= 1 + killed
    assert world.agent.waiting == 0
    assert world.agent.saved


def test_state_that_is_lost_is_had_again_without_publishing_anew() -> None:
    world = World()
    pair(world, "a", 1.0)
    world.send("b", REQUEST, {"instances": [{"x": 1}]}, 2.0)
    world.read_all()
    world.table.clear()
    world.known = Log(0, 3, committed=3)
    world.start()
    world.send("b", RESPONSE, {"predictions": [0]}, 2.0)
    pair(world, "a", 2.0)
    world.read_all()
    assert (world.published, world.letters) == ({"a": 1, "b": 1}, [])


def test_halves_that_the_log_no_longer_has_are_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    for i in range(3):
        world.send(str(i), REQUEST, {"instances": [{"x": 1}]}, 1.0)
    world.read_all()
    world.start()
    world.begin = 2  # retention
    world.read_all()
    assert (world.counts["lost"], world.agent.waiting) == (2, 1)
    assert "2 halves of inferences are lost" in caplog.text
    assert world.agent.saved


def test_state_of_another_release_is_refused() -> None:
    world = World(table={"0": b"\x81"})
    with pytest.raises(StateLost, match="another release of Driftline wrote it"):
        world.agent.position(INFERENCES, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 2)), min_size=10, max_size=60))
@example([(0, True, 0), (1, True, 0), (1, False, 0), (0, False, 0)])
def test_what_has_to_be_read_again_begins_at_the_first_offset_that_is_held(
    halves: list[tuple[int, bool, int]],
) -> None:
    pairing: Pairing[None] = Pairing(window=10)
    at, made, waiting = 0, dict[int, tuple[int, int]](), dict[int, tuple[int, int, bool]]()
    for offset, (number, is_response, later) in enumerate(halves):
        at += later
        pairing.over(at)
        waiting = {n: one for n, one in waiting.items() if at - one[1] < 10}
        made = {n: one for n, one in made.items() if at - one[1] < 10}
        pairing.take(Half(number, is_response, offset, at, 1, 0, None))
        if number in made:
            continue
        if number in waiting and waiting[number][2] != is_response:
            made[number] = (waiting.pop(number)[0], at)
        else:
            waiting.setdefault(number, (offset, at, is_response))
        held = [one[0] for one in (*waiting.values(), *made.values())]
        assert pairing.first == min(held, default=None)
        assert pairing.waiting == sorted(one[0] for one in waiting.values())
        assert all(a < b for a, b in pairwise(pairing.waiting))
