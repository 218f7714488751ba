"""Where alerts go: the first route that fits, the model's own before the general, else the model's channels."""

from __future__ import annotations

import pytest

from app.alerting.notify.routing import IMMEDIATE, Policy, Routing
from app.core.config.monitoring import Alerting
from app.core.config.routes import Route, RouteError
from tests.support.alert_events import of_rule

ALERT = of_rule("data_drift")
GROUP = '{model="income",model_version="3"}'


def where(routing: Routing, alerting: Alerting | None = None, **changes: object) -> list[tuple[str, list[str]]]:
    found = routing.destinations(of_rule("data_drift", **changes), alerting or Alerting())  # type: ignore[arg-type]
    return [(to.group, list(to.channels)) for to in found]


def test_without_routes_the_models_channels_are_told() -> None:
    assert where(Routing(), Alerting(channels=("slack", "log", "slack"))) == [(f"default{GROUP}", ["slack", "log"])]


def test_the_first_route_that_fits_is_the_only_one() -> None:
    routes = (
        Route(channels=("pager",), min_level="critical", name="night"),
        Route(channels=("slack",), matchers=("model=income",), name="income"),
        Route(channels=("email",), name="rest"),
    )
    assert where(Routing(routes)) == [(f"income{GROUP}", ["slack"])]
    assert where(Routing(routes), level="critical") == [(f"night{GROUP}", ["pager"])]


def test_a_route_that_goes_on_lets_others_follow() -> None:
    routes = (Route(channels=("pager",), go_on=True, name="a"), Route(channels=("slack",), name="b"))
    assert where(Routing(routes)) == [(f"a{GROUP}", ["pager"]), (f"b{GROUP}", ["slack"])]


def test_a_models_own_routes_are_asked_first() -> None:
    own = Alerting(routes=(Route(channels=("team",), matchers=("rule=data_drift",), name="own"),))
    assert where(Routing((Route(channels=("slack",), name="general"),)), own) == [(f"own{GROUP}", ["team"])]


def test_a_disabled_channel_is_told_nothing_whatever_routes_say() -> None:
    assert where(Routing(disabled=frozenset({"log"}))) == [(f"default{GROUP}", ["file"])]


def test_labels_that_part_groups_come_beside_model_and_version() -> None:
    by_rule = f'{GROUP[:-1]},rule="data_drift"}}'
    assert where(Routing(group_by=("rule",))) == [(f"default{by_rule}", ["log", "file"])]
    routing = Routing((Route(channels=("a",), group_by=("rule", "model"), name="r"),))
    assert where(routing) == [(f"r{by_rule}", ["a"])]


def test_a_route_has_its_own_times_and_journals_have_none() -> None:
    route = Route(channels=("slack", "file"), group_wait_seconds=0, repeat_seconds=60)
    (to,) = Routing((route,), policy=Policy(wait=9, interval=8, repeat=7)).destinations(ALERT, Alerting())
    assert to.channels == {"slack": Policy(wait=0, interval=8, repeat=60), "file": IMMEDIATE}


def test_a_nameless_route_is_the_same_wherever_it_stands() -> None:
    route, other = Route(channels=("slack",)), Route(channels=("pager",), min_level="critical")
    assert where(Routing((route,))) == where(Routing((other, route)))
    assert where(Routing((other,)), level="critical") != where(Routing((route,)), level="critical")


def test_a_models_route_that_cannot_be_read_fits_nothing() -> None:
    own = Alerting(routes=(Route(channels=("team",), matchers=("nonsense",)),))
    assert where(Routing(), own) == [(f"default{GROUP}", ["log", "file"])]


@pytest.mark.parametrize(
    ("routing", "words"),
    [
        (Routing((Route(channels=()),)), r"^routes\[0\]\.channels: name at least one"),
        (Routing((Route(channels=("a",)), Route(("a",), ("x=1",)))), r"^routes\[1\]\.matchers: there is no label 'x'"),
        (Routing((Route(channels=("a",), group_by=("x",)),)), r"^routes\[0\]\.group_by: there is no label 'x'"),
        (Routing((Route(channels=("a",), repeat_seconds=-1),)), r"^routes\[0\]\.repeat_seconds: must not be below 0"),
        (Routing(group_by=("x",)), r"^group_by: there is no label 'x'"),
    ],
)
def test_a_route_that_cannot_be_used_is_named(routing: Routing, words: str) -> None:
    with pytest.raises(RouteError, match=words):
        routing.check()
