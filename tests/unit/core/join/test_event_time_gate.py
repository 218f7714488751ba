"""Event times are told once feedback has been read to the broker's time at which they were reached."""

from __future__ import annotations

from app.core.join.event_time_gate import EventTimeGate
from app.core.join.state import NEVER


def test_a_time_is_told_when_feedback_has_been_read_to_where_it_was_reached() -> None:
    held = EventTimeGate({})
    held.reached(100, 200, {0: 7})
    held.reached(201, 300, {0: 8, 1: 5})
    assert (held.of(0), held.of(1), held.any) == (NEVER, NEVER, True)
    held.fed(250)
    assert (held.of(0), held.of(1), held.any) == (7, NEVER, True)
    held.fed(300)
    assert (held.of(0), held.of(1), held.any) == (8, 5, False)


def test_what_was_recovered_is_told_when_feedback_has_come_to_the_first_run() -> None:
    held = EventTimeGate({0: 6, 1: 4})
    held.fed(1000)
    assert held.of(0) == NEVER, "where that was is not known before the first run"
    held.reached(1100, 1200, {0: 7})
    held.fed(1150)
    assert (held.of(0), held.of(1)) == (6, 4)
    held.fed(1200)
    assert (held.of(0), held.of(1)) == (7, 4)


def test_all_is_told_where_no_feedback_is_to_be_waited_for() -> None:
    held = EventTimeGate({0: 6, 1: 4})
    held.release()
    assert (held.of(0), held.of(1), held.any) == (6, 4, False)
    held.reached(100, 200, {0: 7})
    held.reached(200, 300, {})
    held.release()
    assert (held.of(0), held.any) == (7, False)
