"""Who is told of an alert, and when nobody is: routes, inhibition, maintenance windows, as they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.config.matchers import LABELS, MatcherError, matchers_of
from topics.levels import Level


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that all `matchers` match, of `min_level` or above, go to `channels`.

    `group_by`: labels beside model and version that part groups. Times are in seconds; None: as the settings have
    them. `go_on`: look for further routes, where otherwise the first that fits is the only one.
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
    """While an alert fires that all of `source` match, those that all of `target` match are not told.

    Both must be of one model version, and have the same values of `equal`.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Hours of the week in which what all `matchers` match is not told; see `app.core.config.weekly`."""

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
"""Once traffic has stopped, the last windows are small and odd: that they seem to have drifted is no news.

A drop explains nothing: what still comes may have drifted, and may have dropped for the same reason.
"""


class RouteError(ValueError):
    """A route that cannot be used; names it."""


def check_route(where: str, route: Route) -> None:
    """Raises RouteError, `where` first."""
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
    """Raises RouteError for a label that there is not."""
    for name in names:
        if name not in LABELS:
            raise RouteError(f"{where}: there is no label {name!r}; known are {', '.join(LABELS)}")
