"""One producer whose clock is ahead, beside good ones: the others' windows and alerts are what they are without it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from app.core.config.monitoring import DriftThresholds, Monitoring, Windows
from app.kafka.topics import NamedTopic, _configs_that_differ
from tests.support.live_world import BEGIN, LiveWorld, ahead, good
from tests.support.reports import StubRecord
from topics.registry import PREDICTIONS

README = Monitoring(windows=Windows(panes=5))
DEFAULT = Monitoring(drift=DriftThresholds(min_samples=200))


def served(monitoring: Monitoring, seed: int, seconds: float, drifts: bool, offset: float | None) -> LiveWorld:
    """A world after so many seconds; with a producer that is `offset` seconds ahead, if any."""
    rate, flight = 2.0 if monitoring is README else 1.0, monitoring.windows.allowance * 0.95
    shift_at = seconds * 0.6 if drifts else None
    sent = good(random.Random(seed), seconds, rate, flight, shift_at)
    if offset is not None:
        sent += ahead(random.Random(seed + 1), seconds, 20.0, offset, shift_at)
    world = LiveWorld(monitoring, step=7.0 if monitoring is README else 31.0)
    world.serve(sent, seconds)
    return world


def compare(monitoring: Monitoring, seed: int, seconds: float, drifts: bool, offset: float) -> None:
    twin, world = (served(monitoring, seed, seconds, drifts, given) for given in (None, offset))
    assert world.rejected == twin.rejected == []
    assert world.incomplete() == twin.incomplete() == []
    assert world.changes() == twin.changes()
    assert world.muted == twin.muted == []
    assert any(rule == "data_drift" for rule, _, _ in twin.changes()) == drifts
    assert not [alert for alert in world.alerts if alert.rule in ("traffic", "feedback")]


@pytest.mark.slow
@settings(max_examples=2, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 1 << 16), drifts=st.booleans(), offset=st.floats(10.0, 299.9))
@example(seed=3, drifts=True, offset=240.0)
@example(seed=4, drifts=False, offset=299.0)
def test_a_clock_ahead_changes_no_window_and_no_alert_of_others(seed: int, drifts: bool, offset: float) -> None:
    compare(README, seed, 900.0, drifts, offset)


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "drifts"), [(299.9, True), (60.0, False)])
def test_nor_does_it_with_the_default_windows(offset: float, drifts: bool) -> None:
    compare(DEFAULT, 7, 4500.0, drifts, offset)


@pytest.mark.slow
def test_a_stop_is_found_as_early_beside_records_of_the_future() -> None:
    """The rows of a fast clock lie in panes that are yet to close: they are no traffic of the panes before."""
    short = Monitoring(windows=Windows(pane=10, panes=6, idle_after=5))
    found = []
    for offset in (None, 290.0):
        sent = good(random.Random(5), 400.0, 3.0, 1.0, None)
        if offset is not None:
            sent += ahead(random.Random(6), 400.0, 395.0, offset, None)
        world = LiveWorld(short)
        world.serve(sent, 700.0)
        stops = [a for a in world.alerts if (a.rule, a.labels["subject"]) == ("traffic", "stopped")]
        found.append(stops[0].emitted_at)
    assert found[0] == found[1]


@dataclass
class OfProducer(StubRecord):
    """A record with its producer's time."""

    timestamp_type: int = 0


def test_records_with_their_producers_time_are_logged_once_for_each_partition(caplog: pytest.LogCaptureFixture) -> None:
    world = LiveWorld(README)
    for partition in (0, 1):
        world.logs[partition] = [OfProducer(i, b"{}", b"k", 1) for i in range(3)]
    for _ in range(2):
        world.serve([], world.clock - BEGIN + 5.0)
        for partition in (0, 1):
            world.logs[partition].append(OfProducer(len(world.logs[partition]), b"{}", b"k", 1))
    told = [record.getMessage() for record in caplog.records if "CreateTime" in record.getMessage()]
    assert [line.partition(":")[0] for line in told] == [
        "predictions partition 0 offset 2", "predictions partition 1 offset 2",
    ]  # fmt: skip
    assert all("message.timestamp.type=LogAppendTime" in line for line in told)


async def test_a_configuration_that_may_not_be_read_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Admin:
        async def describe_configs(self, resources: list[object]) -> list[object]:
            refused: tuple[object, ...] = (29, "Topic authorization failed.", 2, "driftline.predictions", [])
            return [SimpleNamespace(resources=[refused])]

    topic = NamedTopic("driftline.predictions", 4, PREDICTIONS.config())
    assert await _configs_that_differ(cast(Any, Admin()), [topic]) == []
    (told,) = [record.getMessage() for record in caplog.records]
    assert told == (
        "topic driftline.predictions: its configuration cannot be read (Topic authorization failed.), so it is not "
        "verified: it must have cleanup.policy=delete, message.timestamp.type=LogAppendTime; allow DescribeConfigs"
    )
