"""Joined topics are read by the broker's time, and nobody waits for what does not come."""

from faust.types import TP

from app.runtime.reading_order import PATIENCE, ReadingOrder

PREDICTIONS, FEEDBACK, ANOTHER = TP("predictions", 0), TP("feedback", 0), TP("feedback", 1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def order_of(clock: Clock) -> ReadingOrder:
    order = ReadingOrder(clock)
    order.leaders["feedback"] = "predictions"
    return order


def read_next(order: ReadingOrder, active: set[TP], *, full: tuple[TP, ...] = (), more: bool = True) -> set[TP]:
    return order.without_those_ahead(active, full, lambda _: more)


def test_what_is_ahead_waits_until_its_leader_has_caught_up() -> None:
    order = order_of(Clock())
    every = {PREDICTIONS, FEEDBACK, ANOTHER}
    assert read_next(order, every) == every  # nothing is known yet
    order.handed(FEEDBACK, 2000)
    assert read_next(order, every) == every  # its leader's time is not known
    order.handed(PREDICTIONS, 1000)
    assert read_next(order, every) == {PREDICTIONS, ANOTHER}
    assert order.waiting == {FEEDBACK}, "the watchdog is not to take it for a partition that stands still"
    order.handed(PREDICTIONS, 2000)
    assert read_next(order, every) == every
    assert order.waiting == set()


def test_a_leader_never_waits() -> None:
    order = order_of(Clock())
    order.handed(PREDICTIONS, 2000)
    order.handed(FEEDBACK, 1000)
    assert read_next(order, {PREDICTIONS, FEEDBACK}) == {PREDICTIONS, FEEDBACK}


def test_nobody_waits_for_what_does_not_come() -> None:
    clock = Clock()
    order = order_of(clock)
    order.handed(FEEDBACK, 2000)
    order.handed(PREDICTIONS, 1000)
    both = {PREDICTIONS, FEEDBACK}
    assert read_next(order, both, more=False) == both, "the leader's log is read to its end"
    assert read_next(order, {FEEDBACK}) == {FEEDBACK}, "the leader is paused, or not ours"
    assert read_next(order, {FEEDBACK}, full=(PREDICTIONS,)) == set(), "the leader goes on when its agent has room"
    assert read_next(order, both) == {PREDICTIONS}
    clock.now += PATIENCE
    assert read_next(order, both) == both, "the leader's log promises more and brings nothing"
    order.handed(PREDICTIONS, 1500)
    assert read_next(order, both) == {PREDICTIONS}
    order.forget()
    assert read_next(order, both) == both
