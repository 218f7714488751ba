"""Counts of the transitions of alerts, and marks on the groups of alerts that flap until these have settled."""

from __future__ import annotations

from msgspec.structs import replace

from agents.notify.state import NotifyState
from app.alerting.notify.alert_group import AlertGroup
from app.alerting.notify.flapping import as_flapping, is_over, turned
from topics.events import AlertEvent


class Flaps:
    """Counts of transitions. `most`: how often an alert may begin to fire in an hour; 0: without limit."""

    def __init__(self, most: int) -> None:
        self._most = most

    def take(self, state: NotifyState, alert: AlertEvent, now: float) -> None:
        """Count a transition."""
        if self._most:
            state.flaps[alert.fingerprint] = turned(state.flaps.get(alert.fingerprint), alert, now, self._most)

    def noted(self, state: NotifyState, group: AlertGroup, alert: AlertEvent) -> AlertGroup:
        """Return an alert's group, with the alert marked as flapping once it flaps."""
        flap = state.flaps.get(alert.fingerprint)
        if flap is None or not flap.flapping or alert.status != "firing" or alert.fingerprint in group.flapping:
            return group
        return replace(group, flapping={**group.flapping, alert.fingerprint: as_flapping(alert, self._most)})

    def settle(self, state: NotifyState, now: float) -> set[str]:
        """Forget the alerts that have not changed for an hour. Return the names of the groups where one has settled."""
        for name in [name for name, flap in state.flaps.items() if is_over(flap, now)]:
            del state.flaps[name]
        changed = set[str]()
        for key, group in state.groups.items():
            still = {n: alert for n, alert in group.flapping.items() if (f := state.flaps.get(n)) and f.flapping}
            if len(still) < len(group.flapping):
                state.groups[key] = replace(group, flapping=still)
                changed.add(key)
        return changed
