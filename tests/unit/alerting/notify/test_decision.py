"""The decision to tell: each reason, and none of them by accident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.notify.decision import (
    NotificationDecision,
    NotificationState,
    Reason,
    after_sending,
    decide_notification,
)
from tests.support.paths import DOCS

HOUR = 3600.0
KNOWN = NotificationState(at=1000.0, firing={"a": "a1", "b": "b1"})


@pytest.mark.parametrize(
    ("told", "firing", "resolved", "muted", "now", "wanted"),
    [
        pytest.param(None, {"a": "a1"}, [], {}, 0, NotificationDecision(Reason.FIRST, ("a",), ("a",)), id="first"),
        pytest.param(None, {}, ["a"], {}, 0, NotificationDecision(Reason.RESOLVED_UNSENT), id="came and went"),
        pytest.param(None, {}, [], {}, 0, NotificationDecision(Reason.NOTHING_NEW), id="nothing at all"),
        pytest.param(
            KNOWN, {"a": "a1", "b": "b1", "c": "c1"}, [], {}, 1001,
            NotificationDecision(Reason.NEW_ALERTS, ("a", "b", "c"), ("c",)),
            id="one more, and what fires already with it",
        ),
        pytest.param(
            KNOWN, {"a": "a2", "b": "b1"}, [], {}, 1001, NotificationDecision(Reason.NEW_ALERTS, ("a", "b"), ("a",)),
            id="one has got worse",
        ),
        pytest.param(
            KNOWN, {"c": "c1"}, ["a"], {}, 1001, NotificationDecision(Reason.NEW_ALERTS, ("c",), ("c",), ("a",)),
            id="one new and one over",
        ),
        pytest.param(
            KNOWN, {"b": "b1"}, ["a"], {}, 1001, NotificationDecision(Reason.SOME_RESOLVED, ("b",), (), ("a",)),
            id="one over",
        ),
        pytest.param(
            KNOWN, {}, ["a", "b"], {}, 1001, NotificationDecision(Reason.ALL_RESOLVED, (), (), ("a", "b")),
            id="all over",
        ),
        pytest.param(
            KNOWN, {}, ["a"], {"b": Reason.SILENCED}, 1001, NotificationDecision(Reason.SOME_RESOLVED, (), (), ("a",)),
            id="an end is told, while the other is silenced",
        ),
        pytest.param(
            NotificationState(at=1000.0, firing={"a": "a1"}, lost=("a",)), {}, ["a"], {}, 1001,
            NotificationDecision(Reason.RESOLVED_UNSENT),
            id="the end of what was given up",
        ),
        pytest.param(
            KNOWN, {"a": "a1", "b": "b1"}, [], {}, 1000 + HOUR - 1, NotificationDecision(Reason.NOTHING_NEW),
            id="known",
        ),
        pytest.param(
            KNOWN, {"a": "a1", "b": "b1"}, [], {}, 1000 + HOUR, NotificationDecision(Reason.REPEAT, ("a", "b")),
            id="repeat",
        ),
        pytest.param(
            KNOWN, {"a": "a1"}, [], {"b": Reason.INHIBITED}, 1000 + HOUR, NotificationDecision(Reason.REPEAT, ("a",)),
            id="repeat without what is muted",
        ),
        pytest.param(None, {}, [], {"a": Reason.SILENCED}, 0, NotificationDecision(Reason.SILENCED), id="silenced"),
        pytest.param(None, {}, [], {"a": Reason.INHIBITED}, 0, NotificationDecision(Reason.INHIBITED), id="inhibited"),
        pytest.param(
            None, {}, [], {"a": Reason.MAINTENANCE}, 0, NotificationDecision(Reason.MAINTENANCE),
            id="maintenance",
        ),
        pytest.param(
            None, {}, [], {"a": Reason.INHIBITED, "b": Reason.SILENCED}, 0, NotificationDecision(Reason.SILENCED),
            id="silenced is said before inhibited",
        ),
    ],
)  # fmt: skip
def test_the_reason(
    told: NotificationState | None, firing: dict[str, str], resolved: list[str], muted: dict[str, Reason], now: float,
    wanted: NotificationDecision,
) -> None:  # fmt: skip
    assert decide_notification(told, firing, resolved, muted, HOUR, now) == wanted


def test_a_channel_without_a_repeat_interval_is_told_once() -> None:
    assert decide_notification(KNOWN, {"a": "a1", "b": "b1"}, [], {}, None, 1e12).reason is Reason.NOTHING_NEW


def test_what_was_given_up_is_told_again_with_the_repeat_and_then_heard() -> None:
    told = NotificationState(at=0.0, firing={"a": "a1"}, lost=("a",))
    decision = decide_notification(told, {"a": "a1"}, [], {}, HOUR, HOUR)
    after = after_sending(told, decision, {"a": "a1"}, HOUR)
    assert (decision.reason, after.knows("a")) == (Reason.REPEAT, True)


names = st.sampled_from("abcd")
told_ = st.none() | st.builds(
    lambda at, firing, lost: NotificationState(at=at, firing=firing, lost=tuple(sorted(lost & set(firing)))),
    st.floats(0, 100), st.dictionaries(names, st.sampled_from("12")), st.sets(names),
)  # fmt: skip


@given(told_, st.dictionaries(names, st.sampled_from("12")), st.sets(names), st.sets(names), st.floats(100, 1000))
def test_telling_once_is_enough(
    told: NotificationState | None, firing: dict[str, str], over: set[str], quiet: set[str], now: float
) -> None:
    ended = [name for name in over if name not in firing]
    muted = {name: Reason.SILENCED for name in quiet if name not in firing and name not in ended}
    decision = decide_notification(told, firing, ended, muted, HOUR, now)
    assert set(decision.new) <= set(decision.firing) <= set(firing)
    assert set(decision.resolved) <= set(ended)
    known = {} if told is None else told.firing
    assert all(name in decision.firing for name in firing if known.get(name) != firing[name])
    if decision.should_send:
        again = decide_notification(after_sending(told, decision, firing, now), firing, ended, muted, HOUR, now)
        assert not again.should_send


def test_every_reason_is_documented() -> None:
    page = (DOCS / "alerting.md").read_text()
    table = page[page.index("| reason |") :].split("\n\n")[0]
    documented = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert sorted(documented) == sorted(reason.value for reason in Reason)
