"""The settings of telling: from the file, the environment and monitoring.json, and what is said of wrong ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from agents.notify.setup import CurrentMuting, patience_of, routing_of
from app.alerting.notify.decision import Reason
from app.alerting.notify.muting import Muting
from app.alerting.silences.table import SilencesTable
from app.core.config.routes import Inhibit, Maintenance, Route
from app.registration.monitoring import MonitoringError, monitoring_of
from app.settings.settings import SettingsError, load_settings, text_of
from app.settings.sources import ENV_PREFIX
from tests.support.alert_events import of_rule

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GIVEN = {
    "routes": (Route(channels=("slack",), matchers=("rule=~a|b",), repeat_seconds=5.0),),
    "inhibit": (Inhibit(("rule=a",), ("rule=b",)),),
    "maintenance": (Maintenance(("mon-sun",), "11:00", "13:00", matchers=("rule=a",)),),
    "group_by": ("rule", "subject"),
    "disabled_channels": ("log",),
}


pytestmark = pytest.mark.usefixtures("folder")


def test_children_get_the_same_settings_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(**GIVEN)
    for name, value in settings.model_dump(mode="json", exclude_none=True).items():
        monkeypatch.setenv(f"{ENV_PREFIX}{name.upper()}", text_of(value))
    assert load_settings() == settings
    assert load_settings().routes == GIVEN["routes"]


def test_names_in_the_environment_have_commas_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_DISABLED_CHANNELS", "slack, email")
    assert routing_of(load_settings()).disabled == {"slack", "email"}


def muting_of(**given: object) -> Muting:
    settings = load_settings(**given)
    return CurrentMuting(settings, SilencesTable(settings))()


def used(**given: object) -> None:
    """As a worker does when it starts."""
    routing_of(load_settings(**given))
    muting_of(**given)


def test_windows_and_inhibition_are_in_force() -> None:
    muting = muting_of(**GIVEN)
    a, b = of_rule("a"), of_rule("b")
    assert (muting.reason(a, [a], NOON), muting.reason(b, [a, b], NOON)) == (Reason.MAINTENANCE, Reason.INHIBITED)


def test_a_traffic_stop_inhibits_unless_that_is_switched_off() -> None:
    drift, stop = of_rule("data_drift"), of_rule("traffic", subject="stopped")
    assert muting_of().reason(drift, [stop], NOON) is Reason.INHIBITED
    assert muting_of(inhibit=()).reason(drift, [stop], NOON) is None


def test_the_times_are_those_that_are_set() -> None:
    settings = load_settings(group_wait_seconds=1, group_interval_seconds=2, repeat_seconds=3, delivery_seconds=4)
    policy = routing_of(settings).policy
    assert (policy.wait, policy.interval, policy.repeat, patience_of(settings).budget_seconds) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"routes": [{"channel": ["a"]}]}, "routes[0].channel"),
        ({"routes": [{"channels": ["a"], "min_level": "high"}]}, "routes[0].min_level"),
        ({"routes": [{"channels": ["a"], "matchers": ["modle=a"]}]}, "routes[0].matchers: there is no label 'modle'"),
        ({"group_by": "colour"}, "group_by: there is no label 'colour'"),
        ({"routes": [{"channels": ["slak"]}]}, "routes[0].channels: there is no channel 'slak'; did you mean slack?"),
        ({"disabled_channels": "emial"}, "disabled_channels: there is no channel 'emial'; did you mean email?"),
        ({"maintenance": [{"weekdays": ["x"], "start": "1:00", "end": "2:00"}]}, "maintenance[0]: weekdays: 'x'"),
        ({"inhibit": [{"source": ["x=1"], "target": []}]}, "inhibit[0]: there is no label 'x'"),
    ],
)
def test_what_cannot_be_used_is_named(given: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        used(**given)


def test_a_models_own_routes_come_with_its_registration() -> None:
    found = monitoring_of({"alerting": {"routes": [{"channels": ["slack"], "matchers": ["level=critical"]}]}})
    assert found.monitoring.alerting.routes == (Route(channels=("slack",), matchers=("level=critical",)),)


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"channel": ["a"], "channels": ["a"]}, "unknown key alerting.routes[0].channel; did you mean"),
        ({"channels": []}, "alerting.routes[0].channels: name at least one"),
        ({"channels": ["a"], "matchers": ["x=1"]}, "alerting.routes[0].matchers: there is no label 'x'"),
        ({"channels": ["a"], "repeat_seconds": -1}, "alerting.routes[0].repeat_seconds: must not be below 0"),
    ],
)
def test_a_models_route_that_cannot_be_used_is_refused(route: dict[str, object], words: str) -> None:
    with pytest.raises(MonitoringError, match=re.escape(words)):
        monitoring_of({"alerting": {"routes": [route]}})
