"""When a worker is given up: a partition with more to read that has not moved, and nothing else going on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from faust.types import TP

from app.faust_batches.watchdog import Sight, Stall

A, B = TP("predictions", 0), TP("predictions", 1)
PAUSE = 5.0
SECONDS = 60.0


def looked(sights: Iterable[Sight], pause: float = PAUSE) -> list[TP | None]:
    """What is said, look after look, `pause` seconds apart."""
    stall = Stall(SECONDS, PAUSE)
    return [stall.look(1000.0 + i * pause, sight) for i, sight in enumerate(sights)]


def still(held: Mapping[TP, int], ends: Mapping[TP, int] | None, looks: int, work: int | None = 0) -> list[Sight]:
    return [Sight(held, ends, work)] * looks


def test_a_partition_that_has_more_and_does_not_move_is_named_when_its_time_is_over() -> None:
    said = looked(still({A: 5, B: 9}, {A: 5, B: 10}, 14))
    assert said == [None] * 12 + [B] * 2


def test_an_idle_partition_may_stand_still() -> None:
    assert set(looked(still({A: 5}, {A: 5}, 100))) == {None}


def test_one_that_still_moves_within_the_time_is_left_alone() -> None:
    assert set(looked(Sight({A: i // 11}, {A: 10**6}, 0) for i in range(100))) == {None}


def test_a_partition_may_wait_longer_while_another_moves_but_not_for_ever() -> None:
    said = looked(Sight({A: 3, B: i}, {A: 4, B: 10**6}, 0) for i in range(61))
    assert said == [None] * 60 + [A]


def test_the_time_begins_when_there_is_more() -> None:
    idle = still({A: 5}, {A: 5}, 50)
    assert looked([*idle, *still({A: 5}, {A: 6}, 12)]) == [None] * 62
    assert looked([*idle, *still({A: 5}, {A: 6}, 13)])[-1] == A


def test_a_recovery_that_goes_on_is_waited_for_and_one_that_hangs_is_not() -> None:
    assert set(looked(Sight({A: 0}, {A: 9}, i) for i in range(100))) == {None}
    assert looked(still({A: 0}, {A: 9}, 13, work=7))[-1] == A


def test_a_rebalance_is_waited_for_however_long() -> None:
    assert set(looked(still({A: 0}, {A: 9}, 100, work=None))) == {None}


def test_without_the_broker_nothing_is_said_and_the_time_begins_anew() -> None:
    stuck = still({A: 5}, {A: 6}, 12)
    assert set(looked([*stuck, *still({A: 5}, None, 30), *stuck])) == {None}


def test_a_process_that_was_stopped_is_not_blamed() -> None:
    stall = Stall(SECONDS, PAUSE)
    assert [stall.look(t, Sight({A: 5}, {A: 6}, 0)) for t in (0.0, 5.0, 500.0, 505.0)] == [None] * 4


def test_a_partition_that_was_taken_away_is_forgotten() -> None:
    away = [*still({A: 5}, {A: 6}, 12), *still({}, {}, 1), *still({A: 5}, {A: 6}, 12)]
    assert set(looked(away)) == {None}
