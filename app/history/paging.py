"""Paged lists: a total order of the rows, and cursors to where the rest of a list begins."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, String, and_, or_

FIRST_YEAR, LAST_YEAR = 1970, 2100
LARGEST = 2**63

Key = tuple[datetime | str | int | bool, ...]
"""Values by which a row is sorted."""


class CursorError(ValueError):
    """Raised for a cursor that no list of this API returned."""


@dataclass(frozen=True)
class PageOrder:
    """Order of a list, highest first: by a time, then by columns that make a row unique.

    `columns` are the table's columns, `fields` the corresponding fields of a result, `types` the types of a key's
    values.
    """

    name: str
    columns: tuple[str, ...]
    fields: tuple[str, ...]
    types: tuple[type, ...]

    @property
    def moment(self) -> str:
        """Return the name of the column with the time."""
        return self.columns[0]

    def key(self, one: object) -> Key:
        """Return the values by which a result is sorted."""
        return tuple(getattr(one, name) for name in self.fields)

    def clauses(self, connection: Connection, table: FromClause) -> list[ColumnElement[Any]]:
        """Return the columns to sort by. Texts are compared as in Python, whatever the database's locale is."""
        plain = connection.dialect.name == "sqlite"
        columns = [table.c[name] for name in self.columns]
        return [column if plain or not isinstance(column.type, String) else column.collate("C") for column in columns]

    def after(self, connection: Connection, table: FromClause, key: Key) -> ColumnElement[bool]:
        """Return the condition of the rows that come after a key.

        The time is also a condition of its own, for the index.
        """
        found: ColumnElement[bool] | None = None
        for column, value in reversed(list(zip(self.clauses(connection, table), key, strict=True))):
            found = column < value if found is None else or_(column < value, and_(column == value, found))
        assert found is not None
        return and_(table.c[self.moment] <= key[0], found)

    def cursor(self, one: object) -> str:
        """Return the cursor to what follows a result in the list."""
        return encode_cursor(self.name, self.key(one))

    def read(self, cursor: str) -> Key:
        """Return the key that a cursor of this list contains. Raises CursorError."""
        return decode_cursor(self.name, cursor, self.types)


def encode_cursor(name: str, key: Key) -> str:
    """Return a key of a list as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode([name, *key])).rstrip(b"=").decode()


def decode_cursor(name: str, cursor: str, types: tuple[type, ...]) -> Key:
    """Return the key that a cursor contains. Raises CursorError where the cursor is not one of this list."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found, *key = msgspec.json.decode(packed, type=list[Any])
        values: Key = tuple(msgspec.convert(value, kind) for value, kind in zip(key, types, strict=True))
    except (ValueError, binascii.Error, RecursionError):
        found, values = None, ()
    if found != name or not all(map(_is_sound, values)):
        raise CursorError("cursor: is not one of this list; give `next` of the part before, as it is")
    return values


def _is_sound(value: datetime | str | int | bool) -> bool:
    """Return whether a value can be used in a database query."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and FIRST_YEAR < value.year < LAST_YEAR
    return "\x00" not in value if isinstance(value, str) else abs(value) < LARGEST


PREDICTIONS = PageOrder(
    "predictions", ("predicted_at", "prediction_id", "model", "model_version"),
    ("timestamp", "prediction_id", "model", "model_version"), (datetime, str, str, str),
)  # fmt: skip
TRAINING = PageOrder("training", ("finished_at", "run_id"), ("finished_at", "run_id"), (datetime, str))
_DEPLOYED = ("deployed_at", "model", "model_version", "source", "environment", "status")
DEPLOYMENTS = PageOrder("deployments", _DEPLOYED, _DEPLOYED, (datetime, str, str, str, str, str))
_JUDGED = ("window_end", "revision", "model", "model_version")
DRIFT = PageOrder("drift", _JUDGED, _JUDGED, (datetime, int, str, str))
ALERTS = PageOrder("alerts", ("emitted_at", "alert_id"), ("emitted_at", "alert_id"), (datetime, str))
_DELIVERED = ("delivered_at", "alert_id", "channel", "notification_id")
DELIVERIES = PageOrder("deliveries", _DELIVERED, _DELIVERED, (datetime, str, str, str))
AUDIT = PageOrder("audit", ("at", "audit_id"), ("at", "audit_id"), (datetime, str))
PERFORMANCE = PageOrder("performance", (), ("last", "model", "model_version"), (datetime, str, str))
"""Order of performance, which is made of sums and not of a table's rows."""
