"""Recipients that already received a notification that is being retried."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MOST = 1000


class DeliveredTo:
    """The newest notifications that some recipients lack, with the recipients that have them.

    Kept in memory: after a crash all recipients are notified again.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, set[str]] = OrderedDict()

    def by(self, notification_id: str) -> frozenset[str]:
        """Return the recipients that have the notification."""
        return frozenset(self._known.get(notification_id, ()))

    def add(self, notification_id: str, who: Iterable[str]) -> None:
        """Record recipients that have the notification now."""
        self._known.setdefault(notification_id, set()).update(who)
        self._known.move_to_end(notification_id)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def settled(self, notification_id: str) -> None:
        """Forget a notification that has no attempt left. If it comes again, it goes to all recipients."""
        self._known.pop(notification_id, None)
