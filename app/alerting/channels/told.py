"""Who of several has been told already, while a notification is tried again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

MOST = 1000


class Told:
    """The newest notifications' ids, and who has each. In memory only: after a crash the same may come again."""

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
