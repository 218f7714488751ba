"""`columns.redact` and `columns.hash` of monitoring.json, for a table and for the registration."""

from __future__ import annotations

import msgspec
import pandas as pd

from app.core.values.hiding import HASH, Hiding, Value, check_of
from app.registration.monitoring import MonitoringError, TableColumns
from app.registration.roles import Roles
from app.tables import CellTable
from topics.events import Hidden

NO_KEY = (
    "columns.hash: needs a key, the same for register, replay and the API: set DRIFTLINE_HASH_KEY_FILE "
    "(`openssl rand -hex 32` makes one)"
)


def hiding_of(columns: TableColumns, key: bytes | None) -> Hiding | None:
    """Return the columns to hide; None where there are none. Raises MonitoringError where a hash has no key."""
    if not columns.redact and not columns.hash:
        return None
    if columns.hash and key is None:
        raise MonitoringError(NO_KEY)
    return Hiding(frozenset(columns.redact), frozenset(columns.hash), key or b"")


def hidden_table(frame: pd.DataFrame, hiding: Hiding) -> pd.DataFrame:
    """Return a table without redacted columns and with hashed values.

    Values that are hashes already stay: the table was recorded from Kafka.
    """
    kept = frame.drop(columns=[name for name in hiding.redact if name in frame.columns])
    table = CellTable(frame)
    hashes = {
        name: pd.Series([_hashed(hiding, cell) for cell in table.listed(name)], index=frame.index, dtype=object)
        for name in hiding.hashed
        if name in frame.columns
    }
    return kept.assign(**hashes)


def _hashed(hiding: Hiding, cell: Value) -> str | None:
    return cell if isinstance(cell, str) and HASH.fullmatch(cell) else hiding.value(cell)


def without_redacted(columns: TableColumns) -> TableColumns:
    """Return the columns without redacted features, as in the hidden table."""
    if columns.features is None or not columns.redact:
        return columns
    return msgspec.structs.replace(
        columns, features=tuple(name for name in columns.features if name not in columns.redact)
    )


def registered(frame: pd.DataFrame, columns: TableColumns, roles: Roles, hiding: Hiding | None) -> Hidden | None:
    """Return the hiding part of a registration: the names, the order of the model's inputs, and a check of the key."""
    if hiding is None:
        return None
    listed = columns.features if columns.features is not None else tuple(map(str, frame.columns))
    order = tuple(name for name in listed if name in roles.decisions or name in hiding.redact)
    return Hidden(
        redact=tuple(sorted(hiding.redact)), hash=tuple(sorted(hiding.hashed)), order=order,
        key_check=check_of(hiding.key) if hiding.hashed else "",
    )  # fmt: skip
