"""Routing of an alert: its channels, its groups, and the intervals of their notifications."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
from msgspec import Struct

from app.alerting.notify.muting import SAME_MODEL, labels_of
from app.core.config.matchers import Matcher, MatcherError, all_match, matchers_of
from app.core.config.monitoring import Alerting
from app.core.config.routes import Route, check_labels, check_route
from topics.events import AlertEvent
from topics.levels import rank

JOURNALS = frozenset({"log", "file"})
"""Channels that interrupt nobody: they receive every transition at once, and no repeats."""

DEFAULT = "default"


class Policy(Struct, frozen=True, kw_only=True):
    """Times and rules for a channel's notifications of a group, in seconds.

    `repeat`: None for no repeats. `every_transition`: send each transition, as to a journal. `damped`: send one
    notification when an alert flaps, and one when it has settled.
    """

    wait: float = 5.0
    interval: float = 60.0
    repeat: float | None = 4 * 3600.0
    every_transition: bool = False
    damped: bool = True


IMMEDIATE = Policy(wait=0.0, interval=0.0, repeat=None, every_transition=True, damped=False)
ELSEWHERE = Policy(wait=0.0, interval=0.0, repeat=None, damped=False)
"""Policy of a channel whose other side has its own waits and intervals."""
GROUPING = frozenset({"alertmanager"})
"""Channels whose other side does the grouping, waiting and repeating."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One group of an alert: its key, the labels that name it, and the channels to notify."""

    group: str
    labels: dict[str, str]
    channels: dict[str, Policy]


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes in force. `disabled`: channels that are switched off, whatever the routes say."""

    routes: Sequence[Route] = ()
    group_by: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    disabled: frozenset[str] = frozenset()

    def check(self) -> None:
        """Check all routes. Raises RouteError for the first invalid one."""
        check_labels("group_by", self.group_by)
        for number, route in enumerate(self.routes):
            check_route(f"routes[{number}]", route)

    def mark(self, alerting: Alerting) -> str:
        """Return a hash of everything that decides where a model's alerts are sent."""
        parts = [self.routes, self.group_by, self.policy, sorted(self.disabled), alerting.channels, alerting.routes]
        return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()

    def destinations(self, alert: AlertEvent, alerting: Alerting) -> list[Destination]:
        """Return the groups of an alert, by the model's own routes and then these routes.

        The model's channels are used where no route matches.
        """
        labels = labels_of(alert)
        found = [
            self._destination(route, labels) for route in _fitting([*alerting.routes, *self.routes], alert, labels)
        ]
        return found or [self._destination(Route(channels=alerting.channels, name=DEFAULT), labels)]

    def _destination(self, route: Route, labels: dict[str, str]) -> Destination:
        names = dict.fromkeys((*SAME_MODEL, *(route.group_by or self.group_by)))
        shared = {name: labels.get(name, "") for name in names}
        policy = Policy(
            wait=own if (own := route.group_wait_seconds) is not None else self.policy.wait,
            interval=own if (own := route.group_interval_seconds) is not None else self.policy.interval,
            repeat=own if (own := route.repeat_seconds) is not None else self.policy.repeat,
        )
        channels = {
            name: IMMEDIATE if name in JOURNALS else ELSEWHERE if name in GROUPING else policy
            for name in dict.fromkeys(route.channels)
            if name not in self.disabled
        }
        return Destination(name_of(route) + named(shared), shared, channels)


def _fitting(routes: Sequence[Route], alert: AlertEvent, labels: dict[str, str]) -> Iterator[Route]:
    for route in routes:
        matchers = _matchers(route.matchers)
        if matchers is None or rank(alert.level) < rank(route.min_level):
            continue
        if all_match(matchers, labels):
            yield route
            if not route.go_on:
                return


@lru_cache(maxsize=1024)
def _matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...] | None:
    """Return a route's matchers; None where these are invalid.

    Invalid matchers are reported to the person who sets them, and the stream continues.
    """
    try:
        return matchers_of(texts)
    except MatcherError:
        return None


def name_of(route: Route) -> str:
    """Return a route's name, or one made of its matchers, level and channels: independent of its position in the
    list.
    """
    made_of = ",".join([*route.matchers, f"level>={route.min_level}"]) + "->" + ",".join(route.channels)
    return route.name or made_of


def route_of(group: str, labels: Mapping[str, str]) -> str:
    """Return the name of a group's route. `labels`: the labels by which the group is formed."""
    return group.removesuffix(named(labels))


def named(labels: Mapping[str, str]) -> str:
    """Return the labels in the form in which a group's name ends."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
