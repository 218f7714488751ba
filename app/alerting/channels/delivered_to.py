"""Who of several has been told already, while a notification is tried again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MOST = 1000


class DeliveredTo:
    """The newest notifications that not everybody has yet, and who has. In memory: after a crash all are told again."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, set[str]] = OrderedDict()

    def by(self, notification_id: str) -> frozenset[str]:
        """Who has it."""
        return frozenset(self._known.get(notification_id, ()))

    def add(self, notification_id: str, who: Iterable[str]) -> None:
        """They have it now."""
        self._known.setdefault(notification_id, set()).update(who)
        self._known.move_to_end(notification_id)
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def settled(self, notification_id: str) -> None:
        """No attempt is left to be made: should it come again, it is for everybody."""
        self._known.pop(notification_id, None)
