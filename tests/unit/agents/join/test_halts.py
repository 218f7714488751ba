"""What is known of a partition that was stopped by too many dead letters, and when it counts as passed."""

from __future__ import annotations

from agents.join.halts import Halt, Halts
from agents.join.store import JoinStore


def test_a_stop_is_passed_once_what_follows_it_is_saved() -> None:
    table: dict[str, bytes] = {}
    Halts(JoinStore(table)).note(3, 1, 500, 1_700_000_000_000)
    stops = Halts(JoinStore(table))
    stops.recover(3, (0, 1))
    assert list(stops.passed(3, (900, 500))) == []
    (stop,) = stops.passed(3, (900, 501))
    assert stop == Halt(3, 1, 500, 1_700_000_000.0, last=True)
    stops.release(stop)
    assert list(stops.passed(3, (900, 501))) == []
    assert table == {}


def test_the_last_of_a_topic_is_told_apart() -> None:
    table: dict[str, bytes] = {}
    for partition, topic in ((0, 0), (1, 0), (0, 1)):
        Halts(JoinStore(table)).note(partition, topic, 10, 0)
    stops = Halts(JoinStore(table))
    for partition in (0, 1):
        stops.recover(partition, (0, 1))
    (first,) = stops.passed(0, (11, 0))
    assert not first.last
    stops.release(first)
    (second,) = stops.passed(1, (11, 0))
    assert second.last
    stops.forget(0)
    assert list(stops.passed(0, (11, 11))) == [], "another worker has it"
