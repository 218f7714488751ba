"""Joined topics are read by the broker's time, and nobody waits for what does not come."""

from faust.types import TP

from app.faust_batches.reading_order import PATIENCE, ReadingOrder

PREDICTIONS, FEEDBACK, ANOTHER = TP("predictions", 0), TP("feedback", 0), TP("feedback", 1)


def order_of() -> ReadingOrder:
    order = ReadingOrder()
    order.leaders["feedback"] = "predictions"
    return order


def read_next(order: ReadingOrder, active: set[TP], *, full: tuple[TP, ...] = (), more: bool = True) -> set[TP]:
    return order.without_those_ahead(active, full, lambda _: more)


def test_what_is_ahead_waits_until_its_leader_has_caught_up() -> None:
    order = order_of()
    every = {PREDICTIONS, FEEDBACK, ANOTHER}
    assert read_next(order, every) == {PREDICTIONS, ANOTHER}, "its leader comes first"
    order.handed(PREDICTIONS, 1000, 1000)
    assert read_next(order, every) == every, "how far it is ahead is not known"
    order.handed(FEEDBACK, 2000, 2000)
    assert read_next(order, every) == {PREDICTIONS, ANOTHER}
    assert order.waiting == {FEEDBACK}, "the watchdog is not to take it for a partition that stands still"
    order.handed(PREDICTIONS, 2000, 2000)
    assert read_next(order, every) == every
    assert order.waiting == set()


def test_it_stays_behind_by_as_much_as_comes_at_once() -> None:
    order = order_of()
    order.handed(FEEDBACK, 1000, 1400)
    order.handed(PREDICTIONS, 1500, 1799)
    assert read_next(order, {PREDICTIONS, FEEDBACK}) == {PREDICTIONS}, "its next 400 ms would be ahead"
    order.handed(PREDICTIONS, 1799, 1800)
    assert read_next(order, {PREDICTIONS, FEEDBACK}) == {PREDICTIONS, FEEDBACK}


def test_a_leader_never_waits() -> None:
    order = order_of()
    order.handed(PREDICTIONS, 2000, 2000)
    order.handed(FEEDBACK, 1000, 1000)
    assert read_next(order, {PREDICTIONS, FEEDBACK}) == {PREDICTIONS, FEEDBACK}


def test_nobody_waits_for_what_does_not_come() -> None:
    order = order_of()
    order.handed(FEEDBACK, 2000, 2000)
    order.handed(PREDICTIONS, 1000, 1000)
    both = {PREDICTIONS, FEEDBACK}
    assert read_next(order, both, more=False) == both, "the leader's log is read to its end"
    assert read_next(order, {FEEDBACK}) == {FEEDBACK}, "the leader is paused, or not ours"
    assert read_next(order, both) == {PREDICTIONS}
    order.fetched(both, {FEEDBACK}, PATIENCE)
    assert read_next(order, both) == both, "the leader's log promises more and brings nothing"
    order.fetched({PREDICTIONS}, {PREDICTIONS}, 0.1)
    order.handed(PREDICTIONS, 1500, 1500)
    assert read_next(order, both) == {PREDICTIONS}
    order.forget()
    assert read_next(order, both) == {PREDICTIONS}
    order.fetched({PREDICTIONS}, (), PATIENCE)
    assert read_next(order, both) == both, "the leader has never brought anything"


def test_a_leader_whose_agent_has_no_room_is_waited_for_however_long_that_takes() -> None:
    order = order_of()
    order.handed(FEEDBACK, 1000, 2000)
    order.handed(PREDICTIONS, 1000, 1500)
    for _ in range(10):
        assert read_next(order, {FEEDBACK}, full=(PREDICTIONS,)) == set(), "it goes on when there is room"
        assert read_next(order, {FEEDBACK}, full=(PREDICTIONS,), more=False) == set(), "its end is as of the last fetch"
        order.fetched({ANOTHER}, (), PATIENCE)  # it is not asked meanwhile
    assert read_next(order, {PREDICTIONS, FEEDBACK}) == {PREDICTIONS}
    order.fetched({PREDICTIONS}, {PREDICTIONS}, PATIENCE)
    order.handed(PREDICTIONS, 3500, 4000)
    assert read_next(order, {PREDICTIONS, FEEDBACK}) == {PREDICTIONS, FEEDBACK}
