"""Workers as their own reports show them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from app.read_model.workers import Workers
from tests.support.model_reports import START
from topics.events import (
    MonitorReport,
)


def a_monitor_report(second: int, worker: str = "w", **changes: Any) -> MonitorReport:
    end = START + timedelta(seconds=second)
    values: dict[str, Any] = {
        "model": "driftline", "model_version": "group", "profile_id": "", "revision": 1, "n": 150, "sufficient": True,
        "window_start": end - timedelta(seconds=15), "window_end": end, "emitted_at": end, "worker": worker,
        "lag": {"predictions": 5}, "behind_seconds": 0.5, "dead_letters": {},
    }  # fmt: skip
    return MonitorReport(**values | changes)


def test_workers_are_told_with_lag_and_dead_letters_by_reason() -> None:
    workers = Workers()
    workers.take(a_monitor_report(0, "gone", lag={"predictions": 1000}))
    workers.take(a_monitor_report(100, dead_letters={"not JSON": 3}))
    workers.take(a_monitor_report(115, dead_letters={"not JSON": 1, "late": 7}, lag={"predictions": 2, "feedback": 4}))
    told = workers.now(START + timedelta(seconds=120))
    assert [(worker.worker, worker.silent, worker.rate) for worker in told.workers] == [
        ("w", False, 10.0), ("gone", True, 10.0)
    ]  # fmt: skip
    assert told.lag == {"predictions": 2, "feedback": 4}
    assert [(letters.reason, letters.count) for letters in told.dead_letters] == [("late", 7), ("not JSON", 4)]
    assert told.dead_letters[1].first == START + timedelta(seconds=100)
    assert [lag.records for lag in told.over_time] == [1000, 5, 6]


def test_each_worker_of_a_host_is_told_and_one_that_was_started_again_is_not_told_twice() -> None:
    workers = Workers()
    for name in ("a:10", "a:11", "a:12", "b:10"):
        workers.take(a_monitor_report(0, name))
    for second, name in ((50, "a:11"), (60, "a:20"), (75, "a:20"), (75, "b:10")):
        workers.take(a_monitor_report(second, name))
    for _ in range(2):
        told = workers.now(START + timedelta(seconds=80)).workers
        assert [(one.worker, one.silent) for one in told] == [
            ("a:11", False), ("a:20", False), ("b:10", False), ("a:12", True)
        ]  # fmt: skip
    workers.take(a_monitor_report(600, "a:30"))
    workers.take(a_monitor_report(600, "c:1"))
    told = workers.now(START + timedelta(seconds=610)).workers
    assert [one.worker for one in told if not one.silent] == ["a:30", "c:1"]
    assert [one.worker for one in told if one.silent] == ["a:11", "a:20", "b:10"]
    assert workers.now(START + timedelta(days=2)).workers == []


def test_no_worker_is_counted_on_that_was_not_heard_for_a_while_whatever_its_clock_says() -> None:
    clock = [1000.0]
    workers = Workers(60.0, lambda: clock[0])
    assert workers.unheard == "no worker has reported yet: start one (driftline worker)"
    workers.take(a_monitor_report(0))
    assert re.fullmatch(r"no worker has reported for \d+ s \(worker_silent_seconds: 60\)", workers.unheard)
    workers.live = True
    workers.take(a_monitor_report(0, drains=True))
    assert workers.unheard
    workers.take(a_monitor_report(0))
    assert workers.unheard == ""
    clock[0] += 59.0
    assert workers.unheard == ""
    clock[0] += 1.0
    assert workers.unheard == "no worker has reported for 60 s (worker_silent_seconds: 60)"
