"""What a worker notes of itself."""

from __future__ import annotations

from app.ingest.decoding import Rejected
from app.worker.self_report import EVERY, SelfReport
from tests.support.reports import StubRecord


def test_a_report_sums_lag_over_partitions_and_counts_dead_letters_by_reason() -> None:
    clock = [1000.0]
    monitor = SelfReport("workers", "w1", wall=lambda: clock[0])
    first = monitor.due()
    assert first is not None, "whoever waits for a worker hears of it at once"
    assert first.n == 0
    run = [StubRecord(offset, b"", timestamp=990_000) for offset in range(5)]
    monitor.read("predictions", 0, run, end=15)
    monitor.read("predictions", 1, run, end=5)
    monitor.read("predictions", 1, [], end=9)  # a tick says nothing
    monitor.rejected([Rejected(run[0], f"unknown `model_version`: m {i} is not registered") for i in range(3)], 1)
    assert monitor.due() is None
    clock[0] += EVERY
    report = monitor.due()
    assert report is not None
    assert (report.model, report.model_version, report.worker, report.n) == ("driftline", "workers", "w1", 10)
    assert (report.lag, report.behind_seconds) == ({"predictions": 10}, 10.0 + EVERY)
    assert report.dead_letters == {"unknown `model_version`": 3}
    assert {name: (one.n, one.behind_seconds, one.dead_letters) for name, one in report.partitions.items()} == {
        "0": (5, 10.0 + EVERY, 0), "1": (5, 0.0, 3),
    }  # fmt: skip
    clock[0] += EVERY
    monitor.read("predictions", 0, [StubRecord(14, b"", timestamp=1_020_000)], end=15)
    again = monitor.due()
    assert again is not None
    assert (again.n, again.lag, again.behind_seconds, again.dead_letters) == (1, {"predictions": 0}, 0.0, {})
    assert again.window_start == report.window_end


def test_partitions_that_others_have_now_are_no_lag() -> None:
    clock = [1000.0]
    monitor = SelfReport("workers", "w1", wall=lambda: clock[0])
    monitor.read("feedback", 0, [StubRecord(0, b"")], end=100)
    monitor.forget()
    clock[0] += EVERY
    report = monitor.due()
    assert report is not None
    assert (report.lag, report.behind_seconds, report.partitions) == ({}, 0.0, {})


def test_partitions_that_stay_are_still_ours() -> None:
    monitor = SelfReport("workers", "w1", wall=lambda: 1000.0)
    for partition in (0, 1):
        monitor.read("feedback", partition, [StubRecord(0, b"")], end=100)
    monitor.forget({1, 2})
    report = monitor.due()
    assert report is not None
    assert (report.lag, list(report.partitions)) == ({"feedback": 99}, ["0"])


def test_a_partition_that_was_taken_over_at_its_end_has_no_lag_before_anything_comes() -> None:
    clock = [1000.0]
    monitor = SelfReport("workers", "w2", wall=lambda: clock[0])
    monitor.read("predictions", 0, [], end=100, following=100)
    monitor.read("predictions", 1, [], end=100, following=40)  # what is left is of an unknown age
    clock[0] += EVERY
    report = monitor.due()
    assert report is not None
    assert {name: one.behind_seconds for name, one in report.partitions.items()} == {"0": 0.0, "1": None}
