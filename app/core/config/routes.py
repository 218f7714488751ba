"""Routes, inhibition and maintenance windows, as they are configured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.config.close_names import name_hint
from app.core.config.matchers import LABELS, MatcherError, matchers_of
from topics.levels import Level

CHANNELS = ("alertmanager", "apprise", "email", "file", "log", "slack", "webhook")
"""Names of the channels that the settings set up."""
RECEIVER_PREFIX = "webhook:"
"""Prefix before a receiver's name that makes the name of its channel in routes."""


@dataclass(frozen=True, slots=True)
class Route:
    """A rule that sends alerts to `channels` if all `matchers` match and the level is `min_level` or above.

    `group_by`: labels that split groups further than model and version. Times are in seconds; None takes the
    settings' value. `go_on`: try further routes too; otherwise the first route that fits is the only one.
    """

    channels: tuple[str, ...]
    matchers: tuple[str, ...] = ()
    min_level: Level = "info"
    name: str = ""
    group_by: tuple[str, ...] = ()
    group_wait_seconds: float | None = None
    group_interval_seconds: float | None = None
    repeat_seconds: float | None = None
    go_on: bool = False


@dataclass(frozen=True, slots=True)
class Inhibit:
    """An inhibition: a firing alert that all of `source` match mutes the alerts that all of `target` match.

    Both alerts must be of one model version, and have the same values of `equal`.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Hours of the week in which alerts that all `matchers` match are not notified; see `app.core.config.weekly`."""

    weekdays: tuple[str, ...]
    start: str
    end: str
    zone: str = "UTC"
    matchers: tuple[str, ...] = ()
    comment: str = ""


DEFAULT_INHIBIT = (
    Inhibit(
        source=("rule=traffic", "subject=stopped"),
        target=("rule=~(data_drift|prediction_drift|data_quality|critical_feature|feature_drift|not_judged)",),
    ),
)
"""Default inhibition: stopped traffic mutes drift, data quality and missing judgements.

Once traffic has stopped, the last windows are small and unrepresentative, so their drift is no news. A drop in volume
mutes nothing: the remaining traffic may have drifted, and may have dropped for the same reason.
"""


class RouteError(ValueError):
    """A route that cannot be used. The message names the route."""


def check_route(where: str, route: Route) -> None:
    """Check a route. Raises RouteError, whose message begins with `where`."""
    try:
        matchers_of(route.matchers)
    except MatcherError as error:
        raise RouteError(f"{where}.matchers: {error}") from None
    if not route.channels:
        raise RouteError(f"{where}.channels: name at least one")
    check_labels(f"{where}.group_by", route.group_by)
    for name in ("group_wait_seconds", "group_interval_seconds", "repeat_seconds"):
        value = getattr(route, name)
        if value is not None and not value >= 0:
            raise RouteError(f"{where}.{name}: must not be below 0")


def check_labels(where: str, names: Iterable[str]) -> None:
    """Check names of labels. Raises RouteError for an unknown label."""
    for name in names:
        if name not in LABELS:
            raise RouteError(f"{where}: there is no label {name!r}; {name_hint(name, LABELS)}")


def check_channels(where: str, names: Iterable[str], known: Iterable[str] = CHANNELS) -> None:
    """Raise RouteError for a channel that does not exist. Those of receivers pass: they are added at any time."""
    known = tuple(known)
    for name in names:
        if name not in known and not name.startswith(RECEIVER_PREFIX):
            raise RouteError(f"{where}: there is no channel {name!r}; {name_hint(name, known)}")
