"""The benchmarks' own counting: what is told to be a figure is one."""

from __future__ import annotations

import pytest

from app.runtime.settings import load_settings
from benchmarks.events import predictions
from benchmarks.hot_path import Record, Timed
from benchmarks.latency import PANE, Seen
from benchmarks.machine import machine


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
