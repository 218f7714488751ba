"""Destinations of alerts by the routes in force, and the rerouting of firing alerts after a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from agents.notify.state import NotifyState
from app.alerting.notify.muting import SAME_MODEL
from app.alerting.notify.rerouting import rerouted
from app.alerting.notify.routing import Destination, Routing
from app.core.config.monitoring import Alerting, Monitoring
from topics.events import AlertEvent

Models = Callable[[str, str], Monitoring | None]
Version = tuple[str, ...]
Letters = list[tuple[str, str]]


class Routes:
    """Routes of the settings, and routes of the model versions as registered now."""

    def __init__(self, routing: Routing, models: Models) -> None:
        self._routing = routing
        self._models = models
        self._marks: dict[Version, tuple[Alerting, str]] = {}

    def destinations(self, alert: AlertEvent) -> Iterator[tuple[Destination, str]]:
        """Return the destinations of an alert, each with the mark of the routing."""
        version = _version(alert.labels)
        monitoring = self._models(*version)
        alerting = Alerting() if monitoring is None else monitoring.alerting
        mark = self._mark(version, alerting)
        return ((to, mark) for to in self._routing.destinations(alert, alerting))

    def reroute(self, state: NotifyState) -> tuple[set[str], Letters]:
        """Move firing alerts to their new destinations where routes have changed.

        Return the names of these model versions' groups, and the undelivered notifications that are obsolete now. The
        alerts of an unregistered version are left alone: they are about to be resolved.
        """
        stale = dict[Version, Alerting]()
        marks = dict[Version, str]()
        for group in state.groups.values():
            version = _version(group.labels)
            if version not in marks:
                monitoring = self._models(*version)
                marks[version] = "" if monitoring is None else self._mark(version, monitoring.alerting)
            if marks[version] and group.mark != marks[version]:
                stale[version] = self._marks[version][0]
        changed, letters = set[str](), Letters()
        for version, alerting in stale.items():
            names, obsolete = self._reroute(state, version, alerting)
            changed |= names
            letters += obsolete
        return changed, letters

    def _reroute(self, state: NotifyState, version: Version, alerting: Alerting) -> tuple[set[str], Letters]:
        groups = {name: group for name, group in state.groups.items() if _version(group.labels) == version}
        after = rerouted(groups, self._routing, alerting)
        for name, pending in state.pending.items():
            if pending.notification.group in groups and not pending.outcome:
                reason = after.withdrawn(pending.channel, [alert.fingerprint for alert in pending.notification.firing])
                if reason != pending.withdrawn:
                    state.pending[name] = replace(pending, withdrawn=reason)
        state.groups.update(after.groups)
        return set(after.groups), after.letters

    def _mark(self, version: Version, alerting: Alerting) -> str:
        known = self._marks.get(version)
        if known is None or known[0] is not alerting:
            known = self._marks[version] = alerting, self._routing.mark(alerting)
        return known[1]


def _version(labels: dict[str, str]) -> Version:
    return tuple(labels.get(name, "") for name in SAME_MODEL)
