"""What is not told: silences, maintenance windows in local time, inhibition."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.notify.decision import Reason
from app.alerting.notify.muting import Inhibition, Muting, inhibition_of, labels_of, maintenance_of, quiet_of, window_of
from app.core.config.matchers import MatcherError
from app.core.config.routes import DEFAULT_INHIBIT, Inhibit, Maintenance
from app.core.config.weekly import WEEKDAYS, WeeklyError, weekly_of
from tests.support.alert_events import DAY, of_rule, silence
from topics.events import Hours

DRIFT = of_rule("data_drift")
HOUR = timedelta(hours=1)


def test_labels_have_rule_and_level_too() -> None:
    assert labels_of(DRIFT) == {
        "model": "income", "model_version": "3", "rule": "data_drift", "subject": "features", "level": "error",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("moment", "mutes"),
    [(DAY - HOUR, False), (DAY, True), (DAY + HOUR / 2, True), (DAY + HOUR, False)],
    ids=["before", "begins", "within", "over"],
)
def test_a_silence_has_a_beginning_and_an_end(moment: datetime, mutes: bool) -> None:
    muting = Muting([quiet_of(silence("rule=data_drift", "level=error"))])
    assert muting.reason(DRIFT, (), moment) is (Reason.SILENCED if mutes else None)
    assert muting.reason(of_rule("performance"), (), moment) is None


def test_a_silence_with_hours_is_a_maintenance_window() -> None:
    hours = Hours(weekdays=("mon",), start="23:00", end="01:00", zone="UTC")
    muting = Muting([quiet_of(silence("model=income", ends_at=None, hours=hours))])
    assert DAY.weekday() == 0
    assert muting.reason(DRIFT, (), DAY + HOUR) is Reason.MAINTENANCE
    assert muting.reason(DRIFT, (), DAY + 2 * HOUR) is None
    assert muting.reason(DRIFT, (), DAY + timedelta(days=7)) is Reason.MAINTENANCE


def test_the_clock_of_a_window_is_its_zones_through_summer_time() -> None:
    window = window_of(["sun"], "09:00", "10:00", "Europe/Berlin")
    winter, summer = datetime(2026, 1, 4, 8, 30, tzinfo=UTC), datetime(2026, 7, 5, 7, 30, tzinfo=UTC)
    assert [window.covers(moment) for moment in (winter, summer)] == [True, True]
    assert [window.covers(moment) for moment in (winter - HOUR, summer + HOUR)] == [False, False]


@given(
    st.sets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(0, 1440),
    st.integers(0, 6), st.floats(0, 1439.9),
)  # fmt: skip
def test_hours_cover_what_a_count_of_minutes_says(
    days: set[int], start: int, end: int, weekday: int, minute: float
) -> None:
    texts = [f"{of // 60:02}:{of % 60:02}" for of in (start, end)]
    weekly = weekly_of([WEEKDAYS[day] for day in days], texts[0], texts[1])
    length = end - start if end > start else end - start + 1440
    at = weekday * 1440 + minute
    wanted = any((at - (day * 1440 + start)) % (7 * 1440) < length for day in days)
    assert weekly.covers(weekday, minute) is wanted


@pytest.mark.parametrize(
    ("texts", "days"),
    [(("mon-fri",), {0, 1, 2, 3, 4}), (("sat", "Sunday"), {5, 6}), (("fri-mon",), {4, 5, 6, 0}), (("wed-wed",), {2})],
)
def test_weekdays_are_names_and_ranges(texts: tuple[str, ...], days: set[int]) -> None:
    assert weekly_of(texts, "08:00", "9:30").weekdays == days


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (Maintenance(weekdays=(), start="1:00", end="2:00"), "maintenance[2]: weekdays: name at least one"),
        (Maintenance(weekdays=("noday",), start="1:00", end="2:00"), "maintenance[2]: weekdays: 'noday'"),
        (Maintenance(weekdays=("mon",), start="25:00", end="2:00"), "maintenance[2]: start: '25:00'"),
        (Maintenance(weekdays=("mon",), start="1:00", end="24:30"), "maintenance[2]: end: '24:30'"),
        (Maintenance(weekdays=("mon",), start="1:00", end="2:00", zone="Mars"), "there is no time zone 'Mars'"),
        (Maintenance(weekdays=("mon",), start="1:00", end="2:00", matchers=("x=y",)), "there is no label 'x'"),
    ],
)
def test_a_window_that_cannot_be_used_is_named(given_: Maintenance, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        maintenance_of(2, given_)
    assert issubclass(WeeklyError, ValueError)


def inhibition() -> Inhibition:
    return inhibition_of(0, DEFAULT_INHIBIT[0])


@pytest.mark.parametrize("rule", ["data_drift", "prediction_drift", "data_quality", "critical_feature"])
def test_a_traffic_stop_explains_drift_of_the_same_model_version(rule: str) -> None:
    muting = Muting(inhibitions=[inhibition()])
    alert, stop = of_rule(rule), of_rule("traffic", subject="stopped")
    assert muting.reason(alert, [alert, stop], DAY) is Reason.INHIBITED
    assert muting.reason(alert, [alert, of_rule("traffic", version="4", subject="stopped")], DAY) is None
    assert muting.reason(alert, [alert], DAY) is None


def test_a_drop_of_traffic_explains_nothing() -> None:
    muting = Muting(inhibitions=[inhibition()])
    alert, drop = of_rule("data_drift"), of_rule("traffic", subject="volume")
    assert muting.reason(alert, [alert, drop], DAY) is None


def test_a_traffic_stop_explains_neither_itself_nor_a_fall_in_performance() -> None:
    muting = Muting(inhibitions=[inhibition()])
    stop, performance = of_rule("traffic", subject="stopped"), of_rule("performance")
    assert muting.reason(stop, [stop], DAY) is None
    assert muting.reason(performance, [stop, performance], DAY) is None


def test_two_that_explain_each_other_are_both_told() -> None:
    one, other = of_rule("data_drift", subject="a"), of_rule("data_drift", subject="b")
    rule = inhibition_of(0, Inhibit(source=("rule=data_drift",), target=("rule=data_drift",)))
    assert not rule.mutes(one, labels_of(one), [one, other])


def test_what_must_be_equal_must_be() -> None:
    rule = inhibition_of(0, Inhibit(("rule=traffic",), ("rule=data_drift",), ("subject",)))
    alert, same, other = of_rule("data_drift", subject="a"), of_rule("traffic", subject="a"), of_rule("traffic")
    assert rule.mutes(alert, labels_of(alert), [other, same])
    assert not rule.mutes(alert, labels_of(alert), [other])


def test_a_rule_that_cannot_be_used_is_named() -> None:
    with pytest.raises(ValueError, match=r"inhibit\[3\]: there is no label 'x'"):
        inhibition_of(3, Inhibit(("x=1",), ()))


@pytest.mark.parametrize("texts", [[r"subject=~(a)\1"], ["subject=~a{5000}"], ["level=error"] * 21])
def test_a_silence_in_kafka_that_the_api_would_not_take_is_refused(texts: list[str]) -> None:
    with pytest.raises(MatcherError):
        quiet_of(silence(*texts))
