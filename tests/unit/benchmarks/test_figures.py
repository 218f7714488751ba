"""The benchmarks' own counting: what is told to be a figure is one."""

from __future__ import annotations

import time

import pytest

from app.settings.settings import load_settings
from benchmarks.curve import Curve, Step
from benchmarks.events import predictions
from benchmarks.hot_path import Record, Timed
from benchmarks.latency import PANE, Seen
from benchmarks.machine import machine
from benchmarks.yardstick import Yardstick


def test_an_event_is_counted_by_the_first_report_that_has_as_many() -> None:
    seen = Seen()
    end = 8 * PANE
    seen.answered[7] = [end + 0.2, end - 0.5, end - 0.4]
    seen.report(7, 2, end + 0.3)
    assert seen.latencies[7] == [pytest.approx(0.3), pytest.approx(0.3)]  # both answered before the pane's end
    seen.report(7, 2, end + 1)
    seen.report(7, 3, end + 2)
    assert seen.latencies[7][2:] == [pytest.approx(1.8)]  # the last runs from its answer
    seen.report(7, 5, end + 3)
    assert len(seen.latencies[7]) == 3


def test_the_machine_is_named_with_its_cores_and_kafka() -> None:
    settings = load_settings(bootstrap_servers="kafka:9092")
    assert "cores" in machine(settings, started=True)
    assert "Apache Kafka 4" in machine(settings, started=True)
    assert "kafka:9092" in machine(settings, started=False)


async def test_a_join_that_is_fed_from_memory_counts_every_prediction() -> None:
    timed = Timed(500)
    (chunk,) = predictions(2000)
    run = [Record(i, 0, k, v, ()) for i, (k, v) in enumerate(zip(chunk.keys, chunk.values, strict=True))]
    await timed.take(0, run)
    assert len(timed.join._source(0).state.rows) == 2000


def test_what_partitions_count_is_summed_along_their_own_lines() -> None:
    steps = [Step(10.0, 0, 100), Step(20.0, 0, 300), Step(12.0, 1, 50), Step(22.0, 1, 150), Step(16.0, 2, 10)]
    curve = Curve(steps)
    assert curve.when(100) == 10.0
    assert curve.when(100 + 40 + 50) == 12.0
    assert curve.when(300 + 50 + 80 + 10) == 20.0


def test_the_yardstick_tells_the_time_of_its_own_work_only() -> None:
    yardstick = Yardstick()
    started = time.time()
    with yardstick.beside():
        while len(yardstick.looks) < 3:
            time.thread_time()
    assert 0 < yardstick.between(started, time.time()) == yardstick.mean < 0.5
