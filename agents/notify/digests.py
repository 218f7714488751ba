"""Notifications that are due together: sent one by one or, if there are many, as one digest for a channel and route.

Each group's notification is still written and recorded separately: a digest is only their common message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from app.alerting.notify.alert_group import AlertGroup, ChannelState
from app.alerting.notify.decision import MOST_SECONDS
from app.alerting.notify.retry_policy import PendingNotification
from app.alerting.notify.routing import route_of

Way = tuple[str, str]
"""Channel and route."""
Due = tuple[int, PendingNotification]
"""Notification with its partition."""

GATHER_SECONDS = 10.0
"""Seconds that due notifications wait for those that are about to be due."""
LEAST_SECONDS = 2.0
"""Seconds in which every partition evaluates its groups, which each does once a second."""
MOST_GROUPS = 500
"""Groups in one digest; all further ones are in the next."""


def way_of(pending: PendingNotification) -> Way:
    """Return the channel and route of a notification."""
    return pending.channel, route_of(pending.notification.group, pending.notification.group_labels)


@dataclass(slots=True)
class Digests:
    """Plan of single notifications and digests, over all partitions of the process.

    `above`: the number of groups up to which they are sent one by one; 0: always. `interval`: the least seconds between
    two digests of one channel and route. `separate`: whether a channel always gets a message for each group. `current`:
    whether a notification is unchanged since it was offered. `busy`: whether an attempt for a notification is under
    way, or not recorded yet.
    """

    above: int
    interval: float
    separate: Callable[[str], bool]
    current: Callable[[int, PendingNotification], bool]
    busy: Callable[[int, PendingNotification], bool]
    _due: dict[int, list[PendingNotification]] = field(default_factory=dict)
    _expected: dict[int, Counter[Way]] = field(default_factory=dict)
    _sent: dict[Way, list[float]] = field(default_factory=dict)
    _since: dict[Way, float] = field(default_factory=dict)
    _last: dict[Way, float] = field(default_factory=dict)

    def offer(self, partition: int, due: list[PendingNotification], expected: Counter[Way]) -> None:
        """Take the due notifications of a partition. `expected`: how many are about to be due, by channel and route."""
        self._due[partition] = due
        self._expected[partition] = expected

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget partitions that other workers may have now."""
        for partition in partitions:
            self._due.pop(partition, None)
            self._expected.pop(partition, None)

    def plan(self, partition: int, now: float) -> tuple[list[PendingNotification], list[list[Due]]]:
        """Return the notifications of a partition to send singly, and the digests of all partitions."""
        singles, digests = list[PendingNotification](), list[list[Due]]()
        offered, busy = self._by_way()
        for way, due in offered.items():
            mine = [pending for number, pending in due if number == partition]
            expected = sum(counts[way] for counts in self._expected.values())
            at_once = len(due) + expected + max(self._recent(way, now), busy[way])
            expected += busy[way]  # for example a part of a failed digest
            if self.above == 0 or self.separate(way[0]) or at_once <= self.above:
                singles += mine
                self._since.pop(way, None)
                continue
            waited = now - self._since.setdefault(way, now)
            gathered = not 0.0 <= waited < (GATHER_SECONDS if expected else LEAST_SECONDS)
            if gathered and not 0.0 <= now - self._last.get(way, -self.interval) < self.interval:
                if len(due) == 1:
                    singles += mine
                else:
                    digests.append(due[:MOST_GROUPS])
        return singles, digests

    def sent(self, pending: PendingNotification, now: float) -> None:
        """Note the first attempt at a single notification."""
        if self.above and pending.attempts == 0:
            self._sent.setdefault(way_of(pending), []).append(now)

    def sent_together(self, way: Way, now: float) -> None:
        """Note that a digest is sent."""
        self._last[way] = now
        self._since.pop(way, None)

    def failed(self, way: Way) -> None:
        """Note that a digest has failed: the next attempt does not wait for the interval."""
        self._last.pop(way, None)

    def _by_way(self) -> tuple[dict[Way, list[Due]], Counter[Way]]:
        """Return the offered notifications and the numbers of unrecorded attempts, by channel and route."""
        found: dict[Way, list[Due]] = {}
        busy = Counter[Way]()
        for partition, pendings in self._due.items():
            for pending in pendings:
                if not self.current(partition, pending):
                    continue
                if self.busy(partition, pending):
                    busy[way_of(pending)] += 1
                else:
                    found.setdefault(way_of(pending), []).append((partition, pending))
        return found, busy

    def _recent(self, way: Way, now: float) -> int:
        """Return how many notifications were sent one by one within the interval."""
        recent = [at for at in self._sent.get(way, ()) if 0.0 <= now - at < self.interval]
        if recent:
            self._sent[way] = recent
        else:
            self._sent.pop(way, None)
        return len(recent)


def expected_of(pendings: Iterable[PendingNotification], waiting: Mapping[Way, int], now: float) -> Counter[Way]:
    """Return how many notifications are about to be due: of waiting groups, and to be tried again soon."""
    soon = [one for one in pendings if not (one.outcome or one.withdrawn) and now < one.next_at <= now + GATHER_SECONDS]
    return Counter(map(way_of, soon)) + Counter(waiting)


def waiting_of(groups: Mapping[str, AlertGroup], now: float) -> Counter[Way]:
    """Return how many groups wait to be notified or repeated, by channel and route."""
    return Counter(
        (channel, route_of(name, group.labels))
        for name, group in groups.items()
        for channel, teller in group.tellers.items()
        if not teller.pending and (teller.changed_at is not None or _about_to_repeat(teller, now))
    )


def _about_to_repeat(teller: ChannelState, now: float) -> bool:
    if teller.told is None or not teller.told.firing or teller.policy.repeat is None:
        return False
    at = teller.told.at + min(teller.policy.repeat, MOST_SECONDS)
    return -GATHER_SECONDS <= now - at < LEAST_SECONDS
