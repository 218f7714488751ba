"""Unknown fields of events in Kafka: left out, and logged once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from app.core.config.close_names import did_you_mean
from app.ingest.decoding import UNREADABLE, Record
from app.telemetry.printable import one_line
from topics.events import Event

log = logging.getLogger(__name__)

MOST_NAMES, LONGEST_NAME = 20, 60
"""Fields of a topic that are logged, and characters of a name."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def known_names(kind: Any) -> tuple[str, ...]:
    """Return the fields of a struct."""
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))


class UnknownFieldsLog:
    """Log of the unknown fields of a topic's events, each once in a process.

    Looks at the first record of each run: the events of a producer have the same fields, and one record costs nothing.
    """

    def __init__(self, topic: str, kind: type[Event]) -> None:
        self._topic = topic
        self._known = known_names(kind)
        self._logged: set[str] = set()

    def look_at(self, partition: int, records: Sequence[Record]) -> None:
        """Log the unknown fields of the first of these records."""
        if not records or len(self._logged) >= MOST_NAMES:
            return
        try:
            names = _object.decode(records[0].value or b"").keys() - {*self._known} - self._logged
        except UNREADABLE:  # it becomes a dead letter, with the reason
            return
        for name in sorted(names)[: MOST_NAMES - len(self._logged)]:
            self._logged.add(name)
            log.warning(
                "%s partition %d offset %d: an event has no field %s, so it is left out%s", self._topic, partition,
                records[0].offset, one_line(name[:LONGEST_NAME]), did_you_mean(name, self._known, before="; "),
            )  # fmt: skip
