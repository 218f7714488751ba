"""When a worker is ready."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from app.settings.settings import load_settings
from app.worker.health import WorkerHealth


def test_a_worker_is_ready_when_its_panes_are_read() -> None:
    settings, read = load_settings(prefix="p."), set[int]()
    held = {TP("p.panes", 0): 4, TP("p.panes", 1): 0, TP("p.reports", 2): 0}
    consumer = SimpleNamespace(held=held, recovered=7, highwater=lambda tp: 5)
    recovery = SimpleNamespace(in_recovery=False)
    app = SimpleNamespace(
        _consumer=consumer, consumer_generation_id=7, rebalancing=False, tables=SimpleNamespace(recovery=recovery)
    )
    unused = cast("Any", None)
    standing = WorkerHealth(cast("Any", app), settings, unused, unused, unused, unused, unused, read.__contains__)
    ready, told = standing.state()
    assert (ready, told["status"], told["panes_unread"]) == (False, "reading panes", 2)
    read.update((0, 1))
    ready, told = standing.state()
    assert (ready, told["status"], told["panes_unread"]) == (True, "ready", 0)
    recovery.in_recovery = True
    assert standing.state()[1]["status"] == "recovering"
