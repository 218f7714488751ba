"""The wait between two starts of a child."""

from __future__ import annotations

from app.processes.supervisor import Backoff


def test_it_doubles_up_to_the_longest() -> None:
    backoff = Backoff()
    assert [backoff.after(ran=1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_it_begins_anew_after_a_healthy_run() -> None:
    backoff = Backoff()
    assert [backoff.after(ran) for ran in (1, 1, 29.9, 30, 1)] == [0.2, 0.4, 0.8, 0.2, 0.4]
