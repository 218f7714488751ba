"""The join agent against plain recomputation, through crashes, rebalances, late owners and re-read records."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from app.faust_batches.batch import Log
from tests.support.join_world import World
from topics.events import Progress

EXPIRING = {"retention": 600.0, "lateness": 200.0}
PARTITIONS = st.integers(0, 1)
TOPICS = st.sampled_from([0, 1])


class JoinMachine(RuleBasedStateMachine):
    """Anything that can happen to a join, in any order."""

    @initialize(seed=st.integers(0, 1 << 32), expiring=st.booleans(), silence=st.sampled_from([None, 150.0]))
    def begin(self, seed: int, expiring: bool, silence: float | None) -> None:
        rng = random.Random(seed)
        made = World(rng, silence=silence)
        if expiring:
            made = World(rng, ordered=True, windows=EXPIRING, silence=silence)
        self.world = made

    @rule(n=st.integers(1, 20))
    def produce(self, n: int) -> None:
        self.world.produce(n)

    @rule(partition=PARTITIONS, topic=TOPICS, most=st.integers(0, 12), again=st.sampled_from([0, 0, 0, 1, 6]))
    def read(self, partition: int, topic: int, most: int, again: int) -> None:
        self.world.read(partition, topic, most, again)

    @rule(seconds=st.sampled_from([1.0, 1.0, 1.0, 15.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(steps=st.integers(0, 8))
    def doom(self, steps: int) -> None:
        self.world.doom(steps)

    @rule(lost=st.integers(0, 2), lingers=st.booleans())
    def crash(self, lost: int, lingers: bool) -> None:
        self.world.crash(lost, lingers=lingers)

    @rule()
    def rebalance(self) -> None:
        self.world.rebalance()

    @rule(partition=PARTITIONS, topic=TOPICS, most=st.integers(0, 12))
    def linger(self, partition: int, topic: int, most: int) -> None:
        self.world.linger(partition, topic, most)

    @rule()
    def settle(self) -> None:
        self.world.settle()
        assert self.world.differences() == []

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.settle()
        self.world.crash(0)
        assert not self.world.unread()
        self.world.produce(10)
        self.settle()


TestJoin = JoinMachine.TestCase
TestJoin.pytestmark = pytest.mark.slow  # type: ignore[attr-defined]
TestJoin.settings = settings(stateful_step_count=40)


def test_what_an_unsaved_life_told_is_told_again() -> None:
    """It had read a truth that is taken back later; the next life reads both at once, which comes to no change."""
    world = World(random.Random(16053717))
    for n in (3, 15):
        world.produce(n)
    world.settle()
    world.produce(8)
    world.settle()
    for n in (6, 20):
        world.produce(n)
    world.crash(2, lingers=False)
    world.produce(14)
    world.settle()
    assert world.differences() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_long_life_counts_what_was_sent(seed: int) -> None:
    rng = random.Random(seed)
    silence = 150.0 if seed in (2, 3) else None
    world = World(rng, silence=silence)
    if seed % 2:
        world = World(rng, ordered=True, windows=EXPIRING, silence=silence)
    for turn in range(1200):
        life(world, rng)
        if turn % 300 == 299:
            world.settle()
            assert world.differences() == []


def life(world: World, rng: random.Random) -> None:
    """One of the things that can happen."""
    partition, topic, kind = rng.randrange(2), rng.randrange(2), rng.random()
    if kind < 0.2:
        world.produce(rng.randrange(1, 12))
    elif kind < 0.65:
        world.read(partition, topic, rng.randrange(15), again=rng.choice([0, 0, 0, 3]))
    elif kind < 0.85:
        world.wait(rng.choice([0.4, 1.0, 1.0, 15.0]))
    elif kind < 0.88:
        world.doom(rng.randrange(8))
    elif kind < 0.9:
        world.crash(rng.choice([0, 0, 1, 2]), lingers=rng.random() < 0.5)
    elif kind < 0.91:
        world.rebalance()
    else:
        world.linger(partition, topic, rng.randrange(15))


class Marked(World):
    """Every log ends with a transaction's marker."""

    def log_of(self, partition: int, topic: int) -> Log:
        log = super().log_of(partition, topic)
        return replace(log, end=log.end + 1)


def test_feedback_that_ends_with_a_marker_is_not_waited_for() -> None:
    told = []
    for world in (World(random.Random(5)), Marked(random.Random(5))):
        world.produce(200)
        for _ in range(50):  # with no truth after them that would show how far feedback is
            world.producer.predict()
        for most in (1000, 0):  # all of it, then a tick
            for partition, topic in world.producer.logs:
                world.read(partition, topic, most)
            world.wait(1.0)  # less than feedback is waited for
        told.append({key: event.event_time for key, event in world.newest.items() if isinstance(event, Progress)})
        assert world.owner.join.saved
    assert told[0] == told[1] != {}
