"""To which channels an alert goes, in which groups, at what intervals."""

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
"""Channels that bother nobody: they are told of every transition at once, and of nothing again."""

DEFAULT = "default"


class Policy(Struct, frozen=True, kw_only=True):
    """When a channel is told of a group, in seconds. `repeat` None: never again. `journal`: of every transition.
    `damped`: of what flaps once, and once when it has settled.
    """

    wait: float = 5.0
    interval: float = 60.0
    repeat: float | None = 4 * 3600.0
    every_transition: bool = False
    damped: bool = True


IMMEDIATE = Policy(wait=0.0, interval=0.0, repeat=None, every_transition=True, damped=False)
ELSEWHERE = Policy(wait=0.0, interval=0.0, repeat=None, damped=False)
"""Of a channel whose other side has waits and intervals of its own."""
GROUPING = frozenset({"alertmanager"})
"""Channels whose other side groups, waits and repeats by itself."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One group that an alert belongs to: its key, the labels that name it, and the channels that are told."""

    group: str
    labels: dict[str, str]
    channels: dict[str, Policy]


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes in force. `disabled`: channels that are switched off, whatever routes say."""

    routes: Sequence[Route] = ()
    group_by: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    disabled: frozenset[str] = frozenset()

    def check(self) -> None:
        """Raises RouteError for the first that cannot be used."""
        check_labels("group_by", self.group_by)
        for number, route in enumerate(self.routes):
            check_route(f"routes[{number}]", route)

    def mark(self, alerting: Alerting) -> str:
        """Return what is the same as long as alerts of a model go the same ways."""
        parts = [self.routes, self.group_by, self.policy, sorted(self.disabled), alerting.channels, alerting.routes]
        return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()

    def destinations(self, alert: AlertEvent, alerting: Alerting) -> list[Destination]:
        """Where an alert goes: the model's own routes, then these, then the model's channels."""
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
    """A route's matchers; None where they cannot be used: who wrote them was told, and the stream goes on."""
    try:
        return matchers_of(texts)
    except MatcherError:
        return None


def name_of(route: Route) -> str:
    """A route's name, or what it is made of: the same wherever it stands in the list."""
    made_of = ",".join([*route.matchers, f"level>={route.min_level}"]) + "->" + ",".join(route.channels)
    return route.name or made_of


def route_of(group: str, labels: Mapping[str, str]) -> str:
    """Return the name of a group's route. `labels`: what the group is grouped by."""
    return group.removesuffix(named(labels))


def named(labels: Mapping[str, str]) -> str:
    """Return the labels as the name of a group ends with them."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
